"""Insights as sentences, and as plain data for machines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple, fields
from typing import Any

from concertmaster.core import text
from concertmaster.core.analysis.drivers import InputEffect, WidthEffect
from concertmaster.core.analysis.failures import SuccessDrop
from concertmaster.core.analysis.insights import ChangeEffect, InputGrowth, Insights, ItemRate, SlowRuns
from concertmaster.core.analysis.replay import TimeSplit
from concertmaster.core.analysis.runs.changes import PointCause
from concertmaster.core.analysis.shared.volumes import VolumeFill
from concertmaster.core.model.enums import RuleName, Verdict
from concertmaster.core.pipeline import AnalysisResult
from concertmaster.core.times import iso, to_minute
from concertmaster.report.runs.comparison import PARTS
from concertmaster.report.status import caches
from concertmaster.report.view import number

_MORE = 1.1  # times the usual: less is no difference that people would notice
_SHOWN_RULES = (RuleName.DATA_QUALITY, RuleName.DEMAND_FORECAST)


def _slow(slow: SlowRuns, total: int) -> str:
    steps = text.listing(list(slow.steps)) or "no single step"
    return (
        f"{len(slow.runs)} of {total} runs were {text.duration(slow.extra_seconds)} slower than the others,"
        f" because of {steps} (most recent: {slow.runs[-1]})"
    )


def _change(measured: ChangeEffect) -> str:
    effect = measured.effect
    head = f"The last change ({measured.what}, first run ended {iso(measured.time)})"
    counts = f"{effect.runs_after} runs after against {effect.runs_before} before"
    if not math.isfinite(effect.ratio):
        return f"{head} cannot be judged yet: {effect.reason}"
    span = f"{text.change_range(effect.low, effect.high)}, {counts}"
    if effect.verdict is Verdict.WORSE:
        return f"{head} made runs {text.percent(effect.ratio - 1)} longer ({span})"
    if effect.verdict is Verdict.IMPROVED:
        return f"{head} made runs {text.percent(1 - effect.ratio)} shorter ({span})"
    if effect.verdict is Verdict.SAME:
        return f"{head} had no effect on run duration ({span})"
    return f"{head} has no clear effect on the run time yet ({span})"


def _split(split: TimeSplit, podless: Sequence[str], partial: bool) -> str | None:
    """Where a run's time goes, the largest part first; parts below a hundredth of it are added up as the rest."""
    names = {name: label for name, label in PARTS.items() if name not in ("suspended", "late")}
    if podless:
        names["controller"] = f"controller and steps without pods ({text.listing(list(podless))})"
    elif partial:
        names["controller"] = "controller and pods beyond those that Kueue admitted at a time"
    parts = {label: getattr(split, name) for name, label in names.items()}
    total = sum(parts.values())
    if not total > 0:
        return None
    large = sorted(((s, label) for label, s in parts.items() if s >= 0.01 * total), reverse=True)
    rest = total - sum(s for s, _ in large)
    listed = ", ".join(f"{text.duration(s)} {label}" for s, label in large)
    apart = ((split.suspended, "suspended"), (split.late, "late behind the run before it"))
    beside = " and ".join(f"{text.duration(s)} {label}" for s, label in apart if s >= 0.5)
    other = f", {text.duration(rest)} other" if rest >= 0.5 else ""
    # Before its first pod, and after evictions.
    excluded = f"; not included: {beside}" if beside else ""
    return f"An average run takes {text.duration(total)}: {listed}{other}{excluded}"


def _input(effect: InputEffect) -> str:
    at = [text.input_size(size, effect.unit) for size in (effect.usual_input, effect.largest_input)]
    rows = [
        (label, [shown(v) for v in values])
        for label, values, shown in (
            ("run time", effect.seconds, text.duration),
            ("peak memory", effect.memory, text.memory),
        )
        if values is not None
    ]
    followed = "; ".join(
        f"{label} {usual} at the usual {at[0]}, {most} at the largest {at[1]}" for label, (usual, most) in rows
    )
    sizes = ", ".join(f"{text.memory_quantity(m)} up to {text.input_size(s, effect.unit)}" for s, m in effect.sizes)
    return (
        f"{effect.step} follows its {text.input_name(effect.unit)} ({text.count(effect.executions, 'execution')}):"
        f" {followed}{f' (request {sizes})' if sizes else ''}"
    )


def _telling(effects: Sequence[InputEffect]) -> list[InputEffect]:
    """Those in which the largest input makes a difference, the longest times first."""

    def more(pair: tuple[float, float] | None) -> bool:
        return pair is not None and pair[1] >= _MORE * pair[0]

    telling = [e for e in effects if more(e.seconds) or more(e.memory) or e.sizes]
    return sorted(telling, key=lambda e: -max(0.0, e.seconds[1] - e.seconds[0]) if e.seconds is not None else 0.0)


def _growth(growth: InputGrowth) -> str:
    before, after = (text.input_size(size, growth.unit) for size in growth.inputs)
    return (
        f"Runs take {text.duration(growth.seconds[1])} instead of {text.duration(growth.seconds[0])} since"
        f" {to_minute(growth.time)} because their {text.input_name(growth.unit)} grew from {before} to {after} (medians);"
        " at equal input they are as fast as before"
    )


def _drop(drop: SuccessDrop) -> str:
    where = f", most of them at {drop.step}" if drop.step is not None else ""
    return (
        f"{drop.after[0]} of {text.count(drop.after[1], 'run')} failed since {to_minute(drop.time)}{where}; before,"
        f" {drop.before[0]} of {drop.before[1]}"
    )


def _items(rate: ItemRate) -> str:
    cost = f", {text.money(rate.cost, rate.currency)} each" if rate.cost is not None else ""
    return f"A run works on {rate.per_run:,.0f} {rate.unit}, {text.number(rate.per_second)} a second{cost} (medians)"


def _volume(fill: VolumeFill) -> str:
    """How full it is, whose it is, and until when it holds what is written to it."""
    whose = "" if fill.shared else " (one for each run; the fullest)"
    known = f"{text.memory(fill.used)} of {text.memory(fill.capacity)} used ({text.percent(fill.share)})"
    line = f"Volume {fill.claim}{whose}: {known}, mounted by {text.listing(list(fill.steps))}"
    if fill.growth is not None:
        line += f"; grows by {text.memory(fill.growth.likely)} a day"
        line += f", full around {to_minute(fill.full.likely)}" if fill.full is not None else ""
    return line


def _width(effect: WidthEffect) -> str:
    widths, best = effect.measured, effect.recommended
    return (
        f"{effect.step} ran with {widths[0]} to {widths[-1]} pods: about {text.duration(best.seconds)} with"
        f" {best.workers} ({best.reason}), {text.duration(effect.usual_seconds)} with the usual {effect.usual_pods}"
    )


def lines(result: AnalysisResult) -> list[str]:
    """Insights, and what is no recommendation to act on but should be seen: gaps in the metrics, the busiest hour."""
    seen = [f"{item.action}: {item.because} ({item.rule})" for item in result.minor if item.rule in _SHOWN_RULES]
    if lacking := result.analysis.cost.lacking:
        named = ", ".join(lacking[:3]) + (f" and {len(lacking) - 3} more" if len(lacking) > 3 else "")
        seen.append(f"Cost per run unknown: no requests and no usage samples of {named}")
    return sentences(result.insights, result.analysis.succeeded) + seen


def sentences(insights: Insights, total: int) -> list[str]:
    """One line each; ``total`` is the number of succeeded runs analysed."""
    lines = []
    if insights.next_run is not None:
        low, likely, high = (text.duration(s) for s in astuple(insights.next_run))
        lines.append(f"Next run: about {likely}{f' (90% interval {low} to {high})' if low != high else ''}")
    if insights.change is not None:
        lines.append(_change(insights.change))
    split = _split(insights.split, insights.podless, insights.partial) if insights.split is not None else None
    lines += [split] if split is not None else []
    lines += [_slow(slow, total) for slow in insights.slow[:3]]
    lines += [_drop(insights.drop)] if insights.drop is not None else []
    lines += [_items(insights.items)] if insights.items is not None else []
    lines += [_growth(insights.growth)] if insights.growth is not None else []
    lines += [_input(effect) for effect in _telling(insights.inputs)[:2]]
    lines += [_width(effect) for effect in insights.widths[:2]]
    lines += [caches.sentence(use) for use in insights.caches[:2]]
    lines += [_volume(fill) for fill in insights.volumes[:2]]
    for name, outlook in insights.risks:
        if outlook.at is not None:
            lines.append(
                f"At the present trend the objective {name} will be missed around {iso(outlook.at.likely)}"
                f" (between {iso(outlook.at.low)} and {iso(outlook.at.high)})"
            )
    return lines


def view(insights: Insights, causes: Sequence[PointCause]) -> dict[str, Any]:
    """The same as data, with the causes of the change points of the duration."""
    seconds, split = insights.next_run, insights.split
    return {
        "nextRunSeconds": {"low": number(seconds.low), "likely": number(seconds.likely), "high": number(seconds.high)}
        if seconds is not None
        else None,
        "lastChange": _change_view(insights.change) if insights.change is not None else None,
        "causes": [
            {
                "since": iso(c.time),
                "step": c.step,
                "beforeSeconds": number(c.seconds[0]) if c.seconds is not None else None,
                "afterSeconds": number(c.seconds[1]) if c.seconds is not None else None,
                "what": c.what or None,
            }
            for c in causes
        ],
        "timeSplitSeconds": {f.name: number(getattr(split, f.name)) for f in fields(split)}
        if split is not None
        else None,
        "successDrop": _drop_view(insights.drop) if insights.drop is not None else None,
        "inputGrowth": _growth_view(insights.growth) if insights.growth is not None else None,
        "inputs": [_input_view(effect) for effect in insights.inputs],
        "caches": [caches.view(use) for use in insights.caches],
        "volumes": [_volume_view(fill) for fill in insights.volumes],
        "slowRuns": [
            {"runs": list(s.runs), "steps": list(s.steps), "extraSeconds": number(s.extra_seconds)}
            for s in insights.slow
        ],
        "objectivesAtRisk": [
            {"objective": name, "around": iso(o.at.likely), "from": iso(o.at.low), "to": iso(o.at.high)}
            for name, o in insights.risks
            if o.at is not None
        ],
    }


def _change_view(change: ChangeEffect) -> dict[str, Any]:
    effect = change.effect
    return {
        "since": iso(change.time),
        "what": change.what,
        "verdict": effect.verdict.value,
        "ratio": number(effect.ratio, 4),
        "low": number(effect.low, 4),
        "high": number(effect.high, 4),
        "runsBefore": effect.runs_before,
        "runsAfter": effect.runs_after,
    }


def _drop_view(drop: SuccessDrop) -> dict[str, Any]:
    (failed_before, before), (failed_after, after) = drop.before, drop.after
    return {
        "since": iso(drop.time),
        "step": drop.step,
        "failedBefore": failed_before,
        "runsBefore": before,
        "failedAfter": failed_after,
        "runsAfter": after,
    }


def _growth_view(growth: InputGrowth) -> dict[str, Any]:
    return {
        "since": iso(growth.time),
        "unit": growth.unit,
        "seconds": [number(s) for s in growth.seconds],
        "inputs": [number(s) for s in growth.inputs],
    }


def _input_view(effect: InputEffect) -> dict[str, Any]:
    return {
        "step": effect.step,
        "unit": effect.unit,
        "usual": number(effect.usual_input),
        "largest": number(effect.largest_input),
        "seconds": [number(s) for s in effect.seconds] if effect.seconds is not None else None,
        "memoryRequests": [{"upTo": number(size), "bytes": number(request, 12)} for size, request in effect.sizes],
    }


def _volume_view(fill: VolumeFill) -> dict[str, Any]:
    return {
        "claim": fill.claim,
        "perRun": not fill.shared,
        "steps": list(fill.steps),
        "runs": fill.runs,
        "usedBytes": number(fill.used, 12),
        "capacityBytes": number(fill.capacity, 12),
        "growthBytesPerDay": number(fill.growth.likely, 12) if fill.growth is not None else None,
        "full": iso(fill.full.likely) if fill.full is not None else None,
    }
