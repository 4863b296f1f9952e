"""``degradation``: since when a workflow is slower, by how much, and because of which step.

Fires on an upward change point of the makespan of more than ``minIncreasePercent`` that persists. Names the step, and the
change of template, image or requests, that the trend shows with it (``Analysis.causes``). Where input sizes are known, their
effect is removed first: runs that take longer because of larger input are no degradation (see ``analysis.insights``).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from concertmaster.core import text
from concertmaster.core.analysis.replay import WhatIf, replay
from concertmaster.core.analysis.runs.changes import PointCause
from concertmaster.core.analysis.runs.starts import may_meet, starts_of
from concertmaster.core.changepoint import ChangePoint
from concertmaster.core.changepoint.clear import CHANCE, CLEAR, direction_if_clear, is_clear
from concertmaster.core.known import upper_median
from concertmaster.core.model import Category, Finding, Interval, Level, RunRecord
from concertmaster.core.model.policy import Objectives
from concertmaster.core.rules.base import Evidence, Rule, gain_sentence
from concertmaster.core.rules.reliability import failing_step
from concertmaster.core.rules.reliability.comparable_times import as_every_week, like_for_like
from concertmaster.core.stats.comparison import MIN_RUNS, compare
from concertmaster.core.stats.noticed import once_noticed
from concertmaster.core.stats.quantiles import normal_quantile
from concertmaster.core.stats.summary import summarize
from concertmaster.core.times import to_minute

_SMALL = 0.25  # of an increase, on logarithms
_APART = 0.05  # of the former level


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


def _truly(chance: float, ratio: float, low: float, high: float) -> Interval:
    """The factor of an increase that is reported because it ``is_clear``, without what chance added to it."""
    logs = Interval(*(math.log(max(r, 1e-9)) for r in (low, ratio, min(high, 1e9))))
    # The smallest increase that would be clear: p-values of ranks hardly fall any more where there are few runs.
    by_chance = logs.likely * _deviations(CHANCE) / max(_deviations(chance), _deviations(CHANCE))
    by_size = CLEAR * (logs.likely - logs.low) / 1.96
    truly = once_noticed(logs, min(by_chance, by_size, logs.likely))
    return Interval(math.exp(truly.low), math.exp(truly.likely), math.exp(truly.high))


def _deviations(chance: float) -> float:
    """Standard deviations whose two-sided p-value is ``chance``."""
    return -normal_quantile(max(chance, 1e-16) / 2.0)


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


def _broken(wanted: Objectives, before: Sequence[float], after: Sequence[float]) -> str | None:
    """The first duration objective met before the change and missed after it, as ``p95 of 30m00s``."""
    old, new = summarize(before), summarize(after)
    for name, target, was, now in (
        ("p50", wanted.duration.p50, old.p50, new.p50),
        ("p95", wanted.duration.p95, old.p95, new.p95),
        ("p99", wanted.duration.p99, old.p99, new.p99),
    ):
        if target is not None and was is not None and now is not None and was <= target < now:
            return f"{name} of {text.duration(target)}"
    return None


def evaluate(evidence: Evidence) -> Iterator[Finding]:
    """One recommendation for the workflow if its last change is a persistent slowdown."""
    analysis = evidence.analysis
    least = evidence.settings.number("minIncreasePercent", 10.0) / 100
    point = standing(analysis.trend.points, least)
    if point is None or not analysis.enough:
        return
    good = [r for r in analysis.runs if r.outcome.timed and r.end is not None]
    before = [r.makespan for r in good if (r.end or 0.0) < point.time and r.makespan is not None]
    after = [r.makespan for r in good if (r.end or 0.0) >= point.time and r.makespan is not None]
    if not before or not after:
        return
    was, now = upper_median(before), upper_median(after)
    parts = [r for r in good if (r.end or 0.0) < point.time], [r for r in good if (r.end or 0.0) >= point.time]
    like = like_for_like(*parts)
    if now <= was or like is None or like.ratio - 1 < least or not is_clear(like.p_value, like.ratio, like.low):
        return  # explained by a busier hour or a working day, however significant the difference to the weekend before
    if (
        as_every_week(*parts, least)
        or _explained_by_company(evidence, *parts, least)
        or _retries_alone(evidence, *parts, least)
    ):
        return
    cause = next((c for c in analysis.causes if c.time == point.time), PointCause(point.time))
    name = cause.step
    blame = (
        f": {name} went from {text.duration(cause.seconds[0])} to {text.duration(cause.seconds[1])}"
        if cause.seconds is not None
        else "; no single step explains it"
    )
    changed = f"; changed at the same time: {cause.what}" if cause.what else ""
    # As the trend says, unless hours or days add to it. It takes the season for known, so the interval spans both.
    trend = _truly(1.0 - point.confidence, point.ratio, point.low, point.high)
    alike = _truly(like.p_value, like.ratio, like.low, like.high)
    seen, likely = (like.ratio, alike.likely) if point.ratio - like.ratio >= _APART else (point.ratio, trend.likely)
    ends = min(trend.low, alike.low), likely, max(trend.high, alike.high)
    share = Interval(*(max(0.0, 1 - 1 / max(1.0, r)) for r in ends))
    seconds = share.scaled(now)
    slower = text.percent(seen - 1)
    apart = abs(seen - now / was) >= _APART  # the medians are of other hours or days
    alone = f"; +{slower} beside runs of the same hours and days" if apart else ""
    if seen - likely >= _APART:
        alone += f"; likely +{text.percent(likely - 1)}, since among such varied runs chance adds to what is noticed"
    action = f"Investigate regression in {name or 'this workflow'} since {to_minute(point.time)} (+{slower})"
    rate = analysis.cost.runs_per_month
    weekly = f" ({text.duration(seconds.likely * rate * 7 / 30)} a week at the present rate)" if rate else ""
    broken = _broken(evidence.objectives, before, after)
    yield Finding(
        step=name,
        action=action,
        because=(
            f"runs take {text.duration(now)} instead of {text.duration(was)} (median of {len(after)} runs after against"
            f" {len(before)} before in {evidence.window()}{alone}) since {to_minute(point.time)}"
            f"{blame}{changed}"
        ),
        otherwise=f"every run stays {text.duration(seconds.likely)} longer{weekly}"
        + (f", and the objective {broken} is missed, which the runs before met" if broken else ""),
        current=f"{text.duration(now)} median",
        proposed=f"{text.duration(now - seconds.likely)} median, as before",
        expected=gain_sentence(share, seconds),
        confidence=point.confidence,
        objective=f"duration {broken}" if broken else None,
        gain_seconds=seconds,
        gain_share=share,
        evidence=(
            f"change of the median by a factor {point.ratio:.2f}, 95% interval {point.low:.2f} to {point.high:.2f}",
            "beside earlier runs at comparable times a factor"
            f" {like.ratio:.2f}, 95% interval {like.low:.2f} to {like.high:.2f}",
        ),
    )


RULE = Rule("degradation", evaluate, Category.PERFORMANCE, Level.MEDIUM, tie_break=10, settings=("minIncreasePercent",))
