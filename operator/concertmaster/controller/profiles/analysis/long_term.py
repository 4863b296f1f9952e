"""The figures of an analysis that are kept when its runs are pruned: daily rows, the baseline, the state of
recommendations."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from concertmaster.controller.collection.history_provider import HistoryProvider
from concertmaster.controller.profiles.request import AnalysisRequest
from concertmaster.core.analysis.daily.peaks import Largest, exceptional, largest_by_day, still_over, with_kills_before
from concertmaster.core.analysis.daily.rows import daily_rows
from concertmaster.core.analysis.pod_level import with_pods
from concertmaster.core.analysis.runs.figures import RunFigures
from concertmaster.core.analysis.steps.earlier_kills import superseded
from concertmaster.core.analysis.steps.releases import cpu_release, level_since, memory_release
from concertmaster.core.analysis.workflow import Analysis
from concertmaster.core.lifecycle.history import RecommendationHistory
from concertmaster.core.model import Impact, Outcome, RunRecord
from concertmaster.core.model.daily import (
    EXCEPTIONAL_DAYS,
    KILLS_OVER,
    RELEASED,
    ROLLED_BACK,
    Baseline,
    DailyRow,
    LongTermFigures,
    RecommendationOutcome,
)
from concertmaster.core.model.enums import RecommendationState
from concertmaster.core.model.recommendations import likely
from concertmaster.core.pipeline import AnalysisResult
from concertmaster.core.rules.reliability.regression_by_day import DAYS, FEW_RUNS
from concertmaster.core.units import DAY, WEEK
from concertmaster.engines import complete

_USUAL = 4 * WEEK  # before the window: what was usual before a holiday of two weeks
_MAX_EXECUTIONS = 10_000  # of runs that are recorded and not analysed: some 20 MiB


def with_days(request: AnalysisRequest, history: HistoryProvider, *, record: bool) -> AnalysisRequest:
    """The request with what is recorded by day: of runs before the window, and of those that may be gone, where some of the
    window may be. ``record``: runs that ended since the last analysis and are more than this takes are recorded first."""
    key, now = request.definition.key, request.now
    since = now - request.policy.analysis.window_seconds
    kept = min(since, now - EXCEPTIONAL_DAYS * DAY)
    peaks = replace(history.largest(key, kept), every_day=request.limited)
    request = replace(request, recorded=history.recorded(key), peaks=peaks)
    if request.limited and record and not request.provisional and (rows := _uncounted(request, history)):
        history.record(key, LongTermFigures(rows, since=int(since // DAY)))
        request = replace(request, recorded=history.recorded(key), peaks=history.largest(key, kept))
    older = history.days(key, since - _USUAL, steps=False)
    if not request.limited and len(request.runs) > FEW_RUNS:
        return replace(request, days=older)
    earliest = max(since, now - DAYS * DAY) - WEEK  # a rise must not be what each week shows
    older = [row for row in older if row.day < int(earliest // DAY)]
    return replace(request, days=[*older, *history.days(key, earliest, steps=True)])


def _uncounted(request: AnalysisRequest, history: HistoryProvider) -> list[DailyRow]:
    """Rows of the runs that ended after the last one recorded and before those of the ``request``: many in a minute, or
    while the operator was stopped. Nobody analyses them, but a day counts them, and its largest run may be one."""
    ends = [r.end for r in request.runs if r.end is not None and r.outcome is not Outcome.RUNNING]
    since = max(request.recorded, request.now - request.policy.analysis.window_seconds)
    earliest = min(ends, default=0.0)
    if earliest <= since:
        return []
    executions = sum([len(r.steps) for r in request.runs])
    most = _MAX_EXECUTIONS * len(request.runs) // max(len(request.runs), executions)
    found = history.runs(request.definition, limit=most, since=since, until=earliest, as_of=request.as_of)
    definition, runs = complete(request.definition, [r for r in found if r.end is not None])
    figures = RunFigures()
    rows = daily_rows(
        runs,
        request.policy.pricing,
        figures,
        covered=math.inf,
        recorded=since,
        until=request.now,
        complete=_complete(request, ends),
    )
    return _with_largest(rows, _largest(request, with_pods(definition, runs)[1], figures, rows))


def _complete(request: AnalysisRequest, ends: Sequence[float]) -> float | None:
    """Up to when runs of earlier days are counted: until when the metrics are complete. All of them are (None) where the
    runs, which ended at ``ends``, show a later day as a whole, as live ones do while the metrics lag behind: that day is
    counted, and what ended before it is not counted later."""
    return request.data_until if not ends or min(ends) // DAY == max(ends) // DAY else None


def long_term_figures(
    request: AnalysisRequest, result: AnalysisResult, memory: RecommendationHistory
) -> LongTermFigures:
    """The rows of the days in the window, the baseline if the runs are enough for one, and every recommendation."""
    analysis = result.analysis
    options = analysis.options
    covered = request.now - options.window_seconds
    ends = [r.end for r in request.runs if r.end is not None and r.outcome is not Outcome.RUNNING]
    limited = request.limited
    if limited and ends:
        covered = max(covered, min(ends))
    rows = daily_rows(
        request.runs,
        analysis.pricing,
        analysis.figures,
        covered=covered,
        recorded=request.recorded,
        until=request.now,
        complete=_complete(request, ends),
        score=analysis.score.total,
    )
    if limited or (
        request.fewest_runs is not None and len(ends) >= request.fewest_runs
    ):  # or another profile needs them
        last, largest = math.inf, _largest(request, analysis.runs, analysis.figures, rows)
        if largest:
            largest[max(largest)] = largest[max(largest)] | _superseded(analysis)
    else:  # what will be known from the rows alone
        last = (request.now - options.window_seconds / 2.0) // DAY
        largest = exceptional(largest_by_day(analysis.runs, analysis.figures), last)
    for day, place, factor in _released(analysis):
        if day <= last:
            largest[day] = largest.get(day, {}) | {place: factor}
    since = int((request.now - options.window_seconds) // DAY)
    kept = min(since, int(request.now // DAY) - EXCEPTIONAL_DAYS)
    return LongTermFigures(
        _with_largest(rows, largest), _baseline(result), _adoptions(result, memory), since, exceptional_since=kept
    )


def _released(analysis: Analysis) -> Iterator[tuple[int, tuple[str, str], float]]:
    """Releases by day, each with its step, name and factor: the runs show them for less long than amounts are kept."""
    least = analysis.options.min_runs
    for step in analysis.steps:
        for c in (*step.containers, *step.inits):
            for resource, release in (("memory", memory_release(c, least)), ("cpu", cpu_release(c, least))):
                if release is not None:
                    place = step.step, f"{RELEASED}/{resource}/{c.name}"
                    yield int(release.time // DAY), place, level_since(release, resource)


def _largest(
    request: AnalysisRequest, runs: Sequence[RunRecord], figures: RunFigures, rows: Sequence[DailyRow]
) -> dict[int, Largest]:
    """The largest amounts of the ``runs`` by day, with what is recorded of kills on the days of ``rows``."""
    largest = largest_by_day(runs, figures)
    added = {row.day for row in rows if not row.whole}  # to what is recorded
    for day in largest.keys() | added:
        largest[day] = _with_earlier(request, runs, day, largest.get(day, {}), added=day in added)
    return largest


def _with_largest(rows: Sequence[DailyRow], largest: Mapping[int, Largest]) -> list[DailyRow]:
    return [replace(row, largest=_of_step(largest.get(row.day, {}), row.step)) for row in rows]


def _with_earlier(
    request: AnalysisRequest, runs: Sequence[RunRecord], day: int, amounts: Largest, *, added: bool
) -> Largest:
    """The largest amounts of a day with what is recorded of its kills. If its row is ``added``, some of its runs are gone,
    of which those before ``recorded`` are counted."""
    before = {place: of_day[day] for place, of_day in request.peaks.amounts.items() if day in of_day}
    fresh = [r for r in runs if r.end is not None and r.end // DAY == day and r.end > request.recorded]
    over = still_over(before, fresh)
    if added:
        amounts = with_kills_before(amounts, before, [r for r in fresh if (r.end or 0.0) <= request.as_of])
    return amounts | over


def _superseded(analysis: Analysis) -> Largest:
    containers = [(step.step, container) for step in analysis.steps for container in (*step.containers, *step.inits)]
    return {(step, f"{KILLS_OVER}/{c.name}"): 1.0 for step, c in containers if superseded(c, analysis.options)}


def _of_step(largest: Largest, step: str) -> dict[str, float]:
    return {name: amount for (of, name), amount in largest.items() if of == step}


def _baseline(result: AnalysisResult) -> Baseline | None:
    analysis = result.analysis
    if not analysis.enough:
        return None
    return Baseline(
        analysis.now,
        len(analysis.runs),
        analysis.makespan.p50,
        analysis.makespan.p95,
        analysis.success_rate,
        analysis.cost.per_run.total if analysis.cost.per_run is not None else None,
        analysis.score.total,
    )


def _adoptions(result: AnalysisResult, memory: RecommendationHistory) -> list[RecommendationOutcome]:
    """States of recommendations; where one was implemented, with its verdict. Latest first."""
    impacts = {r.id: r.impact for r in result.recommendations}
    adoptions: dict[str, RecommendationOutcome] = {}
    for s in memory.tracked:
        gain = impacts.get(s.id, Impact())
        adoptions[s.id] = RecommendationOutcome(
            s.id,
            s.state.value,
            s.since,
            s.since,
            money=likely(gain.money),
            minutes=likely(gain.run_minutes),
            failures=likely(gain.failed_runs),
        )
    for o in memory.outcomes:
        known = adoptions.get(o.id, RecommendationOutcome(o.id, "", o.since, o.since))
        if known.state == RecommendationState.ACTIVE.value and known.since > o.since:
            continue  # recommended again since
        adoptions[o.id] = replace(
            known,
            state=ROLLED_BACK if o.undone else RecommendationState.IMPLEMENTED.value,
            since=o.since,
            by=o.by,
            verdict=o.verdict.value if o.verdict is not None else None,
            measured=o.measured.likely if o.measured is not None else None,
        )
    return sorted(adoptions.values(), key=lambda a: (-a.since, a.recommendation))
