"""Pod-level resources: the pod is what is sized and paid, and no recommendation is one that the API server refuses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from concertmaster.core.changes.admission.limits import refusals
from concertmaster.core.changes.admission.model import Container, PodChange
from concertmaster.core.changes.admission.model import Pod as PodSpec
from concertmaster.core.lifecycle.commands import json_patch
from concertmaster.core.model import ContainerFact
from concertmaster.core.model.amounts import quantity
from tests.support.builders import MI, container
from tests.support.core.scenario_builder import Manifest, Pod, Scenario, Work, argo, define, noise, scenario, task


def facts(memory: float, *, wait: float = 20.0, **main: Any) -> tuple[ContainerFact, ...]:
    """The container and Argo's executor beside it; neither requests anything unless ``main`` says so."""
    nothing = {"cpu_request": None, "memory_request": None, "cpu_seconds": None, "cpu_sampled_seconds": None}
    own = container(**{**nothing, "memory_sampled_peak": memory * MI, **main})
    return own, container(**{**nothing, "name": "wait", "memory_sampled_peak": wait * MI, "cpu_seconds": 0.1})


def workflow(level: dict[str, Any], **resources: Any) -> Manifest:
    body = {"image": "registry.example/etl:1", "command": ["work"], "resources": resources}
    return argo(task("work"), templates={"work": {"container": body, "podResources": level}})


def seen(manifest: Manifest, pods: tuple[ContainerFact, ...]) -> Scenario:
    value = noise()

    def work(_: int) -> Work:
        return {"work": Pod(value(600), containers=pods)}

    return scenario(manifest, 42, work)


def test_the_request_of_the_pod_is_sized_and_no_container_gets_one() -> None:
    found = seen(workflow({"requests": {"cpu": "1", "memory": "4Gi"}}), facts(500))
    item = found.one("right-size")
    assert {(i.container, i.field) for i in item.items} == {("pod", "requests.memory")}
    (row,) = item.items
    assert 520 <= int(row.new.removesuffix("Mi")) <= 1024
    definition = define(workflow({"requests": {"cpu": "1", "memory": "4Gi"}}))
    patch = json_patch(definition, item.edits)
    assert {o["path"] for o in patch if o["op"] != "test"} == {"/spec/templates/1/podResources/requests/memory"}


def test_the_request_of_the_pod_is_no_sidecar() -> None:
    """With a measured CPU time all of what the pod requests was reported as the cost of a sidecar named pod."""
    pods = facts(500, cpu_seconds=150.0, cpu_sampled_seconds=600.0)
    found = seen(workflow({"requests": {"cpu": "1", "memory": "4Gi"}}), pods)
    assert found.recommended("sidecar-overhead") == []


def test_the_pod_is_never_recommended_below_what_its_containers_request_together() -> None:
    level, own = {"requests": {"cpu": "1", "memory": "4Gi"}}, {"requests": {"memory": "2Gi"}}
    pods = facts(500, memory_request=2048 * MI)
    pods = (pods[0], replace(pods[1], memory_request=64 * MI))  # the executor's own, which no definition shows
    (edit,) = seen(workflow(level, **own), pods).one("right-size").edits
    assert edit.pointer == "/spec/templates/1/podResources/requests/memory"
    assert 2112 * MI <= (quantity(edit.proposed) or 0.0) < 3072 * MI


def test_what_a_run_costs_is_the_request_of_its_pods() -> None:
    pod = seen(workflow({"requests": {"cpu": "1", "memory": "4Gi"}}), facts(500))
    same = seen(
        workflow({}, requests={"cpu": "1", "memory": "4Gi"}), facts(500, cpu_request=1.0, memory_request=4096 * MI)
    )
    costs = [s.analysis().cost.per_run for s in (pod, same)]
    assert costs[0] is not None and costs[1] is not None
    assert abs(costs[0].requested - costs[1].requested) < 1e-9
    assert pod.analysis().steps[0].containers[0].memory_request == 4096 * MI


def test_a_pod_killed_at_its_own_limit_gets_a_larger_one() -> None:
    value = noise()
    level = {"requests": {"cpu": "1", "memory": "512Mi"}, "limits": {"memory": "512Mi"}}

    def work(i: int) -> Work:
        failures = ((60.0, "OOMKilled"),) if i % 4 == 0 else ()
        return {"work": Pod(value(600), failures=failures, containers=facts(400))}

    item = scenario(workflow(level), 42, work).one("memory-request")
    assert {e.pointer for e in item.edits} == {
        "/spec/templates/1/podResources/requests/memory",
        "/spec/templates/1/podResources/limits/memory",
    }


def test_only_cpu_at_pod_level_leaves_memory_to_the_containers() -> None:
    manifest = workflow({"requests": {"cpu": "4"}}, requests={"memory": "4Gi"})
    item = seen(manifest, facts(500, memory_request=4096 * MI)).one("right-size")
    assert {(i.container, i.field) for i in item.items} == {("pod", "requests.cpu"), ("main", "requests.memory")}


def test_containers_above_their_pod_are_refused() -> None:
    level = Container("pod", {"cpu": 1.0}, {"cpu": 2.0})
    pods = [
        PodSpec((Container("a", {"cpu": v}, {}), Container("b", {"cpu": 0.3}, {})), level=level) for v in (0.7, 0.8)
    ]
    before, after = pods
    assert refusals([PodChange(before, before)], (), ()) == []
    (refusal,) = refusals([PodChange(before, after)], (), ())
    assert refusal.reason == "AbovePod"
    assert (
        refusal.message
        == "the containers request 1100m of cpu together, more than the 1 of their pod (pod-level resources)"
    )
    limited = replace(before, containers=(Container("a", {"cpu": 0.7}, {"cpu": 3.0}),))
    assert [r.reason for r in refusals([PodChange(before, limited)], (), ())] == ["AbovePod"]


@pytest.mark.parametrize(
    ("known", "init", "cpu", "refused"),
    [
        (False, False, 0.8, True),  # Argo's wait may have requests in the controller's configuration
        (False, False, 0.6, False),
        (False, True, 0.8, False),  # ends before the others start
        (True, False, 0.8, False),
    ],
)
def test_a_raise_beside_containers_of_unknown_size_is_not_risked(
    known: bool, init: bool, cpu: float, refused: bool
) -> None:
    level, wait = Container("pod", {"cpu": 1.0}), Container("wait", init=init, known=known)
    before, after = (PodSpec((wait, Container("main", {"cpu": v})), level=level) for v in (0.7, cpu))
    found = refusals([PodChange(before, after)], (), ())
    assert [r.reason for r in found] == ["AbovePod"] * refused
    assert all("wait of the engine an unknown part, of the 1 of their pod" in r.message for r in found)
