"""Argo Workflows, as registered."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from concertmaster.core.model import ObjectKind, PodFact, StepExecution, WorkflowDefinition, WorkflowKey
from concertmaster.engines.argo.daemons import settle_daemons
from concertmaster.engines.argo.definition import define, trigger
from concertmaster.engines.argo.live import begins_elsewhere, ended, read_run, run_values, workflow_of
from concertmaster.engines.argo.nodes import link_attempts
from concertmaster.engines.argo.pods import TEMPLATE_LABELS, as_in_history, place
from concertmaster.engines.argo.traits import API, ARGO, sets_resources, template_kind
from concertmaster.engines.base import ActiveRuns, ChartSwitch, Engine, RunKind, SharedKind
from concertmaster.engines.common.names import generated_base, scheduled_base
from concertmaster.engines.common.objects import objects_in
from concertmaster.engines.retried_runs import pauses, remaining

_WORKFLOW = ObjectKind(API, "Workflow", "workflows")
_DEFINING = ("WorkflowTemplate", "ClusterWorkflowTemplate", "CronWorkflow")
_COMPLETED = "workflows.argoproj.io/completed"


def _settle(executions: Sequence[StepExecution], definition: WorkflowDefinition | None) -> list[StepExecution]:
    between = pauses(executions)
    linked = link_attempts(remaining(executions, between), definition)
    return settle_daemons(remaining(linked, between) if between else linked, definition)


def _infer(fact: PodFact) -> WorkflowKey | None:
    if fact.owner_kind != "Workflow" or not fact.owner_name:
        return None
    name = fact.owner_name
    return WorkflowKey(fact.namespace, "Workflow", scheduled_base(name) or generated_base(name) or name)


def _made_from(raw: Mapping[str, Any]) -> frozenset[str]:
    labels = (raw.get("metadata") or {}).get("labels") or {}
    reference = (raw.get("spec") or {}).get("workflowTemplateRef") or {}
    names = [reference.get("name"), *(labels.get(key) for key, kind in TEMPLATE_LABELS if kind != "CronWorkflow")]
    return frozenset(str(name) for name in names if name)


def _referenced(kind: str) -> Callable[[Mapping[str, Any], str | None], frozenset[str]]:
    """Returns a function that names the templates of a kind that an object refers to by ``templateRef``, or is created
    from."""

    def names(raw: Mapping[str, Any], _: str | None) -> frozenset[str]:
        keys = ("templateRef",) if raw.get("kind") == "CronWorkflow" else ("templateRef", "workflowTemplateRef")
        refs = (row.get(key) for row in objects_in(raw.get("spec")) for key in keys)
        own = (ref for ref in refs if isinstance(ref, Mapping) and template_kind(ref) == kind)
        return frozenset(str(ref.get("name")) for ref in own)

    return names


def patches_pods(raw: Mapping[str, Any]) -> bool:
    """Whether a podSpecPatch anywhere in an object sets resources, or may: Argo applies it last."""
    return any(sets_resources(row.get("podSpecPatch")) is not None for row in objects_in(raw.get("spec")))


ENGINE = Engine(
    traits=ARGO,
    defining=_DEFINING,
    define=lambda raw, resolve, namespace: define(raw, resolve, namespace=namespace),
    place=place,
    settle=_settle,
    pauses=pauses,
    run_kinds=(
        RunKind(
            _WORKFLOW,
            ended=ended,
            workflow_of=workflow_of,
            read=lambda raw, _, key, definition: read_run(raw, key, definition),
            finished_selector=f"{_COMPLETED}=true",
            pod_labels=(("podMetadata", "labels"), ("templates", "*", "metadata", "labels")),
            values=lambda raw, _: run_values(raw),
            begins_elsewhere=begins_elsewhere,
        ),
    ),
    companions={
        "WorkflowTemplate": ("CronWorkflow", "ClusterWorkflowTemplate"),
        "ClusterWorkflowTemplate": ("CronWorkflow", "WorkflowTemplate"),
        "CronWorkflow": ("WorkflowTemplate", "ClusterWorkflowTemplate"),
    },
    owner_kinds=("Workflow",),
    # If kube-state-metrics exports them, they name the template of a run; otherwise it is derived from names.
    pod_labels=tuple(key for key, _ in TEMPLATE_LABELS),
    trigger=trigger,
    infer=_infer,
    as_in_history=as_in_history,
    active_runs=ActiveRuns(_WORKFLOW, f"{_COMPLETED}!=true", _made_from),
    shared=tuple(
        SharedKind(kind, user, _referenced(kind))
        for kind, users in (
            ("WorkflowTemplate", ("WorkflowTemplate", "CronWorkflow")),
            ("ClusterWorkflowTemplate", _DEFINING),
        )
        for user in users
    ),
    patches_pods=patches_pods,
    chart=ChartSwitch("argo", ("WorkflowTemplates", "ClusterWorkflowTemplates", "CronWorkflows")),
    page=("Argo Workflows", "argo.md"),
)
