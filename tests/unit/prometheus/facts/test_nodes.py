"""Types and prices of nodes from kube_node_labels and OpenCost."""

from __future__ import annotations

from concertmaster.core.model import PodFact
from concertmaster.prometheus.client.vector import Vector
from concertmaster.prometheus.facts import missing_series, nodes
from concertmaster.prometheus.queries.extended import nodes as query
from concertmaster.prometheus.queries.scope import PLAIN, LabelScheme, QueryScope, TimeRange

COLUMNS = ("__name__", "node", "label_node_kubernetes_io_instance_type", "label_eks_amazonaws_com_capacity_type")


def read(*rows: tuple[tuple[str, str, str, str], float]) -> dict[str, nodes.NodeFacts]:
    found: dict[str, nodes.NodeFacts] = {}
    nodes.read_nodes(Vector(COLUMNS, tuple(r for r, _ in rows), [v for _, v in rows]), PLAIN, found)
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
    assert missing_series.prices(pods) == []
    (gap,) = missing_series.prices(pods[2:] * 2)
    assert "flat prices" in str(gap)


def test_nodes_with_taints_are_read_beside_what_all_have() -> None:
    columns = ("stat", "resource", "node", "key", "value", "effect")
    role = "node-role.kubernetes.io/control-plane"
    rows = {
        ("largest", "ephemeral_storage", "", "", "", ""): 5e9,
        ("most", "cpu", "", "", "", ""): 20.0,
        ("fewest", "cpu", "", "", "", ""): 20.0,
        ("open", "cpu", "", "", "", ""): 8.0,
        ("name", "", "a", "", "", ""): 1.0,
        ("taint", "", "c1", role, "", "NoSchedule"): 1.0,
        ("taint", "", "c1", "busy", "yes", "NoExecute"): 1.0,
        ("tainted", "cpu", "c1", "", "", ""): 4.0,
        ("tainted", "ephemeral_storage", "c1", "", "", ""): 1e9,
    }
    found = nodes.read_allocatable(Vector(columns, tuple(rows), list(rows.values())), PLAIN)
    assert (found.largest, found.all, found.open) == ({"ephemeral-storage": 5e9}, {"cpu": 20.0}, {"cpu": 8.0})
    assert found.names == {"a"}
    (node,) = found.tainted.values()
    assert node.taints == {f"{role}=:NoSchedule", "busy=yes:NoExecute"}
    assert node.allocatable == {"cpu": 4.0, "ephemeral-storage": 1e9}
    assert node.by_role


def test_nodes_of_kube_state_metrics_have_the_label_of_the_source_and_prices_that_of_opencost() -> None:
    scheme = LabelScheme({"node": "exported_node"})
    # In this order: `or` does not compare names, and a node without labels has its prices all the same.
    prices, labels = query(QueryScope(state=scheme), TimeRange(600), ["a", "b"]).split(" or max by ")
    assert 'exported_node=~"a|b"' in labels and "kube_node_labels" in labels and ",node=~" not in labels
    assert ',node=~"a|b"' in prices and "node_cpu_hourly_cost" in prices and "exported_node" not in prices
    columns = ("__name__", "exported_node", "node", "label_node_kubernetes_io_instance_type")
    rows = {("kube_node_labels", "a", "", "m5.large"): 1.0, ("node_cpu_hourly_cost", "", "a", ""): 0.04}
    found: dict[str, nodes.NodeFacts] = {}
    nodes.read_nodes(Vector(columns, tuple(rows), list(rows.values())), scheme, found)
    assert found == {"a": nodes.NodeFacts("m5.large", False, {"node_cpu_hourly_cost": 0.04})}
