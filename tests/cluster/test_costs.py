"""What runs cost, on a real Prometheus: prices by node, by labels or by OpenCost, and containers beside the step's own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from concertmaster.cli import gather
from concertmaster.cli.analysis import analyze
from concertmaster.cli.options import SourceOptions
from concertmaster.core.pipeline import AnalysisResult
from concertmaster.prometheus.client import PrometheusClient
from concertmaster.prometheus.collect.node_capacity import NodeCapacity
from concertmaster.settings import MetricsSource
from testbed.series.openmetrics import ContainerLife, Grid, JobLife, NodeLife, PodLife, render
from tests.support.builders import MI, NOW
from tests.support.core.scenario_builder import cron_job

HOUR = 3600.0
NODES = [
    NodeLife("cheap", {"node.kubernetes.io/instance-type": "m5.large", "karpenter.sh/capacity-type": "spot"},
             allocatable={"cpu": 3.9, "memory": 15e9, "ephemeral_storage": 50e9}),
    NodeLife("dear", {"node.kubernetes.io/instance-type": "m5.large"}, (0.5, 0.0, 0.0), {"cpu": 1.9, "memory": 30e9}),
]  # fmt: skip


def lives(namespace: str = "demo", *beside: ContainerLife) -> Iterator[tuple[PodLife, JobLife]]:
    """Eight runs of 1,000 s with a core each, every second one on the spot node."""
    for i in range(8):
        begin, name = NOW - (8 - i) * HOUR, f"report-{i}"
        main = ContainerLife(
            "report", started=begin, finished=begin + 1000, cpu_seconds=900, memory_peak=800 * MI,
            cpu_request=1.0, memory_request=1024 * MI,
        )  # fmt: skip
        pod = PodLife(
            namespace,
            f"{name}-x",
            f"uid-{namespace}-{i}",
            begin,
            [main, *(replace(c, started=begin - 5, finished=begin + 1005) for c in beside)],
            node="cheap" if i % 2 else "dear", owner_kind="Job",
            owner_name=name, scheduled=begin, started=begin, finished=begin + 1000,
        )  # fmt: skip
        yield pod, JobLife(namespace, name, begin, begin + 1000, owner_kind="CronJob", owner_name="report")


@pytest.fixture(scope="module")
def source() -> Iterator[MetricsSource]:
    from testbed.services.prometheus import PrometheusServer

    proxy = ContainerLife(
        "proxy", cpu_seconds=100, memory_peak=50 * MI, cpu_request=1.0, memory_request=1024 * MI, init=True,
        restart_policy="Always",
    )  # fmt: skip
    pods, jobs = zip(*lives(), *lives("mesh", proxy), strict=True)
    server = PrometheusServer([])
    try:
        server.load_openmetrics(render(pods, Grid(NOW - 10 * HOUR, NOW), jobs, NODES))
        server.start()
        yield SourceOptions(server.url, None, "default", None, None, ()).find()
    finally:
        server.close()


def analyzed(source: MetricsSource, pricing: dict[str, Any], namespace: str = "demo") -> AnalysisResult:
    """The workflow under a policy with these prices."""
    policy = {
        "apiVersion": "concertmaster.dev/v1alpha1",
        "kind": "OptimizationPolicy",
        "metadata": {"name": "p", "namespace": namespace},
        "spec": {"pricing": {"cpuCoreHour": "0.36", "memoryGiBHour": "0", **pricing}},
    }
    job = cron_job()
    objects = [{**job, "metadata": {**job["metadata"], "namespace": namespace}}, policy]
    facts = gather.from_prometheus(source, namespaces=[namespace], window=86400.0, objects=objects, now=NOW + 120)
    (found,) = analyze(facts)
    return found


def costs(found: AnalysisResult) -> float:
    per_run = found.analysis.cost.per_run
    assert found.analysis.cost.runs == 8
    assert per_run is not None
    return per_run.total


def test_flat_prices_are_those_of_the_policy(source: MetricsSource) -> None:
    assert costs(analyzed(source, {})) == pytest.approx(0.1)


def test_a_row_of_the_table_prices_the_nodes_that_it_fits(source: MetricsSource) -> None:
    rows = [{"instanceType": "m5.*", "spot": True, "cpuCoreHour": "0.072"}]
    found = analyzed(source, {"source": "NodeTable", "nodes": rows})
    assert costs(found) == pytest.approx((0.1 + 0.02) / 2)
    (step,) = found.analysis.steps
    assert step.pricing.cpu_core_hour == pytest.approx((0.36 + 0.072) / 2)


def test_open_cost_prices_hold_where_there_are_some(source: MetricsSource) -> None:
    found = analyzed(source, {"source": "OpenCost"})
    assert costs(found) == pytest.approx((0.5 * 1000 / 3600 + 0.1) / 2)


def test_an_init_container_that_restarts_is_a_sidecar_and_costs_as_long_as_the_pod_lives(source: MetricsSource) -> None:
    found = analyzed(source, {}, "mesh")
    assert costs(found) == pytest.approx(0.2)
    execution = found.analysis.runs[0].steps[0]
    assert [(c.name, c.init, c.sidecar) for c in execution.containers] == [
        ("proxy", False, True),
        ("report", False, False),
    ]
    assert execution.started == NOW - 8 * HOUR  # when the step's own container did
    (item,) = [r for r in (*found.recommendations, *found.minor) if r.rule == "sidecar-overhead"]
    assert item.id == "sidecar-overhead.proxy"


def test_what_nodes_have_allocatable_is_read(source: MetricsSource) -> None:
    client = PrometheusClient(source)
    try:
        found = NodeCapacity().of(client, NOW, answers=True)
    finally:
        client.close()
    assert found.largest == {"cpu": 3.9, "memory": 30e9, "ephemeral-storage": 50e9}
    assert found.all == {"cpu": pytest.approx(5.8), "memory": 45e9, "ephemeral-storage": 50e9}
