"""Who sent a request, and what they may read: TokenReview and SubjectAccessReview, as the API server itself decides.

Verdicts are kept for seconds, so that a page with its style sheet is one question and not ten; a token that says when it
ends is not known for longer than that. What could not be asked is never answered from an older verdict.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from concertmaster.kube.access import Right
from concertmaster.kube.client import ClientLimits, KubeClient
from concertmaster.kube.errors import Rejected
from concertmaster.kube.objects import SUBJECT_REVIEWS, TOKEN_REVIEWS, Resource

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

LIMITS = ClientLimits(connect=3.0, read=5.0, deadline=8.0, attempts=2)
_CONCURRENCY = 8


@dataclass(frozen=True, slots=True)
class Identity:
    """A user as the API server knows them."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class CacheLifetimes:
    """Seconds for which an answer is cached: of known and unknown tokens, of granted and denied rights. An outdated
    denial lets nobody in, and there are many denials: a user of one namespace among a thousand has 999."""

    known: float = 15.0
    unknown: float = 5.0
    granted: float = 30.0
    denied: float = 60.0


class ExpiringCache(Generic[K, V]):
    """At most ``most`` values, each until it expires; the oldest make room. Thread-safe."""

    def __init__(self, most: int, clock: Callable[[], float]) -> None:
        self._most = most
        self._clock = clock
        self._lock = threading.Lock()
        self._values: OrderedDict[K, tuple[float, V]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: K) -> tuple[V] | None:
        """The value, or None when there is none (any more)."""
        with self._lock:
            entry = self._values.get(key)
            if entry is None:
                return None
            if self._clock() < entry[0]:
                return (entry[1],)
            del self._values[key]
            return None

    def put(self, key: K, value: V, seconds: float) -> None:
        """Keep a value."""
        with self._lock:
            self._values[key] = (self._clock() + seconds, value)
            self._values.move_to_end(key)
            while len(self._values) > self._most:
                self._values.popitem(last=False)


class Reviewer:
    """Sends reviews to the API server. Every method raises KubeError when it fails. ``audiences``: those a token must be
    intended for; none: the API server's own. ``wall`` in unix seconds is compared with the expiration that a token names."""

    def __init__(
        self,
        client: KubeClient,
        audiences: Sequence[str] = (),
        *,
        most: int = 100_000,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._audiences = tuple(audiences)
        self._ages = CacheLifetimes()
        self._wall = wall
        self._identities: ExpiringCache[bytes, Identity | None] = ExpiringCache(max(1, most // 10), clock)
        self._rights: ExpiringCache[tuple[Identity, Right, str], bool] = ExpiringCache(most, clock)
        self._pool = ThreadPoolExecutor(_CONCURRENCY, thread_name_prefix="reviews")

    def identity(self, token: str) -> Identity | None:
        """Whose token it is; None where it is not accepted."""
        key = hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()  # the token itself is kept nowhere
        kept = self._identities.get(key)
        if kept is not None:
            return kept[0]
        spec: dict[str, Any] = {"token": token}
        if self._audiences:
            spec["audiences"] = list(self._audiences)
        try:
            status = self._ask(TOKEN_REVIEWS, spec)
        except Rejected:
            status = {}  # nothing that can be a token
        identity = _identity(status, self._audiences)
        seconds = self._ages.unknown
        if identity is not None:
            end = _end(token)
            left = self._ages.known if end is None else min(self._ages.known, end - self._wall())
            if left > 0:
                seconds = left
            else:  # the API server's own cache knew it for some seconds longer
                identity = None
        self._identities.put(key, identity, seconds)
        return identity

    def allowed(self, who: Identity, right: Right, name: str = "") -> bool:
        """Whether they have a right, on the object called ``name`` where one is given."""
        key = (who, right, name)
        kept = self._rights.get(key)
        if kept is not None:
            return kept[0]
        spec = {
            "user": who.name,
            "uid": who.uid,
            "groups": list(who.groups),
            "extra": {k: list(v) for k, v in who.extra},
            "resourceAttributes": right.attributes(name),
        }
        status = self._ask(SUBJECT_REVIEWS, spec)
        granted = status.get("allowed") is True and status.get("denied") is not True
        self._rights.put(key, granted, self._ages.granted if granted else self._ages.denied)
        return granted

    def places(self, who: Identity, right: Right, namespaces: Collection[str]) -> frozenset[str]:
        """The namespaces in which they have a right; a single review where they have it everywhere."""
        if not namespaces:
            return frozenset()
        if self.allowed(who, right):
            return frozenset(namespaces)
        names = sorted(namespaces)
        rights = [Right(right.verb, right.resource, n) for n in names]
        answers = list(self._pool.map(lambda r: self.allowed(who, r), rights))
        return frozenset(n for n, granted in zip(names, answers, strict=True) if granted)

    def close(self) -> None:
        """Stop the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _ask(self, review: Resource, spec: dict[str, Any]) -> dict[str, Any]:
        answer = self._client.create(review.path(), review.body(spec=spec))
        status = answer.get("status")
        return status if isinstance(status, dict) else {}


def _identity(status: dict[str, Any], audiences: Sequence[str]) -> Identity | None:
    user = status.get("user")
    if status.get("authenticated") is not True or not isinstance(user, dict) or not user.get("username"):
        return None
    if audiences and not set(audiences) & set(status.get("audiences") or ()):
        return None  # an authenticator that knows no audiences accepted it for the API server
    extra = user.get("extra") or {}
    return Identity(
        str(user["username"]),
        str(user.get("uid") or ""),
        tuple(str(g) for g in user.get("groups") or ()),
        tuple(sorted((str(k), tuple(str(i) for i in v or ())) for k, v in extra.items())),
    )


def _end(token: str) -> float | None:
    """When an accepted token expires according to its own claims (unix seconds); None where it does not say."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return float(claims["exp"])
    except (ValueError, KeyError, TypeError, binascii.Error):
        return None
