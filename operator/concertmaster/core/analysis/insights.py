"""Further findings beside recommendations: slow runs and their cause, the effect of the last change, the next run.

The methods are those of other modules (degraded runs, before/after test, forecast, outlook); this one selects the runs for
each. Computed from an analysis on demand.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from statistics import median

from concertmaster.core.analysis.cost.runs import Costs
from concertmaster.core.analysis.degraded_runs import find_degraded
from concertmaster.core.analysis.drivers import (
    InputEffect,
    Succeeded,
    WidthEffect,
    input_effect,
    memory_by_input,
    succeeded,
    width_effect,
)
from concertmaster.core.analysis.failures import SuccessDrop, success_drop
from concertmaster.core.analysis.graph import MAX_SECONDS, MIN_SECONDS
from concertmaster.core.analysis.replay import TimeSplit, time_split
from concertmaster.core.analysis.replay.forecast import MIN_RUNS, forecast, one_more
from concertmaster.core.analysis.replay.work import work_of
from concertmaster.core.analysis.runs.changes import between, longest, released, signatures_of
from concertmaster.core.analysis.runs.figures import RunFigures
from concertmaster.core.analysis.shared.caches import CacheUse, cache_uses
from concertmaster.core.analysis.shared.volumes import VolumeFill, volume_fills
from concertmaster.core.analysis.steps.step import StepAnalysis
from concertmaster.core.analysis.workflow import Analysis
from concertmaster.core.changepoint import Detection, Direction, ObjectiveForecast, OutlookState, detect, outlook
from concertmaster.core.model import Interval, MetricRole, RunRecord, WorkflowGraph
from concertmaster.core.model.engines import PARTIAL_ADMISSION
from concertmaster.core.model.policy import Objectives, Policy
from concertmaster.core.stats.comparison import Comparison, compare
from concertmaster.core.stats.summary import Summary

# Least relative slowdown of slow runs worth reporting: with few runs, smaller groups may be chance.
MIN_EXTRA = 0.2
_SAME_SHARE = 0.8  # share of the slow runs, and of the runs between two changes, that are the same
MIN_GROWTH = 1.1  # of the run time, the default of the degradation rule


@dataclass(frozen=True, slots=True)
class ItemRate:
    """Medians of work items (extra metric with role Items): per run, per second of run time, and cost per item."""

    unit: str
    per_run: float
    per_second: float
    cost: float | None
    currency: str


@dataclass(frozen=True, slots=True)
class SlowRuns:
    """Runs slowed by the same steps; ``extra_seconds``: median loss per run."""

    runs: tuple[str, ...]
    steps: tuple[str, ...]
    extra_seconds: float


@dataclass(frozen=True, slots=True)
class ChangeEffect:
    """The last change of template, image or requests, comparing the runs after it with those before. ``time``: end of the
    first run with the change, unix seconds."""

    time: float
    what: str
    effect: Comparison


@dataclass(frozen=True, slots=True)
class InputGrowth:
    """Runs that take longer only because their input grew: since when (unix seconds), median seconds and median input
    before and after."""

    time: float
    seconds: tuple[float, float]
    inputs: tuple[float, float]
    unit: str


@dataclass(frozen=True, slots=True)
class Insights:
    """``slow``: problems, most costly first. ``change``: None when nothing changed in the window. ``next_run``: forecast
    duration of a further run (s) with a 90% interval. ``split``: mean seconds of a run by time category of its critical
    chain. ``inputs`` and ``widths``: steps whose duration depends on their input or their number of pods. ``risks``:
    duration objectives that the current trend will miss, by name. ``podless``: steps that have no pods and that none of the
    runs shows, such as an approval: how long they took is in the time of the controller. ``partial``: whether Kueue may
    admit only some pods of a run, so that the waits of the others are in it, too."""

    slow: tuple[SlowRuns, ...]
    change: ChangeEffect | None
    next_run: Interval | None
    split: TimeSplit | None
    inputs: tuple[InputEffect, ...]
    widths: tuple[WidthEffect, ...]
    risks: tuple[tuple[str, ObjectiveForecast], ...]
    growth: InputGrowth | None = None
    items: ItemRate | None = None
    drop: SuccessDrop | None = None
    caches: tuple[CacheUse, ...] = ()
    volumes: tuple[VolumeFill, ...] = ()
    podless: tuple[str, ...] = ()
    partial: bool = False


def insights(analysis: Analysis) -> Insights:
    """All insights, from the succeeded runs of the analysis."""
    good = [r for r in analysis.runs if r.outcome.timed and r.makespan is not None]
    by_step = succeeded(good, analysis.figures)
    return Insights(
        slow=_slow(good, analysis),
        change=last_change(good, analysis.figures, analysis.definition.graph),
        next_run=_next_run(analysis, good),
        split=mean_split(analysis),
        inputs=tuple(effect for s in analysis.steps if (effect := _input_effect(analysis, s, by_step)) is not None),
        widths=tuple(seen for s in analysis.steps if (seen := width_effect(by_step, s.step)) is not None),
        risks=_risks(good, analysis.policy.objectives, analysis.now, analysis.makespan),
        growth=input_growth(analysis, good),
        items=_item_rate(good, analysis.policy, analysis.costs),
        drop=success_drop(analysis.runs),
        caches=cache_uses(analysis),
        volumes=volume_fills(analysis),
        podless=tuple(s.step for s in analysis.steps if s.spec is not None and s.spec.waits and not s.executions),
        partial=PARTIAL_ADMISSION in analysis.definition.declared,
    )


def _input_effect(analysis: Analysis, step: StepAnalysis, by_step: Succeeded) -> InputEffect | None:
    effect = input_effect(by_step, step.step)
    if effect is None:
        return None
    sizes = max((memory_by_input(c, analysis.options) for c in step.containers), key=lambda rows: rows[-1:], default=())
    return replace(effect, unit=analysis.policy.input_unit(step.step), sizes=sizes)


def input_growth(analysis: Analysis, runs: Sequence[RunRecord]) -> InputGrowth | None:
    """Longer run time explained by larger input alone; None when there is no such growth or inputs are unknown."""
    if not analysis.trend.adjusted or _rose(analysis.trend):
        return None
    seen = detect([r.end for r in runs], [r.makespan for r in runs])
    if not _rose(seen):
        return None
    time = seen.points[-1].time
    sides = [[r for r in runs if ((r.end or 0.0) >= time) is after] for after in (False, True)]
    seconds = [median(r.makespan or 0.0 for r in side) for side in sides]
    inputs = [median(r.input_total or 0.0 for r in side) for side in sides]
    if inputs[1] <= inputs[0]:
        return None
    return InputGrowth(time, (seconds[0], seconds[1]), (inputs[0], inputs[1]), analysis.policy.input_unit())


def _rose(detection: Detection) -> bool:
    """Whether the last change is a material increase."""
    return any(p.direction is Direction.UP and p.ratio >= MIN_GROWTH for p in detection.points[-1:])


def _slow(runs: Sequence[RunRecord], analysis: Analysis) -> tuple[SlowRuns, ...]:
    """Problems of runs among others. All runs between two changes are none: they were slow because of the change. Nor is
    what slow nodes add: it is one problem, that of the nodes, whichever steps ran there."""
    steps = [s.step for s in analysis.steps]
    if not runs or not steps:
        return ()
    rows = zip(runs, analysis.figures.of_each(longest, runs), strict=True)
    table = [_elsewhere(steps, seconds, analysis.node_factors.get(run.run, {})) for run, seconds in rows]
    totals = [(run.makespan or math.nan) - analysis.node_delays.get(run.run, 0.0) for run in runs]
    least = MIN_EXTRA * median(totals)
    levels = [bisect_right([p.time for p in analysis.trend.points], run.end or 0.0) for run in runs]
    return tuple(
        SlowRuns(tuple(runs[i].run for i in problem.runs), problem.steps, problem.extra_seconds)
        for problem in find_degraded(steps, table, totals)
        if problem.extra_seconds >= least and not _is_level(problem.runs, levels)
    )


def _elsewhere(steps: Sequence[str], seconds: Mapping[str, float], factors: Mapping[str, float]) -> list[float | None]:
    """What the ``steps`` of a run would take without slow nodes; None: did not run."""
    return [seconds[step] * factors.get(step, 1.0) if step in seconds else None for step in steps]


def _is_level(places: Sequence[int], levels: Sequence[int]) -> bool:
    """Whether the runs at ``places`` are those of one level of the run time; ``levels``: that of each run."""
    level, own = Counter(levels[i] for i in places).most_common(1)[0]
    return own >= _SAME_SHARE * max(len(places), levels.count(level))


def last_change(runs: Sequence[RunRecord], figures: RunFigures, graph: WorkflowGraph) -> ChangeEffect | None:
    """The latest change between two consecutive runs (oldest first), judged on all runs since the change before it."""
    signatures = released(signatures_of(runs, figures, graph))
    places = [i for i in range(1, len(runs)) if between(signatures[i - 1], signatures[i])]
    if not places:
        return None
    at = places[-1]
    start = places[-2] if len(places) > 1 else 0
    before, after = runs[start:at], runs[at:]
    effect = compare(
        [r.makespan or math.nan for r in before],
        [r.makespan or math.nan for r in after],
        inputs_before=[_input(r) for r in before],
        inputs_after=[_input(r) for r in after],
    )
    return ChangeEffect(runs[at].end or math.nan, between(signatures[at - 1], signatures[at]), effect)


def _input(run: RunRecord) -> float:
    return run.input_total if run.input_total is not None else math.nan


def mean_split(analysis: Analysis) -> TimeSplit | None:
    """The time split of the usable runs, averaged by category; the parts still add up to the mean makespan."""
    splits = [s for s in analysis.figures.of_each(time_split, analysis.executed) if s is not None]
    if not splits:
        return None
    return TimeSplit(**{f.name: sum(getattr(s, f.name) for s in splits) / len(splits) for f in fields(TimeSplit)})


def _next_run(analysis: Analysis, runs: Sequence[RunRecord]) -> Interval | None:
    # Those before a clear change do not predict the next one.
    recent = {run.run for run in analysis.recent if run.usable}
    chosen = [(record, run) for record, run in zip(runs, analysis.executed, strict=True) if run.run in recent]
    makespans = [run.makespan for _, run in chosen if MIN_SECONDS < run.makespan < MAX_SECONDS]
    if len(makespans) >= MIN_RUNS:
        return one_more(makespans)
    engine = analysis.definition.engine.name
    works = [analysis.figures.of(work_of, run, record, engine) for record, run in chosen]
    if not works:
        return None
    last = works[-1]  # one more run like it
    return forecast(replace(last, durations=[math.nan] * len(last.steps), makespan=math.nan), works)


def _risks(
    runs: Sequence[RunRecord], objectives: Objectives, now: float, makespan: Summary
) -> tuple[tuple[str, ObjectiveForecast], ...]:
    if not makespan.count:
        return ()
    times = [r.end or math.nan for r in runs]
    values = [r.makespan or math.nan for r in runs]
    risks = []
    for name, percentile, limit in objectives.duration.targets():
        seen = outlook(times, values, limit, percentile=percentile, now=now)
        if seen.state is OutlookState.AT_RISK:
            risks.append((f"duration {name}", seen))
    return tuple(risks)


def _item_rate(runs: Sequence[RunRecord], policy: Policy, costs: Costs) -> ItemRate | None:
    """Processing rate and cost per item; None when no extra metric counts items."""
    metric = policy.metric(MetricRole.ITEMS)
    rows = [(r.extra[metric.name], r) for r in runs if r.extra.get(metric.name) and r.makespan] if metric else []
    if metric is None or not rows:
        return None
    each = [c.total / n for n, r in rows if (c := costs.run(r)) is not None]
    return ItemRate(
        metric.unit or metric.name,
        median(n for n, _ in rows),
        median(n / (r.makespan or 1.0) for n, r in rows),
        median(each) if each else None,
        policy.pricing.currency,
    )
