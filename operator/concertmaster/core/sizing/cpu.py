"""CPU request of a step: removes unused CPU, unless that would delay the run.

CPU differs from memory: too little slows a step down instead of killing it, so the decision is one of cost. An hour of
additional run time costs far more than an unused core-hour, except where the step has slack or is off the critical path.
The request is the level that minimizes the sum of both over the observed runs and the next record (the newsvendor problem).
It says nothing of a step that is throttled: that is constrained by its limit, not by its request.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from concertmaster.core import arrays as np
from concertmaster.core.arrays import Floats
from concertmaster.core.sizing.quantities import MILLI
from concertmaster.core.sizing.tail import fit_tails, mean_log_excess, picked, places
from concertmaster.core.sizing.trend import carried_forward, growth_per_run, orders_z
from concertmaster.core.sizing.waste import sums

# More cores than any node has, and longer than any run; clipping keeps sums finite.
MAX_CORES = 1e6
MAX_SECONDS = 1e12
# Growth of use is extrapolated to at most this multiple of the largest.
MAX_RAISE = 4.0
# Usable runs required for a recommendation.
MIN_RUNS = 3
# Core-hours that an hour of run time is worth, about two and a half dollars at list prices; and that of a step without
# impact on run duration, for the other resources its pod holds.
DELAY_PRICE, IDLE_PRICE = 75.0, 3.0
# One-sided significance (5%) at which use counts as growing.
GROWTH_Z = 1.645
# Smallest request, cores.
FLOOR = 0.01


@dataclass(frozen=True, slots=True)
class CpuSize:
    """The CPU ``request`` (cores) with the least expected cost, also above the current one, and the expected slowdown of the
    step with it on a fully used node, 0 to 1."""

    request: float
    expected_slowdown_share: float


@dataclass(frozen=True, slots=True)
class CpuUse:
    """What the CPU request of a step is worked out from; see ``cpu_request``."""

    mean_cores: Sequence[float] | Floats
    durations: Sequence[float] | Floats
    on_critical_path_share: float | None = None
    current_limit: float | None = None


def cpu_request(
    mean_cores: Sequence[float] | Floats,
    durations: Sequence[float] | Floats,
    on_critical_path_share: float | None = None,
    current_limit: float | None = None,
) -> CpuSize | None:
    """CPU request from the mean cores used and the duration (s) of each execution, oldest first; None where too few of them
    are usable.

    ``on_critical_path_share``: share of runs (0 to 1) with the step on the critical path; unknown counts as always. The
    request stays within the ``current_limit`` in cores. Never raises.
    """
    return cpu_requests([CpuUse(mean_cores, durations, on_critical_path_share, current_limit)])[0]


def cpu_requests(uses: Sequence[CpuUse]) -> list[CpuSize | None]:
    """``cpu_request`` of each. Those of equally many runs are worked out over arrays of all of them at once."""
    found: list[CpuSize | None] = [None] * len(uses)
    ready: dict[int, tuple[Floats, Floats]] = {}
    alike: dict[int, list[int]] = {}
    for at, use in enumerate(uses):
        rows = _usable(use)
        if rows is not None and rows[0].size >= MIN_RUNS:
            ready[at] = rows
            alike.setdefault(rows[0].size, []).append(at)
    for members in alike.values():
        used, time = np.array([ready[at][0] for at in members]), np.array([ready[at][1] for at in members])
        shares = [uses[at].on_critical_path_share for at in members]
        for at, cores, slowdown in zip(members, *_cheapest(used, time, shares), strict=True):
            limit = _positive(uses[at].current_limit)
            found[at] = CpuSize(cores if limit is None else min(cores, limit), slowdown)
    return found


def unseen_slowdown(used: Sequence[float], request: float, current: float) -> float:
    """Expected longer run time (share) on a full node, by runs that need more than all those seen, when the ``current``
    request becomes ``request``. ``used``: mean cores of each run seen, at most ``request``.

    Of exchangeable runs one in n + 1 exceeds all n seen, whatever the law. How far is taken as Pareto's law from the largest
    on, up to the current request, which is what a full node leaves today. Its index is that of the runs seen, and one before
    any was, because few runs, or idle ones, do not say how far it may be.
    """
    if not 0.0 < request < current:
        return 0.0
    index = 1.0 / min(1.0, mean_log_excess(np.maximum(np.asarray(used, dtype=np.float64), MILLI), expected=1.0))
    beyond = math.log(current / request)
    mean = -math.expm1(-(index - 1.0) * beyond) / (index - 1.0) if index > 1.0 else beyond
    return float((min(max(used), request) / request) ** index * mean / (len(used) + 1.0))


def _usable(use: CpuUse) -> tuple[Floats, Floats] | None:
    """Mean cores and durations of usable executions; None when their numbers differ."""
    used = np.asarray(use.mean_cores, dtype=np.float64).ravel()
    time = np.asarray(use.durations, dtype=np.float64).ravel()
    if used.size != time.size:
        return None
    good = (used >= 0.0) & (used <= MAX_CORES) & (time > 0.0) & (time <= MAX_SECONDS)
    return used[good], time[good]


def _cheapest(used: Floats, time: Floats, on_path_shares: Sequence[float | None]) -> tuple[list[float], list[float]]:
    """For each row the level (cores) with the least cost, and its expected slowdown (share)."""
    runs = used.shape[-1]
    used = _as_of_now(used)
    tail = fit_tails(used, scale=np.maximum(used.max(axis=-1, keepdims=True), FLOOR))
    # A run that exceeds all earlier ones takes a little longer; room for it would be idle in all the others.
    level = np.maximum(tail.ordered[:, runs // 2 :], FLOOR)
    order = np.argsort(used, axis=-1, kind="stable")
    seconds, work = sums(picked(time, order)), sums(picked(used * time, order))
    below = places(tail.ordered, level)
    all_seconds, all_work = seconds[:, -1:], work[:, -1:]
    of_seconds, of_work = picked(seconds, below), picked(work, below)
    extra = (all_work - of_work) / level - (all_seconds - of_seconds)
    record = tail.excess_beyond(level) / level * all_seconds / runs
    slower = np.maximum(extra, 0.0) / runs * (runs / (runs + 1.0)) + record  # seconds per run
    unused = np.maximum(level * of_seconds - of_work, 0.0) / runs
    dearer = DELAY_PRICE - IDLE_PRICE
    price = np.array([[IDLE_PRICE + dearer * _on_path(share)] for share in on_path_shares])
    best = (unused + price * slower).argmin(axis=-1)
    return picked(level, best).tolist(), (picked(slower, best) / (all_seconds[:, 0] / runs)).tolist()


def _on_path(share: float | None) -> float:
    return 1.0 if share is None or not math.isfinite(share) else min(1.0, max(0.0, share))


def _as_of_now(used: Floats) -> Floats:
    """Use of each run scaled to the current level where use grows: future runs resemble the latest ones, not the average.
    Further growth is ignored, since falling short of it costs little."""
    rising = orders_z(used) > GROWTH_Z
    if not rising.any():
        return used
    return np.array([_scaled(row) if rises else row for row, rises in zip(used, rising, strict=True)])


def _scaled(used: Floats) -> Floats:
    cores = np.log(np.maximum(used, FLOOR))
    now = np.exp(carried_forward(cores, growth_per_run(cores), 0.0))
    return np.maximum(used, np.minimum(now, MAX_RAISE * float(used.max())))


def _positive(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) and value > 0.0 else None
