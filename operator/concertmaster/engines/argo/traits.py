"""Argo's names of the fields that rules read, and the fields that changes may set."""

from __future__ import annotations

import re

from concertmaster.core.model import EngineTraits, ObjectKind

API = "argoproj.io/v1alpha1"
_SPEC = r"(/spec|/spec/workflowSpec)"
_TEMPLATE = _SPEC + r"/templates/\d+((/dag/tasks/\d+|/steps/\d+/\d+)/inline)*"
_CONTAINER = r"(container|script|(sidecars|initContainers|containerSet/containers)/\d+)"
_FIELDS = (
    re.compile(rf"{_SPEC}/(?P<resource>parallelism)"),
    re.compile(rf"{_TEMPLATE}/(?P<resource>parallelism)"),
    re.compile(rf"{_TEMPLATE}/{_CONTAINER}/resources/requests/(?P<resource>cpu|memory)"),
)

ARGO = EngineTraits(
    name="Argo",
    injected_containers=(("init", True), ("wait", False)),
    kinds=(
        ObjectKind(API, "WorkflowTemplate", "workflowtemplates", short="wftmpl", fields=_FIELDS, compared=True),
        ObjectKind(
            API,
            "ClusterWorkflowTemplate",
            "clusterworkflowtemplates",
            namespaced=False,
            short="cwft",
            fields=_FIELDS,
            compared=True,
        ),
        ObjectKind(API, "CronWorkflow", "cronworkflows", short="cronwf", fields=_FIELDS),
    ),
    deadline_field="activeDeadlineSeconds",
    retry_strategy_field="retryStrategy",
    memoize_field="memoize",
    exit_handler=True,
    clean_up_fields=("ttlStrategy", "podGC"),
)
