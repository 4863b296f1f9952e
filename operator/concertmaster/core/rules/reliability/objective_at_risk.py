"""``objective-at-risk``: an objective that is met today and will be missed if the current trend continues.

A date is given only when the whole interval of the slope is positive, and no further ahead than the trend has been
observed. Growth may have passed an objective that the window as a whole still meets: then the date lies in the past.
Objectives already missed are reported by the ObjectivesMet condition.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from concertmaster.core import text
from concertmaster.core.analysis.objectives import ObjectiveResult
from concertmaster.core.changepoint import ObjectiveForecast, OutlookState, outlook
from concertmaster.core.model import Category, Finding, Level, Outcome
from concertmaster.core.model.enums import RuleName
from concertmaster.core.rules.base import Rule
from concertmaster.core.rules.evidence import Evidence
from concertmaster.core.stats.exact import binomial_tail
from concertmaster.core.times import day
from concertmaster.core.units import DAY


@dataclass(frozen=True, slots=True)
class _Watched:
    """One objective: its limit, and the values of the runs it applies to."""

    id: str
    name: str
    limit: float
    percentile: float
    times: list[float]
    values: list[float]
    money: bool = False


def _watched(evidence: Evidence) -> Iterator[_Watched]:
    analysis, objectives = evidence.analysis, evidence.objectives
    good = [r for r in analysis.runs if r.outcome.timed and r.end is not None and r.makespan is not None]
    times, spans = [r.end or 0.0 for r in good], [r.makespan or 0.0 for r in good]
    for label, percentile, limit in objectives.duration.targets():
        yield _Watched(f"duration-{label}", f"duration {label}", limit, percentile, times, spans)
    if objectives.max_cost_per_run is not None:
        priced = [(r.end, c.total) for r in analysis.runs if (c := analysis.costs.run(r)) is not None]
        ends = [e or 0.0 for e, _ in priced]
        yield _Watched(
            "cost", "cost per run", objectives.max_cost_per_run, 0.5, ends, [c for _, c in priced], money=True
        )


def _culprit(evidence: Evidence) -> str:
    """The step whose own trend adds the most seconds per week, as a clause."""
    rising = [
        (s.trend.trend_per_week.likely * (s.path.seconds if s.path else 0.0), s)
        for s in evidence.analysis.steps
        if s.trend.trend_per_week is not None and s.trend.trend_per_week.low > 0
    ]
    if not rising:
        return "; no single step explains it"
    seconds, step = max(rising, key=lambda pair: (pair[0], pair[1].step))
    return f"; most of it from {evidence.title(step.step)}, {text.duration(seconds)} more each week"


def _finding(evidence: Evidence, row: _Watched, forecast: ObjectiveForecast) -> Finding | None:
    if forecast.at is None or forecast.level is None:
        return None
    currency = evidence.analysis.pricing.currency

    def shown(value: float) -> str:
        return text.money(value, currency) if row.money else text.duration(value)

    left, date = forecast.at.likely - evidence.analysis.now, day(forecast.at.likely)
    early, late = (t - evidence.analysis.now for t in (forecast.at.low, forecast.at.high))
    latest = text.duration(late)
    span = f"between {text.duration(early)} and {latest} from now" if early > 0 else f"at most {latest}"
    slope = (row.limit - forecast.level) / left * 7 * DAY if left else 0.0
    limit = shown(row.limit)
    passed = forecast.level > row.limit
    return Finding(
        about=row.id,
        action=f"Stop growth of {row.name}: {'missed' if passed else 'will miss'} objective of {limit} on {date}",
        because=(
            f"it is at {shown(forecast.level)} and grows by {shown(slope)} a week {evidence.runs(len(row.values))}"
            f"{'' if row.money else _culprit(evidence)}"
        ),
        otherwise=(
            "the objective is missed as older runs leave the window, which as a whole still meets it"
            if passed
            else f"the objective is missed in {text.duration(left)} ({span})"
        ),
        category=Category.COST if row.money else Category.PERFORMANCE,
        current=f"{row.name} {shown(forecast.level)}",
        proposed=f"at most {limit}",
        expected=(
            f"{shown(forecast.level - row.limit)} less meets the objective again"
            if passed
            else f"{shown(slope)} less growth a week keeps the objective; {shown(row.limit - forecast.level)} are left of it"
        ),
        confidence=0.6,
        objective=row.name,
        evidence=("robust slope of the logarithms since the last change; its whole 95% interval rises",),
    )


def _success(evidence: Evidence) -> Finding | None:
    """A success rate that meets its objective over the window, but not in its newest third."""
    target = evidence.objectives.min_success
    known = [r for r in evidence.analysis.runs if r.outcome in (Outcome.SUCCEEDED, Outcome.FAILED)]
    recent = known[-max(10, len(known) // 3) :]
    if target >= 1 or not known or len(known) < 2 * len(recent):
        return None
    before = known[: len(known) - len(recent)]
    failed, earlier = (sum(r.outcome is Outcome.FAILED for r in part) for part in (recent, before))
    overall = 1 - (failed + earlier) / len(known)
    rise = failed / len(recent) - earlier / len(before)
    if overall < target or rise < 0.05 or binomial_tail(failed, len(recent), 1 - target) >= 0.05:
        return None
    rate = 1 - failed / len(recent)
    return Finding(
        about="success",
        action=(
            f"Investigate the failures of the last {len(recent)} runs before the success objective of"
            f" {text.percent(target)} is missed"
        ),
        because=(
            f"{failed} of the last {len(recent)} runs failed, {earlier} of the {len(before)} before them"
            f" ({evidence.window()}); the"
            f" window as a whole still has {text.percent(overall, 1)}"
        ),
        otherwise=(
            f"success settles at about {text.percent(rate)}, and the objective is missed as older runs leave the window"
        ),
        current=f"success {text.percent(rate)} of the last {len(recent)} runs",
        proposed=f"at least {text.percent(target)}",
        expected=f"success back at {text.percent(1 - earlier / len(before), 1)} of the runs, as before",
        confidence=0.7,
        objective="success",
        evidence=(
            f"so many failures have a probability of {binomial_tail(failed, len(recent), 1 - target):.1%} at the objective",
        ),
    )


def evaluate(evidence: Evidence) -> Iterator[Finding | None]:
    """One recommendation per objective that a trend will exceed."""
    met = {o.kind for o in evidence.analysis.objectives if o.verdict is ObjectiveResult.MET}
    for row in _watched(evidence):
        forecast = outlook(row.times, row.values, row.limit, percentile=row.percentile, now=evidence.analysis.now)
        if forecast.state is OutlookState.AT_RISK or (forecast.state is OutlookState.MISSED and row.name in met):
            yield _finding(evidence, row, forecast)
    yield _success(evidence)


RULE = Rule(RuleName.OBJECTIVE_AT_RISK, evaluate, Category.RELIABILITY, Level.MEDIUM, tie_break=9, steps=False)
