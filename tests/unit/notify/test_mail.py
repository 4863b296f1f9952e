"""E-mails by a real relay: encrypted, logged in, once, tried again within limits, and without a secret in any log line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from pydantic import ValidationError

from concertmaster.core.model.enums import NotifyEvent, ReceiverFormat
from concertmaster.net.retry import RetryPolicy, Tools
from concertmaster.notify import sender as module
from concertmaster.notify.messages import Message
from concertmaster.notify.sender import Sender
from concertmaster.settings import Receiver
from tests.support.notify.relay import LOGIN, Relay, relaying


@dataclass
class Bed:
    """A sender with one receiver behind a relay; pauses take no time and are recorded."""

    relay: Relay
    directory: Path
    url: str
    pauses: list[float] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    trusted: bool = True

    def __post_init__(self) -> None:
        file = self.directory / "url"
        file.write_text(f"{self.url}\n")
        receiver = Receiver(
            name="team",
            format=ReceiverFormat.EMAIL,
            url_file=str(file),
            mail_from="cm@ops.example",
            mail_to=("data@team.example", "lead@team.example"),
            ca_file=str(self.relay.certificate) if self.trusted else None,
            timeout_seconds=20,
        )
        self.sender = Sender(
            [receiver],
            count=lambda _, outcome: self.counts.update([outcome]),
            policy=RetryPolicy(attempts=4, first_pause=1.0, longest_pause=10.0),
            tools=Tools(wall=lambda: 1.8e9, sleep=self.pauses.append, chance=lambda: 0.0),
        )

    def tell(self, *messages: Message) -> dict[str, int]:
        for message in messages:
            self.sender.offer("team", message)
        self.sender.close(60.0)
        return dict(self.counts)


Make = Callable[..., Bed]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    with ExitStack() as stack:

        def made(url: str = "smtp://127.0.0.1:{port}", *, trusted: bool = True, **options: bool) -> Bed:
            relay = stack.enter_context(relaying(tmp_path, **options))
            return Bed(relay, tmp_path, url.format(port=relay.port), trusted=trusted)

        yield made


def message(subject: str = "etl-7", **more: Any) -> Message:
    fields = {"event": NotifyEvent.RUN_LATE, "namespace": "data", "name": "wftmpl-etl", "text": "run etl-7 is late"}
    return Message(**{**fields, "at": 1.8e9, "subject": subject, **more})


def test_a_message_arrives_encrypted_with_everything_a_reader_needs(make: Make) -> None:
    bed = make()
    assert bed.tell(message(text="run etl-7 is late:\nexpected end 02:10 UTC – 25 min after its deadline")) == {
        "sent": 1
    }
    ((sender, recipients, _),) = bed.relay.letters
    assert (sender, recipients, bed.relay.secured) == (
        "cm@ops.example",
        ["data@team.example", "lead@team.example"],
        [True],
    )
    (mail,) = bed.relay.mails()
    assert mail["Subject"] == "Run late: data/wftmpl-etl"
    assert (mail["From"], mail["To"]) == ("cm@ops.example", "data@team.example, lead@team.example")
    assert mail["Date"] == "Fri, 15 Jan 2027 08:00:00 +0000"
    assert mail["Auto-Submitted"] == "auto-generated"
    text = mail.get_content()
    assert "expected end 02:10 UTC – 25 min after its deadline" in text
    assert "About: etl-7" in text


def test_the_same_news_is_reported_once_a_day(make: Make) -> None:
    bed = make()
    assert bed.tell(message(), message(text="it moved"), message("etl-8")) == {"sent": 2, "repeated": 1}
    assert len(bed.relay.letters) == 2


@pytest.mark.parametrize("implicit", [False, True])
def test_the_login_of_the_url_is_used_behind_tls_only(make: Make, implicit: bool) -> None:
    user, password = (quote(part, safe="") for part in LOGIN)
    scheme = "smtps" if implicit else "smtp"
    bed = make(f"{scheme}://{user}:{password}@127.0.0.1:{{port}}", login=True, implicit=implicit)
    assert bed.tell(message()) == {"sent": 1}
    assert ("STARTTLS" in bed.relay.commands) is not implicit


@pytest.mark.parametrize(
    ("verb", "answer"), [("MAIL", "451 busy"), ("DATA", "421 closing"), ("END", "452 no room"), ("RCPT", "")]
)
def test_a_relay_in_trouble_is_tried_again_with_the_same_message(make: Make, verb: str, answer: str) -> None:
    bed = make()
    bed.relay.answers[verb] = [answer, answer]
    assert bed.tell(message()) == {"sent": 1}
    assert len(bed.relay.letters) == 1
    assert len(bed.pauses) == 2


def test_every_try_has_the_same_number(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relay that took a message and lost its answer gets it again; mailboxes know it by its Message-ID."""
    bed = make()
    seen: list[str] = []
    real = module.send

    def send(mail: Any, *more: Any) -> Any:
        seen.append(str(mail["Message-ID"]))
        return real(mail, *more)

    monkeypatch.setattr(module, "send", send)
    bed.relay.answers["END"] = ["451 lost"]
    assert bed.tell(message(), message("etl-8")) == {"sent": 2}
    assert seen[0] == seen[1] != seen[2]
    assert seen[0].endswith("@ops.example>")


@pytest.mark.parametrize(
    ("verb", "answer"), [("MAIL", "550 not from you"), ("END", "554 spam"), ("EHLO", "550 go away")]
)
def test_a_refusal_is_final(make: Make, caplog: pytest.LogCaptureFixture, verb: str, answer: str) -> None:
    bed = make()
    bed.relay.answers[verb] = [answer] * 9
    assert bed.tell(message()) == {"failed": 1}
    assert bed.pauses == []
    assert "was not notified of RunLate: the relay" in caplog.text
    assert "127.0.0.1" not in caplog.text


def test_attempts_end(make: Make) -> None:
    bed = make()
    bed.relay.answers["MAIL"] = ["451 busy"] * 9
    assert bed.tell(message()) == {"failed": 1}
    assert len(bed.pauses) == 3


def test_one_refused_recipient_does_not_keep_it_from_the_others(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    bed = make()
    bed.relay.answers["RCPT"] = ["550 unknown"]
    assert bed.tell(message()) == {"sent": 1}
    assert bed.relay.letters[0][1] == ["lead@team.example"]
    assert "refused 1 of its recipients (550)" in caplog.text
    assert "team.example" not in caplog.text


def test_all_recipients_refused_is_a_failure(make: Make) -> None:
    bed = make()
    bed.relay.answers["RCPT"] = ["550 unknown"] * 2
    assert bed.tell(message()) == {"failed": 1}


def test_a_wrong_password_is_final_and_not_logged(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    bed = make("smtp://relay-user:S3CRET-guess@127.0.0.1:{port}", login=True)
    assert bed.tell(message()) == {"failed": 1}
    assert "the relay answered with 535" in caplog.text
    assert "S3CRET" not in caplog.text
    assert bed.relay.letters == []


def test_a_login_that_smtp_cannot_send_is_final_and_not_logged(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    bed = make(f"smtp://relay-user:{quote('geheim-ß')}@127.0.0.1:{{port}}", login=True)
    assert bed.tell(message()) == {"failed": 1}
    assert "the login of its urlFile is not ASCII" in caplog.text
    assert "xdf" not in caplog.text and "unexpected" not in caplog.text
    assert bed.pauses == []


def test_nothing_is_said_without_tls(make: Make) -> None:
    bed = make(tls=False)
    assert bed.tell(message()) == {"failed": 1}
    assert "MAIL" not in bed.relay.commands
    other = make("smtp+plain://user:secret@127.0.0.1:{port}", tls=False)
    assert other.tell(message()) == {"failed": 1}
    assert other.pauses == [], "another try would find the same URL"
    assert other.relay.commands == [], "a password never crosses a connection without TLS"
    wanted = make("smtp+plain://127.0.0.1:{port}", tls=False)
    assert wanted.tell(message()) == {"sent": 1}


def test_a_relay_of_an_unknown_authority_gets_nothing(make: Make) -> None:
    bed = make(trusted=False)
    assert bed.tell(message()) == {"failed": 1}
    assert bed.relay.letters == []


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/x", "smtp://", "smtp://127.0.0.1:99999", "smtp://127.0.0.1:x", "mail"]
)
def test_a_url_that_is_none_is_final(make: Make, url: str) -> None:
    bed = make(url.replace("{", ""))
    assert bed.tell(message()) == {"failed": 1}
    assert bed.pauses == []


def test_names_from_tenants_add_no_header_and_no_recipient(make: Make) -> None:
    bed = make()
    evil = "x\r\nBcc: victim@example.com\r\n\r\n.\r\nMAIL FROM:<a@b>\r\n" + "\ud800\x00"
    assert bed.tell(message(evil, name=evil, text=f"{evil}\n.\n..\n" + "y" * 10_000)) == {"sent": 1}
    ((_, recipients, content),) = bed.relay.letters
    assert recipients == ["data@team.example", "lead@team.example"]
    (mail,) = bed.relay.mails()
    assert mail["Bcc"] is None
    assert set(mail.keys()) == {"From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "Content-Type",
                                "Content-Transfer-Encoding", "MIME-Version"}  # fmt: skip
    assert len(content) < 20_000
    assert len(bed.relay.letters) == 1


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"format": "Email", "mailTo": ["a@b.example"]}, "needs mailFrom and mailTo"),
        ({"format": "Email", "mailFrom": "a@b.example"}, "needs mailFrom and mailTo"),
        ({"format": "Slack", "mailFrom": "a@b.example"}, "are for format Email"),
        ({"format": "Email", "mailFrom": "A <a@b.example>", "mailTo": ["a@b.example"]}, "pattern"),
        ({"format": "Email", "mailFrom": "a@b.example", "mailTo": ["a@b.example,c@d.example"]}, "pattern"),
        ({"format": "Email", "mailFrom": "a@b.example", "mailTo": ["a@b.example\n"]}, "pattern"),
        ({"format": "Email", "mailFrom": "a@b.ex", "mailTo": ["a@b.ex"], "signingKeyFile": "/k"}, "sent by HTTP"),
    ],
)
def test_a_receiver_that_makes_no_sense_is_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Receiver.model_validate({"name": "team", "urlFile": "/u", **values})
