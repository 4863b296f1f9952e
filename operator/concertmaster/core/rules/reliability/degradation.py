"""``degradation``: since when a workflow is slower, by how much, and because of which step.

Fires on an upward change point of the makespan of more than ``minIncreasePercent`` that persists, or of a step where what
other steps add hides it. Names the step, and the change of template, image or requests, that the trend shows with it
(``Analysis.causes``). Where input sizes are known, their effect is removed first: runs that take longer because of larger
input are no degradation (see ``analysis.insights``).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence

from concertmaster.core import text
from concertmaster.core.analysis.replay import ExecutedRun, WhatIf
from concertmaster.core.analysis.replay.gain import Gain, gain
from concertmaster.core.fleet.materiality import WITHDRAW_SHARE
from concertmaster.core.model import Category, Finding, Interval, Level
from concertmaster.core.model.enums import RuleName
from concertmaster.core.model.policy import Objectives
from concertmaster.core.rules.base import GRADUAL, Damping, Rule, gain_sentence
from concertmaster.core.rules.evidence import Evidence
from concertmaster.core.rules.intervals import in_share, share_interval, share_of_present, true_factor
from concertmaster.core.rules.reliability.regression_by_day import regression_by_day
from concertmaster.core.rules.reliability.regressions import Regression, regressions
from concertmaster.core.rules.reliability.rise_context import (
    before_start,
    median_before,
    more_items,
    other_nodes,
    shorter_step,
    weekly,
)
from concertmaster.core.rules.upper_bound import attainable
from concertmaster.core.stats.means import combined
from concertmaster.core.stats.summary import summarize
from concertmaster.core.times import to_minute

_MIN_DIFFERENCE = 0.05  # of the former level
_MIN_SHARE = 0.2  # of the runs since then: a step that is new in fewer of them explains little


def _broken(objectives: Objectives, rise: Regression) -> str | None:
    """The first duration objective met before the change and missed after it, as ``p95 of 30m00s``."""
    sides = [summarize([r.makespan or 0.0 for r in part]) for part in (rise.before, rise.after)]
    for name, _, target in objectives.duration.targets():
        was, now = (getattr(side, name) for side in sides)
        if was is not None and now is not None and was <= target < now:
            return f"{name} of {text.duration(target)}"
    return None


def _factors(rise: Regression) -> tuple[float, Interval]:
    """By which factor seconds rose: as seen, and the true one with its interval."""
    point, like = rise.point, rise.like
    alike = true_factor(like.p_value, like.ratio, like.low, like.high)
    # As the trend says, unless hours or days add to it. It takes the season for known, so the interval spans both.
    if rise.gradual is not None or rise.fall is not None:  # the trend compares two neighbouring levels only
        return like.ratio, alike
    trend = true_factor(1.0 - point.confidence, point.ratio, point.low, point.high)
    seen, likely = (
        (like.ratio, alike.likely) if point.ratio - like.ratio >= _MIN_DIFFERENCE else (point.ratio, trend.likely)
    )
    return seen, Interval(min(trend.low, alike.low), likely, max(trend.high, alike.high))


def _of_runs(evidence: Evidence, rise: Regression, least: float) -> Finding:
    """The runs as a whole take longer."""
    cause, (was, now) = rise.cause, rise.medians
    seen, truly = _factors(rise)
    share = share_of_present(truly)
    seconds = share.scaled(now * _stretched(evidence, rise))
    broken = _broken(evidence.objectives, rise)
    name = evidence.title(cause.step) if cause.step is not None else "this workflow"
    blame = (
        f": {name} went from {text.duration(cause.seconds[0])} to {text.duration(cause.seconds[1])}"
        f"{before_start(evidence, rise, cause.step or '')}"
        if cause.seconds is not None
        else _added(evidence, rise) or more_items(evidence, rise, least) or "; no single step explains it"
    )
    return Finding(
        step=cause.step,
        action=_action(rise, name, seen),
        because=(
            f"runs take {text.duration(now)} instead of {text.duration(was)} (median of {_sides(rise)}"
            f" in {evidence.window()}{_alone(rise, seen, truly)}{_elsewhere(evidence, rise)})"
            f"{_when(rise)}{_partly(rise)}{blame}{other_nodes(evidence, rise)}{rise.cause.clause}"
        ),
        otherwise=f"every run stays {text.duration(seconds.likely)} longer{weekly(evidence, seconds.likely)}"
        + (f", and the objective {broken} is missed, which the runs before met" if broken else ""),
        current=f"{text.duration(now)} median",
        proposed=median_before(now * (1.0 - share.likely), was),
        expected=gain_sentence(share, seconds),
        confidence=rise.point.confidence,
        objective=f"duration {broken}" if broken else None,
        gain_seconds=seconds,
        gain_share=share,
        evidence=_evidence(rise),
    )


def _added(evidence: Evidence, rise: Regression) -> str:
    """Which steps runs take since then that no earlier one took."""
    taken = {r.run: {e.step for e in r.steps if e.outcome.over} for r in evidence.analysis.runs}
    known = set().union(*(taken[r.run] for r in rise.before))
    often = Counter(step for r in rise.after for step in taken[r.run] - known)
    new = [step for step, count in often.most_common() if count >= _MIN_SHARE * len(rise.after)]
    if not new:
        return ""
    share = text.percent(often[new[0]] / len(rise.after))
    names = text.listing([evidence.title(step) for step in new])
    return f"; {names} {'runs' if len(new) == 1 else 'run'} in {share} of them, and in none before"


def _of_step(evidence: Evidence, rise: Regression, least: float) -> Finding | None:
    """A step takes longer, which does not show in the runs as a whole; None where its runs lose less than ``least``."""
    later = {r.run for r in evidence.analysis.runs if (r.end or 0.0) >= rise.since}
    since = [run for run in evidence.analysis.executed if run.usable and run.run in later]
    with_it = [run for run in since if rise.step in run.pods]
    (was, now), (seen, truly) = rise.medians, _factors(rise)
    likely, low, high = (_undone(with_it, rise.step, r) for r in (truly.likely, truly.low, truly.high))
    often = share_interval(len(with_it), len(since))
    if not (likely.share and likely.seconds and low.seconds and high.seconds and often):
        return None
    if likely.share.likely < share_of_present(Interval(*[1.0 + least] * 3)).likely or likely.seconds.low <= 0:
        return None
    middle = likely.seconds.likely
    seconds = combined(middle, [likely.seconds, Interval(low.seconds.likely, middle, high.seconds.likely)])
    share = seconds.scaled(likely.share.likely / middle)
    some = len(with_it) < len(since)
    mean = in_share(seconds.scaled(often.likely), len(with_it), len(since))
    whole = mean.scaled(1.0 / (evidence.analysis.makespan.mean or math.inf)) if some else share
    shorter, beside = shorter_step(evidence, rise, least), "other steps vary by more, so that run times do not show it"
    if shorter is not None:
        step, old, new = shorter
        (share, seconds), (whole, mean) = attainable((share, seconds)), attainable((whole, mean))
        beside = (
            f"{evidence.title(step)} takes {text.duration(new)} instead of {text.duration(old)}: work may have moved"
        )
    name, of_them = evidence.title(rise.step), f" with {rise.step}" if some else ""
    among = f" ({text.percent(often.likely)} of all)" if some else ""
    return Finding(
        step=rise.step,
        action=_action(rise, name, seen),
        because=(
            f"{name} takes {text.duration(now)} instead of {text.duration(was)}{before_start(evidence, rise, rise.step)}"
            f" (median of its longest execution in {_sides(rise)} in {evidence.window()}"
            f"{_alone(rise, seen, truly)}{_elsewhere(evidence, rise)}){_when(rise)}{_partly(rise)}"
            f"{other_nodes(evidence, rise)}{rise.cause.clause}; {beside}"
        ),
        otherwise=f"every run{of_them} stays {text.duration(seconds.likely)} longer{weekly(evidence, mean.likely)}",
        current=f"{text.duration(now)} median",
        proposed=median_before(now / truly.likely, was),
        expected=gain_sentence(share, seconds, f"each run{of_them}{among}")
        + (f", at most if no work came from {evidence.title(shorter[0])}" if shorter is not None else ""),
        confidence=rise.point.confidence,
        gain_seconds=mean,
        gain_share=whole,
        upper_bound=shorter is not None,
        evidence=(*_evidence(rise), "replayed with the step as long as before in the runs since then"),
    )


def _action(rise: Regression, what: str, seen: float) -> str:
    kind, since = (GRADUAL, "") if rise.gradual is not None else ("regression", _when(rise))
    return f"Investigate {kind} in {what}{since} (+{text.percent(seen - 1)})"


def _sides(rise: Regression) -> str:
    """The runs that are compared."""
    old, new = len(rise.before), f"{len(rise.after)} runs{' of whole days' if rise.whole_days else ''}"
    if rise.fall is not None:
        return f"{new} since {to_minute(rise.fall.time)} against {old} before {to_minute(rise.point.time)}"
    apart = "after" if rise.gradual is None else f"since {to_minute(rise.point.time)}"
    return f"{new} {apart} against {old} before"


def _when(rise: Regression) -> str:
    growth = rise.gradual
    if growth is None:
        return f" since {to_minute(rise.point.time)}"
    return f"; gradual increase between about {to_minute(growth.since)} and {to_minute(growth.until)}"


def _partly(rise: Regression) -> str:
    """That a part of it is gone."""
    return "" if rise.fall is None else f", partly reverted around {to_minute(rise.fall.time)}"


def _undone(runs: Sequence[ExecutedRun], step: str, ratio: float) -> Gain:
    return gain(runs, WhatIf.scale_step(step, 1.0 / max(1.0, ratio)))


def _alone(rise: Regression, seen: float, truly: Interval) -> str:
    """What the medians do not say of the rise."""
    was, now = rise.medians
    apart = abs(seen - now / was) >= _MIN_DIFFERENCE  # the medians are of other hours or days
    alone = f"; +{text.percent(seen - 1)} compared with runs at the same hours and days" if apart else ""
    if seen - truly.likely < _MIN_DIFFERENCE:
        return alone
    return (
        f"{alone}; likely +{text.percent(truly.likely - 1)}, because chance exaggerates what is noticed among runs that vary"
        " this much"
    )


def _stretched(evidence: Evidence, rise: Regression) -> float:
    """Times as long as counted that the runs since then take on average: what is added takes longer on slow nodes, too."""
    delays = evidence.analysis.node_delays
    counted = sum(r.makespan or 0.0 for r in rise.after)
    return 1.0 + sum(delays.get(r.run, 0.0) for r in rise.after) / counted if counted > 0.0 else 1.0


def _elsewhere(evidence: Evidence, rise: Regression) -> str:
    """That slow nodes, on which some executions ran, are not in the medians."""
    slow, runs = evidence.analysis.slow_nodes, {run.run for run in (*rise.before, *rise.after)}
    there = slow is not None and any(
        rise.step in ("", e.step) and slow.slows(e) for r in evidence.analysis.runs if r.run in runs for e in r.steps
    )
    return f"; {slow.title} counted as fast as the others" if slow is not None and there else ""


def _evidence(rise: Regression) -> tuple[str, ...]:
    point, like = rise.point, rise.like
    change = f"the median changed by a factor of {point.ratio:.2f} (95% interval {point.low:.2f} to {point.high:.2f})"
    return (
        *([change] if rise.gradual is None and rise.fall is None else []),
        f"compared with earlier runs at similar times: a factor of {like.ratio:.2f} (95% interval {like.low:.2f} to"
        f" {like.high:.2f})",
    )


def evaluate(evidence: Evidence) -> Iterator[Finding | None]:
    """The persistent slowdown of the workflow, else those of its steps."""
    least = evidence.settings.number("minIncreasePercent", 10.0) / 100
    findings = _findings(evidence, least, whole=False) or _findings(evidence, least, whole=True)
    published = evidence.published_about(RULE.name)
    for whole in (False, True):  # near the threshold, single runs would make it come and go
        if missing := published - {f.step or "" for f in findings}:
            found = _findings(evidence, WITHDRAW_SHARE * least, whole=whole)
            findings += [f for f in found if (f.step or "") in missing]
    yield from findings
    seen = evidence.published_about(RULE.name, changed=True)  # a change of the definition may be why runs take longer
    least = WITHDRAW_SHARE * least if seen else least
    if not findings:
        yield regression_by_day(evidence, seen, least)


def _findings(evidence: Evidence, least: float, *, whole: bool) -> list[Finding]:
    """Of rises at a change point, or of growth that is clear as a ``whole``."""
    rises = regressions(evidence, least, whole=whole)
    found = [_of_step(evidence, rise, least) if rise.step else _of_runs(evidence, rise, least) for rise in rises]
    return [finding for finding in found if finding is not None]


RULE = Rule(
    RuleName.DEGRADATION,
    evaluate,
    Category.PERFORMANCE,
    Level.MEDIUM,
    tie_break=10,
    settings=("minIncreasePercent",),
    damping=Damping.DAY,
)
