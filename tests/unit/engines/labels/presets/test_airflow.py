"""Airflow by its pods' labels: from a profile to runs, attempts, mapped tasks and a recommendation to paste."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from concertmaster.core.analysis.replay import WhatIf, executed, replay
from concertmaster.core.model import ContainerFact, Outcome, PodFact, WorkflowDefinition
from concertmaster.core.model.policy import Policy
from concertmaster.core.pipeline import analyze_workflow
from concertmaster.engines import assign, complete, define
from concertmaster.report.workflows.remedies import snippet
from tests.support.builders import build_runs

MIB = 1024.0**2
DAY = 86_400.0


def profile(**more: Any) -> WorkflowDefinition:
    definition = define(
        {
            "apiVersion": "concertmaster.dev/v1alpha1",
            "kind": "WorkflowProfile",
            "metadata": {"name": "airflow-nightly-etl", "namespace": "data"},
            "spec": {"podLabels": {"preset": "airflow", "value": "nightly_etl", **more}},
        }
    )
    assert definition is not None
    return definition


def pod(run: int, task: str, begin: float, seconds: float, attempt: int = 1, **labels: str) -> PodFact:
    at, phase = run * DAY + begin, labels.pop("phase", "Succeeded")
    given = {"dag_id": "nightly_etl", "run_id": f"scheduled__2026-11-{run:02d}", "task_id": task}
    used = ContainerFact("base", started=at + 2, cpu_request=2.0, memory_request=4096 * MIB, samples=40,
                         cpu_seconds=seconds * 0.4, cpu_sampled_seconds=seconds, expected_samples=40,
                         memory_sampled_peak=(600 + run) * MIB)  # fmt: skip
    name = f"nightly-etl-{task.replace('_', '-')}-{run}-{attempt}-{labels.get('map_index', '')}"
    return PodFact("data", name, f"uid-{name}", labels={**given, "try_number": str(attempt), **labels}, created=at,
                   scheduled=at + 1, started=at + 2, finished=at + seconds, phase=phase, containers=(used,))  # fmt: skip


def nightly(run: int) -> list[PodFact]:
    return [
        pod(run, "extract", 0, 60),
        pod(run, "transform", 65, 30, phase="Failed"),
        pod(run, "transform", 100, 600, attempt=2),
        *(pod(run, "load", 705, 100 + i, map_index=str(i)) for i in range(3)),
    ]


def runs(definition: WorkflowDefinition, facts: list[PodFact]) -> list[Any]:
    placed = assign(facts, [definition])
    assert not placed.unassigned
    return [
        r
        for name, rows in placed.executions[definition.key].items()
        for r in build_runs(definition.key, name, rows, definition)
    ]


def test_attempts_and_mapped_tasks_are_distinguished_and_the_graph_is_inferred() -> None:
    definition = profile()
    found = runs(definition, [f for run in (1, 2, 3) for f in nightly(run)])
    whole, shown = complete(definition, found)
    assert [(r.run, r.outcome) for r in shown] == [
        (f"scheduled__2026-11-{n:02d}", Outcome.SUCCEEDED) for n in (1, 2, 3)
    ]
    assert {(e.step, e.item, e.attempt) for e in shown[0].steps} == {
        ("extract", None, 0), ("transform", None, 0), ("transform", None, 1),
        ("load", "0", 0), ("load", "1", 0), ("load", "2", 0),
    }  # fmt: skip
    assert {s.name: s.depends_on for s in whole.graph.steps} == {
        "extract": (), "transform": ("extract",), "load": ("transform",)
    }  # fmt: skip


def test_a_declared_graph_is_taken_as_it_is() -> None:
    steps = [
        {"name": "extract"},
        {"name": "transform", "dependsOn": ["extract"]},
        {"name": "load", "dependsOn": ["extract"]},
    ]
    definition = profile(steps=steps)
    whole, shown = complete(definition, runs(definition, nightly(1)))
    assert {s.name: s.depends_on for s in whole.graph.steps} == {
        "extract": (), "transform": ("extract",), "load": ("extract",)
    }  # fmt: skip
    assert len(shown) == 1, "three pods of one step that succeed are no three runs"


def test_a_worker_and_the_pod_its_operator_starts_are_two_steps() -> None:
    facts = [
        pod(1, "train", 0, 300, kubernetes_executor="True"),
        pod(1, "train", 5, 280, attempt=1, kubernetes_pod_operator="True", map_index=""),
    ]
    facts[1] = PodFact(**{**{f: getattr(facts[1], f) for f in PodFact.__slots__}, "pod": "train-abc", "uid": "other"})
    (run,) = runs(profile(), facts)
    assert {e.step for e in run.steps} == {"train", "train.pod"}
    whole, (shown,) = complete(profile(), [run])
    assert {s.name: s.daemon for s in whole.graph.steps} == {"train": True, "train.pod": False}  # the worker only waits
    done = executed(shown, whole.graph)
    faster = replay(done, WhatIf.scale_step("train.pod", 0.5))
    assert done.replayed - faster == pytest.approx(140, abs=3), "a run is shorter by what its pod takes less"


def test_a_pod_that_waits_is_io_bound_although_the_worker_beside_it_uses_more_of_the_cpu() -> None:
    """The worker waits for the pod, not the pod for the worker."""

    def used(fact: PodFact, cores: float, seconds: float, **more: str) -> PodFact:
        of = replace(fact.containers[0], cpu_seconds=cores * seconds, cpu_sampled_seconds=seconds)
        return replace(fact, containers=(of,), **more)  # type: ignore[arg-type]

    facts = []
    for run in range(1, 13):
        worker = pod(run, "query", 0, 300 + run % 3, kubernetes_executor="True")
        own = pod(run, "query", 5, 280 + run % 3, kubernetes_pod_operator="True", map_index="")
        facts += [used(worker, 0.06, 300), used(own, 0.02, 280, pod=f"query-{run}", uid=f"other-{run}")]
    definition = profile()
    result = analyze_workflow(*complete(definition, runs(definition, facts)), Policy(), profile="wfp", now=13 * DAY)
    (item,) = [r for r in result.recommendations if r.rule == "io-bound"]
    assert item.step == "query.pod"


@pytest.mark.parametrize("init", [False, True])
def test_a_size_of_an_init_container_is_not_pasted_as_that_of_the_work(init: bool) -> None:
    """``executor_config`` merges containers by their place, and other engines have one size for each task."""
    definition = profile()

    def killed(run: int) -> PodFact:
        (used,) = (fact := pod(run, "extract", 0, 600, phase="Failed" if run % 3 == 0 else "Succeeded")).containers
        own = replace(used, memory_limit=4096 * MIB, reason="OOMKilled" if run % 3 == 0 else None)
        return replace(fact, containers=(replace(own, name="git-sync", init=True), used) if init else (own,))

    whole, shown = complete(definition, runs(definition, [killed(run) for run in range(1, 13)]))
    result = analyze_workflow(whole, shown, Policy(), profile="airflow-nightly-etl", now=13 * DAY)
    (item,) = [r for r in result.recommendations if r.rule == "memory-request"]
    assert ("init container" in item.action) is init
    shown_in_status = {"id": item.id, "action": item.action, "items": [
        f"{i.step}/{i.container} {i.field}: {i.old} -> {i.new}" for i in item.items]}  # fmt: skip
    spec = {"spec": {"podLabels": {"preset": "airflow", "value": "nightly_etl"}}}
    assert (item.snippet is None) is (snippet(shown_in_status, spec) is None) is init


def test_a_recommendation_says_what_to_paste_into_the_dag() -> None:
    definition = profile()
    whole, shown = complete(definition, runs(definition, [f for run in range(1, 13) for f in nightly(run)]))
    result = analyze_workflow(whole, shown, Policy(), profile="airflow-nightly-etl", now=13 * DAY)
    (item,) = [r for r in result.recommendations if r.rule == "right-size"]
    assert item.kustomize is None
    assert item.how == "kubectl concertmaster explain -n data airflow-nightly-etl right-size"
    assert item.snippet is not None
    lines = item.snippet.splitlines()
    assert lines[0] == "from kubernetes.client import models as k8s"
    assert "# task transform: KubernetesExecutor" in lines
    compile(item.snippet.replace("executor_config=", "config = ").replace("},\n", "}\n").rstrip(","), "snippet", "exec")
