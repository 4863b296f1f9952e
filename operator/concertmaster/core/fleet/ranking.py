"""The most valuable recommendations across workflows, and the total value of all of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from concertmaster.core.fleet.combined_gain import combined_gain
from concertmaster.core.fleet.materiality import likely_gain, value
from concertmaster.core.model import Impact
from concertmaster.core.model.policy import Pricing


@dataclass(frozen=True, slots=True)
class Headline:
    """One published recommendation in fleet views. ``profile``: name of the WorkflowProfile; ``workflow``: kind and name of
    the target; ``confidence``: 0 to 1 (None: unknown)."""

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
    """Monthly value of all published recommendations. Time is counted once: two ways to shorten the same step, or to remove
    the same wait, do not add up. ``money`` by currency."""

    recommendations: int
    workflows: int
    run_hours: float
    failed_runs: float
    money: dict[str, float]


def ranked(headlines: Iterable[Headline], pricing: Pricing) -> list[Headline]:
    """Most valuable first; ties by namespace, profile and id, so that the order is stable."""
    return sorted(headlines, key=lambda h: (-round(value(h.impact, pricing), 2), h.namespace, h.profile, h.id))


def totals(headlines: Sequence[Headline]) -> Totals:
    """Totals over all workflows; overlapping gains within one workflow are counted once (``combined_gain``)."""
    workflows: dict[tuple[str, str], list[Headline]] = {}
    money: dict[str, float] = {}
    for h in headlines:
        workflows.setdefault((h.namespace, h.profile), []).append(h)
        if h.impact.money is not None and h.currency is not None:
            money[h.currency] = money.get(h.currency, 0.0) + likely_gain(h.impact.money)
    gained = [combined_gain((h.id, h.impact) for h in rows) for rows in workflows.values()]
    return Totals(
        len(headlines),
        len(workflows),
        sum(likely_gain(g.run_minutes) for g in gained) / 60.0,
        sum(likely_gain(g.failed_runs) for g in gained),
        dict(sorted(money.items())),
    )


def added(parts: Iterable[Totals]) -> Totals:
    """Totals over several disjoint parts of the fleet."""
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
