"""Two processes never write in one namespace, whatever becomes of them, their clocks' differences and their requests."""

from __future__ import annotations

import asyncio
import copy
import math
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from concertmaster.controller.shards.election import LEASE_SECONDS, ShardElection
from concertmaster.controller.shards.leader_election import LeaderElection, LeadershipLost, LeaseIdentity
from concertmaster.controller.shards.ownership import Ownership, places
from concertmaster.kube.client import KubeClient
from concertmaster.kube.errors import Conflict, Forbidden, NotFound, Unreachable
from concertmaster.kube.lease import SHARD_OF, SHARDED, LeaseState

RELEASE = "concertmaster"
NAMESPACES = ["", *(f"team-{n}" for n in range(12))]
PATHS = {n: f"/apis/concertmaster.dev/v1alpha1/namespaces/{n}/workflowprofiles/x/status" for n in NAMESPACES if n}
PATHS[""] = "/apis/concertmaster.dev/v1alpha1/clusteroptimizationpolicies/x/status"


class Server:
    """The part of an API server that keeps Leases, on the one clock that everybody's time is counted by."""

    def __init__(self) -> None:
        self.now = 0.0
        self.leases: dict[str, dict[str, Any]] = {}
        self.version = 0

    def clock(self) -> float:
        return self.now

    def store(self, lease: dict[str, Any]) -> dict[str, Any]:
        self.version += 1
        lease.setdefault("metadata", {})["resourceVersion"] = str(self.version)
        self.leases[lease["metadata"]["name"]] = lease
        return copy.deepcopy(lease)


class Door(KubeClient):
    """One process's way to the server; ``between`` is called before and after the server does something."""

    def __init__(self, server: Server, between: Callable[[], None] = lambda: None) -> None:
        self.far = server
        self.between = between
        self.cut = False
        self.denied = False
        self.blind = False  # its own lease can be renewed, the others' cannot be listed

    def close(self) -> None:
        """Nothing to give back."""

    def get(self, path: str, query: Any = None) -> dict[str, Any]:
        return self._ask(lambda: copy.deepcopy(self._known(path)))

    def create(self, path: str, body: Any) -> dict[str, Any]:
        def done() -> dict[str, Any]:
            if body["metadata"]["name"] in self.far.leases:
                raise Conflict(path, status=409)
            return self.far.store(copy.deepcopy(dict(body)))

        return self._ask(done)

    def patch(self, path: str, body: Any, *, kind: str = "merge") -> dict[str, Any]:
        def done() -> dict[str, Any]:
            known = copy.deepcopy(self._known(path))
            if body["metadata"].get("resourceVersion") not in (None, known["metadata"]["resourceVersion"]):
                raise Conflict(path, status=409)
            return self.far.store(_merged(known, body))

        return self._ask(done)

    def items(self, path: str, **options: Any) -> Iterator[dict[str, Any]]:
        key, _, value = str(options["label_selector"]).partition("=")
        if self.blind:
            raise Unreachable("the list is cut off")
        leases = self._ask(lambda: copy.deepcopy(list(self.far.leases.values())))
        return iter([one for one in leases if (one["metadata"].get("labels") or {}).get(key) == value])

    def _known(self, path: str) -> dict[str, Any]:
        lease = self.far.leases.get(path.rpartition("/")[2])
        if lease is None:
            raise NotFound(path, status=404)
        return lease

    def _ask(self, call: Callable[[], Any]) -> Any:
        self.between()
        if self.denied:
            raise Forbidden("no right", status=403)
        if self.cut:
            raise Unreachable("cut off")
        found = call()
        self.between()
        return found


def _merged(known: dict[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    for key, value in change.items():
        if isinstance(value, Mapping):
            known[key] = _merged(dict(known.get(key) or {}), value)
        elif value is None:
            known.pop(key, None)
        else:
            known[key] = value
    return known


def shard(server: Server, number: int, *, life: int = 0, door: Door | None = None) -> ShardElection:
    where = LeaseIdentity("ops", RELEASE, f"pod-{number}_{life}", shard=f"{RELEASE}-{number}")
    return ShardElection(
        door or Door(server), where, active=lambda _: None, heartbeat=lambda _: None, clock=server.clock
    )


def whole(server: Server, *, door: Door | None = None) -> LeaderElection:
    where = LeaseIdentity("ops", RELEASE, "pod-whole")
    return LeaderElection(
        door or Door(server), where, active=lambda _: None, heartbeat=lambda _: None, clock=server.clock
    )


RUNNERS: list[asyncio.Runner] = []  # that no turn uses: an event loop and its threads cost more than a turn


@pytest.fixture(scope="module", autouse=True)
def _closed() -> Iterator[None]:
    yield
    while RUNNERS:
        RUNNERS.pop().close()


def turn(election: LeaderElection) -> LeaseState:
    """One turn, which may begin while that of another process waits for its answer."""
    runner = RUNNERS.pop() if RUNNERS else asyncio.Runner()
    try:
        return runner.run(election._take()).state
    finally:
        RUNNERS.append(runner)


def pass_time(server: Server, *alive: LeaderElection, seconds: float = 60.0) -> None:
    """Every three seconds each of them renews and looks."""
    for _ in range(int(seconds / 3)):
        server.now += 3.0
        for one in alive:
            turn(one)


def owned(election: ShardElection) -> set[str]:
    return {n for n, path in PATHS.items() if election.ownership.may_write(path)}


def test_shards_share_all_namespaces_once_everybody_has_seen_them() -> None:
    server = Server()
    three = [shard(server, n) for n in range(3)]
    for one in three:
        assert turn(one) is LeaseState.HELD
        assert owned(one) == set(), "the others may not have seen it yet"
    pass_time(server, *three, seconds=15)
    shares = [owned(one) for one in three]
    assert set().union(*shares) == set(NAMESPACES)
    assert sum(map(len, shares)) == len(NAMESPACES)
    assert {len(lease["metadata"].get("labels") or {}) for name, lease in server.leases.items() if name != RELEASE} == {
        1
    }
    assert server.leases[f"{RELEASE}-0"]["metadata"]["labels"] == {SHARD_OF: RELEASE}


def test_a_lost_shard_is_taken_over_within_30_seconds_and_gets_the_same_back() -> None:
    server = Server()
    three = [shard(server, n) for n in range(3)]
    pass_time(server, *three)
    before = [owned(one) for one in three]
    lost, begun = before[2], server.now
    while set().union(owned(three[0]), owned(three[1])) != set(NAMESPACES):
        pass_time(server, *three[:2], seconds=3)
        assert not (owned(three[0]) & owned(three[2])), "the lost one may only be cut off"
    assert server.now - begun <= LEASE_SECONDS + 2 * 3 < 30
    assert owned(three[0]) >= before[0]
    assert owned(three[1]) >= before[1]
    back = shard(server, 2, life=1)
    pass_time(server, *three[:2], back)
    assert owned(back) == lost
    assert [owned(one) for one in three[:2]] == before[:2]


def test_a_shard_that_leaves_is_followed_at_once() -> None:
    server = Server()
    two = [shard(server, n) for n in range(2)]
    pass_time(server, *two)
    asyncio.run(two[1].release())
    pass_time(server, two[0], seconds=3)
    assert owned(two[0]) == set(NAMESPACES)


def test_an_operator_in_one_piece_and_shards_wait_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server()
    single = whole(server)
    assert turn(single) is LeaseState.HELD
    two = [shard(server, n) for n in range(2)]
    pass_time(server, single, *two)
    assert [owned(one) for one in two] == [set(), set()], "it holds its lease"
    asyncio.run(single.release())
    pass_time(server, *two, seconds=18)
    assert set().union(*map(owned, two)) == set(NAMESPACES)
    assert SHARDED in server.leases[RELEASE]["metadata"]["annotations"]

    async def sleep(seconds: float) -> None:
        assert seconds == pytest.approx(20.0), "two thirds of its own lease, and more than those of shards"
        server.now += 6.0
        for one in two:
            await one._take()
        assert [owned(one) for one in two] == [set(), set()], "they have seen it"
        server.now += seconds - 6.0

    monkeypatch.setattr(asyncio, "sleep", sleep)
    asyncio.run(whole(server).acquire())
    assert SHARDED not in server.leases[RELEASE]["metadata"]["annotations"]


def test_a_standby_waits_for_an_operator_that_began_without_the_right_to_use_leases(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As one does that ended since it could not renew the lease. It looks every ten seconds."""
    server = Server()
    door = Door(server)
    asyncio.run(whole(server, door=door).acquire())
    standby = LeaderElection(
        door,
        LeaseIdentity("ops", RELEASE, "standby"),
        active=lambda _: None,
        heartbeat=lambda _: None,
        clock=server.clock,
    )
    alone, ended = whole(server, door=door), False

    async def sleep(seconds: float) -> None:
        nonlocal ended
        assert server.now < 120.0
        for _ in range(round(seconds)):
            server.now += 1.0
            door.denied = server.now <= 60.0
            if server.now == 1.0:
                await alone.acquire()
            elif server.now % 10.0 == 0.0 and not ended:
                ended = (await alone._take()).state is LeaseState.OTHER

    monkeypatch.setattr(asyncio, "sleep", sleep)
    asyncio.run(standby.acquire())
    assert standby.holds()
    assert ended


def test_without_the_right_to_read_leases_a_shard_does_not_work() -> None:
    server = Server()
    door = Door(server)
    one = shard(server, 0, door=door)
    door.denied = True
    with pytest.raises(LeadershipLost, match="Grant get, list, create and patch of leases"):
        turn(one)


def test_a_shard_that_is_refused_for_some_seconds_goes_on() -> None:
    """As by an API server that starts: all shards would end at the same moment."""
    server = Server()
    door = Door(server)
    two = [shard(server, 0, door=door), shard(server, 1)]
    pass_time(server, *two)
    door.denied = True
    pass_time(server, *two, seconds=9)
    assert owned(two[0])
    pass_time(server, *two, seconds=6)
    assert owned(two[0]) == set()
    door.denied = False
    pass_time(server, *two, seconds=18)
    assert owned(two[0])
    assert not owned(two[0]) & owned(two[1])


def test_a_shard_that_cannot_see_the_others_stops_writing() -> None:
    server = Server()
    door = Door(server)
    two = [shard(server, 0, door=door), shard(server, 1)]
    pass_time(server, *two)
    assert owned(two[0])
    door.cut = True
    pass_time(server, *two, seconds=9)
    assert owned(two[0]), "no answer for some seconds is no reason"
    pass_time(server, *two, seconds=6)
    assert owned(two[0]) == set()
    door.cut = False
    pass_time(server, *two, seconds=3)
    assert owned(two[0]) == set(), "it settles again first: it may have been taken for lost"
    pass_time(server, *two, seconds=15)
    assert owned(two[0])
    assert not owned(two[0]) & owned(two[1])


def test_a_shard_that_sees_an_old_picture_does_not_write_where_another_came_back() -> None:
    server = Server()
    door = Door(server)
    two = [shard(server, 0, door=door), shard(server, 1)]
    pass_time(server, *two)
    theirs = owned(two[1])
    pass_time(server, two[0], seconds=24)
    assert owned(two[0]) == set(NAMESPACES)
    door.blind = True  # its own lease is renewed all the time
    back = shard(server, 1, life=1)
    for _ in range(14):
        pass_time(server, two[0], back, seconds=3)
        assert not owned(two[0]) & owned(back)
    assert owned(back) == theirs
    assert owned(two[0]) == set()


@pytest.mark.parametrize("number", [2, 3, 4])
def test_never_do_two_write_in_one_namespace(number: int) -> None:
    looked = sum(_play(seed, number) for seed in range(8))
    assert looked > 300, "most of the time somebody writes"


def _play(seed: int, number: int) -> int:
    """How often somebody might have written. Processes end, come back, are cut off and wait for answers while others act."""
    draw = random.Random(seed)
    server = Server()
    doors = {n: Door(server) for n in range(number)}
    lives = dict.fromkeys(range(number), 0)
    running: dict[int, ShardElection] = {}
    busy: set[int] = set()
    wrote = 0

    def check() -> None:
        nonlocal wrote
        seen: set[str] = set()
        for one in running.values():
            mine = owned(one)
            assert not seen & mine
            seen |= mine
        wrote += bool(seen)

    def act(n: int) -> None:
        what = draw.random()
        if n not in running or what < 0.03:  # it dies without a word, and another process begins in its place
            lives[n] += 1
            doors[n] = Door(server, between)
            running[n] = shard(server, n, life=lives[n], door=doors[n])
            return
        doors[n].cut = what < 0.15
        doors[n].blind ^= draw.random() < 0.08
        busy.add(n)
        try:
            before = running[n]
            if turn(before) is LeaseState.OTHER and before.joined < math.inf:
                running.pop(n)  # it ends; one that never held the lease waits
        finally:
            busy.discard(n)

    def between() -> None:
        """Time passes while a request is under way, and others act."""
        server.now += draw.choice((0.0, 0.0, 0.0, 0.1, 0.2, 0.5, 4.0))
        check()
        free = [n for n in range(number) if n not in busy]
        if free and len(busy) < 3 and draw.random() < 0.15:
            act(draw.choice(free))
            check()

    for _ in range(60):
        for n in range(number):
            if draw.random() < 0.9:
                act(n)
            check()
        server.now += draw.choice((0.5, 1.0, 2.0, 2.0, 3.0, 3.0, 3.0, 8.0, 25.0))
        check()
    return wrote


def test_the_place_of_a_write() -> None:
    owners = {"shared": {"team-a", "team-b"}}
    template = "/apis/argoproj.io/v1alpha1/clusterworkflowtemplates"
    event = {"regarding": {"kind": "WorkflowProfile", "namespace": "team-a"}}
    assert places(PATHS["team-1"], {}, owners) == ("team-1",)
    assert places("/api/v1/namespaces/team-a/configmaps", {}, owners) == ("team-a",)
    assert places(PATHS[""], {}, owners) == ("",)
    assert set(places(f"{template}/shared", [], owners)) == {"team-a", "team-b"}
    assert places(f"{template}/other", [], owners) == ("",)
    assert places("/apis/events.k8s.io/v1/namespaces/team-a/events", event, owners) == ("team-a",)
    about = {"regarding": {"kind": "ClusterOptimizationPolicy"}}
    assert places("/apis/events.k8s.io/v1/namespaces/default/events", about, owners) == ("",)


def test_a_namespace_of_another_shard_is_named_and_ones_own_is_not() -> None:
    class Two:
        release = RELEASE

        def alive(self) -> frozenset[str]:
            return frozenset({"cm-0", "cm-1"})

    views = [Ownership(own, Two(), lambda: True, fresh=12.0) for own in ("cm-0", "cm-1")]  # type: ignore[arg-type]
    assert [v.elsewhere("demo") for v in views] == [None, None]  # before the first look
    for view in views:
        view.refresh()
        view.begin()
    for name in (n for n in NAMESPACES if n):
        assert [v.elsewhere(name) is None for v in views] == [v.owns(name) for v in views]
        assert {v.elsewhere(name) for v in views} - {None} <= {"cm-0", "cm-1"}


def test_a_cycle_deletes_nothing_of_what_another_shard_has_taken_over_since_it_began() -> None:
    held, alive = [True], [frozenset({"cm-0"})]

    class Some:
        release = RELEASE

        def alive(self) -> frozenset[str]:
            return alive[0]

    view = Ownership("cm-0", Some(), lambda: held[0], fresh=12.0)  # type: ignore[arg-type]
    view.refresh()
    view.begin()
    assert all(map(view.may_delete, NAMESPACES))
    alive[0] |= {"cm-1"}
    view.refresh()
    moved = {name for name in NAMESPACES if view.elsewhere(name)}
    assert moved and all(map(view.owns, NAMESPACES))
    assert {name for name in NAMESPACES if view.may_delete(name)} == set(NAMESPACES) - moved
    held[0] = False  # as after a pause that was longer than the lease
    assert not any(map(view.may_delete, NAMESPACES))


@pytest.mark.parametrize("missed", ["a shard that has left since", "a pause of this one"])
def test_a_cycle_deletes_nothing_of_what_another_shard_had_taken_over_for_a_while(missed: str) -> None:
    now, alive = [0.0], [frozenset({"cm-0", "cm-1"})]

    class Some:
        release = RELEASE

        def alive(self) -> frozenset[str]:
            return alive[0]

    view = Ownership("cm-0", Some(), lambda: True, fresh=12.0, clock=lambda: now[0])  # type: ignore[arg-type]
    view.refresh()
    view.begin()
    own = {name for name in NAMESPACES if view.may_delete(name)}
    if missed == "a pause of this one":
        now[0] += 60.0
        view.refresh()
        kept = own
    else:
        alive[0] |= {"cm-2"}
        view.refresh()
        kept = {name for name in own if view.elsewhere(name)}
        alive[0] -= {"cm-2"}
        view.refresh()
    assert kept and {name for name in own if not view.may_delete(name)} == kept
    view.begin()
    assert {name for name in NAMESPACES if view.may_delete(name)} == own
