"""Trends that reach further back than the retained runs, from the daily rows of the history.

Rows cover UTC days and cannot be split: a row counts in the period (in the requested time zone) that contains its noon.
Rows keep no samples, so periods built from them are displayed but not compared statistically.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from datetime import tzinfo
from itertools import pairwise

from concertmaster.core.analysis.daily.rows import combine
from concertmaster.core.analysis.periods import Period, boundaries
from concertmaster.core.analysis.trends import Bucket, PeriodDifference, PeriodSeries, Trends
from concertmaster.core.model.daily import RUN, DailyRow
from concertmaster.core.stats.summary import Summary
from concertmaster.core.units import DAY


def extended(trends: Trends, rows: Sequence[DailyRow], zone: tzinfo, *, since: float, until: float) -> Trends:
    """``trends`` (runs that ended from ``since`` to ``until``, unix seconds) with earlier periods added from ``rows`` of
    all steps. Periods fully covered by runs are kept as they are. Hourly trends are not extended."""
    older = [r for r in rows if r.start < until]
    if not older or trends.period is Period.HOURLY:
        return trends
    steps = dict.fromkeys([*trends.steps, *(r.step for r in older if r.step != RUN)])
    first = min(r.start for r in older)
    edges = boundaries(min(first, since), until, trends.period, zone)
    series = {
        step: _series(trends.steps.get(step), edges, [r for r in older if r.step == step], first, until)
        for step in steps
    }
    runs = [r for r in older if r.step == RUN]
    return Trends(trends.period, _series(trends.workflow, edges, runs, first, until), series)


def _series(
    seen: PeriodSeries | None, edges: Sequence[float], rows: Iterable[DailyRow], first: float, until: float
) -> PeriodSeries:
    by_start: Mapping[float, Bucket] = {b.start: b for b in seen.buckets} if seen is not None else {}
    sorted_in: dict[int, list[DailyRow]] = {}
    for row in rows:
        sorted_in.setdefault(bisect_right(edges, row.start + DAY / 2) - 1, []).append(row)
    buckets = []
    for at, (start, end) in enumerate(pairwise(edges)):
        known = by_start.get(start)
        recorded = combine(sorted_in.get(at, ()))
        whole = first <= start and end <= until
        if known is not None and (known.whole or recorded is None or known.total >= recorded.count):
            buckets.append(known)
        elif recorded is None:
            buckets.append(Bucket(start, end, known=start >= first, whole=whole))
        else:
            buckets.append(_bucket(recorded, start, end, whole=whole))
    return PeriodSeries(tuple(buckets), seen.difference if seen is not None else _NOT_COMPARED)


def _bucket(row: DailyRow, start: float, end: float, *, whole: bool) -> Bucket:
    """A period from a daily row: means and quantiles only, since rows keep no extremes."""
    figures = {
        "durationSeconds": Summary(row.timed, row.mean, p50=row.p50, p95=row.p95) if row.timed else None,
        "queueSeconds": _mean(row.queue, row.count),
        "cost": _mean(row.cost, row.count),
        "wastedCost": _mean(row.wasted, row.count),
        **{f"metric:{name}": _mean(amount, row.count) for name, amount in row.metrics.items()},
    }
    known = {name: summary for name, summary in figures.items() if summary is not None}
    unknown = row.count - row.succeeded - row.failed
    return Bucket(start, end, True, whole, row.succeeded, row.failed, unknown, known)


def _mean(amount: float | None, count: int) -> Summary | None:
    return Summary(count, amount / count) if amount is not None and count else None


_NOT_COMPARED = PeriodDifference(None, None, {}, None, "daily rows keep no sample to compare")
