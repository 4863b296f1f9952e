"""Runs of a workflow that are suspended, as their objects are now. They have no pods, so that the history knows none of
them, and after a restart the watch of runs has not brought them yet: they are listed where no run came since a change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from concertmaster.controller.changes.context import WorkflowContext
from concertmaster.core.model import SuspendedRun, WorkflowDefinition
from concertmaster.core.model.engines import POD_BY_POD, QUEUE_LABEL
from concertmaster.engines import Claims, ended
from concertmaster.engines.registry import by_traits
from concertmaster.engines.suspension import WORKLOAD, WORKLOAD_VERSIONS, queued, suspended_run, why_not_admitted
from concertmaster.kube.access import Right
from concertmaster.kube.errors import Forbidden
from concertmaster.kube.objects import Resource, resource_of


def suspended_runs(context: WorkflowContext, definition: WorkflowDefinition, since: float) -> tuple[SuspendedRun, ...]:
    """Those created ``since`` a moment (unix seconds) that are suspended, the oldest first, which has Kueue's reason where
    it may be read; none where runs may not be listed. Raises KubeError."""
    found: list[tuple[SuspendedRun, dict[str, Any]]] = []
    claims, queue = Claims((definition,)), definition.declared.get(QUEUE_LABEL)
    pods_by = str(queue) if POD_BY_POD in definition.declared else None
    for resource in _kinds_of_runs(definition):
        for raw in _listed(context, resource, f"{QUEUE_LABEL}={queue}" if queue and pods_by is None else None):
            run = suspended_run(raw, pods_by)
            if run is not None and run.created >= since and not ended(raw) and claims.of(raw) is not None:
                found.append((run, raw))
    found.sort(key=lambda pair: pair[0].created)
    runs = [run for run, _ in found]
    if found and (selector := queued(found[0][1])) is not None:
        runs[0] = replace(runs[0], why=_why(context, selector))
    return tuple(runs)


def _kinds_of_runs(definition: WorkflowDefinition) -> Iterator[Resource]:
    engine = by_traits(definition.engine)
    for kind in engine.run_kinds if engine is not None else ():
        for version in (kind.object.api_version, *kind.older):
            yield resource_of(kind.object, version)


def _why(context: WorkflowContext, selector: str) -> str | None:
    for version in (WORKLOAD.api_version, *WORKLOAD_VERSIONS):
        for workload in _listed(context, resource_of(WORKLOAD, version), selector):
            if (why := why_not_admitted(workload)) is not None:
                return why
    return None


def _listed(context: WorkflowContext, resource: Resource, selector: str | None) -> Iterator[dict[str, Any]]:
    """Objects in the workflow's namespace; none of a kind that is not served, or may not be listed."""
    facts, namespace = context.cycle.facts, context.profile.entry.namespace
    if not facts.access.allowed(Right("list", resource, namespace)):
        return
    try:
        for obj in facts.listed(resource, namespace, selector):
            yield {**obj, "apiVersion": resource.api_version, "kind": resource.kind}
    except Forbidden:
        return
