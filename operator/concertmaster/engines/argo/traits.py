"""Argo's names of the fields that rules read, the fields that changes may set, and the one that overrides them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from concertmaster.core.model import EngineTraits, ObjectKind
from concertmaster.engines.common.manifest import flag

API = "argoproj.io/v1alpha1"
_SPEC = r"(/spec|/spec/workflowSpec)"
_TEMPLATE = _SPEC + r"/templates/\d+((/dag/tasks/\d+|/steps/\d+/\d+)/inline)*"
_CONTAINER = r"(container|script|(sidecars|initContainers|containerSet/containers)/\d+)"
_FIELDS = (
    re.compile(rf"{_SPEC}/(?P<resource>parallelism)"),
    re.compile(rf"{_TEMPLATE}/(?P<resource>parallelism)"),
    re.compile(rf"{_TEMPLATE}/{_CONTAINER}/resources/requests/(?P<resource>cpu|memory)"),
)

_QUOTED = re.compile(r"\"[^\"\n]*\"|'[^'\n]*'")
# A field of a pod other than those that hold resources, with a parameter as its value.
_ELSEWHERE = re.compile(
    r"(?:(?P<quote>[\"'])|(?<![\"'\w./-]))(?!(?:containers|initContainers|ephemeralContainers|resources|spec)\b)[A-Za-z][\w./-]*"
    r"(?(quote)(?P=quote))\s*:\s*\{\{[^{}]*\}\}(?=\s*(?:[,}\]]|$))",
    re.MULTILINE,
)

ARGO = EngineTraits(
    name="Argo",
    injected_containers=(("init", True), ("wait", False)),
    kinds=(
        ObjectKind(
            API,
            "WorkflowTemplate",
            "workflowtemplates",
            short="wftmpl",
            fields=_FIELDS,
            compared=True,
            referred=True,
        ),
        ObjectKind(
            API,
            "ClusterWorkflowTemplate",
            "clusterworkflowtemplates",
            namespaced=False,
            short="cwft",
            fields=_FIELDS,
            compared=True,
            referred=True,
        ),
        ObjectKind(API, "CronWorkflow", "cronworkflows", short="cronwf", fields=_FIELDS),
    ),
    deadline_field="activeDeadlineSeconds",
    retry_strategy_field="retryStrategy",
    memoize_field="memoize",
    exit_handler=True,
    clean_up_fields=("ttlStrategy", "podGC"),
    sets_resources=("a podSpecPatch of the run or of workflowDefaults",),
)


def template_kind(reference: Mapping[str, Any]) -> str:
    """The kind of the object that a ``workflowTemplateRef`` or ``templateRef`` names."""
    return "ClusterWorkflowTemplate" if flag(reference.get("clusterScope")) else "WorkflowTemplate"


def sets_resources(patch: object) -> str | None:
    """Whether a podSpecPatch "sets" resources, or "may set" them: one that a parameter stands for is only known at run time,
    as in the workflows that Kubeflow Pipelines compiles. A parameter in quotes is a value, and so is one that stands for
    seconds or a node selector: neither sets anything else."""
    return _sets_resources(patch) if isinstance(patch, str) else None


@lru_cache(maxsize=8)  # a workflow's own is asked for each of its templates
def _sets_resources(patch: str) -> str | None:
    return "sets" if "resources" in patch else "may set" if "{{" in _QUOTED.sub("", _ELSEWHERE.sub("", patch)) else None
