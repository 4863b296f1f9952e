"""Right-sizing of memory and CPU per step, out of per-run figures."""

from __future__ import annotations

from .by_input import InputModel
from .cpu import CpuOptions, CpuSize, cpu_request
from .memory import MemoryOptions, MemorySize, memory_request
from .quantities import MIB, MILLI, at_most, round_cpu, round_memory

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
    "memory_request",
    "round_cpu",
    "round_memory",
]
