"""One recommendation as ``concertmaster list -o json`` prints it: a contract with other programs.

Numbers are JSON numbers here (a resource must not hold them); null is not known. Fields may be added, none is renamed.
"""

from __future__ import annotations

import json

from pydantic import Field, TypeAdapter, ValidationError, ValidatorFunctionWrapHandler, field_validator

from concertmaster.api.models.base import ApiModel
from concertmaster.core.model.enums import Category, Level, RecommendationState, Severity


class Amount(ApiModel):
    """An amount with its 90% interval."""

    low: float
    likely: float
    high: float
    unit: str = Field(description="run-minutes/month, failed runs/month, or a currency and /month.")


class ImpactAmounts(ApiModel):
    """Likely amounts in 30 days."""

    run_minutes_per_month: float | None = Field(description="Run time saved, in minutes.")
    failed_runs_per_month: float | None = Field(description="Failed runs avoided.")
    money_per_month: float | None = Field(description="Money saved, in currency.")
    currency: str | None = Field(default=None, description="Currency of moneyPerMonth.")


class SizeRow(ApiModel):
    """One value of a right-sizing."""

    step: str
    container: str
    field: str = Field(description="requests.cpu, requests.memory, limits.cpu or limits.memory.")
    old: str | None = Field(description="Current value; null when it is not set.")
    new: str


class ListEntry(ApiModel):
    """One recommendation of one workflow."""

    namespace: str
    profile: str = Field(description="Name of the WorkflowProfile.")
    kind: str | None = Field(description="Kind of the workflow.")
    workflow: str | None = Field(description="Name of the workflow.")
    id: str = Field(description="The rule and, where it applies, the step; stable.")
    state: RecommendationState | None = Field(description="null for a minor item.")
    severity: Severity | None
    category: Category | None
    action: str
    because: str | None
    current: str | None
    proposed: str | None
    expected: str | None
    how: str | None = Field(description="Command that shows or makes the change.")
    effort: Level | None
    risk: Level | None
    interval: Amount | None = Field(description="Impact in the measure of the recommendation.")
    impact: ImpactAmounts
    confidence: float | None = Field(description="0 to 1.")
    items: tuple[SizeRow, ...]
    minor: bool = Field(description="Whether it is below the policy's materiality thresholds.")
    since: str | None
    note: str | None
    dismissal: str | None
    effect: str | None = Field(description="Measured effect of an implemented recommendation.")

    @field_validator("state", "severity", "category", "effort", "risk", mode="wrap")
    @classmethod
    def _known(cls, value: object, validate: ValidatorFunctionWrapHandler) -> object:
        """A value of a newer operator that this version does not know is null, as everything that is not known."""
        try:
            return validate(value)
        except ValidationError:
            return None


def json_schema() -> str:
    """The JSON schema of the whole list."""
    schema = TypeAdapter(list[ListEntry]).json_schema(by_alias=True)
    return json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}, indent=2) + "\n"
