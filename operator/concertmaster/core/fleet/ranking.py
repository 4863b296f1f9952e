"""The most valuable recommendations across workflows, and the total value of all of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from concertmaster.core.fleet.combined_gain import combined_gain
from concertmaster.core.fleet.materiality import MIN_CRITICAL, likely_gain, value
from concertmaster.core.model import Impact, Interval, Severity
from concertmaster.core.model.enums import RuleName
from concertmaster.core.model.policy import Pricing
from concertmaster.core.model.recommendations import rule_of


@dataclass(frozen=True, slots=True)
class Headline:
    """One published recommendation in fleet views. ``profile``: name of the WorkflowProfile; ``workflow``: kind and name of
    the target; ``confidence``: 0 to 1 (None: unknown). ``namespaces``: how many have it, see ``ranked_copies``."""

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
    namespaces: int = 1


_FIGURES = re.compile(r"\d+(?:[.,:]\d+)*")


@dataclass(frozen=True, slots=True)
class Totals:
    """Monthly value of all published recommendations. Time is counted once: two ways to shorten the same step, or to remove
    the same wait, do not add up. ``money`` by currency."""

    recommendations: int
    workflows: int
    run_hours: float
    failed_runs: float
    money: dict[str, float]


def order_value(identifier: str, severity: str, effect: Impact, pricing: Pricing) -> float:
    """What the order goes by: the likely effect per month in the pricing's currency. Of a workflow that no longer succeeds
    it is at least that of its severity: few failed runs are promised of a row, which may end by itself."""
    broken = severity == Severity.CRITICAL and rule_of(identifier) == RuleName.FAILING_STEP
    return max(value(effect, pricing), MIN_CRITICAL if broken else 0.0)


def ranked(headlines: Iterable[Headline], pricing: Pricing) -> list[Headline]:
    """Most valuable first; ties by namespace, profile and id, so that the order is stable."""

    def order(h: Headline) -> tuple[float, str, str, str]:
        return -round(order_value(h.id, h.severity, h.impact, pricing), 2), h.namespace, h.profile, h.id

    return sorted(headlines, key=order)


def ranked_copies(headlines: Iterable[Headline], pricing: Pricing) -> list[Headline]:
    """The same with one line for copies of a workflow, as each tenant has of one template: of workflows of one kind and name
    in several namespaces with the same recommendation, but for its figures, the most valuable one stays, with the impact of
    all of them."""
    copies: dict[tuple[str, str, str, str | None], dict[str, Headline]] = {}
    for h in ranked(headlines, pricing):
        copies.setdefault((h.workflow, h.id, _FIGURES.sub("", h.action), h.currency), {}).setdefault(h.namespace, h)
    return ranked(map(_together, map(list, map(dict.values, copies.values()))), pricing)


def _together(copies: Sequence[Headline]) -> Headline:
    first, *others = copies
    if not others:
        return first
    impacts = [h.impact for h in copies]
    impact = Impact(
        _sum([i.run_minutes for i in impacts]), _sum([i.failed_runs for i in impacts]), _sum([i.money for i in impacts])
    )
    return replace(first, impact=impact, namespaces=sum(h.namespaces for h in copies))


def _sum(amounts: Sequence[Interval | None]) -> Interval | None:
    """Ends are added, too: what is wrong about one copy may be wrong about all."""
    known = [a for a in amounts if a is not None]
    if not known:
        return None
    return Interval(sum(a.low for a in known), sum(a.likely for a in known), sum(a.high for a in known))


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
