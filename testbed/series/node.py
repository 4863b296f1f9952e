"""Node series: labels (with `--metric-labels-allowlist=nodes=[*]`) and allocatable resources of kube-state-metrics, and
prices of OpenCost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from testbed.series.lives import STATE_METRICS_JOB, NodeLife
from testbed.series.naming import label_name, series
from testbed.series.state import STATE_METRICS_INSTANCE

PRICES = ("node_cpu_hourly_cost", "node_ram_hourly_cost", "node_gpu_hourly_cost")
FAMILIES = ("kube_node_labels", "kube_node_status_allocatable", *PRICES)
_SCRAPE = {"job": STATE_METRICS_JOB, "instance": STATE_METRICS_INSTANCE}


def of_nodes(family: str, nodes: Sequence[NodeLife]) -> Iterator[tuple[str, float]]:
    """The series of a family, each with its constant value."""
    for node in nodes:
        if family == "kube_node_labels":
            labels = {label_name(key): value for key, value in node.labels.items()}
            yield series(family, node=node.name, **_SCRAPE, **labels), 1.0
        elif family == "kube_node_status_allocatable":
            for resource, amount in node.allocatable.items():
                yield series(family, node=node.name, resource=resource, **_SCRAPE), amount
        elif node.prices is not None:
            yield series(family, node=node.name, instance=node.name, job="opencost"), node.prices[PRICES.index(family)]
