"""Asking the API server what the operator itself may do, before a user finds out by nothing happening.

A policy in mode Auto whose operator lacks the right to patch would fail silently; the answer of a
SelfSubjectAccessReview becomes the condition ``WriteAccess``, and the operator's own needs are checked at start.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from concertmaster.core.units import DAY, HOUR
from concertmaster.kube.client import KubeClient
from concertmaster.kube.errors import KubeError
from concertmaster.kube.objects import ACCESS_REVIEWS, Resource

_GRANTED_FOR, _DENIED_FOR = HOUR, 300.0  # seconds an answer is remembered


@dataclass(frozen=True, slots=True)
class Right:
    """One verb on one kind, in one namespace or (None) everywhere."""

    verb: str
    resource: Resource
    namespace: str | None = None
    subresource: str | None = None

    def __str__(self) -> str:
        kind = f"{self.resource.plural}.{self.resource.group}" if self.resource.group else self.resource.plural
        if self.subresource:
            kind += f"/{self.subresource}"
        return f"{self.verb} {kind} in {f'namespace {self.namespace}' if self.namespace else 'all namespaces'}"

    def attributes(self, name: str = "") -> dict[str, str]:
        """The ``resourceAttributes`` of a review of it, on the object called ``name`` where one is given."""
        narrower = {"namespace": self.namespace, "subresource": self.subresource, "name": name}
        attributes = {"verb": self.verb, "group": self.resource.group, "resource": self.resource.plural}
        return attributes | {key: value for key, value in narrower.items() if value}


class AccessChecker:
    """Caches the API server's answers. A denial expires sooner, because somebody is probably fixing it."""

    def __init__(self, client: KubeClient, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._known: dict[Right, tuple[bool, float]] = {}  # the oldest answer first

    def allowed(self, right: Right) -> bool | None:
        """Whether the operator has ``right``, by the last answer of the server; None when there was none within a day."""
        now = self._clock()
        known = self._known.get(right)
        if known and now - known[1] < (_GRANTED_FOR if known[0] else _DENIED_FOR):
            return known[0]
        try:
            answer = self._client.create(
                ACCESS_REVIEWS.path(), ACCESS_REVIEWS.body(spec={"resourceAttributes": right.attributes()})
            )
        except KubeError:
            return known[0] if known else None
        status = answer.get("status") or {}
        granted = bool(status.get("allowed"))
        if not granted and status.get("evaluationError") and not status.get("denied"):
            return known[0] if known else None  # an authorizer failed: nobody has said no
        self._known.pop(right, None)
        self._known[right] = (granted, now)
        while now - self._known[oldest := next(iter(self._known))][1] >= DAY:
            del self._known[oldest]
        return granted

    def missing(self, rights: Iterable[Right]) -> tuple[Right, ...]:
        """Those of ``rights`` that are denied, in their order. Rights that could not be checked do not count as denied."""
        return tuple(r for r in rights if self.allowed(r) is False)
