"""Engines by pod labels: which labels tell workflow, run and step, on profiles and in discovery."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

from concertmaster.api.models.base import ApiModel, LabelKey, StepName, rule, schema
from concertmaster.engines.labels.presets import BY_NAME

if TYPE_CHECKING:
    PresetName = str
else:
    PresetName = Literal[tuple(BY_NAME)]

Value = Annotated[
    str,
    StringConstraints(pattern=r"^[^\r\n]*\S[^\r\n]*$", min_length=1, max_length=253),
    Field(json_schema_extra=schema(forms="one line: the value as the pods carry it")),
]

_KEYS_RULE = rule(
    "has(self.preset) || (has(self.workflow) && has(self.run))",
    "set preset, or name the labels workflow and run: they distinguish workflows and their runs",
)


class PodLabelKeys(ApiModel):
    """Labels of pods that say what they are part of: those of an engine by its preset, and one's own."""

    attempt: LabelKey | None = Field(
        default=None,
        description="Label whose value is the number of the attempt, from 0.",
        examples=["example.com/attempt"],
        json_schema_extra=schema(default="the preset's; pods that follow a failed one are its retries"),
    )
    item: LabelKey | None = Field(
        default=None,
        description="Label whose value distinguishes the pods of a step with several pods in one run.",
        examples=["example.com/shard"],
        json_schema_extra=schema(default="the preset's; items are numbered in order of creation"),
    )
    preset: PresetName | None = Field(
        default=None,
        description="Engine whose documented labels identify workflows, runs and steps.",
        examples=["airflow"],
    )
    run: LabelKey | None = Field(
        default=None,
        description="Label whose value distinguishes the runs.",
        examples=["example.com/run"],
        json_schema_extra=schema(default="the preset's"),
    )
    step: LabelKey | None = Field(
        default=None,
        description="Label whose value names the step.",
        examples=["example.com/step"],
        json_schema_extra=schema(default="the preset's; without one a run has the single step main"),
    )
    workflow: LabelKey | None = Field(
        default=None,
        description="Label whose value names the workflow.",
        examples=["example.com/pipeline"],
        json_schema_extra=schema(default="the preset's"),
    )


class DiscoveredLabels(PodLabelKeys):
    """Workflows that get a profile of their own, one for each value of their workflow label."""

    model_config = ConfigDict(json_schema_extra=schema(rules=[_KEYS_RULE]))

    max_profiles: int = Field(
        default=200,
        ge=1,
        le=2000,
        description="Maximum number of profiles this entry creates in all namespaces. More are reported in condition Ready.",
        examples=[50],
        json_schema_extra=schema(unit="profiles, 1 to 2000"),
    )


class LabelledStep(ApiModel):
    """One step of a workflow whose order is declared."""

    depends_on: tuple[StepName, ...] = Field(
        default=(),
        max_length=24,
        description="Steps that must end before this one starts.",
        examples=[["extract"]],
        json_schema_extra=schema(unique=True),
    )
    name: StepName = Field(description="Name of the step, the value of its label.", examples=["extract"])


class LabelledPods(PodLabelKeys):
    """A workflow of any engine whose pods carry labels."""

    model_config = ConfigDict(
        json_schema_extra=schema(
            rules=[
                _KEYS_RULE,
                rule(
                    "!has(self.steps) || self.steps.all(s, !has(s.dependsOn)"
                    " || s.dependsOn.all(d, self.steps.exists(o, o.name == d)))",
                    "dependsOn names a step that does not exist in steps",
                ),
            ]
        )
    )

    steps: tuple[LabelledStep, ...] = Field(
        default=(),
        max_length=100,
        description="Steps and their dependencies.",
        examples=[[{"name": "extract"}, {"name": "load", "dependsOn": ["extract"]}]],
        json_schema_extra=schema(list_map="name", default="inferred from the times of the runs"),
    )
    value: Value = Field(
        description="Value of the workflow label on the pods of this workflow.",
        examples=["nightly_etl"],
    )
