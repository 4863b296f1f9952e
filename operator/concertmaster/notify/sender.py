"""Delivery of messages: in a thread for each receiver, once each, signed, retried within limits, and rate-limited.

A receiver that is down must hold up neither a cycle nor other receivers, and a workflow that flaps must not fill a chat,
nor keep the messages of other namespaces out of it. URL and key stand in files
that Secrets are mounted as; they are read for every message, and neither ends up in a log line.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import logging
import queue
import ssl
import urllib.error
import urllib.request
import uuid
from base64 import b64encode
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from email.message import EmailMessage
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

from concertmaster import __version__
from concertmaster.core.model.enums import ReceiverFormat
from concertmaster.core.times import recent
from concertmaster.core.units import DAY, HOUR
from concertmaster.net.background import in_background
from concertmaster.net.retry import RETRYABLE_STATUS, RetryPolicy, Tools, parse_retry_after, retrying
from concertmaster.notify.mail import mail, send
from concertmaster.notify.messages import CALM, Message, body
from concertmaster.notify.undeliverable import Undeliverable, unreachable
from concertmaster.settings import Receiver

log = logging.getLogger("concertmaster.notify")

REPEAT_AFTER = DAY  # seconds in which the same news is reported once
MAX_QUEUED = 1000
MAX_PER_HOUR = 60  # messages to one receiver; beyond that, those of namespaces that had less than an even share
CALM_SHARE = 2 / 3  # of these for good news, which come by the thousand when automatic changes are switched on
DEADLINE = 300.0  # seconds in which a message is tried again
_MAX_REMEMBERED = 10_000
_MAX_FILE_BYTES = 65_536
SIGNATURE = "X-Concertmaster-Signature"
DELIVERY = "X-Concertmaster-Delivery"


class _Outbox:
    """The messages to one receiver: those that wait, and when the last hour's were sent, for which namespace, and whether
    they were calm."""

    def __init__(self) -> None:
        self.waiting: queue.Queue[Message | None] = queue.Queue(MAX_QUEUED)
        self.sent: deque[tuple[float, str, bool]] = deque()
        self.delivery: Future[None] | None = None

    def has_room(self, message: Message, now: float) -> bool:
        """Whether one more message may be sent for its namespace: each has an even share, whatever the others send, of what
        calm messages leave to the rest or may have themselves."""
        while self.sent and not recent(self.sent[0][0], now, HOUR):
            self.sent.popleft()
        calm, most = message.event in CALM, MAX_PER_HOUR * CALM_SHARE
        alike = Counter(namespace for _, namespace, was_calm in self.sent if was_calm is calm)
        others = len(self.sent) - alike.total()
        most = min(most, MAX_PER_HOUR - others) if calm else MAX_PER_HOUR - min(most, others)
        return alike.total() < most or alike[message.namespace] < most / len({*alike, message.namespace})

    def add(self, message: Message, now: float) -> None:
        """Queue a message. Raises queue.Full."""
        self.waiting.put_nowait(message)
        self.sent.append((now, message.namespace, message.event in CALM))


class Sender:
    """``offer`` is called from the cycle's thread. ``count`` is called with receiver and outcome: sent, repeated,
    limited, dropped or failed."""

    def __init__(
        self,
        receivers: Sequence[Receiver],
        *,
        count: Callable[[str, str], None] = lambda _receiver, _outcome: None,
        policy: RetryPolicy | None = None,
        tools: Tools | None = None,
    ) -> None:
        self._receivers: Mapping[str, Receiver] = {r.name: r for r in receivers}
        self._count = count
        self._policy = policy or RetryPolicy(attempts=6, first_pause=1.0, longest_pause=60.0)
        self._tools = tools or Tools()
        self._reported: OrderedDict[str, float] = OrderedDict()
        self._outboxes = {name: _Outbox() for name in self._receivers}

    def offer(self, name: str, message: Message) -> None:
        """Send ``message`` to the receiver called ``name``, unless the same message was sent recently or too many were."""
        receiver = self._receivers.get(name)
        if receiver is None:
            return
        now, key = self._tools.wall(), f"{name}|{message.identity}"
        if recent(self._reported.get(key), now, REPEAT_AFTER):
            self._count(name, "repeated")
            return
        outbox = self._outboxes[name]
        if not outbox.has_room(message, now):
            self._count(name, "limited")
            return
        try:
            outbox.add(message, now)
        except queue.Full:
            self._count(name, "dropped")
            return
        self._reported[key] = now
        self._reported.move_to_end(key)
        while len(self._reported) > _MAX_REMEMBERED:
            self._reported.popitem(last=False)
        if outbox.delivery is None:
            outbox.delivery = in_background(partial(self._work, receiver, outbox.waiting), name="notifications")

    def close(self, seconds: float) -> None:
        """Deliver what waits, for at most so long."""
        deliveries = []
        for outbox in self._outboxes.values():
            if outbox.delivery is not None:
                deliveries.append(outbox.delivery)
                with suppress(queue.Full):
                    outbox.waiting.put_nowait(None)
        wait(deliveries, seconds)

    def _work(self, receiver: Receiver, waiting: queue.Queue[Message | None]) -> None:
        while (message := waiting.get()) is not None:
            try:
                self._deliver(receiver, message)
            except Undeliverable as error:
                log.warning("receiver %s was not notified of %s: %s", receiver.name, message.event.value, error)
                self._count(receiver.name, "failed")
            except Exception:
                log.exception("telling receiver %s failed in an unexpected way", receiver.name)
                self._count(receiver.name, "failed")
            else:
                self._count(receiver.name, "sent")

    def _deliver(self, receiver: Receiver, message: Message) -> None:
        number = uuid.uuid4().hex
        if receiver.format is ReceiverFormat.EMAIL:
            attempt = partial(self._mail, receiver, mail(message, receiver, number))
        else:
            attempt = partial(self._attempt, receiver, body(message, receiver.format), number)
        retrying(
            attempt,
            lambda error, _: error.after if isinstance(error, Undeliverable) and error.again else None,
            self._policy,
            deadline=self._tools.monotonic() + DEADLINE,
            tools=self._tools,
        )

    def _mail(self, receiver: Receiver, message: EmailMessage) -> None:
        """One delivery to the relay."""
        refused = send(message, receiver, _line(receiver.url_file, "urlFile"))
        if refused:
            log.warning(
                "the relay of receiver %s refused %d of its recipients (%d)", receiver.name, len(refused), refused[0]
            )

    def _attempt(self, receiver: Receiver, content: bytes, number: str) -> None:
        """One request. The same ``number`` in every try lets a receiver drop what it has already."""
        url = _line(receiver.url_file, "urlFile")
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Undeliverable("its urlFile holds no http or https URL", again=False)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"concertmaster/{__version__}",
            DELIVERY: number,
        }
        if receiver.signing_key_file is not None:
            key = _line(receiver.signing_key_file, "signingKeyFile")
            headers[SIGNATURE] = signature(key, content, int(self._tools.wall()))
        login, found, place = parts.netloc.rpartition("@")
        if found:  # urllib would look up a host of that name
            headers["Authorization"] = f"Basic {b64encode(unquote_to_bytes(login)).decode()}"
            url = parts._replace(netloc=place).geturl()
        request = urllib.request.Request(url, data=content, headers=headers, method="POST")
        try:
            with _opener(receiver).open(request, timeout=receiver.timeout_seconds) as answer:
                answer.read(_MAX_FILE_BYTES)
        except urllib.error.HTTPError as error:
            with error:
                after = parse_retry_after(error.headers.get("Retry-After"), self._tools.wall())
            again = error.code in RETRYABLE_STATUS or error.code == 500
            raise Undeliverable(f"it answered with HTTP {error.code}", again=again, after=after or 0.0) from None
        except (OSError, http.client.HTTPException) as error:
            raise unreachable("it", error, receiver.timeout_seconds) from None
        except ValueError:
            raise Undeliverable("its urlFile holds no usable URL", again=False) from None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Redirects are refused: a message goes to the configured receiver only."""

    def redirect_request(self, *_: Any) -> None:
        """Never."""
        return


def _opener(receiver: Receiver) -> urllib.request.OpenerDirector:
    context = ssl.create_default_context(cafile=receiver.ca_file)
    return urllib.request.build_opener(_NoRedirect, urllib.request.HTTPSHandler(context=context))


def signature(key: str, content: bytes, at: int) -> str:
    """What a receiver checks: the time (unix seconds), and the HMAC-SHA256 of time, a dot and the body."""
    code = hmac.new(key.encode(), f"{at}.".encode() + content, hashlib.sha256).hexdigest()
    return f"t={at},v1={code}"


def _line(path: str, field: str) -> str:
    """The one line of a file, read anew because mounted Secrets change."""
    try:
        with Path(path).open("rb") as file:
            text = file.read(_MAX_FILE_BYTES).decode("utf-8").strip()
    except OSError as error:
        raise Undeliverable(
            f"its {field} cannot be read ({error.strerror or type(error).__name__})", again=True
        ) from None
    except UnicodeDecodeError:
        text = ""
    if not text or "\n" in text:
        raise Undeliverable(f"its {field} is empty or not one line of text", again=True)
    return text
