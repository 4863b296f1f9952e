"""What bounds a proposed request from below besides policy and namespace, and what is bounded: defaults count."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concertmaster.core.changes.admission.capacity import Capacity
from concertmaster.core.changes.admission.model import LimitRange
from concertmaster.core.model import Recommendation
from concertmaster.core.rules.evidence import Evidence
from concertmaster.core.rules.resources.rows.size_bounds import SizeBounds, bounded, size_bounds
from concertmaster.core.rules.resources.rows.sizing_units import sizing_units
from tests.support.builders import MI
from tests.support.core import scenarios
from tests.support.core.scenario_builder import Pod, argo, scenario, task
from tests.support.core.scenarios import measured, resources

GI = 1024 * MI
SETUP = {"name": "setup", "image": "registry.example/setup:1", "command": ["setup"]}


def found(memory: str, **of_template: object) -> list[Recommendation]:
    """A container that uses 300Mi of 4Gi, after an init container that requests so much."""
    small = measured(memory_request=4096 * MI, memory_sampled_peak=300 * MI, cpu_seconds=90.0)
    first = SETUP | {"resources": {"requests": {"memory": memory}}}
    body = resources(requests={"cpu": "1", "memory": "4Gi"}) | {"initContainers": [first]} | of_template
    made = scenario(argo(task("a"), templates={"a": body}), 42, lambda _: {"a": Pod(100.0, containers=small)})
    return [r for r in made.recommended("right-size") if any(i.field == "requests.memory" for i in r.items)]


def test_a_request_is_lowered_as_far_as_the_pod_then_reserves_less() -> None:
    (item,) = found("3Gi")
    assert [(i.container, i.new) for i in item.items if i.field == "requests.memory"] == [("main", "3Gi")]
    assert "is limited by the request of init container setup, which the pod keeps" in "; ".join(item.evidence)
    (free,) = found("64Mi")
    assert free.items[0].new != "3Gi" and "setup" not in "; ".join(free.evidence)


@pytest.mark.parametrize("memory", ["4Gi", "6Gi"])
def test_nothing_is_lowered_below_an_init_container_that_requests_as_much(memory: str) -> None:
    assert found(memory) == []


def test_an_init_container_reserves_its_limit_or_the_default_of_the_namespace() -> None:
    assert found("4Gi", initContainers=[SETUP | {"resources": {"limits": {"memory": "4Gi"}}}]) == []
    ranges = (LimitRange("usual", "Container", default={"memory": 8 * GI}, default_request={"memory": 4 * GI}),)
    own = measured(memory_request=4 * GI, memory_limit=8 * GI, memory_sampled_peak=300 * MI)
    body = resources() | {"initContainers": [SETUP]}
    made = scenario(argo(task("a"), templates={"a": body}), 42, lambda _: {"a": Pod(100.0, containers=own)})
    items = [i for r in replace(made, capacity=Capacity(ranges=ranges)).recommended("right-size") for i in r.items]
    assert [i for i in items if i.field == "requests.memory"] == []


def test_what_runs_beside_it_leaves_room() -> None:
    """The pod holds 4Gi and 2Gi while it works, and 5Gi before: 1Gi can be freed."""
    beside = SETUP | {"name": "proxy", "resources": {"requests": {"memory": "2Gi"}}}
    (item,) = found("5Gi", sidecars=[beside])
    assert [i.new for i in item.items if (i.container, i.field) == ("main", "requests.memory")] == ["3Gi"]


@pytest.mark.parametrize(("before", "least"), [(True, "3Gi"), (False, "1Gi")])
def test_a_sidecar_among_the_init_containers_counts_with_those_after_it(before: bool, least: str) -> None:
    """The pod holds 4Gi and 2Gi while it works. Before that, 3Gi beside the 2Gi of a sidecar that runs already, or alone."""
    proxy = SETUP | {"name": "proxy", "restartPolicy": "Always", "resources": {"requests": {"memory": "2Gi"}}}
    setup = SETUP | {"resources": {"requests": {"memory": "3Gi"}}}
    (item,) = found("3Gi", initContainers=[proxy, setup] if before else [setup, proxy])
    assert [i.new for i in item.items if (i.container, i.field) == ("main", "requests.memory")] == [least]


def test_a_default_of_the_namespace_is_what_pods_reserve() -> None:
    """The container declares nothing and gets 4Gi: the saving is of these, and the first value is left to a person."""
    ranges = (LimitRange("usual", "Container", default={"memory": 8 * GI}, default_request={"memory": 4 * GI}),)
    own = measured(memory_request=4 * GI, memory_limit=8 * GI, memory_sampled_peak=300 * MI)
    made = scenario(argo(task("a"), templates={"a": resources()}), 42, lambda _: {"a": Pod(100.0, containers=own)})
    item = replace(made, capacity=Capacity(ranges=ranges)).one("right-size")
    (row,) = [i for i in item.items if i.field == "requests.memory"]
    assert (row.old, item.automatic) == ("4Gi", False)
    assert item.saving_per_month is not None and item.saving_per_month.low > 0.0
    (edit,) = [e for e in item.edits if e.pointer.endswith("/requests/memory")]
    assert (edit.current, edit.proposed) == (None, row.new)
    assert "memory of a: 4Gi is the default of a LimitRange" in item.evidence


def test_a_size_is_not_below_a_target_that_only_rounding_put_above_it() -> None:
    unit = next(sizing_units(scenarios.right_size().analysis(), "memory"))
    unit = replace(unit, container=replace(unit.container, cpu_request=4.0))
    evidence = Evidence(scenarios.right_size().analysis(), "wfp")
    bounds = size_bounds(evidence, unit, "cpu", {})
    assert bounded(evidence, unit, "cpu", bounds, 0.4600000000000001, 0.46) == (0.46, "", "")


AMOUNTS = st.floats(0.0, 64.0)


@given(AMOUNTS, AMOUNTS, AMOUNTS)
def test_a_size_is_within_its_bounds_or_there_is_none(least: float, most: float, size: float) -> None:
    """As where a LimitRange asks for more than the policy allows."""
    found, bound_by = SizeBounds(least, most, "least", "most").inside(size)
    if least > most:
        assert (found, bound_by) == (None, "")
    else:
        assert found == min(max(size, least), most)
        assert bound_by == ("least" if size < least else "most" if size > most else "")
