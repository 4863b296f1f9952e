"""Reviews of tokens and rights: what is asked, how long a verdict is kept, and that none is made up."""

from __future__ import annotations

import base64
import json

import pytest

from concertmaster.kube.access import Right
from concertmaster.kube.errors import KubeError
from concertmaster.kube.objects import PROFILES
from concertmaster.kube.reviews import CacheLifetimes, ExpiringCache, Identity, Reviewer
from tests.support.clock import Clock
from tests.support.controller.apiserver import Answer, Request, failure, serving

START = 1_800_000_000.0

LIST = Right("list", PROFILES)
ALICE = Identity("alice", "u1", ("dev",), (("scopes", ("a",)),))


def known(audiences: list[str] | None = None) -> Answer:
    user = {"username": "alice", "uid": "u1", "groups": ["dev"], "extra": {"scopes": ["a"]}}
    return Answer(
        body={"status": {"authenticated": True, "user": user, **({"audiences": audiences} if audiences else {})}}
    )


def jwt(end: float, subject: str = "") -> str:
    body = base64.urlsafe_b64encode(json.dumps({"exp": end, "sub": subject}).encode()).decode().rstrip("=")
    return f"e30.{body}.c2ln"


def test_a_verdict_on_a_token_is_kept_for_seconds_only() -> None:
    clock = Clock(START)
    with serving([known()]) as (server, client):
        reviewer = Reviewer(client, clock=clock, wall=clock)
        for _ in range(5):
            assert reviewer.identity("opaque") == ALICE
        assert len(server.requests) == 1
        assert server.requests[0].body["spec"] == {"token": "opaque"}
        clock.now += CacheLifetimes().known
        reviewer.identity("opaque")
        assert len(server.requests) == 2


def test_a_token_that_ended_is_not_known_from_before() -> None:
    clock = Clock(START)
    answers = [known(), Answer(body={"status": {"authenticated": False}})]
    with serving(answers) as (server, client):
        reviewer = Reviewer(client, clock=clock, wall=clock)
        token = jwt(clock.now + 2.0)
        assert reviewer.identity(token) == ALICE
        clock.now += 1.9
        assert reviewer.identity(token) == ALICE
        clock.now += 0.2
        assert reviewer.identity(token) is None
        assert len(server.requests) == 2


@pytest.mark.parametrize("subject", ["", "a", "ab", "abc"])  # claims of any length: their encoding has no padding
def test_a_token_that_ended_is_refused_although_the_api_server_remembers_it(subject: str) -> None:
    """It keeps verdicts on tokens for 10 s, whenever they end."""
    clock = Clock(START)
    with serving(lambda _: known()) as (_, client):
        reviewer = Reviewer(client, clock=clock, wall=clock)
        token = jwt(clock.now + 2.0, subject)
        assert reviewer.identity(token) == ALICE
        clock.now += 2.1
        assert reviewer.identity(token) is None


def test_a_token_for_another_audience_is_not_accepted() -> None:
    with serving(lambda r: known(["https://kubernetes"])) as (server, client):
        assert Reviewer(client, ["concertmaster"]).identity("x") is None
        assert server.requests[0].body["spec"]["audiences"] == ["concertmaster"]
    with serving(lambda r: known()) as (_, client):
        assert Reviewer(client, ["concertmaster"]).identity("x") is None, "an authenticator that knows no audiences"
    with serving(lambda r: known(["concertmaster"])) as (_, client):
        assert Reviewer(client, ["concertmaster"]).identity("x") == ALICE


@pytest.mark.parametrize(
    "status",
    [{}, {"authenticated": "true", "user": {"username": "a"}}, {"authenticated": True}, {"authenticated": True, "user": {}},
     {"user": {"username": "alice"}}, None],
)  # fmt: skip
def test_only_a_clear_yes_makes_somebody(status: object) -> None:
    with serving([Answer(body={"status": status})]) as (_, client):
        assert Reviewer(client).identity("x") is None


def test_what_cannot_be_asked_is_an_error_and_not_remembered() -> None:
    healthy = [False]
    with serving(lambda r: known() if healthy[0] else failure(403, "Forbidden")) as (_, client):
        reviewer = Reviewer(client)
        with pytest.raises(KubeError):
            reviewer.identity("x")
        healthy[0] = True
        assert reviewer.identity("x") == ALICE


def test_the_whole_identity_is_asked_about() -> None:
    with serving([Answer(body={"status": {"allowed": True}})]) as (server, client):
        assert Reviewer(client).allowed(ALICE, Right("get", PROFILES, "team-a"), "nightly")
        assert server.requests[0].body["spec"] == {
            "user": "alice", "uid": "u1", "groups": ["dev"], "extra": {"scopes": ["a"]},
            "resourceAttributes": {"verb": "get", "group": "concertmaster.dev", "resource": "workflowprofiles",
                                   "namespace": "team-a", "name": "nightly"},
        }  # fmt: skip


@pytest.mark.parametrize("status", [{}, {"allowed": False}, {"allowed": True, "denied": True}, {"allowed": "true"}])
def test_only_a_clear_yes_is_a_right(status: dict[str, object]) -> None:
    with serving([Answer(body={"status": status})]) as (_, client):
        assert not Reviewer(client).allowed(ALICE, LIST)


def test_rights_of_one_are_not_those_of_another() -> None:
    def answers(request: Request) -> Answer:
        return Answer(body={"status": {"allowed": request.body["spec"]["user"] == "alice"}})

    with serving(answers) as (_, client):
        reviewer = Reviewer(client)
        assert reviewer.allowed(ALICE, LIST)
        assert not reviewer.allowed(Identity("bob", "u1", ("dev",)), LIST)
        assert reviewer.allowed(ALICE, LIST)


def test_namespaces_are_asked_one_by_one_unless_one_may_everywhere() -> None:
    def answers(request: Request) -> Answer:
        return Answer(
            body={"status": {"allowed": request.body["spec"]["resourceAttributes"].get("namespace") in ("a", "c")}}
        )

    clock = Clock(START)
    with serving(answers) as (server, client):
        reviewer = Reviewer(client, clock=clock)
        assert reviewer.places(ALICE, LIST, {"a", "b", "c"}) == {"a", "c"}
        assert len(server.requests) == 4
        reviewer.places(ALICE, LIST, {"a", "b", "c"})
        assert len(server.requests) == 4
        clock.now += CacheLifetimes().granted  # what lets somebody in is asked again sooner
        reviewer.places(ALICE, LIST, {"a", "b", "c"})
        assert len(server.requests) == 6
        clock.now += CacheLifetimes().denied - CacheLifetimes().granted
        reviewer.places(ALICE, LIST, {"a", "b", "c"})
        assert len(server.requests) == 10
        assert reviewer.places(ALICE, LIST, ()) == frozenset()
    with serving([Answer(body={"status": {"allowed": True}})]) as (server, client):
        assert Reviewer(client).places(ALICE, LIST, {"a", "b", "c"}) == {"a", "b", "c"}
        assert len(server.requests) == 1


def test_caches_are_bounded() -> None:
    clock = Clock(START)
    kept: ExpiringCache[int, int] = ExpiringCache(10, clock)
    for i in range(1000):
        kept.put(i, i, 5.0)
    assert len(kept) == 10
    assert kept.get(999) == (999,)
    assert kept.get(0) is None
    with serving([Answer(body={"status": {"authenticated": False}})]) as (_, client):
        reviewer = Reviewer(client, most=50)
        for i in range(20):
            reviewer.identity(f"garbage-{i}")
        assert len(reviewer._identities) == 5
