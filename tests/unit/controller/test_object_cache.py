"""The cache takes in events, hands out snapshots and is checked against lists."""

from __future__ import annotations

from typing import Any

import pytest

from concertmaster.controller.object_cache import ObjectCache
from concertmaster.controller.status_view import StatusView
from concertmaster.core.times import parse_time
from concertmaster.kube.objects import CLUSTER_POLICIES, POLICIES, PROFILES
from tests.support.clock import Clock


def obj(name: str = "etl", version: str = "5", **parts: Any) -> dict[str, Any]:
    meta = {
        "name": name,
        "namespace": "demo",
        "uid": f"uid-{name}",
        "resourceVersion": version,
        "generation": 1,
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "labels": {"team": "data"},
        **parts.pop("metadata", {}),
    }
    return {"metadata": meta, "spec": {"graph": {"steps": []}}, **parts}


@pytest.fixture
def clock() -> Clock:
    return Clock(100.0)


@pytest.fixture
def cache(clock: Clock) -> ObjectCache:
    return ObjectCache(clock=clock)


def test_what_an_event_means(cache: ObjectCache) -> None:
    assert cache.observe(PROFILES, None, obj())
    assert not cache.observe(PROFILES, "MODIFIED", obj(version="6"))
    status = {"conditions": [{"type": "Ready", "status": "True"}]}
    assert not cache.observe(PROFILES, "MODIFIED", obj(version="7", status=status))
    assert cache.observe(PROFILES, "MODIFIED", obj(version="8", spec={}, status=status))
    relabelled = obj(version="9", spec={}, status=status, metadata={"labels": {"team": "web"}})
    assert cache.observe(PROFILES, "MODIFIED", relabelled)
    assert cache.observe(PROFILES, "DELETED", obj(version="10"))
    assert not cache.observe(PROFILES, "DELETED", obj(version="10"))
    assert cache.snapshot().profiles == ()


def test_a_status_that_comes_back_is_the_one_that_was_written(cache: ObjectCache) -> None:
    """Nothing of it is kept twice; one that differs by a time alone is another."""
    status = {"dataUntil": "2026-01-02T00:00:00Z", "conditions": [{"type": "Ready", "status": "True"}]}
    cache.observe(PROFILES, None, obj())
    written = cache.wrote(cache.snapshot().profiles[0].ref, status)
    cache.observe(PROFILES, "MODIFIED", obj(version="6", status=status))
    assert cache.snapshot().profiles[0].status is written
    later = status | {"dataUntil": "2026-01-03T00:00:00Z"}
    cache.observe(PROFILES, "MODIFIED", obj(version="7", status=later))
    assert cache.snapshot().profiles[0].status.data_until == parse_time("2026-01-03T00:00:00Z")
    cache.observe(PROFILES, "MODIFIED", obj(version="8"))
    assert cache.snapshot().profiles[0].status == StatusView.of(None)


def test_an_object_whose_status_cannot_be_read_is_there_all_the_same(cache: ObjectCache) -> None:
    """One that the list has and the cache lacks stops the decisions of all namespaces."""
    broken = obj(status={"recommendations": 7})
    assert cache.observe(PROFILES, None, broken)
    assert cache.compare(PROFILES, [broken], 200.0).missing == 0
    assert cache.snapshot().profiles[0].status == StatusView()
    cache.observe(PROFILES, "MODIFIED", obj(version="6", status={"dataUntil": "2026-01-02T00:00:00Z"}))
    assert cache.snapshot().profiles[0].status.data_until == parse_time("2026-01-02T00:00:00Z")


def test_an_object_being_deleted_is_gone(cache: ObjectCache) -> None:
    cache.observe(PROFILES, None, obj())
    dying = obj(version="6", metadata={"deletionTimestamp": "2026-01-02T00:00:00Z"})
    assert cache.observe(PROFILES, "MODIFIED", dying)
    assert cache.snapshot().profiles == ()


def test_a_copy_is_compact_and_whole(cache: ObjectCache) -> None:
    status = {
        "advice": ["x" * 400] * 10,
        "dataUntil": "2026-01-02T00:00:00Z",
        "recommendations": [{"id": "memory-request.a", "action": "y" * 160}],
        "conditions": [{"type": "Ready", "status": "True"}],
    }
    cache.observe(PROFILES, None, obj(status=status))
    entry = cache.snapshot().profiles[0]
    assert entry.spec == {"graph": {"steps": []}}
    assert entry.status.recommendations == ("memory-request.a",)
    assert entry.status.data_until == parse_time("2026-01-02T00:00:00Z")
    assert "x" * 400 not in repr(entry)
    assert entry.created == 1767225600.0


def test_kinds_are_kept_apart_and_ordered(cache: ObjectCache) -> None:
    for name in ("b", "a"):
        cache.observe(PROFILES, None, obj(name))
        cache.observe(POLICIES, None, obj(f"policy-{name}"))
    cache.observe(CLUSTER_POLICIES, None, obj("all", metadata={"namespace": None}))
    shot = cache.snapshot()
    assert [e.name for e in shot.profiles] == ["a", "b"]
    assert [e.name for e in shot.policies] == ["policy-a", "policy-b"]
    assert [e.namespace for e in shot.cluster_policies] == [""]


def test_a_written_status_is_known_before_its_event(cache: ObjectCache) -> None:
    cache.observe(PROFILES, None, obj())
    cache.wrote(cache.snapshot().profiles[0].ref, {"advice": ["a"]})
    written = cache.snapshot().profiles[0].status
    assert written.digest is not None
    assert not cache.observe(PROFILES, "MODIFIED", obj(version="6", status={"advice": ["a"]}))
    assert cache.snapshot().profiles[0].status is written


def test_a_status_whose_event_came_first_is_worked_out_once(
    cache: ObjectCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer to a batch of writes is processed after the watch has brought most of them."""
    cache.observe(PROFILES, None, obj())
    status = {"recommendations": [{"id": "right-size", "action": "Right-size CPU request of search"}]}
    cache.observe(PROFILES, "MODIFIED", obj(version="6", status=status))
    entry, made = cache.snapshot().profiles[0], []
    monkeypatch.setattr(StatusView, "of", classmethod(lambda cls, *given: made.append(given)))
    assert cache.wrote(entry.ref, status) is entry.status
    assert made == []


def test_an_event_from_before_a_write_does_not_undo_it(cache: ObjectCache, clock: Clock) -> None:
    """On a busy machine it comes after the write. The rest of it counts."""
    cache.observe(PROFILES, None, obj())
    status = {"recommendations": [{"id": "right-size", "action": "Right-size CPU request of search"}]}
    cache.wrote(cache.snapshot().profiles[0].ref, status, "8")
    assert not cache.observe(PROFILES, "MODIFIED", obj(version="7", status={"minor": 1}))
    assert cache.observe(PROFILES, "MODIFIED", obj(version="7", spec={}))
    entry = cache.snapshot().profiles[0]
    assert (entry.spec, entry.status.recommendations) == ({}, ("right-size",))
    cache.observe(PROFILES, "MODIFIED", obj(version="9", status={"minor": 1}))
    assert cache.snapshot().profiles[0].status.recommendations == ()


def test_an_answer_does_not_undo_what_somebody_wrote_since(cache: ObjectCache) -> None:
    """The answers to a batch are processed after all its writes."""
    cache.observe(PROFILES, None, obj())
    cache.observe(PROFILES, "MODIFIED", obj(version="8", status={"minor": 1}))
    cache.observe(PROFILES, "MODIFIED", obj(version="9", status={"minor": 2}))
    assert cache.wrote(cache.snapshot().profiles[0].ref, {"minor": 1}, "8").minor == 2
    assert cache.snapshot().profiles[0].status.minor == 2


def test_versions_may_begin_anew(cache: ObjectCache, clock: Clock) -> None:
    """As after etcd was restored: what the server holds counts."""
    cache.observe(PROFILES, None, obj(version="700"))
    cache.wrote(cache.snapshot().profiles[0].ref, {"minor": 1}, "701")
    clock.now += 90.0
    cache.observe(PROFILES, "MODIFIED", obj(version="12", status={"minor": 2}))
    assert cache.snapshot().profiles[0].status.minor == 2


def test_a_missed_deletion_is_found(cache: ObjectCache, clock: Clock) -> None:
    cache.observe(PROFILES, None, obj("old"))
    clock.now = 200.0
    begun = clock.now
    cache.observe(PROFILES, "ADDED", obj("new"))  # arrives while the list is being read
    cache.compare(PROFILES, [], begun)
    assert [e.name for e in cache.snapshot().profiles] == ["new"]


def test_lag_is_measured_from_when_it_was_noticed(cache: ObjectCache, clock: Clock) -> None:
    cache.observe(PROFILES, None, obj(version="5"))
    assert cache.compare(PROFILES, [obj(version="5")], 0.0).oldest_lag == 0.0
    listed = [obj(version="9"), obj("unseen", version="8")]
    first = cache.compare(PROFILES, listed, 0.0)
    assert (first.missing, first.oldest_lag) == (1, 0.0)
    clock.now += 60.0
    assert cache.compare(PROFILES, listed, 0.0).oldest_lag == 60.0
    cache.observe(PROFILES, "MODIFIED", obj(version="9"))
    cache.observe(PROFILES, "ADDED", obj("unseen", version="8"))
    clock.now += 60.0
    caught_up = cache.compare(PROFILES, listed, 0.0)
    assert (caught_up.missing, caught_up.oldest_lag) == (0, 0.0)


def test_a_cache_ahead_of_the_list_is_no_lag(cache: ObjectCache, clock: Clock) -> None:
    cache.observe(PROFILES, None, obj(version="10"))
    cache.compare(PROFILES, [obj(version="9")], 0.0)
    clock.now += 60.0
    assert cache.compare(PROFILES, [obj(version="9")], 0.0).oldest_lag == 0.0


@pytest.mark.parametrize("event", ["ADDED", "MODIFIED", None, "DELETED"])
@pytest.mark.parametrize("body", [{}, {"metadata": None}, {"metadata": {"name": "x"}}, {"metadata": {"uid": ""}}])
def test_an_event_without_identity_is_ignored(cache: ObjectCache, event: str | None, body: dict[str, Any]) -> None:
    assert not cache.observe(PROFILES, event, body)


def test_objects_of_other_shards_are_kept_and_not_shown() -> None:
    mine = {"data"}
    cache = ObjectCache(owns=lambda namespace: namespace in mine)
    for namespace in ("data", "web"):
        mine_is_new = cache.observe(PROFILES, "ADDED", obj(namespace, metadata={"namespace": namespace}))
        assert mine_is_new is (namespace == "data")
    assert [e.namespace for e in cache.snapshot().profiles] == ["data"]
    mine.add("web")  # taken over
    assert [e.namespace for e in cache.snapshot().profiles] == ["data", "web"]
