"""Run records from live Jobs and their pods."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from concertmaster.core.model import Outcome, StepExecution, WorkflowDefinition, WorkflowKey
from concertmaster.engines.common.executions import execution
from concertmaster.engines.common.manifest import Problems, mapping, timestamp, whole
from concertmaster.engines.common.objects import KubeObject, mappings
from concertmaster.engines.common.pods import read_pod
from concertmaster.engines.jobs.definition import STEP
from concertmaster.engines.jobs.pods import index_of, settle
from concertmaster.engines.live import LiveRun, end_of, live_run

_SOON = 5  # seconds after its end in which the pods of a Job may not have been read yet
OUTCOMES = {"Complete": Outcome.SUCCEEDED, "Failed": Outcome.FAILED}


def workflow_of(raw: Mapping[str, Any]) -> WorkflowKey | None:
    """The CronJob that created a Job, else the Job itself."""
    obj = KubeObject.of(raw)
    for owner in mappings(obj.meta.get("ownerReferences"), "ownerReferences", obj.problems):
        if owner.get("kind") == "CronJob" and isinstance(owner.get("name"), str):
            return WorkflowKey(obj.namespace, "CronJob", owner["name"])
    return WorkflowKey(obj.namespace, "Job", obj.name) if obj.name else None


def read_run(
    raw: Mapping[str, Any],
    pods: Sequence[Mapping[str, Any]],
    key: WorkflowKey,
    definition: WorkflowDefinition | None = None,
) -> LiveRun:
    """The run record of a Job with those of its pods that still exist. Never raises, whatever they contain."""
    obj = KubeObject.of(raw)
    status, problems = obj.status, obj.problems
    end = end_of(obj, OUTCOMES)
    executions = [_execution(p, definition, problems) for p in pods]
    # A Job is Complete or Failed once the last of its pods is gone; it deletes those that still work.
    steps = settle([e if e.finished is not None else replace(e, finished=end.at) for e in executions], definition)
    ends = {(e.item, e.attempt): e.finished for e in reversed(steps)}
    steps = [replace(e, ready=_ready(e, ends, status), after=() if e.attempt == 0 else (e.step,)) for e in steps]
    counted = sum(n for n in (status.get("succeeded"), status.get("failed")) if isinstance(n, int))
    complete = len(steps) >= max(1, counted)
    if not complete and end.outcome is not Outcome.RUNNING:
        problems.add(f"pods of Job {obj.name} are gone{_clean_up(obj)}: they are only known from the metrics")
    return live_run(obj, key, steps, end, complete=complete)


def _clean_up(obj: KubeObject) -> str:
    """The setting that deletes a Job with its pods before they can be read, in brackets; nothing where that is none."""
    seconds = whole(obj.spec.get("ttlSecondsAfterFinished"), "ttlSecondsAfterFinished", obj.problems)
    return f" (ttlSecondsAfterFinished: {seconds})" if seconds is not None and seconds <= _SOON else ""


def pod_templates(raw: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The pod template of a Job."""
    obj = KubeObject.of(raw)
    yield mapping(obj.spec.get("template"), "spec.template", obj.problems)


def _execution(raw: Mapping[str, Any], definition: WorkflowDefinition | None, problems: Problems) -> StepExecution:
    fact, code = read_pod(raw, problems)
    spec = definition.graph.step(STEP) if definition is not None else None
    item = index_of(fact, spec) if spec is None or spec.fan_out or spec.indexed else None
    sidecars = spec.sidecars if spec is not None else ()
    return replace(execution(fact, STEP, item, beside=sidecars), exit_code=code)


def _ready(
    e: StepExecution, ends: Mapping[tuple[str | None, int], float | None], status: Mapping[str, Any]
) -> float | None:
    """Ready time in unix seconds: first attempts are ready when the Job starts (even if parallelism delays them), later
    ones when the previous attempt has ended."""
    if e.attempt == 0:
        return timestamp(status.get("startTime"))
    return ends.get((e.item, e.attempt - 1))
