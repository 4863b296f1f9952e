"""Kubernetes Events for people who run ``kubectl describe``: on transitions, deduplicated and rate-limited.

kopf's own poster has no aggregation, no deduplication and no rate limit, so it stays off. Here the same note about the
same object is posted once an hour, a token bucket bounds the whole operator, and a failure to post is
counted and forgotten: an Event is a courtesy, the status is the record. No namespace takes more of the bucket than it leaves
to the others, and Normal Events leave a fifth of it to Warnings: when automatic changes are switched on for thousands of
workflows, those that are rolled back are reported.
"""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from concertmaster.core.times import format_micro_time, recent
from concertmaster.core.units import HOUR
from concertmaster.kube.client import SLOW_ONCE, KubeClient
from concertmaster.kube.errors import Conflict, Forbidden, KubeError, Stopped
from concertmaster.kube.objects import EVENTS, ObjectRef

MAX_NOTE = 1000  # the API allows 1,024 bytes
_CLUSTER_NAMESPACE = "default"  # where Events about objects without a namespace live
_MAX_REMEMBERED = 10_000
_REPEAT_AFTER = HOUR  # seconds
_NORMAL_SHARE = 0.8  # of the bucket


class EventType(StrEnum):
    """The two types an Event may have."""

    NORMAL = "Normal"
    WARNING = "Warning"


class PostOutcome(StrEnum):
    """The outcome of one Event."""

    POSTED = "posted"
    REPEATED = "repeated"
    LIMITED = "limited"
    FORBIDDEN = "forbidden"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Note:
    """One thing to report: CamelCase reason and action, one bounded sentence. ``shared``: it is about something that
    many objects have in common, so it is posted about one of them only."""

    ref: ObjectRef
    severity: EventType
    reason: str
    text: str
    action: str = "Analyze"
    shared: bool = False


class EventRecorder:
    """Posts notes as ``events.k8s.io/v1``. ``clock`` gives unix seconds."""

    def __init__(
        self,
        client: KubeClient,
        *,
        instance: str,
        burst: int = 50,
        per_second: float = 0.5,
        clock: Callable[[], float] = time.time,
        on_note: Callable[[Note], None] = lambda _: None,
    ) -> None:
        """``on_note`` is called with every note, whether or not its Event is posted."""
        self._client = client
        self._instance = instance[:128] or "concertmaster"
        self._burst = float(burst)
        self._rate = per_second
        self._clock = clock
        self._on_note = on_note
        self._taken: dict[str, float] = {}  # of the bucket, by namespace
        self._filled = clock()
        self._reported: OrderedDict[str, float] = OrderedDict()
        self._forbidden: dict[str, float] = {}  # namespace -> when the right was missing

    def post(self, note: Note) -> PostOutcome:
        """Post ``note`` unless it was posted before, the bucket is empty or the right is known to be missing."""
        self._on_note(note)
        now = self._clock()
        namespace = note.ref.namespace or _CLUSTER_NAMESPACE
        if recent(self._forbidden.get(namespace), now, _REPEAT_AFTER):
            return PostOutcome.FORBIDDEN
        text = _bounded(note.text)
        about = "" if note.shared else note.ref.uid
        key = hashlib.blake2b(f"{about}|{note.reason}|{text}".encode(), digest_size=8).hexdigest()
        if recent(self._reported.get(key), now, _REPEAT_AFTER):
            return PostOutcome.REPEATED
        if not self._take(namespace, now, self._burst * (_NORMAL_SHARE if note.severity is EventType.NORMAL else 1.0)):
            return PostOutcome.LIMITED
        try:
            self._client.create(EVENTS.path(namespace), self._body(note, text, namespace, key, now), again=SLOW_ONCE)
        except Conflict:
            pass  # an earlier attempt of the same request got through
        except Forbidden:
            known = {of: at for of, at in self._forbidden.items() if recent(at, now, _REPEAT_AFTER)}
            self._forbidden = known | {namespace: now}
            return PostOutcome.FORBIDDEN
        except (KubeError, Stopped):
            return PostOutcome.FAILED
        self._reported[key] = now
        self._reported.move_to_end(key)
        while len(self._reported) > _MAX_REMEMBERED:
            self._reported.popitem(last=False)
        return PostOutcome.POSTED

    def _take(self, namespace: str, now: float, most: float) -> bool:
        """Take one of ``most`` tokens, if more are left than the namespace has taken: a single namespace gets half of them,
        and there is always one left for a namespace that has taken none."""
        taken = sum(self._taken.values())
        left = max(0.0, taken - max(0.0, now - self._filled) * self._rate)
        self._taken = {name: part * left / taken for name, part in self._taken.items()} if left else {}
        self._filled = now
        own, free = self._taken.get(namespace, 0.0), most - left
        if free < 1.0 or own >= free:
            return False
        self._taken[namespace] = own + 1.0
        return True

    def _body(self, note: Note, text: str, namespace: str, key: str, now: float) -> dict[str, Any]:
        ref = note.ref
        regarding = ref.resource.body(name=ref.name, uid=ref.uid)
        if ref.namespace:
            regarding["namespace"] = ref.namespace
        return EVENTS.body(
            metadata={"name": f"{ref.name[:200]}.{key}{int(now):x}", "namespace": namespace},
            eventTime=format_micro_time(now),
            reportingController="concertmaster.dev/operator",
            reportingInstance=self._instance,
            type=note.severity.value,
            reason=note.reason[:128],
            action=note.action[:128],
            note=text,
            regarding=regarding,
        )


def _bounded(text: str) -> str:
    """One line of at most MAX_NOTE bytes."""
    line = " ".join(text.split())
    raw = line.encode()
    if len(raw) <= MAX_NOTE:
        return line
    return raw[: MAX_NOTE - 3].decode("utf-8", "ignore") + "…"
