"""Messages to a real HTTP receiver: once, signed, tried again within limits, and without a secret in any log line."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from base64 import b64decode
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from concertmaster.core.model.enums import NotifyEvent, ReceiverFormat
from concertmaster.net.retry import RetryPolicy, Tools
from concertmaster.notify import sender as module
from concertmaster.notify.messages import Message
from concertmaster.notify.sender import DELIVERY, SIGNATURE, Sender
from concertmaster.settings import Receiver
from tests.support.local_server import QuietHandler, local_server

TOKEN = "T0K3N-of-the-webhook"
KEY = "signing-key-of-the-team"


@dataclass
class Hook:
    """What a receiver got, and what it answers: status and headers in turn, then 200."""

    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    got: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""

    def documents(self) -> list[Any]:
        return [json.loads(content) for _, _, content in self.got]


@pytest.fixture
def hook() -> Iterator[Hook]:
    found = Hook()

    class Handler(QuietHandler):
        def do_POST(self) -> None:
            found.got.append((self.path, dict(self.headers), self.content()))
            status, headers = found.answers.pop(0) if found.answers else (200, {})
            self.answer(status, headers=headers)

    with local_server(Handler) as address:
        found.url = f"{address}/services/{TOKEN}"
        yield found


@dataclass
class Bed:
    """One sender with one receiver; pauses take no time and are recorded."""

    directory: Path
    hook: Hook
    form: ReceiverFormat = ReceiverFormat.SLACK
    pauses: list[float] = field(default_factory=list)
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    now: float = 1.8e9
    meanwhile: Callable[[], object] = lambda: None  # happens in each pause

    def __post_init__(self) -> None:
        (self.directory / "url").write_text(self.hook.url + "\n")
        (self.directory / "key").write_text(KEY)
        self.receiver = Receiver(
            name="team",
            format=self.form,
            url_file=str(self.directory / "url"),
            signing_key_file=str(self.directory / "key"),
            timeout_seconds=2,
        )
        self.sender = Sender(
            [self.receiver],
            count=self.count,
            policy=RetryPolicy(attempts=4, first_pause=1.0, longest_pause=10.0),
            tools=Tools(wall=lambda: self.now, sleep=self.pause, chance=lambda: 0.0),
        )

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.meanwhile()

    def count(self, receiver: str, outcome: str) -> None:
        self.counts[receiver, outcome] += 1

    def outcomes(self) -> dict[str, int]:
        self.sender.close(120.0)
        return {outcome: n for (_, outcome), n in self.counts.items()}


@pytest.fixture
def bed(tmp_path: Path, hook: Hook) -> Bed:
    return Bed(tmp_path, hook)


def message(subject: str = "etl-7", **more: Any) -> Message:
    fields = {"event": NotifyEvent.RUN_LATE, "namespace": "data", "name": "wftmpl-etl", "text": "run etl-7 is late"}
    return Message(**{**fields, "at": 1.8e9, "subject": subject, **more})


def test_a_message_arrives_signed(bed: Bed, hook: Hook) -> None:
    bed.sender.offer("team", message())
    assert bed.outcomes() == {"sent": 1}
    ((path, headers, content),) = hook.got
    assert path == f"/services/{TOKEN}"
    assert headers["Content-Type"] == "application/json"
    parts = dict(p.split("=", 1) for p in headers[SIGNATURE].split(","))
    expected = hmac.new(KEY.encode(), f"{parts['t']}.".encode() + content, hashlib.sha256).hexdigest()
    assert (parts["t"], parts["v1"]) == ("1800000000", expected)
    assert hook.documents() == [{"text": "*Run late: data/wftmpl-etl*\nrun etl-7 is late"}]


def test_the_same_news_is_reported_once_a_day(bed: Bed, hook: Hook) -> None:
    for _ in range(3):
        bed.sender.offer("team", message(text="the expected end has moved"))
    bed.sender.offer("team", message("etl-8"))
    bed.now += 25 * 3600.0
    bed.sender.offer("team", message())
    assert bed.outcomes() == {"sent": 3, "repeated": 2}
    assert len(hook.got) == 3


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_receiver_in_trouble_is_tried_again_with_the_same_number(bed: Bed, hook: Hook, status: int) -> None:
    hook.answers = [(status, {}), (status, {"Retry-After": "7"})]
    bed.sender.offer("team", message())
    assert bed.outcomes() == {"sent": 1}
    assert len({headers[DELIVERY] for _, headers, _ in hook.got}) == 1
    assert len(hook.got) == 3
    assert bed.pauses[0] == 0.5
    assert bed.pauses[1] == 7.0


@pytest.mark.parametrize(("headers", "tries"), [({}, 6), ({"Retry-After": "110"}, 3)])
def test_by_default_there_are_six_tries_within_five_minutes(
    bed: Bed, hook: Hook, headers: dict[str, str], tries: int
) -> None:
    hook.answers = [(503, headers)] * 50
    paused: list[float] = []
    tools = Tools(wall=lambda: bed.now, monotonic=lambda: sum(paused), sleep=paused.append, chance=lambda: 1.0)
    sender = Sender([bed.receiver], count=bed.count, tools=tools)
    sender.offer("team", message())
    sender.close(120.0)
    assert bed.counts == {("team", "failed"): 1}
    assert len(hook.got) == tries
    assert sum(paused) <= 300.0


def test_tries_are_limited(bed: Bed, hook: Hook, caplog: pytest.LogCaptureFixture) -> None:
    hook.answers = [(503, {})] * 50
    bed.sender.offer("team", message())
    assert bed.outcomes() == {"failed": 1}
    assert len(hook.got) == 4
    assert "receiver team was not notified of RunLate: it answered with HTTP 503" in caplog.text
    assert TOKEN not in caplog.text and KEY not in caplog.text


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_a_refusal_is_final(bed: Bed, hook: Hook, status: int) -> None:
    hook.answers = [(status, {})] * 5
    bed.sender.offer("team", message())
    assert bed.outcomes() == {"failed": 1}
    assert len(hook.got) == 1


def test_redirects_are_not_followed(bed: Bed, hook: Hook) -> None:
    hook.answers = [(307, {"Location": f"{hook.url}/elsewhere"})]
    bed.sender.offer("team", message())
    assert bed.outcomes() == {"failed": 1}
    assert len(hook.got) == 1


def test_a_receiver_that_is_away_costs_tries_and_no_secret(
    bed: Bed, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "url").write_text(f"http://127.0.0.1:1/services/{TOKEN}")
    bed.sender.offer("team", message())
    assert bed.outcomes() == {"failed": 1}
    assert len(bed.pauses) == 3
    assert "it cannot be reached (Connection refused)" in caplog.text
    assert TOKEN not in caplog.text


def test_a_slow_receiver_is_named_as_such(
    bed: Bed, hook: Hook, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(*_: Any, **__: Any) -> None:
        raise TimeoutError("timed out")

    monkeypatch.setattr("http.client.HTTPConnection.getresponse", slow)
    bed.sender.offer("team", message())
    assert bed.outcomes() == {"failed": 1}
    assert "it did not answer within 2 s" in caplog.text


def test_a_login_in_the_url_is_sent_as_basic_authentication(bed: Bed, tmp_path: Path, hook: Hook) -> None:
    """As of an Alertmanager behind a password."""
    (tmp_path / "url").write_text(hook.url.replace("://", "://ops:a%40b%3Ac@"))
    bed.sender.offer("team", message())
    assert bed.outcomes() == {"sent": 1}
    ((path, headers, _),) = hook.got
    assert path == f"/services/{TOKEN}"
    assert b64decode(headers["Authorization"].removeprefix("Basic ")) == b"ops:a@b:c"
    assert "@" not in headers["Host"]


@pytest.mark.parametrize(
    "content", ["", "two\nlines", "ftp://127.0.0.1/x", "file:///etc/passwd", "not a url", b"\xff\xfe"]
)
def test_a_file_without_a_url_is_named_and_not_repeated(
    bed: Bed, tmp_path: Path, hook: Hook, caplog: pytest.LogCaptureFixture, content: str | bytes
) -> None:
    (tmp_path / "url").write_bytes(content if isinstance(content, bytes) else content.encode())
    bed.sender.offer("team", message())
    assert bed.outcomes() == {"failed": 1}
    assert hook.got == []
    assert "its urlFile" in caplog.text
    assert "passwd" not in caplog.text
    written = content in ("", "two\nlines", b"\xff\xfe")  # as of a Secret that is just being written
    assert bool(bed.pauses) is written


@pytest.mark.parametrize("content", [b"", b"\n", b"two\nlines", b"\xff\xfe"])
def test_nothing_is_signed_with_a_key_that_is_none(
    bed: Bed, tmp_path: Path, hook: Hook, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    """A Secret that is written meanwhile may be empty: anybody could make that signature."""
    (tmp_path / "key").write_bytes(content)
    bed.sender.offer("team", message())
    assert bed.outcomes() == {"failed": 1}
    assert hook.got == []
    assert "its signingKeyFile is empty or not one line of text" in caplog.text


def test_a_rotated_secret_is_used_at_once(bed: Bed, tmp_path: Path, hook: Hook) -> None:
    hook.answers = [(503, {})]
    (tmp_path / "url").unlink()
    bed.meanwhile = lambda: (tmp_path / "url").write_text(hook.url)
    bed.sender.offer("team", message())
    assert bed.outcomes() == {"sent": 1}


def test_a_flood_is_limited(bed: Bed, hook: Hook) -> None:
    for n in range(module.MAX_PER_HOUR + 15):
        bed.sender.offer("team", message(f"etl-{n}"))
    assert bed.outcomes() == {"sent": module.MAX_PER_HOUR, "limited": 15}


def test_a_flood_of_one_namespace_leaves_the_others_their_share(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PER_HOUR", 8)
    for namespace in ("flood", "quiet"):
        for n in range(10):
            bed.sender.offer("team", message(f"etl-{n}", namespace=namespace))
    bed.sender.offer("team", message(namespace="newcomer"))
    assert bed.outcomes() == {"sent": 8 + 4 + 1, "limited": 2 + 6}


def test_a_namespace_has_more_than_its_share_while_there_is_room(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PER_HOUR", 8)
    monkeypatch.setattr(Sender, "_deliver", lambda *_: None)
    bed.sender.offer("team", message(namespace="quiet"))
    for n in range(7):
        bed.sender.offer("team", message(f"etl-{n}"))
    assert bed.outcomes() == {"sent": 8}


@pytest.mark.parametrize("spaces", [1, 5, 200])
def test_thousands_of_applied_changes_leave_room_for_those_that_are_rolled_back(
    bed: Bed, monkeypatch: pytest.MonkeyPatch, spaces: int
) -> None:
    """They had taken the hour's messages, and a namespace with one of them had had its share of it."""
    sent: Counter[NotifyEvent] = Counter()
    monkeypatch.setattr(Sender, "_deliver", lambda _, __, found: sent.update([found.event]))
    for event, count in ((NotifyEvent.APPLIED, 1000), (NotifyEvent.ROLLED_BACK, 15)):
        for n in range(count):
            bed.sender.offer("team", message(f"etl-{n}", namespace=f"team-{n % spaces}", event=event))
    bed.outcomes()
    assert sent == {NotifyEvent.APPLIED: max(40, spaces), NotifyEvent.ROLLED_BACK: 15}


def test_good_news_have_no_room_where_others_have_taken_all(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sender, "_deliver", lambda *_: None)
    for event in (NotifyEvent.RUN_LATE, NotifyEvent.KEPT):
        for n in range(module.MAX_PER_HOUR):
            bed.sender.offer("team", message(f"etl-{n}", event=event))
    assert bed.outcomes() == {"sent": module.MAX_PER_HOUR, "limited": module.MAX_PER_HOUR}


def test_an_hour_later_there_is_room_again(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PER_HOUR", 2)
    for n in range(4):
        bed.sender.offer("team", message(f"etl-{n}"))
    bed.now += 3601.0
    bed.sender.offer("team", message("etl-9"))
    assert bed.outcomes() == {"sent": 3, "limited": 2}


def test_a_slow_receiver_does_not_hold_up_the_caller(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    monkeypatch.setattr(module, "MAX_PER_HOUR", 5000)
    monkeypatch.setattr(Sender, "_deliver", lambda *_: gate.wait(10))
    for n in range(module.MAX_QUEUED + 50):
        bed.sender.offer("team", message(f"etl-{n}"))
    assert bed.counts["team", "dropped"] >= 49
    gate.set()


def test_a_receiver_that_is_down_does_not_hold_up_the_others(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    up_again, delivered = threading.Event(), threading.Event()

    def deliver(_: Sender, receiver: Receiver, __: Message) -> None:
        if receiver.name == "down":
            up_again.wait(10)
        else:
            delivered.set()

    monkeypatch.setattr(Sender, "_deliver", deliver)
    sender = Sender([bed.receiver.model_copy(update={"name": "down"}), bed.receiver])
    sender.offer("down", message())
    sender.offer("team", message())
    assert delivered.wait(5)
    up_again.set()
    sender.close(5)


def test_an_unknown_receiver_is_nobody(bed: Bed, hook: Hook) -> None:
    bed.sender.offer("other", message())
    assert bed.outcomes() == {}


def test_alertmanager_gets_an_alert_that_ends_by_itself(tmp_path: Path, hook: Hook) -> None:
    bed = Bed(tmp_path, hook, ReceiverFormat.ALERTMANAGER)
    bed.sender.offer("team", message())
    assert bed.outcomes() == {"sent": 1}
    ((alert,),) = hook.documents()
    assert alert["labels"] == {
        "alertname": "ConcertmasterRunLate", "namespace": "data", "profile": "wftmpl-etl", "about": "etl-7",
        "severity": "warning",
    }  # fmt: skip
    assert alert["annotations"]["description"] == "run etl-7 is late"
    assert (alert["startsAt"], alert["endsAt"]) == ("2027-01-15T08:00:00Z", "2027-01-15T09:00:00Z")


def test_json_has_subject_and_text_for_relays(tmp_path: Path, hook: Hook) -> None:
    bed = Bed(tmp_path, hook, ReceiverFormat.JSON)
    bed.sender.offer("team", message(event=NotifyEvent.WEEKLY_DIGEST, namespace="", text="12 workflows"))
    assert bed.outcomes() == {"sent": 1}
    (document,) = hook.documents()
    assert (document["subject"], document["text"]) == ("Weekly digest: wftmpl-etl", "12 workflows")
    assert document["severity"] == "info"


@pytest.mark.parametrize("form", [f for f in ReceiverFormat if f is not ReceiverFormat.EMAIL])
def test_names_from_tenants_call_nobody_and_break_nothing(tmp_path: Path, hook: Hook, form: ReceiverFormat) -> None:
    bed = Bed(tmp_path, hook, form)
    evil = '<!channel> <https://evil.example|click> & "}],{"labels":{"x":"' + "\ud800" + "x" * 10_000
    bed.sender.offer("team", message(evil, text=evil))
    assert bed.outcomes() == {"sent": 1}
    (document,) = hook.documents()
    if form is ReceiverFormat.SLACK:
        assert "<" not in document["text"]
    assert len(hook.got[0][2]) < 30_000
