"""The workflows of the set for the installed version of Argo, and their runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Any

from benchmarks.torture.workflows.argo_agent import AGENT
from benchmarks.torture.workflows.argo_behaviour import BEHAVIOUR
from benchmarks.torture.workflows.argo_further import (
    CLUSTER,
    FURTHER,
    POD_SIZED,
    REFERRING,
    SCHEDULED,
    TASKS,
    WITHOUT,
)
from benchmarks.torture.workflows.argo_graphs import GRAPHS
from benchmarks.torture.workflows.argo_mixed import ARGUMENTS, MIXED
from benchmarks.torture.workflows.argo_nested import NESTED
from benchmarks.torture.workflows.argo_practice import PRACTICE
from benchmarks.torture.workflows.argo_retried import RETRIED
from benchmarks.torture.workflows.argo_teams import CLUSTER_LIBRARY, TEAMS
from benchmarks.torture.workflows.jobs import JOBS, JOBSETS
from benchmarks.torture.workflows.parts import ARGO, SMALL, Object
from benchmarks.torture.workflows.pipelines import OF_RUN, PIPELINES
from testbed.install.components import ARGO_V4
from testbed.services.controlplane import argo_version

NEWER = argo_version() == ARGO_V4
ARGO_SET = (
    *GRAPHS,
    *BEHAVIOUR,
    *MIXED,
    *NESTED,
    *PRACTICE,
    *FURTHER,
    *AGENT,
    *RETRIED,
    *TEAMS,
    *(POD_SIZED if NEWER else ()),
)
TEKTON_SET = (*PIPELINES, *REFERRING)
LARGE = {"requests": {"cpu": "200m", "memory": "1Gi"}}  # what memory saves is worth a recommendation
NOT_RUN = {"library", "cluster-library"}  # only contain templates for others


def defined(*, large: bool = False) -> list[Object]:
    """All definitions; ``large``: with large requests instead of small ones."""
    found = [*map(_as_served, ARGO_SET), *CLUSTER, *CLUSTER_LIBRARY, *SCHEDULED, *TASKS, *TEKTON_SET]
    return [_enlarged(each) for each in found] if large else found


def names() -> list[str]:
    """Names of the workflows to run."""
    every = (*ARGO_SET, *CLUSTER, *SCHEDULED, *WITHOUT, *TEKTON_SET, *JOBS, *JOBSETS)
    return [d["metadata"]["name"] for d in every if d["metadata"]["name"] not in NOT_RUN]


def runs_of(number: int, chosen: Sequence[str]) -> Iterator[Object]:
    """One run of each workflow that no schedule starts."""
    tail = f"-r{number:04d}"
    for template in (*ARGO_SET, *CLUSTER):
        name = template["metadata"]["name"]
        if name in chosen:
            scope = {"clusterScope": True} if template["kind"] == "ClusterWorkflowTemplate" else {}
            yield {
                "apiVersion": ARGO,
                "kind": "Workflow",
                "metadata": {"name": f"{name}{tail}"},
                "spec": {"workflowTemplateRef": {"name": name, **scope}, **_arguments(name)},
            }
    for pipeline in TEKTON_SET:
        name = pipeline["metadata"]["name"]
        if name in chosen:
            yield {
                "apiVersion": "tekton.dev/v1",
                "kind": "PipelineRun",
                "metadata": {"name": f"{name}{tail}"},
                "spec": {"pipelineRef": {"name": name}, **OF_RUN.get(name, {})},
            }
    for thing in (*JOBS, *JOBSETS, *WITHOUT):
        name = thing["metadata"]["name"]
        if name in chosen:
            yield {**thing, "metadata": {**thing["metadata"], "name": f"{name}{tail}"}}


def _arguments(name: str) -> Object:
    given = [{"name": k, "value": v} for k, v in ARGUMENTS.get(name, {}).items()]
    return {"arguments": {"parameters": given}} if given else {}


def _as_served(template: Object) -> Object:
    """A template for the installed version of Argo: 4.1 identifies a cache by its ConfigMap alone, 3.7 also requires a
    key."""
    found = deepcopy(template)
    for part in found["spec"]["templates"]:
        if "memoize" in part and NEWER:
            del part["memoize"]["cache"]["configMap"]["key"]
    return found


def _enlarged(part: Any) -> Any:
    """A part of a definition, enlarged."""
    if part == SMALL:
        return LARGE
    if isinstance(part, dict):
        return {key: _enlarged(value) for key, value in part.items()}
    return [_enlarged(value) for value in part] if isinstance(part, list) else part
