"""Which rises of the run time are regressions: they are clear, persist, and no hour, day, company or retry explains them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from concertmaster.core.analysis.replay import WhatIf, replay
from concertmaster.core.analysis.runs.changes import PointCause, point_causes
from concertmaster.core.analysis.runs.starts import may_meet, starts_of
from concertmaster.core.changepoint import ChangePoint
from concertmaster.core.changepoint.clear import direction_if_clear, is_clear
from concertmaster.core.known import upper_median
from concertmaster.core.model import Interval, RunRecord
from concertmaster.core.rules.base import Evidence, share_interval
from concertmaster.core.rules.reliability import failing_step
from concertmaster.core.rules.reliability.comparable_times import as_every_week, like_for_like
from concertmaster.core.stats.comparison import MIN_RUNS, Comparison, compare

_SMALL = 0.25  # of an increase, on logarithms
_SOME = 0.8  # share of the runs that executes a step, from which on all runs show its regression
_NEWEST = 4  # runs
_ALL = Interval(1.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Rise:
    """A regression at ``point``: the runs before and after it, their comparison at comparable times, and its cause.

    ``only``: the step that all of these execute and other runs do not (empty: these are all runs); ``share``: of the runs
    since then, with its 90% interval.
    """

    point: ChangePoint
    before: Sequence[RunRecord]
    after: Sequence[RunRecord]
    like: Comparison
    cause: PointCause
    only: str = ""
    share: Interval = _ALL

    @property
    def medians(self) -> tuple[float, float]:
        """Makespans before and after, in seconds."""
        was, now = (upper_median([r.makespan or 0.0 for r in part]) for part in (self.before, self.after))
        return was, now


def standing(points: Sequence[ChangePoint], least: float) -> ChangePoint | None:
    """The last significant change if it is an increase of at least ``least`` that has not been reverted, else None. A change
    that is small beside it, and small itself, may follow, for a level rarely stays where it jumped to; so may one that is
    not significant, such as a weekend, as long as the increase stands with it."""
    bar, after, largest = math.log1p(least), 0.0, 0.0  # of the changes after it: their sum, and the largest small one
    for point in reversed(points):
        size, direction = math.log(point.ratio), direction_if_clear(point, least)
        if direction:
            return point if direction > 0 and size + after >= bar and largest <= _SMALL * size else None
        after += size
        if abs(size) < bar:
            largest = max(largest, abs(size))
    return None


def regressions(evidence: Evidence, least: float) -> Iterator[Rise]:
    """That of all runs, else those of the runs with a step that others skip: half of the runs with one level and half with
    another have a median that does not tell when the upper one rises. ``least``: share by which run times rise."""
    analysis = evidence.analysis
    good = [r for r in analysis.runs if r.outcome.timed and r.end is not None and r.makespan is not None]
    of_all = _regression(evidence, good, analysis.trend.points, analysis.causes, least)
    if of_all is not None:
        yield of_all
        return
    for step in analysis.steps:
        points = step.trend.points
        if step.ran <= _SOME * len(good) and standing(points, least) is not None:
            runs = [r for r in good if any(e.step == step.step and e.outcome.timed for e in r.steps)]
            own = _regression(evidence, runs, points, point_causes(runs, points, analysis.figures), least)
            if own is not None and own.cause.step == step.step:
                since = sum((r.end or 0.0) >= own.point.time for r in good)
                yield replace(own, only=step.step, share=share_interval(len(own.after), since) or _ALL)


def _regression(
    evidence: Evidence,
    runs: Sequence[RunRecord],
    points: Sequence[ChangePoint],
    causes: Sequence[PointCause],
    least: float,
) -> Rise | None:
    """The rise of ``runs`` at the standing one of ``points``; None without it, or if something else explains it."""
    point = standing(points, least)
    if point is None:
        return None
    before, after = ([r for r in runs if ((r.end or 0.0) >= point.time) is later] for later in (False, True))
    like = like_for_like(before, after) if before and after else None
    if like is None or like.ratio - 1 < least or not is_clear(like.p_value, like.ratio, like.low):
        return None  # explained by a busier hour or a working day, however significant the difference to the weekend before
    cause = next((c for c in causes if c.time == point.time), PointCause(point.time))
    rise = Rise(point, before, after, like, cause)
    explained = (
        rise.medians[1] <= rise.medians[0]
        or _over(rise)
        or (not cause.what and _ends_dip(points, runs, point, least))
        or as_every_week(before, after, least)
        or _explained_by_company(evidence, before, after, least)
        or _retries_alone(evidence, before, after, least)
    )
    return None if explained else rise


def _over(rise: Rise) -> bool:
    """Whether the newest runs are all nearer to the level before than to that after: it is back, if not clearly yet."""
    newest = [r.makespan or 0.0 for r in rise.after[-_NEWEST:]]
    return len(rise.after) >= 2 * _NEWEST and max(newest) < math.sqrt(math.prod(rise.medians))


def _ends_dip(points: Sequence[ChangePoint], runs: Sequence[RunRecord], at: ChangePoint, least: float) -> bool:
    """Whether the rise only ends a clear fall, such as a holiday, that did not last as long as what was usual before."""
    begin = runs[0].end or 0.0
    for place, point in enumerate(points):
        if point.time >= at.time:
            return False
        back = sum(math.log(later.ratio) for later in points[place:]) < math.log1p(least)
        if back and direction_if_clear(point, least) < 0 and at.time - point.time < point.time - begin:
            return True
        begin = point.time
    return False


def _explained_by_company(
    evidence: Evidence, before: Sequence[RunRecord], after: Sequence[RunRecord], least: float
) -> bool:
    """Whether runs only take longer because more of them overlap others (``overlapping-runs``): those that overlap none do
    not, or those that do always took that long."""
    definition, runs, figures = evidence.analysis.definition, evidence.analysis.runs, evidence.analysis.figures
    starts = starts_of(definition, runs) if definition.schedule and may_meet(definition, runs, figures) else None
    if starts is None or not starts.beside:
        return False
    company = {starts.spans[i].run.run for i in starts.company}
    for beside in (False, True):
        was, now = ([r.makespan for r in part if (r.run in company) is beside] for part in (before, after))
        if min(len(was), len(now)) >= MIN_RUNS:
            return compare(was, now).ratio - 1 < least
    return False


def _retries_alone(evidence: Evidence, before: Sequence[RunRecord], after: Sequence[RunRecord], least: float) -> bool:
    """Whether runs replayed without their retried attempts do not take ``least`` longer, and ``failing-step`` reports the
    failures."""
    own = replace(evidence, settings=evidence.analysis.policy.rule(failing_step.RULE.name))
    if not (own.settings.enabled and any(True for _ in failing_step.evaluate(own))):
        return False
    first = WhatIf.without_failed_attempts()
    seconds = {r.run: replay(r, first) for r in evidence.analysis.executed if r.usable}
    was, now = ([seconds.get(r.run) for r in part] for part in (before, after))
    return compare(was, now).ratio - 1 < least
