"""Run time of a step as a function of its number of workers, from few points, and the number of workers that pays.

T(n) = fixed + work / (n - coordination) + communication * n. The first two terms are Amdahl's; the last one, from Ernest
(Venkataraman et al., NSDI 2016), makes additional workers slow the job down. ``coordination`` is new: distributed jobs often
give about one worker's worth of capacity to a driver or application master, which bends the curve at small n far more than
any of Ernest's terms can. It is kept near one unless the points say otherwise. A second effect at small n, insufficient
memory, shows as superlinear speed-up; such points are not informative for larger n and are ignored.

Measured numbers of workers keep their measured time. Estimates for others are conservative, because they are used to meet
deadlines: how the tasks of a job divide over n workers is known only after trying, and the last wave of tasks may be nearly
empty. A small part of the work is therefore added where nothing was measured (``uneven``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from concertmaster.core import arrays as np
from concertmaster.core.arrays import Floats

# Workers' worth of capacity a coordinator can take, tried in steps, and its prior.
MAX_COORDINATION = 1.5
EXPECTED_COORDINATION = 1.1
GRID = 16
# Weight of that prior against squared relative errors: points known to 3% determine the value within about 0.1.
PRIOR_WEIGHT = 0.1
# Weight of "all of it scales" when starved points are ignored and two remain: two medians cannot separate a fixed part from
# noise, and a job that runs short of memory is mostly work on data.
FIXED_WEIGHT = 0.05
# Part of the work that an uneven division adds at the largest number of workers measured: one task in seventy.
UNEVEN = 1.0 / 70.0
# Share of the shortest time measured that this is at most: its size at twelve workers, the most it was compared with. Beyond
# 35 it would exceed all that a doubling gains, although a job that scales that far has more than seventy tasks.
MAX_UNEVEN = 1.0 / 6.0
# A job on fewer workers than the coordination takes still progresses, on what is left of one worker.
MIN_CAPACITY = 0.5
# Superlinear by this factor cannot be noise of a median; it is a shortage (memory, cache) that ends with more workers.
STARVED_FACTOR = 1.2
# Three terms and the coordination are too many for three points: growth with n needs a fourth.
POINTS_FOR_COMMUNICATION = 4
MAX_SECONDS = 1e12
_NEAR_BEST = 0.02  # by this share of the fastest a number of workers may be slower
MIN_SECONDS = 1e-12  # seconds; shorter times are invalid, and dividing by them overflows


@dataclass(frozen=True, slots=True)
class ScaleOut:
    """Fitted run time over workers: ``fixed``, ``work``, ``communication`` in seconds, all at least zero;
    ``coordination`` in workers. ``starved``: (workers, seconds) measured with too few workers for the memory or cache
    needed, ascending. ``measured``: (workers, median seconds), ascending. ``uneven``: seconds added at the largest of
    these."""

    fixed: float
    work: float
    communication: float
    coordination: float
    enough: bool
    reason: str
    starved: tuple[tuple[float, float], ...] = ()
    measured: tuple[tuple[float, float], ...] = ()
    uneven: float = 0.0

    def seconds(self, workers: Sequence[float] | Floats | float) -> Floats:
        """Conservative run time (s) for each number of workers, same shape; NaN below one worker, or without data.

        Measured times where available. Elsewhere the curve plus the allowance for uneven division; unless more workers are
        known to slow the job down, within the measured times of the neighbours.
        """
        n = np.asarray(workers, dtype=np.float64)
        valid = np.isfinite(n) & (n >= 1.0)
        n = np.where(valid, n, np.nan)
        out = self.curve(n)
        if not self.measured:
            return out
        seen, took = (np.array(column) for column in zip(*self.measured, strict=True))
        out = out + self.uneven * np.minimum(n / seen[-1], 1.0)
        place = np.searchsorted(seen, n)
        fewer, more = np.append(np.inf, took)[place], np.append(took, 0.0)[place]
        if self.communication == 0.0:
            out = np.where(fewer >= more, np.clip(out, more, fewer), out)
        exact = seen[np.minimum(place, seen.size - 1)] == n
        return np.asarray(np.where(exact, more, out), dtype=np.float64)

    def curve(self, workers: Sequence[float] | Floats | float) -> Floats:
        """The fitted curve itself (s), unbiased; at starved points as measured."""
        n = np.asarray(workers, dtype=np.float64)
        capacity = np.maximum(n - self.coordination, MIN_CAPACITY)
        out = self.fixed + self.work / capacity + self.communication * n
        for at, measured in reversed(self.starved):
            # At or below a starved point a run takes at least the time measured there, increasing in proportion.
            out = np.where(n <= at, np.maximum(out, measured * at / n), out)
        return np.asarray(out, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class WorkerRecommendation:
    """Proposed number of workers with its expected run time (s)."""

    workers: int | None
    reason: str
    seconds: float | None = None


def fit_scaleout(workers: Sequence[float] | Floats, seconds: Sequence[float] | Floats) -> ScaleOut:
    """Model from (workers, run time in s) pairs, repeats allowed; two numbers of workers are enough. Never raises."""
    n = np.asarray(workers, dtype=np.float64).ravel()
    t = np.asarray(seconds, dtype=np.float64).ravel()
    if n.size != t.size:
        return ScaleOut(math.nan, 0.0, 0.0, 0.0, False, "workers and seconds differ in number")
    good = np.isfinite(n) & np.isfinite(t) & (n >= 1.0) & (n <= MAX_SECONDS) & (t >= MIN_SECONDS) & (t <= MAX_SECONDS)
    n, t = _medians(n[good], t[good])
    if n.size < 2:
        level = float(t[0]) if t.size else math.nan
        return ScaleOut(level, 0.0, 0.0, 0.0, False, "run times at two or more numbers of workers are needed")
    first = _first_fed(n, t)
    used, times = n[first:], t[first:]
    most = min(MAX_COORDINATION, float(used[0]) - MIN_CAPACITY)
    expected = min(EXPECTED_COORDINATION, most)
    scaling = FIXED_WEIGHT if first and used.size == 2 else 0.0
    best_total, weights, coordination = math.inf, np.zeros(2), expected
    for tried in np.linspace(0.0, most, GRID):
        columns = [np.ones_like(used), 1.0 / (used - tried)]
        if used.size >= POINTS_FOR_COMMUNICATION:
            columns.append(used)
        # Relative errors: a second in a minute matters as much as a minute in an hour.
        design, target = np.stack(columns, axis=1) / times[:, None], np.ones_like(times)
        if scaling:
            design = np.vstack([design, [math.sqrt(scaling) / times[-1], 0.0]])
            target = np.append(target, 0.0)
        solution, error = _non_negative(design, target)
        total = error + PRIOR_WEIGHT * float(tried - expected) ** 2
        if total < best_total:
            best_total, weights, coordination = total, solution, float(tried)
    reason = f"fitted to {n.size} numbers of workers"
    if first:
        reason += f", {first} of them too few for the memory or cache the job needs"
    return ScaleOut(
        fixed=float(weights[0]),
        work=float(weights[1]),
        communication=float(weights[2]) if weights.size > 2 else 0.0,
        coordination=coordination,
        enough=True,
        reason=reason,
        starved=tuple((float(a), float(b)) for a, b in zip(n[:first], t[:first], strict=True)),
        measured=tuple((float(a), float(b)) for a, b in zip(n, t, strict=True)),
        uneven=min(UNEVEN * float(weights[1]), MAX_UNEVEN * float(t.min())),
    )


def recommend_workers(model: ScaleOut, candidates: Sequence[int]) -> WorkerRecommendation:
    """The smallest number of workers that is nearly as fast as the fastest."""
    n = np.array(sorted({int(c) for c in candidates if 1 <= c <= MAX_SECONDS}), dtype=np.float64)
    if not n.size or not model.enough:
        return WorkerRecommendation(None, model.reason if n.size else "no number of workers to choose from")
    t = model.seconds(n)
    best = int(np.flatnonzero(t <= t.min() * (1.0 + _NEAR_BEST))[0])
    return WorkerRecommendation(int(n[best]), f"smallest within {_NEAR_BEST:.0%} of the fastest", float(t[best]))


def _medians(n: Floats, t: Floats) -> tuple[Floats, Floats]:
    """Distinct numbers of workers, ascending, with the median run time (s) of each."""
    order = np.argsort(n, kind="stable")
    different, starts = np.unique(n[order], return_index=True)
    return different, np.array([np.median(part) for part in np.split(t[order], starts[1:])]) if n.size else t


def _first_fed(n: Floats, t: Floats) -> int:
    """Index of the first point that is not starved; at least two points always remain."""
    first = 0
    while n.size - first > 2:
        # Capacity times run time: constant for perfect scaling, otherwise growing, never decreasing much.
        coordination = min(1.0, float(n[first]) - MIN_CAPACITY)
        effort = (n[first : first + 2] - coordination) * t[first : first + 2]
        if effort[0] <= STARVED_FACTOR * effort[1]:
            break
        first += 1
    return first


def _non_negative(design: Floats, target: Floats) -> tuple[Floats, float]:
    """Least squares with non-negative weights and its squared error: the best subset of columns without negative ones."""
    columns = design.shape[1]
    best, best_error = np.zeros(columns), float(target @ target)
    for mask in range(1, 2**columns):
        chosen = [c for c in range(columns) if mask >> c & 1]
        if len(chosen) > target.size:
            continue
        part = np.linalg.lstsq(design[:, chosen], target, rcond=None)[0]
        if (part < 0.0).any():
            continue
        error = float(((design[:, chosen] @ part - target) ** 2).sum())
        if error < best_error - 1e-12:
            best_error = error
            best = np.zeros(columns)
            best[chosen] = part
    return best, best_error
