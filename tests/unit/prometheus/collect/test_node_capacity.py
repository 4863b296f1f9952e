"""What nodes have allocatable, asked once an hour, and what services leave of it, asked for moments of the week; both are
kept while the source does not answer."""

from __future__ import annotations

import re
from typing import Any

import pytest

from concertmaster.core.changes.admission.nodes import UNKNOWN_NODES, Nodes
from concertmaster.core.changes.admission.service_pods import SAMPLE_EVERY
from concertmaster.prometheus.client.errors import SourceUnreachable
from concertmaster.prometheus.client.hourly_queries import HourlyQueries
from concertmaster.prometheus.client.vector import Vector
from concertmaster.prometheus.collect.node_capacity import NodeCapacity
from concertmaster.settings import MetricsSource
from concertmaster.settings.source import LabelNames

NOW = 1_760_000_000.0


class Client:
    """A source with nodes of one size, between ``fewest`` and ``most`` of them in the last day, and at each moment the
    ``services`` of these nodes, in cores."""

    source = MetricsSource.model_validate(
        {"name": "default", "url": "http://a", "delaySeconds": 30, "ownerKinds": ["Job"]}
    )

    def __init__(self, fewest: int, most: int) -> None:
        self.fewest, self.most, self.asked, self.fails = fewest, most, 0, False
        self.services: list[float] = []
        self.moments: list[float] = []
        self.quota_moments: list[float] = []
        self.in_quotas: dict[tuple[str, str, str], float] = {}
        self.hourly = HourlyQueries()
        self.moved, self.kept = Vector(), Vector()  # series whose labels a scrape moved, and others
        self.texts: dict[str, str] = {}

    def instant(self, text: str, at: float, *, name: str) -> Vector:
        if self.fails:
            raise SourceUnreachable("no route")
        self.texts[name] = text
        if name == "moved labels":
            return self.moved
        if name == "kept labels":
            return self.kept
        if name == "services":
            self.moments.append(at)
            return self.of_services()
        if name == "quota services":
            self.quota_moments.append(at)
            keys = tuple((stat, space, resource) for stat, space, resource in self.in_quotas)
            return Vector(("stat", "namespace", "resource"), keys, list(self.in_quotas.values()))
        self.asked += 1
        rows = {"largest": 1, "most": self.most, "fewest": self.fewest}
        keys = [(stat, resource) for stat in rows for resource in ("cpu", "memory")]
        size = {"cpu": 4.0, "memory": 16e9}
        return Vector(("stat", "resource"), tuple(keys), [rows[stat] * size[resource] for stat, resource in keys])

    def of_services(self) -> Vector:
        """The nodes with what services request on them, in cores; a node of kube-state-metrics alone has none."""
        rows: dict[tuple[str, str, str], float] = {}
        for place, cores in enumerate(self.services):
            node = f"n{place}"
            rows["allocatable", node, "cpu"], rows["held", node, "cpu"], rows["pods", node, ""] = 4.0, cores, 3.0
        return Vector(("stat", "node", "resource"), tuple(rows), list(rows.values()))


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
    client.fails = False
    assert of(capacity, client, NOW + 7199) == first
    assert client.asked == 1  # the one that failed is not asked again within the hour
    assert of(capacity, client, NOW - 86400.0) == first  # a clock set back is no reason to forget


MOVED = Vector(("stat", "exported_namespace", "exported_node"), (("placed", "etl", "n1"),), [1.0])


@pytest.mark.parametrize(
    ("configured", "moved", "label"),
    [({}, MOVED, "exported_node"), ({"node": "kubernetes_node"}, Vector(), "kubernetes_node"), ({}, Vector(), "node")],
    ids=["moved", "configured", "as exported"],
)
def test_nodes_have_the_label_of_the_source(configured: dict[str, str], moved: Vector, label: str) -> None:
    """By another one, that of kube-state-metrics' own node, the largest node would be all there are."""
    client = Client(10, 10)
    client.source = client.source.model_copy(update={"labels": LabelNames(state_metrics=configured)})
    client.moved, client.services = moved, [1.0, 2.0]
    of(NodeCapacity(), client, NOW)
    assert f"max by ({label}, resource)" in client.texts["nodes"]
    assert f"sum by ({label}, resource)" in client.texts["services"]
    others = {"node", "exported_node", "kubernetes_node"} - {label}
    assert not others & set(re.findall(r"\w+", client.texts["nodes"] + client.texts["services"]))


def test_a_second_kube_state_metrics_whose_labels_are_moved_does_not_hide_the_nodes_of_the_first() -> None:
    """That of a virtual cluster, say: by its label, all nodes of the cluster would be one."""
    client = Client(10, 10)
    client.moved, client.kept = MOVED, Vector(("namespace", "node"), (("demo", "n1"),), [1.0])
    of(NodeCapacity(), client, NOW)
    assert "max by (node, resource)" in client.texts["nodes"]
    assert re.search(r'exported_namespace=""', client.texts["kept labels"])


def services(capacity: NodeCapacity, client: Client, now: float) -> list[float]:
    """Cores that services are known to request on all nodes, at each moment."""
    known = of(capacity, client, now).services
    return known.held("cpu") if known is not None else []


def test_services_are_asked_for_at_moments_of_the_week_the_newest_first_one_a_cycle() -> None:
    capacity, client, newest = NodeCapacity(), Client(2, 2), NOW // SAMPLE_EVERY * SAMPLE_EVERY
    begin = newest + 60.0
    client.services = [1.0, 2.0]
    assert services(capacity, client, begin) == [3.0]
    client.services = [1.0, 1.0]
    assert services(capacity, client, begin + 60) == [2.0, 3.0]
    assert client.moments == [newest, newest - SAMPLE_EVERY]
    for cycle in range(2, 100):
        services(capacity, client, begin + 60 * cycle)
    assert len(client.moments) == len(set(client.moments)) == 8 + 10  # of the last day, and one each ten minutes
    for cycle in range(10, 60):
        services(capacity, client, begin + 600 * cycle)
    services(capacity, client, begin + 4 * SAMPLE_EVERY)
    assert client.moments[-1] == newest + 4 * SAMPLE_EVERY
    for cycle in range(200):
        known = of(capacity, client, begin + 4 * SAMPLE_EVERY + 600 * cycle).services
    assert known is not None
    assert len(known.moments) == 56  # the oldest gave way
    assert len(client.moments) == len(set(client.moments))


def test_services_that_are_not_known_are_unknown_and_not_none() -> None:
    capacity, client = NodeCapacity(), Client(2, 2)
    assert of(capacity, client, NOW).services is None  # no series tells of nodes and their pods
    client.services = [0.0, 0.0]
    assert services(capacity, client, NOW + 60) == []  # not asked again at once
    assert services(capacity, client, NOW + 3601) == [0.0]  # pods that request nothing


def test_services_stay_known_for_a_day_without_answers() -> None:
    capacity, client = NodeCapacity(), Client(2, 2)
    client.services = [1.0, 2.0]
    services(capacity, client, NOW)
    client.fails = True
    assert services(capacity, client, NOW + 20 * 3600.0) == [3.0]
    assert services(capacity, client, NOW + 25 * 3600.0) == []


def test_a_moment_at_which_a_part_of_the_nodes_was_not_known_does_not_count() -> None:
    capacity, client = NodeCapacity(), Client(20, 20)
    client.services = [1.0] * 20
    services(capacity, client, NOW)
    client.services = [1.0] * 12
    assert services(capacity, client, NOW + 60) == [20.0]


@pytest.mark.parametrize("before", [30, 10])
def test_moments_from_before_nodes_were_added_or_taken_away_do_not_count(before: int) -> None:
    capacity, client = NodeCapacity(), Client(20, 20)
    begin = NOW // SAMPLE_EVERY * SAMPLE_EVERY + 60.0
    client.services = [1.0] * before
    services(capacity, client, begin - 2 * SAMPLE_EVERY)
    client.services = [2.0] * 20
    services(capacity, client, begin)
    client.services = [2.0] * 19
    assert set(services(capacity, client, begin + 9 * SAMPLE_EVERY)) == {38.0, 40.0}
    client.services = [3.0] * 20
    assert services(capacity, client, begin + 10 * SAMPLE_EVERY)[-1] == 60.0


def test_services_stay_known_when_the_cluster_is_made_smaller() -> None:
    """They were unknown for a week after it: each moment since had fewer nodes than those before."""
    capacity, client = NodeCapacity(), Client(20, 20)
    client.services = [1.0] * 20
    for moment in range(8):
        services(capacity, client, NOW + moment * SAMPLE_EVERY)
    client.services = [1.0] * 12
    for moment in range(8, 24):
        known = services(capacity, client, NOW + moment * SAMPLE_EVERY)
    assert known
    assert set(known) == {12.0}  # what more nodes left says nothing of these


@pytest.mark.parametrize("known", [True, False])
def test_services_are_not_asked_for_where_the_nodes_scale(known: bool) -> None:
    client = Client(10, 10) if known else Client(3, 11)
    of(NodeCapacity(), client, NOW)
    assert bool(client.moments) is known


def taken(capacity: NodeCapacity, client: Any, now: float, *, answers: bool = True) -> dict[str, dict[str, float]]:
    """What services usually take of quotas, by namespace."""
    return {space: held.usually() for space, held in capacity.in_quotas(client, now, answers=answers).items()}


def test_what_services_take_of_quotas_is_asked_for_on_any_cluster() -> None:
    capacity, client = NodeCapacity(), Client(3, 11)  # the nodes scale
    client.in_quotas = {
        ("quotas", "web", ""): 1.0,
        ("requests", "web", "cpu"): 4.0,
        ("limits", "web", "memory"): 8e9,
        ("pods", "web", ""): 7.0,
        ("quotas", "etl", ""): 1.0,
    }
    assert taken(capacity, client, NOW) == {"web": {"cpu": 4.0, "limits.memory": 8e9, "pods": 7.0}, "etl": {}}
    client.in_quotas = {("quotas", "web", ""): 1.0, ("requests", "web", "cpu"): 6.0}
    assert taken(capacity, client, NOW + 60)["web"]["cpu"] == 5.0
    assert client.quota_moments == [NOW // SAMPLE_EVERY * SAMPLE_EVERY, (NOW // SAMPLE_EVERY - 1) * SAMPLE_EVERY]
    client.fails = True
    assert taken(capacity, client, NOW + 20 * 3600.0)["etl"] == {}
    assert taken(capacity, client, NOW + 25 * 3600.0) == {}


def test_without_series_of_quotas_what_services_take_is_unknown_and_asked_once_an_hour() -> None:
    capacity, client = NodeCapacity(), Client(2, 2)
    for cycle in range(5):
        assert taken(capacity, client, NOW + 600.0 * cycle) == {}
    assert len(client.quota_moments) == 1
    assert taken(capacity, client, NOW + 3601, answers=False) == {}
