"""Thousands of workflows in one namespace: a pod is placed by what its name tells, not by asking each of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from concertmaster.core.model import ContainerFact, PodFact
from concertmaster.engines import assign, define_all
from tests.support.counting import calls

PODS = 100


def _template(name: str) -> dict[str, Any]:
    spec = {"entrypoint": "main", "templates": [{"name": "main", "container": {"image": "x"}}]}
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "WorkflowTemplate",
        "metadata": {"name": name, "namespace": "data"},
        "spec": spec,
    }


def _cronjob(name: str) -> dict[str, Any]:
    pod = {"spec": {"containers": [{"name": "main", "image": "x"}]}}
    spec = {"schedule": "0 * * * *", "jobTemplate": {"spec": {"template": pod}}}
    meta = {"name": name, "namespace": "data"}
    return {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": meta, "spec": spec}


def _pipeline(name: str) -> dict[str, Any]:
    task = {"name": "build", "taskSpec": {"steps": [{"name": "main", "image": "x"}]}}
    meta = {"name": name, "namespace": "data"}
    return {"apiVersion": "tekton.dev/v1", "kind": "Pipeline", "metadata": meta, "spec": {"tasks": [task]}}


def _pod(name: str, kind: str, owner: str) -> PodFact:
    return PodFact("data", name, f"uid-{name}", owner_kind=kind, owner_name=owner, containers=(ContainerFact("main"),))


CASES: dict[str, tuple[Callable[[str], dict[str, Any]], Callable[[int], PodFact]]] = {
    "argo": (_template, lambda k: _pod(f"w{k:04}-x7k2p", "Workflow", f"w{k:04}-x7k2p")),
    "jobs": (_cronjob, lambda k: _pod(f"w{k:04}-29000000-abcde", "Job", f"w{k:04}-29000000")),
    "tekton": (_pipeline, lambda k: _pod(f"w{k:04}-x7k2p-build-pod", "TaskRun", f"w{k:04}-x7k2p-build")),
}


@pytest.mark.parametrize("engine", CASES)
def test_pods_find_their_workflow_among_many(engine: str) -> None:
    make, pod = CASES[engine]
    definitions = define_all([make(f"w{k:04}") for k in range(300)])
    found = assign([pod(k) for k in range(PODS)], definitions)
    assert {key.name for key in found.executions} == {f"w{k:04}" for k in range(PODS)}


@pytest.mark.parametrize("engine", CASES)
def test_engines_without_a_workflow_are_asked_about_no_pod(engine: str) -> None:
    make, pod = CASES[engine]
    definitions, pods = define_all([make("w0000")]), [replace(pod(0), uid=f"uid-{k}") for k in range(2 * PODS)]
    more = calls(lambda: assign(pods, definitions)) - calls(lambda: assign(pods[:PODS], definitions))
    assert more < 70 * PODS  # each of the 15 engines that read labels or graphs would be three further calls


@pytest.mark.parametrize("engine", CASES)
def test_the_work_does_not_grow_with_pods_times_definitions(engine: str) -> None:
    make, pod = CASES[engine]
    few, many = (define_all([make(f"w{k:04}") for k in range(number)]) for number in (200, 1000))
    pods = [pod(k) for k in range(PODS)]
    more = calls(lambda: assign(pods, many)) - calls(lambda: assign(pods, few))
    assert more < 40 * (len(many) - len(few))  # asking each of them would be 100 times as many, one for each pod


def _labelled(name: str, namespace: str, key: str) -> dict[str, Any]:
    labels = {"workflow": key, "run": f"{key}-run", "value": "w"}
    meta = {"name": name, "namespace": namespace}
    api = "concertmaster.dev/v1alpha1"
    return {"apiVersion": api, "kind": "WorkflowProfile", "metadata": meta, "spec": {"podLabels": labels}}


def test_label_keys_of_one_namespace_are_not_looked_for_on_pods_of_another() -> None:
    theirs = [_labelled(f"p{n}", "theirs", f"key{n}") for n in range(200)]
    own = PodFact("data", "a", "u", labels={"app": "w", "app-run": "r", "key7": "w"})
    pods = [replace(own, uid=f"u{n}") for n in range(PODS)]
    few, many = (define_all([_labelled("p", "data", "app"), *rows]) for rows in (theirs[:1], theirs))
    found = assign(pods, many)
    assert [(key.namespace, key.name) for key in found.executions] == [("data", "p")]
    more = calls(lambda: assign(pods, many)) - calls(lambda: assign(pods, few))
    assert more < 100 * len(theirs)  # asking each of them for each pod would be 200 times as many


def test_names_of_task_runs_are_compared_with_hundreds_of_tasks_without_compiling_patterns() -> None:
    tasks = [{"name": f"t{n}", "taskSpec": {"steps": [{"name": "main", "image": "x"}]}} for n in range(600)]
    tasks[0]["matrix"] = {"params": [{"name": "p", "value": ["a", "b"]}]}
    definitions = define_all([{**_pipeline("w"), "spec": {"tasks": tasks}}])
    names = ("t599", "t0-1", "t5")
    pods = [_pod(f"w-x7k2p-{name}-pod", "TaskRun", f"w-x7k2p-{name}") for name in names]
    assert calls(lambda: assign(pods, definitions)) < 5_000
    (runs,) = assign(pods, definitions).executions.values()
    assert {(e.step, e.item) for e in runs["w-x7k2p"]} == {("t599", None), ("t0", "1"), ("t5", None)}
