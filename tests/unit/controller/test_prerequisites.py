"""What is checked before the operator starts, and what a person is shown."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import pytest

from concertmaster.controller.prerequisites import Prerequisites, StartError, WaitPolicy, check
from concertmaster.kube import errors
from concertmaster.kube.access import AccessChecker
from concertmaster.kube.objects import API_VERSION, CLUSTER_POLICIES, OWN_KINDS, POLICIES, PROFILES
from tests.support.controller.fakes import MemoryClient

GROUP = f"/apis/{API_VERSION}"


class Served(MemoryClient):
    """A server that serves some of our kinds; ``answers`` come first."""

    server = "https://api.example"

    def __init__(self, *plurals: str) -> None:
        super().__init__()
        self.plurals = plurals
        self.answers: list[Exception | tuple[str, ...]] = []
        self.denied: set[tuple[str, str]] = set()

    def request(self, method: str, path: str, **kwargs: Any) -> dict[str, Any]:
        if path != GROUP:
            return super().request(method, path, **kwargs)
        answer = self.answers.pop(0) if self.answers else self.plurals
        if isinstance(answer, Exception):
            raise answer
        return {"resources": [{"name": p} for p in answer]}

    def allows(self, attributes: Mapping[str, str]) -> bool:
        return (attributes["verb"], attributes["resource"]) not in self.denied


class Clock:
    now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


ALL = tuple(r.plural for r in OWN_KINDS)


def start(client: Served, *namespaces: str, wait: float = 10.0) -> Prerequisites:
    patience = WaitPolicy(wait, 0.0)
    return check(client, AccessChecker(client), namespaces, threading.Event(), patience=patience, clock=Clock())


def test_everything_in_place() -> None:
    footing = start(Served(*ALL))
    assert footing.kinds == OWN_KINDS or set(footing.kinds) == set(OWN_KINDS)
    assert footing.scanning
    assert footing.notes == ()


def test_kinds_that_come_late_are_waited_for() -> None:
    client = Served(*ALL)
    client.answers = [errors.Unreachable("refused"), errors.NotFound("no group", status=404), (PROFILES.plural,)]
    assert set(start(client).kinds) == set(OWN_KINDS)


def test_kinds_that_never_come_end_with_the_command() -> None:
    with pytest.raises(StartError, match="kubectl apply --server-side -f crds/"):
        start(Served(PROFILES.plural))


def test_an_api_server_that_never_answers_ends_with_a_hint() -> None:
    client = Served(*ALL)
    client.answers = [errors.Unreachable("connection refused")] * 50
    with pytest.raises(StartError, match="network policy"):
        start(client)


def test_a_rejected_identity_is_not_waited_for() -> None:
    client = Served(*ALL)
    client.answers = [errors.Unauthorized("who are you", status=401)]
    with pytest.raises(StartError, match="identity"):
        start(client)
    assert client.answers == []


def test_every_missing_right_is_named() -> None:
    client = Served(*ALL)
    client.denied = {("watch", POLICIES.plural), ("patch", PROFILES.plural)}
    with pytest.raises(StartError) as caught:
        start(client, "demo", "prod")
    text = str(caught.value)
    assert "watch optimizationpolicies.concertmaster.dev in namespace demo" in text
    assert "patch workflowprofiles.concertmaster.dev/status in namespace prod" in text
    assert "rbac.create=true" in text


def test_without_cluster_rights_cluster_policies_are_left_out() -> None:
    client = Served(*ALL)
    client.denied = {("list", CLUSTER_POLICIES.plural), ("watch", "customresourcedefinitions")}
    footing = start(client)
    assert CLUSTER_POLICIES not in footing.kinds
    assert "ClusterOptimizationPolicy is not watched" in footing.notes[0]
    assert not footing.scanning


def test_a_confined_operator_does_not_scan() -> None:
    assert not start(Served(*ALL), "demo").scanning


def test_a_stop_ends_the_wait() -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(errors.Stopped):
        check(Served(), AccessChecker(Served()), (), stop, patience=WaitPolicy(60.0, 30.0))
