"""What pods outside workflows leave of each node, read from the answer of the metrics source."""

from __future__ import annotations

import pytest

from concertmaster.prometheus.client.vector import Vector
from concertmaster.prometheus.facts.services import read_services
from concertmaster.prometheus.queries.scope import PLAIN, LabelScheme

Rows = dict[tuple[str, str, str], float]
NODES: Rows = {("allocatable", node, kind): size for node in "ab" for kind, size in (("cpu", 8.0), ("pods", 110.0))}


def read(rows: Rows, node: str = "node") -> dict[str, list[float]] | None:
    """What is left by resource on nodes a and b."""
    answer = Vector(("stat", node, "resource"), tuple(rows), list(rows.values()))
    found = read_services(answer, 5.0, LabelScheme({"node": node}) if node != "node" else PLAIN)
    return {name: left.tolist() for name, left in found.left.items()} if found is not None else None


def test_requests_and_places_are_taken_off_each_node() -> None:
    rows = NODES | {("held", "a", "cpu"): 5.5, ("pods", "a", ""): 10.0, ("pods", "b", ""): 2.0}
    assert read(rows) == {"cpu": [2.5, 8.0], "pods": [100.0, 108.0]}  # what runs on b requests nothing
    assert read(rows, "kubernetes_node") == read(rows)


def test_pods_on_a_node_that_is_gone_take_nothing_off_the_others() -> None:
    rows = NODES | {("pods", node, ""): 1.0 for node in "abc"} | {("held", "c", "cpu"): 8.0}
    assert read(rows) == {"cpu": [8.0, 8.0], "pods": [109.0, 109.0]}


PLACES: Rows = {("pods", "a", ""): 3.0}
HELD: Rows = {("held", "a", "cpu"): 1.0}


@pytest.mark.parametrize("rows", [{}, NODES, PLACES | HELD, NODES | HELD, NODES | PLACES])
def test_a_source_that_lacks_nodes_pods_of_services_or_requests_tells_nothing(rows: Rows) -> None:
    assert read(rows) is None


@pytest.mark.parametrize(("nodes", "whole"), [("ab", True), ("a", False)])
def test_pods_on_some_of_the_nodes_only_are_not_all_there_are(nodes: str, whole: bool) -> None:
    rows = NODES | {("held", "a", "cpu"): 1.0} | {("pods", node, ""): 1.0 for node in nodes}
    found = read_services(Vector(("stat", "node", "resource"), tuple(rows), list(rows.values())), 5.0, PLAIN)
    assert found is not None
    assert found.whole is whole
    assert found.held == {"cpu": 1.0, "pods": float(len(nodes))}


def test_less_than_nothing_is_none() -> None:
    """Whoever may write series could otherwise take the nodes of all away."""
    rows = NODES | {("held", "a", "cpu"): -4.0, ("pods", "a", ""): 1.0, ("allocatable", "b", "cpu"): -1e9}
    assert read(rows) == {"cpu": [8.0, 0.0], "pods": [109.0, 110.0]}
