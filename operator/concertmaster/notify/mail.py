"""Messages as e-mail, handed to the relay that a receiver's URL names.

``smtps://`` is TLS from the first byte and ``smtp://`` wants STARTTLS before anything is said, since messages name workflows
and the URL may hold a password; ``smtp+plain://`` does without, and then without a login.
"""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Sequence
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from urllib.parse import SplitResult, unquote, urlsplit

from concertmaster.core.text import plain
from concertmaster.core.times import utc
from concertmaster.notify.messages import MAX_TEXT, Message
from concertmaster.notify.undeliverable import Undeliverable, unreachable
from concertmaster.settings import Receiver

_PORTS = {"smtps": 465, "smtp": 587, "smtp+plain": 25}
_SUBJECT = 200


def mail(message: Message, receiver: Receiver, number: str) -> EmailMessage:
    """The message. Every attempt has the same Message-ID, by which relays and mailboxes detect duplicates."""
    sender = str(receiver.mail_from)
    made = EmailMessage(policy=SMTP)
    made["From"] = sender
    made["To"] = ", ".join(receiver.mail_to)
    made["Subject"] = _clean(message.title)[:_SUBJECT]
    made["Date"] = format_datetime(utc(message.at))
    made["Message-ID"] = f"<{number}@{sender.rpartition('@')[2]}>"
    made["Auto-Submitted"] = "auto-generated"  # RFC 3834: no answer by a machine
    lines = [_clean(line) for line in message.text[:MAX_TEXT].split("\n")]
    about = [f"About: {_clean(message.subject)}"] if message.subject else []
    made.set_content("\n".join([*lines, "", *about, f"Event: {message.event.value}"]) + "\n")
    return made


def send(message: EmailMessage, receiver: Receiver, url: str) -> Sequence[int]:
    """Send it. Returns the codes of recipients that were refused while others were accepted. Raises Undeliverable."""
    parts = urlsplit(url)
    try:
        port = parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError:
        port = 0
    if parts.scheme not in _PORTS or not parts.hostname or not port:
        raise Undeliverable("its urlFile holds no smtps, smtp or smtp+plain URL", again=False)
    if parts.scheme == "smtp+plain" and parts.username:
        raise Undeliverable("its urlFile has a login for a connection without TLS; use smtps or smtp", again=False)
    try:
        with _connected(parts, port, receiver) as relay:
            refused = relay.send_message(message, str(receiver.mail_from), list(receiver.mail_to))
        return [code for code, _ in refused.values()]
    except smtplib.SMTPRecipientsRefused as error:
        codes = [code for code, _ in error.recipients.values()]
        raise Undeliverable(
            f"the relay refused all recipients ({codes[0]})", again=all(c < 500 for c in codes)
        ) from None
    except smtplib.SMTPResponseException as error:
        raise Undeliverable(f"the relay answered with {error.smtp_code}", again=400 <= error.smtp_code < 500) from None
    except UnicodeEncodeError:  # smtplib sends logins as ASCII; the exception names a character of the password
        raise Undeliverable("the login of its urlFile is not ASCII", again=False) from None
    except smtplib.SMTPNotSupportedError:
        raise Undeliverable("the relay offers no STARTTLS or no login", again=False) from None
    except (OSError, smtplib.SMTPException) as error:
        raise unreachable("the relay", error, receiver.timeout_seconds) from None


def _connected(parts: SplitResult, port: int, receiver: Receiver) -> smtplib.SMTP:
    """A connection on which a message may be sent."""
    context = ssl.create_default_context(cafile=receiver.ca_file)
    name, seconds = str(receiver.mail_from).rpartition("@")[2], receiver.timeout_seconds
    host = str(parts.hostname)
    if parts.scheme == "smtps":
        relay: smtplib.SMTP = smtplib.SMTP_SSL(host, port, name, timeout=seconds, context=context)
    else:
        relay = smtplib.SMTP(host, port, name, timeout=seconds)
    try:
        if parts.scheme == "smtp":
            relay.starttls(context=context)
        if parts.username:
            relay.login(unquote(parts.username), unquote(parts.password or ""))
    except BaseException:
        relay.close()
        raise
    return relay


def _clean(text: str) -> str:
    return plain(text).replace("\n", " ").encode("utf-8", "replace").decode()
