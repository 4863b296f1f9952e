"""Pods that fit on nodes beside services, by node and by the time of day."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from concertmaster.core.changes.admission import service_pods
from concertmaster.core.changes.admission.capacity import BESIDE_SERVICES, Capacity
from concertmaster.core.changes.admission.model import ResourceQuota
from concertmaster.core.changes.admission.nodes import Nodes
from concertmaster.core.changes.admission.quotas import pod_sizes, quota_of
from concertmaster.core.changes.admission.service_pods import (
    InQuotas,
    QuotaMoment,
    ServiceMoment,
    ServicePods,
    in_quotas,
)
from concertmaster.core.model import ContainerSpec, StepSpec
from tests.support.builders import DAY

HOUR = 3600.0
MIDNIGHT = 20_000 * DAY
POD = {"cpu": 1.0, "pods": 1.0}


def moment(at: float, *left: float, **more: list[float]) -> ServiceMoment:
    """Cores that are ``left`` of nodes with eight; ``more``: by resource."""
    amounts = {"cpu": np.array(left)} | {name: np.array(rows) for name, rows in more.items()}
    return ServiceMoment(at, amounts, {"cpu": 8.0 * len(left) - sum(left)})


def by_day(*days: int) -> ServicePods:
    """Services that leave two cores by day and eight at night, of one node."""
    hours = [24 * day + hour for day in days for hour in range(0, 24, 3)]
    return ServicePods(tuple(moment(MIDNIGHT + h * HOUR, 2.0 if 9 <= h % 24 < 21 else 8.0) for h in hours))


def test_each_node_is_filled_by_itself() -> None:
    assert ServicePods((moment(0.0, 2.5, 2.5),)).fits([POD]) == [[4]]  # and not five
    assert ServicePods((moment(0.0, -3.0, 2.5),)).fits([POD]) == [[2]]  # more is requested than the first has


def test_the_scarcest_resource_of_a_node_counts() -> None:
    services = ServicePods((moment(0.0, 4.0, 4.0, memory=[1e9, 9e9], pods=[50.0, 3.0]),))
    assert services.fits([{"cpu": 1.0, "memory": 1e9, "pods": 1.0}]) == [[4]]
    assert services.fits([{"cpu": 1.0, "memory": 2e9, "pods": 1.0, "ephemeral-storage": 1.0}]) == [[3]]


def test_a_run_meets_the_services_of_its_time_of_day() -> None:
    night, noon = MIDNIGHT + 9 * DAY + 2 * HOUR, MIDNIGHT + 9 * DAY + 12 * HOUR
    services = by_day(0, 1, 2)
    assert services.fits([POD], [night, noon, night]) == [[8, 2, 8]]
    assert services.held("cpu", [night, noon]) == [0.0, 6.0]
    assert sorted(set(services.fits([POD])[0])) == [2, 8]
    assert services.high("cpu") == 6.0


def test_the_moment_of_a_run_counts_more_than_other_days() -> None:
    holiday = tuple(moment(MIDNIGHT + DAY + h * HOUR, 7.0) for h in range(0, 24, 3))
    services = ServicePods((*by_day(0).moments, *holiday, *by_day(2, 3).moments))
    assert services.fits([POD], [MIDNIGHT + DAY + 12 * HOUR, MIDNIGHT + 12 * HOUR]) == [[7, 2]]


def test_without_a_moment_at_that_hour_the_nearest_one_counts() -> None:
    services = ServicePods((moment(MIDNIGHT, 8.0), moment(MIDNIGHT + 6 * HOUR, 3.0)))
    assert services.fits([POD], [MIDNIGHT + 4 * DAY + 10 * HOUR]) == [[3]]


def test_what_services_take_of_quotas_is_known_by_namespace_and_time_of_day() -> None:
    hours = range(0, 96, 3)
    moments = [
        QuotaMoment(MIDNIGHT + h * HOUR, {"web": {"cpu": 6.0 if 9 <= h % 24 < 21 else 1.0}, "etl": {}}) for h in hours
    ]
    known = in_quotas([*moments[:-1], QuotaMoment(moments[-1].at, {**moments[-1].held, "new": {"pods": 3.0}})])
    night, noon = MIDNIGHT + 9 * DAY + 2 * HOUR, MIDNIGHT + 2 * DAY + 12 * HOUR
    assert known["web"].usually([night]) == {"cpu": 1.0}
    assert known["web"].usually([noon, noon, night]) == {"cpu": 6.0}
    assert known["web"].usually() == {"cpu": 3.5}
    assert known["etl"].usually([noon]) == {}
    assert known["new"].usually([noon]) == {"pods": 3.0}
    assert in_quotas([]) == {}


TEN = ResourceQuota("team", {"cpu": 10.0, "limits.cpu": 20.0, "pods": 50.0})


@pytest.mark.parametrize(
    ("taken", "quota", "pods"),
    [
        ({"cpu": 7.5}, TEN, 2),
        ({"cpu": 7.5, "pods": 49.0}, TEN, 1),
        ({"cpu": 12.0}, TEN, 0),
        ({"limits.cpu": 18.0}, TEN, 10),  # the pods have no limit
        ({"cpu": 7.5}, replace(TEN, scoped=True), 10),
        ({}, TEN, 10),
    ],
)
def test_services_leave_less_of_a_quota(taken: dict[str, float], quota: ResourceQuota, pods: int) -> None:
    held = InQuotas(np.zeros(1), {resource: np.array([amount]) for resource, amount in taken.items()})
    capacity = Capacity((quota,), in_quotas=held)
    assert capacity.pods([StepSpec("a", containers=(ContainerSpec("main", cpu_request=1.0),))]) == (
        pods,
        "ResourceQuota team",
    )


@pytest.mark.parametrize(
    ("spec", "scoped"),
    [
        ({}, False),
        ({"scopes": ["NotBestEffort"]}, False),
        ({"scopes": ["Terminating"]}, True),
        ({"scopeSelector": {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "Exists"}]}}, True),
    ],
)
def test_a_quota_with_scopes_may_not_apply_to_services(spec: dict[str, object], scoped: bool) -> None:
    found = quota_of({"metadata": {"name": "q"}, "spec": {"hard": {"cpu": "4"}, **spec}})
    assert found is not None
    assert found.scoped is scoped


STEP = StepSpec("a", containers=(ContainerSpec("main", cpu_request=1.0),))


def test_each_step_fills_the_nodes_by_itself() -> None:
    """A pod as large as the largest request of each resource among all steps may fit nowhere, where all of them do."""
    services = ServicePods((moment(0.0, 8.0, 2.0, memory=[4e9, 30e9]),))
    cores, memory = (
        StepSpec(name, containers=(ContainerSpec("main", cpu_request=c, memory_request=m),))
        for name, c, m in (("cores", 4.0, 1e9), ("memory", 1.0, 10e9))
    )
    nodes = Nodes(all={"cpu": 16.0, "memory": 64e9}, services=services)
    assert Capacity(nodes=nodes).pods([cores, memory]) == (2, BESIDE_SERVICES)


@pytest.mark.parametrize(
    ("nodes", "bound"),
    [
        (Nodes(all={"cpu": 16.0}), (16, "what all nodes have allocatable")),
        (
            Nodes(all={"cpu": 16.0}, services=ServicePods((moment(0.0, 8.0, 8.0),))),
            (16, "what all nodes have allocatable"),
        ),
        (Nodes(all={"cpu": 16.0}, services=ServicePods((moment(0.0, 2.5, 2.5),))), (4, BESIDE_SERVICES)),
        (Nodes(services=ServicePods((moment(0.0, 2.5, 2.5),))), None),  # the nodes scale
    ],
)
def test_what_services_leave_bounds_the_pods_of_a_steady_cluster(nodes: Nodes, bound: tuple[int, str] | None) -> None:
    assert Capacity(nodes=nodes).pods([STEP]) == bound


def test_what_is_seen_of_a_part_of_the_nodes_is_a_lower_bound() -> None:
    part = ServiceMoment(0.0, {"cpu": np.array([1.0])}, {"cpu": 7.0}, whole=False)
    assert ServicePods((moment(0.0, 1.0),)).whole
    assert not ServicePods((part, part, moment(0.0, 1.0))).whole


def test_no_figure_of_a_node_makes_less_than_none_fit() -> None:
    services = ServicePods((moment(0.0, 1e18, 2.5),))
    assert services.fits([{"cpu": 1e-3}]) == [[1_002_500]]


def test_nodes_are_filled_once_with_pods_of_each_size_however_many_runs_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Forty steps of which none is larger than another one took as long again for each of hundreds of runs."""
    filled: list[object] = []
    fill = service_pods._fits
    monkeypatch.setattr(service_pods, "_fits", lambda *args: (filled.append(args), fill(*args))[1])
    steps = [
        StepSpec(f"s{i}", containers=(ContainerSpec("main", cpu_request=1.0 + i / 100, memory_request=4e9 - i * 1e7),))
        for i in range(40)
    ]
    capacity = Capacity(nodes=Nodes(all={"cpu": 16.0, "memory": 64e9}, services=by_day(0)))
    for hour in range(24):
        assert capacity.pods(steps, [MIDNIGHT + hour * HOUR]) == (1 if 8 <= hour < 20 else 5, BESIDE_SERVICES)
    assert len(filled) == 40 * 8


def test_a_step_that_demands_no_more_of_what_nodes_have_is_not_asked_for() -> None:
    small, large = (
        StepSpec(name, containers=(ContainerSpec("main", cpu_request=cores, cpu_limit=limit),))
        for name, cores, limit in (("small", 1.0, 8.0), ("large", 2.0, 2.0))
    )
    sizes = pod_sizes([small, large], ranges=())
    assert sizes.on_nodes == ({"pods": 1.0, "cpu": 2.0},)
    assert (sizes.largest["cpu"], sizes.largest["limits.cpu"]) == (2.0, 8.0)
