"""Engines by what they observe. A further engine is one module with the functions named here and one row each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from concertmaster.core.model import Engine, PodFact, StepExecution, WorkflowDefinition
from concertmaster.engines import graph, job
from concertmaster.engines.argo import definition as argo
from concertmaster.engines.argo import pods as argo_pods
from concertmaster.engines.argo.nodes import link_attempts
from concertmaster.engines.argo.templates import Resolve
from concertmaster.engines.placing import Context, Placement

Define = Callable[[Mapping[str, Any], Resolve | None, str | None], WorkflowDefinition | None]
Place = Callable[[Sequence[PodFact], Sequence[WorkflowDefinition], Context], Iterator[Placement]]
Settle = Callable[[Sequence[StepExecution], WorkflowDefinition | None], list[StepExecution]]


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


ENGINES: tuple[EngineRow, ...] = (
    EngineRow(
        Engine.ARGO,
        (
            "argoproj.io/WorkflowTemplate",
            "argoproj.io/ClusterWorkflowTemplate",
            "argoproj.io/CronWorkflow",
            "argoproj.io/Workflow",
        ),
        ("Workflow",),
        lambda raw, resolve, namespace: argo.define(raw, resolve, namespace=namespace),
        argo_pods.place,
        link_attempts,
    ),
    EngineRow(
        Engine.JOB,
        ("batch/CronJob", "batch/Job"),
        ("Job",),
        lambda raw, resolve, namespace: job.define(raw),
        job.place,
        job.settle,
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
