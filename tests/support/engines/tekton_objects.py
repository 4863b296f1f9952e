"""Tekton Pipelines, PipelineRuns and Tasks."""

from __future__ import annotations

from typing import Any

from concertmaster.core.model import WorkflowDefinition
from concertmaster.engines import define
from tests.support.engines.argo_oracle import stamp


def pipeline(*tasks: Any, finally_: Any = (), objects: dict[str, Any] | None = None, **spec: Any) -> WorkflowDefinition:
    raw = {
        "apiVersion": "tekton.dev/v1",
        "kind": "Pipeline",
        "metadata": {"name": "build", "namespace": "ci"},
        "spec": {"tasks": list(tasks), "finally": list(finally_), **spec},
    }
    found = define(raw, lambda kind, name: (objects or {}).get(name))
    assert found is not None
    return found


def task(name: str, *after: str, **fields: Any) -> dict[str, Any]:
    embedded = {"taskSpec": {"steps": [{"name": "run", "image": "i"}]}}
    return {
        "name": name,
        **({"runAfter": list(after)} if after else {}),
        **({} if "taskRef" in fields else embedded),
        **fields,
    }


RUN = "build-x7k2z"


def condition(status: str, reason: str = "Succeeded", message: str = "") -> dict[str, Any]:
    return {"conditions": [{"type": "Succeeded", "status": status, "reason": reason, "message": message}]}


def attempt(
    pod_name: str, begin: float, end: float, ok: bool = True, *, work: float | None = None, why: str = "Error"
) -> dict[str, Any]:
    reason = "Completed" if ok else why
    done = {
        "exitCode": 0 if ok else 137,
        "reason": reason,
        "startedAt": stamp(work or begin + 2),
        "finishedAt": stamp(end),
    }
    return {
        "podName": pod_name,
        "startTime": stamp(begin),
        "completionTime": stamp(end),
        "steps": [{"name": "run", "container": "step-run", "imageID": "i@sha256:1", "terminated": done}],
        **condition("True" if ok else "False", "Succeeded" if ok else "Failed", "" if ok else "step failed"),
    }


def task_run(name: str, pipeline_task: str, status: dict[str, Any], **spec: Any) -> dict[str, Any]:
    labels = {"tekton.dev/pipelineRun": RUN, "tekton.dev/pipelineTask": pipeline_task}
    return {
        "kind": "TaskRun",
        "metadata": {"name": name, "namespace": "ci", "labels": labels},
        "spec": spec,
        "status": status,
    }


WHEN = [{"input": "a", "operator": "in", "values": ["b"]}]

MATRIX = {"params": [{"name": "v", "value": ["1", "2"]}]}

SPEC = {
    "tasks": [
        {"name": "fetch", "taskSpec": {}},
        {"name": "lint", "taskSpec": {}, "runAfter": ["fetch"], "when": WHEN},
        {"name": "test", "taskSpec": {}, "runAfter": ["fetch"], "matrix": MATRIX, "retries": 1},
        {"name": "deploy", "taskSpec": {}, "runAfter": ["lint", "test"]},
    ],
    "finally": [{"name": "clean", "taskSpec": {}}],
}

FAILED = attempt("p-test-1", 21, 40, ok=False, why="OOMKilled")

RUNS = [
    task_run(f"{RUN}-fetch", "fetch", attempt("p-fetch", 10, 20)),
    task_run(f"{RUN}-test-0", "test", attempt("p-test-0", 21, 30)),
    task_run(f"{RUN}-test-1", "test", {**attempt("p-test-1-retry1", 45, 60), "retriesStatus": [FAILED]}),
    task_run(f"{RUN}-deploy", "deploy", attempt("p-deploy", 61, 70)),
    task_run(f"{RUN}-clean", "clean", attempt("p-clean", 72, 75)),
]


def pipeline_run(**status: Any) -> dict[str, Any]:
    names = [(r["metadata"]["name"], r["metadata"]["labels"]["tekton.dev/pipelineTask"]) for r in RUNS]
    children = [{"kind": "TaskRun", "name": name, "pipelineTaskName": task} for name, task in names]
    return {
        "apiVersion": "tekton.dev/v1",
        "kind": "PipelineRun",
        "metadata": {"name": RUN, "namespace": "ci", "creationTimestamp": stamp(8)},
        "spec": {"pipelineRef": {"name": "build"}},
        "status": {
            "startTime": stamp(9),
            "completionTime": stamp(76),
            "finallyStartTime": stamp(71),
            "pipelineSpec": SPEC,
            "childReferences": children,
            "skippedTasks": [{"name": "lint", "reason": "When Expressions evaluated to false"}],
            **condition("True", "Completed"),
            **status,
        },
    }  # fmt: skip
