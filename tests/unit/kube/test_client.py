"""The Kubernetes client on the wire: retries, deadlines, chunks, errors, secrets."""

from __future__ import annotations

import json
import threading
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from concertmaster.kube import apply, errors, events, profiles, writer
from concertmaster.kube.apply import PatchOutcome, patch_object
from concertmaster.kube.client import METADATA_ONLY, ClientLimits, KubeClient, load_configuration
from concertmaster.kube.events import EventType, Note
from concertmaster.kube.objects import PROFILES, ObjectRef
from concertmaster.kube.profiles import discovered_profile
from tests.support.controller.apiserver import QUICK, Answer, Request, failure, serving
from tests.support.resources import CRONJOB

PODS = "/api/v1/pods"


@pytest.mark.parametrize(
    "first", [failure(503, "ServiceUnavailable"), failure(429, "TooManyRequests"), Answer(drop=True)]
)
def test_transient_faults_are_repeated(first: Answer) -> None:
    with serving([first, Answer(body={"kind": "Pod"})]) as (server, client):
        assert client.get(PODS) == {"kind": "Pod"}
        assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (failure(403, "Forbidden"), errors.Forbidden),
        (failure(403, "Forbidden", '"a" is forbidden: exceeded quota: q, requested: count/x=1'), errors.NotAdmitted),
        (
            failure(403, "Forbidden", "unable to create new content in namespace a because it is being terminated"),
            errors.NotAdmitted,
        ),
        (failure(403, "Forbidden", 'admission webhook "names" denied the request: no'), errors.Denied),
        (failure(403, "Forbidden", "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no"), errors.Denied),
        (failure(500, "InternalError", 'admission webhook "names" denied the request: no'), errors.Denied),
        (failure(404, "NotFound", 'admission webhook "names" denied the request: no'), errors.Denied),
        (failure(404, "NotFound"), errors.NotFound),
        (failure(409, "Conflict"), errors.Conflict),
        (failure(422, "Invalid"), errors.Rejected),
        (failure(400, "BadRequest"), errors.Rejected),
    ],
)
def test_final_answers_are_not_repeated(answer: Answer, kind: type[errors.KubeError]) -> None:
    with serving([answer]) as (server, client):
        with pytest.raises(kind) as caught:
            client.get(PODS)
        assert len(server.requests) == 1
        assert type(caught.value) is kind
        assert caught.value.status == answer.status
        assert PODS in str(caught.value)


def test_attempts_are_bounded() -> None:
    with serving([failure(500, "InternalError")]) as (server, client):
        with pytest.raises(errors.Busy):
            client.get(PODS)
        assert len(server.requests) == QUICK.attempts


def test_a_server_that_hangs_is_given_up_on() -> None:
    limits = ClientLimits(connect=0.5, read=0.2, deadline=1.0, attempts=2, first_pause=0.01, longest_pause=0.01)
    with serving([Answer(hang=60.0)], limits=limits) as (_, client):
        begun = time.monotonic()
        with pytest.raises(errors.Unreachable):
            client.get(PODS)
        assert time.monotonic() - begun < 30.0


def test_an_answer_that_comes_byte_by_byte_is_given_up_at_the_deadline() -> None:
    limits = ClientLimits(connect=0.5, read=2.0, deadline=0.5, attempts=2, first_pause=0.01, longest_pause=0.01)
    with serving([Answer(body={"kind": "x" * 2000}, drip=0.02)], limits=limits) as (_, client):
        begun = time.monotonic()
        with pytest.raises(errors.Unreachable, match="not complete in time"):
            client.get(PODS)
        assert time.monotonic() - begun < 20.0, "it takes 40 s as a whole"


def test_a_list_that_goes_on_at_the_same_place_is_given_up() -> None:
    page = {"items": [{"metadata": {"name": "a"}}], "metadata": {"continue": "here"}}
    with serving([Answer(body=page)]) as (server, client):
        with pytest.raises(errors.Busy, match="where it already was"):
            list(client.items(PODS))
        assert len(server.requests) == 2


def test_retry_after_beyond_the_deadline_ends_the_request_at_once() -> None:
    with serving([failure(429, "TooManyRequests", **{"Retry-After": "600"})]) as (server, client):
        begun = time.monotonic()
        with pytest.raises(errors.Busy):
            client.get(PODS)
        assert time.monotonic() - begun < 30.0
        assert len(server.requests) == 1


def test_retry_after_is_waited_for() -> None:
    with serving([failure(429, "TooManyRequests", **{"Retry-After": "1"}), Answer(body={"a": 1})]) as (_, client):
        begun = time.monotonic()
        assert client.get(PODS) == {"a": 1}
        assert time.monotonic() - begun >= 1.0


def test_a_write_of_a_workflow_is_not_begun_again_later_than_at_once() -> None:
    """It was repeated for a minute, while a person could have suspended the policy that allowed it."""
    ref, operations = ObjectRef(CRONJOB, "demo", "etl", "u-1"), [{"op": "test", "path": "/kind", "value": "CronJob"}]
    late = failure(503, "ServiceUnavailable", **{"Retry-After": "1"})
    with serving([late, Answer(body={"kind": "CronJob"})]) as (server, client):
        assert patch_object(client, ref, operations).outcome is PatchOutcome.UNCERTAIN
        assert len(server.requests) == 1
    with serving([late, Answer(body={"kind": "CronJob"})]) as (server, client):
        assert patch_object(client, ref, operations, dry_run=True).outcome is PatchOutcome.TRIED
        assert len(server.requests) == 2


def test_admission_that_hangs_is_waited_for_once_and_slow_admission_is_no_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each of four attempts waited for the webhook's time limit; a write that took longer than a second had no answer."""
    monkeypatch.setattr(apply, "_PROMPT", 0.1)
    monkeypatch.setattr(apply, "DRY_RUN_SECONDS", 0.1)
    ref, operations = ObjectRef(CRONJOB, "demo", "etl", "u-1"), [{"op": "test", "path": "/kind", "value": "CronJob"}]
    for dry_run, done in ((True, PatchOutcome.TRIED), (False, PatchOutcome.DONE)):
        why = 'failed calling webhook "guard": context deadline exceeded'
        with serving([replace(failure(500, "InternalError", why), hang=0.2)]) as (server, client):
            tried = patch_object(client, ref, operations, dry_run=dry_run)
            assert (tried.outcome, why in tried.message) == (PatchOutcome.FORBIDDEN, True)
            assert len(server.requests) == 1
        with serving([Answer(body={"kind": "CronJob"}, hang=0.2)]) as (_, client):
            assert patch_object(client, ref, operations, dry_run=dry_run).outcome is done


def test_profiles_statuses_and_events_wait_once_for_admission_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (profiles, writer, events):
        monkeypatch.setattr(module, "SLOW_ONCE", 0.1)
    etl = ObjectRef(PROFILES, "demo", "etl", "u-1")
    body = discovered_profile("demo", "etl", {}, {})
    sends: list[Callable[[KubeClient], object]] = [
        lambda client: profiles.create_profile(client, body),
        lambda client: profiles.relabel_profile(client, etl, {"team": "data"}),
        lambda client: profiles.withdraw_profile(client, etl, "1"),
        lambda client: writer.StatusWriter(client).write([writer.StatusUpdate(etl, {"score": 1}, None)]),
        lambda client: events.EventRecorder(client, instance="test").post(
            Note(etl, EventType.WARNING, "A", "B", "text")
        ),
    ]
    hangs = replace(failure(500, "InternalError", 'failed calling webhook "guard": deadline exceeded'), hang=0.2)
    for send in sends:
        with serving([hangs]) as (server, client):
            send(client)
            assert len(server.requests) == 1
        with serving([failure(503, "ServiceUnavailable"), Answer(body={"metadata": {}})]) as (server, client):
            send(client)
            assert len(server.requests) == 2, "what passes at once is tried again"


def test_a_rotated_token_gets_one_more_look() -> None:
    with serving([failure(401, "Unauthorized"), Answer(body={"a": 1})]) as (_, client):
        assert client.get(PODS) == {"a": 1}
    with serving([failure(401, "Unauthorized")]) as (server, client):
        with pytest.raises(errors.Unauthorized):
            client.get(PODS)
        assert len(server.requests) == 2


def test_an_answer_that_is_not_json_is_no_empty_object() -> None:
    with serving([Answer(raw=b"<html>login</html>")]) as (_, client), pytest.raises(errors.Busy, match="not JSON"):
        client.get(PODS)


def test_a_truncated_answer_is_no_empty_object() -> None:
    with serving([Answer(raw=b'{"items": [')]) as (_, client), pytest.raises(errors.Busy):
        client.get(PODS)


def test_long_lists_come_in_chunks() -> None:
    def pages(request: Request) -> Answer:
        start = int(request.query.get("continue", "0"))
        items = [{"metadata": {"name": f"p{i}"}} for i in range(start, min(5, start + int(request.query["limit"])))]
        following = str(start + len(items)) if start + len(items) < 5 else ""
        return Answer(body={"items": items, "metadata": {"continue": following}})

    with serving(pages) as (server, client):
        names = [p["metadata"]["name"] for p in client.items(PODS, chunk=2, label_selector="a=b")]
        assert names == ["p0", "p1", "p2", "p3", "p4"]
        assert len(server.requests) == 3
        assert {r.query["labelSelector"] for r in server.requests} == {"a=b"}


def test_a_list_whose_place_was_forgotten_goes_on() -> None:
    def pages(request: Request) -> Answer:
        token = request.query.get("continue")
        if token == "old":
            return Answer(410, {"reason": "Expired", "message": "too old", "metadata": {"continue": "fresh"}})
        if token == "fresh":
            return Answer(body={"items": [{"n": 2}], "metadata": {}})
        return Answer(body={"items": [{"n": 1}], "metadata": {"continue": "old"}})

    with serving(pages) as (_, client):
        assert [i["n"] for i in client.items(PODS)] == [1, 2]


def test_a_list_whose_every_place_is_forgotten_ends() -> None:
    """The cycle would ask for ever, and with it everybody wait."""

    def pages(request: Request) -> Answer:
        token = f"{request.query.get('continue', '')}x"
        if len(token) > 50:
            return Answer(body={"items": [], "metadata": {}})
        return Answer(410, {"reason": "Expired", "message": "compacted", "metadata": {"continue": token}})

    with serving(pages) as (server, client):
        with pytest.raises(errors.Expired):
            list(client.items(PODS))
        assert len(server.requests) == 2


def test_a_list_that_cannot_go_on_says_so() -> None:
    with serving([failure(410, "Expired")]) as (_, client), pytest.raises(errors.Expired):
        list(client.items(PODS))


def test_metadata_only_lists_ask_for_metadata() -> None:
    with serving([Answer(body={"items": []})]) as (server, client):
        assert list(client.items(PODS, metadata_only=True)) == []
        assert server.requests[0].headers["Accept"] == METADATA_ONLY


def test_of_metadata_managed_fields_are_not_kept_and_the_rest_is() -> None:
    def pages(request: Request) -> Answer:
        number = int(request.query.get("continue", "0"))
        metadata = {"name": f"p{number}", "generation": 2, "labels": {"a": "b"}, "ownerReferences": [{"uid": "u"}]}
        whole = {
            "kind": "Pod",
            "metadata": metadata | {"managedFields": [{"fieldsV1": {"f:status": {}}}]},
            "spec": {"x": 1},
        }
        return Answer(body={"items": [whole], "metadata": {"continue": "1" if not number else None}})

    with serving(pages) as (_, client):
        found = list(client.items(PODS, metadata_only=True))
    rest = {"generation": 2, "labels": {"a": "b"}, "ownerReferences": [{"uid": "u"}]}
    assert found == [{"metadata": {"name": f"p{n}", **rest}} for n in range(2)]


@pytest.mark.parametrize(
    ("place", "count"),
    [({"continue": "1", "remainingItemCount": 41}, 42), ({"continue": "1"}, None), ({}, 1), ({"continue": ""}, 1)],
)
def test_objects_are_counted_by_a_list_of_one(place: dict[str, object], count: int | None) -> None:
    with serving([Answer(body={"items": [{"metadata": {"name": "p"}}], "metadata": place})]) as (server, client):
        assert client.count(PODS) == count
        assert server.requests[0].query == {"limit": "1"}
        assert server.requests[0].headers["Accept"] == METADATA_ONLY


@pytest.mark.parametrize("text", ['{"items":null,"metadata":{"continue":null}}', '{"items":[]}', "{}"])
def test_lists_of_metadata_may_be_empty(text: str) -> None:
    with serving([Answer(raw=text.encode())]) as (_, client):
        assert list(client.items(PODS, metadata_only=True)) == []


@pytest.mark.parametrize(
    "text", ['{"items":[{"metadata":{}},}', '{"items":[', '["items"]', '{"items":[{"metadata":7}]}', "<html>"]
)
def test_what_is_no_list_of_metadata_is_no_empty_list(text: str) -> None:
    with serving([Answer(raw=text.encode())]) as (_, client), pytest.raises(errors.Busy, match="not JSON"):
        list(client.items(PODS, metadata_only=True))


def test_requests_carry_identity_and_field_manager() -> None:
    with serving([Answer()], token="s3cret") as (server, client):
        client.patch(PODS, [{"op": "test", "path": "/a", "value": 1}], kind="json")
        request = server.requests[0]
        assert request.headers["Authorization"] == "Bearer s3cret"
        assert request.headers["User-Agent"].startswith("concertmaster/")
        assert request.headers["Content-Type"] == "application/json-patch+json"
        assert request.query["fieldManager"] == "concertmaster"
        assert request.body == [{"op": "test", "path": "/a", "value": 1}]


def test_secrets_stay_out_of_errors_and_repr() -> None:
    with serving([failure(403, "Forbidden")], token="s3cret") as (_, client):
        with pytest.raises(errors.Forbidden) as caught:
            client.get(PODS)
        assert "s3cret" not in str(caught.value)
        assert "s3cret" not in repr(client.connection())
        assert client.connection().token == "s3cret"


def test_nothing_is_sent_once_stopping() -> None:
    stop = threading.Event()
    with serving([Answer()]) as (server, client):
        stopped = KubeClient(load_like(server.url), stop=stop)
        stop.set()
        with pytest.raises(errors.Stopped):
            stopped.get(PODS)
        assert server.requests == []
        assert client.get(PODS) == {}


def test_whoever_may_have_been_succeeded_asks_and_reads_but_writes_nothing() -> None:
    lease = [True, False, False]
    answers = [failure(503, "ServiceUnavailable"), Answer(body={"kind": "Pod"}), Answer(body={"kind": "Review"})]
    with serving(answers) as (server, client):
        client.guard_writes(lambda _path, _body: lease.pop(0))
        with pytest.raises(errors.NotLeader, match="the lease was not renewed in time"):
            client.patch(f"{PODS}/p", {})  # refused between two attempts of one write
        with pytest.raises(errors.NotLeader):
            client.create(PODS, {})
        assert client.get(PODS) == {"kind": "Pod"}
        assert client.create("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {}) == {"kind": "Review"}
        assert [r.method for r in server.requests] == ["PATCH", "GET", "POST"]


def test_stopping_ends_the_pause_between_attempts() -> None:
    stop = threading.Event()
    limits = ClientLimits(first_pause=30.0, longest_pause=30.0, deadline=120.0)
    with serving([failure(503, "ServiceUnavailable", **{"Retry-After": "20"})]) as (server, _):
        client = KubeClient(load_like(server.url), stop=stop, limits=limits)
        threading.Timer(0.2, stop.set).start()
        begun = time.monotonic()
        with pytest.raises(errors.Stopped):
            client.get(PODS)
        assert time.monotonic() - begun < 15.0  # the pause asked for is 20 s


def test_a_missing_kubeconfig_is_explained(tmp_path: Path) -> None:
    with pytest.raises(errors.NoConnection, match="KUBECONFIG"):
        load_configuration(tmp_path / "none", None)
    bad = tmp_path / "bad"
    bad.write_text("a: [")
    with pytest.raises(errors.NoConnection, match="bad"):
        load_configuration(bad, None)


def load_like(url: str):  # type: ignore[no-untyped-def]
    from kubernetes.client import Configuration

    configuration = Configuration()
    configuration.host = url
    return configuration


def test_objects_of_a_page_are_decoded_one_by_one() -> None:
    heavy = [{"metadata": {"name": f"w{i}"}, "spec": [[] for _ in range(60_000)]} for i in range(25)]
    tracemalloc.start()
    try:
        with serving([Answer(raw=json.dumps({"items": heavy, "metadata": {}}).encode())]) as (_, client):
            heavy.clear()
            tracemalloc.reset_peak()
            assert sum(len(obj["spec"]) for obj in client.items(PODS)) == 25 * 60_000
            peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 40 << 20  # all at once are 100 MiB


def test_pages_of_large_objects_have_few() -> None:
    small, large = [{"n": "x" * 100}] * 10, [{"n": "x" * 2_000_000}] * 4

    def page(items: list[dict[str, str]], token: str) -> Answer:
        return Answer(raw=json.dumps({"items": items, "metadata": {"continue": token}}).encode())

    with serving([page(small, "a"), page(small, "b"), page(large, "c"), page(large[:1], "")]) as (server, client):
        assert sum(1 for _ in client.items(PODS, chunk=25)) == 25
    assert [request.query["limit"] for request in server.requests] == ["10", "20", "25", "2"]


@pytest.mark.parametrize(
    "text", ['{"items":[{"n":1},{"n":2}],"metadata":{"continue":""}}',
             ' { "metadata" : {} , "items" : [ {"n":1} , {"n":2} ] } ', '{"kind":"List","items":null}', '{"items":[]}', "{}"]
)  # fmt: skip
def test_pages_are_read_however_they_are_written(text: str) -> None:
    expected = json.loads(text).get("items") or []
    with serving([Answer(raw=text.encode())]) as (_, client):
        assert list(client.items(PODS)) == expected


@pytest.mark.parametrize("text", ['{"items":[{"n":1},}', '{"items":[{"n":1} {"n":2}]}', '["items"]'])
def test_a_page_that_is_no_json_is_an_error(text: str) -> None:
    with serving([Answer(raw=text.encode())]) as (_, client), pytest.raises(errors.Busy, match="not JSON"):
        list(client.items(PODS))
