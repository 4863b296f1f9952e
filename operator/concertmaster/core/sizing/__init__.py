"""Right-sizing of memory and CPU per step, from per-run figures."""

from __future__ import annotations

from concertmaster.core.sizing.by_input import levels
from concertmaster.core.sizing.cpu import CpuSize, CpuUse, cpu_request, cpu_requests, unseen_slowdown
from concertmaster.core.sizing.growth_by_day import MIN_DAYS, daily_growth, largest_ahead
from concertmaster.core.sizing.memory import MemorySize, MemoryUse, memory_request, memory_requests
from concertmaster.core.sizing.quantities import MILLI, at_most, plain_memory, round_cpu, round_memory

__all__ = [
    "MILLI",
    "MIN_DAYS",
    "CpuSize",
    "CpuUse",
    "MemorySize",
    "MemoryUse",
    "at_most",
    "cpu_request",
    "cpu_requests",
    "daily_growth",
    "largest_ahead",
    "levels",
    "memory_request",
    "memory_requests",
    "plain_memory",
    "round_cpu",
    "round_memory",
    "unseen_slowdown",
]
