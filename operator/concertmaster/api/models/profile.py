"""WorkflowProfile: describes one workflow and carries its analysis (the status is in ``profile_status``)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

from concertmaster.api.models.base import (
    ApiModel,
    CustomResource,
    LabelKey,
    LabelValue,
    Name,
    RecommendationId,
    SeriesLabel,
    StepName,
    Timestamp,
    rule,
    schema,
)
from concertmaster.api.models.common import ExtraMetricSpec, InputSpec, LabelSelector, Query, inputs_field
from concertmaster.api.models.kinds import RUNS, TARGETS, RunKind, RunVersion, TargetKind, TargetVersion, pair_rule
from concertmaster.api.models.objectives import ObjectivesSpec
from concertmaster.api.models.pod_labels import LabelledPods
from concertmaster.api.models.profile_status import WorkflowProfileStatus

NamePrefix = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z0-9][-a-z0-9.]*$", min_length=1, max_length=253),
    Field(json_schema_extra=schema(forms="the beginning of a name: lower-case letters, digits, dashes and dots")),
]
Why = Annotated[
    str,
    StringConstraints(pattern=r"^[^\r\n]*\S[^\r\n]*$", max_length=256),
    Field(json_schema_extra=schema(forms="one line that says why")),
]

REF_RULE = pair_rule(TARGETS, "kind")
_RUN_RULES = [
    pair_rule(RUNS, "kind of run"),
    rule(
        "has(self.namePrefix) || (has(self.matchLabels) && self.matchLabels.size() > 0)",
        "namePrefix or matchLabels must be set, or every run of the namespace would be taken for this workflow",
    ),
]
_STEP_RULES = [
    rule(
        "has(self.podSelector) || has(self.durationQuery) || (has(self.startQuery) && has(self.endQuery))",
        "a step needs podSelector (its pods are measured) or durationQuery, or startQuery and endQuery (its duration is"
        " asked for)",
    ),
    rule("!has(self.dependsOn) || !(self.name in self.dependsOn)", "a step cannot depend on itself"),
]
_GRAPH_RULES = [
    rule(
        "self.steps.all(s, !has(s.dependsOn) || s.dependsOn.all(d, self.steps.exists(o, o.name == d)))",
        "dependsOn names a step that does not exist in steps",
    ),
    rule(
        "has(self.podRunLabel) || !self.steps.exists(s, has(s.podSelector))",
        "podRunLabel must be set when a step has a podSelector: it distinguishes the pods of different runs",
    ),
]
_SPEC_RULES = [
    # One rule would do; CRDs keep the text of released rules, so that an upgrade is seen to refuse nothing more.
    rule(
        "[has(self.workflowRef), has(self.runSelector), has(self.graph)].filter(x, x).size() == 1 || has(self.podLabels)",
        "exactly one of workflowRef, runSelector, graph and podLabels must be set",
    ),
    rule(
        "!has(self.podLabels) || (!has(self.workflowRef) && !has(self.runSelector) && !has(self.graph))",
        "exactly one of workflowRef, runSelector, graph and podLabels must be set",
    ),
]


class WorkflowRef(ApiModel):
    """Object that defines the workflow."""

    model_config = ConfigDict(json_schema_extra=schema(rules=[REF_RULE]))

    api_version: TargetVersion = Field(
        description="API group and version of the object.", examples=["argoproj.io/v1alpha1"]
    )
    kind: TargetKind = Field(description="Kind of the object.", examples=["WorkflowTemplate"])
    name: Name = Field(
        description="Name of the object, in the profile's namespace (a ClusterWorkflowTemplate has none).",
        examples=["nightly-etl"],
    )


class RunSelector(ApiModel):
    """Runs that belong together although no object defines them."""

    model_config = ConfigDict(json_schema_extra=schema(rules=_RUN_RULES))

    api_version: RunVersion = Field(description="API group and version of the runs.", examples=["argoproj.io/v1alpha1"])
    kind: RunKind = Field(description="Kind of the runs.", examples=["Workflow"])
    match_labels: dict[str, LabelValue] = Field(
        default_factory=dict,
        max_length=32,
        description="Labels the runs must carry with exactly these values.",
        examples=[{"app": "etl"}],
    )
    name_prefix: NamePrefix | None = Field(
        default=None, description="Prefix of the names of the runs.", examples=["adhoc-"]
    )


class GraphStep(ApiModel):
    """One step of a described workflow."""

    model_config = ConfigDict(json_schema_extra=schema(rules=_STEP_RULES))

    attempts_query: Query | None = Field(
        default=None,
        description="Query for the number of attempts of this step, one series per run.",
        examples=['max by (run) (last_over_time(my_step_attempts{step="train"}[$window]))'],
        json_schema_extra=schema(default="one attempt"),
    )
    depends_on: tuple[StepName, ...] = Field(
        default=(),
        max_length=24,
        description="Steps that must end before this one starts.",
        examples=[["extract"]],
        json_schema_extra=schema(unique=True),
    )
    duration_query: Query | None = Field(
        default=None,
        description="Query for the duration of this step in seconds, one series per run, distinguished "
        "by seriesRunLabel. $window is replaced by the analyzed period.",
        examples=['max by (run) (last_over_time(my_step_seconds{step="train"}[$window]))'],
    )
    end_query: Query | None = Field(
        default=None,
        description="Query for the end of this step (unix seconds), one series per run.",
        examples=['max by (run) (last_over_time(my_step_end{step="train"}[$window]))'],
        json_schema_extra=schema(default="worked out from the durations and the graph"),
    )
    name: StepName = Field(description="Name of the step, unique in the graph.", examples=["extract"])
    outcome_query: Query | None = Field(
        default=None,
        description="Query for the outcome of this step, one series per run: above 0 is success, 0 is failure.",
        examples=['max by (run) (last_over_time(my_step_success{step="train"}[$window]))'],
        json_schema_extra=schema(default="unknown: the step counts in durations, not in success figures"),
    )
    pod_selector: LabelSelector | None = Field(
        default=None,
        description="Selector of the pods that run this step. Must not be empty.",
        examples=[{"matchLabels": {"app": "etl", "step": "extract"}}],
        json_schema_extra=schema(
            rules=[
                rule(
                    "(has(self.matchLabels) && self.matchLabels.size() > 0)"
                    " || (has(self.matchExpressions) && self.matchExpressions.size() > 0)",
                    "podSelector must not be empty, or every pod of the namespace would belong to the step",
                )
            ]
        ),
    )
    start_query: Query | None = Field(
        default=None,
        description="Query for the start of this step (unix seconds), one series per run.",
        examples=['max by (run) (last_over_time(my_step_start{step="train"}[$window]))'],
        json_schema_extra=schema(default="worked out from the durations and the graph"),
    )


class Graph(ApiModel):
    """A workflow of any engine, described by its steps and how to find their pods or durations."""

    model_config = ConfigDict(json_schema_extra=schema(rules=_GRAPH_RULES))

    pod_run_label: LabelKey | None = Field(
        default=None,
        description="Pod label whose value distinguishes the runs. Required when a step has a podSelector.",
        examples=["example.com/run"],
    )
    series_run_label: SeriesLabel = Field(
        default="run",
        description="Label of the results of durationQuery and extraMetrics whose value distinguishes the runs.",
        examples=["run_id"],
    )
    steps: tuple[GraphStep, ...] = Field(
        min_length=1,
        max_length=100,
        description="Steps, in any order; a cycle is reported in the condition TargetResolved.",
        examples=[[{"name": "extract", "podSelector": {"matchLabels": {"step": "extract"}}}]],
        json_schema_extra=schema(list_map="name"),
    )


class Dismissal(ApiModel):
    """A recommendation somebody decided against."""

    expiration_time: Timestamp | None = Field(
        default=None,
        description="Expiration of the dismissal.",
        examples=["2027-01-31T00:00:00Z"],
        json_schema_extra=schema(default="it stays dismissed until the evidence changes materially"),
    )
    reason: Why = Field(description="Reason, in one line.", examples=["peak at month end"])
    recommendation: RecommendationId = Field(
        description="Id of the recommendation, as in status, or right-size.STEP to leave a step out of a right-sizing.",
        examples=["right-size.transform"],
    )


class WorkflowProfileSpec(ApiModel):
    """The workflow, and its owner's settings beyond the policy."""

    model_config = ConfigDict(json_schema_extra=schema(rules=_SPEC_RULES))

    dismissals: tuple[Dismissal, ...] = Field(
        default=(),
        max_length=100,
        description="Dismissed recommendations, one entry each.",
        examples=[[{"recommendation": "right-size.transform", "reason": "peak at month end"}]],
        json_schema_extra=schema(list_map="recommendation"),
    )
    extra_metrics: tuple[ExtraMetricSpec, ...] = Field(
        default=(),
        max_length=20,
        description="Custom metrics per run or step, added to those of the policy; the same name replaces the policy's.",
        examples=[[{"name": "tokens", "query": "sum by (run) (last_over_time(llm_tokens_total[$window]))"}]],
        json_schema_extra=schema(list_map="name"),
    )
    graph: Graph | None = Field(
        default=None,
        description="Workflow of any engine, declared by its steps.",
        examples=[{"podRunLabel": "example.com/run", "steps": [{"name": "extract"}]}],
    )
    inputs: tuple[InputSpec, ...] = inputs_field()
    objectives: ObjectivesSpec | None = Field(
        default=None,
        description="Objectives of this workflow; each value set here replaces the policy's.",
        examples=[{"duration": {"p95": "30m"}}],
        json_schema_extra=schema(default="the policy's objectives"),
    )
    pod_labels: LabelledPods | None = Field(
        default=None,
        description="Workflow of an engine that is identified by pod labels.",
        examples=[{"preset": "airflow", "value": "nightly_etl"}],
    )
    run_selector: RunSelector | None = Field(
        default=None,
        description="Runs without a defining object: ad-hoc Workflows, Jobs, JobSets, PipelineRuns.",
        examples=[{"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "namePrefix": "adhoc-"}],
    )
    workflow_ref: WorkflowRef | None = Field(
        default=None,
        description="Object that defines the workflow.",
        examples=[{"apiVersion": "argoproj.io/v1alpha1", "kind": "WorkflowTemplate", "name": "nightly-etl"}],
    )


class WorkflowProfile(CustomResource):
    """Describes one workflow and carries its analysis. Read it with: kubectl describe wfp NAME."""

    kind: Literal["WorkflowProfile"] = "WorkflowProfile"
    spec: WorkflowProfileSpec = Field(
        description="The workflow, and its owner's settings beyond the policy.",
        examples=[{"workflowRef": {"apiVersion": "batch/v1", "kind": "CronJob", "name": "nightly-etl"}}],
    )
    status: WorkflowProfileStatus | None = Field(
        default=None,
        description="The analysis, written by the operator.",
        examples=[{"advice": ["Step train holds 61% of the critical path over 30 runs."]}],
    )
