"""Data: a change rests on what was seen lately and on enough of it."""

from __future__ import annotations

from concertmaster.core.changes.checks.base import Situation, Verdict, closed, passed
from concertmaster.core.changes.plan import Kind, Plan
from concertmaster.core.text import count, duration, percent

NAME = "data"
MIN_BASELINE = 5  # runs; with fewer a proof could not tell anything


def check(plan: Plan, situation: Situation) -> Verdict:
    """Closed on stale metrics, without runs to compare with, and for requests on too few samples of the step."""
    until, most = situation.data_until, situation.max_data_age
    if until is None:
        return closed(NAME, "NoData", "nothing is known of when the metrics were read last")
    age = situation.now - until
    if age > most:
        message = f"the metrics end {duration(age)} ago, at most {duration(most)} is accepted; see MetricsAvailable"
        return closed(NAME, "StaleData", message)
    if situation.baseline_runs < MIN_BASELINE:
        seen = count(situation.baseline_runs, "run")
        return closed(NAME, "NoBaseline", f"{seen} since the last change, {MIN_BASELINE} are needed to compare with")
    if plan.kind is Kind.RESOURCES:
        covered, least = situation.coverage, situation.min_coverage
        if covered is None or covered < least:
            share = "an unknown share" if covered is None else percent(covered)
            return closed(
                NAME, "LowCoverage", f"{share} of the executions has samples, at least {percent(least)} is needed"
            )
    return passed(NAME, f"the metrics are {duration(max(0.0, age))} old")
