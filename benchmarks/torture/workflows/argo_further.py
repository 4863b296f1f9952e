"""Argo and Tekton: definitions of other kinds and forms: ClusterWorkflowTemplate, CronWorkflow, no template but labels,
scripts, requests of the pod, a packed node table, and Tasks of their own."""

from __future__ import annotations

from benchmarks.torture.workflows.parts import ARGO, SMALL, Object, container, dag, pod, steps, task, workflow

_A, _B = pod("short", 1), pod("work", 3)
_ITEM = {"item": "{{item}}"}
_AGAIN = {"limit": "2", "retryPolicy": "Always"}
_ONCE = {"exit-code": 1, "fail-until": 1}
_LABELS = {"torture": "by-labels"}


def script(name: str, seconds: float, **more: object) -> Object:
    """A template of one pod that runs a script."""
    own = pod(name, seconds, **more)
    del own["container"]
    body = {"image": "sim/python:1", "command": ["python"], "source": "print('done')", "resources": SMALL}
    return {**own, "script": body}


FURTHER: tuple[Object, ...] = (
    workflow(
        "scripted",
        dag(
            "main",
            task("list", "list"),
            task("each", "each", "list", withItems=["a", "b", "c"], pass_on=_ITEM),
            task("again", "again", "list"),
            task("report", "list", "each", "again"),
        ),
        script("list", 1),
        script("each", 2, inputs=["item"]),
        script("again", 1, sim=_ONCE, retryStrategy=_AGAIN),
    ),
    workflow(
        "packed-table",
        dag(
            "main",
            task("plan", "short"),
            task("part", "part", "plan", withSequence={"count": "12"}, pass_on=_ITEM),
            task("end", "work", "part"),
        ),
        dag("part", task("read", "short"), task("write", "flaky", "read"), inputs=["item"]),
        pod("flaky", 1, sim=_ONCE, retryStrategy=_AGAIN),
        *(_A, _B),
    ),
)
# Only Argo 4.1 knows requests of the whole pod.
POD_SIZED: tuple[Object, ...] = (
    workflow(
        "pod-sized",
        dag("main", task("first", "short"), task("sized", "sized", "first"), task("end", "tied", "sized")),
        pod("sized", 3, podResources={"requests": {"cpu": "200m", "memory": "128Mi"}}),
        pod(
            "tied",
            2,
            container=container(resources={}),
            sidecars=[container("side", resources={})],
            podResources={"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"cpu": "1", "memory": "256Mi"}},
        ),
        _A,
    ),
)
CLUSTER: tuple[Object, ...] = (
    {
        **workflow(
            "cluster-wide",
            steps(
                "main",
                [task("get", "short")],
                [task("each", "flaky", withItems=["p", "q"], pass_on=_ITEM), task("side", "inner")],
                [task("end", "short", when="1 == 1"), task("never", "work", when="1 == 2")],
            ),
            dag("inner", task("x", "short"), task("y", "work", "x")),
            pod("flaky", 1, inputs=["item"], sim=_ONCE, retryStrategy=_AGAIN),
            *(_A, _B),
            onExit="short",
        ),
        "kind": "ClusterWorkflowTemplate",
    },
)
SCHEDULED: tuple[Object, ...] = (
    {
        "apiVersion": ARGO,
        "kind": "CronWorkflow",
        "metadata": {"name": "timetable"},
        "spec": {
            "schedules": ["* * * * *"],
            "suspend": True,  # until the runs of the others begin
            "concurrencyPolicy": "Allow",
            "successfulJobsHistoryLimit": 100,
            "workflowSpec": workflow(
                "timetable",
                dag(
                    "main",
                    task("get", "short"),
                    task("load", "work", "get"),
                    task("check", "short", "get"),
                    task("tell", "short", "load", "check"),
                ),
                *(_A, _B),
            )["spec"],
        },
    },
)
WITHOUT: tuple[Object, ...] = (  # Workflows as they are submitted: a profile picks them by labels
    {
        "apiVersion": ARGO,
        "kind": "Workflow",
        "metadata": {"name": "by-labels", "labels": _LABELS},
        "spec": {
            "entrypoint": "main",
            "podMetadata": {"labels": _LABELS},
            "templates": [
                dag("main", task("fetch", "fetch"), task("train", "train", "fetch"), task("store", "store", "train")),
                pod("fetch", 1),
                pod("train", 3),
                pod("store", 1),
            ],
        },
    },
)


def _task(name: str, seconds: str) -> Object:
    return {
        "apiVersion": "tekton.dev/v1",
        "kind": "Task",
        "metadata": {"name": name, "annotations": {"sim/startup": "0", "sim/steps": seconds}},
        "spec": {
            "params": [{"name": "p", "default": "none"}],
            "steps": [
                {"name": f"s{i}", "image": "sim/work:1", "command": ["work"], "computeResources": SMALL}
                for i, _ in enumerate(seconds.split(","))
            ],
        },
    }


def _refer(name: str, to: str, *after: str, **more: object) -> Object:
    found: Object = {"name": name, "taskRef": {"kind": "Task", "name": to}, **more}
    return {**found, **({"runAfter": list(after)} if after else {})}


TASKS: tuple[Object, ...] = (_task("shared-short", "1"), _task("shared-work", "1,2"))
REFERRING: tuple[Object, ...] = (
    {
        "apiVersion": "tekton.dev/v1",
        "kind": "Pipeline",
        "metadata": {"name": "tk-referred"},
        "spec": {
            "tasks": [
                _refer("get", "shared-short"),
                _refer("build", "shared-work", "get"),
                _refer("test", "shared-work", "get"),
                _refer("each", "shared-short", "build", matrix={"params": [{"name": "p", "value": ["a", "b"]}]}),
            ],
            "finally": [_refer("tell", "shared-short")],
        },
    },
)
