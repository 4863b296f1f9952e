"""Thousands of workflows in one namespace: a pod is placed by what its name tells, not by asking each of them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from types import FrameType
from typing import Any

import pytest

from concertmaster.core.model import ContainerFact, PodFact
from concertmaster.engines import assign, define_all

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


def _calls(work: Callable[[], object]) -> int:
    """How many functions are called: what a loaded machine does not change."""
    number = 0

    def count(frame: FrameType, event: str, _: object) -> None:
        nonlocal number
        number += event == "call"

    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return number


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
    more = _calls(lambda: assign(pods, definitions)) - _calls(lambda: assign(pods[:PODS], definitions))
    assert more < 70 * PODS  # each of the 15 engines that read labels or graphs would be three further calls


@pytest.mark.parametrize("engine", CASES)
def test_the_work_does_not_grow_with_pods_times_definitions(engine: str) -> None:
    make, pod = CASES[engine]
    few, many = (define_all([make(f"w{k:04}") for k in range(number)]) for number in (200, 1000))
    pods = [pod(k) for k in range(PODS)]
    more = _calls(lambda: assign(pods, many)) - _calls(lambda: assign(pods, few))
    assert more < 40 * (len(many) - len(few))  # asking each of them would be 100 times as many, one for each pod
