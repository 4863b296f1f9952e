"""WorkflowChange: one plan, its approval and its verification.

Whoever may update this kind may approve and nothing more: everything but the first decision is immutable, and the
operator recomputes the plan before it writes anything.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

from concertmaster.api.models.base import (
    ApiModel,
    CustomResource,
    Line160,
    Line400,
    Name,
    RecommendationId,
    rule,
    schema,
)
from concertmaster.api.models.common import Condition, conditions_field, observed_generation_field
from concertmaster.core.model.enums import ChangePhase, Decision, Verdict
from concertmaster.core.model.scalars import SignedPercent

# A plan's documents are one line each: a line break would tear the output of kubectl describe apart.
_Person = Annotated[
    str,
    StringConstraints(pattern=r"^\S([^\r\n]*\S)?$", max_length=253),
    Field(json_schema_extra=schema(forms="one line without space around it")),
]
_Digest = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9a-f]{64}$", max_length=128),
    Field(json_schema_extra=schema(forms="a SHA-256 digest: 64 digits from 0 to 9 and a to f")),
]
_Document = Annotated[str, StringConstraints(pattern=r"^[^\r\n]*$", max_length=16384)]

_SPEC_RULES = [
    rule("self.profileRef == oldSelf.profileRef", "profileRef is immutable"),
    rule("self.recommendation == oldSelf.recommendation", "recommendation is immutable"),
    rule(
        "self.planDigest == oldSelf.planDigest",
        "planDigest is immutable: a different plan is a different WorkflowChange",
    ),
    rule(
        "!has(oldSelf.decision) || (has(self.decision) && self.decision == oldSelf.decision)",
        "the decision has been made and is immutable; to undo an applied change, revert the workflow's own definition",
    ),
    rule(
        "!has(oldSelf.decision) || (has(self.decidedBy) == has(oldSelf.decidedBy)"
        " && (!has(self.decidedBy) || self.decidedBy == oldSelf.decidedBy))",
        "decidedBy is immutable once the decision has been made",
    ),
    rule("!has(self.decidedBy) || has(self.decision)", "decidedBy needs a decision: Approve or Reject"),
]


class ProfileRef(ApiModel):
    """The profile a change is about, in the same namespace."""

    name: Name = Field(description="Name of the WorkflowProfile.", examples=["nightly-etl"])


class WorkflowChangeSpec(ApiModel):
    """Digest of the plan, and the decision about it."""

    model_config = ConfigDict(json_schema_extra=schema(rules=_SPEC_RULES))

    decided_by: _Person | None = Field(
        default=None,
        description="User who decided. Can only be set together with the decision.",
        examples=["ana@example.com"],
    )
    decision: Decision | None = Field(
        default=None,
        description="Approve lets the operator apply the change, Reject ends it. The first decision is final.",
        examples=["Approve"],
        json_schema_extra=schema(default="undecided"),
    )
    plan_digest: _Digest = Field(
        description="SHA-256 of the plan. The operator applies only this plan.",
        examples=["3f9a4c1e5b7d2086a9c3e1f40b6d8572c4e6f8091a2b3c4d5e6f708192a3b4c5"],
    )
    profile_ref: ProfileRef = Field(
        description="Profile of the workflow, in the same namespace.", examples=[{"name": "nightly-etl"}]
    )
    recommendation: RecommendationId = Field(
        description="Id of the recommendation behind the plan.", examples=["memory-request.transform"]
    )


class PlanTarget(ApiModel):
    """The object a plan patches."""

    api_version: Line160 = Field(description="API group and version of the object.", examples=["argoproj.io/v1alpha1"])
    fingerprint: Line160 | None = Field(
        default=None,
        description="Fingerprint of the workflow's definition right after the change was written, behind the edition of the"
        " rules that made it. One of another edition is made anew.",
        examples=["2-9f2c41d07be3"],
    )
    generation: int | None = Field(
        default=None, ge=0, description="Generation of the object before the change was written.", examples=[12]
    )
    kind: Line160 = Field(description="Kind of the object.", examples=["WorkflowTemplate"])
    name: Line400 = Field(description="Name of the object.", examples=["nightly-etl"])
    namespace: Line160 | None = Field(
        default=None, description="Namespace of the object; none for cluster-wide kinds.", examples=["etl"]
    )
    resource_version: Line160 | None = Field(
        default=None, description="Resource version of the object for which the plan was made.", examples=["48213"]
    )
    uid: Line160 | None = Field(
        default=None,
        description="UID of the object for which the plan was made.",
        examples=["6a1b2c3d-0000-4000-8000-000000000000"],
    )


class PlanStatus(ApiModel):
    """Operations of the change and of its rollback."""

    inverse: _Document | None = Field(
        default=None,
        description="JSON Patch that rolls the change back.",
        examples=['[{"op":"replace","path":"/spec/parallelism","value":2}]'],
        json_schema_extra=schema(unit="JSON on one line"),
    )
    kustomize: _Document | None = Field(
        default=None,
        description="The same change as a kustomize patch to commit.",
        examples=['{"patch":"[...]","target":{"kind":"WorkflowTemplate","name":"nightly-etl"}}'],
        json_schema_extra=schema(unit="JSON (which is YAML) on one line"),
    )
    patch: _Document | None = Field(
        default=None,
        description="JSON Patch of the change, with tests of the values it expects.",
        examples=[
            '[{"op":"test","path":"/spec/parallelism","value":2},{"op":"replace","path":"/spec/parallelism","value":8}]'
        ],
        json_schema_extra=schema(unit="JSON on one line"),
    )
    target: PlanTarget | None = Field(
        default=None, description="Object that is patched.", examples=[{"kind": "WorkflowTemplate"}]
    )


class Effect(ApiModel):
    """A relative change of one measure with its likely range."""

    correction_percent: SignedPercent | None = Field(
        default=None,
        description="Factor applied to the rule's prediction, from the accuracy of its earlier predictions.",
        examples=["92"],
        json_schema_extra=schema(default="100: not corrected"),
    )
    high: SignedPercent | None = Field(default=None, description="Upper end of the interval.", examples=["-12"])
    likely: SignedPercent | None = Field(default=None, description="Most likely value.", examples=["-15.2"])
    low: SignedPercent | None = Field(default=None, description="Lower end of the interval.", examples=["-19"])
    measure: Literal["Duration", "Cost", "Failures"] | None = Field(
        default=None, description="Measure that changes.", examples=["Duration"]
    )
    text: Line400 | None = Field(
        default=None,
        description="The same as a sentence.",
        examples=["12 to 19% shorter, likely 15% (4m10s) per run"],
    )


class WorkflowChangeStatus(ApiModel):
    """The plan, what was predicted and what was measured."""

    baseline_runs: int | None = Field(
        default=None, ge=0, description="Runs before the change, for comparison.", examples=[30]
    )
    conditions: tuple[Condition, ...] = conditions_field("Approved, Applied, Verified, Restored, Orphaned")
    harmed_steps: tuple[Line160, ...] = Field(
        default=(),
        max_length=100,
        description="Steps with more kills, more failures or longer run time after the change, else all that it changed: "
        "right-size excludes them from then on.",
        examples=[["transform"]],
    )
    measured: Effect | None = Field(
        default=None,
        description="Effect measured on the runs after the change.",
        examples=[{"measure": "Duration", "likely": "-14.1"}],
    )
    observed_generation: int | None = observed_generation_field()
    phase: ChangePhase | None = Field(default=None, description="Phase of the change.", examples=["Verifying"])
    plan: PlanStatus | None = Field(
        default=None, description="Operations of the change and of its rollback.", examples=[{"patch": "[]"}]
    )
    predicted: Effect | None = Field(
        default=None,
        description="Effect predicted before the change.",
        examples=[{"measure": "Duration", "likely": "-15.2"}],
    )
    restored: bool | None = Field(default=None, description="Whether the change was rolled back.", examples=[False])
    verdict: Verdict | None = Field(default=None, description="Verdict of the verification.", examples=["Improved"])
    verified_runs: int | None = Field(
        default=None, ge=0, description="Runs after the change analyzed so far.", examples=[12]
    )


class WorkflowChange(CustomResource):
    """One planned change of one workflow, its approval and its verification. Created by the operator."""

    kind: Literal["WorkflowChange"] = "WorkflowChange"
    spec: WorkflowChangeSpec = Field(
        description="Digest of the plan, and the decision about it.",
        examples=[{"profileRef": {"name": "nightly-etl"}, "decision": "Approve"}],
    )
    status: WorkflowChangeStatus | None = Field(
        default=None,
        description="Plan, predicted and measured effect; written by the operator.",
        examples=[{"phase": "Verifying"}],
    )
