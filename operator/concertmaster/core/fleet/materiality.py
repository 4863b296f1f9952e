"""Materiality: the monthly value of a recommendation, its severity, and whether it is published.

Value is absolute, so that workflows can be compared: minutes of run time, failed runs and money, converted to one scale by
the prices of the policy. Immaterial recommendations are counted, not listed. The threshold to stay published is lower than
the one to become published (hysteresis), so that a recommendation near it does not flap.
"""

from __future__ import annotations

from dataclasses import replace

from concertmaster.core.analysis.objectives import ObjectiveAssessment, ObjectiveResult
from concertmaster.core.analysis.workflow import Analysis
from concertmaster.core.fleet.combined_gain import precedes
from concertmaster.core.model import Impact, Interval, Recommendation, Severity
from concertmaster.core.model.policy import Materiality, Pricing
from concertmaster.core.stats.means import product
from concertmaster.core.units import MINUTE

MIN_MONEY_SHARE = 0.1  # of the threshold in money: a share of the cost that is worth less is not published
WITHDRAW_SHARE = 0.7  # share of a threshold below which a published recommendation is withdrawn
# Least monthly value of each severity, on the scale of the pricing (by default 10 per failed run, 2.5 per run-hour).
MIN_CRITICAL = 1000.0
SEVERITIES = ((Severity.CRITICAL, MIN_CRITICAL), (Severity.HIGH, 100.0), (Severity.MEDIUM, 20.0))


def impact(item: Recommendation, analysis: Analysis) -> Impact:
    """The predicted effect of the recommendation per month, with the error of the run rate. Without a known one only money
    is known."""
    rate = analysis.cost.rate
    if rate is None:
        return Impact(money=item.saving_per_month)
    return Impact(
        run_minutes=_a_month(item.gain_seconds, rate.scaled(1.0 / MINUTE)),
        failed_runs=_a_month(item.failures_avoided, rate),
        money=_a_month(item.saving_per_month, rate.scaled(1.0 / rate.likely)),
    )


def value(effect: Impact, pricing: Pricing) -> float:
    """The likely effect per month on one scale, in the pricing's currency."""
    return (
        likely_gain(effect.money)
        + likely_gain(effect.run_minutes) / 60.0 * pricing.run_hour
        + likely_gain(effect.failed_runs) * pricing.failed_run
    )


def assess(item: Recommendation, analysis: Analysis, *, published: bool = False) -> Recommendation:
    """The recommendation with its impact, its severity by absolute value, and whether it is minor. ``published``: by the
    last analysis."""
    effect = impact(item, analysis)
    minor = not _material(item, effect, analysis, WITHDRAW_SHARE if published else 1.0)
    severity = Severity.INFO if minor else _severity(item, effect, analysis)
    return replace(item, impact=effect, minor=minor, severity=severity)


def _severity(item: Recommendation, effect: Impact, analysis: Analysis) -> Severity:
    if item.severity is Severity.CRITICAL:  # set by the rule: no run succeeds
        return Severity.CRITICAL
    worth = value(effect, analysis.pricing)
    grade = next((severity for severity, least in SEVERITIES if worth >= least), Severity.LOW)
    if _meets(item, analysis) and grade is Severity.LOW:
        return Severity.MEDIUM
    return grade


def _material(item: Recommendation, effect: Impact, analysis: Analysis, factor: float) -> bool:
    least = analysis.options.materiality
    return (
        item.severity is Severity.CRITICAL
        or item.urgent
        or _reaches(item, effect.failed_runs, least.failed_runs * factor)
        or _faster(item, effect, least, factor)
        or _cheaper(item, effect, analysis, least, factor)
        or _meets(item, analysis)
    )


def _faster(item: Recommendation, effect: Impact, least: Materiality, factor: float) -> bool:
    return _reaches(item, effect.run_minutes, least.run_minutes * factor) and _reaches(
        item, item.gain_share, least.run_share * factor
    )


def _cheaper(item: Recommendation, effect: Impact, analysis: Analysis, least: Materiality, factor: float) -> bool:
    if _reaches(item, effect.money, least.money * factor):
        return True
    monthly = analysis.cost.per_month
    share = max(least.cost_share * (monthly or 0.0), MIN_MONEY_SHARE * least.money)
    return bool(monthly) and _reaches(item, effect.money, share * factor)


def _meets(item: Recommendation, analysis: Analysis) -> bool:
    """Whether it refers to an objective, or closes the gap of a missed one on duration, success or cost."""
    return item.objective is not None or any(
        o.verdict is ObjectiveResult.MISSED and o.margin is not None and _makes_up(item, o, o.margin, analysis)
        for o in analysis.objectives
    )


def _makes_up(item: Recommendation, objective: ObjectiveAssessment, margin: float, analysis: Analysis) -> bool:
    """Whether its gain closes the gap; ``margin``: relative distance to the target, negative."""
    if objective.of_duration:
        return not precedes(item.id) and _reaches(item, item.gain_share, -margin / (1.0 - margin))
    if objective.kind == "success":
        return _reaches(item, item.failures_avoided, -margin * analysis.policy.objectives.min_success)
    if objective.kind == "cost per run" and analysis.cost.per_month:
        return _reaches(item, item.saving_per_month, -margin / (1.0 - margin) * analysis.cost.per_month)
    return False


def _reaches(item: Recommendation, amount: Interval | None, least: float) -> bool:
    """Whether this amount of its effect reaches ``least`` and its interval is positive (that of an upper bound begins at
    zero)."""
    if amount is None or amount.likely < least:
        return False
    return amount.low > 0.0 or (item.upper_bound and amount.low == 0.0)


def likely_gain(amount: Interval | None) -> float:
    """The likely amount in its unit; 0 for a loss, or without a prediction."""
    return max(0.0, amount.likely) if amount is not None else 0.0


def _a_month(amount: Interval | None, runs: Interval) -> Interval | None:
    """The amount of so many runs. An effect that is at least nothing in each run is so in a month."""
    if amount is None or runs.low == runs.high:
        return amount.scaled(runs.likely) if amount is not None else None
    monthly = product(amount, runs)
    return replace(monthly, low=max(0.0, monthly.low)) if amount.low >= 0.0 else monthly
