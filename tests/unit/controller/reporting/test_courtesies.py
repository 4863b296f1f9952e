"""Events, access reviews, telemetry and log lines."""

from __future__ import annotations

import json
import logging
import time
from typing import Any

import pytest

from concertmaster.controller.reporting.cycle_log import CycleLog
from concertmaster.controller.reporting.json_logging import JsonFormatter, redact
from concertmaster.controller.reporting.telemetry import Telemetry
from concertmaster.kube import errors
from concertmaster.kube.access import AccessChecker, Right
from concertmaster.kube.events import MAX_NOTE, EventRecorder, EventType, Note, PostOutcome
from concertmaster.kube.objects import CLUSTER_POLICIES, EVENTS, ObjectRef
from tests.support.clock import Clock
from tests.support.controller.fakes import MemoryClient, ref
from tests.support.resources import CRONJOB

START = 1_700_000_000.0


def note(text: str = "gone", uid: str = "uid-1") -> Note:
    return Note(ref(uid=uid), EventType.WARNING, "NotFound", text)


def posted(client: MemoryClient) -> list[dict[str, Any]]:
    return [o for p, o in client.objects.items() if "/events/" in p]


def test_an_event_is_reported_once_and_again_after_an_hour() -> None:
    client, clock = MemoryClient(), Clock(START)
    recorder = EventRecorder(client, instance="pod-1", clock=clock)
    assert recorder.post(note()) is PostOutcome.POSTED
    assert recorder.post(note()) is PostOutcome.REPEATED
    assert recorder.post(note("another text")) is PostOutcome.POSTED
    assert recorder.post(note(uid="uid-2")) is PostOutcome.POSTED
    clock.now += 3601.0
    assert recorder.post(note()) is PostOutcome.POSTED
    event = posted(client)[0]
    assert event["regarding"]["kind"] == "WorkflowProfile"
    assert event["regarding"]["uid"] == "uid-1"
    assert event["type"] == "Warning"
    assert event["reportingInstance"] == "pod-1"


def test_a_flood_is_cut_off_and_flows_again() -> None:
    client, clock = MemoryClient(), Clock(START)
    recorder = EventRecorder(client, instance="x", burst=6, per_second=0.5, clock=clock)
    outcomes = [recorder.post(note(f"text {i}")) for i in range(5)]
    assert outcomes == [PostOutcome.POSTED] * 3 + [PostOutcome.LIMITED] * 2
    clock.now += 2.0
    assert recorder.post(note("text 4")) is PostOutcome.POSTED


def test_a_flood_of_one_namespace_leaves_tokens_to_the_others() -> None:
    client, clock = MemoryClient(), Clock(START)
    recorder = EventRecorder(client, instance="x", burst=15, per_second=0.5, clock=clock)

    def post(namespace: str, count: int) -> int:
        notes = [
            Note(ref(uid=f"{namespace}-{i}", namespace=namespace), EventType.NORMAL, "New", "") for i in range(count)
        ]
        return [recorder.post(note) for note in notes].count(PostOutcome.POSTED)

    assert [post(name, 100) for name in ("flood", "another", "quiet")] == [6, 3, 2]
    clock.now += 10.0
    assert [post(name, 100) for name in ("flood", "late")] == [2, 2], "of five more tokens"


@pytest.mark.parametrize("spaces", [1, 500])
def test_a_flood_of_good_news_leaves_tokens_to_warnings(spaces: int) -> None:
    """Automatic changes are switched on for thousands of workflows, and some are rolled back."""
    recorder = EventRecorder(MemoryClient(), instance="x", clock=Clock(START))

    def post(severity: EventType, count: int) -> int:
        notes = [
            Note(ref(uid=f"{severity}-{i}", namespace=f"team-{i % spaces}"), severity, "New", "") for i in range(count)
        ]
        return [recorder.post(note) for note in notes].count(PostOutcome.POSTED)

    assert post(EventType.NORMAL, 500) in (20, 40)
    assert post(EventType.WARNING, 5) == 5


def test_a_note_is_one_bounded_line() -> None:
    client = MemoryClient()
    EventRecorder(client, instance="x", clock=Clock(START)).post(note("ä\n" * 2000))
    text = posted(client)[0]["note"]
    assert "\n" not in text
    assert len(text.encode()) <= MAX_NOTE


def test_a_missing_right_is_asked_for_once_an_hour() -> None:
    client, clock = MemoryClient(), Clock(START)
    client.faults["POST", EVENTS.path("demo")] = [errors.Forbidden("no", status=403)]
    recorder = EventRecorder(client, instance="x", clock=clock)
    assert recorder.post(note("a")) is PostOutcome.FORBIDDEN
    calls = len(client.calls)
    assert recorder.post(note("b")) is PostOutcome.FORBIDDEN
    assert len(client.calls) == calls
    clock.now += 3601.0
    assert recorder.post(note("b")) is PostOutcome.POSTED


def test_an_event_about_a_cluster_policy_has_a_namespace() -> None:
    client = MemoryClient()
    subject = ObjectRef(CLUSTER_POLICIES, None, "all", "uid-9")
    assert (
        EventRecorder(client, instance="x", clock=Clock(START)).post(Note(subject, EventType.NORMAL, "Ready", "ok"))
        is PostOutcome.POSTED
    )
    assert "namespace" not in posted(client)[0]["regarding"]


@pytest.mark.parametrize(
    "fault", [errors.Unreachable("x"), errors.NotFound("x", status=404), errors.Busy("x"), errors.Stopped("x")]
)
def test_a_failing_event_fails_nothing(fault: BaseException) -> None:
    client = MemoryClient()
    client.faults["POST", EVENTS.path("demo")] = [fault]
    recorder = EventRecorder(client, instance="x", clock=Clock(START))
    assert recorder.post(note()) is PostOutcome.FAILED
    assert recorder.post(note()) is PostOutcome.POSTED  # it was not remembered as reported


def test_access_is_asked_once_and_denials_sooner_again() -> None:
    client, clock = MemoryClient(), Clock(START)
    answers = {"demo": False, "prod": True}
    client.allows = lambda attributes: answers[attributes["namespace"]]  # type: ignore[method-assign]
    access = AccessChecker(client, clock=clock)
    rights = [Right("patch", CRONJOB, "demo"), Right("patch", CRONJOB, "prod")]
    assert access.missing(rights) == (rights[0],)
    assert access.missing(rights) == (rights[0],)
    assert len(client.calls) == 2
    answers["demo"] = True
    clock.now += 301.0
    assert access.missing(rights) == ()
    assert len(client.calls) == 3
    assert str(rights[0]) == "patch cronjobs.batch in namespace demo"


def test_an_unanswered_question_is_no_denial() -> None:
    client = MemoryClient()
    client.faults["POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"] = [errors.Unreachable("down")]
    access = AccessChecker(client)
    assert access.allowed(Right("patch", CRONJOB)) is None
    assert access.allowed(Right("patch", CRONJOB)) is True


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("Authorization: Bearer abcdef123456", "abcdef123456"),
        ('{"token": "s3cr3t-value"}', "s3cr3t-value"),
        ("https://ana:hunter22@prometheus.example/api", "hunter22"),
        ("password=topsecret&x=1", "topsecret"),
        ("got eyJhbGciOiJSUzI1.eyJzdWIiOiJh.c2lnbmF0dXJl from", "eyJzdWIiOiJh"),
        ("session-eyJhbGciOiJSUzI1.eyJzdWIiOiJh.c2lnbmF0dXJl", "eyJzdWIiOiJh"),
        ("a.eyJhbGciOiJSUzI1.eyJzdWIiOiJh.c2lnbmF0dXJl", "eyJzdWIiOiJh"),
        ("client_secret=topsecret access_token: other", "topsecret"),
        ("git+https://ana:hunter22@example.com/x", "hunter22"),
    ],
)
def test_secrets_do_not_reach_the_log(text: str, secret: str) -> None:
    assert secret not in redact(text)
    record = logging.LogRecord("x", logging.INFO, "f", 1, "%s", (text,), None)
    record.fields = {"detail": text, "n": 3}
    line = json.loads(JsonFormatter().format(record))
    assert secret not in json.dumps(line)
    assert line["n"] == 3
    assert {"ts", "level", "logger", "msg"} <= line.keys()


@pytest.mark.parametrize(
    "hostile",
    [
        "a-",
        "a.",
        "eyJ-",
        "eyJaaaaaaaa.",
        "eyJaaaaaaaa",
        "bearer ",
        "token ",
        'token"',
        "token= ",
        "a://b:",
        "basic\t",
        "-",
        "é-",
    ],
)
def test_removing_secrets_takes_time_in_proportion_to_the_text(hostile: str) -> None:
    def seconds(times: int) -> float:
        text = hostile * times
        begun = time.process_time()
        redact(text)
        return time.process_time() - begun

    small = min(seconds(4_000) for _ in range(3))
    large = min(seconds(32_000) for _ in range(3))
    assert large < 24 * max(small, 0.001), "eight times the text: sixty-four times the time if it grew with the square"


def test_an_innocent_text_stays_as_it_is() -> None:
    text = "source default at https://prometheus.example:9090 answered 42 queries"
    assert redact(text) == text


def test_metrics_have_no_label_per_object_and_start_at_zero() -> None:
    text = Telemetry().render().decode()
    assert 'concertmaster_cycles_total{result="success"} 0.0' in text
    assert "concertmaster_process_resident_memory_bytes" in text
    assert "namespace=" not in text
    assert "profile=" not in text


def test_a_failing_stage_is_counted_and_goes_on_to_the_caller() -> None:
    telemetry = Telemetry()
    with pytest.raises(ValueError, match="x"), CycleLog().stage("collect", telemetry):
        raise ValueError("x")
    text = telemetry.render().decode()
    assert 'concertmaster_failures_total{stage="collect"} 1.0' in text
    assert 'concertmaster_cycle_stage_seconds_count{stage="collect"} 1.0' in text
