"""Answers of the API server: read within a time limit, and decoded.

Pages of a list are decoded object by object: a page of definitions of a megabyte each takes twenty times that as a whole.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

import msgspec
import urllib3

from concertmaster.core.units import MIB
from concertmaster.kube.errors import Busy, from_status

FIRST_PAGE = 10
"""Objects of the first page of a list: nothing is known of their size yet."""

NOT_JSON = "the answer is not JSON (a proxy in between, or it was cut short)"
_CHUNK = 65_536
_PAGE_BYTES = 4 * MIB
T = TypeVar("T")


class _ListMeta(msgspec.Struct):  # null is what a server in Go makes of what it never set
    token: str | None = msgspec.field(name="continue", default=None)
    remaining: int | None = msgspec.field(name="remainingItemCount", default=None)


class _List(msgspec.Struct, Generic[T]):
    metadata: _ListMeta = msgspec.field(default_factory=_ListMeta)
    items: list[T] | None = None


class _ObjectMeta(msgspec.Struct):
    """The fields decoded from lists of metadata. All others are skipped unread: managed fields alone are most of the
    text."""

    name: Any = msgspec.UNSET
    namespace: Any = msgspec.UNSET
    uid: Any = msgspec.UNSET
    resourceVersion: Any = msgspec.UNSET
    generation: Any = msgspec.UNSET
    creationTimestamp: Any = msgspec.UNSET
    deletionTimestamp: Any = msgspec.UNSET
    labels: Any = msgspec.UNSET
    ownerReferences: Any = msgspec.UNSET


class _Item(msgspec.Struct):
    metadata: _ObjectMeta | None = None


class Page:
    """One page of a list. ``token``: the continue token, empty for none; ``objects``: how many there are from this page on,
    None where the server does not say."""

    _decoder: Any = msgspec.json.Decoder(_List[msgspec.Raw])

    def __init__(self, payload: bytes) -> None:
        """Raises ValueError for what is no list."""
        page = self._decoder.decode(payload)
        self.token, self._items = page.metadata.token or "", page.items or []
        remaining = page.metadata.remaining if self.token else 0
        self.objects = None if remaining is None else len(self._items) + remaining
        self._bytes = len(payload)

    def next_limit(self, limit: int, most: int) -> int:
        """How many objects the next page may have, by the size of those on this one, which had at most ``limit``."""
        average = self._bytes / max(1, len(self._items))
        return max(1, min(most, 2 * limit, int(_PAGE_BYTES / average)))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The objects in order; each is released with its caller's last reference. Raises ValueError for one that cannot
        be decoded."""
        return map(msgspec.json.decode, self._items)


class MetadataPage(Page):
    """A page from which only the metadata that identify, date and label an object are decoded."""

    _decoder = msgspec.json.Decoder(_List[_Item])

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for item in self._items:
            yield {"metadata": msgspec.to_builtins(item.metadata or _ObjectMeta())}


P = TypeVar("P", bound=Page)


def read_body(answer: urllib3.BaseHTTPResponse, late: Callable[[], bool]) -> bytes:
    """The body of a response. HTTPError when it is still being sent once ``late`` returns true: the socket's limit
    applies to each read, so a body sent byte by byte would block until the liveness probe fails."""
    parts: list[bytes] = []
    while part := answer.read1(_CHUNK):
        parts.append(part)
        if late():
            answer.close()
            raise urllib3.exceptions.HTTPError("its answer is not complete in time")
    return b"".join(parts)


def decode_object(status: int, payload: bytes, headers: Mapping[str, str], what: str) -> dict[str, Any]:
    """The object of an answer; KubeError for one that reports a failure. ``what`` names the request."""
    try:
        document = json.loads(payload) if payload else {}
    except ValueError:
        document = None
    if 200 <= status < 300:
        if not isinstance(document, dict):
            raise Busy(f"{what}: {NOT_JSON}", status=status)
        return document
    details = document if isinstance(document, dict) else {}
    text = str(details.get("message") or payload[:200].decode("utf-8", "replace"))
    raise from_status(
        status,
        what,
        text,
        str(details.get("reason") or ""),
        retry_after=_seconds(headers.get("Retry-After")),
        continue_token=str((details.get("metadata") or {}).get("continue") or ""),
    )


def decode_page(made: type[P], status: int, payload: bytes, headers: Mapping[str, str], what: str) -> P:
    """The page of an answer, as ``decode_object``."""
    if 200 <= status < 300:
        try:
            return made(payload)
        except ValueError as error:
            raise Busy(f"{what}: {NOT_JSON}", status=status) from error
    decode_object(status, payload, headers, what)
    raise Busy(f"{what}: HTTP status {status} is not expected", status=status)


def _seconds(header: str | None) -> float | None:
    """A Retry-After in seconds; its other form, a date, is not used by the API server."""
    return float(header) if header and header.isdecimal() else None
