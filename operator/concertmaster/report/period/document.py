"""The model of a report over a period, from statuses of profiles and changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from concertmaster.api.views.fleet import AdoptionInPeriod, CostGroup, PeriodReport, WorkflowRow
from concertmaster.core.model.daily import ROLLED_BACK, RecommendationOutcome
from concertmaster.core.model.enums import RecommendationState, RuleName, Verdict
from concertmaster.core.model.recommendations import rule_of
from concertmaster.core.times import iso
from concertmaster.core.units import DAY
from concertmaster.report.costs.groups import PricedWorkflow, by_component, by_step, summed
from concertmaster.report.period.days import Days, counted, months, within
from concertmaster.report.workflows.caches import cache_rows
from concertmaster.report.workflows.coverage import freshness_text, none_text, scale_text
from concertmaster.report.workflows.fields import moment, workflow_name
from concertmaster.report.workflows.fleet import FleetView

TOP_RECOMMENDATIONS = 10
MAX_WORKFLOWS = 10_000
UNLABELLED = "(no label)"


@dataclass(frozen=True, slots=True)
class ReportScope:
    """What a report is about. ``since`` and ``until`` in unix seconds; ``source`` is cluster or facts."""

    since: float
    until: float
    source: str
    text: str
    label: str | None = None


def period_report(
    view: FleetView,
    scope: ReportScope,
    *,
    priced: Sequence[PricedWorkflow],
    days: Days | None = None,
    adoptions: Sequence[RecommendationOutcome] | None = None,
    notes: Iterable[str],
) -> PeriodReport:
    """The report. ``priced``: workflows whose cost is known by component. ``days`` and ``adoptions``: daily rows and what
    became of recommendations, which may reach further back than what the profiles say; None: not known."""
    known = within(days or {}, scope.since, scope.until)
    view = counted(view, known, scope.since, scope.until) if known else view
    rows = view.page(limit=MAX_WORKFLOWS)
    results = [r for r in view.results if (at := moment(r.since)) is None or at >= scope.since]
    label = scope.label
    return PeriodReport(
        generated=iso(view.now) or "",
        since=iso(scope.since) or "",
        until=iso(scope.until) or "",
        days=round((scope.until - scope.since) / DAY, 2),
        source=scope.source,
        scope=scope.text,
        summary=view.summary,
        top=tuple(view.top_actions(TOP_RECOMMENDATIONS)),
        objectives=tuple(view.objectives),
        degradations=tuple(view.degradations),
        adoption=view.adoption,
        adopted=None if adoptions is None else adopted(adoptions, scope.since, scope.until),
        results=tuple(results),
        demand=tuple(_demand(view)),
        caches=cache_rows(view.profiles),
        label=label,
        cost_by_label=groups(rows, lambda r: r.labels.get(label, UNLABELLED)) if label else (),
        cost_by_namespace=groups(rows, lambda r: r.namespace),
        cost_by_workflow=groups(rows, lambda r: f"{r.namespace}/{r.workflow or r.profile}"),
        cost_by_step=by_step(priced),
        cost_by_component=by_component(priced),
        months=months(view, known),
        counted=len(known),
        workflows=tuple(rows),
        notes=tuple(dict.fromkeys([*_coverage(view), *notes])),
    )


def _coverage(view: FleetView) -> Iterable[str]:
    """What a reader has to know before any figure."""
    if stale := freshness_text(view):
        yield f"{stale}."
    if view.rows and not view.headlines:
        yield none_text(view)
    elif scale := scale_text(view):
        yield scale


def adopted(adoptions: Sequence[RecommendationOutcome], since: float, until: float) -> AdoptionInPeriod:
    """What became of recommendations between two times (unix seconds)."""
    changed = [a for a in adoptions if since <= a.since < until]
    states = Counter(a.state for a in changed)
    return AdoptionInPeriod(
        recommended=sum(since <= a.first < until for a in adoptions),
        implemented=states[RecommendationState.IMPLEMENTED],
        improved=sum(a.state == RecommendationState.IMPLEMENTED and a.verdict == Verdict.IMPROVED for a in changed),
        rolled_back=states[ROLLED_BACK],
        dismissed=states[RecommendationState.DISMISSED],
        obsolete=states[RecommendationState.OBSOLETE],
    )


def groups(rows: Sequence[WorkflowRow], name: Callable[[WorkflowRow], str]) -> tuple[CostGroup, ...]:
    """Cost a month by group, the most expensive first, of groups with a known cost; other workflows of these are counted and
    add nothing."""
    made = [
        (
            row.cost_per_month is not None,
            CostGroup(
                name=name(row),
                currency=row.currency or "USD",
                workflows=1,
                runs=row.runs or 0,
                cost_per_month=row.cost_per_month or 0.0,
            ),
        )
        for row in rows
    ]
    known = {(group.name, group.currency) for priced, group in made if priced}
    return summed(group for _, group in made if (group.name, group.currency) in known)


def _demand(view: FleetView) -> Iterable[str]:
    """The busiest hours ahead, as the rule demand-forecast words them."""
    for profile in view.profiles:
        meta, status = profile["metadata"], profile.get("status") or {}
        name = f"{meta.get('namespace')}/{workflow_name(profile) or meta.get('name')}"
        for line in status.get("insights") or ():
            sentence = str(line).removesuffix(f" ({RuleName.DEMAND_FORECAST})")
            if sentence != line:
                yield f"{name}: {sentence}"
        for item in status.get("recommendations") or ():
            if rule_of(str(item.get("id", ""))) == RuleName.DEMAND_FORECAST:
                yield f"{name}: {item.get('action')}: {item.get('because')}"
