"""Outcomes of runs that have an object besides their labelled pods: SparkApplications, TrainJobs and RayJobs.

Their steps come from the pods. Executors are deleted while running, as soon as their driver has finished, so that the
outcome of most Spark runs cannot be derived from pods alone.

https://www.kubeflow.org/docs/components/spark-operator/user-guide/
https://www.kubeflow.org/docs/components/trainer/
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from concertmaster.core.model import ObjectKind, Outcome, WorkflowDefinition, WorkflowKey
from concertmaster.engines.base import RunKind
from concertmaster.engines.common.manifest import mapping, text
from concertmaster.engines.common.objects import KubeObject
from concertmaster.engines.labels.preset import base
from concertmaster.engines.live import LiveRun, RunEnd, end_of, ended_by, live_run
from concertmaster.engines.rayjob.live import RUNS

SPARK = ObjectKind("sparkoperator.k8s.io/v1beta2", "SparkApplication", "sparkapplications")
TRAIN = ObjectKind("trainer.kubeflow.org/v1alpha1", "TrainJob", "trainjobs")
_SPARK_ENDS = {"COMPLETED": Outcome.SUCCEEDED, "FAILED": Outcome.FAILED}
_TRAIN_ENDS = {"Complete": Outcome.SUCCEEDED, "Failed": Outcome.FAILED}


def workflow_of(raw: Mapping[str, Any]) -> WorkflowKey | None:
    """The workflow of a run, named as in the labels of its pods: without the suffix that a schedule appends."""
    obj = KubeObject.of(raw)
    return WorkflowKey(obj.namespace, str(raw.get("kind")), base(obj.name)) if obj.name else None


def _application(obj: KubeObject) -> Outcome:
    state = mapping(obj.status.get("applicationState"), "status.applicationState", obj.problems).get("state")
    return _SPARK_ENDS.get(str(state), Outcome.RUNNING)


def read_application(
    raw: Mapping[str, Any],
    children: Sequence[Mapping[str, Any]],
    key: WorkflowKey,
    definition: WorkflowDefinition | None = None,
) -> LiveRun:
    """The end of a SparkApplication's last submission, which is the one in the labels of its pods. Never raises."""
    obj = KubeObject.of(raw)
    end = RunEnd(_application(obj))
    run = live_run(obj, key, (), end, started="lastSubmissionAttemptTime", finished="terminationTime")
    name = text(obj.status.get("sparkApplicationId"), "status.sparkApplicationId", obj.problems)
    return replace(run, record=replace(run.record, run=name)) if name else run


def read_train(
    raw: Mapping[str, Any],
    children: Sequence[Mapping[str, Any]],
    key: WorkflowKey,
    definition: WorkflowDefinition | None = None,
) -> LiveRun:
    """The end of a TrainJob; its JobSet has the same name. Never raises."""
    obj = KubeObject.of(raw)
    return live_run(obj, key, (), end_of(obj, _TRAIN_ENDS))


RUN_KINDS: Mapping[str, RunKind] = {
    "spark": RunKind(
        SPARK,
        ended=lambda obj: _application(obj) is not Outcome.RUNNING,
        workflow_of=workflow_of,
        read=read_application,
    ),
    "kubeflow-trainer": RunKind(TRAIN, ended=ended_by(_TRAIN_ENDS), workflow_of=workflow_of, read=read_train),
    "kuberay": replace(RUNS, workflow_of=workflow_of),
}
"""By preset. Volcano Jobs are left out: their kind has the name of the one in ``batch``, and their pods end with
them."""
