"""How often all profiles are listed: a list of ten thousand costs the API server seconds."""

from __future__ import annotations

import pytest

from concertmaster.controller.health import Health
from concertmaster.controller.object_cache import ObjectCache
from concertmaster.controller.watches.watchdog import Watchdog
from concertmaster.kube.errors import Busy, NotFound
from concertmaster.kube.objects import CHANGES, CLUSTER_POLICIES, OWN_KINDS, PROFILES
from tests.support.controller.fakes import MemoryClient

ALL = PROFILES.path()


class Cluster(MemoryClient):
    """A server that says how many objects there are; three profiles and a policy that recommends, all of which the
    watches have brought."""

    def __init__(self) -> None:
        super().__init__()
        self.now, self.counts = 1000.0, True
        self.cache = ObjectCache(clock=lambda: self.now)
        self.dog = Watchdog(self, self.cache, OWN_KINDS, (), Health(stall_after=600), clock=lambda: self.now)
        self.profiles = [self.put(PROFILES, "data", name) for name in "abc"]
        self.policy = self.put(CLUSTER_POLICIES, None, "all", spec={"apply": {"mode": "Recommend"}})
        for obj in self.profiles:
            self.cache.observe(PROFILES, "ADDED", obj)
        self.cache.observe(CLUSTER_POLICIES, "ADDED", self.policy)

    def count(self, path: str) -> int | None:
        if path in self.lists:
            raise self.lists[path]
        return sum(f"/{PROFILES.plural}/" in key for key in self.objects) if self.counts else None

    def lists_profiles(self) -> bool:
        """Whether a check a minute later lists them."""
        self.now += 60.0
        self.calls.clear()
        self.dog.check()
        return ("LIST", ALL) in [(method, path) for method, path, _ in self.calls]


@pytest.fixture
def cluster() -> Cluster:
    """The cluster after the first check."""
    made = Cluster()
    assert made.lists_profiles()
    return made


def test_all_profiles_are_listed_every_five_minutes(cluster: Cluster) -> None:
    assert [cluster.lists_profiles() for _ in range(10)] == [False, False, False, False, True] * 2


def test_all_other_kinds_are_listed_in_every_check(cluster: Cluster) -> None:
    cluster.lists_profiles()
    assert {path for method, path, _ in cluster.calls if method == "LIST"} == {k.path() for k in OWN_KINDS} - {ALL}


def test_a_deletion_and_a_creation_that_the_watch_missed_are_found_at_once(cluster: Cluster) -> None:
    del cluster.objects[PROFILES.path("data", "a")]
    assert cluster.lists_profiles()
    assert [e.name for e in cluster.cache.snapshot().profiles] == ["b", "c"]
    assert not cluster.lists_profiles()
    cluster.put(PROFILES, "data", "d")
    assert cluster.lists_profiles()
    assert not cluster.dog.check().complete
    assert cluster.lists_profiles(), "until the watch has brought it"


def test_where_anything_may_be_changed_all_are_listed_in_every_check(cluster: Cluster) -> None:
    for mode in ("Auto", "Approve"):
        cluster.policy["spec"] = {"apply": {"mode": mode}}
        cluster.cache.observe(CLUSTER_POLICIES, "MODIFIED", cluster.policy)
        assert [cluster.lists_profiles() for _ in range(3)] == [True] * 3
    cluster.policy["spec"] = {}
    cluster.cache.observe(CLUSTER_POLICIES, "MODIFIED", cluster.policy)
    assert not cluster.lists_profiles()
    cluster.cache.observe(CHANGES, "ADDED", cluster.put(CHANGES, "data", "change"))
    assert cluster.lists_profiles()


def test_while_the_watch_lacks_a_listed_spec_all_are_listed(cluster: Cluster) -> None:
    cluster.profiles[0]["metadata"] |= {"generation": 2, "resourceVersion": "999"}
    assert [cluster.lists_profiles() for _ in range(4)] == [False] * 4
    assert cluster.lists_profiles()
    assert cluster.dog.check().behind
    assert cluster.lists_profiles()
    cluster.cache.observe(PROFILES, "MODIFIED", cluster.profiles[0])
    assert cluster.lists_profiles()
    assert not cluster.lists_profiles()


def test_a_server_that_counts_nothing_is_asked_for_the_list(cluster: Cluster) -> None:
    cluster.counts = False
    assert cluster.lists_profiles()


@pytest.mark.parametrize("error", [NotFound("no such kind", status=404), Busy("try again", status=503)])
def test_a_count_that_fails_is_reported_by_the_list(cluster: Cluster, error: Exception) -> None:
    cluster.lists[ALL] = error
    assert cluster.lists_profiles()
    assert cluster.dog.check().problems
    del cluster.lists[ALL]
    assert cluster.lists_profiles()
