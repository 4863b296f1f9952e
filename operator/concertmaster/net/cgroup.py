"""What the container may use: cores and memory, by its control group."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")


def cores(root: Path = ROOT) -> int:
    """Processors that this process may use, of which a CPU limit leaves only whole ones; at least 1."""
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    quota, period = _numbers(root / "cpu.max") or (None, None)
    if quota is None:
        quota, period = (_number(root / "cpu" / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
    if quota is None or period is None or quota <= 0 or period <= 0:
        return here
    return max(1, min(here, int(quota / period)))


def memory_left(root: Path = ROOT) -> float | None:
    """Bytes up to the memory limit, not counting what the kernel would reclaim; None without a limit."""
    limit, used = _number(root / "memory.max"), _number(root / "memory.current")
    stat = root / "memory.stat"
    if limit is None and used is None:
        first = root / "memory"
        limit, used = _number(first / "memory.limit_in_bytes"), _number(first / "memory.usage_in_bytes")
        stat = first / "memory.stat"
    if limit is None or used is None or limit >= 2.0**60:  # how the first version says that there is none
        return None
    kept = dict(line.split()[:2] for line in _text(stat).splitlines() if len(line.split()) == 2)
    return limit - used + float(kept.get("total_inactive_file", kept.get("inactive_file", 0)))


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _number(path: Path) -> float | None:
    found = _numbers(path)
    return found[0] if found else None


def _numbers(path: Path) -> tuple[float, ...] | None:
    """The numbers of a line; None where one of them is no number, such as ``max``."""
    try:
        return tuple(map(float, _text(path).split())) or None
    except ValueError:
        return None
