"""The JSON API: the same views as the pages, as models. ``openapi`` describes it from this table of routes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aiohttp import web
from pydantic import BaseModel

from concertmaster.api.views.fleet import FleetSummary
from concertmaster.api.views.runs import RunComparisonView, RunView, WorkflowRuns
from concertmaster.api.views.workflow import (
    CacheRow,
    ChangePage,
    NodeRow,
    RecommendationPage,
    RunningPage,
    TrendDocument,
    WhatIfView,
    WorkflowDetail,
    WorkflowPage,
)
from concertmaster.core.analysis.periods import Period
from concertmaster.core.model.enums import RecommendationState
from concertmaster.report.workflows import list_entries
from concertmaster.report.workflows.fields import recommendations
from concertmaster.web.pages import workflow_view
from concertmaster.web.queries import checked, filter_of, fleet_query, paging, word
from concertmaster.web.security import reader_of

ROOT = "/api/v1"
_ONE = f"{ROOT}/workflows/{{namespace}}/{{profile}}"
_FILTERS = ("namespace", "label", "kind", "severity", "q")
_PAGE = ("offset", "limit")
Answer = BaseModel | Sequence[BaseModel]


@dataclass(frozen=True, slots=True)
class Route:
    """One address: what it says, which parameters it takes, and the model of its answer (``many``: a list of them)."""

    path: str
    summary: str
    model: type[BaseModel]
    answer: Callable[[web.Request], Answer]
    parameters: tuple[str, ...] = ()
    many: bool = False

    def respond(self, request: web.Request) -> web.Response:
        """The answer as JSON."""
        checked(request, self.parameters)
        body = self.answer(request)
        if isinstance(body, BaseModel):
            text = body.model_dump_json(by_alias=True)
        else:
            text = f"[{','.join(m.model_dump_json(by_alias=True) for m in body)}]"
        return web.Response(text=text, content_type="application/json")


class Api:
    """Handlers, each over what the sender of the request may read."""

    def routes(self) -> list[Route]:
        """All addresses."""
        return [
            Route(f"{ROOT}/summary", "Sums over all workflows", FleetSummary, self._summary, _FILTERS),
            Route(
                f"{ROOT}/workflows",
                "Workflows, one line each",
                WorkflowPage,
                self._workflows,
                (*_FILTERS, "sort", "reverse", *_PAGE),
            ),
            Route(
                f"{ROOT}/recommendations",
                "Recommendations of all workflows, the most valuable first",
                RecommendationPage,
                self._recommendations,
                (*_FILTERS, "state", *_PAGE),
            ),
            Route(f"{ROOT}/changes", "WorkflowChanges, newest first", ChangePage, self._changes, (*_FILTERS, *_PAGE)),
            Route(
                f"{ROOT}/running",
                "Runs in progress with the forecast of their end, late ones first",
                RunningPage,
                self._running,
                (*_FILTERS, *_PAGE),
            ),
            Route(_ONE, "One workflow", WorkflowDetail, self._workflow),
            Route(f"{_ONE}/nodes", "Steps of the graph", NodeRow, self._nodes, many=True),
            Route(
                f"{_ONE}/bottlenecks",
                "Steps on the critical path, the largest critical-path time first",
                NodeRow,
                self._bottlenecks,
                many=True,
            ),
            Route(
                f"{_ONE}/recommendations",
                "Recommendations of the workflow",
                RecommendationPage,
                self._recommendations_of,
                ("state",),
            ),
            Route(f"{_ONE}/cache", "Cache hits by step in the newest runs", CacheRow, self._cache, many=True),
            Route(f"{_ONE}/trends", "Trends by hour, day, week or month", TrendDocument, self._trends, ("period",)),
            Route(
                f"{_ONE}/what-if",
                "The newest runs and the typical one, replayed with a change: scale.STEP=0.5 for any step, pods, no-retries",
                WhatIfView,
                self._what_if,
                ("pods", "no-retries"),
            ),
            Route(f"{_ONE}/runs", "Runs that the history keeps, newest first", WorkflowRuns, self._runs, _PAGE),
            Route(f"{_ONE}/runs/{{run}}", "One run, or latest, or typical", RunView, self._run),
            Route(
                f"{_ONE}/compare",
                "Why one run took longer than another",
                RunComparisonView,
                self._compare,
                ("before", "after"),
            ),
        ]

    # --- the fleet

    def _summary(self, request: web.Request) -> Answer:
        return reader_of(request).fleet()[0].chosen(filter_of(request)).summary

    def _workflows(self, request: web.Request) -> Answer:
        query = fleet_query(request)
        view, at = reader_of(request).fleet()[0].chosen(query.filter), query.paging
        items = view.page(query.sort, offset=at.offset, limit=at.limit, reverse=query.reverse)
        return WorkflowPage(total=len(view.rows), offset=at.offset, items=tuple(items))

    def _recommendations(self, request: web.Request) -> Answer:
        view, at, state = (
            reader_of(request).fleet()[0].chosen(filter_of(request)),
            paging(request),
            word(request, "state"),
        )
        if state in ("", RecommendationState.ACTIVE):
            items = view.top(at.offset + at.limit)[at.offset :]
            return RecommendationPage(total=view.totals.recommendations, offset=at.offset, items=tuple(items))
        entries = [e for p in view.profiles for e in list_entries.entries(p, recommendations(p)) if e.state == state]
        return RecommendationPage(
            total=len(entries), offset=at.offset, items=tuple(entries[at.offset : at.offset + at.limit])
        )

    def _changes(self, request: web.Request) -> Answer:
        view, at = reader_of(request).fleet()[0].chosen(filter_of(request)), paging(request)
        changes = sorted(view.change_rows, key=lambda c: c.created or "", reverse=True)
        return ChangePage(total=len(changes), offset=at.offset, items=tuple(changes[at.offset : at.offset + at.limit]))

    def _running(self, request: web.Request) -> Answer:
        view, at = reader_of(request).fleet()[0].chosen(filter_of(request)), paging(request)
        items = tuple(view.running[at.offset : at.offset + at.limit])
        return RunningPage(total=len(view.running), offset=at.offset, items=items)

    # --- one workflow

    def _workflow(self, request: web.Request) -> Answer:
        w = workflow_view(request)
        return WorkflowDetail(
            row=w.row,
            advice=tuple(w.status.get("advice") or ()),
            insights=tuple(w.status.get("insights") or ()),
            objectives=tuple(w.objectives),
            recommendations=tuple(w.recommendations),
            results=tuple(w.results),
            changes=tuple(w.changes),
            running=tuple(w.running),
            nodes=tuple(w.nodes),
            problem=w.problem or None,
        )

    def _nodes(self, request: web.Request) -> Answer:
        return workflow_view(request).nodes

    def _bottlenecks(self, request: web.Request) -> Answer:
        return [n for n in workflow_view(request).nodes if n.critical_path_seconds]  # the largest comes first

    def _recommendations_of(self, request: web.Request) -> Answer:
        state = word(request, "state")
        entries = [e for e in workflow_view(request).recommendations if state in ("", e.state)]
        return RecommendationPage(total=len(entries), offset=0, items=tuple(entries))

    def _cache(self, request: web.Request) -> Answer:
        return workflow_view(request).cache

    def _trends(self, request: web.Request) -> Answer:
        name = word(request, "period") or Period.DAILY.value
        view = workflow_view(request)
        return TrendDocument(trends=view.trends(Period(name), reader_of(request).days(view.profile)))

    def _runs(self, request: web.Request) -> Answer:
        runs, cut = workflow_view(request).runs, paging(request)
        return runs.model_copy(update={"runs": runs.runs[cut.offset : cut.offset + cut.limit]})

    def _what_if(self, request: web.Request) -> Answer:
        view = workflow_view(request)
        known = {f"scale.{s['name']}" for s in view.steps}
        if known and (unknown := [name for name in request.query if name.startswith("scale.") and name not in known]):
            raise web.HTTPBadRequest(text=f"there is no step {unknown[0].removeprefix('scale.')}")
        return view.what_if(request.query)[1]

    def _run(self, request: web.Request) -> Answer:
        name, view = request.match_info["run"], workflow_view(request)
        run = view.run(name)
        if run is None:
            raise web.HTTPNotFound(text=view.no_runs or f"the operator keeps no run {name}")
        return run

    def _compare(self, request: web.Request) -> Answer:
        names = word(request, "before") or "typical", word(request, "after") or "latest"
        view = workflow_view(request)
        comparison = view.compared(*names)
        if comparison is None:
            text = view.no_runs or f"the operator does not keep both runs {names[0]} and {names[1]}"
            raise web.HTTPNotFound(text=text)
        return comparison
