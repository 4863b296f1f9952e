"""Run records from live PipelineRuns and their TaskRuns.

Only the TaskRuns contain step times: all containers of a pod start together and wait for their turn, so a container's
start is meaningless; the controller writes the time at which it released each step into the status.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

from concertmaster.core.model import (
    RUN_TIMEOUT,
    STOPPED,
    ContainerFact,
    Outcome,
    StepExecution,
    StepSpec,
    WorkflowDefinition,
    WorkflowKey,
)
from concertmaster.engines.common.manifest import Problems, fingerprint, mapping, sequence, text, timestamp
from concertmaster.engines.common.objects import KubeObject, mappings
from concertmaster.engines.inputs import NamedValues, RunValues, annotations_of, parameters_of
from concertmaster.engines.live import LiveRun, RunEnd, few, live_run, not_begun, one_line
from concertmaster.engines.tekton.definition import TaskReader, pipeline_steps
from concertmaster.engines.tekton.edges import with_edges
from concertmaster.engines.tekton.resolvers import fetched_by

_LABEL = "tekton.dev/"
_MAX_RETRIES = 100  # of one TaskRun
_TIMED_OUT = "TaskRun cancelled as the PipelineRun it belongs to has timed out."  # as the controller writes it


def workflow_of(raw: Mapping[str, Any]) -> WorkflowKey | None:
    """The Pipeline that a PipelineRun is a run of; None if the pipeline is embedded in the run."""
    obj = KubeObject.of(raw)
    name = obj.text_at(obj.spec, "pipelineRef", "name")
    if name is None and obj.spec.get("pipelineRef"):
        name = obj.text_at(obj.meta, "labels", f"{_LABEL}pipeline")
    return None if name is None else WorkflowKey(obj.namespace, "Pipeline", name)


def ended(obj: KubeObject) -> bool:
    """Whether a PipelineRun has ended."""
    return _condition(obj.status, obj.problems)[0] is not Outcome.RUNNING


def read_run(
    raw: Mapping[str, Any],
    task_runs: Sequence[Mapping[str, Any]],
    key: WorkflowKey,
    definition: WorkflowDefinition | None = None,
) -> LiveRun:
    """The run record of a PipelineRun with its TaskRuns, in any state. Never raises, whatever they contain.

    Edges come from the pipeline spec that the run used (``status.pipelineSpec``), else from ``definition``.
    """
    obj = KubeObject.of(raw)
    run, status, problems = obj.name, obj.status, obj.problems
    used = mapping(status.get("pipelineSpec", obj.spec.get("pipelineSpec")), "status.pipelineSpec", problems)
    declared = definition.graph.steps if definition else ()
    graph = pipeline_steps(used, TaskReader(None, Problems())) if used else declared
    tasks = task_names(status, problems)
    parts = [KubeObject.of(task_run) for task_run in task_runs]
    present = {part.name for part in parts}
    tried: list[Iterator[StepExecution]] = []
    for part in parts:
        name = part.name
        task = tasks.get(name) or part.labels.get(f"{_LABEL}pipelineTask")
        if task is None:
            problems.add(f"TaskRun {name} of run {run} names no pipeline task: it is left out")
            continue
        tried.append(_attempts(part, task, run, problems))
    steps = few(chain.from_iterable(tried), problems)
    for name, task in tasks.items():
        if name not in present:
            problems.add(f"TaskRun {name} of run {run} is gone: task {task} is only known from the metrics")
    steps += _skipped(status, problems)
    own, (outcome, _, message) = obj.spec.get("pipelineSpec"), _condition(status, problems)
    ordered = with_edges(steps, graph, timestamp(status.get("startTime")), timestamp(status.get("finallyStartTime")))
    complete = bool(steps) and present >= set(tasks)
    found = live_run(obj, key, ordered, RunEnd(outcome, one_line(message)), complete=complete)
    fetched = fetched_by(mapping(obj.spec.get("pipelineRef"), "pipelineRef", Problems()), obj.namespace)
    record = replace(found.record, fingerprint=fingerprint([own]) if own else None, fetched=fetched)
    found = replace(found, record=record)
    children = sequence(status.get("childReferences"), "childReferences", problems)
    waits = outcome is Outcome.RUNNING and len(children) > len(tasks) and (not tasks or _pods_over(steps, graph))
    return not_begun(found) if waits else found


def _pods_over(steps: Sequence[StepExecution], graph: Sequence[StepSpec]) -> bool:
    """Whether all that a run in progress still does is done by custom tasks, such as an approval in ``finally``. They have
    no pod, and are no time of a run that has ended either, as those before its first TaskRun."""
    seen = {e.step for e in steps}
    running = any(e.outcome is Outcome.RUNNING for e in steps)
    return bool(graph) and not running and all(s.waits or s.name in seen for s in graph)


def run_values(raw: Mapping[str, Any], task_runs: Sequence[Mapping[str, Any]]) -> RunValues:
    """Parameters and annotations of a PipelineRun, and of each TaskRun by pod name: in TaskRuns, references to results
    of other tasks have been substituted."""
    obj = KubeObject.of(raw)
    pods = {}
    for task_run in task_runs:
        part = KubeObject.of(task_run)
        retried = mappings(part.status.get("retriesStatus"), "retriesStatus", part.problems)
        for status in (part.status, *retried):
            pods[str(status.get("podName"))] = _named(part)
    return RunValues(_named(obj), pods)


def _named(obj: KubeObject) -> NamedValues:
    return NamedValues(parameters_of(obj.spec.get("params"), "params"), annotations_of(obj.raw))


def _attempts(task_run: KubeObject, task: str, run: str, problems: Problems) -> Iterator[StepExecution]:
    """All attempts of one TaskRun: ``retriesStatus`` contains the earlier ones, the status itself the last one."""
    status = mapping(task_run.raw.get("status"), "TaskRun status", problems)
    earlier = [*mappings(status.get("retriesStatus"), "retriesStatus", problems)]
    item = _item(task_run.name, task)
    left_out = max(0, len(earlier) - _MAX_RETRIES)
    if left_out:
        problems.add(f"TaskRun {task_run.name} has {len(earlier)} retries: the first {left_out} are left out")
    for attempt, one in enumerate((*earlier[left_out:], status), left_out):
        outcome, reason, message = _condition(one, problems)
        late = attempt == len(earlier) and outcome is Outcome.UNKNOWN and _timed_out(task_run)
        if late or attempt < len(earlier):
            outcome = Outcome.FAILED
        containers = tuple(_containers(one, problems))
        starts = [c.started for c in containers if c.started is not None]
        codes = [c for c in (_exit_code(s) for s in _states(one)) if c]
        pod = text(one.get("podName"), "podName", problems)
        yield StepExecution(
            step=task,
            item=item,
            attempt=attempt,
            pod=pod,
            created=timestamp(one.get("startTime")),
            started=min(starts, default=None),
            finished=timestamp(one.get("completionTime")),
            outcome=outcome,
            reason=RUN_TIMEOUT
            if late
            else (_reason(one, reason) if outcome in (Outcome.FAILED, Outcome.UNKNOWN) else None),
            containers=containers,
            exit_code=codes[0] if codes else (0 if outcome is Outcome.SUCCEEDED and containers else None),
            message=one_line(message),
            input_fingerprint=_inputs(task_run, one),
        )


def _containers(status: Mapping[str, Any], problems: Problems) -> Iterator[ContainerFact]:
    """The steps of a TaskRun. Their images are left to the metrics: the status has digests only, which beside the tags of
    other runs would be changes."""
    for row in mappings(status.get("steps"), "steps", problems):
        done = mapping(row.get("terminated"), "terminated", problems)
        running = mapping(row.get("running"), "running", problems)
        name = text(row.get("container"), "container", problems) or f"step-{row.get('name')}"
        reason = text(done.get("reason"), "reason", problems)
        yield ContainerFact(
            name=name,
            started=timestamp(done.get("startedAt", running.get("startedAt"))),
            finished=timestamp(done.get("finishedAt")),
            reason=None if reason == "Completed" else reason,
        )


def _states(status: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    rows = status.get("steps")
    listed = rows if isinstance(rows, list) else []
    return [s["terminated"] for s in listed if isinstance(s, Mapping) and isinstance(s.get("terminated"), Mapping)]


def _exit_code(state: Mapping[str, Any]) -> int | None:
    code = state.get("exitCode")
    return code if isinstance(code, int) and not isinstance(code, bool) else None


def _condition(status: Mapping[str, Any], problems: Problems) -> tuple[Outcome, str | None, str | None]:
    """Outcome, reason and message. What was cancelled has neither succeeded nor failed: its outcome is unknown."""
    for row in mappings(status.get("conditions"), "conditions", problems):
        if row.get("type") == "Succeeded":
            outcome = {"True": Outcome.SUCCEEDED, "False": Outcome.FAILED}.get(str(row.get("status")), Outcome.RUNNING)
            reason = text(row.get("reason"), "reason", problems)
            if outcome is Outcome.FAILED and reason in STOPPED:
                outcome = Outcome.UNKNOWN
            return outcome, reason, text(row.get("message"), "message", problems)
    return Outcome.RUNNING, None, None


def _timed_out(task_run: KubeObject) -> bool:
    """Whether a TaskRun was cancelled by the timeout of its PipelineRun, which gives it the same reason as a user does."""
    return task_run.spec.get("statusMessage") == _TIMED_OUT


def _reason(status: Mapping[str, Any], reason: str | None) -> str | None:
    """The reason of a failure: why a container terminated is more specific than "Failed"."""
    why = [s.get("reason") for s in _states(status) if s.get("reason") not in (None, "Completed", "Skipped")]
    if "OOMKilled" in why:  # the TaskRun itself reports StepOOM
        return "OOMKilled"
    return str(why[0]) if why and reason in (None, "Failed") else reason


def _skipped(status: Mapping[str, Any], problems: Problems) -> Iterator[StepExecution]:
    for row in mappings(status.get("skippedTasks"), "skippedTasks", problems):
        name = text(row.get("name"), "skippedTasks[].name", problems)
        if name is not None:
            reason = text(row.get("reason"), "skippedTasks[].reason", problems)
            yield StepExecution(step=name, outcome=Outcome.SKIPPED, message=reason)


def task_names(status: Mapping[str, Any], problems: Problems) -> dict[str, str]:
    """The pipeline task of each TaskRun that a status names; old objects of v1beta1 have their statuses in it."""
    embedded = mapping(status.get("taskRuns"), "taskRuns", problems).items()
    tasks = ((str(name), mapping(row, "taskRuns[]", problems).get("pipelineTaskName")) for name, row in embedded)
    out = {name: task for name, task in tasks if isinstance(task, str)}
    for row in mappings(status.get("childReferences"), "childReferences", problems):
        name, task = row.get("name"), row.get("pipelineTaskName")
        if row.get("kind") == "TaskRun" and isinstance(name, str) and isinstance(task, str):
            out[name] = task
    return out


def _item(name: str, task: str) -> str | None:
    """Index within a matrix, from the TaskRun's name; None if it has none."""
    match = re.search(r"-(\d+)$", name)
    return match.group(1) if match and not name.endswith(f"-{task}") else None


def _inputs(task_run: KubeObject, status: Mapping[str, Any]) -> str | None:
    params = task_run.spec.get("params")
    return fingerprint([status.get("taskSpec"), params]) if params else None
