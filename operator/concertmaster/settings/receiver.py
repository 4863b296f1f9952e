"""Where notifications go, as a typed model. The URL is a credential (that of a chat's webhook is all it takes to post) and
stands in a file, as the signing key does."""

from __future__ import annotations

from pydantic import Field

from concertmaster.core.model.enums import ReceiverFormat
from concertmaster.settings.source import DnsName, FilePath, NamespaceSelector, Section


class Receiver(Section):
    """One place that is told of events."""

    name: DnsName = Field(description="What policies call it in spec.notify.")
    format: ReceiverFormat = Field(
        ReceiverFormat.SLACK,
        description="Slack: a Slack-compatible webhook; Alertmanager: its /api/v2/alerts; JSON: an object with subject and "
        "text, for relays such as to e-mail.",
    )
    url_file: FilePath = Field(description="File holding the URL; read again for every message.")
    signing_key_file: FilePath | None = Field(
        None,
        description="File holding a key. Messages carry X-Concertmaster-Signature, the HMAC-SHA256 of time and body under "
        "it.",
    )
    ca_file: FilePath | None = Field(None, description="Certificate authority that signed the receiver's certificate.")
    namespace_selector: NamespaceSelector = Field(
        NamespaceSelector(), description="Namespaces whose policies may use this receiver."
    )
    timeout_seconds: float = Field(10, gt=0, le=60, description="Time limit of one attempt.")


def receiver_files(receiver: Receiver) -> list[str]:
    """Every file the receiver names."""
    return [path for path in (receiver.url_file, receiver.signing_key_file, receiver.ca_file) if path is not None]
