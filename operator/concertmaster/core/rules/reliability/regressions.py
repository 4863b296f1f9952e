"""Which rises of the run time are regressions: they are clear, persist, and no hour, day, company or retry explains them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from concertmaster.core.analysis.replay import WhatIf, replay
from concertmaster.core.analysis.runs.changes import PointCause, inputs, longest, point_causes
from concertmaster.core.analysis.runs.starts import may_meet, starts_of
from concertmaster.core.changepoint import ChangePoint, Detection, Ramp
from concertmaster.core.changepoint.clear import (
    came_and_went,
    ends_dip,
    is_clear,
    last_fall,
    lasting_growth,
    lasting_increase,
)
from concertmaster.core.known import upper_median
from concertmaster.core.model import RunRecord
from concertmaster.core.rules.evidence import Evidence
from concertmaster.core.rules.reliability import failing_step
from concertmaster.core.rules.reliability.comparable_times import (
    NEWEST,
    Timed,
    as_every_week,
    is_back,
    like_for_like,
    usual_before,
    whole_days,
)
from concertmaster.core.stats.comparison import MIN_RUNS, Comparison, compare

_JUMP_PARAMETERS = 2.0  # a jump's size, and the place: one fewer where what was changed then says it

_Found = tuple[ChangePoint, Ramp | None]
"""Since when a series is longer, and the growth that is so only as a whole (None: the point is clear by itself)."""


@dataclass(frozen=True, slots=True)
class Regression:
    """A regression at ``point``: the runs before and after it, their comparison at comparable times, and its cause.
    ``gradual``: the growth it is cut out of, where nothing happened at that time; None for a jump. ``fall``: the last one
    since, which reverted a part of it; runs between the two are on neither side. ``step``: the one whose longest executions
    these are, instead of runs; empty for runs. ``whole_days``: see ``_of_whole_days``."""

    point: ChangePoint
    before: Sequence[Timed]
    after: Sequence[Timed]
    like: Comparison
    cause: PointCause
    gradual: Ramp | None = None
    fall: ChangePoint | None = None
    step: str = ""
    whole_days: bool = False

    @property
    def since(self) -> float:
        """When the level of the runs after it began (unix seconds)."""
        return (self.fall or self.point).time

    @property
    def medians(self) -> tuple[float, float]:
        """Seconds before and after."""
        was, now = (upper_median([r.makespan or 0.0 for r in part]) for part in (self.before, self.after))
        return was, now


class _Spent(NamedTuple):
    """What a run took, or spent on one step (its longest execution), without what slow nodes add."""

    run: str
    start: float | None
    end: float | None
    makespan: float
    input_total: float | None


def regressions(evidence: Evidence, least: float, *, whole: bool = False) -> Iterator[Regression]:
    """That of the runs, else those of their steps: inputs or nodes that concern other steps, and steps that some runs skip,
    may vary run times by more than a step adds. Runs under a change that was rolled back do not count. ``least``: share by
    which seconds rise. ``whole``: those of growth that is clear as a whole, instead of at one of its change points."""
    find = lasting_growth if whole else _at_point
    analysis = evidence.analysis
    timed = [r for r in analysis.runs if r.outcome.timed and r.end is not None and r.makespan is not None]
    good = [r for r in timed if not evidence.under_rolled_back(r)]
    of_runs = _regression(
        evidence, _undelayed(evidence, good), analysis.trend, analysis.causes, find(analysis.trend, least), least
    )
    if of_runs is not None and not _of_other_steps(evidence, of_runs, least):
        if not _retries_alone(evidence, of_runs, least):
            yield of_runs
        return
    changed = [(step, rise) for step in analysis.steps if (rise := find(step.trend, least)) is not None]
    seconds = _longest(evidence, good) if changed else []
    for step, rise in changed:
        spent = _spent(evidence, good, seconds, step.step)
        known = {s.input_total is not None for s in spent}
        if len(known) > 1:
            continue  # inputs that are not known yet may be why
        of_step = _regression(evidence, spent, step.trend, (), rise, least, len(analysis.steps))
        if of_step is not None:
            yield replace(of_step, step=step.step)


def _at_point(trend: Detection, least: float) -> _Found | None:
    point = lasting_increase(trend.points, least)
    return None if point is None else (point, None)


def _undelayed(evidence: Evidence, runs: Sequence[RunRecord]) -> Sequence[Timed]:
    delays = evidence.analysis.node_delays
    if not delays:
        return runs
    return [_Spent(r.run, r.start, r.end, (r.makespan or 0.0) - delays.get(r.run, 0.0), r.input_total) for r in runs]


def _longest(evidence: Evidence, runs: Sequence[RunRecord]) -> Sequence[Mapping[str, float]]:
    """Seconds of the longest execution of each step of each run, without what slow nodes add."""
    figures, slow = evidence.analysis.figures, evidence.analysis.slow_nodes
    return figures.of_each(longest, runs) if slow is None else [longest(run, slow.lost) for run in runs]


def _spent(
    evidence: Evidence, runs: Sequence[RunRecord], seconds: Sequence[Mapping[str, float]], step: str
) -> list[_Spent]:
    rows = zip(runs, seconds, evidence.analysis.figures.of_each(inputs, runs), strict=True)
    return [_Spent(r.run, r.start, r.end, of[step], given.get(step)) for r, of, given in rows if step in of]


def _regression(
    evidence: Evidence,
    runs: Sequence[Timed],
    trend: Detection,
    causes: Sequence[PointCause],
    found: _Found | None,
    least: float,
    compared: int = 1,
) -> Regression | None:
    """The rise of ``runs`` as ``found`` in their ``trend``; None without it, or if something else explains it.
    ``compared``: series that are examined, any of which may rise by chance."""
    if found is None:
        return None
    point, whole = found
    fall = last_fall(trend.points, point, least)
    before = [r for r in runs if (r.end or 0.0) < point.time]
    after = [r for r in runs if (r.end or 0.0) >= (fall or point).time]
    # Levels that come and go are how days differ; a few are changes of their own.
    levels = [] if trend.drifting or came_and_went(trend.points, least) else [p.time for p in trend.points]
    like = like_for_like(before, after, levels) if before and after else None
    if like is None or like.ratio - 1 < least or not _shown(like, whole, compared):
        return None  # explained by a busier hour or a working day, however significant the difference to the weekend before
    cause = next((c for c in causes if c.time == point.time), None) or _changed(evidence, point)
    if fall is not None:  # which step takes longer now
        cause = replace(_cause(evidence, point, fall), what=cause.what, build=cause.build)
    rise = Regression(point, before, after, like, cause, fall=fall)
    if not like.low * rise.medians[0] <= rise.medians[1] <= like.high * rise.medians[0]:
        rise = _of_whole_days(evidence, rise)
    explained = (
        rise.medians[1] <= rise.medians[0]
        or _over(rise, after)
        or (not cause.what and ends_dip(trend.points, runs[0].end or 0.0, point, least))
        or (not cause.what and usual_before(evidence, point, least))
        or as_every_week(before, after, least)
        or _explained_by_company(evidence, before, after, least)
    )
    if explained:
        return None
    growth = whole or _growth(trend, point, known=bool(cause.what))
    # The levels on both sides are pieces of the growth: which step grew shows among all runs.
    if growth is None:
        return rise
    return replace(rise, gradual=growth, cause=replace(_cause(evidence, point, fall), what="", build=""))


def _of_whole_days(evidence: Evidence, rise: Regression) -> Regression:
    """The rise by the runs of whole days, where their medians are nearer to the comparison at comparable times: medians of
    hours that alternate say which has one run more."""
    before, after = whole_days(rise.before, rise.after) if rise.fall is None else ((), ())
    if not before or not after:
        return rise
    whole = replace(rise, before=before, after=after, whole_days=True)
    if _apart(whole) >= _apart(rise):
        return rise
    cause = _cause(evidence, rise.point, among={r.run for r in (*before, *after)})
    return replace(whole, cause=replace(cause, what=rise.cause.what, build=rise.cause.build))


def _apart(rise: Regression) -> float:
    was, now = rise.medians
    return abs(math.log(now / was / rise.like.ratio))


def _shown(like: Comparison, whole: Ramp | None, compared: int) -> bool:
    """Whether the runs after take longer at comparable times, as clearly as a change must be. Of growth that is clear as a
    ``whole``, the runs before and after one of its points differ by a part only: they must not be alike."""
    grown = whole is not None and is_clear(compared * (1.0 - whole.confidence), whole.ratio, whole.low)
    return like.low > 1.0 if grown else is_clear(compared * like.p_value, like.ratio, like.low)


def _growth(trend: Detection, point: ChangePoint, *, known: bool) -> Ramp | None:
    """The gradual change that ``point`` is cut out of; None where the level jumps there. ``known``: something was changed in
    the workflow at that time."""
    place = trend.points.index(point)
    ramp = next((r for r in trend.ramps if place in r.points), None)
    cost = _JUMP_PARAMETERS - known
    return ramp if ramp is not None and ramp.jumps[ramp.points.index(place)] < cost else None


def _changed(evidence: Evidence, point: ChangePoint) -> PointCause:
    """What was changed in the workflow at that time."""
    return replace(_cause(evidence, point), step=None, seconds=None)


def _cause(
    evidence: Evidence, point: ChangePoint, fall: ChangePoint | None = None, among: Container[str] | None = None
) -> PointCause:
    """The cause of a change at that time alone, judged on all runs but those until a ``fall`` after it, or on those
    ``among`` them (names)."""
    until = point.time if fall is None else fall.time
    good = [r for r in evidence.analysis.runs if r.outcome.timed and not point.time <= (r.end or 0.0) < until]
    good = [r for r in good if among is None or r.run in among]
    return point_causes(good, [point], evidence.analysis.figures, evidence.analysis.definition.graph)[0]


def _over(rise: Regression, after: Sequence[Timed]) -> bool:
    """Whether the newest of all ``after`` are nearer to the level before than to that after: it is back, if not clearly."""
    return len(after) >= 2 * NEWEST and is_back([r.makespan or 0.0 for r in after], *rise.medians)


def _explained_by_company(evidence: Evidence, before: Sequence[Timed], after: Sequence[Timed], least: float) -> bool:
    """Whether runs only take longer because more of them overlap others (``overlapping-runs``): those that overlap none do
    not, or those that do always took that long."""
    definition, runs, figures = evidence.analysis.definition, evidence.analysis.runs, evidence.analysis.figures
    starts = starts_of(definition, runs) if definition.schedule and may_meet(definition, runs, figures) else None
    if starts is None or not starts.company:
        return False
    for beside in (False, True):
        was, now = ([r.makespan for r in part if (r.run in starts.company) is beside] for part in (before, after))
        if min(len(was), len(now)) >= MIN_RUNS:
            return compare(was, now).ratio - 1 < least
    return False


def _of_other_steps(evidence: Evidence, rise: Regression, least: float) -> bool:
    """Whether most of the rise is that more runs take steps which others skip: runs of the same steps do not take ``least``
    longer, or by far less. Where most runs since then take steps as too few did before, nobody can tell."""
    taken = {r.run: frozenset(e.step for e in r.steps if e.outcome.over) for r in evidence.analysis.runs}
    alike: dict[frozenset[str], list[float]] = defaultdict(list)
    for r in rise.before:
        alike[taken[r.run]].append(r.makespan or 0.0)
    usual = {steps: upper_median(seconds) for steps, seconds in alike.items() if len(seconds) >= MIN_RUNS}
    if len(alike) < 2:
        return False
    was, now = (
        [(r.makespan or 0.0) / usual[taken[r.run]] for r in part if taken[r.run] in usual]
        for part in (rise.before, rise.after)
    )
    if len(now) < max(MIN_RUNS, len(rise.after) / 2):
        return False
    return math.log(compare(was, now).ratio) < max(math.log1p(least), math.log(rise.like.ratio) / 2)


def _retries_alone(evidence: Evidence, rise: Regression, least: float) -> bool:
    """Whether runs replayed without their retried attempts do not take ``least`` longer, and ``failing-step`` reports the
    failures."""
    own = replace(evidence, settings=evidence.analysis.policy.rule(failing_step.RULE.name))
    if not (own.settings.enabled and any(found is not None for found in failing_step.evaluate(own))):
        return False
    first = WhatIf.without_failed_attempts()
    seconds = {r.run: replay(r, first) for r in evidence.analysis.executed if r.usable}
    was, now = ([seconds.get(r.run) for r in part] for part in (rise.before, rise.after))
    return compare(was, now).ratio - 1 < least
