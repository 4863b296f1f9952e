"""The HTML pages. Every link and form is plain HTML; scripts only add a copy button."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from aiohttp import web

from concertmaster import __version__
from concertmaster.core.times import iso, to_minute
from concertmaster.report import daily
from concertmaster.report.html.environment import render
from concertmaster.report.period import copies
from concertmaster.report.runs.tables import split_rows, waiting
from concertmaster.report.runs.views import LATEST, TYPICAL
from concertmaster.report.workflows import coverage
from concertmaster.report.workflows.fleet import SORT, FleetView
from concertmaster.web.charts.gantt import gantt_chart
from concertmaster.web.charts.graph import graph_chart
from concertmaster.web.charts.series import series_chart
from concertmaster.web.charts.usage import usage_bars
from concertmaster.web.queries import fleet_query, paging, word
from concertmaster.web.readers import NotAllowed, Raw
from concertmaster.web.security import reader_of
from concertmaster.web.vendored import INTEGRITY
from concertmaster.web.what_if import SLIDERS
from concertmaster.web.workflow import WorkflowView

TEMPLATES = Path(__file__).resolve().parent / "templates"
READER_NAME = web.AppKey("whose", str)
TOP_RECOMMENDATIONS = 10
_MAX_LISTED = 10  # missed objectives, late runs and waiting changes on the fleet page


def page(request: web.Request, template: str, *, status: int = 200, **context: Any) -> web.Response:
    """A rendered page."""
    text = render(template, TEMPLATES, version=__version__, whose=request.app[READER_NAME], **context)
    return web.Response(text=text, status=status, content_type="text/html", charset="utf-8")


def fleet(request: web.Request) -> web.Response:
    """The fleet."""
    whole, notes = reader_of(request).fleet()
    query = fleet_query(request)
    view = whole.chosen(query.filter)
    paging = query.paging
    return page(
        request,
        "fleet.html",
        q=query,
        notes=notes,
        s=view.summary,
        stale=coverage.freshness_text(view),
        nothing=coverage.none_text(view),
        unknown=coverage.unknown_parts(view.rows),
        top=view.top_actions(TOP_RECOMMENDATIONS),
        scale=coverage.scale_text(view),
        rows=view.page(query.sort, offset=paging.offset, limit=paging.limit, reverse=query.reverse),
        total=len(view.rows),
        paging=paging,
        missed=copies.objectives(o for o in view.objectives if o.verdict == "Missed"),
        running=[run for run in view.running if run.late],
        late=[(row, iso(since)) for row, since in view.late],
        waiting=view.waiting,
        most=_MAX_LISTED,
        sorts=list(SORT),
        choices=_choices(whole),
        at=to_minute(whole.now),
    )


def workflow(request: web.Request) -> web.Response:
    """One workflow."""
    view = workflow_view(request)
    chosen = view.run(word(request, "run") or TYPICAL) or view.run(LATEST)
    trend = view.detail.get("trend") or {}
    kept = reader_of(request).days(view.profile) if view.detail else {}
    days = daily.rows(kept.get("days") or ())
    metrics, months = daily.months(days)
    change, answer = view.what_if(request.query)
    return page(
        request,
        "workflow.html",
        w=view,
        run=chosen,
        gantt=gantt_chart(chosen) if chosen is not None else None,
        graph=graph_chart(view.steps),
        series=series_chart(view.recent.series, trend.get("changes") or ()),
        usage=usage_bars(view.steps, [line for i in view.items for line in i.get("items") or ()]),
        points=view.points,
        integrity=INTEGRITY,
        metrics=[f"#{name}" for name in metrics],
        months=months,
        progress=daily.progress(kept.get("baseline"), days, view.recent.currency),
        waiting=waiting,
        parts=split_rows([chosen.time_split if chosen is not None else None, view.mean_split]),
        change=change,
        what_if=answer,
        sliders=[str(s["name"]) for s in view.steps[:SLIDERS]],
    )


def compare(request: web.Request) -> web.Response:
    """Two runs of a workflow."""
    view = workflow_view(request)
    names = word(request, "before") or TYPICAL, word(request, "after") or LATEST
    c = view.compared(*names)
    parts = split_rows([c.before.time_split, c.after.time_split]) if c is not None else []
    return page(request, "compare.html", w=view, names=names, c=c, parts=parts)


def runs(request: web.Request) -> web.Response:
    """The runs of a workflow."""
    return page(request, "runs.html", w=workflow_view(request), cut=paging(request), waiting=waiting)


def workflow_view(request: web.Request) -> WorkflowView:
    """The workflow a request names. Raises HTTPNotFound."""
    namespace, name = request.match_info["namespace"], request.match_info["profile"]
    reader = reader_of(request)
    profile = reader.profile(namespace, name)
    if profile is None:
        raise web.HTTPNotFound(text=f"There is no WorkflowProfile {name} in namespace {namespace}.")
    detail, problem = reader.detail(profile)
    # Where the operator did not answer once it is not asked again.
    past: Callable[[str], Raw] = partial(reader.runs, profile) if detail else lambda _: {}
    try:
        fleet, _ = reader.fleet()
    except NotAllowed:  # one may get a profile without the right to list them
        return WorkflowView(profile, detail, problem, (), time.time(), past)
    changes = [c for c in fleet.change_rows if (c.namespace, c.profile) == (namespace, name)]
    return WorkflowView(profile, detail, problem, changes, fleet.now, past)


def _choices(view: FleetView) -> dict[str, list[str]]:
    """What the filters offer."""
    rows = view.rows
    labels = {
        f"{k}={v}" for r in rows for k, v in r.labels.items() if k in ("team", "app.kubernetes.io/part-of", "owner")
    }
    return {
        "namespace": sorted({r.namespace for r in rows})[:500],
        "kind": sorted({r.kind for r in rows if r.kind})[:50],
        "label": sorted(labels)[:500],
        "severity": ["Low", "Medium", "High", "Critical"],
    }
