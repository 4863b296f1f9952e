"""Two operators by mistake: one works, the other makes no progress, and each way out of that."""

from __future__ import annotations

import asyncio
import copy
import logging
from pathlib import Path
from typing import Any

import pytest

from concertmaster.controller.shards.leader_election import LeaderElection, LeadershipLost, LeaseIdentity, identity
from concertmaster.kube.client import KubeClient
from concertmaster.kube.errors import Conflict, Forbidden, NotFound, Unreachable
from concertmaster.kube.lease import Lease, LeaseState
from tests.support.clock import Clock
from tests.support.waiting import until_then

WHERE = LeaseIdentity("ops", "concertmaster", "pod-a")


class OneLease(KubeClient):
    """The part of an API server that keeps one Lease: versions, 404 and 409."""

    def __init__(self) -> None:
        self.lease: dict[str, Any] | None = None
        self.version = 0
        self.error: Exception | None = None
        self.refused = 0
        self.between: Any = lambda: None

    def close(self) -> None:
        """Nothing to give back."""

    def get(self, path: str, query: Any = None) -> dict[str, Any]:
        self._fail()
        if self.lease is None:
            raise NotFound(path, status=404)
        found = copy.deepcopy(self.lease)
        self.between()
        return found

    def create(self, path: str, body: Any) -> dict[str, Any]:
        self._fail()
        if self.lease is not None:
            raise Conflict(path, status=409)
        return self._store(copy.deepcopy(dict(body)))

    def patch(self, path: str, body: Any, *, kind: str = "merge") -> dict[str, Any]:
        self._fail()
        assert self.lease is not None
        if body["metadata"]["resourceVersion"] != self.lease["metadata"]["resourceVersion"]:
            raise Conflict(path, status=409)
        return self._store({**self.lease, "spec": {**self.lease["spec"], **body["spec"]}})

    def _fail(self) -> None:
        if self.error is not None:
            self.refused += 1
            raise self.error

    def _store(self, lease: dict[str, Any]) -> dict[str, Any]:
        self.version += 1
        lease["metadata"]["resourceVersion"] = str(self.version)
        self.lease = lease
        return copy.deepcopy(lease)


@pytest.fixture
def server() -> OneLease:
    return OneLease()


def lease(server: OneLease, identity: str, clock: Clock, wall: Clock | None = None) -> Lease:
    return Lease(server, "ops", "concertmaster", identity, clock=clock, wall=wall or Clock(1.8e9))


def test_the_first_takes_it_and_the_second_learns_who_has_it(server: OneLease) -> None:
    clock = Clock()
    assert lease(server, "a", clock).take().state is LeaseState.HELD
    found = lease(server, "b", clock).take()
    assert (found.state, found.holder) == (LeaseState.OTHER, "a")


def test_a_renewed_lease_never_runs_out(server: OneLease) -> None:
    clock, wall = Clock(), Clock(1.8e9)
    a, b = lease(server, "a", clock, wall), lease(server, "b", clock)
    a.take()
    assert server.lease is not None
    taken = server.lease["spec"]
    for _ in range(20):
        clock.now += 10
        wall.now += 10
        assert a.take().state is LeaseState.HELD
        assert b.take().state is LeaseState.OTHER
    renewed = server.lease["spec"]
    assert renewed["acquireTime"] == taken["acquireTime"] < renewed["renewTime"]


def test_a_lease_that_is_not_renewed_is_taken_after_it_was_watched_for_its_duration(server: OneLease) -> None:
    clock = Clock()
    lease(server, "a", clock).take()
    b = lease(server, "b", clock)
    assert b.take().state is LeaseState.OTHER
    clock.now += 29
    assert b.take().state is LeaseState.OTHER
    clock.now += 2
    assert b.take().state is LeaseState.HELD
    assert lease(server, "a", clock).take().holder == "b"


@pytest.mark.parametrize("skew", [-86400.0, 86400.0])
def test_wall_clocks_are_not_compared(server: OneLease, skew: float) -> None:
    """A holder whose clock is a day off neither loses the lease nor keeps it for a day."""
    clock = Clock()
    lease(server, "a", clock, Clock(1.8e9 + skew)).take()
    b = lease(server, "b", clock)
    assert b.take().state is LeaseState.OTHER
    clock.now += 31
    assert b.take().state is LeaseState.HELD


def test_a_clean_stop_hands_over_at_once(server: OneLease) -> None:
    clock = Clock()
    a, b = lease(server, "a", clock), lease(server, "b", clock)
    a.take()
    assert b.take().state is LeaseState.OTHER
    a.release()
    assert b.take().state is LeaseState.HELD


def test_release_leaves_a_lease_of_somebody_else_alone(server: OneLease) -> None:
    clock = Clock()
    lease(server, "a", clock).take()
    lease(server, "b", clock).release()
    assert server.lease is not None and server.lease["spec"]["holderIdentity"] == "a"


def test_two_takers_at_the_same_moment(server: OneLease) -> None:
    clock = Clock()
    a, b = lease(server, "a", clock), lease(server, "b", clock)
    a.take()
    a.release()

    def overtake() -> None:
        server.between = lambda: None
        assert a.take().state is LeaseState.HELD

    server.between = overtake
    assert b.take().state is LeaseState.UNKNOWN  # it had read a version that was gone when it wrote
    assert server.lease is not None and server.lease["spec"]["holderIdentity"] == "a"


def test_a_restarted_container_of_the_same_pod_does_not_wait(server: OneLease) -> None:
    clock = Clock()
    lease(server, "pod-a", clock).take()
    assert lease(server, "pod-a", clock).take().state is LeaseState.HELD


def test_the_place_comes_from_the_environment_or_there_is_none(tmp_path: Path) -> None:
    file = tmp_path / "namespace"
    assert identity({"POD_NAMESPACE": "ops"}, file) is None
    assert identity({"CONCERTMASTER_LEASE": "c"}, file) is None
    file.write_text("ops\n")
    assert identity({"CONCERTMASTER_LEASE": "c", "POD_NAME": "p"}, file) == LeaseIdentity("ops", "c", "p")
    assert identity({"CONCERTMASTER_LEASE": "c", "POD_NAME": "p", "POD_NAMESPACE": "n"}, file) == LeaseIdentity(
        "n", "c", "p"
    )


def turn(server: OneLease, reported: list[float], beats: list[str], where: LeaseIdentity = WHERE) -> LeaderElection:
    return LeaderElection(server, where, active=reported.append, heartbeat=beats.append, every=0.02, lasts=30)


def test_standing_still_is_alive_and_ends_when_the_holder_leaves(
    server: OneLease, caplog: pytest.LogCaptureFixture
) -> None:
    first, second, beats = list[float](), list[float](), list[str]()

    async def scenario() -> None:
        holder = turn(server, first, [], LeaseIdentity("ops", "concertmaster", "pod-b"))
        await holder.acquire()
        waiting = asyncio.create_task(turn(server, second, beats).acquire())
        await until_then(lambda: len(beats) > 2)
        assert not waiting.done()
        await holder.release()
        await asyncio.wait_for(waiting, 30)

    with caplog.at_level(logging.WARNING):
        asyncio.run(scenario())
    assert first == [1]
    assert set(second[:-1]) == {0} and second[-1] == 1
    assert len(beats) > 1, "a process that stands still must go on beating, or its probe kills it"
    lines = [r.getMessage() for r in caplog.records]
    assert lines == ["standby: pod-b holds the lease ops/concertmaster; one operator works at a time"]


def test_whoever_loses_the_lease_ends(server: OneLease) -> None:
    reported = list[float]()

    async def scenario() -> None:
        mine = turn(server, reported, [])
        await mine.acquire()
        assert server.lease is not None
        server.lease["spec"]["holderIdentity"] = "pod-b"
        await asyncio.wait_for(mine.renew(), 30)

    with pytest.raises(LeadershipLost, match="pod-b took over the lease ops/concertmaster"):
        asyncio.run(scenario())
    assert reported == [1, 0]


def test_an_api_server_that_is_away_does_not_end_the_holder(server: OneLease) -> None:
    async def scenario() -> bool:
        mine = turn(server, [], [])
        await mine.acquire()
        server.error = Unreachable("no answer")
        keeping = asyncio.create_task(mine.renew())
        await until_then(lambda: server.refused > 2)
        server.error, before = None, server.version
        await until_then(lambda: server.version > before)
        still = not keeping.done()
        keeping.cancel()
        return still

    assert asyncio.run(scenario())


def test_writing_ends_at_two_thirds_of_the_lease_and_the_process_with_it(server: OneLease) -> None:
    clock, reported = Clock(), list[float]()
    mine = LeaderElection(
        server, WHERE, active=reported.append, heartbeat=lambda _: None, every=0.02, lasts=30, clock=clock
    )
    assert not mine.holds()

    async def scenario() -> None:
        await mine.acquire()
        server.error = Unreachable("no answer")
        renewing = asyncio.create_task(mine.renew())
        for after, holds in ((19.9, True), (20.0, False), (29.9, False)):
            clock.now, before = 1000.0 + after, server.refused
            await until_then(lambda before=before: server.refused > before + 1)  # type: ignore[misc]
            assert mine.holds() is holds
            assert not renewing.done()
        clock.now = 1030.0
        await asyncio.wait_for(renewing, 30)

    with pytest.raises(LeadershipLost, match="was not renewed for 30 s: no answer"):
        asyncio.run(scenario())
    assert reported == [1, 0]


def test_a_slow_renewal_counts_from_before_it_was_sent(server: OneLease) -> None:
    clock = Clock()
    mine = LeaderElection(server, WHERE, active=lambda _: None, heartbeat=lambda _: None, lasts=30, clock=clock)

    def answer_late() -> None:
        clock.now += 4

    asyncio.run(mine.acquire())
    server.between = answer_late
    asyncio.run(mine.acquire())
    clock.now += 15.9
    assert mine.holds()
    clock.now += 0.1
    assert not mine.holds()


def test_a_renewal_after_a_pause_gives_the_right_to_write_back(server: OneLease) -> None:
    clock = Clock()
    mine = LeaderElection(server, WHERE, active=lambda _: None, heartbeat=lambda _: None, lasts=30, clock=clock)
    asyncio.run(mine.acquire())
    clock.now += 25  # the process was stopped, or the API server away
    assert not mine.holds()
    asyncio.run(mine.acquire())
    assert mine.holds()


def test_without_the_right_it_works_and_says_so(server: OneLease, caplog: pytest.LogCaptureFixture) -> None:
    server.error = Forbidden("may not get leases", status=403)
    reported = list[float]()
    with caplog.at_level(logging.WARNING):
        mine = turn(server, reported, [])
        asyncio.run(asyncio.wait_for(mine.acquire(), 30))
    assert reported == [1]
    assert mine.holds()
    assert "a second operator would not be noticed: may not get leases" in caplog.text


def test_a_standby_that_loses_the_right_does_not_work_beside_the_leader(server: OneLease) -> None:
    """As while a Role is replaced, or an API server starts that has not read it yet."""
    lease(server, "pod-b", Clock()).take()
    reported = list[float]()

    async def scenario() -> None:
        mine = turn(server, reported, [])
        waiting = asyncio.create_task(mine.acquire())
        await until_then(lambda: reported)
        server.error = Forbidden("may not get leases", status=403)
        await until_then(lambda: server.refused > 1)
        assert not waiting.done()
        assert not mine.holds()
        waiting.cancel()

    asyncio.run(scenario())
    assert set(reported) == {0}


def test_a_leader_that_loses_the_right_stops_as_when_it_cannot_renew(server: OneLease) -> None:
    clock, reported = Clock(), list[float]()
    mine = LeaderElection(
        server, WHERE, active=reported.append, heartbeat=lambda _: None, every=0.02, lasts=30, clock=clock
    )

    async def scenario() -> None:
        await mine.acquire()
        server.error = Forbidden("may not patch leases", status=403)
        clock.now += 25
        renewing = asyncio.create_task(mine.renew())
        await until_then(lambda: server.refused > 1)
        assert not mine.holds()
        assert not renewing.done()
        clock.now += 6
        await asyncio.wait_for(renewing, 30)

    with pytest.raises(LeadershipLost, match="was not renewed for 30 s: may not patch leases"):
        asyncio.run(scenario())
    assert reported == [1, 0]
