"""Many objects of one owner, and many of the maximum size."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.chaos.objects import DONE, SPACE, TEKTON, Hostile, Object, complete, made, task, tasks_of, template


def bulk() -> Iterator[Hostile]:
    """Valid definitions of the maximum size."""
    for n in range(150):
        yield Hostile(
            f"bulk-{n:03}", template(f"bulk-{n:03}", tasks_of([task("a")]), note=["abcdefgh"] * (1_200_000 // 11))
        )


def children(count: int = 20_000) -> Iterator[tuple[str, Object]]:
    """A finished PipelineRun and its TaskRuns, each with the API path to create it."""
    pipeline = made(TEKTON, "Pipeline", "crowd", {"tasks": [{"name": "t", "taskRef": {"name": "x"}}]})
    base = f"/apis/{TEKTON}/namespaces/{SPACE}"
    yield f"{base}/pipelines", pipeline
    ends = {"startTime": "2026-11-20T00:00:00Z", "completionTime": DONE}
    over = {"conditions": [{"type": "Succeeded", "status": "True", "reason": "Succeeded"}], **ends}
    label = {"tekton.dev/pipelineRun": "crowd-1", "tekton.dev/pipelineTask": "t", "tekton.dev/pipeline": "crowd"}
    for n in range(count):
        run = made(TEKTON, "TaskRun", f"crowd-1-t-{n}", {"taskRef": {"name": "x"}}, metadata={"labels": label}, status={
            **over, "podName": f"crowd-1-t-{n}-pod", "steps": [{"name": "s", "container": "step-s", "terminated": {
                "exitCode": 0, "reason": "Completed", "startedAt": ends["startTime"], "finishedAt": DONE}}]})  # fmt: skip
        yield f"{base}/taskruns", run
    refs = [
        {"apiVersion": TEKTON, "kind": "TaskRun", "name": f"crowd-1-t-{n}", "pipelineTaskName": "t"}
        for n in range(min(count, 5_000))
    ]
    marks = {"tekton.dev/pipeline": "crowd"}
    status = {**over, "childReferences": refs}
    yield (
        f"{base}/pipelineruns",
        made(
            TEKTON,
            "PipelineRun",
            "crowd-1",
            {"pipelineRef": {"name": "crowd"}},
            metadata={"labels": marks},
            status=status,
        ),
    )


def pods(count: int = 20_000) -> Iterator[Hostile]:
    """A finished Job and its pods."""
    mark = {"crowd": "pods"}
    pod = {
        "restartPolicy": "Never",
        "containers": [{"name": "main", "image": "x", "env": [{"name": "A", "value": "z" * 500}]}],
    }
    template = {"metadata": {"labels": mark}, "spec": pod}
    spec = {"completions": count, "parallelism": count, "manualSelector": True, "selector": {"matchLabels": mark},
            "template": template}  # fmt: skip
    job = made("batch/v1", "Job", "run-job-crowd", spec)
    over = {"exitCode": 0, "reason": "Completed", "startedAt": "2026-11-20T00:00:00Z", "finishedAt": DONE}
    container = {
        "name": "main",
        "image": "x",
        "imageID": "x",
        "ready": False,
        "restartCount": 0,
        "state": {"terminated": over},
    }
    ended = {"phase": "Succeeded", "startTime": "2026-11-20T00:00:00Z", "containerStatuses": [container]}
    for n in range(count):
        name = f"run-job-crowd-{n}"
        yield Hostile(
            name, made("v1", "Pod", name, pod, metadata={"labels": {**mark, "job-name": "run-job-crowd"}}), ended
        )
    yield Hostile("run-job-crowd", job, complete(succeeded=count))
