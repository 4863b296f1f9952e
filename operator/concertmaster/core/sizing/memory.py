"""One memory request for a step, out of the peaks of its runs.

Two kinds of loss oppose each other: a request above the peak reserves memory nobody uses for as long as the step runs,
a request below it gets the container killed and burns the whole attempt. The request returned here has the least expected
sum of both (the wastage of Tovar et al. 2018 and Witt et al. 2019), plus a price per failed attempt, because a kill costs
more than memory. The price is what bounds failures: cheap steps get generous room, since room there costs nothing, and
expensive steps get just as much as pays.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .tail import Floats, Tail, fit_tail

if TYPE_CHECKING:
    from .by_input import InputModel

GIB_HOUR = 2.0**30 * 3600.0


@dataclass(frozen=True, slots=True)
class MemoryOptions:
    """Settings of memory sizing.

    ``min_runs``: fewer usable peaks give no advice. ``failure_bound``: share (0 to 1) of failed attempts that is accepted
    in a step. ``failure_price``: what one failed attempt costs beyond the memory it burns, byte-seconds.
    ``retry_factor``: growth of the request after a kill. ``floor``: smallest request, bytes. ``recent``: how many of the
    latest peaks count as recent.
    """

    min_runs: int = 3
    failure_bound: float = 0.01
    failure_price: float = 1.0 * GIB_HOUR
    retry_factor: float = 2.0
    floor: float = 16.0 * 2**20
    recent: int = 30


@dataclass(frozen=True, slots=True)
class MemorySize:
    """A proposed memory request and what it rests on.

    ``request`` and ``largest_recent_peak`` in bytes, waste in byte-seconds per run of the step; None where not known.
    ``coverage_confidence``: 1 - p^n for p = 1 - failure bound, the confidence that the largest of n peaks covers that share
    of future runs (order statistics, free of any distribution). ``failure_share_bound``: expected share of failing
    attempts at ``request``, by the fitted tail. ``drifting``: peaks grow with time. ``model``: request as a function of
    input size, when that explains the peak. A request applied without a person must use ``automatic_request``.
    """

    request: float | None
    enough: bool
    reason: str
    coverage_confidence: float = 0.0
    largest_recent_peak: float | None = None
    expected_waste_now: float | None = None
    expected_waste_then: float | None = None
    failure_share_bound: float | None = None
    model: InputModel | None = None
    drifting: bool = False

    @property
    def automatic_request(self) -> float | None:
        """The request, but never below the largest recent peak; bytes."""
        if self.request is None or self.largest_recent_peak is None:
            return self.request
        return max(self.request, self.largest_recent_peak)


def memory_request(
    peaks: Sequence[float] | Floats,
    durations: Sequence[float] | Floats,
    times: Sequence[float] | Floats | None = None,
    inputs: Sequence[float] | Floats | None = None,
    current: float | None = None,
    options: MemoryOptions | None = None,
) -> MemorySize:
    """Memory request from one peak (bytes) and duration (s) per execution, oldest first unless ``times`` (unix s) is given.

    ``inputs``: input size (bytes) per execution, NaN where unknown. ``current``: present request (bytes). Unusable rows
    (NaN, infinite, peak not positive) are left out; a duration that is unknown counts as the median. Never raises.
    """
    options = options or MemoryOptions()
    usable = _usable(peaks, durations, times)
    if usable is None:
        return MemorySize(None, False, "peaks and durations have different lengths")
    u, t = usable
    if u.size < max(1, options.min_runs):
        return MemorySize(None, False, f"{u.size} usable peaks, {options.min_runs} are needed")
    tail = fit_tail(u)
    weight = float(np.mean(t))
    candidates = _candidates(tail)
    loss = expected_waste(candidates, u, t, tail, options) + options.failure_price * tail.exceedance(candidates)
    request = max(float(candidates[int(np.argmin(loss))]), options.floor)
    level = np.array([request])
    now = (
        None
        if current is None or not current > 0.0
        else float(expected_waste(np.array([current]), u, t, tail, options)[0])
    )
    return MemorySize(
        request=request,
        enough=True,
        reason=f"least expected waste over {u.size} peaks, weighted by a mean run time of {weight:.0f} s",
        coverage_confidence=1.0 - (1.0 - options.failure_bound) ** u.size,
        largest_recent_peak=float(u[-options.recent :].max()),
        expected_waste_now=now,
        expected_waste_then=float(expected_waste(level, u, t, tail, options)[0]),
        failure_share_bound=float(tail.exceedance(level)[0]),
    )


def expected_waste(level: Floats, peaks: Floats, durations: Floats, tail: Tail, options: MemoryOptions) -> Floats:
    """Expected waste per run (byte-seconds) at each ``level`` (bytes): reserved but unused, plus what failed attempts burn."""
    mean_time = float(np.mean(durations))
    over = np.maximum(level[:, None] - peaks[None, :], 0.0) @ durations / durations.size
    # A failed attempt runs to its end at worst, then the retry over-reserves.
    failed = tail.exceedance(level) * level * options.retry_factor * mean_time
    return np.asarray(over + failed, dtype=np.float64)


def _candidates(tail: Tail) -> Floats:
    top = float(tail.ordered[-1])
    scale = max(tail.excess / tail.count, 1.0)
    return np.unique(
        np.concatenate([tail.ordered[tail.ordered >= tail.threshold], top + scale * np.linspace(0.0, 30.0, 121)])
    )


def _usable(
    peaks: Sequence[float] | Floats, durations: Sequence[float] | Floats, times: Sequence[float] | Floats | None
) -> tuple[Floats, Floats] | None:
    u = np.asarray(peaks, dtype=np.float64).ravel()
    t = np.asarray(durations, dtype=np.float64).ravel()
    if u.size != t.size or (times is not None and len(times) != u.size):
        return None
    if times is not None:
        order = np.argsort(np.asarray(times, dtype=np.float64), kind="stable")
        u, t = u[order], t[order]
    good = np.isfinite(u) & (u > 0.0)
    u, t = u[good], t[good]
    known = np.isfinite(t) & (t >= 0.0)
    middle = float(np.median(t[known])) if known.any() else 1.0
    t = np.where(known, t, middle)
    if not (math.isfinite(float(t.sum())) and t.sum() > 0.0):
        t = np.ones_like(t)
    return u, t
