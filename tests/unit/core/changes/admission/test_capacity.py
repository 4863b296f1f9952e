"""What a namespace lets a pod ask for, and that recommendations keep to it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concertmaster.core.changes.admission.capacity import UNBOUND, Bound, Capacity, capacity_by_namespace
from concertmaster.core.changes.admission.limits import refusals
from concertmaster.core.changes.admission.model import Container, LimitRange, Pod, PodChange, ResourceQuota
from concertmaster.core.changes.admission.nodes import Nodes
from concertmaster.core.model import ContainerSpec, StepSpec
from concertmaster.core.model.policy import ApplySettings, Bounds, Range
from tests.support.builders import MI
from tests.support.core import scenarios

GI = 1024 * MI
RANGE = {
    "kind": "LimitRange",
    "metadata": {"namespace": "data", "name": "sizes"},
    "spec": {
        "limits": [
            {"type": "Container", "min": {"cpu": "100m"}, "max": {"memory": "2Gi"}, "default": {"cpu": "2"},
             "maxLimitRequestRatio": {"memory": "4"}},
            {"type": "PersistentVolumeClaim", "max": {"storage": "1Gi"}},
        ]
    },
}  # fmt: skip
QUOTA = {
    "kind": "ResourceQuota",
    "metadata": {"namespace": "data", "name": "compute"},
    "spec": {"hard": {"requests.cpu": "1", "limits.memory": "1Gi"}},
}


def test_objects_are_read_by_namespace() -> None:
    found = capacity_by_namespace([RANGE, QUOTA, {**QUOTA, "metadata": {"name": "q"}}, {"kind": "Pod"}])
    assert sorted(found) == ["data", "default"]
    data = found["data"]
    assert data.request("cpu", None) == Bound(0.1, 1.0, "LimitRange sizes", "ResourceQuota compute")
    assert data.request("memory", 1024.0**3) == Bound(
        256 * MI, 2 * 1024.0**3, "maxLimitRequestRatio of LimitRange sizes", "LimitRange sizes"
    )
    assert data.request("memory", 1024.0**3, tied=True).least is None
    assert data.limit("memory") == Bound(most=1024.0**3, most_by="ResourceQuota compute")
    assert replace(data, quotas=()).request("cpu", None).most_by == "the default limit of LimitRange sizes"
    assert UNBOUND.request("cpu", 1.0) == Bound()


def test_ephemeral_storage_is_read_from_both_kinds_of_objects() -> None:
    limits = [{"type": "Container", "max": {"ephemeral-storage": "8Gi"}, "default": {"ephemeral-storage": "1Gi"}}]
    ranges_ = {"kind": "LimitRange", "metadata": {"namespace": "data", "name": "disk"}, "spec": {"limits": limits}}
    hard = {"requests.ephemeral-storage": "20Gi", "ephemeral-storage": "30Gi", "limits.ephemeral-storage": "6Gi"}
    quota = {"kind": "ResourceQuota", "metadata": {"namespace": "data", "name": "q"}, "spec": {"hard": hard}}
    data = capacity_by_namespace([ranges_, quota])["data"]
    assert data.request("ephemeral-storage", 2 * GI) == Bound(most=8 * GI, most_by="LimitRange disk")
    assert data.request("ephemeral-storage", None).most_by == "the default limit of LimitRange disk"
    assert data.limit("ephemeral-storage") == Bound(most=6 * GI, most_by="ResourceQuota q")
    assert data.quotas[0].hard == {"ephemeral-storage": 20 * GI, "limits.ephemeral-storage": 6 * GI}


def test_a_quota_of_ephemeral_storage_counts_pods_and_asks_for_no_request() -> None:
    """The API server asks every container for the CPU and memory that a quota counts, and for nothing else."""
    quota = ResourceQuota("disk", {"ephemeral-storage": 5 * GI})
    plain = Pod((Container("c", {"cpu": 1.0}),))
    writes = Pod((Container("c", {"cpu": 1.0, "ephemeral-storage": 2 * GI}),))
    assert refusals([PodChange(plain, replace(plain, containers=(Container("c", {"cpu": 2.0}),)))], (), [quota]) == []
    (refusal,) = refusals([PodChange(writes, writes, 2, 3)], (), [quota])
    assert refusal.message == "ephemeral-storage: 3 x 2Gi is more than the 5Gi of ResourceQuota disk"


def cores(least: float, most: float) -> st.SearchStrategy[float]:
    """Amounts as quantities write them, in thousandths."""
    return st.integers(round(1000 * least), round(1000 * most)).map(lambda n: n / 1000)


ranges = st.builds(
    lambda least, most, default, ratio: LimitRange(
        "r", "Container", {"cpu": least}, {"cpu": most}, {"cpu": default} if default else {}, {},
        {"cpu": ratio} if ratio else {},
    ),
    cores(0.05, 0.5), cores(0.6, 8.0), st.none() | cores(0.05, 8.0), st.none() | st.floats(1.0, 8.0),
)  # fmt: skip


@given(st.lists(ranges, max_size=2), st.none() | cores(0.05, 8.0), cores(0.05, 8.0), st.none() | cores(0.1, 8.0))
def test_what_is_inside_the_bounds_is_what_the_server_takes(
    found: list[LimitRange], limit: float | None, request: float, hard: float | None
) -> None:
    capacity = Capacity((ResourceQuota("q", {"cpu": hard}),) if hard else (), tuple(found))
    bound = capacity.request("cpu", limit)
    inside = (bound.least is None or request >= bound.least) and (bound.most is None or request <= bound.most)
    # What stands already is the same but for the request: only the request is judged here.
    least = Container("c", {"cpu": 0.0}, {"cpu": limit} if limit is not None else {})
    most = replace(least, requests={"cpu": request})
    refused = [
        r
        for r in refusals([PodChange(Pod((least,)), Pod((most,)))], capacity.ranges, capacity.quotas)
        if not r.missing and (limit is None or f"limit {limit}" not in r.message)
    ]
    if not inside:
        assert refused
    if refused and (limit is None or all(limit <= r.most["cpu"] for r in found)):
        defaulted = limit is None and any("cpu" in r.default for r in found)
        assert not inside or defaulted or (limit is not None and request > limit)


@pytest.mark.parametrize(
    ("least", "new"), [(None, "320Mi"), (256 * MI, "320Mi"), (512 * MI, "512Mi"), (1000 * MI, None)]
)
def test_a_right_sizing_keeps_to_the_least_of_a_limit_range(least: float | None, new: str | None) -> None:
    bound = LimitRange("sizes", "Container", {} if least is None else {"memory": least})
    item = replace(scenarios.right_size(), capacity=Capacity((), (bound,))).one("right-size")
    lowered = [i.new for i in item.items if i.step == "transform"]
    assert lowered == ([new] if new is not None else [])  # 1Gi -> 1000Mi is no change worth making
    reason = "memory of transform: 512Mi is limited by LimitRange sizes"
    assert (reason in item.evidence) is (new == "512Mi")


def test_more_memory_than_a_limit_range_allows_is_no_patch_but_says_what_to_raise() -> None:
    free = scenarios.memory_request().one("memory-request")
    assert (free.proposed, bool(free.edits)) == ("2Gi", True)
    assert "first" not in free.expected
    small = Capacity((), (LimitRange("sizes", "Container", {}, {"memory": 512 * MI}),))
    bound = replace(scenarios.memory_request(), capacity=small).one("memory-request")
    assert bound.edits == ()
    assert "concertmaster explain" in bound.how
    assert "raise LimitRange sizes from 512Mi to at least 1536Mi first" in bound.expected


def test_more_memory_than_any_node_has_is_no_patch_but_says_what_is_needed() -> None:
    small = Capacity(nodes=Nodes({"memory": 1024 * MI}))
    bound = replace(scenarios.memory_request(), capacity=small).one("memory-request")
    assert bound.edits == ()
    wanted = "add a node with more than 1536Mi allocatable first: the largest of the last day had 1Gi"
    assert wanted in bound.expected
    large = replace(small, nodes=Nodes({"memory": 4096 * MI}))
    assert replace(scenarios.memory_request(), capacity=large).one("memory-request").edits


def test_more_cpu_than_a_quota_allows_is_no_patch_but_says_what_to_raise() -> None:
    free = scenarios.cpu_request().one("cpu-request")
    assert free.edits
    small = Capacity((ResourceQuota("compute", {"limits.cpu": 0.5, "cpu": 0.5}),))
    bound = replace(scenarios.cpu_request(), capacity=small).one("cpu-request")
    assert bound.edits == ()
    assert "raise ResourceQuota compute from 500m to at least" in bound.expected


def test_more_than_the_policy_allows_is_no_patch_but_says_what_to_raise() -> None:
    tight = ApplySettings(bounds=Bounds(cpu=Range(0.05, 1.2), memory=Range(64 * MI, 1.2 * 1024 * MI)))
    memory = replace(scenarios.memory_request(), apply=tight).one("memory-request")
    cpu = replace(scenarios.cpu_request(), apply=tight).one("cpu-request")
    assert (memory.edits, cpu.edits) == ((), ())
    assert "raise apply.bounds.memory.max of the policy from 1229Mi to at least 1536Mi first" in memory.expected
    assert "raise apply.bounds.cpu.max of the policy from 1200m to at least 1700m first" in cpu.expected


def test_an_init_container_that_demands_more_than_the_others_decides_how_many_pods_fit() -> None:
    """A pod is admitted for the larger of both, and keeps that for its whole life."""
    quota = ResourceQuota("compute", {"cpu": 12.0, "limits.memory": 64 * GI}, {})
    fetch = ContainerSpec("fetch", cpu_request=3.0, memory_limit=16 * GI, init=True)
    proxy = ContainerSpec("proxy", cpu_request=0.5, sidecar=True, native=True)
    main = ContainerSpec("main", cpu_request=1.0, memory_limit=2 * GI)
    capacity = Capacity((quota,))
    assert capacity.pods([StepSpec("a", containers=(main, proxy))]) == (8, "ResourceQuota compute")
    assert capacity.pods([StepSpec("a", containers=(fetch, main, proxy))]) == (4, "ResourceQuota compute")
    assert replace(capacity, quotas=(ResourceQuota("", {"limits.memory": 64 * GI}, {}),)).pods(
        [StepSpec("a", containers=(fetch, main))]
    ) == (4, "ResourceQuota ")


def test_a_pod_without_requests_counts_with_the_defaults_of_those_limit_ranges_that_have_any() -> None:
    quota = ResourceQuota("compute", {"cpu": 3.0})
    most = LimitRange("most", "Container", most={"cpu": 8.0})
    default = LimitRange("default", "Container", default={"cpu": 1.5}, default_request={"cpu": 0.5})
    bare = [StepSpec("a", containers=(ContainerSpec("main"),))]
    assert Capacity((quota,), (most, default)).pods(bare) == (6, "ResourceQuota compute")
    assert Capacity((quota,), (most, replace(default, default_request={}))).pods(bare) == (2, "ResourceQuota compute")
    assert Capacity((quota,), (most,)).pods(bare) is None
