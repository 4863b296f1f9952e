"""The session below the client library: bodies, limits, retries and refusals of every request to a metrics store.

The library only needs something that looks like a requests session. What it gets back instead of a response is an
answer already checked and decoded, so the JSON is read once and nothing of the envelope is lost.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies
from urllib3.exceptions import HTTPError, ReadTimeoutError
from urllib3.util.retry import Retry

from concertmaster import __version__
from concertmaster.net.retry import RETRYABLE_STATUS, Breaker, RetryPolicy, parse_retry_after
from concertmaster.prometheus.client import credentials, scrub
from concertmaster.prometheus.client.errors import (
    AuthFailed,
    MetricsError,
    NotPrometheus,
    Partial,
    SourceUnreachable,
    TimedOut,
    TooLarge,
)
from concertmaster.prometheus.client.refusals import CHECK_URL, refusal
from concertmaster.prometheus.client.vector import Envelope, Malformed, NotWhole, decode
from concertmaster.settings import Source

_CONNECT_SECONDS = 5.0
_CHUNK = 65_536


@dataclass(frozen=True, slots=True)
class Tools:
    """Clocks, pause and chance, replaceable so that tests take no time."""

    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = random.random


@dataclass(frozen=True, slots=True)
class Answer:
    """What the library takes for a response. ``json()`` hands the envelope through wherever the library digs."""

    envelope: Envelope
    status_code: int = 200

    def json(self) -> dict[str, Any]:
        """The shape the library expects, with the decoded envelope in the place of the result."""
        return {"data": {"result": self.envelope}}


class _Again(Exception):
    """One attempt failed in a way another attempt may cure."""

    def __init__(self, error: MetricsError, retry_after: float | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.retry_after = retry_after


class Transport:
    """Looks like a session to the library: every request has a body, a deadline, bounded attempts, a bounded answer."""

    def __init__(self, source: Source, policy: RetryPolicy, breaker: Breaker, tools: Tools) -> None:
        self._source = source
        self._policy = policy
        self._breaker = breaker
        self._tools = tools
        self._names = threading.local()
        self._session = requests.Session()
        self._session.trust_env = False  # a .netrc entry would replace the configured credentials
        self._session.proxies = dict(get_environ_proxies(source.url))
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        for prefix in ("http://", "https://"):
            self._session.mount(prefix, HTTPAdapter(max_retries=Retry(0, read=False), pool_maxsize=4))
        self.verify: str | bool = source.tls.ca_file or not source.tls.insecure_skip_verify
        self.cert: tuple[str, str] | None = None
        if source.tls.cert_file and source.tls.key_file:
            self.cert = (source.tls.cert_file, source.tls.key_file)

    def mount(self, prefix: str, adapter: object) -> None:
        """The library mounts an adapter whose retries know no deadline and skip POST; it is not used."""

    def close(self) -> None:
        """Give the connections back."""
        self._session.close()

    def get(self, url: str, params: Mapping[str, str] | None = None, **_: object) -> Answer:
        """A GET; the library uses it for a few of its calls."""
        return self.request("GET", url, params)

    @property
    def name(self) -> str:
        """Name of the query this thread is asking, for messages."""
        return getattr(self._names, "value", "query")

    @name.setter
    def name(self, value: str) -> None:
        self._names.value = value

    @property
    def where(self) -> str:
        """Source and query, for messages."""
        return f"source {self._source.name} ({_address(self._source.url)}), {self.name}"

    def request(self, method: str, url: str, params: Mapping[str, str] | None = None, **_: object) -> Answer:
        """Send one logical request with all its attempts; an Answer, or a MetricsError.

        Whatever else the library passes (verify, cert, headers, timeout) is set here and ignored.
        """
        tools = self._tools
        begin = tools.monotonic()
        blocked = self._breaker.blocked(begin)
        if blocked > 0:
            raise SourceUnreachable(
                f"it failed repeatedly and is left alone for another {blocked:.0f} s",
                where=self.where,
                remedy="Nothing: it is asked again by itself",
            )
        deadline = begin + self._source.deadline_seconds
        attempt = 0
        while True:
            attempt += 1
            try:
                envelope = self._attempt(method, url, params or {}, deadline)
            except _Again as failure:
                now = tools.monotonic()
                wait = self._policy.pause(attempt, tools.chance(), deadline - now, failure.retry_after)
                if wait is None:
                    self._breaker.failed(now)
                    raise failure.error from None
                tools.sleep(wait)
            except TimedOut:
                self._breaker.failed(tools.monotonic())
                raise
            else:
                self._breaker.succeeded()
                return Answer(envelope)

    def _attempt(self, method: str, url: str, params: Mapping[str, str], deadline: float) -> Envelope:
        limit = min(self._source.timeout_seconds, deadline - self._tools.monotonic())
        until = self._tools.monotonic() + limit
        headers = {
            "Accept": "application/json",
            "User-Agent": f"concertmaster/{__version__}",
            **credentials.headers(self._source),
        }
        try:
            with self._session.request(
                method,
                url,
                params=None if method == "POST" else params,
                data=params if method == "POST" else None,
                headers=headers,
                timeout=(min(_CONNECT_SECONDS, limit), limit),
                allow_redirects=False,
                stream=True,
                verify=self.verify,
                cert=self.cert,
            ) as response:
                body = self._body(response, until)
        except requests.exceptions.ConnectTimeout:
            raise _Again(self._unreachable("no connection within the time limit")) from None
        except (requests.exceptions.ReadTimeout, ReadTimeoutError):
            raise self._timed_out() from None
        except requests.exceptions.SSLError as error:
            raise AuthFailed(
                f"no trusted TLS connection ({_root(error)})",
                where=self.where,
                remedy="Check tls.caFile and the host name",
            ) from None
        except (requests.exceptions.ChunkedEncodingError, HTTPError):
            raise _Again(self._cut()) from None
        except requests.exceptions.ConnectionError as error:
            if "timed out" in str(error).lower():
                raise self._timed_out() from None
            raise _Again(self._unreachable(f"no connection ({_root(error)})")) from None
        except (requests.exceptions.RequestException, OSError, ValueError) as error:
            # OSError: a certificate file that does not exist; its text names the path.
            raise AuthFailed(
                f"the request cannot be made ({_root(error)})", where=self.where, remedy=CHECK_URL
            ) from None
        hidden = scrub.secrets(headers, credentials.secret_headers(self._source))
        return self._judge(response, body, hidden)

    def _body(self, response: requests.Response, until: float) -> bytes:
        """Read the body, holding the limits of size and time against a server that sends without end or drop by drop."""
        parts: list[bytes] = []
        size = 0
        # Not iter_content: it waits until a chunk is full, however long the server takes over it.
        while part := response.raw.read1(_CHUNK, decode_content=True):
            size += len(part)
            parts.append(part)
            if size > self._source.max_response_bytes:
                raise TooLarge(
                    f"the answer is larger than {self._source.max_response_bytes} bytes",
                    where=self.where,
                    remedy="Raise maxResponseBytes of the source, or give the operator fewer namespaces",
                )
            if self._tools.monotonic() > until:
                raise self._timed_out()
        return b"".join(parts)

    def _judge(self, response: requests.Response, body: bytes, hidden: tuple[str, ...]) -> Envelope:
        status = response.status_code
        kind = response.headers.get("Content-Type", "").lower()
        envelope: Envelope | None = None
        odd = ""
        if "html" in kind or body.lstrip()[:1] == b"<":
            odd = "it answers with a web page"
        else:
            try:
                envelope = scrub.envelope(decode(body), hidden)
            except NotWhole as malformed:
                if status == 200 and body.lstrip().startswith(b'{"status"'):
                    raise _Again(self._cut()) from None
                odd = scrub.text(str(malformed), hidden)
            except Malformed as malformed:
                odd = scrub.text(str(malformed), hidden)
        if status == 200 and envelope is not None and envelope.status == "success":
            return envelope
        if status == 200 and envelope is None:
            raise NotPrometheus(odd, where=self.where, remedy=CHECK_URL)
        error = refusal(
            status, envelope, self.where, scrub.text(_address(response.headers.get("Location", "")), hidden)
        )
        if status in RETRYABLE_STATUS and not isinstance(error, TimedOut):
            raise _Again(error, parse_retry_after(response.headers.get("Retry-After"), self._tools.wall()))
        raise error

    def _unreachable(self, what: str) -> SourceUnreachable:
        return SourceUnreachable(what, where=self.where, remedy="Check that it runs and that its URL is right")

    def _timed_out(self) -> TimedOut:
        return TimedOut(
            f"no whole answer within {self._source.timeout_seconds:g} s",
            where=self.where,
            remedy="Raise timeoutSeconds of the source, or find out why the store is slow",
        )

    def _cut(self) -> Partial:
        return Partial("the answer was cut off", where=self.where, remedy="Check the store and proxies before it")


def _address(url: str) -> str:
    """Scheme, host and path of a URL: no user, no query, so nothing secret."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "an address that cannot be read"
    return f"{parts.scheme}://{host}{port}{parts.path}" if host else parts.path


def _root(error: BaseException) -> str:
    """The innermost cause in a few words; libraries wrap it several times over."""
    cause: BaseException = error
    while True:
        inner = getattr(cause, "reason", None) or (cause.args[0] if cause.args else None) or cause.__cause__
        if not isinstance(inner, BaseException):
            break
        cause = inner
    text = str(cause).split("\n", 1)[0]
    return text.rsplit(": ", 1)[-1][:160] if isinstance(cause, HTTPError) else text[:160]
