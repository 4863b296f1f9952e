"""Many workflows: a line each, their sums, and a report over a period."""

from __future__ import annotations

from pydantic import Field

from concertmaster.api.models.base import ApiModel
from concertmaster.api.models.list_entry import ListEntry
from concertmaster.core.model.enums import ChangePhase, RecommendationState, Verdict


class Amounts(ApiModel):
    """Amounts a month of 30 days."""

    run_hours: float = Field(default=0.0, description="Run time, in hours.")
    failed_runs: float = 0.0
    money: dict[str, float] = Field(default_factory=dict, description="By currency.")


class WorkflowRow(ApiModel):
    """One workflow as its profile's status describes it."""

    namespace: str
    profile: str = Field(description="Name of the WorkflowProfile.")
    kind: str | None
    workflow: str | None
    labels: dict[str, str] = Field(default_factory=dict)
    ready: bool | None = Field(description="Condition Ready; null: Unknown or not set.")
    healthy: bool | None = Field(
        description="Analyzed, no objective missed and no recommendation of severity High or Critical; null: not analyzed,"
        " or insufficient data."
    )
    stale: bool = Field(
        description="Whether the figures are not up to date: dataUntil, and the condition Ready with the reason."
    )
    score: int | None = Field(description="0 to 100.")
    runs: int | None = Field(description="Finished runs in the analysis window.")
    failed_runs: int | None
    success_percent: float | None
    p50_seconds: float | None
    p95_seconds: float | None
    queueing_seconds: float | None = Field(
        description="Longest scheduling latency of a pod in a run, mean over the runs; null: unknown."
    )
    currency: str | None = Field(description="Currency of the amounts; null: unknown.")
    cost_per_run: float | None
    cost_per_month: float | None = Field(description="At the observed rate of runs.")
    runs_per_month: float | None
    impact: float = Field(description="Value of its Active recommendations per month, on the scale of the pricing.")
    open: int = Field(description="Active recommendations.")
    missed: int = Field(description="Objectives missed.")
    severity: str | None = Field(description="Highest severity of its Active recommendations.")
    top: str | None = Field(description="The most valuable action.")
    last_run: str | None
    data_until: str | None


class ObjectiveRow(ApiModel):
    """One objective of one workflow."""

    namespace: str
    profile: str
    workflow: str | None = None
    name: str
    verdict: str = Field(description="Met, Missed or Unknown.")
    margin: float | None = Field(
        default=None, description="Relative distance to the target, negative where it is missed; null: unknown."
    )
    text: str


class ResultRow(ApiModel):
    """A recommendation that was implemented, by whomever, and what the runs after it showed."""

    namespace: str
    profile: str
    recommendation: str
    action: str
    by: str | None = Field(description="Field manager that wrote it, or concertmaster.")
    since: str | None
    verdict: Verdict | None = Field(description="null while it is measured.")
    undone: bool
    promised: str | None
    measured: str | None
    saving: Amounts | None = Field(
        description="Measured saving per month at the current rate of runs; for Improved ones only."
    )


class ChangeRow(ApiModel):
    """One WorkflowChange."""

    namespace: str
    name: str
    profile: str
    recommendation: str
    phase: ChangePhase | None
    decision: str | None
    decided_by: str | None
    waiting: bool = Field(description="Whether it waits for approval.")
    verdict: Verdict | None
    restored: bool
    predicted: str | None
    measured: str | None
    patch: str | None = Field(description="JSON Patch of its plan.")
    created: str | None
    message: str | None = Field(description="Message of its newest condition.")


class RunningRow(ApiModel):
    """One run in progress, with the forecast of its end."""

    namespace: str
    profile: str
    workflow: str | None = None
    run: str
    late: bool = Field(description="Whether it is late, or expected to end after its deadline.")
    started: str | None
    expected_end: str | None
    earliest_end: str | None = Field(description="90% of the forecasts lie between this and latestEnd.")
    latest_end: str | None
    deadline: str | None
    step: str | None = Field(description="Step under way that decides the end.")


class Degradation(ApiModel):
    """A workflow or step that takes longer than before."""

    namespace: str
    profile: str
    workflow: str | None = None
    recommendation: str
    action: str
    because: str | None
    impact: str | None


class FleetSummary(ApiModel):
    """The sums over all workflows selected."""

    workflows: int
    healthy: int
    unhealthy: int
    not_analysed: int = Field(description="Not analyzed yet, or with insufficient data.")
    stale: int = Field(default=0, description="Workflows whose figures are not up to date.")
    runs: int
    failed_runs: int
    missed_objectives: int
    recommendations: int
    minor: int = Field(description="Recommendations below the materiality thresholds.")
    waiting_changes: int
    late_runs: int = Field(description="Workflows whose next scheduled run is overdue.")
    running: int = Field(default=0, description="Runs in progress with a forecast of their end.")
    running_late: int = Field(
        default=0, description="Those of them that are late or expected to end after their deadline."
    )
    available: Amounts = Field(description="Value of all Active recommendations.")
    realised: Amounts = Field(description="Measured savings of implemented recommendations.")
    queueing_hours: float = Field(
        default=0.0, description="Hours of scheduling latency per month, at the observed rate of runs."
    )
    cost_per_month: dict[str, float] = Field(description="By currency.")


class Adoption(ApiModel):
    """What became of recommendations."""

    states: dict[RecommendationState, int]
    results: dict[str, int] = Field(description="Implemented ones by verdict; Measuring: none yet.")
    rolled_back: int = Field(description="Implemented ones that were rolled back or overwritten.")
    changes: dict[str, int] = Field(description="WorkflowChanges by phase.")
    waiting: int = Field(description="Changes waiting for approval.")


class AdoptionInPeriod(ApiModel):
    """Recommendations by what became of them within a period, of the profiles that are there."""

    recommended: int = Field(description="Published for the first time.")
    implemented: int
    improved: int = Field(description="Implemented recommendations with the verdict Improved.")
    rolled_back: int = Field(description="Implemented recommendations that were rolled back or overwritten.")
    dismissed: int
    obsolete: int


class CostGroup(ApiModel):
    """Cost of the workflows, or the steps or components, of one group."""

    name: str
    currency: str
    workflows: int
    runs: int
    cost_per_month: float
    after_per_month: float | None = Field(
        default=None, description="Once the open recommendations are applied; of steps and components."
    )


class MonthRow(ApiModel):
    """All workflows in one calendar month (UTC), out of daily rows."""

    month: str = Field(examples=["2027-01"])
    workflows: int = Field(description="Workflows with a run that ended in it.")
    runs: int
    success_percent: float | None
    cost: dict[str, float] = Field(description="By currency.")
    wasted_cost: dict[str, float] = Field(description="Cost of reserved but unused resources, by currency.")
    queueing_hours: float


class WorkflowCacheRow(ApiModel):
    """Use of one cache by one workflow, in the window of its analysis."""

    namespace: str
    profile: str
    workflow: str | None = None
    cache: str
    lookups: int
    hits: int
    saved_seconds: int = Field(description="Work avoided: hits at the mean duration of their step.")
    entries: int | None = Field(description="Null where the cache cannot be read.")
    stale: int | None = Field(description="Entries older than maxAge.")


class TopAction(ListEntry):
    """One of the most valuable recommendations; its impact is that of all copies of the workflow that have it."""

    namespaces: int = Field(description="Namespaces with a workflow of this name and the same recommendation.")


class PeriodReport(ApiModel):
    """A report over a period, from the cluster's statuses or from facts."""

    generated: str
    since: str
    until: str
    days: float
    source: str = Field(description="cluster or facts.")
    scope: str
    summary: FleetSummary
    top: tuple[TopAction, ...]
    objectives: tuple[ObjectiveRow, ...] = Field(description="Missed ones first.")
    degradations: tuple[Degradation, ...]
    adoption: Adoption
    adopted: AdoptionInPeriod | None = Field(
        default=None, description="From the operator's history; null where it was not asked or did not answer."
    )
    results: tuple[ResultRow, ...] = Field(description="Implemented within the period, newest first.")
    demand: tuple[str, ...]
    caches: tuple[WorkflowCacheRow, ...] = Field(
        default=(), description="Caches of memoized steps, most work saved first."
    )
    label: str | None = Field(description="Label that costByLabel is about.")
    cost_by_label: tuple[CostGroup, ...]
    cost_by_namespace: tuple[CostGroup, ...]
    cost_by_workflow: tuple[CostGroup, ...]
    cost_by_step: tuple[CostGroup, ...] = Field(
        description="Of the most expensive workflows; from the cluster, as far as the operator could be asked."
    )
    cost_by_component: tuple[CostGroup, ...] = Field(
        default=(),
        description="Of the same workflows: compute of steps, init containers, sidecars by name, and priced metrics such as "
        "tokens.",
    )
    months: tuple[MonthRow, ...] = Field(
        default=(), description="Calendar months of the period, where the operator could be asked for its daily rows."
    )
    counted: int = Field(
        default=0,
        description="Workflows whose runs, durations, cost and queueing are those of the period, from daily rows; of the "
        "others they are those of the analysis window.",
    )
    workflows: tuple[WorkflowRow, ...] = Field(description="Most valuable first.")
    notes: tuple[str, ...]
