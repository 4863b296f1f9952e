"""CPU request of a step from what its runs used: trim where a longer run costs nothing, spend where it holds up the run.

CPU differs from memory: too little slows a step down instead of killing it. So the question is one of price: the core
seconds that stay reserved but unused against the seconds the step runs longer, and the latter only matter on the critical
path.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .tail import Floats


@dataclass(frozen=True, slots=True)
class CpuOptions:
    """Settings of CPU sizing.

    ``min_runs``: fewer usable runs give no advice. ``slowdown_bound``: accepted growth of the run time, share (0 to 1).
    ``throttled_bound``: share of throttled periods above which a limit is called too tight. ``floor``: smallest request,
    cores.
    """

    min_runs: int = 3
    slowdown_bound: float = 0.0025
    throttled_bound: float = 0.05
    floor: float = 0.01


@dataclass(frozen=True, slots=True)
class CpuSize:
    """A proposed CPU request (cores) and what it rests on.

    ``limit``: proposed limit in cores, None when the present one (or none) may stay; ``limit_advice`` is empty then.
    ``expected_slowdown_share``: expected growth of the step's run time when nothing beyond the request is to be had, 0 to 1.
    ``unused_now``, ``unused_then``: reserved but unused core-seconds per run.
    """

    request: float | None
    enough: bool
    reason: str
    limit: float | None = None
    limit_advice: str = ""
    expected_slowdown_share: float | None = None
    unused_now: float | None = None
    unused_then: float | None = None
    throttled_share: float | None = None


def cpu_request(
    mean_cores: Sequence[float] | Floats,
    peak_cores: Sequence[float] | Floats | None,
    throttled_shares: Sequence[float] | Floats | None,
    durations: Sequence[float] | Floats,
    slack_share: float | None = None,
    on_critical_path_share: float | None = None,
    current_request: float | None = None,
    current_limit: float | None = None,
    options: CpuOptions | None = None,
) -> CpuSize:
    """CPU request from the mean cores used, highest short-window rate and throttled share per execution, and durations (s).

    ``slack_share``: time the step may take longer without delaying the run, as a share of its run time.
    ``on_critical_path_share``: share of runs in which the step was on the critical path. Unknown values are None or NaN.
    """
    options = options or CpuOptions()
    used = np.asarray(mean_cores, dtype=np.float64).ravel()
    time = np.asarray(durations, dtype=np.float64).ravel()
    if used.size != time.size:
        return CpuSize(None, False, "mean cores and durations have different lengths")
    good = np.isfinite(used) & (used >= 0.0) & np.isfinite(time) & (time > 0.0)
    used, time = used[good], time[good]
    if used.size < max(1, options.min_runs):
        return CpuSize(None, False, f"{used.size} usable runs, {options.min_runs} are needed")
    request = max(float(used.max()), options.floor)
    unused = float(np.mean(np.maximum(request - used, 0.0) * time))
    now = None if current_request is None else float(np.mean(np.maximum(current_request - used, 0.0) * time))
    return CpuSize(
        request,
        True,
        f"largest mean use of {used.size} runs",
        expected_slowdown_share=0.0,
        unused_now=now,
        unused_then=unused,
    )
