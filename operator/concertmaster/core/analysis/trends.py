"""Figures per hour, day, week and month, and the latest period compared with the one before.

A run, and every step of it, counts in the period in which the run ended. A period without runs differs from one without
data: the first has zero runs, the second an unknown number. Only complete periods are compared: a day that has just begun
would always look cheap.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from itertools import pairwise

from concertmaster.core.analysis.cost.executions import ExecutionCost
from concertmaster.core.analysis.cost.runs import Cost, Costs
from concertmaster.core.analysis.periods import Period, boundaries
from concertmaster.core.known import success_rate, total
from concertmaster.core.model import Outcome, RunRecord, StepExecution
from concertmaster.core.model.policy import Pricing
from concertmaster.core.stats.comparison import Comparison, compare_amounts
from concertmaster.core.stats.exact import fisher
from concertmaster.core.stats.summary import Summary, summarize
from concertmaster.core.times import seconds_outside

LEVEL = 0.05  # significance level of the test of two success rates

Span = tuple[float, float]  # unix seconds
Values = Mapping[str, Sequence[float]]


@dataclass(frozen=True, slots=True)
class Bucket:
    """One period from ``start`` to ``end`` (unix seconds).

    ``known``: whether data exist for any part of it; otherwise the counts are meaningless. ``whole``: it is over and fully
    observed. ``figures`` by name, in seconds, shares, core-seconds, bytes or currency units according to the name.
    """

    start: float
    end: float
    known: bool
    whole: bool
    succeeded: int = 0
    failed: int = 0
    unknown: int = 0
    figures: Mapping[str, Summary] | None = None

    @property
    def total(self) -> int:
        """Number of runs, or of executions of a step."""
        return self.succeeded + self.failed + self.unknown

    @property
    def success(self) -> float | None:
        """Succeeded share (0 to 1) of those with a known outcome; None without any."""
        return success_rate(self.succeeded, self.failed)


@dataclass(frozen=True, slots=True)
class PeriodDifference:
    """The newest complete period (``now``) compared with the one before. ``figures`` by name: ratio with interval and
    verdict. ``success_p``: p-value of the difference in success rates, None without data. ``reason``: why nothing is
    compared; the figures are then empty."""

    now: Bucket | None
    before: Bucket | None
    figures: Mapping[str, Comparison]
    success_p: float | None
    reason: str = ""

    @property
    def success_changed(self) -> bool:
        """Whether the success rates differ significantly."""
        return self.success_p is not None and self.success_p < LEVEL


@dataclass(frozen=True, slots=True)
class PeriodSeries:
    """The periods of a workflow or of one of its steps in order, and the comparison of the last two complete ones."""

    buckets: tuple[Bucket, ...]
    difference: PeriodDifference


@dataclass(frozen=True, slots=True)
class Trends:
    """Trends by one period length. ``steps`` in order of first appearance."""

    period: Period
    workflow: PeriodSeries
    steps: Mapping[str, PeriodSeries]


@dataclass(frozen=True, slots=True)
class _Row:
    """One run or execution: when it ended, its outcome, and its figures."""

    at: float
    outcome: Outcome
    figures: Mapping[str, float]


def trends(
    runs: Sequence[RunRecord],
    period: Period,
    zone: tzinfo,
    *,
    since: float,
    until: float,
    blind: Sequence[Span] = (),
    pricing: Pricing | None = None,
) -> Trends:
    """Trends of the runs that ended in (``since``, ``until``], unix seconds; ``blind``: spans without data."""
    edges = boundaries(since, until, period, zone)
    costs = Costs(pricing or Pricing())
    ended = [r for r in runs if r.end is not None and since < r.end <= until and r.outcome is not Outcome.RUNNING]
    ended.sort(key=lambda r: (r.end or 0.0, r.run))
    frame = [_empty(a, b, since, until, blind) for a, b in pairwise(edges)]
    rows: dict[str, list[_Row]] = {}
    for run in ended:
        for e, cost in zip(run.steps, costs.steps(run), strict=True):
            if e.outcome not in (Outcome.SKIPPED, Outcome.RUNNING):
                rows.setdefault(e.step, []).append(_Row(run.end or 0.0, e.outcome, _step_figures(e, cost)))
    whole = _series(frame, edges, [_Row(r.end or 0.0, r.outcome, _run_figures(r, costs.run(r))) for r in ended])
    return Trends(period, whole, {step: _series(frame, edges, rows_of_step) for step, rows_of_step in rows.items()})


def _empty(start: float, end: float, since: float, until: float, blind: Sequence[Span]) -> Bucket:
    """A period without runs. Time before ``since`` or in a blind span was not observed."""
    length = seconds_outside(blind, max(start, since), min(end, until))
    return Bucket(start, end, known=length > 0, whole=start >= since and end <= until and length >= end - start)


def _run_figures(run: RunRecord, cost: Cost | None) -> dict[str, float]:
    figures = {
        "durationSeconds": run.makespan if run.outcome.timed else None,
        "queueSeconds": run.queue_time,
        "cost": cost.total if cost is not None else None,
        "wastedCost": cost.wasted if cost is not None else None,
        "cpuSeconds": total(_cpu(step) for step in run.steps),
        **{f"metric:{name}": value for name, value in sorted(run.extra.items())},
    }
    return {name: value for name, value in figures.items() if value is not None}


def _step_figures(execution: StepExecution, cost: ExecutionCost | None) -> dict[str, float]:
    peaks = [c.memory_peak for c in execution.containers if not c.init and c.memory_peak is not None]
    figures = {
        "durationSeconds": execution.duration if execution.outcome.timed else None,
        "cost": cost.total if cost is not None else None,
        "cpuSeconds": _cpu(execution),
        "memoryPeakBytes": max(peaks, default=None),
        **{f"metric:{name}": value for name, value in sorted(execution.extra.items())},
    }
    return {name: value for name, value in figures.items() if value is not None}


def _cpu(execution: StepExecution) -> float | None:
    return total(c.cpu_seconds for c in execution.containers if not c.init)


def _series(frame: Sequence[Bucket], edges: Sequence[float], rows: Sequence[_Row]) -> PeriodSeries:
    """The rows grouped by period; a row that ended on a boundary belongs to the period that begins there."""
    sorted_in: list[list[_Row]] = [[] for _ in frame]
    for row in rows:
        sorted_in[min(len(frame) - 1, bisect_right(edges, row.at) - 1)].append(row)
    values = [_values(period_rows) for period_rows in sorted_in]
    buckets = tuple(
        Bucket(
            empty.start,
            empty.end,
            known=empty.known or bool(period_rows),
            whole=empty.whole,
            succeeded=sum(r.outcome in (Outcome.SUCCEEDED, Outcome.CACHED) for r in period_rows),
            failed=sum(r.outcome is Outcome.FAILED for r in period_rows),
            unknown=sum(r.outcome in (Outcome.UNKNOWN, Outcome.ENDED) for r in period_rows),
            figures={name: summarize(list(v)) for name, v in of.items()},
        )
        for empty, period_rows, of in zip(frame, sorted_in, values, strict=True)
    )
    return PeriodSeries(buckets, _difference(buckets, values))


def _values(rows: Sequence[_Row]) -> Values:
    values: dict[str, list[float]] = {}
    for row in rows:
        for name, value in row.figures.items():
            values.setdefault(name, []).append(value)
    return values


def _difference(buckets: Sequence[Bucket], values: Sequence[Values]) -> PeriodDifference:
    places = [i for i, b in enumerate(buckets) if b.whole]
    if not places:
        return PeriodDifference(None, None, {}, None, "no complete period of data")
    at = places[-1]
    now = buckets[at]
    if at == 0 or not buckets[at - 1].whole:
        return PeriodDifference(now, None, {}, None, "the period before it was not seen from end to end")
    before = buckets[at - 1]
    names = [name for name in values[at] if name in values[at - 1]]
    figures = {name: compare_amounts(values[at - 1][name], values[at][name]) for name in names}
    p = fisher(before.succeeded, before.failed, now.succeeded, now.failed)
    return PeriodDifference(now, before, figures, p)
