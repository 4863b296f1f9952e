"""Where notifications go, as a typed model. The URL is a credential (that of a chat's webhook is all it takes to post) and
stands in a file, as the signing key does."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from concertmaster.core.model.enums import ReceiverFormat
from concertmaster.settings.source import MAIL_ADDRESS, DnsName, FilePath, NamespaceSelector, Section

MailAddress = Annotated[str, StringConstraints(pattern=MAIL_ADDRESS, max_length=254)]


class Receiver(Section):
    """One place that is notified of events."""

    name: DnsName = Field(description="Name by which policies refer to it in spec.notify.")
    format: ReceiverFormat = Field(
        ReceiverFormat.SLACK,
        description="Slack: a Slack-compatible webhook; Alertmanager: its /api/v2/alerts; JSON: an object with subject and "
        "text; Email: a mail relay.",
    )
    url_file: FilePath = Field(
        description="File holding the URL, with login and password where needed; re-read for every message. Of a "
        "mail relay: smtps://HOST (TLS), smtp://HOST (STARTTLS) or smtp+plain://HOST."
    )
    mail_from: MailAddress | None = Field(
        None, description="Sender of e-mails.", examples=["concertmaster@example.com"]
    )
    mail_to: tuple[MailAddress, ...] = Field((), max_length=50, description="Recipients of e-mails.")
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

    @model_validator(mode="after")
    def _mail(self) -> Self:
        if self.format is ReceiverFormat.EMAIL:
            if self.mail_from is None or not self.mail_to:
                raise ValueError("a receiver of format Email needs mailFrom and mailTo")
            if self.signing_key_file is not None:
                raise ValueError("signingKeyFile is for formats that are sent by HTTP; e-mails are not signed")
        elif self.mail_from is not None or self.mail_to:
            raise ValueError("mailFrom and mailTo are for format Email")
        return self


def receiver_files(receiver: Receiver) -> list[str]:
    """Every file the receiver names."""
    return [path for path in (receiver.url_file, receiver.signing_key_file, receiver.ca_file) if path is not None]
