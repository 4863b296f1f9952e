"""Right-sizing of memory and CPU per step, from per-run figures."""

from __future__ import annotations

from concertmaster.core.sizing.by_input import InputModel, levels
from concertmaster.core.sizing.cpu import CpuOptions, CpuSize, CpuUse, cpu_request, cpu_requests, unseen_slowdown
from concertmaster.core.sizing.expected_peaks import RISING_DAYS, largest_ahead
from concertmaster.core.sizing.memory import MemorySize, MemoryUse, memory_request, memory_requests
from concertmaster.core.sizing.memory_options import MemoryOptions
from concertmaster.core.sizing.quantities import MILLI, at_most, plain_memory, round_cpu, round_memory

__all__ = [
    "MILLI",
    "RISING_DAYS",
    "CpuOptions",
    "CpuSize",
    "CpuUse",
    "InputModel",
    "MemoryOptions",
    "MemorySize",
    "MemoryUse",
    "at_most",
    "cpu_request",
    "cpu_requests",
    "largest_ahead",
    "levels",
    "memory_request",
    "memory_requests",
    "plain_memory",
    "round_cpu",
    "round_memory",
    "unseen_slowdown",
]
