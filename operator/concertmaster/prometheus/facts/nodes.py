"""What a node costs: its type and capacity, by labels that kube-state-metrics exports, and its prices by OpenCost; and what
nodes have allocatable. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from concertmaster.core.changes.admission.nodes import Nodes, TaintedNode
from concertmaster.core.model import PodFact
from concertmaster.prometheus.client.vector import Vector
from concertmaster.prometheus.queries.extended import INSTANCE_TYPES, NODE_PRICES, SPOT, node_label
from concertmaster.prometheus.queries.scope import LabelScheme

_FIXED_SIZE_SHARE = 0.9  # of the most nodes at a time: with fewer at another hour, the cluster scales with its work


@dataclass(slots=True)
class NodeFacts:
    """``spot``: whether it may be taken away; None: no label is known. ``prices``: of an hour, by series."""

    instance_type: str | None = None
    spot: bool | None = None
    prices: dict[str, float] = field(default_factory=dict)


def read_nodes(vector: Vector, scheme: LabelScheme, nodes: dict[str, NodeFacts]) -> None:
    """Add what an answer of the ``nodes`` query says of each node."""
    types, spots = [node_label(key) for key in INSTANCE_TYPES], {node_label(k): value for k, value in SPOT.items()}
    names = ("__name__", "series", scheme.name("node"), "node", *types, *spots)
    for (name, series, node, priced, *labels), value in vector.select(*names):
        known = nodes.setdefault(node or priced, NodeFacts())
        metric = name or series
        if metric in NODE_PRICES:
            known.prices[metric] = value
            continue
        kinds, capacity = labels[: len(types)], labels[len(types) :]
        known.instance_type = known.instance_type or next((kind for kind in kinds if kind), None)
        if any(labels):
            spot = any(text == needed for text, needed in zip(capacity, spots.values(), strict=True))
            known.spot = bool(known.spot) or spot


def with_nodes(facts: Iterable[PodFact], nodes: Mapping[str, NodeFacts]) -> tuple[PodFact, ...]:
    """Facts with type, capacity and prices of the node each pod ran on."""
    return tuple(
        replace(fact, instance_type=node.instance_type, spot=node.spot, node_prices=_prices(node))
        if (node := nodes.get(fact.node or "")) is not None
        else fact
        for fact in facts
    )


def read_allocatable(vector: Vector, scheme: LabelScheme) -> Nodes:
    """What the largest node has allocatable, and what all have together where their number is steady; the nodes with
    taints."""
    known: dict[str, dict[str, float]] = {}
    tainted: dict[str, dict[str, float]] = {}
    taints: dict[str, set[str]] = {}
    names: set[str] = set()
    columns = ("stat", *scheme.columns("resource", "node"), "key", "value", "effect")
    for (stat, resource, node, *taint), value in vector.select(*columns):
        if stat == "name":
            names.add(node)
            continue
        if stat == "taint":
            taints.setdefault(node, set()).add("{}={}:{}".format(*taint))
            continue
        amounts = tainted.setdefault(node, {}) if stat == "tainted" else known.setdefault(stat, {})
        amounts[resource.replace("_", "-")] = value  # as Kubernetes has it: ephemeral-storage
    fewest, most = known.get("fewest", {}), known.get("most", {})
    steady = bool(most) and all(
        fewest.get(resource, 0.0) >= _FIXED_SIZE_SHARE * value for resource, value in most.items()
    )
    return Nodes(
        known.get("largest", {}),
        most if steady else {},
        tainted={node: TaintedNode(frozenset(found), tainted.get(node, {})) for node, found in taints.items()},
        open=known.get("open", {}),
        names=frozenset(names),
    )


def _prices(node: NodeFacts) -> tuple[float, ...] | None:
    """Prices of a core, a GiB and a GPU; a node without GPUs has none of the last."""
    cpu, memory, gpu = (node.prices.get(name) for name in NODE_PRICES)
    return None if cpu is None or memory is None else (cpu, memory, gpu or 0.0)
