"""``degradation``: since when a workflow is slower, by how much, and because of which step.

Fires on an upward change point of the makespan of more than ``minIncreasePercent`` that persists. Names the step, and the
change of template, image or requests, that the trend shows with it (``Analysis.causes``). Where input sizes are known, their
effect is removed first: runs that take longer because of larger input are no degradation (see ``analysis.insights``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
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
from concertmaster.core.stats.comparison import MIN_RUNS, Comparison, compare
from concertmaster.core.stats.noticed import once_noticed
from concertmaster.core.stats.quantiles import normal_quantile
from concertmaster.core.stats.summary import summarize
from concertmaster.core.times import to_minute, weekend

_HOUR = 3600.0  # seconds
_DAY = 24 * _HOUR
_WEEK = 7 * _DAY
_SMALL = 0.25  # of an increase, on logarithms
_APART = 0.05  # of the former level
_HOURS = 2 * _HOUR  # seconds apart that still count as the same time of day
_OTHER_HOURS = 1.25  # times as long as at other hours: more than the time of day usually makes

_Same = Callable[[float | None, float | None], bool]
"""Whether two starts (unix seconds) are alike."""


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


def like_for_like(before: Sequence[RunRecord], after: Sequence[RunRecord]) -> Comparison | None:
    """Runs after compared with runs before that began at the same time of another day, on working days or weekends alike.
    Each run, and its input where known, is divided by the median of its peers, which removes the effect of hour and kind of
    day. With too few peers, any time of such days counts. Where a side then covers less than a day, other hours may be the
    difference: None unless it is larger than hours usually make, and came at once. None without such days, too."""
    for same in (_same_time, _same_days):
        now, larger = _multiples(after, before, same)
        if len(now) >= max(MIN_RUNS, len(after) / 2):
            like = [r for r in before if any(same(r.start, a.start) for a in after)]
            was, large = _multiples(like, like, _same_hours if same is _same_time else same)
            if len(was) >= MIN_RUNS:
                found = compare(was, now, inputs_before=large, inputs_after=larger, level=0.05)
                apart = same is _same_time or min(_covered(like), _covered(after)) >= _DAY
                return found if apart or (found.low >= _OTHER_HOURS <= _at_once(like, after)) else None
    return None


def _at_once(before: Sequence[RunRecord], after: Sequence[RunRecord]) -> float:
    """Times as long as in the hour before runs take in the hour after the change, which the time of day hardly shows; of the
    nearest runs within a few hours where that are too few, NaN without them."""
    change = min((r.start for r in after if r.start is not None), default=math.nan)
    return _compared(_nearest(before, change), _nearest(after, change))


def _nearest(runs: Sequence[RunRecord], moment: float) -> list[RunRecord]:
    apart = sorted(((abs(r.start - moment), i) for i, r in enumerate(runs) if r.start is not None))
    return [runs[i] for n, (away, i) in enumerate(apart) if away <= _HOUR or (n < MIN_RUNS and away <= 2 * _HOURS)]


def _as_every_week(before: Sequence[RunRecord], after: Sequence[RunRecord], least: float) -> bool:
    """Whether runs of the last one or two days take no longer than those of the same days of the week before."""
    if _covered(after) >= 2 * _DAY:
        return False
    like = [r for r in before if any(_same_time(r.start, a.start, _WEEK) for a in after)]
    return _compared(like, after) - 1 < least


def _compared(before: Sequence[RunRecord], after: Sequence[RunRecord]) -> float:
    """How many times as long the runs after take, at equal input where it is known; NaN with too few of them."""
    was, now = ([r.makespan for r in part] for part in (before, after))
    small, large = ([r.input_total for r in part] for part in (before, after))
    return compare(was, now, inputs_before=small, inputs_after=large).ratio


def _covered(runs: Sequence[RunRecord]) -> float:
    """Seconds from the first start to the last."""
    starts = [r.start for r in runs if r.start is not None]
    return max(starts) - min(starts) if starts else 0.0


def _multiples(
    runs: Sequence[RunRecord], others: Sequence[RunRecord], same: _Same
) -> tuple[list[float], list[float | None]]:
    """Makespan and input of each run divided by the medians of its peers among ``others``; runs without peers are left out,
    and inputs are None where they are unknown."""
    multiples, inputs = [], list[float | None]()
    size = {r.run: r.input_total for r in (*runs, *others)}
    for run in runs:
        like = [r for r in others if r is not run and r.makespan and same(r.start, run.start)]
        if run.makespan and like:
            multiples.append(run.makespan / upper_median([r.makespan for r in like if r.makespan]))
            own, sizes = size[run.run], [known for r in like if (known := size[r.run])]
            inputs.append(own / upper_median(sizes) if own and sizes else None)
    return multiples, inputs


def _same_days(one: float | None, other: float | None) -> bool:
    return one is not None and other is not None and weekend(one) == weekend(other)


def _same_hours(one: float | None, other: float | None, every: float = _DAY) -> bool:
    """The same time of day on days of a kind, or of the week."""
    if one is None or other is None or not _same_days(one, other):
        return False
    apart = abs(one - other) % every
    return min(apart, every - apart) <= _HOURS


def _same_time(one: float | None, other: float | None, every: float = _DAY) -> bool:
    """The same hours of another day, or week: those of the same day may be as long for the same reason."""
    return one is not None and other is not None and abs(one - other) > _HOURS and _same_hours(one, other, every)


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
        _as_every_week(*parts, least)
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
