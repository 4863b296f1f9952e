"""Right-sizing of memory and CPU per step, from per-run figures."""

from __future__ import annotations

from concertmaster.core.sizing.by_input import InputModel, levels
from concertmaster.core.sizing.cpu import CpuOptions, CpuSize, cpu_request
from concertmaster.core.sizing.memory import MemoryOptions, MemorySize, memory_request
from concertmaster.core.sizing.quantities import MIB, MILLI, at_most, plain_memory, round_cpu, round_memory

__all__ = [
    "MIB",
    "MILLI",
    "CpuOptions",
    "CpuSize",
    "InputModel",
    "MemoryOptions",
    "MemorySize",
    "at_most",
    "cpu_request",
    "levels",
    "memory_request",
    "plain_memory",
    "round_cpu",
    "round_memory",
]
