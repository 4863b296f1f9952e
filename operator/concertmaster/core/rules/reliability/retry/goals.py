"""What a retry limit must reach: success of the workflow's runs, and from it success of each execution of a step."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from concertmaster.core import text
from concertmaster.core.rules.evidence import Evidence
from concertmaster.core.rules.reliability.retry.attempts import Attempts, episodes
from concertmaster.core.rules.reliability.retry.limit import RetryLimit, like_retry, retry_limit
from concertmaster.core.stats.quantiles import beta_cdf

_SIGNIFICANCE = 0.05  # probability of as many failures in a workflow with an immaterial number of them


@dataclass(frozen=True, slots=True)
class Goal:
    """``executions``: share of the step's executions that must succeed; ``why``: what requires it."""

    executions: float
    why: str


def goals(evidence: Evidence, attempts: Collection[Attempts], own: Attempts, given: float) -> Iterator[Goal]:
    """What the limit must reach, strictest first: fewer failed runs a month than are material, then the objective. Failed
    runs matter beside a met objective too (5% of hourly runs are 36 a month), but only where they are too frequent and too
    far apart to be the few, or the one outage, that any workflow has. ``given``: the share of runs (0 to 1) that a setting
    demands instead (0: none does). ``attempts``: those of all steps, ``own`` among them."""
    least = given or evidence.analysis.policy.objectives.min_success
    rate = evidence.analysis.cost.runs_per_month
    few = evidence.analysis.options.materiality.failed_runs
    goals = [(least, f"{text.percent(least)} of runs to succeed")]
    if not given and rate is not None and 0 < few < rate * (1 - least):
        runs = len(own.runs)
        failures = episodes(own.failed)
        if failures and beta_cdf(few / rate, failures, runs - failures + 1.0) <= _SIGNIFICANCE:
            goals.insert(0, (1 - few / rate, f"failed runs to be immaterial (at most {few:g} a month)"))
    for share, why in goals:
        yield Goal(_target(share, attempts, own), why)


def _target(success: float, attempts: Collection[Attempts], own: Attempts) -> float:
    """Success each execution must reach, so that all failing steps together reach ``success`` per run."""
    failing = sum(a.lasting > 0 for a in attempts)
    return float(success ** (1.0 / max(1.0, own.width * failing)))


def limit_for(goals: Iterable[Goal], own: Attempts) -> tuple[Goal, RetryLimit] | None:
    """The strictest goal that is missed and that some limit reaches, with that limit."""
    for goal in goals:
        recommended = retry_limit(own.chains, goal.executions, like_retry(own.runs))
        reached = recommended.success_now is not None and recommended.success_now >= goal.executions
        if recommended.limit is not None and not reached:
            return goal, recommended
    return None
