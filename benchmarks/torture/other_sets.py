"""Tekton pipelines, Jobs and JobSets of the set."""

from __future__ import annotations

from typing import Any

from benchmarks.torture.parts import LARGE, SMALL, Object


def _task(name: str, *after: str, seconds: str = "2", sim: Object | None = None, **more: Any) -> Object:
    """A task of a pipeline; ``seconds`` of its steps are separated by commas."""
    requests = more.pop("requests", SMALL)
    spec: Object = {
        "metadata": {
            "annotations": {"sim/startup": "0", "sim/steps": seconds, **{f"sim/{k}": v for k, v in (sim or {}).items()}}
        },
        "steps": [
            {"name": f"s{i}", "image": "sim/work:1", "command": ["work"], "computeResources": requests}
            for i, _ in enumerate(seconds.split(","))
        ],
        **more.pop("spec", {}),
    }
    return {"name": name, "taskSpec": spec, **({"runAfter": list(after)} if after else {}), **more}


def _pipeline(name: str, *tasks: Object, **spec: Any) -> Object:
    return {
        "apiVersion": "tekton.dev/v1",
        "kind": "Pipeline",
        "metadata": {"name": name},
        "spec": {"tasks": list(tasks), **spec},
    }


_RESULT: Object = {"spec": {"results": [{"name": "count"}]}, "sim": {"results": '{"count": "3"}'}}
_USE: Object = {
    "params": [{"name": "value", "value": "$(tasks.build.results.count)"}],
    "spec": {"params": [{"name": "value"}]},
}

PIPELINES: tuple[Object, ...] = (
    _pipeline("tk-chain", _task("a"), _task("b", "a", seconds="3,2", requests=LARGE), _task("c", "b")),
    _pipeline(
        "tk-diamond", _task("a"), _task("b", "a", seconds="6", requests=LARGE), _task("c", "a"), _task("d", "b", "c")
    ),
    _pipeline("tk-results", _task("build", **_RESULT), _task("use", **_USE), _task("last", "use")),
    _pipeline(
        "tk-matrix",
        _task("prepare"),
        _task(
            "each",
            "prepare",
            matrix={"params": [{"name": "part", "value": ["x", "y", "z"]}]},
            spec={"params": [{"name": "part"}]},
        ),
        _task("join", "each"),
    ),
    _pipeline(
        "tk-finally",
        _task("a"),
        _task("bad", "a", sim={"fail-step": "0"}),
        _task("never", "bad"),
        **{"finally": [_task("sweep"), _task("tell", seconds="4")]},
    ),
    _pipeline(
        "tk-when",
        _task("a"),
        _task("no", "a", when=[{"input": "x", "operator": "in", "values": ["y"]}]),
        _task("yes", "a"),
        _task("end", "yes"),
    ),
    _pipeline(
        "tk-retries",
        _task("a"),
        _task("flaky", "a", retries=2, sim={"fail-step": "0", "fail-until": "1"}),
        _task("c", "flaky"),
    ),
    _pipeline(
        "tk-mixed",
        _task("a", **_RESULT),
        _task("no", "a", when=[{"input": "$(tasks.a.results.count)", "operator": "in", "values": ["4"]}]),
        _task(
            "each",
            "a",
            matrix={"params": [{"name": "part", "value": ["x", "y"]}]},
            retries=2,
            sim={"fail-step": "1", "fail-until": "1"},
            seconds="1,2",
            spec={"params": [{"name": "part"}]},
        ),
        _task("after", "no"),
        _task("join", "each"),
        **{
            "finally": [
                _task("tell", when=[{"input": "$(tasks.join.status)", "operator": "in", "values": ["Succeeded"]}]),
                _task("alarm", when=[{"input": "$(tasks.join.status)", "operator": "in", "values": ["Failed"]}]),
                _task(
                    "sweep",
                    matrix={"params": [{"name": "place", "value": ["p", "q"]}]},
                    spec={"params": [{"name": "place"}]},
                ),
            ]
        },
    ),
    _pipeline(
        "tk-timeout",
        _task("a"),
        _task("slow", "a", seconds="2,60", timeout="6s", retries=1),
        _task("never", "slow"),
        _task("side", "a", seconds="3"),
        **{"finally": [_task("sweep")]},
    ),
    _pipeline("tk-ignored", _task("a", sim={"fail-step": "0"}, onError="continue"), _task("b", "a")),
)


def _pod(seconds: int, **sim: str) -> Object:
    annotations = {
        "sim/startup": "0",
        "sim/duration": str(seconds),
        **{f"sim/{k.replace('_', '-')}": v for k, v in sim.items()},
    }
    return {
        "metadata": {"annotations": annotations},
        "spec": {
            "restartPolicy": "Never",
            "containers": [{"name": "work", "image": "sim/work:1", "command": ["work"], "resources": SMALL}],
        },
    }


def _job(name: str, template: Object, **spec: Any) -> Object:
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {"template": template, **spec}}


JOBS: tuple[Object, ...] = (
    _job("jb-single", _pod(3)),
    _job("jb-waves", _pod(2), completions=5, parallelism=2),
    _job("jb-indexed", _pod(2), completions=4, parallelism=2, completionMode="Indexed"),
    _job(
        "jb-retry",
        _pod(1, exit_code="1", fail_until="1"),
        completions=2,
        parallelism=2,
        completionMode="Indexed",
        backoffLimitPerIndex=2,
    ),
    _job("jb-failed", _pod(1, exit_code="1"), backoffLimit=0),
)


def _set(name: str, *jobs: Object, **spec: Any) -> Object:
    return {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "metadata": {"name": name},
        "spec": {"replicatedJobs": list(jobs), **spec},
    }


def _part(name: str, template: Object, after: str | None = None, replicas: int = 1, **spec: Any) -> Object:
    found: Object = {"name": name, "replicas": replicas, "template": {"spec": {"template": template, **spec}}}
    return {**found, "dependsOn": [{"name": after, "status": "Complete"}]} if after else found


JOBSETS: tuple[Object, ...] = (
    _set(
        "js-staged", _part("load", _pod(2)), _part("workers", _pod(4), "load", 2), _part("report", _pod(1), "workers")
    ),
    _set(
        "js-indexed",
        _part("workers", _pod(3), None, 2, completions=2, parallelism=2, completionMode="Indexed"),
        _part("end", _pod(1), "workers"),
    ),
    _set("js-failed", _part("load", _pod(1)), _part("bad", _pod(1, exit_code="1"), "load", 1, backoffLimit=0)),
)
