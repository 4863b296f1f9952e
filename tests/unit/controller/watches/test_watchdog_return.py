"""Kinds that were removed and brought back: the watches resume, or the process makes room for one that watches."""

from __future__ import annotations

import pytest

from concertmaster.controller.health import Health
from concertmaster.controller.object_cache import ObjectCache
from concertmaster.controller.watches.watchdog import KindsLost, Watchdog
from concertmaster.kube.errors import NotFound
from concertmaster.kube.objects import PROFILES
from tests.support.clock import Clock
from tests.support.controller.fakes import MemoryClient


def watchdog(client: MemoryClient, cache: ObjectCache, clock: Clock) -> Watchdog:
    return Watchdog(client, cache, [PROFILES], (), Health(stall_after=600), mute_after=30.0, clock=clock)


def lose_and_return(client: MemoryClient, dog: Watchdog, clock: Clock) -> None:
    client.lists[PROFILES.path()] = NotFound("no such kind", status=404)
    assert not dog.check().complete
    clock.now += 10
    del client.lists[PROFILES.path()]


def test_watches_that_resume_are_fine() -> None:
    client, clock = MemoryClient(), Clock()
    cache = ObjectCache(clock=clock)
    dog = watchdog(client, cache, clock)
    lose_and_return(client, dog, clock)
    assert dog.check().complete, "nothing there proves nothing"
    obj = client.put(PROFILES, "data", "a")
    assert not dog.check().complete
    clock.now += 20
    cache.observe(PROFILES, "ADDED", obj)
    assert dog.check().complete
    clock.now += 1000
    assert dog.check().complete


def test_watches_that_stay_mute_end_the_process() -> None:
    client, clock = MemoryClient(), Clock()
    cache = ObjectCache(clock=clock)
    dog = watchdog(client, cache, clock)
    lose_and_return(client, dog, clock)
    assert dog.check().complete, "nothing there proves nothing"
    client.put(PROFILES, "data", "a")
    assert not dog.check().complete
    clock.now += 29
    assert not dog.check().complete
    clock.now += 1
    with pytest.raises(KindsLost, match="their watch is not"):
        dog.check()


def test_a_lagging_watch_alone_is_left_to_the_probe() -> None:
    client, clock = MemoryClient(), Clock()
    cache = ObjectCache(clock=clock)
    dog = watchdog(client, cache, clock)
    client.put(PROFILES, "data", "a")
    for _ in range(10):
        assert not dog.check().complete
        clock.now += 60
