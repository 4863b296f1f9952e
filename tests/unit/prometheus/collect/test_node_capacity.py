"""What nodes have allocatable: asked once an hour, kept while the source does not answer."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from concertmaster.core.changes.admission.capacity import UNKNOWN_NODES, Nodes
from concertmaster.prometheus.client.errors import SourceUnreachable
from concertmaster.prometheus.client.hourly import Hourly
from concertmaster.prometheus.client.vector import Vector
from concertmaster.prometheus.collect.node_capacity import NodeCapacity

NOW = 1_760_000_000.0


class Client:
    """A source with nodes of one size, between ``fewest`` and ``most`` of them in the last day."""

    source = SimpleNamespace(name="default", extra_matchers={})

    def __init__(self, fewest: int, most: int) -> None:
        self.fewest, self.most, self.asked, self.fails = fewest, most, 0, False
        self.hourly = Hourly()

    def instant(self, _text: str, _at: float, *, name: str) -> Vector:
        self.asked += 1
        if self.fails:
            raise SourceUnreachable("no route")
        rows = {"largest": 1, "most": self.most, "fewest": self.fewest}
        keys = [(stat, resource) for stat in rows for resource in ("cpu", "memory")]
        size = {"cpu": 4.0, "memory": 16e9}
        return Vector(("stat", "resource"), tuple(keys), [rows[stat] * size[resource] for stat, resource in keys])


def of(capacity: NodeCapacity, client: Any, now: float, *, answers: bool = True) -> Nodes:
    return capacity.of(client, now, answers=answers)


def test_the_largest_node_and_all_of_a_steady_cluster() -> None:
    found = of(NodeCapacity(), Client(10, 11), NOW)
    assert found == Nodes({"cpu": 4.0, "memory": 16e9}, {"cpu": 44.0, "memory": 176e9})


def test_a_cluster_that_scales_with_its_work_has_no_bound_in_all() -> None:
    assert of(NodeCapacity(), Client(3, 11), NOW) == Nodes({"cpu": 4.0, "memory": 16e9}, {})


def test_asked_once_an_hour_and_not_while_the_source_fails() -> None:
    capacity, client = NodeCapacity(), Client(10, 10)
    assert of(capacity, client, NOW, answers=False) == UNKNOWN_NODES
    first = of(capacity, client, NOW)
    assert of(capacity, client, NOW + 3599) == first
    assert client.asked == 1
    client.fails = True
    assert of(capacity, client, NOW + 3600) == first
    assert client.asked == 2
    assert of(capacity, client, NOW - 86400.0) == first  # a clock set back is no reason to forget
