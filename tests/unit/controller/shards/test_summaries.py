"""One status of a cluster policy out of what all shards know: the sums of one process, or none yet."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any, cast

import pytest

from concertmaster.controller.discovery.policies import PolicyView
from concertmaster.controller.object_cache import CachedObject
from concertmaster.controller.policies.status import policy_status
from concertmaster.controller.policies.summary import PolicySummary, merged, summarized
from concertmaster.controller.shards.assignment import CLUSTER, owner
from concertmaster.controller.shards.ownership import Members, Ownership
from concertmaster.controller.shards.shard import Shard
from concertmaster.controller.shards.summaries import Summaries
from concertmaster.core.fleet.ranking import Headline
from concertmaster.core.model import Impact, Interval
from concertmaster.kube.access import AccessChecker
from concertmaster.kube.client import KubeClient
from concertmaster.kube.errors import NotFound, Unreachable
from concertmaster.kube.objects import CLUSTER_POLICIES, POLICIES, ObjectRef
from tests.support.controller.harness import Bed

SHARDS = ["cm-0", "cm-1", "cm-2"]
SPACES = [f"team-{n}" for n in range(9)]


class ConfigMaps(KubeClient):
    """The part of an API server that keeps ConfigMaps."""

    def __init__(self) -> None:
        self.kept: dict[str, dict[str, Any]] = {}
        self.writes = 0
        self.cut = False

    def get(self, path: str, query: Any = None) -> dict[str, Any]:
        return copy.deepcopy(self._known(path))

    def create(self, path: str, body: Any) -> dict[str, Any]:
        self.writes += 1
        return self.kept.setdefault(f"{path}/{body['metadata']['name']}", dict(body))

    def patch(self, path: str, body: Any, *, kind: str = "merge") -> dict[str, Any]:
        known = self._known(path)
        self.writes += 1
        known["data"].update(body["data"])
        return known

    def _known(self, path: str) -> dict[str, Any]:
        if self.cut:
            raise Unreachable("cut off")
        if path not in self.kept:
            raise NotFound(path, status=404)
        return self.kept[path]


def view(name: str, namespace: str | None = None) -> PolicyView:
    ref = ObjectRef(CLUSTER_POLICIES if namespace is None else POLICIES, namespace, name, f"uid-{name}")
    return PolicyView(CachedObject(ref, 1, "1", 0.0, {}, "{}"), None, "not parsed")


def facts(*spaces: str) -> PolicySummary:
    """What is known of these namespaces."""
    found = [
        Headline(
            space, "etl", "CronJob/etl", f"memory-request.{n}", "Lower it",
            Impact(run_minutes=Interval(1.0, 10.0 * n + len(space), 90.0), money=Interval(0.5, 1.0, 2.0)),
            "Low", "Low", "Medium", 0.9, "USD",
        )
        for space in spaces
        for n in range(3)
    ]  # fmt: skip
    return PolicySummary(
        matched=len(spaces),
        discovered=len(spaces),
        overridden={"OptimizationPolicy/other": 1},
        changes_in_flight=len(spaces),
        blocked={"cooldown": len(spaces)},
        targets=frozenset(("batch/v1", "CronJob", space) for space in spaces),
        headlines=found,
        minor=2 * len(spaces),
    )


def status(of: PolicyView, known: PolicySummary) -> dict[str, Any]:
    return policy_status(of, known, sources=[], reports={}, access=cast(AccessChecker, None), now=0.0)


def shard(name: str, alive: list[str], server: ConfigMaps) -> Shard:
    class Fixed(Members):
        def alive(self) -> frozenset[str]:
            return frozenset(alive)

    members = Fixed(server, "ops", "cm", lasts=18)
    ownership = Ownership(name, members, lambda: True, fresh=12.0)
    ownership.refresh()
    ownership.begin()
    return Shard(ownership, Summaries(server, "ops", name))


def mine(name: str, alive: list[str]) -> list[str]:
    return [s for s in SPACES if owner(s, alive) == name]


def test_the_parts_of_all_shards_say_what_one_process_would() -> None:
    whole, cluster = facts(*SPACES), view("all")
    parts = [summarized(cluster, facts(*mine(name, SHARDS))) for name in SHARDS]
    together = merged(parts)
    assert status(cluster, together) == status(cluster, whole)
    assert (together.blocked, together.targets) == (whole.blocked, whole.targets)
    assert together.overridden == {"OptimizationPolicy/other": 3}, (
        "each shard sees a policy lose against others in its own namespaces"
    )


def test_one_shard_writes_and_only_once_it_has_all_parts() -> None:
    server, cluster, own = ConfigMaps(), view("all"), view("team", "team-0")
    writer = owner(CLUSTER, SHARDS) or ""
    problems: list[str] = []

    def turn(name: str, alive: list[str] = SHARDS) -> list[tuple[PolicyView, PolicySummary]]:
        one = shard(name, alive, server)
        return one.policies([(own, facts("team-0")), (cluster, facts(*mine(name, alive)))], problems.append)

    others = [s for s in SHARDS if s != writer]
    assert [v for v, _ in turn(writer)] == [own], "the others have not told yet"
    assert [v for v, _ in turn(others[0])] == [own], "it is not its to write"
    assert [v for v, _ in turn(writer)] == [own]
    turn(others[1])
    known = turn(writer)
    assert [v for v, _ in known] == [own, cluster]
    assert status(cluster, known[1][1])["matchedProfiles"] == len(SPACES)

    left = [s for s in SHARDS if s != others[1]]
    assert owner(CLUSTER, left) == writer
    assert [v for v, _ in turn(writer, left)] == [own], "the part of the one left is of three"
    turn(others[0], left)
    assert status(cluster, turn(writer, left)[1][1])["matchedProfiles"] == len(SPACES)
    assert problems == []


def test_a_part_is_written_where_it_changed_and_its_arrival_is_noticed() -> None:
    server = ConfigMaps()
    waiting, other = (Summaries(server, "ops", name) for name in ("cm-0", "cm-1"))
    assert not waiting.arrived(), "nobody waits"
    assert waiting.others(["cm-0", "cm-1"]) is None
    assert not waiting.arrived()
    known = {"all": summarized(view("all"), facts("team-0"))}
    for _ in range(3):
        other.publish(["cm-1", "cm-0"], known)
    assert server.writes == 1
    assert waiting.arrived()
    (found,) = waiting.others(["cm-0", "cm-1"]) or ()
    assert {name: replace(f, headlines=tuple(f.headlines)) for name, f in found.items()} == known
    other.publish(["cm-0", "cm-1"], {})
    assert server.writes == 2
    server.kept["/api/v1/namespaces/ops/configmaps/cm-1-summary"]["data"]["summary.json"] = "{"
    assert waiting.others(["cm-0", "cm-1"]) is None, "of another version"


@pytest.mark.parametrize("how", ["deleted", "emptied", "overwritten"])
def test_a_part_that_somebody_deleted_or_changed_is_written_again(how: str) -> None:
    """Else the cluster's policies would have no new status until something changes in that shard's namespaces."""
    server = ConfigMaps()
    waiting, other = (Summaries(server, "ops", name) for name in ("cm-0", "cm-1"))
    known = {"all": summarized(view("all"), facts("team-0"))}
    other.publish(["cm-0", "cm-1"], known)
    path = "/api/v1/namespaces/ops/configmaps/cm-1-summary"
    if how == "deleted":
        del server.kept[path]
    else:
        server.kept[path]["data"] = {} if how == "emptied" else {"summary.json": "{}"}
    assert waiting.others(["cm-0", "cm-1"]) is None
    other.publish(["cm-0", "cm-1"], known)
    assert waiting.others(["cm-0", "cm-1"]) is not None
    other.publish(["cm-0", "cm-1"], known)
    assert server.writes == 2


def test_what_cannot_be_known_is_said_and_stops_nothing_else() -> None:
    server, own = ConfigMaps(), view("team", "team-0")
    one = shard("cm-0", SHARDS, server)
    server.cut = True
    problems: list[str] = []
    assert [v for v, _ in one.policies([(own, facts("team-0"))], problems.append)] == [own]
    assert problems == ["the ConfigMap with this shard's part of cluster policies could not be written: cut off"]


def test_one_shard_counts_the_policies_of_the_cluster() -> None:
    """Sums over all shards are those of one process."""
    counted = 0.0
    for name in SHARDS:
        bed = Bed()
        bed.client.put(CLUSTER_POLICIES, None, "all", spec={})
        bed.assemble(shard=shard(name, SHARDS, ConfigMaps()))
        bed.run()
        series = bed.telemetry.policies
        counted += sum(series.labels(state)._value.get() for state in ("True", "False", "Unknown"))
    assert counted == 1.0
