"""Types and prices of nodes from kube_node_labels and OpenCost."""

from __future__ import annotations

from concertmaster.core.model import PodFact
from concertmaster.prometheus.client.vector import Vector
from concertmaster.prometheus.facts import missing, nodes

COLUMNS = ("__name__", "node", "label_node_kubernetes_io_instance_type", "label_eks_amazonaws_com_capacity_type")


def read(*rows: tuple[tuple[str, str, str, str], float]) -> dict[str, nodes.NodeFacts]:
    found: dict[str, nodes.NodeFacts] = {}
    nodes.read_nodes(Vector(COLUMNS, tuple(r for r, _ in rows), [v for _, v in rows]), found)
    return found


def test_labels_and_prices_of_a_node_come_together() -> None:
    found = read(
        (("kube_node_labels", "a", "m5.large", "SPOT"), 1.0),
        (("kube_node_labels", "b", "m5.large", "ON_DEMAND"), 1.0),
        (("kube_node_labels", "c", "", ""), 1.0),
        (("node_cpu_hourly_cost", "a", "", ""), 0.04),
        (("node_ram_hourly_cost", "a", "", ""), 0.005),
    )
    pods = nodes.with_nodes([PodFact("n", f"p-{n}", n, node=n) for n in "abcd"], found)
    assert [(p.instance_type, p.spot, p.node_prices) for p in pods] == [
        ("m5.large", True, (0.04, 0.005, 0.0)),
        ("m5.large", False, None),
        (None, None, None),
        (None, None, None),
    ]
    assert missing.prices(pods) == []
    (gap,) = missing.prices(pods[2:] * 2)
    assert "flat prices" in str(gap)
