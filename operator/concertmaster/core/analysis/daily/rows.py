"""Aggregation of runs into daily rows, and of daily rows into one.

Sums are exact. Rows keep no samples, so that quantiles of several rows are those of samples that have the quantiles of each:
exact where a row has one run or two. A mean of the rows' quantiles would be the mean of the runs where there is one a day.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import accumulate
from typing import NamedTuple

from concertmaster.core.analysis.cost.executions import ExecutionCost
from concertmaster.core.analysis.cost.runs import Cost, Costs
from concertmaster.core.analysis.runs.figures import RunFigures
from concertmaster.core.known import total
from concertmaster.core.model import Outcome, RunRecord, StepExecution
from concertmaster.core.model.daily import RUN, DailyRow
from concertmaster.core.model.policy import Pricing
from concertmaster.core.stats.summary import summarize
from concertmaster.core.units import DAY

STEPS = 100
"""Steps of one workflow that get rows of their own, those that took most time first."""
METRICS = 10
"""Users' metrics of one row that are kept."""
_POINTS = 21  # of a row, at most


def daily_rows(
    runs: Sequence[RunRecord],
    pricing: Pricing,
    figures: RunFigures,
    *,
    covered: float,
    until: float,
    recorded: float = math.inf,
    complete: float | None = None,
    score: int | None = None,
) -> list[DailyRow]:
    """Rows of the days on which ``runs`` ended, up to ``until``.

    All runs since ``covered`` are available, so days that began later are recomputed. For earlier days only runs that ended
    after ``recorded`` (the last run already counted; infinite: none) are added, and only once the metrics are ``complete``
    up to their end (None: up to ``until``), because a run is not read again once counted. ``score`` is the current score,
    stored with the last day. All times are unix seconds.
    """
    by_day: dict[int, list[RunRecord]] = {}
    for run in runs:
        if run.end is None or run.end > until or run.outcome is Outcome.RUNNING:
            continue
        day = int(run.end // DAY)
        if day * DAY >= covered or recorded < run.end <= (until if complete is None else complete):
            by_day.setdefault(day, []).append(run)
    rows: list[DailyRow] = []
    costs = figures.costs(pricing)
    today = int(until // DAY)
    for day, ended in sorted(by_day.items()):
        end = _DayEnd(max(r.end or 0.0 for r in ended), day * DAY >= covered)
        of_runs, *of_steps = figures.of_all(("daily", day, end.whole), ended, partial(_of_day, day, ended, costs, end))
        rows += [replace(of_runs, score=score if day == today else None), *of_steps]
    return rows


def longest(rows: Iterable[DailyRow]) -> list[DailyRow]:
    """Of the ``rows`` of steps on one day those that are kept."""
    return sorted(rows, key=lambda r: (-r.seconds, r.step))[:STEPS]


def combine(rows: Iterable[DailyRow]) -> DailyRow | None:
    """Rows of one step, or of the runs, merged into one with the date of the first; None for no rows."""
    ordered = sorted(rows, key=lambda r: (r.day, r.until))
    if not ordered:
        return None
    largest: dict[str, float] = {}
    for row in ordered:
        for name, amount in row.largest.items():
            largest[name] = max(amount, largest.get(name, amount))
    p50, p95 = _pooled(ordered)
    return DailyRow(
        ordered[0].day,
        ordered[0].step,
        count=sum(r.count for r in ordered),
        succeeded=sum(r.succeeded for r in ordered),
        failed=sum(r.failed for r in ordered),
        timed=sum(r.timed for r in ordered),
        seconds=math.fsum(r.seconds for r in ordered),
        p50=p50,
        p95=p95,
        cost=total(r.cost for r in ordered),
        wasted=total(r.wasted for r in ordered),
        queue=total(r.queue for r in ordered),
        metrics=_metrics(r.metrics for r in ordered),
        largest=largest,
        score=next((r.score for r in reversed(ordered) if r.score is not None), None),
        until=max(r.until for r in ordered),
        whole=all(r.whole for r in ordered),
    )


class _DayEnd(NamedTuple):
    """When the last run of a day ended (unix seconds), and whether all runs of the day are available."""

    until: float
    whole: bool


def _of_day(day: int, runs: Sequence[RunRecord], costs: Costs, end: _DayEnd) -> list[DailyRow]:
    return [_of_runs(day, runs, costs, end), *_of_steps(day, runs, costs, end)]


def _of_runs(day: int, runs: Sequence[RunRecord], costs: Costs, end: _DayEnd) -> DailyRow:
    priced = [costs.run(r) for r in runs]
    if any(c is None and costs.known(r) is not None for r, c in zip(runs, priced, strict=True)):
        priced = []  # a run priced in part only: the others' sum is not the day's
    durations = [r.makespan for r in runs if r.outcome.timed]
    queue = total([r.queue_time for r in runs])
    metrics = _metrics([r.extra for r in runs if r.extra])
    return _row(day, RUN, [r.outcome for r in runs], durations, priced, queue, metrics, end)


def _of_steps(day: int, runs: Sequence[RunRecord], costs: Costs, end: _DayEnd) -> list[DailyRow]:
    by_step: dict[str, list[tuple[StepExecution, ExecutionCost | None]]] = {}
    skipped, running = Outcome.SKIPPED, Outcome.RUNNING
    for run in runs:
        for e, cost in zip(run.steps, costs.steps(run), strict=True):
            if e.outcome is not skipped and e.outcome is not running:
                rows = by_step.get(e.step)
                if rows is None:
                    by_step[e.step] = [(e, cost)]
                else:
                    rows.append((e, cost))
    daily = [_of_step(day, step, rows, end) for step, rows in by_step.items()]
    return longest(daily)


def _of_step(day: int, step: str, rows: Sequence[tuple[StepExecution, ExecutionCost | None]], end: _DayEnd) -> DailyRow:
    durations = [e.duration for e, _ in rows if e.outcome.timed]
    waits = [
        e.scheduled - e.created if e.scheduled > e.created else 0.0
        for e, _ in rows
        if e.scheduled is not None and e.created is not None
    ]
    metrics = _metrics([e.extra for e, _ in rows if e.extra])
    return _row(day, step, [e.outcome for e, _ in rows], durations, [c for _, c in rows], total(waits), metrics, end)


def _row(
    day: int,
    step: str,
    outcomes: Sequence[Outcome],
    durations: Sequence[float | None],
    priced: Sequence[Cost | ExecutionCost | None],
    queue: float | None,
    metrics: Mapping[str, float],
    end: _DayEnd,
) -> DailyRow:
    known = [d for d in durations if d is not None]
    costs = [c for c in priced if c is not None]
    summary = summarize(known)
    return DailyRow(
        day,
        step,
        count=len(outcomes),
        succeeded=outcomes.count(Outcome.SUCCEEDED) + outcomes.count(Outcome.CACHED),
        failed=outcomes.count(Outcome.FAILED),
        timed=len(known),
        seconds=math.fsum(known),
        p50=summary.p50,
        p95=summary.p95,
        cost=math.fsum([c.total for c in costs]) if costs else None,
        wasted=math.fsum([c.wasted for c in costs]) if costs else None,
        queue=queue,
        metrics=metrics,
        until=end.until,
        whole=end.whole,
    )


def _metrics(extras: Iterable[Mapping[str, float]]) -> dict[str, float]:
    totals: dict[str, float] = {}
    for extra in extras:
        for name, amount in extra.items():
            totals[name] = totals.get(name, 0.0) + amount
    return dict(sorted(totals.items())[:METRICS])


def _pooled(rows: Sequence[DailyRow]) -> tuple[float | None, float | None]:
    """Median and 95th percentile of the runs of several rows, from those of each and its number of runs."""
    rows = [row for row in rows if row.timed > 0]
    if len(rows) == 1:
        return rows[0].p50, rows[0].p95
    points = sorted(point for row in rows for point in _points(row))
    if not points:
        return None, None
    values, weights = zip(*points, strict=True)
    places = [below + weight / 2.0 for below, weight in zip(accumulate(weights, initial=0.0), weights, strict=False)]
    last = sum(weights) - 1.0
    return _at(values, places, 0.5 + 0.5 * last), _at(values, places, 0.5 + 0.95 * last)


def _points(row: DailyRow) -> Iterator[tuple[float, float]]:
    """As many runs as a row has, at most ``_POINTS``, each with the number of those that it is in the middle of: evenly
    spaced, as the row's median and 95th percentile are."""
    if row.p50 is None or row.p95 is None:
        return
    count = min(row.timed, _POINTS)
    each = row.timed / count
    for i in range(count):
        share = ((i + 0.5) * each - 0.5) / (row.timed - 1) if row.timed > 1 else 0.5
        yield max(0.0, row.p50 + (row.p95 - row.p50) * (share - 0.5) / 0.45), each


def _at(values: Sequence[float], places: Sequence[float], place: float) -> float:
    """The value at a ``place``, linear between the ``values`` at their ``places`` (sorted)."""
    after = min(max(1, bisect_right(places, place)), len(places) - 1)
    before = max(0, after - 1)
    gap = places[after] - places[before]
    part = min(1.0, max(0.0, (place - places[before]) / gap)) if gap > 0.0 else 0.0
    return values[before] + (values[after] - values[before]) * part
