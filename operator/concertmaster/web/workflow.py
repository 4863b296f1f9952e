"""One workflow: everything a page or the API shows of it, from its profile and the operator's last analysis."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from concertmaster.api.models.list_entry import ListEntry
from concertmaster.api.views.fleet import ChangeRow, ObjectiveRow, ResultRow, RunningRow, WorkflowRow
from concertmaster.api.views.runs import RecentRuns, RunComparisonView, RunSummary, RunView, TimeSplitView, WorkflowRuns
from concertmaster.api.views.workflow import CacheRow, NodeRow, WhatIfView
from concertmaster.core import text
from concertmaster.core.analysis.daily.trends import extended
from concertmaster.core.analysis.periods import Period
from concertmaster.core.analysis.replay import WhatIf
from concertmaster.core.analysis.trends import trends
from concertmaster.core.model import Outcome, RunRecord, Source, WorkflowKey
from concertmaster.core.model.policy import Pricing
from concertmaster.core.times import parse_time, to_minute
from concertmaster.report import daily
from concertmaster.report import trends as trend_report
from concertmaster.report.runs.comparison import compared_views
from concertmaster.report.runs.graph import graph_of
from concertmaster.report.runs.views import LATEST, TYPICAL
from concertmaster.report.workflows import list_entries, rows
from concertmaster.report.workflows.progress import running_rows
from concertmaster.report.workflows.recommendations import merged
from concertmaster.web.what_if import Change, change_of, graph_by_edges, replayed

Raw = Mapping[str, Any]
_EMPTY: Raw = {}
_UTC = ZoneInfo("UTC")
_MARKS = {
    "slowOutlier": "slow outlier",
    "inconsistent": "inconsistent",
    "overAllocated": "over-allocated",
    "underAllocated": "under-allocated",
}


@dataclass(frozen=True, slots=True)
class ChangePointText:
    """A change of the duration as text, and what is known of its cause."""

    shown: str
    cause: str


@dataclass(frozen=True)
class WorkflowView:
    """``detail`` is empty where the operator could not be asked; ``problem`` then says why. ``past`` asks for the runs that
    the history keeps, or for the one it is given the name of."""

    profile: Raw
    detail: Raw
    problem: str
    changes: Sequence[ChangeRow]
    now: float
    past: Callable[[str], Raw] = field(default=lambda _: _EMPTY)

    @property
    def no_runs(self) -> str:
        """Why the operator shows none of its runs; empty where it does."""
        return f"No runs from the operator: {self.problem}" if self.problem else ""

    @cached_property
    def row(self) -> WorkflowRow:
        """Its line of the fleet."""
        return rows.workflow_row(self.profile, self.now)

    @property
    def status(self) -> Raw:
        """The profile's status."""
        status = self.profile.get("status")
        return status if isinstance(status, Mapping) else _EMPTY

    @property
    def key(self) -> WorkflowKey:
        """The workflow."""
        return WorkflowKey(self.row.namespace, self.row.kind or "", self.row.workflow or self.row.profile)

    @property
    def objectives(self) -> list[ObjectiveRow]:
        """Its objectives."""
        return rows.objective_rows(self.profile)

    @property
    def results(self) -> list[ResultRow]:
        """Measured effects of implemented recommendations."""
        return rows.result_rows(self.profile)

    @property
    def running(self) -> list[RunningRow]:
        """Its runs in progress."""
        return running_rows(self.profile)

    @cached_property
    def items(self) -> list[dict[str, Any]]:
        """Its recommendations in the words of a status, completed by the operator."""
        return merged(self.profile, self.detail, self.now)

    @property
    def recommendations(self) -> list[ListEntry]:
        """The same as the API gives them."""
        return list(list_entries.entries(self.profile, self.items))

    @property
    def steps(self) -> Sequence[Raw]:
        """Steps of the last analysis, the largest critical-path time first."""
        return self.detail.get("steps") or ()

    @property
    def nodes(self) -> list[NodeRow]:
        """The same as the API gives them."""
        return [
            NodeRow(
                name=s["name"],
                depends_on=s["dependsOn"],
                executions=s["executions"],
                p50_seconds=s["durationSeconds"]["p50"],
                p95_seconds=s["durationSeconds"]["p95"],
                waiting_seconds=s["waitingSeconds"]["mean"],
                starting_seconds=s["startingSeconds"]["mean"],
                critical_share=s["criticalShare"],
                critical_path_seconds=s["dragSeconds"],
                failed_executions=s["failedExecutions"],
                error_rate=s["errorRate"],
                marks=[name for name, mark in s["marks"].items() if mark is True],
            )
            for s in self.steps
        ]

    def marks(self, name: str) -> str:
        """The marks of a step for people: over-allocated (memory), inconsistent."""
        marks = next((s["marks"] for s in self.steps if s["name"] == name), _EMPTY)
        names = []
        for key, label in _MARKS.items():
            which = ", ".join(marks.get(f"{key}Resources") or ())
            names += [f"{label} ({which})" if which else label] if marks.get(key) is True else []
        return ", ".join(names) or "–"

    @property
    def points(self) -> list[ChangePointText]:
        """Since when runs take longer or less long, with what was changed at the same time."""
        trend, insights = self.detail.get("trend") or _EMPTY, self.detail.get("insights") or _EMPTY
        causes = {c["since"]: c for c in insights.get("causes") or ()}
        points = []
        for change in trend.get("changes") or ():
            since, ratio = str(change.get("since") or ""), change.get("ratio")
            if since and isinstance(ratio, int | float):
                shown = f"Since {to_minute(parse_time(since))}: {100 * (ratio - 1):+.0f}%"
                points.append(ChangePointText(shown, _interval(change) + _cause(causes.get(since))))
        return points

    @property
    def mean_split(self) -> TimeSplitView | None:
        """The time split of an average run."""
        try:
            return TimeSplitView.model_validate((self.detail.get("insights") or _EMPTY).get("timeSplitSeconds"))
        except ValidationError:
            return None

    @cached_property
    def recent(self) -> RecentRuns:
        """The newest runs; none where the operator could not be asked or is older."""
        try:
            return RecentRuns.model_validate(self.detail.get("recent"))
        except ValidationError:
            return RecentRuns(currency=self.row.currency or "USD", typical=None, runs=(), series=())

    @cached_property
    def runs(self) -> WorkflowRuns:
        """All runs that the history keeps, one line each; where it cannot be asked, the newest of the ``total`` known."""
        try:
            return WorkflowRuns.model_validate(self.past(""))
        except ValidationError:
            known = self.recent
            return WorkflowRuns(
                namespace=self.key.namespace,
                kind=self.key.kind,
                workflow=self.key.name,
                currency=known.currency,
                total=len(known.series),
                runs=tuple(RunSummary.model_validate(r.model_dump()) for r in known.runs),
            )

    def run(self, name: str) -> RunView | None:
        """A run by its name; ``latest`` and ``typical`` are names too. Only for older ones the history is asked."""
        known = self.recent
        if name == LATEST:
            return known.runs[0] if known.runs else None
        wanted = known.typical if name == TYPICAL else name
        run = next((r for r in known.runs if r.run == wanted), None)
        if run is not None or wanted is None:
            return run
        try:
            return RunView.model_validate(self.past(wanted))
        except ValidationError:
            return None

    def compared(self, before: str, after: str) -> RunComparisonView | None:
        """Two runs; None where one of them is not known."""
        one, other = self.run(before), self.run(after)
        return compared_views(self.key, one, other) if one is not None and other is not None else None

    def replayed(self, change: WhatIf) -> WhatIfView:
        """The newest runs replayed with the change."""
        declared = self.recent.graph
        graph = graph_of(declared) if declared is not None else graph_by_edges(self.steps)
        return replayed(self.key, graph, self.recent.runs, change)

    def what_if(self, query: Mapping[str, str]) -> tuple[Change, WhatIfView]:
        """The newest runs replayed with the change that ``query`` names."""
        change = change_of(query, [str(s["name"]) for s in self.steps])
        return change, self.replayed(change.whatif)

    @property
    def cache(self) -> list[CacheRow]:
        """Cache hits of each step in the served runs."""
        pods = [p for r in self.recent.runs for p in r.pods]
        cached = []
        for step in dict.fromkeys(p.step for p in pods):
            outcomes = [p.outcome for p in pods if p.step == step]
            hits = sum(o is Outcome.CACHED for o in outcomes)
            cached.append(CacheRow(step=step, executions=len(outcomes), hits=hits, hit_share=hits / len(outcomes)))
        return cached

    def trends(self, period: Period, days: Raw = _EMPTY) -> dict[str, Any]:
        """Durations and success by hour, day, week or month, in UTC. ``days``: daily rows, which reach further back."""
        records = [
            RunRecord(self.key, str(i), end - seconds, end, outcome, Source.HISTORY, ())
            for i, (end, seconds, outcome) in enumerate(self.recent.series)
        ]
        since = min([r.start for r in records if r.start is not None], default=self.now)
        made = trends(records, period, _UTC, since=since, until=self.now, pricing=Pricing())
        if days.get("days"):
            made = extended(made, daily.rows(days["days"]), _UTC, since=since, until=self.now)
        return trend_report.document([made], _UTC, "UTC", self.recent.currency)


def _interval(change: Raw) -> str:
    """The 95% interval of a change: figures of other methods, such as medians, lie within it."""
    low, high = change.get("low"), change.get("high")
    if not isinstance(low, int | float) or not isinstance(high, int | float):
        return ""
    return f" ({text.change_range(low, high)})"


def _cause(known: Raw | None) -> str:
    """What is known of the cause of a change point; empty for one whose cause was not worked out."""
    if known is None:
        return ""
    step = ""
    if known["step"] is not None:
        step = f", {known['step']} {text.duration(known['beforeSeconds'])} -> {text.duration(known['afterSeconds'])}"
    return (
        f"{step}, at the same time as: {known['what']}"
        if known["what"]
        else f"{step}; no change of image, template or resources then"
    )
