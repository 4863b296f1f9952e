"""The only access to the Kubernetes API: plain dicts over the official client's configuration and transport.

Only the configuration loader and the raw transport of the ``kubernetes`` package are used. Its generated model classes
cost megabytes and a Python object per field, and its typed calls have no retry, no deadline and no common error. Here
every request has a timeout, a bounded number of attempts and a deadline, because the package's default for all three
is "forever". Everything this operator sends is idempotent (fixed names, uid preconditions), so every verb may be
repeated.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import urllib3
from kubernetes.client import ApiClient, Configuration
from kubernetes.client.exceptions import ApiException

from concertmaster import __version__
from concertmaster.kube.configuration import ApiConnection, connection_of, load_configuration, one_line
from concertmaster.kube.errors import (
    Busy,
    Expired,
    KubeError,
    NoConnection,
    NotLeader,
    Stopped,
    Unauthorized,
    Unreachable,
)
from concertmaster.kube.responses import FIRST_PAGE, NOT_JSON, MetadataPage, Page, decode_object, decode_page, read_body
from concertmaster.net.retry import RetryPolicy, Tools, retrying

T = TypeVar("T")
_REVIEWS = ("/apis/authorization.k8s.io/", "/apis/authentication.k8s.io/")  # reads that are sent as POST
FIELD_MANAGER = "concertmaster"
CHUNK = 500
SLOW_ONCE = 5.0  # seconds in which a write is begun again: one that admission lets hang would hang each time
METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """Time limits of one request, in seconds, and how often it is tried."""

    connect: float = 5.0
    read: float = 30.0
    deadline: float = 60.0
    attempts: int = 4
    first_pause: float = 0.3
    longest_pause: float = 8.0


@dataclass(frozen=True, slots=True)
class _Call:
    """One request, as it is sent."""

    method: str
    path: str
    query: Mapping[str, str] | None = None
    body: Any = None
    content_type: str = "application/json"
    accept: str | None = None

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


WriteGuard = Callable[[str, Any], bool]
Observer = Callable[[str, int], None]


class KubeClient:
    """Requests as dicts in and out. Safe to use from several threads."""

    def __init__(
        self,
        configuration: Configuration,
        *,
        limits: ClientLimits | None = None,
        stop: threading.Event | None = None,
        observer: Observer | None = None,
    ) -> None:
        configuration.retries = False  # retries are ours: the transport's know neither deadline nor Retry-After
        configuration.connection_pool_maxsize = 8
        self._api: Any = ApiClient(configuration)  # its types stop at the generated calls
        self._api.user_agent = f"concertmaster/{__version__}"
        self._limits = limits or ClientLimits()
        self._stop = stop or threading.Event()
        self._observer = observer
        self._tools = Tools(sleep=self._stop.wait)
        self._may_write: WriteGuard = lambda _path, _body: True

    @classmethod
    def connect(
        cls,
        kubeconfig: Path | None = None,
        *,
        context: str | None = None,
        limits: ClientLimits | None = None,
        stop: threading.Event | None = None,
        observer: Observer | None = None,
    ) -> KubeClient:
        """A client for ``kubeconfig``, else the pod's service account, else $KUBECONFIG or ~/.kube/config. Raises
        NoConnection."""
        configuration = load_configuration(kubeconfig, context)
        try:
            return cls(configuration, limits=limits, stop=stop, observer=observer)
        except ImportError:  # the transport imports what a SOCKS proxy needs when it meets one
            raise NoConnection(
                "no connection to a cluster: a SOCKS proxy is not supported; name an HTTP proxy as proxy-url in the"
                " kubeconfig or in HTTPS_PROXY"
            ) from None

    @property
    def server(self) -> str:
        """The API server's URL."""
        return str(self._api.configuration.host)

    def close(self) -> None:
        """Close the connections."""
        self._api.close()

    def guard_writes(self, may_write: WriteGuard) -> None:
        """Ask ``may_write`` (with path and body) before every request that changes something, each attempt of it
        included; when it returns False, the request raises NotLeader instead of being sent."""
        self._may_write = may_write

    def connection(self) -> ApiConnection:
        """The present credentials; a rotated token file or an expired login is read again."""
        return connection_of(self._api.configuration)

    # --- requests -----------------------------------------------------------------------------------------------------

    def get(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """One object."""
        return self.request("GET", path, query=query)

    def create(self, path: str, body: Mapping[str, Any], *, again: float | None = None) -> dict[str, Any]:
        """Create an object. The name must be fixed by the caller, so that a repeated attempt ends in Conflict. ``again``:
        as of ``request``."""
        return self.request("POST", path, query={"fieldManager": FIELD_MANAGER}, body=body, again=again)

    def patch(self, path: str, body: Any, *, kind: str = "merge", again: float | None = None) -> dict[str, Any]:
        """Patch an object or subresource; ``kind`` is "merge" or "json" (a list of operations). ``again``: as of
        ``request``."""
        return self.request(
            "PATCH",
            path,
            query={"fieldManager": FIELD_MANAGER},
            body=body,
            content_type=f"application/{'json-patch' if kind == 'json' else 'merge-patch'}+json",
            again=again,
        )

    def delete(
        self, path: str, *, uid: str, resource_version: str | None = None, again: float | None = None
    ) -> dict[str, Any]:
        """Delete exactly the object with ``uid`` (and, when given, in that version), never a later namesake. ``again``: as
        of ``request``."""
        conditions = {"uid": uid} | ({"resourceVersion": resource_version} if resource_version else {})
        options = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": conditions}
        return self.request("DELETE", path, body=options, again=again)

    def items(
        self,
        path: str,
        *,
        label_selector: str | None = None,
        name: str | None = None,
        metadata_only: bool = False,
        chunk: int = CHUNK,
    ) -> Iterator[dict[str, Any]]:
        """All objects of a collection, or the one called ``name``, at most ``chunk`` at a time; fewer where objects are
        large. When a continue token has expired (410), the server hands out one to continue from the present state; it is
        used, since callers identify objects by uid and the next cycle lists again anyway."""
        limit = chunk if metadata_only else min(chunk, FIRST_PAGE)
        picked = {"labelSelector": label_selector, "fieldSelector": name and f"metadata.name={name}"}
        query = {"limit": str(limit), **{k: v for k, v in picked.items() if v}}
        decode: Callable[[int, bytes, Mapping[str, str], str], Page]
        decode, resumed = partial(decode_page, MetadataPage if metadata_only else Page), False
        while True:
            try:
                page = self._request(_Call("GET", path, query, accept=METADATA_ONLY if metadata_only else None), decode)
            except Expired as error:
                if not error.continue_token or resumed:  # the new place is forgotten as well: it would never end
                    raise
                query["continue"], resumed = error.continue_token, True
                continue
            resumed = False
            try:
                yield from page
            except ValueError as error:
                raise Busy(f"GET {path}: {NOT_JSON}", status=200) from error
            if not page.token:
                return
            if page.token == query.get("continue"):
                raise Busy(f"GET {path}: the list goes on at the place where it already was")
            query["continue"] = page.token
            if not metadata_only:
                query["limit"] = str(limit := page.next_limit(limit, chunk))

    def count(self, path: str) -> int | None:
        """The number of objects of a collection, by a list of one of them; None where the server does not say."""
        decode = partial(decode_page, MetadataPage)
        return self._request(_Call("GET", path, {"limit": "1"}, accept=METADATA_ONLY), decode).objects

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        accept: str | None = None,
        again: float | None = None,
    ) -> dict[str, Any]:
        """Send one request, repeating it on transient faults as long as another attempt begins within ``again`` seconds
        (None: within the deadline); KubeError when it fails for good."""
        return self._request(_Call(method, path, query, body, content_type, accept), decode_object, again=again)

    def _request(
        self,
        call: _Call,
        decode: Callable[[int, bytes, Mapping[str, str], str], T],
        *,
        again: float | None = None,
    ) -> T:
        """``request`` with another way to ``decode`` status, body, headers and what was asked for."""

        def attempt() -> T:
            if self._stop.is_set():
                raise Stopped(f"{call}: the operator is stopping")
            write = call.method != "GET" and not call.path.startswith(_REVIEWS)
            if write and not self._may_write(call.path, call.body):
                raise NotLeader(f"{call}: not sent, because the lease was not renewed in time or is another's")
            return decode(*self._send(call, until), str(call))

        most = self._limits
        policy = RetryPolicy(most.attempts, most.first_pause, most.longest_pause)
        begun = self._tools.monotonic()
        until = begun + most.deadline  # also for an answer that is late, as admission is slow: it tells what was stored
        return retrying(attempt, _worth, policy, deadline=until if again is None else begun + again, tools=self._tools)

    def _send(self, call: _Call, until: float) -> tuple[int, bytes, Mapping[str, str]]:
        """One attempt: status, body and headers of any answer. Raises Unreachable without one, and when it is not complete
        ``until`` then (monotonic seconds)."""
        headers = {"Accept": call.accept or "application/json"}
        if call.body is not None:
            headers["Content-Type"] = call.content_type
        status = 0
        try:
            serialized = self._api.param_serialize(
                call.method,
                call.path,
                query_params=list((call.query or {}).items()),
                header_params=headers,
                body=call.body,
                auth_settings=["BearerToken"],
            )
            answer = self._api.call_api(*serialized, _request_timeout=(self._limits.connect, self._limits.read))
            status = answer.status
            payload = read_body(answer.response, lambda: self._tools.monotonic() > until)
        except urllib3.exceptions.HTTPError as error:
            raise Unreachable(f"{call}: {self.server} does not answer: {one_line(error)}") from error
        except ApiException as error:  # the transport wraps TLS errors in it
            raise Unreachable(f"{call}: {self.server}: {one_line(error)}") from error
        finally:
            if self._observer is not None:
                self._observer(call.method, status)
        return status, payload, answer.headers


def _worth(error: Exception, tries: int) -> float | None:
    """Seconds the server asked to wait, when another attempt may help. A token may have been rotated between reading and
    using it, so 401 is retried once."""
    if not isinstance(error, KubeError) or not (error.retryable or (isinstance(error, Unauthorized) and tries == 1)):
        return None
    return error.retry_after or 0.0
