"""One workflow in the JSON API."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from concertmaster.api.models.base import ApiModel
from concertmaster.api.models.list_entry import Amount, ListEntry
from concertmaster.api.views.fleet import ChangeRow, ObjectiveRow, ResultRow, RunningRow, WorkflowRow


class NodeRow(ApiModel):
    """One step of the graph."""

    name: str
    depends_on: tuple[str, ...]
    executions: int
    p50_seconds: float | None
    p95_seconds: float | None
    waiting_seconds: float | None = Field(description="Mean scheduling latency.")
    starting_seconds: float | None = Field(description="Mean startup: image pull and init containers.")
    critical_share: float | None = Field(description="Share of runs with the step on the critical path, 0 to 1.")
    critical_path_seconds: float | None = Field(description="Time a run would save if the step took no time.")
    failed_executions: int
    error_rate: float | None
    marks: tuple[str, ...]


class CacheRow(ApiModel):
    """Cache hits of one step in the newest runs."""

    step: str
    executions: int
    hits: int
    hit_share: float = Field(description="0 to 1.")


class WorkflowDetail(ApiModel):
    """One workflow."""

    row: WorkflowRow
    advice: tuple[str, ...]
    insights: tuple[str, ...]
    objectives: tuple[ObjectiveRow, ...]
    recommendations: tuple[ListEntry, ...]
    results: tuple[ResultRow, ...]
    changes: tuple[ChangeRow, ...]
    running: tuple[RunningRow, ...] = Field(default=(), description="Runs in progress, late ones first.")
    nodes: tuple[NodeRow, ...]
    problem: str | None = Field(description="Reason why the operator did not provide its analysis; null: it did.")


class WorkflowPage(ApiModel):
    """One page of the workflows."""

    total: int
    offset: int
    items: tuple[WorkflowRow, ...]


class RecommendationPage(ApiModel):
    """One page of the recommendations, most valuable first."""

    total: int
    offset: int
    items: tuple[ListEntry, ...]


class ChangePage(ApiModel):
    """One page of the WorkflowChanges."""

    total: int
    offset: int
    items: tuple[ChangeRow, ...]


class RunningPage(ApiModel):
    """One page of the runs in progress."""

    total: int
    offset: int
    items: tuple[RunningRow, ...]


class WhatIfView(ApiModel):
    """The newest runs replayed with a change made to them."""

    runs_used: int
    mean_seconds: float | None = Field(description="Mean duration of the runs as replayed without the change.")
    saved_seconds: Amount | None = Field(description="Saved per run, with a 90% interval; negative: longer.")
    saved_share: Amount | None = Field(description="The same as a share of the duration.")
    text: str = Field(description="The same as a sentence.")
    reason: str | None = Field(description="Reason why there is no interval, or no prediction.")


class TrendDocument(ApiModel):
    """Trends of one length of period: the form of ``analyze --trends -o json``."""

    trends: dict[str, Any]


class ErrorBody(ApiModel):
    """Why a request was not answered."""

    error: str
