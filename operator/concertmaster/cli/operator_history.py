"""What the operator keeps of many workflows: daily rows of each, and components of the cost of the most expensive."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from concertmaster.core.model.daily import DailyRow, RecommendationOutcome
from concertmaster.kube import operator_service
from concertmaster.kube.operator_service import OperatorService, Served
from concertmaster.report import daily
from concertmaster.report.costs.groups import PricedWorkflow
from concertmaster.report.workflows.fields import full_name
from concertmaster.report.workflows.fleet import FleetView

Raw = Mapping[str, Any]
_CONCURRENCY = 8
_MAX_WORKFLOWS = 50  # workflows whose components are requested


@dataclass(slots=True)
class KeptDays:
    """Daily rows by namespace and name of the profile, what became of recommendations, and why there is neither
    (``problem``), where nothing was answered at all."""

    rows: dict[tuple[str, str], list[DailyRow]] = field(default_factory=dict)
    adoptions: list[RecommendationOutcome] = field(default_factory=list)
    problem: str = ""


class OperatorHistory:
    """Asks the operator through the API server. A problem that another question would meet again ends the asking."""

    def __init__(self, operator: OperatorService) -> None:
        self._operator = operator

    def days(self, profiles: Sequence[Raw]) -> KeptDays:
        """What the operator keeps of these profiles beyond its runs."""
        kept = KeptDays()
        for profile, (answer, problem) in _each(profiles, self._operator.days):
            kept.adoptions += daily.adoptions(answer.get("adoptions") or ())
            if answer.get("days"):
                kept.rows[full_name(profile)] = daily.rows(answer["days"])
            elif problem and problem != operator_service.NOT_ANALYSED and not kept.rows:
                return KeptDays(problem=problem)
        return kept

    def documents(self, profiles: Sequence[Raw]) -> Iterator[Served]:
        """The operator's document about each profile, in their order, or why there is none. Ends where it answers about
        none: the reason is that of the others too."""
        answered = False
        for _, (document, problem) in _each(profiles, self._operator.document):
            yield document, problem
            answered = answered or problem in ("", operator_service.NOT_ANALYSED)
            if not answered:
                return

    def priced(self, view: FleetView) -> list[PricedWorkflow]:
        """The most expensive workflows, with the components of their cost."""
        rows = [r for r in view.page("cost", limit=_MAX_WORKFLOWS) if r.cost_per_month]
        by_name = {full_name(p): p for p in view.profiles}
        chosen = [by_name[r.namespace, r.profile] for r in rows]
        return [
            PricedWorkflow(
                f"{row.namespace}/{row.workflow or row.profile}",
                row.currency or "USD",
                row.runs or 0,
                row.runs_per_month or 0.0,
                answer.get("costComponents") or (),
            )
            for row, (_, (answer, _)) in zip(rows, _each(chosen, self._operator.document), strict=True)
        ]


def _each(profiles: Sequence[Raw], ask: Callable[[Raw], Served]) -> Iterator[tuple[Raw, Served]]:
    """Answers in the order of the profiles; the first alone, since its problem is mostly that of all."""
    if profiles:
        yield profiles[0], ask(profiles[0])
    pool = ThreadPoolExecutor(_CONCURRENCY)
    try:
        yield from zip(profiles[1:], pool.map(ask, profiles[1:]), strict=True)
    finally:
        pool.shutdown(cancel_futures=True)  # who stops reading is not kept waiting for the rest
