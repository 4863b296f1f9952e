"""What pods outside workflows request on each node, and take of quotas, on a real Prometheus with series as
kube-state-metrics has them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import pytest

from concertmaster.cli.options import SourceOptions
from concertmaster.prometheus.client import PrometheusClient
from concertmaster.prometheus.collect.node_capacity import NodeCapacity
from concertmaster.settings import MetricsSource
from testbed.series.openmetrics import ContainerLife, Grid, NodeLife, PodLife, render
from tests.support.builders import NOW

HOUR = 3600.0
GI = 2.0**30
BEGIN, THEN = NOW - 9 * HOUR, NOW - 3 * HOUR
NODES = [NodeLife(name, allocatable={"cpu": 8.0, "memory": 32 * GI, "pods": 110.0}) for name in ("a", "b")]


def pod(name: str, kind: str, node: str, cores: float | None = 1.0, *beside: ContainerLife) -> PodLife:
    """A pod that runs since the beginning, with a Gi for each core."""
    memory = None if cores is None else cores * GI
    main = ContainerLife("main", started=BEGIN, cpu_request=cores, memory_request=memory, cpu_seconds=1.0)
    main = replace(main, memory_limit=2 * memory if memory else None)
    space = "kube-system" if kind == "DaemonSet" else "shop"
    return PodLife(
        space, name, f"uid-{name}", BEGIN, [main, *beside], node=node, owner_kind=kind, owner_name=name.rpartition("-")[0],
        scheduled=BEGIN, started=BEGIN,
    )  # fmt: skip


PROXY = ContainerLife("proxy", started=BEGIN, cpu_request=0.25, init=True, restart_policy="Always")
SETUP = ContainerLife("setup", started=BEGIN, finished=BEGIN + 5.0, cpu_request=4.0, init=True)
SERVICES = [
    pod("web-1", "ReplicaSet", "a", 2.0, PROXY, SETUP),
    pod("db-0", "StatefulSet", "b", 3.0),
    pod("agent-a", "DaemonSet", "a", None),  # requests nothing
    pod("agent-b", "DaemonSet", "b", 0.5),
    # Of runs, or without a controller, which may be of a run.
    pod("etl-1", "Workflow", "a"),
    pod("report-1", "Job", "b"),
    pod("notebook", "", "b"),
    # Evicted hours ago, and still there; not bound to a node; on a node that is gone.
    replace(pod("web-2", "ReplicaSet", "b"), finished=NOW - 8 * HOUR, phase="Failed", status_reason="Evicted"),
    replace(pod("web-3", "ReplicaSet", ""), scheduled=None, started=None),
    pod("web-4", "ReplicaSet", "gone"),
    # Since three hours.
    replace(pod("web-5", "ReplicaSet", "b", 2.0), created=THEN, scheduled=THEN, started=THEN),
]


def with_quotas(pieces: Iterable[str], *spaces: str) -> Iterator[str]:
    """The series, and a ResourceQuota in each of the namespaces."""
    lines = [
        f'kube_resourcequota{{namespace="{space}",resourcequota="team",resource="requests.cpu",type="{kind}"}} 9 {at}\n'
        for space in spaces
        for kind in ("hard", "used")
        for at in range(int(BEGIN), int(NOW + 4 * HOUR), 60)
    ]
    yield from (piece for piece in pieces if piece != "# EOF\n")
    yield from ("# TYPE kube_resourcequota gauge\n", *lines, "# EOF\n")


@pytest.fixture(scope="module")
def source() -> Iterator[MetricsSource]:
    from testbed.services.prometheus import PrometheusServer

    server = PrometheusServer([])
    try:
        series = render(SERVICES, Grid(BEGIN, NOW + 4 * HOUR), (), NODES)
        server.load_openmetrics(with_quotas(series, "shop", "etl"))
        server.start()
        yield SourceOptions(server.url, None, "default", None, None, ()).find()
    finally:
        server.close()


def test_what_services_request_is_read_by_node_and_moment(source: MetricsSource) -> None:
    client, capacity = PrometheusClient(source), NodeCapacity()
    try:
        for cycle in range(3):
            services = capacity.of(client, NOW + 3 * HOUR + 60.0 * cycle, answers=True).services
    finally:
        client.close()
    assert services is not None
    before, after = services.moments[0], services.moments[-1]
    assert before.at < NOW - 3 * HOUR < after.at
    assert before.held == {"cpu": 5.75, "memory": 5.5 * GI, "pods": 4.0}
    assert before.left["cpu"].tolist() == [5.75, 4.5]
    assert before.left["pods"].tolist() == [108.0, 108.0]
    assert after.held == {"cpu": 7.75, "memory": 7.5 * GI, "pods": 5.0}
    assert after.left["cpu"].tolist() == [5.75, 2.5]
    assert services.whole


def test_what_services_take_of_quotas_is_read_by_namespace_and_moment(source: MetricsSource) -> None:
    client, capacity = PrometheusClient(source), NodeCapacity()
    try:
        for cycle in range(3):
            known = capacity.in_quotas(client, NOW + 3 * HOUR + 60.0 * cycle, answers=True)
    finally:
        client.close()
    assert set(known) == {"shop", "etl"}  # kube-system has pods and no quota
    assert known["etl"].usually() == {}
    shop = known["shop"]
    assert shop.at[0] < THEN < shop.at[-1]
    # web-3, which has no node, and web-4 count, and web-2, which was evicted, does not.
    first = {resource: held[0] for resource, held in shop.held.items()}
    assert first == {"cpu": 7.25, "memory": 7 * GI, "limits.memory": 14 * GI, "pods": 4.0}
    assert {r: held[-1] for r, held in shop.held.items()} == {
        "cpu": 9.25, "memory": 9 * GI, "limits.memory": 18 * GI, "pods": 5.0,
    }  # fmt: skip
