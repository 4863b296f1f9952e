"""One message in the forms that receivers read. Pure.

Names of workflows and runs come from tenants. In a chat some characters are markup: `<!channel>` in the name of a step would
call everybody, so that they are escaped; other forms are JSON values of their own.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from concertmaster.core.model.enums import NotifyEvent, ReceiverFormat
from concertmaster.core.times import iso
from concertmaster.core.units import HOUR

_TITLES = {
    NotifyEvent.DEGRADED: "Slower than before",
    NotifyEvent.OBJECTIVE_MISSED: "Objective missed",
    NotifyEvent.RUN_LATE: "Run late",
    NotifyEvent.APPROVAL_REQUIRED: "Change waiting for approval",
    NotifyEvent.APPLIED: "Change applied",
    NotifyEvent.KEPT: "Change verified and kept",
    NotifyEvent.ROLLED_BACK: "Change rolled back",
    NotifyEvent.ORPHANED: "Change left to people",
    NotifyEvent.WEEKLY_DIGEST: "Weekly digest",
}
CALM = (NotifyEvent.APPROVAL_REQUIRED, NotifyEvent.APPLIED, NotifyEvent.KEPT, NotifyEvent.WEEKLY_DIGEST)
_ALERT_LASTS = HOUR  # seconds: nothing tells Alertmanager that it is resolved
MAX_TEXT = 3000


@dataclass(frozen=True, slots=True)
class Message:
    """Something to tell about ``name`` (a profile, or for a digest a policy) of ``namespace`` at ``at`` (unix seconds).
    ``subject``: the run or change it is about; the same event about the same subject is one piece of news."""

    event: NotifyEvent
    namespace: str
    name: str
    text: str
    at: float
    subject: str = ""

    @property
    def title(self) -> str:
        """The headline."""
        return (
            f"{_TITLES[self.event]}: {self.namespace}/{self.name}"
            if self.namespace
            else (f"{_TITLES[self.event]}: {self.name}")
        )

    @property
    def identity(self) -> str:
        """The same for messages that say the same."""
        return "|".join((self.event.value, self.namespace, self.name, self.subject))


def body(message: Message, form: ReceiverFormat) -> bytes:
    """The request's body."""
    document: Any
    if form is ReceiverFormat.SLACK:
        document = {"text": f"*{_slack(message.title)}*\n{_slack(message.text)}"}
    elif form is ReceiverFormat.ALERTMANAGER:
        document = [_alert(message)]
    else:
        document = {
            "event": message.event.value,
            "namespace": message.namespace,
            "name": message.name,
            "subject": message.title,
            "about": message.subject,
            "text": message.text[:MAX_TEXT],
            "severity": _severity(message),
            "at": iso(message.at),
        }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _alert(message: Message) -> dict[str, Any]:
    labels = {
        "alertname": f"Concertmaster{message.event.value}",
        "namespace": message.namespace,
        "profile": message.name,
        "about": message.subject,
        "severity": _severity(message),
    }
    return {
        "labels": {name: value for name, value in labels.items() if value},
        "annotations": {"summary": message.title, "description": message.text[:MAX_TEXT]},
        "startsAt": iso(message.at),
        "endsAt": iso(message.at + _ALERT_LASTS),
    }


def _severity(message: Message) -> str:
    return "info" if message.event in CALM else "warning"


def _slack(text: str) -> str:
    return text[:MAX_TEXT].replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
