"""The most valuable recommendations across workflows, and what all of them are worth together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from concertmaster.core.fleet.materiality import likely_gain, value
from concertmaster.core.fleet.together import together
from concertmaster.core.model import Impact
from concertmaster.core.model.policy import Pricing


@dataclass(frozen=True, slots=True)
class Headline:
    """One published recommendation as the fleet sees it. ``profile`` names the WorkflowProfile, ``workflow`` the target as
    kind and name, ``confidence`` is 0 to 1 (None: not known)."""

    namespace: str
    profile: str
    workflow: str
    id: str
    action: str
    impact: Impact
    effort: str
    risk: str
    severity: str
    confidence: float | None = None
    currency: str | None = None


@dataclass(frozen=True, slots=True)
class Totals:
    """What all published recommendations are worth a month. Time is counted once: two ways to shorten the same step do not
    add up, nor do two ways to end the same wait. ``money`` by currency."""

    recommendations: int
    workflows: int
    run_hours: float
    failed_runs: float
    money: dict[str, float]


def ranked(headlines: Iterable[Headline], pricing: Pricing) -> list[Headline]:
    """The most valuable first; equal values by namespace, profile and id, so that the order never flickers."""
    return sorted(headlines, key=lambda h: (-round(value(h.impact, pricing), 2), h.namespace, h.profile, h.id))


def totals(headlines: Sequence[Headline]) -> Totals:
    """The sums over all workflows; what recommendations of one workflow gain together is counted once (``together``)."""
    workflows: dict[tuple[str, str], list[Headline]] = {}
    money: dict[str, float] = {}
    for h in headlines:
        workflows.setdefault((h.namespace, h.profile), []).append(h)
        if h.impact.money is not None and h.currency is not None:
            money[h.currency] = money.get(h.currency, 0.0) + likely_gain(h.impact.money)
    gained = [together((h.id, h.impact) for h in rows) for rows in workflows.values()]
    return Totals(
        len(headlines),
        len(workflows),
        sum(likely_gain(g.run_minutes) for g in gained) / 60.0,
        sum(likely_gain(g.failed_runs) for g in gained),
        dict(sorted(money.items())),
    )


def added(parts: Iterable[Totals]) -> Totals:
    """The sums over several parts of the fleet that have no workflow in common."""
    recommendations, workflows, run_hours, failed_runs = 0, 0, 0.0, 0.0
    money: dict[str, float] = {}
    for part in parts:
        recommendations += part.recommendations
        workflows += part.workflows
        run_hours += part.run_hours
        failed_runs += part.failed_runs
        for currency, amount in part.money.items():
            money[currency] = money.get(currency, 0.0) + amount
    return Totals(recommendations, workflows, run_hours, failed_runs, dict(sorted(money.items())))
