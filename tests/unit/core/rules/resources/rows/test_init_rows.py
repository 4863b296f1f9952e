"""Init containers have requests of their own, and pods keep the largest of them for their whole life."""

from __future__ import annotations

from dataclasses import replace

import pytest

from concertmaster.core.analysis.workflow import analyze
from concertmaster.core.model import ContainerFact, Recommendation
from concertmaster.core.rules import Evidence, recommend
from concertmaster.core.units import HOUR
from tests.support.builders import MI, NOW
from tests.support.core.scenario_builder import Manifest, Pod, Scenario, argo, noise, scenario, task
from tests.support.core.scenarios import measured, resources

GI = 1024 * MI


def first(name: str, asked: float | None, used: float | None = 300 * MI, **more: object) -> ContainerFact:
    """An init container that requests and uses so much memory (bytes)."""
    (fact,) = measured(name=name, init=True, memory_request=asked, memory_sampled_peak=used, cpu_request=None, **more)
    return fact


def declared(*containers: ContainerFact) -> list[Manifest]:
    """Init containers as a manifest has them."""
    found = []
    for c in containers:
        own = {
            section: {"memory": f"{value / MI:.0f}Mi"}
            for section, value in (("requests", c.memory_request), ("limits", c.memory_limit))
            if value is not None
        }
        found.append({"name": c.name, "image": "registry.example/setup:1", "command": ["setup"], "resources": own})
    return found


def made(main: float, used: float, *inits: ContainerFact) -> Scenario:
    """Pods of a step whose main container requests and uses so much memory (bytes), after init containers."""
    (work,) = measured(memory_request=main, memory_sampled_peak=used)
    asked = resources(requests={"cpu": "1", "memory": f"{main / MI:.0f}Mi"}) | {"initContainers": declared(*inits)}
    value = noise()
    return scenario(
        argo(task("a"), templates={"a": asked}), 42, lambda _: {"a": Pod(value(600.0), containers=(work, *inits))}
    )


def memory_of(item: Recommendation) -> dict[str, str]:
    """The memory requests it proposes, by container."""
    return {i.container: i.new for i in item.items if i.field == "requests.memory"}


def freed(item: Recommendation) -> float:
    """GiB-hours of a run that are less reserved, as the text says."""
    return float(item.expected.split(" GiB-hours less")[0].rpartition(" ")[2])


def hours(of: Scenario) -> float:
    """Mean hours of a pod on its node."""
    return sum(e.held or 0.0 for r in of.runs for e in r.steps) / len(of.runs) / HOUR


def test_an_init_container_that_decides_what_the_pod_reserves_is_sized() -> None:
    """4Gi for a checkout that takes 300Mi, before work that needs the 1Gi that it requests: 3Gi are free."""
    of = made(GI, 800 * MI, first("fetch", 4 * GI))
    item = of.one("right-size")
    assert item.action.startswith("Right-size memory request of init container a/fetch: 4Gi -> ")
    assert list(memory_of(item)) == ["fetch"]
    assert freed(item) == pytest.approx(3.0 * hours(of), rel=0.02)
    assert item.saving_per_month is not None and item.saving_per_month.low > 0.0
    assert [e.pointer for e in item.edits] == ["/spec/templates/1/initContainers/0/resources/requests/memory"]


def test_both_are_lowered_where_both_are_too_large() -> None:
    """Each would keep the pod's reservation by itself. The saving ends at the larger of the new requests."""
    of = made(4 * GI, 300 * MI, first("fetch", 3.5 * GI, 600 * MI))
    item = of.one("right-size")
    sizes = memory_of(item)
    assert sorted(sizes) == ["fetch", "main"]
    kept = float(sizes["fetch"].removesuffix("Mi")) / 1024
    assert sizes["main"] == sizes["fetch"]  # a lower request of the work frees nothing
    assert freed(item) == pytest.approx((4.0 - kept) * hours(of), rel=0.02)


def test_an_init_container_that_reserves_no_more_than_the_work_is_left_alone() -> None:
    assert made(GI, 800 * MI, first("fetch", 900 * MI, 100 * MI)).recommended("right-size") == []


def test_only_the_larger_of_two_is_sized_where_the_other_stays_below_what_remains() -> None:
    of = made(GI, 800 * MI, first("fetch", 4 * GI), first("unpack", 700 * MI, 100 * MI))
    assert list(memory_of(of.one("right-size"))) == ["fetch"]


@pytest.mark.parametrize(("used", "kept"), [(None, 3.0), (900 * MI, 1088 / 1024)])
def test_containers_that_are_lowered_together_free_no_more_than_an_init_container_leaves(
    used: float | None, kept: float
) -> None:
    """Each by itself might free all that lies above it: of two with 2Gi beside one with 3Gi, 1Gi."""
    fetch = first("fetch", 3 * GI, used)
    (work,) = measured(memory_request=2 * GI, memory_sampled_peak=300 * MI)
    own = resources(requests={"cpu": "1", "memory": "2Gi"})["container"]
    manifest = argo(task("a"), templates={"a": {"initContainers": declared(fetch)}})
    template = manifest["spec"]["templates"][1]
    del template["container"]
    template["containerSet"] = {"containers": [{"name": name, **own} for name in ("one", "two")]}
    value, both = noise(), [replace(work, name=name) for name in ("one", "two")]
    of = scenario(manifest, 42, lambda _: {"a": Pod(value(600.0), containers=(*both, fetch))})
    assert freed(of.one("right-size")) == pytest.approx((4.0 - kept) * hours(of), rel=0.02)


def test_what_is_not_sampled_is_not_sized() -> None:
    """A short init container may never be sampled: what it needs is unknown, and the work keeps the bound it sets."""
    of = made(4 * GI, 300 * MI, first("fetch", 3 * GI, None))
    item = of.one("right-size")
    assert memory_of(item) == {"main": "3Gi"}
    assert "limited by the request of init container fetch" in "; ".join(item.evidence)


def test_an_init_container_without_a_request_gets_none() -> None:
    """It runs in what the pod reserves for the others."""
    assert made(GI, 800 * MI, first("fetch", None)).recommended("right-size") == []


def test_one_that_the_definition_does_not_declare_is_not_sized() -> None:
    """Steps of a graph that users write, and of engines known by pod labels, declare no containers."""
    of = made(GI, 800 * MI, first("fetch", 4 * GI))
    graph = of.definition.graph
    bare = replace(graph, steps=tuple(replace(step, containers=()) for step in graph.steps))
    analysis = analyze(replace(of.definition, graph=bare), of.runs, now=NOW)
    assert "right-size" not in {r.rule for r in recommend(Evidence(analysis, "wfp"))}


def killed(share: int) -> Scenario:
    """Every ``share``-th run fails since its init container is OOM-killed."""
    fetch = first("fetch", 256 * MI, 200 * MI, memory_limit=256 * MI)
    of = made(GI, 800 * MI, fetch)
    runs = list(of.runs)
    for n in range(0, len(runs), share):
        (e,) = runs[n].steps
        inits = tuple(replace(c, reason="OOMKilled" if c.init else None) for c in e.containers)
        failed = type(e.outcome).FAILED
        runs[n] = replace(runs[n], outcome=failed, steps=(replace(e, outcome=failed, containers=inits),))
    return replace(of, runs=tuple(runs))


def test_an_init_container_that_is_oom_killed_gets_more() -> None:
    of = killed(4)
    item = of.one("memory-request")
    assert item.action == "Raise memory request and limit of init container a/fetch: 256Mi -> 768Mi"
    assert item.failures_avoided is not None
    assert {e.pointer.rpartition("/resources")[0] for e in item.edits} == {"/spec/templates/1/initContainers/0"}
    assert of.recommended("failing-step") == []
    assert of.recommended("cpu-request") == []
