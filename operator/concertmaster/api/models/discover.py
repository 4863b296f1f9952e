"""What a policy discovers: objects of a kind, or workflows by labels of their pods."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from concertmaster.api.models.base import ApiModel, rule, schema
from concertmaster.api.models.common import LabelSelector
from concertmaster.api.models.kinds import TargetKind, TargetVersion
from concertmaster.api.models.pod_labels import DiscoveredLabels
from concertmaster.api.models.profile import REF_RULE

_DISCOVER_RULES = [
    rule(f"has(self.podLabels) || ({REF_RULE['rule']})", str(REF_RULE["message"])),
    rule("has(self.podLabels) || (has(self.apiVersion) && has(self.kind))", "set apiVersion and kind, or podLabels"),
    rule(
        "!has(self.podLabels) || (!has(self.apiVersion) && !has(self.kind) && !has(self.selector))",
        "podLabels stands alone: no apiVersion, kind or selector beside it",
    ),
]


class Discover(ApiModel):
    """Targets that get a profile of their own."""

    model_config = ConfigDict(json_schema_extra=schema(rules=_DISCOVER_RULES))

    api_version: TargetVersion | None = Field(
        default=None,
        description="API group and version of the targets.",
        examples=["argoproj.io/v1alpha1"],
        json_schema_extra=schema(default="none: the entry has podLabels"),
    )
    kind: TargetKind | None = Field(
        default=None,
        description="Kind of the targets.",
        examples=["WorkflowTemplate"],
        json_schema_extra=schema(default="none: the entry has podLabels"),
    )
    pod_labels: DiscoveredLabels | None = Field(
        default=None,
        description="Workflows of engines that are identified by pod labels, in place of apiVersion and kind.",
        examples=[{"preset": "airflow"}],
    )
    selector: LabelSelector | None = Field(
        default=None,
        description="Selector of the targets by label.",
        examples=[{"matchLabels": {"team": "data"}}],
        json_schema_extra=schema(default="all of this kind"),
    )
