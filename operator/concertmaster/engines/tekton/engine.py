"""Tekton Pipelines, as registered."""

from __future__ import annotations

from concertmaster.core.model import TASK, ObjectKind, PodFact, WorkflowKey
from concertmaster.engines.base import ChartSwitch, Engine, RunKind, SharedKind
from concertmaster.engines.common.names import generated_base
from concertmaster.engines.common.ordering import settle
from concertmaster.engines.common.selectors import label_value
from concertmaster.engines.tekton.definition import define, tasks_of
from concertmaster.engines.tekton.live import ended, read_run, run_values, workflow_of
from concertmaster.engines.tekton.pods import LABELS, place
from concertmaster.engines.tekton.traits import API, TEKTON

_PIPELINE, _RUN, _ = LABELS


def _infer(fact: PodFact) -> WorkflowKey | None:
    if fact.owner_kind != "TaskRun":
        return None
    pipeline, run = label_value(fact.labels, _PIPELINE), label_value(fact.labels, _RUN)
    if pipeline is not None:
        return WorkflowKey(fact.namespace, "Pipeline", pipeline)
    return WorkflowKey(fact.namespace, "PipelineRun", generated_base(run) or run) if run is not None else None


ENGINE = Engine(
    traits=TEKTON,
    defining=("Pipeline",),
    define=lambda raw, resolve, namespace: define(raw, resolve),
    place=place,
    settle=settle,
    run_kinds=(
        RunKind(
            ObjectKind(API, "PipelineRun", "pipelineruns"),
            ended=ended,
            workflow_of=workflow_of,
            read=read_run,
            older=("tekton.dev/v1beta1",),
            children=ObjectKind(API, "TaskRun", "taskruns"),
            child_selector=lambda obj: f"{_RUN}={obj.name}",
            pod_labels=(("taskRunSpecs", "*", "metadata", "labels"),),
            values=run_values,
        ),
    ),
    companions={"Pipeline": (TASK,)},
    owner_kinds=("TaskRun",),
    pod_labels=LABELS,
    infer=_infer,
    shared=(SharedKind(TASK, "Pipeline", tasks_of, patched=True),),
    chart=ChartSwitch("tekton", ("Tekton Pipelines",)),
    page=("Tekton Pipelines", "tekton.md"),
)
