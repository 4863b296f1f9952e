"""Requests to a metrics source: bodies, limits, retries and refusals, below every query.

Of ``prometheus_api_client`` this takes the connection: the session for a URL, its adapter and its life. Its query methods
are not used: they put a POST's query into the URL, wait forever and hand out the result without the warnings that say
half of it is missing. An answer is checked and decoded here once, so nothing of its envelope is lost.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from http.cookiejar import DefaultCookiePolicy
from urllib.parse import urlsplit

import requests
from prometheus_api_client import PrometheusConnect
from requests.utils import get_environ_proxies
from urllib3.exceptions import HTTPError, ReadTimeoutError
from urllib3.util.retry import Retry

from concertmaster import __version__
from concertmaster.core.units import MIB
from concertmaster.net.retry import RETRYABLE_STATUS, Breaker, RetryPolicy, Tools, parse_retry_after, retrying
from concertmaster.prometheus.client import credentials, scrub
from concertmaster.prometheus.client.adapter import PromptAdapter
from concertmaster.prometheus.client.errors import (
    AuthFailed,
    MetricsError,
    NoFreeSlot,
    NotPrometheus,
    PartialAnswer,
    SourceUnreachable,
    TimedOut,
    TooLarge,
)
from concertmaster.prometheus.client.refusals import CHECK_URL, refusal, untrusted
from concertmaster.prometheus.client.request_limit import RequestLimit
from concertmaster.prometheus.client.response import Envelope, IncompleteBody, Malformed, decode
from concertmaster.prometheus.client.server_clock import ServerClock
from concertmaster.settings import MetricsSource

_CONNECT_SECONDS = 5.0
_CHUNK = 65_536
_MAX_RETRY_AFTER = 300.0  # seconds: a wrong header must not stop collection for days
MAX_USER_ANSWER_BYTES = 8 * MIB  # of the answer to a user's own query: 5,000 runs and steps fit


class _Again(Exception):
    """One attempt failed in a way another attempt may succeed."""

    def __init__(self, error: MetricsError, retry_after: float | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.retry_after = retry_after


class Transport(PrometheusConnect):  # type: ignore[misc]  # the library ships no types
    """The connection to one source: every request has a deadline, bounded attempts and a bounded answer."""

    def __init__(self, source: MetricsSource, tools: Tools) -> None:
        session = requests.Session()
        session.trust_env = False  # a .netrc entry would replace the configured credentials
        session.proxies = dict(get_environ_proxies(source.url))
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        # Retries are ours: the library's know no deadline and skip POST.
        super().__init__(url=source.url, session=session, retry=Retry(0, read=False))
        connections = source.max_concurrent_queries
        session.mount(source.url, PromptAdapter(max_retries=Retry(0, read=False), pool_maxsize=connections))
        self._source = source
        self._policy = RetryPolicy()
        self._breaker = Breaker()
        self._tools = tools
        self.limit = RequestLimit(lambda: source.max_concurrent_queries, tools.monotonic)
        self.clock = ServerClock()
        self._names = threading.local()
        self._verify: str | bool = source.tls.ca_file or not source.tls.insecure_skip_verify
        self._cert: tuple[str, str] | None = None
        if source.tls.cert_file and source.tls.key_file:
            self._cert = (source.tls.cert_file, source.tls.key_file)

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

    def ask(self, method: str, path: str, params: Mapping[str, str], *, counts: bool = True) -> Envelope:
        """Send one logical request with all its attempts; the envelope of a successful answer, or a MetricsError.

        ``counts``: a failure says something about the source. That of a user's own query says nothing to anybody else.
        """
        begin = self._tools.monotonic()
        blocked = self._breaker.blocked(begin)
        if blocked > 0:
            raise SourceUnreachable(
                f"it failed repeatedly and is left alone for another {blocked:.0f} s",
                where=self.where,
                remedy="Nothing: it is asked again by itself",
            )
        deadline = begin + self._source.deadline_seconds
        most = self._source.max_response_bytes
        most = most if counts else min(most, MAX_USER_ANSWER_BYTES)
        try:
            envelope = retrying(
                lambda: self._admitted(method, path, params, deadline, most, of_user=not counts),
                lambda error, _: (error.retry_after or 0.0) if isinstance(error, _Again) else None,
                self._policy,
                deadline=deadline,
                tools=self._tools,
            )
        except _Again as failure:
            if counts and not self.limit.quiet():  # the pause that it asked for is the one it gets
                self._breaker.failed(self._tools.monotonic())
            raise failure.error from None
        except TimedOut as error:
            if counts and not isinstance(error, NoFreeSlot):
                self._breaker.failed(self._tools.monotonic())
            raise
        if counts:
            self._breaker.succeeded()
        return envelope

    def _admitted(
        self, method: str, path: str, params: Mapping[str, str], deadline: float, most: int, *, of_user: bool
    ) -> Envelope:
        """One attempt, once the source wants requests and gets fewer than it may at a time."""
        if (quiet := self.limit.quiet()) > 0:
            raise _Again(self._unreachable(f"it asked for no requests for another {quiet:.0f} s (429)"), quiet)
        with self.limit.place(max(0.0, deadline - self._tools.monotonic()), of_user=of_user) as free:
            if not free:
                raise NoFreeSlot(
                    f"no other query ended within {self._source.deadline_seconds:g} s",
                    where=self.where,
                    remedy="Raise maxConcurrentQueries of the source, or find out why the metrics source is slow",
                )
            return self._attempt(method, self._source.url + path, params, deadline, most)

    def _attempt(self, method: str, url: str, params: Mapping[str, str], deadline: float, most: int) -> Envelope:
        """One attempt. Raises _Again where another one may help, else the MetricsError."""
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
                verify=self._verify,
                cert=self._cert,
            ) as response:
                self.clock.observe(response.headers, self._tools.wall())
                body = self._body(response, until, most)
        except requests.exceptions.ConnectTimeout:
            raise _Again(self._unreachable("no connection within the time limit")) from None
        except (requests.exceptions.ReadTimeout, ReadTimeoutError):
            raise self._timed_out() from None
        except requests.exceptions.SSLError as error:
            raise untrusted(_root(error), self.where) from None
        except (requests.exceptions.ChunkedEncodingError, HTTPError):
            raise _Again(self._cut()) from None
        except requests.exceptions.ConnectionError as error:
            if "timed out" in str(error).lower():
                raise self._timed_out() from None
            raise _Again(self._unreachable(f"no connection ({_root(error)})")) from None
        except (requests.exceptions.RequestException, OSError, ValueError) as error:
            # OSError: a certificate file that does not exist; its text names the path.
            file = isinstance(error, OSError) and not isinstance(error, requests.exceptions.RequestException)
            raise AuthFailed(
                f"the request cannot be made ({_root(error)})",
                where=self.where,
                remedy="Mount the file, or correct its path in tls of the source" if file else CHECK_URL,
            ) from None
        hidden = scrub.secrets(headers, credentials.secret_headers(self._source))
        return self._judge(response, body, hidden)

    def _body(self, response: requests.Response, until: float, most: int) -> bytes:
        """Read the body, holding the limits of size and time against a server that sends without end or drop by drop."""
        parts: list[bytes] = []
        size = 0
        # Not iter_content: it waits until a chunk is full, however long the server takes over it.
        while part := response.raw.read1(_CHUNK, decode_content=True):
            size += len(part)
            parts.append(part)
            if size > most:
                remedy = "Raise maxResponseBytes of the source, or give the operator fewer namespaces"
                raise TooLarge(
                    f"the answer is larger than {most} bytes",
                    where=self.where,
                    remedy=remedy if most == self._source.max_response_bytes else "Aggregate the query to fewer series",
                )
            if self._tools.monotonic() > until:
                raise self._timed_out()
        return b"".join(parts)

    def _judge(self, response: requests.Response, body: bytes, hidden: tuple[str, ...]) -> Envelope:
        """The envelope of a success; of anything else, the error as ``_attempt`` raises it. ``hidden``: texts to mask."""
        status = response.status_code
        kind = response.headers.get("Content-Type", "").lower()
        envelope: Envelope | None = None
        problem = ""
        if "html" in kind or body.lstrip()[:1] == b"<":
            problem = "it answers with a web page"
        else:
            try:
                envelope = scrub.envelope(decode(body), hidden)
            except IncompleteBody as malformed:
                if status == 200 and body.lstrip().startswith(b'{"status"'):
                    raise _Again(self._cut()) from None
                problem = scrub.text(str(malformed), hidden)
            except Malformed as malformed:
                problem = scrub.text(str(malformed), hidden)
        if status == 200 and envelope is not None and envelope.status == "success":
            return envelope
        if status == 200 and envelope is None:
            raise NotPrometheus(problem, where=self.where, remedy=CHECK_URL)
        error = refusal(
            status, envelope, self.where, scrub.text(_address(response.headers.get("Location", "")), hidden), body
        )
        if status in RETRYABLE_STATUS and not isinstance(error, TimedOut):
            wait = parse_retry_after(response.headers.get("Retry-After"), self._tools.wall())
            if status == 429 and wait is not None:
                self.limit.silence(min(wait, _MAX_RETRY_AFTER))
            raise _Again(error, wait)
        raise error

    def _unreachable(self, what: str) -> SourceUnreachable:
        return SourceUnreachable(what, where=self.where, remedy="Check that it runs and that its URL is right")

    def _timed_out(self) -> TimedOut:
        return TimedOut(
            f"no whole answer within {self._source.timeout_seconds:g} s",
            where=self.where,
            remedy="Raise timeoutSeconds of the source, or find out why the metrics source is slow",
        )

    def _cut(self) -> PartialAnswer:
        return PartialAnswer(
            "the answer was cut off", where=self.where, remedy="Check the metrics source and the proxies before it"
        )


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
