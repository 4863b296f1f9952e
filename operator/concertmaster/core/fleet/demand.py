"""Forecast of demand by hour: runs, CPU and memory, from schedules and past usage.

A scheduled workflow starts when its schedule says, unless a run is in progress and ``concurrencyPolicy`` is Forbid; an
unscheduled one starts as often as before at that hour of the day, with weekdays and weekends separated once 13 days were
observed. A workflow too new for that is estimated by the median of at least five others of its kind, and reported as
estimated.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import NamedTuple

from concertmaster.core import arrays as np
from concertmaster.core.arrays import Floats
from concertmaster.core.times import weekend
from concertmaster.core.units import DAY, HOUR

MIN_OWN_RUNS = 3  # runs required to use a workflow's own figures
MIN_SIMILAR_WORKFLOWS = 5  # other workflows required to estimate a new one

_MIN_APART = 13 * DAY  # to the oldest start; a window of two weeks begins before it
_Z90 = 1.2816  # standard deviations above the mean at the 90th percentile of a normal distribution


class PastRun(NamedTuple):
    """One observed run: start and end (unix seconds), core-seconds and GiB-seconds reserved."""

    start: float
    end: float
    core_seconds: float
    gib_seconds: float


@dataclass(frozen=True, slots=True)
class Workload:
    """A workflow: its name, its kind (only workflows of one kind are compared), its runs, and when its schedule
    starts it in the hours ahead (unix seconds, ascending; None: it has none).

    ``late``: None if a start takes place while a run is in progress. Else it does not, and the last one that was due
    meanwhile takes place when the run ends, if that is at most so many seconds later. ``suspended``: it is not started.
    """

    name: str
    kind: str
    runs: Sequence[PastRun] | Floats  # rows of a Past
    upcoming: Sequence[float] | Floats | None = None
    late: float | None = None
    suspended: bool = False


@dataclass(frozen=True, slots=True)
class HourDemand:
    """One hour from ``start`` (unix seconds): expected starts of runs, mean cores and GiB reserved, the 90th percentile of
    cores, and the cores by workflow."""

    start: float
    runs: float
    cores: float
    gib: float
    cores_high: float
    by_workflow: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Demand:
    """The hours ahead in order. ``estimated``: workflows estimated from similar ones; ``unknown``: left out; ``suspended``:
    those that ran and are not started any more."""

    hours: tuple[HourDemand, ...]
    estimated: tuple[str, ...]
    unknown: tuple[str, ...]
    suspended: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Shape:
    """What a run takes. ``seen``: of each run seconds, mean cores and mean GiB, shape (runs, 3); of an estimated workflow
    one typical run. ``between``: variance of the cores between the workflows that it is estimated from."""

    seen: Floats
    between: float = 0.0

    def by_hour(self, offset: float, hours: int, *, scheduled: bool) -> list[tuple[float, float, float]]:
        """Of a run that starts ``offset`` seconds after the full hour: mean cores and GiB over the runs seen, and variance
        of the cores, in that hour and those after it, at most ``hours``. Of one that is not ``scheduled`` the mean square
        of the cores: how many start varies as well, as by a Poisson process."""
        seconds, runs = self.seen[:, :1], len(self.seen)
        edges = np.arange(int(min(hours * HOUR, offset + float(seconds.max())) // HOUR) + 2) * HOUR - offset
        low, high = np.maximum(0.0, edges[:-1]), edges[1:]
        inside = np.maximum(0.0, np.minimum(seconds, high) - low) / HOUR
        cores, gib = inside * self.seen[:, 1:2], inside * self.seen[:, 2:]
        mean = cores.mean(axis=0)
        square = cores.var(axis=0, ddof=1) * (1.0 + 1.0 / runs) if runs > 1 else inside[0] ** 2 * self.between
        if not scheduled:
            square = square + mean**2
        return list(zip(mean.tolist(), gib.mean(axis=0).tolist(), square.tolist(), strict=True))

    def typical(self) -> tuple[float, float, float]:
        """Seconds, and mean cores and GiB while a run takes place, over all of them."""
        seconds = self.seen[:, 0]
        cores, gib = (seconds @ self.seen[:, 1:] / seconds.sum()).tolist()
        return float(seconds.mean()), cores, gib


def forecast_demand(workloads: Sequence[Workload], now: float, hours: int) -> Demand:
    """Demand of the next ``hours`` hours after ``now`` (unix seconds), starting with the next full hour."""
    first = (math.floor(now / HOUR) + 1) * HOUR
    pasts = {w.name: np.asarray(w.runs, dtype=np.float64).reshape(-1, 4) for w in workloads}
    own = {w.name: _shape(pasts[w.name]) for w in workloads}
    similar: dict[str, _Shape | None] = {}
    ahead = _HoursAhead(first, hours)
    estimated: list[str] = []
    unknown: list[str] = []
    for load in (w for w in workloads if not w.suspended):
        shape = own[load.name] if len(load.runs) >= MIN_OWN_RUNS else None
        if shape is None:
            if load.kind not in similar:
                similar[load.kind] = _of_kind(load.kind, workloads, own)
            shape = similar[load.kind]
            (unknown if shape is None else estimated).append(load.name)
        if shape is not None:
            starts = _starts(load, pasts[load.name], now, first, hours)
            ahead.add(load.name, shape, starts, scheduled=load.upcoming is not None)
    suspended = tuple(w.name for w in workloads if w.suspended and len(w.runs))
    return Demand(ahead.demands(), tuple(estimated), tuple(unknown), suspended)


class _HoursAhead:
    """Sums by hour over the workflows added so far, from ``first`` (unix seconds, a full hour)."""

    def __init__(self, first: float, hours: int) -> None:
        self._first = first
        self._starts: list[float] = [0.0] * hours
        self._gib = [0.0] * hours
        self._variance = [0.0] * hours
        self._cores: list[dict[str, float]] = [{} for _ in range(hours)]

    def add(self, name: str, shape: _Shape, starts: Iterable[tuple[float, float]], *, scheduled: bool) -> None:
        """``starts``: unix seconds, and how many are expected then: one each if ``scheduled``."""
        first, hours = self._first, len(self._starts)
        taken: dict[int, list[tuple[float, float, float]]] = {}  # by offset within the hour: few schedules have several
        for at, weight in starts:
            begin = int((at - first) // HOUR)
            if 0 <= begin < hours:
                self._starts[begin] += weight
            offset = round((at - first) % HOUR)
            if offset not in taken:
                taken[offset] = shape.by_hour(offset, hours, scheduled=scheduled)
            for k, (cores, gib, square) in enumerate(taken[offset], begin):
                if 0 <= k < hours and cores + gib > 0.0:
                    self._cores[k][name] = self._cores[k].get(name, 0.0) + weight * cores
                    self._gib[k] += weight * gib
                    self._variance[k] += weight * square

    def demands(self) -> tuple[HourDemand, ...]:
        return tuple(self._demand(k) for k in range(len(self._starts)))

    def _demand(self, k: int) -> HourDemand:
        cores = math.fsum(self._cores[k].values())
        ranked = tuple(sorted(self._cores[k].items(), key=lambda kv: (-kv[1], kv[0])))
        high = cores + _Z90 * math.sqrt(self._variance[k])
        return HourDemand(self._first + k * HOUR, self._starts[k], cores, self._gib[k], high, ranked)


def _of_kind(kind: str, workloads: Iterable[Workload], own: Mapping[str, _Shape | None]) -> _Shape | None:
    """What a run of this kind typically takes, by the workflows that have figures of their own."""
    known = (own[w.name] for w in workloads if w.kind == kind and len(w.runs) >= MIN_OWN_RUNS)
    return _middle([shape for shape in known if shape is not None])


def _shape(runs: Floats) -> _Shape | None:
    usable = runs[runs[:, 1] > runs[:, 0]]
    seconds = usable[:, 1:2] - usable[:, :1]
    return _Shape(np.column_stack([seconds, usable[:, 2:] / seconds])) if len(usable) else None


def _middle(shapes: Sequence[_Shape]) -> _Shape | None:
    """Medians over workflows; None when there are too few to estimate another one."""
    if len(shapes) < MIN_SIMILAR_WORKFLOWS:
        return None
    each = np.array([shape.typical() for shape in shapes])
    return _Shape(np.median(each, axis=0, keepdims=True), float(each[:, 1].var(ddof=1)))


def _taken(upcoming: Iterable[float], runs: Floats, late: float) -> Sequence[float]:
    """The starts that take place if none does while a run is in progress; runs take as long as the newest ones did.
    ``late``: seconds after which the last one that was due may still begin, when the run before ends."""
    newest = runs[np.argsort(-runs[:, 0], kind="stable")]
    seconds = cycle(np.maximum(0.0, newest[:, 1] - newest[:, 0]).tolist())
    found: list[float] = []
    free, missed = -math.inf, None
    for at in upcoming:
        if missed is not None and free <= min(at, missed + late):
            found.append(free)
            free += next(seconds)
        missed = at if at < free else None
        if missed is None:
            found.append(at)
            free = at + next(seconds)
    return found


def _starts(load: Workload, runs: Floats, now: float, first: float, hours: int) -> Iterable[tuple[float, float]]:
    """Future starts with their weight: 1 each if scheduled, else the rate observed at that hour."""
    begins = runs[:, 0]
    if load.upcoming is not None:
        ahead = np.asarray(load.upcoming, dtype=np.float64).tolist()
        if load.late is not None and len(runs) >= MIN_OWN_RUNS:
            ahead = _taken(ahead, runs, load.late)
        return [(t, 1.0) for t in ahead if now < t < first + hours * HOUR]
    span = now - float(begins.min()) if len(begins) else 0.0
    if span < DAY:
        return []
    apart = span >= _MIN_APART
    counts: dict[tuple[bool, int], int] = {}
    for t in begins.tolist():
        key = (apart and weekend(t), int(t % DAY // HOUR))
        counts[key] = counts.get(key, 0) + 1
    days = span / DAY
    day_count = {False: days * (5 / 7 if apart else 1.0), True: days * 2 / 7}
    starts = []
    for k in range(hours):
        t = first + k * HOUR
        key = (apart and weekend(t), int(t % DAY // HOUR))
        if key in counts:
            starts.append((t, counts[key] / day_count[key[0]]))
    return starts
