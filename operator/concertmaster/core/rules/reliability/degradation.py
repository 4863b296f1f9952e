"""``degradation``: since when a workflow is slower, by how much, and because of which step.

Fires on an upward change point of the makespan of more than ``minIncreasePercent`` that persists, or of the runs with a step
that others skip. Names the step, and the change of template, image or requests, that the trend shows with it
(``Analysis.causes``). Where input sizes are known, their effect is removed first: runs that take longer because of larger
input are no degradation (see ``analysis.insights``).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from concertmaster.core import text
from concertmaster.core.changepoint.clear import CHANCE, CLEAR
from concertmaster.core.model import Category, Finding, Interval, Level
from concertmaster.core.model.policy import Objectives
from concertmaster.core.rules.base import Evidence, Rule, gain_sentence
from concertmaster.core.rules.reliability.rises import Rise, regressions
from concertmaster.core.stats.means import combined
from concertmaster.core.stats.noticed import once_noticed
from concertmaster.core.stats.quantiles import normal_quantile
from concertmaster.core.stats.summary import summarize
from concertmaster.core.times import to_minute

_APART = 0.05  # of the former level


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


def _broken(wanted: Objectives, rise: Rise) -> str | None:
    """The first duration objective met before the change and missed after it, as ``p95 of 30m00s``."""
    old, new = (summarize([r.makespan or 0.0 for r in part]) for part in (rise.before, rise.after))
    for name, target, was, now in (
        ("p50", wanted.duration.p50, old.p50, new.p50),
        ("p95", wanted.duration.p95, old.p95, new.p95),
        ("p99", wanted.duration.p99, old.p99, new.p99),
    ):
        if target is not None and was is not None and now is not None and was <= target < now:
            return f"{name} of {text.duration(target)}"
    return None


def _factors(rise: Rise) -> tuple[float, Interval]:
    """By which factor runs take longer: as seen, and the true one with its interval."""
    point, like = rise.point, rise.like
    alike = _truly(like.p_value, like.ratio, like.low, like.high)
    if rise.only:  # the trend is that of the step
        return like.ratio, alike
    # As the trend says, unless hours or days add to it. It takes the season for known, so the interval spans both.
    trend = _truly(1.0 - point.confidence, point.ratio, point.low, point.high)
    seen, likely = (like.ratio, alike.likely) if point.ratio - like.ratio >= _APART else (point.ratio, trend.likely)
    return seen, Interval(min(trend.low, alike.low), likely, max(trend.high, alike.high))


def _finding(evidence: Evidence, rise: Rise) -> Finding:
    analysis = evidence.analysis
    point, like, cause = rise.point, rise.like, rise.cause
    was, now = rise.medians
    seen, truly = _factors(rise)
    blame = (
        f": {cause.step} went from {text.duration(cause.seconds[0])} to {text.duration(cause.seconds[1])}"
        if cause.seconds is not None
        else "; no single step explains it"
    )
    changed = f"; changed at the same time: {cause.what}" if cause.what else ""
    share = Interval(*(max(0.0, 1 - 1 / max(1.0, r)) for r in (truly.low, truly.likely, truly.high)))
    seconds = share.scaled(now)
    slower = text.percent(seen - 1)
    apart = abs(seen - now / was) >= _APART  # the medians are of other hours or days
    alone = f"; +{slower} beside runs of the same hours and days" if apart else ""
    if seen - truly.likely >= _APART:
        more = text.percent(truly.likely - 1)
        alone += f"; likely +{more}, since among such varied runs chance adds to what is noticed"
    rate = analysis.cost.runs_per_month
    a_month = rate * rise.share.likely if rate is not None else None
    weekly = f" ({text.duration(seconds.likely * a_month * 7 / 30)} a week at the present rate)" if a_month else ""
    broken = None if rise.only else _broken(evidence.objectives, rise)
    of_them = f" with {rise.only}" if rise.only else ""
    gain_seconds, gain_share = _over_all_runs(evidence, rise, seconds) if rise.only else (seconds, share)
    return Finding(
        step=cause.step,
        action=f"Investigate regression in {cause.step or 'this workflow'} since {to_minute(point.time)} (+{slower})",
        because=(
            f"runs{of_them} take {text.duration(now)} instead of {text.duration(was)} (median of {len(rise.after)} runs"
            f" after against {len(rise.before)} before in {evidence.window()}{alone}) since {to_minute(point.time)}"
            f"{blame}{changed}"
        ),
        otherwise=f"every run{of_them} stays {text.duration(seconds.likely)} longer{weekly}"
        + (f", and the objective {broken} is missed, which the runs before met" if broken else ""),
        current=f"{text.duration(now)} median",
        proposed=f"{text.duration(now - seconds.likely)} median, as before",
        expected=gain_sentence(share, seconds, f"each run{of_them}")
        + (f", {text.percent(rise.share.likely)} of all" if rise.only else ""),
        confidence=point.confidence,
        objective=f"duration {broken}" if broken else None,
        gain_seconds=gain_seconds,
        gain_share=gain_share,
        evidence=(
            f"change of the median{f' of {rise.only}' if rise.only else ''} by a factor {point.ratio:.2f}, 95% interval"
            f" {point.low:.2f} to {point.high:.2f}",
            "beside earlier runs at comparable times a factor"
            f" {like.ratio:.2f}, 95% interval {like.low:.2f} to {like.high:.2f}",
        ),
    )


def _over_all_runs(evidence: Evidence, rise: Rise, seconds: Interval) -> tuple[Interval, Interval]:
    """Seconds gained on average over all runs, and as a share of their mean, of ``seconds`` in those with the step."""
    saved = seconds.likely * rise.share.likely
    mean = combined(saved, [seconds.scaled(rise.share.likely), rise.share.scaled(seconds.likely)])
    return mean, mean.scaled(1.0 / (evidence.analysis.makespan.mean or math.inf))


def evaluate(evidence: Evidence) -> Iterator[Finding]:
    """The persistent slowdown of the workflow, else those of its conditional steps."""
    if evidence.analysis.enough:
        least = evidence.settings.number("minIncreasePercent", 10.0) / 100
        yield from (_finding(evidence, rise) for rise in regressions(evidence, least))


RULE = Rule("degradation", evaluate, Category.PERFORMANCE, Level.MEDIUM, tie_break=10, settings=("minIncreasePercent",))
