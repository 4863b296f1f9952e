"""Status is written when it says something new, only then, and never to a namesake."""

from __future__ import annotations

import threading

import pytest

from concertmaster.core.text import json_size
from concertmaster.kube import errors
from concertmaster.kube.objects import PROFILES
from concertmaster.kube.writer import StatusUpdate, StatusWriter, WriteOutcome, digest
from tests.support.controller.fakes import MemoryClient, ref

CONDITION = {
    "type": "Ready",
    "status": "True",
    "reason": "Analyzed",
    "message": "ok",
    "lastTransitionTime": "2026-01-01T00:00:00Z",
}
STATUS = {"advice": ["a"], "conditions": [CONDITION], "dataUntil": "2026-01-01T00:00:00Z", "score": 70}


def client_with(status: object = None) -> MemoryClient:
    client = MemoryClient()
    client.put(PROFILES, "demo", "etl", **({"status": status} if status else {}))
    return client


def update(status: dict[str, object], known: str | None = None, **more: bool) -> StatusUpdate:
    return StatusUpdate(ref(), status, known, **more)


def write(client: MemoryClient, *updates: StatusUpdate) -> list[WriteOutcome]:
    return [r.outcome for r in StatusWriter(client).write(updates)]


def test_the_first_status_is_written() -> None:
    client = client_with()
    assert write(client, update(STATUS)) == [WriteOutcome.WRITTEN]
    assert client.objects[PROFILES.path("demo", "etl")]["status"] == STATUS


def test_the_same_status_costs_no_request() -> None:
    client = client_with(STATUS)
    assert write(client, update(STATUS, digest(STATUS))) == [WriteOutcome.UNCHANGED]
    assert client.calls == []


def test_timestamps_alone_are_no_news() -> None:
    later = {
        **STATUS,
        "dataUntil": "2026-02-01T00:00:00Z",
        "conditions": [{**CONDITION, "lastTransitionTime": "2026-02-01T00:00:00Z"}],
    }
    client = client_with(STATUS)
    assert write(client, update(later, digest(STATUS))) == [WriteOutcome.UNCHANGED]
    assert write(client, update(later, digest(STATUS), force=True)) == [WriteOutcome.WRITTEN]


@pytest.mark.parametrize("key", ["advice", "score", "conditions"])
def test_anything_else_is_news(key: str) -> None:
    changed = {**STATUS, key: {"advice": ["b"], "score": 71, "conditions": [{**CONDITION, "status": "False"}]}[key]}
    assert digest(changed) != digest(STATUS)


def test_absent_and_none_are_the_same() -> None:
    assert digest({"a": 1, "b": None}) == digest({"a": 1})
    assert digest({}) is None
    assert digest(None) is None


def test_keys_that_are_gone_do_not_stay_behind() -> None:
    client = client_with({**STATUS, "top": "old"})
    assert write(client, update(STATUS, "other")) == [WriteOutcome.WRITTEN]
    assert "top" not in client.objects[PROFILES.path("demo", "etl")]["status"]


def test_a_partial_status_keeps_the_old_recommendations() -> None:
    client = client_with(STATUS)
    down = [{**CONDITION, "status": "False", "reason": "SourceUnreachable"}]
    assert write(client, update({"conditions": down}, digest(STATUS), partial=True)) == [WriteOutcome.WRITTEN]
    stored = client.objects[PROFILES.path("demo", "etl")]["status"]
    assert stored["advice"] == ["a"]
    assert stored["conditions"] == down


def test_a_partial_status_where_there_was_none() -> None:
    client = client_with()
    assert write(client, update({"conditions": [CONDITION]}, None, partial=True)) == [WriteOutcome.WRITTEN]
    assert client.objects[PROFILES.path("demo", "etl")]["status"] == {"conditions": [CONDITION]}


def test_a_namesake_is_not_written() -> None:
    client = client_with()
    outcome = StatusWriter(client).write([StatusUpdate(ref(uid="uid-of-the-old-one"), STATUS, None)])[0]
    assert outcome.outcome is WriteOutcome.GONE
    assert "status" not in client.objects[PROFILES.path("demo", "etl")]


def test_a_deleted_object_is_no_failure() -> None:
    assert write(MemoryClient(), update(STATUS)) == [WriteOutcome.GONE]


def test_a_refused_document_is_not_sent_twice() -> None:
    client = client_with()
    path = f"{PROFILES.path('demo', 'etl')}/status"
    client.faults["PATCH", path] = [errors.Rejected("score: must be at most 100", status=422)]
    writer = StatusWriter(client)
    first = writer.write([update(STATUS)])[0]
    assert first.outcome is WriteOutcome.REJECTED
    assert "at most 100" in first.message
    calls = len(client.calls)
    assert writer.write([update(STATUS)])[0].outcome is WriteOutcome.REJECTED
    assert len(client.calls) == calls
    assert writer.write([update({**STATUS, "score": 71})])[0].outcome is WriteOutcome.WRITTEN


def test_a_refused_document_is_sent_again_after_an_hour() -> None:
    """The CustomResourceDefinitions may have been upgraded after the operator: what it says may not change for weeks."""
    client, now = client_with(), [0.0]
    client.faults["PATCH", f"{PROFILES.path('demo', 'etl')}/status"] = [errors.Rejected("score: unknown", status=422)]
    writer = StatusWriter(client, clock=lambda: now[0])
    outcomes = []
    for now[0] in (0.0, 3599.0, 3600.0):
        outcomes += [r.outcome for r in writer.write([update(STATUS)])]
    assert outcomes == [WriteOutcome.REJECTED, WriteOutcome.REJECTED, WriteOutcome.WRITTEN]
    assert writer.refused == 0


def test_what_was_refused_is_forgotten_with_its_object() -> None:
    client = client_with()
    writer = StatusWriter(client)
    path = f"{PROFILES.path('demo', 'etl')}/status"
    client.faults["PATCH", path] = [errors.Rejected("score: must be at most 100", status=422)]
    assert [r.outcome for r in writer.write([update(STATUS)])] == [WriteOutcome.REJECTED]
    writer.keep_only([ref().uid])
    assert [r.outcome for r in writer.write([update(STATUS)])] == [WriteOutcome.REJECTED]
    writer.keep_only([])
    assert [r.outcome for r in writer.write([update(STATUS)])] == [WriteOutcome.WRITTEN]


def test_a_document_that_is_too_large_is_refused_here() -> None:
    client = client_with()
    large = {**STATUS, "advice": ["x" * 400] * 60}
    assert json_size(large) > 16 * 1024
    result = StatusWriter(client).write([update(large)])[0]
    assert result.outcome is WriteOutcome.TOO_LARGE
    assert "16384" in result.message
    assert client.calls == []


def test_one_failure_does_not_stop_the_others() -> None:
    client = MemoryClient()
    updates = []
    for i in range(20):
        obj = client.put(PROFILES, "demo", f"p{i}")
        updates.append(StatusUpdate(ref(f"p{i}", obj["metadata"]["uid"]), STATUS, None))
    client.faults["PATCH", f"{PROFILES.path('demo', 'p3')}/status"] = [errors.Unreachable("reset")]
    client.faults["PATCH", f"{PROFILES.path('demo', 'p7')}/status"] = [errors.Conflict("busy", status=409)]
    results = StatusWriter(client, parallelism=4).write(updates)
    assert [r.ref.name for r in results] == [u.ref.name for u in updates]
    assert {r.ref.name for r in results if r.outcome is WriteOutcome.FAILED} == {"p3", "p7"}
    assert sum(r.outcome is WriteOutcome.WRITTEN for r in results) == 18


@pytest.mark.parametrize("parallelism", [1, 4])
def test_an_operator_that_stops_learns_what_was_written_before(parallelism: int) -> None:
    """What was written is remembered, and its transitions become Events."""
    client = MemoryClient()
    updates = [
        StatusUpdate(ref(f"p{i}", client.put(PROFILES, "demo", f"p{i}")["metadata"]["uid"]), STATUS, None)
        for i in range(6)
    ]
    for i in range(3, 6):
        client.faults["PATCH", f"{PROFILES.path('demo', f'p{i}')}/status"] = [
            errors.Stopped("the operator is stopping")
        ]
    outcomes = [r.outcome for r in StatusWriter(client, parallelism=parallelism).write(updates)]
    assert outcomes == [WriteOutcome.WRITTEN] * 3 + [WriteOutcome.FAILED] * 3


class Waits(threading.Event):
    """How long each of several threads was to wait; none does."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.seconds.append(timeout or 0.0)
        return False


def test_writes_are_spaced_evenly_whatever_the_number_of_threads() -> None:
    client, now, stop = MemoryClient(), [0.0], Waits()
    updates = []
    for i in range(6):
        obj = client.put(PROFILES, "demo", f"p{i}")
        updates.append(StatusUpdate(ref(f"p{i}", obj["metadata"]["uid"]), STATUS, None))
    writer = StatusWriter(client, parallelism=3, per_second=4.0, stop=stop, clock=lambda: now[0])
    writer.write(updates[:4])
    assert sorted(stop.seconds) == [0.0, 0.25, 0.5, 0.75]
    now[0] = 60.0  # what was not used meanwhile is not made up for
    writer.write(updates[4:])
    assert sorted(stop.seconds[4:]) == [0.0, 0.25]


def test_a_part_of_a_status_that_is_gone_is_not_remembered_as_refused() -> None:
    client = client_with()
    client.faults["PATCH", f"{PROFILES.path('demo', 'etl')}/status"] = [errors.Rejected("no /status", status=422)]
    writer = StatusWriter(client)
    (result,) = writer.write([update({"conditions": [CONDITION]}, digest(STATUS), partial=True)])
    assert (result.outcome, writer.refused) == (WriteOutcome.FAILED, 0)
    assert "the next cycle writes all of it" in result.message


def test_where_admission_cannot_be_asked_one_status_a_namespace_and_minute_is_sent() -> None:
    """Each of thousands waited for the time limit of a webhook that hangs, and other namespaces behind them."""
    client, now = MemoryClient(), [0.0]
    updates = []
    for namespace in ("hangs", "fine"):
        for i in range(5):
            obj = client.put(PROFILES, namespace, f"p{i}")
            updates.append(StatusUpdate(ref(f"p{i}", obj["metadata"]["uid"], namespace=namespace), STATUS, None))

    def hang(method: str, path: str) -> None:
        if "/namespaces/hangs/" in path:
            now[0] += 10.0
            raise errors.Undecided('failed calling webhook "guard": context deadline exceeded', status=500)

    client.on_request = hang
    writer = StatusWriter(client, parallelism=1, clock=lambda: now[0])
    results = writer.write(updates)
    assert [r.outcome for r in results] == [WriteOutcome.FAILED] * 5 + [WriteOutcome.WRITTEN] * 5
    assert "context deadline exceeded" in results[0].message
    assert "another status of its namespace" in results[1].message
    assert now[0] == 10.0
    writer.write(updates[:5])
    assert now[0] == 10.0, "not tried again at once"
    now[0] += 60.0
    writer.write(updates[:5])
    assert now[0] == 80.0
    now[0] += 60.0
    client.on_request = lambda *_: None
    assert [r.outcome for r in writer.write(updates[:5])] == [WriteOutcome.WRITTEN] * 5
