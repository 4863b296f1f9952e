"""Trends by period as plain data and as tables. Nothing known is ``null`` or ``-``; no run is 0."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import tzinfo
from itertools import groupby
from typing import Any

from concertmaster.core import text
from concertmaster.core.analysis.periods import Period, local
from concertmaster.core.analysis.trends import Bucket, PeriodDifference, PeriodSeries, Trends
from concertmaster.core.model.enums import Verdict
from concertmaster.core.stats.comparison import MIN_RUNS, Comparison
from concertmaster.core.stats.summary import Summary
from concertmaster.report.tables import cell, table
from concertmaster.report.view import View, number, summary_view

# Periods printed of each length; JSON has all of them.
MAX_PERIODS = {Period.HOURLY: 24, Period.DAILY: 14, Period.WEEKLY: 8, Period.MONTHLY: 12}
MIN_DIFFERENCE = 0.01  # differences below this share are the same to people, however sure they are
MIN_EMPTY_PERIODS = 3  # periods in a row without a run that are printed as one line
STEPS = 20  # steps printed, those that take most time first

_NOUN = {Period.HOURLY: "hour", Period.DAILY: "day", Period.WEEKLY: "week", Period.MONTHLY: "month"}


def stamp(moment: float, zone: tzinfo) -> str:
    """RFC 3339 with the offset that is in force in the zone at that moment."""
    return local(moment, zone).isoformat(timespec="seconds")


def label(start: float, period: Period, zone: tzinfo) -> str:
    """What people call the period: ``2026-11-20 Fri``, ``2026-W47``, ``2026-11``, ``2026-11-20 02:00+01:00``."""
    here = local(start, zone)
    if period is Period.HOURLY:
        return here.isoformat(sep=" ", timespec="minutes")
    if period is Period.DAILY:
        return here.strftime("%Y-%m-%d %a")
    if period is Period.WEEKLY:
        year, week, _ = here.date().isocalendar()
        return f"{year}-W{week:02d}"
    return here.strftime("%Y-%m")


# --- plain data


def view(trends: Trends, zone: tzinfo) -> View:
    """One length of period with the workflow and its steps."""
    return {
        **_series(trends.workflow, trends.period, zone),
        "steps": {name: _series(series, trends.period, zone, empty=False) for name, series in trends.steps.items()},
    }


def _series(series: PeriodSeries, period: Period, zone: tzinfo, *, empty: bool = True) -> View:
    """``empty``: with the periods in which nothing ran, or of which nothing is known; a step need not repeat them."""
    return {
        "periods": [_bucket(b, period, zone) for b in series.buckets if empty or b.total],
        "comparison": _difference(series.difference, period, zone),
    }


def _bucket(bucket: Bucket, period: Period, zone: tzinfo) -> View:
    counts = {
        "total": bucket.total,
        "succeeded": bucket.succeeded,
        "failed": bucket.failed,
        "unknown": bucket.unknown,
    }
    return {
        "period": label(bucket.start, period, zone),
        "start": stamp(bucket.start, zone),
        "end": stamp(bucket.end, zone),
        "whole": bucket.whole,
        "runs": counts if bucket.known else None,
        "successRate": number(bucket.success, 4),
        "figures": {name: summary_view(s, "variance", "cv") for name, s in (bucket.figures or {}).items()},
    }


def _difference(difference: PeriodDifference, period: Period, zone: tzinfo) -> View:
    return {
        "period": label(difference.now.start, period, zone) if difference.now is not None else None,
        "before": label(difference.before.start, period, zone) if difference.before is not None else None,
        "reason": difference.reason,
        "successChanged": difference.success_changed if difference.success_p is not None else None,
        "successPValue": number(difference.success_p, 3),
        "figures": {
            name: {
                "ratio": number(c.ratio, 4),
                "low": number(c.low, 4),
                "high": number(c.high, 4),
                "changed": _differs(c) if min(c.runs_before, c.runs_after) >= MIN_RUNS else None,
            }
            for name, c in difference.figures.items()
        },
    }


def _differs(comparison: Comparison) -> bool:
    """A difference that is neither chance nor too small to matter to anybody."""
    return comparison.verdict in (Verdict.WORSE, Verdict.IMPROVED) and not abs(comparison.ratio - 1) < MIN_DIFFERENCE


# --- for people


def render(workflows: Sequence[Trends], zone: tzinfo, currency: str) -> str:
    """Tables and comparisons of one workflow for each length of period."""
    return "\n\n".join(_text(trends, zone, currency) for trends in workflows)


def _text(trends: Trends, zone: tzinfo, currency: str) -> str:
    buckets = trends.workflow.buckets[-MAX_PERIODS[trends.period] :]
    left_out = len(trends.workflow.buckets) - len(buckets)
    title = trends.period.value.upper() + (
        f" (the newest {len(buckets)} of {left_out + len(buckets)})" if left_out else ""
    )
    header = ["PERIOD", "RUNS", "SUCCESS", "MIN", "AVG", "MAX", "P95", "P99", f"COST ({currency})", "NOTE"]
    lines = [title, table(header, _rows(buckets, trends.period, zone))]
    lines.append(_compared(trends.workflow.difference, trends.period, zone, currency))
    steps = _steps(trends)
    if steps:
        lines.append(steps)
    return "\n".join(lines)


def _rows(buckets: Sequence[Bucket], period: Period, zone: tzinfo) -> list[list[str]]:
    """One line per period; several in a row without a run share one."""
    rows = []
    for (quiet, seen), same in groupby(buckets, key=lambda b: (not b.total, b.known)):
        alike = list(same)
        if quiet and len(alike) >= MIN_EMPTY_PERIODS:
            first, last = (label(b.start, period, zone) for b in (alike[0], alike[-1]))
            rows.append([first, "0" if seen else "-", *["-"] * 7, f"{'' if seen else 'no data '}up to {last}"])
        else:
            rows += [_row(b, period, zone) for b in alike]
    return rows


def _row(bucket: Bucket, period: Period, zone: tzinfo) -> list[str]:
    figures = bucket.figures or {}
    seconds, cost = figures.get("durationSeconds"), figures.get("cost")
    return [
        label(bucket.start, period, zone),
        str(bucket.total) if bucket.known else "-",
        cell(bucket.success, text.percent),
        *(_shown(seconds, field) for field in ("minimum", "mean", "maximum", "p95", "p99")),
        "-" if cost is None or cost.mean is None else f"{cost.mean:.4f}",
        "" if bucket.whole else "partial data" if bucket.known else "no data",
    ]


def _compared(difference: PeriodDifference, period: Period, zone: tzinfo, currency: str) -> str:
    """This period against the one before, as one sentence."""
    noun = _NOUN[period]
    if difference.now is None or difference.before is None:
        return f"No comparison with the {noun} before: {difference.reason}."
    now, before = difference.now, difference.before
    parts = [f"{text.count(now.total, 'run')}, before {before.total}"]
    if difference.success_p is not None:
        verdict = "significant" if difference.success_changed else "no clear difference"
        parts.append(f"success {text.percent(now.success)}, before {text.percent(before.success)} ({verdict})")
    seconds = _means(now, before, "durationSeconds")
    if seconds is not None:
        figures = f"{text.duration(seconds[0])}, before {text.duration(seconds[1])}"
        parts.append(
            f"mean run time {figures} ({_clear(difference.figures.get('durationSeconds'), 'longer', 'shorter')})"
        )
    cost = _means(now, before, "cost")
    if cost is not None:
        figures = f"{text.money(cost[0], currency)}, before {text.money(cost[1], currency)}"
        parts.append(f"cost per run {figures} ({_clear(difference.figures.get('cost'), 'more', 'less')})")
    names = f"{label(now.start, period, zone)} compared with {label(before.start, period, zone)}"
    return f"Last complete {noun}, {names}: {'; '.join(parts)}."


def _means(now: Bucket, before: Bucket, name: str) -> tuple[float, float] | None:
    pair = [(b.figures or {}).get(name) for b in (now, before)]
    means = [s.mean for s in pair if s is not None and s.mean is not None]
    return (means[0], means[1]) if len(means) == 2 else None


def _clear(comparison: Comparison | None, more: str, less: str) -> str:
    """Whether a difference of means is one, or could be chance."""
    if comparison is None or not math.isfinite(comparison.ratio):
        return f"insufficient data: {MIN_RUNS} required on each side"
    span = text.change_range(comparison.low, comparison.high)
    if _differs(comparison):
        return f"{text.percent(abs(comparison.ratio - 1))} {more if comparison.ratio > 1 else less}, {span}"
    return f"no clear difference, {span}" if comparison.verdict is Verdict.INCONCLUSIVE else f"the same, {span}"


def _steps(trends: Trends) -> str:
    """One line per step: the last whole period against the one before."""
    rows = []
    for name, series in sorted(trends.steps.items(), key=lambda kv: -_time(kv[1].difference))[:STEPS]:
        now, before = series.difference.now, series.difference.before
        if now is None or before is None or not now.total + before.total:
            continue
        seconds = [(b.figures or {}).get("durationSeconds") for b in (now, before)]
        rows.append(
            [
                name,
                str(now.total),
                cell(now.success, text.percent),
                *(_shown(s, field) for s in seconds for field in ("mean", "p95")),
                _clear(series.difference.figures.get("durationSeconds"), "longer", "shorter"),
            ]
        )
    return (
        table(["STEP", "COUNT", "SUCCESS", "AVG", "P95", "AVG BEFORE", "P95 BEFORE", "RUN TIME"], rows) if rows else ""
    )


def _shown(summary: Summary | None, field: str) -> str:
    value = getattr(summary, field) if summary is not None else None
    return cell(value, text.duration)


def _time(difference: PeriodDifference) -> float:
    figures: Mapping[str, Summary] = (difference.now.figures or {}) if difference.now is not None else {}
    seconds = figures.get("durationSeconds")
    return (seconds.mean or 0.0) * seconds.count if seconds is not None else 0.0


def document(workflows: Sequence[Trends], zone: tzinfo, zone_name: str, currency: str) -> dict[str, Any]:
    """The ``trends`` part of a workflow's JSON."""
    return {
        "timeZone": zone_name,
        "currency": currency,
        "countedBy": "the end of the run",
        **{trends.period.value: view(trends, zone) for trends in workflows},
    }
