"""Parts that several kinds share: label selectors, conditions, extra metrics and references."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, StringConstraints

from concertmaster.api.models.base import (
    ApiModel,
    LabelKey,
    LabelValue,
    Line80,
    Line1000,
    ShortName,
    StepName,
    Timestamp,
    rule,
    schema,
)
from concertmaster.core.model import LabelRequirement
from concertmaster.core.model.enums import InputUnit, MetricRole, Per

# A query without the window would find nothing once a run has ended; the operator fills in the run's own span.
WINDOW_RULE = rule(
    "self.contains('$window')",
    "the query must use $window as its range, for example last_over_time(my_metric[$window])",
)
RUNS_ORDER = rule(
    "!has(self.minRuns) || !has(self.maxRuns) || self.minRuns <= self.maxRuns",
    "minRuns must not be more than maxRuns (one left out keeps its default)",
)
Query = Annotated[
    str,
    StringConstraints(min_length=1, max_length=2048),
    Field(json_schema_extra=schema(unit="PromQL", rules=[WINDOW_RULE])),
]


EnvName = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z_][-._A-Za-z0-9]*$", min_length=1, max_length=128),
    Field(json_schema_extra=schema(forms="the name of an environment variable")),
]
ParameterName = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9_][-._A-Za-z0-9]*$", min_length=1, max_length=128),
    Field(json_schema_extra=schema(forms="the name of a parameter")),
]
JsonPath = Annotated[
    str,
    StringConstraints(pattern=r"^\{?\.[^\r\n]+$", min_length=2, max_length=256),
    Field(json_schema_extra=schema(forms="a JSONPath that begins with a dot")),
]


class SelectorOperator(StrEnum):
    """How a label is compared."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


class LabelSelectorRequirement(ApiModel):
    """One comparison of a label with values."""

    model_config = ConfigDict(
        json_schema_extra=schema(
            rules=[
                rule(
                    "self.operator in ['In', 'NotIn'] ? (has(self.values) && self.values.size() > 0)"
                    " : (!has(self.values) || self.values.size() == 0)",
                    "In and NotIn need values; Exists and DoesNotExist take none",
                )
            ]
        )
    )

    key: LabelKey = Field(description="Label to compare.", examples=["app"])
    operator: SelectorOperator = Field(description="Comparison of the label with the values.", examples=["In"])
    values: tuple[LabelValue, ...] = Field(
        default=(),
        max_length=16,
        description="Values for In and NotIn; empty for Exists and DoesNotExist.",
        examples=[["etl", "train"]],
        json_schema_extra=schema(unique=True),
    )

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether ``labels`` satisfy this comparison, by Kubernetes' rules (NotIn also accepts a missing label)."""
        return LabelRequirement(self.key, self.operator.value, self.values).met_by(labels.get(self.key))


class LabelSelector(ApiModel):
    """Selects objects by their labels. All conditions must hold; an empty selector selects everything."""

    model_config = ConfigDict(json_schema_extra=schema(atomic=True))

    match_labels: dict[str, LabelValue] = Field(
        default_factory=dict,
        max_length=32,
        description="Labels that must be present with exactly these values.",
        examples=[{"app": "etl"}],
    )
    match_expressions: tuple[LabelSelectorRequirement, ...] = Field(
        default=(),
        max_length=8,
        description="Further comparisons of labels, all of which must hold.",
        examples=[[{"key": "tier", "operator": "NotIn", "values": ["test"]}]],
    )

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether an object with ``labels`` is selected."""
        return all(labels.get(key) == value for key, value in self.match_labels.items()) and all(
            requirement.matches(labels) for requirement in self.match_expressions
        )


class ExtraMetricSpec(ApiModel):
    """A number per run (or per step of a run) that comes from a query of the user's own."""

    name: ShortName = Field(
        description="Name under which budgets, prices and reports use this metric.", examples=["tokens"]
    )
    per: Per = Field(
        default=Per.RUN,
        description="Run: one series per run, distinguished by the label run. Step: one per run and step, with the label "
        "step added.",
        examples=["Step"],
    )
    query: Query = Field(
        description="Query for the value. $window is replaced by the duration of the run, and the query is "
        "confined to the profile's namespace.",
        examples=["sum by (run, step) (last_over_time(llm_tokens_total[$window]))"],
    )
    role: MetricRole | None = Field(
        default=None,
        description="Quantity that the value measures. InputSize: size of the input, to compare runs at equal input and to "
        "size by input. Tokens, Cost (in the pricing's currency), CacheHits (lookups answered from a cache, percent), "
        "Errors, Items (pieces of work): used by budgets, objectives, cost and the rules about caching and batching.",
        examples=["InputSize"],
        json_schema_extra=schema(default="a number of its own, for budgets and unit prices"),
    )
    unit: Line80 | None = Field(
        default=None, description="Unit of the value, used in sentences and reports.", examples=["tokens"]
    )


_INPUT_RULES = [
    rule(
        "[has(self.parameter), has(self.annotation), has(self.env), has(self.jsonPath), has(self.bytesRead)]"
        ".filter(x, x).size() == 1",
        "exactly one of parameter, annotation, env, jsonPath and bytesRead must be set",
    ),
    rule("!has(self.bytesRead) || self.bytesRead", "bytesRead is true, or the entry is left out"),
]


class InputSpec(ApiModel):
    """Where the object of a run holds the size of its input, as a number or a quantity such as 1.5Gi; or bytes read."""

    model_config = ConfigDict(json_schema_extra=schema(rules=_INPUT_RULES))

    annotation: LabelKey | None = Field(
        default=None,
        description="Annotation of the run (of a Job also of its pods) that holds the size.",
        examples=["example.com/input-bytes"],
    )
    bytes_read: bool | None = Field(
        default=None,
        description="Bytes that the pods of a step read from disk and network, as a proxy for its input where no other"
        " source is declared. Reads vary for other reasons too: a step that lost its cache reads more of the same input.",
        examples=[True],
    )
    env: EnvName | None = Field(
        default=None,
        description="Environment variable, with a literal value, in the pod template of a Job or JobSet.",
        examples=["INPUT_BYTES"],
    )
    json_path: JsonPath | None = Field(
        default=None,
        description="JSONPath into the run's object; several numbers are added up.",
        examples=[".metadata.annotations['example.com/input-bytes']"],
    )
    parameter: ParameterName | None = Field(
        default=None,
        description="Argo parameter or Tekton param. A step's own value, such as the one of a fan-out item or a task's"
        " result passed on, takes precedence over the run's.",
        examples=["input-bytes"],
    )
    step: StepName | None = Field(
        default=None,
        description="Step whose input this is.",
        examples=["transform"],
        json_schema_extra=schema(default="every step without an entry of its own"),
    )
    unit: InputUnit = Field(
        default=InputUnit.BYTES,
        description="Unit of the size: bytes, or a count of rows, files and the like.",
        examples=["Count"],
    )


def inputs_field() -> Any:
    """``spec.inputs`` of profiles and policies."""
    return Field(
        default=(),
        max_length=20,
        description="Sources of the input size of runs. Runs are then compared at equal input, and memory is sized by"
        " input. Read from live runs; an extra metric with role InputSize takes precedence.",
        examples=[[{"parameter": "input-bytes"}]],
    )


class Condition(ApiModel):
    """One aspect of an object's state, in Kubernetes' standard form."""

    last_transition_time: Timestamp = Field(
        description="Time of the last transition of the status.", examples=["2027-01-31T00:00:00Z"]
    )
    message: Line1000 = Field(
        description="The state and the next action, as a sentence.", examples=["30 of 30 runs analyzed."]
    )
    observed_generation: int | None = Field(
        default=None,
        ge=0,
        description="Generation of the object from which this condition was computed.",
        examples=[3],
    )
    reason: Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Za-z]*$", min_length=1, max_length=64)] = Field(
        description="Reason for the status, in CamelCase; the reference lists all of them.", examples=["Analyzed"]
    )
    status: Literal["True", "False", "Unknown"] = Field(
        description="Whether the condition holds; Unknown when it cannot be determined.", examples=["True"]
    )
    type: Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Za-z]*$", min_length=1, max_length=64)] = Field(
        description="Type of the condition.", examples=["Ready"]
    )


def conditions_field(types: str) -> tuple[Condition, ...]:
    """The field ``conditions`` of a status; ``types`` names the aspects this kind reports."""
    field: tuple[Condition, ...] = Field(
        default=(),
        max_length=8,
        description=f"State in Kubernetes' standard form. Types: {types}.",
        examples=[[{"type": "Ready", "status": "True"}]],
        json_schema_extra=schema(list_map="type"),
    )
    return field


def observed_generation_field() -> int | None:
    """The field ``observedGeneration`` of a status."""
    field: int | None = Field(
        default=None,
        ge=0,
        description="Generation of the spec from which this status was computed.",
        examples=[3],
    )
    return field
