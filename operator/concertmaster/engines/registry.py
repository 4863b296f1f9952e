"""Engines by what they observe. A further engine is one module with the functions named here and one row each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from concertmaster.core.model import Engine, PodFact, StepExecution, WorkflowDefinition, WorkflowKey
from concertmaster.engines.argo import definition as argo
from concertmaster.engines.argo import live as argo_live
from concertmaster.engines.argo import pods as argo_pods
from concertmaster.engines.argo.nodes import link_attempts
from concertmaster.engines.common.manifest import Resolve
from concertmaster.engines.common.placing import Context, Placement
from concertmaster.engines.graph import steps as graph
from concertmaster.engines.jobs import definition as job
from concertmaster.engines.jobs import live as job_live
from concertmaster.engines.jobset import definition as jobset
from concertmaster.engines.jobset import live as jobset_live
from concertmaster.engines.jobset import pods as jobs
from concertmaster.engines.live import LiveRun
from concertmaster.engines.tekton import definition as tekton
from concertmaster.engines.tekton import live as tekton_live
from concertmaster.engines.tekton import pods as tekton_pods

Define = Callable[[Mapping[str, Any], Resolve | None, str | None], WorkflowDefinition | None]
Place = Callable[[Sequence[PodFact], Sequence[WorkflowDefinition], Context], Iterator[Placement]]
Settle = Callable[[Sequence[StepExecution], WorkflowDefinition | None], list[StepExecution]]


@dataclass(frozen=True, slots=True)
class LiveReader:
    """How runs are read from live objects of one ``kind`` ("<api group>/<kind>"): whose run it is, and its record from
    the object, its children (TaskRuns of a PipelineRun, pods of a Job) and the definition, where one is known."""

    kind: str
    workflow_of: Callable[[Mapping[str, Any]], WorkflowKey | None]
    read: Callable[[Mapping[str, Any], Sequence[Mapping[str, Any]], WorkflowKey, WorkflowDefinition | None], LiveRun]


@dataclass(frozen=True, slots=True)
class EngineRow:
    """``kinds``: objects it reads as "<api group>/<kind>". ``owner_kinds``: controllers of the pods it places.

    ``settle`` numbers items and attempts of one run once all its pods are there.
    """

    engine: Engine
    kinds: tuple[str, ...]
    owner_kinds: tuple[str, ...]
    define: Define
    place: Place
    settle: Settle
    live: tuple[LiveReader, ...] = ()


ENGINES: tuple[EngineRow, ...] = (
    EngineRow(
        Engine.ARGO,
        (
            "argoproj.io/WorkflowTemplate",
            "argoproj.io/ClusterWorkflowTemplate",
            "argoproj.io/CronWorkflow",
        ),
        ("Workflow",),
        lambda raw, resolve, namespace: argo.define(raw, resolve, namespace=namespace),
        argo_pods.place,
        link_attempts,
        (
            LiveReader(
                "argoproj.io/Workflow", argo_live.workflow_of, lambda raw, _, key, d: argo_live.read_run(raw, key, d)
            ),
        ),
    ),
    EngineRow(
        Engine.JOB,
        ("batch/CronJob", "batch/Job", "jobset.x-k8s.io/JobSet"),
        ("Job",),
        lambda raw, resolve, namespace: jobset.define(raw) if raw.get("kind") == "JobSet" else job.define(raw),
        jobs.place,
        job.settle,
        (
            LiveReader("batch/Job", job_live.workflow_of, job_live.read_run),
            LiveReader("jobset.x-k8s.io/JobSet", jobset_live.workflow_of, jobset_live.read_run),
        ),
    ),
    EngineRow(
        Engine.TEKTON,
        ("tekton.dev/Pipeline",),
        ("TaskRun",),
        lambda raw, resolve, namespace: tekton.define(raw, resolve),
        tekton_pods.place,
        lambda executions, definition: list(executions),
        (LiveReader("tekton.dev/PipelineRun", tekton_live.workflow_of, tekton_live.read_run),),
    ),
    EngineRow(
        Engine.GRAPH,
        ("concertmaster.dev/WorkflowProfile",),
        (),
        lambda raw, resolve, namespace: graph.define(raw),
        graph.place,
        graph.settle,
    ),
)


def by_engine(engine: Engine) -> EngineRow | None:
    """The row of an engine, None when it cannot be observed."""
    return next((row for row in ENGINES if row.engine is engine), None)


def by_object(raw: Mapping[str, Any]) -> EngineRow | None:
    """The row that reads an object, by its apiVersion and kind; None when nobody does."""
    group = str(raw.get("apiVersion") or "").rpartition("/")[0]
    wanted = f"{group}/{raw.get('kind')}"
    return next((row for row in ENGINES if wanted in row.kinds), None)


def settle(executions: Sequence[StepExecution], definition: WorkflowDefinition | None) -> list[StepExecution]:
    """Executions of one run with items and attempts numbered the way its engine does."""
    row = by_engine(definition.engine) if definition is not None else None
    return row.settle(executions, definition) if row is not None else list(executions)


def live_reader(raw: Mapping[str, Any]) -> LiveReader | None:
    """How to read a live run object, by its apiVersion and kind; None when it is none that is observed."""
    group = str(raw.get("apiVersion") or "").rpartition("/")[0]
    wanted = f"{group}/{raw.get('kind')}"
    return next((reader for row in ENGINES for reader in row.live if reader.kind == wanted), None)
