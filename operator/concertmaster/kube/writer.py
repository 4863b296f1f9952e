"""Status writes, and nothing else: only when the content is new, a few at a time, never to another object of the same
name.

A status is replaced as a whole by a JSON Patch whose first operation tests the uid. A merge patch would leave keys
behind that the new document no longer has, server-side apply would drop the old recommendations when only the conditions are
known (metrics source down), and neither notices that the object was deleted and made anew under the same name.
"""

from __future__ import annotations

import hashlib
import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

from concertmaster.core.text import json_size
from concertmaster.core.units import HOUR, MINUTE
from concertmaster.kube.client import SLOW_ONCE, KubeClient
from concertmaster.kube.errors import Conflict, KubeError, NotFound, Rejected, Stopped, Undecided
from concertmaster.kube.objects import ObjectRef

MAX_STATUS_BYTES = 16 * 1024
RETRY_REFUSED_AFTER = HOUR  # for refused documents: the schema of their kind may have been upgraded since
RETRY_UNDECIDED_AFTER = MINUTE  # for the other statuses of a namespace where admission could not be asked about one
TIMESTAMPS = frozenset({"lastTransitionTime", "dataUntil", "nextExpected"})  # moving on is no news


class WriteOutcome(StrEnum):
    """The outcome of one status write."""

    WRITTEN = "written"
    UNCHANGED = "unchanged"
    GONE = "gone"
    REJECTED = "rejected"
    TOO_LARGE = "too_large"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class StatusUpdate:
    """The intended status of one object.

    ``status`` is the whole document, or only the keys to replace when ``partial`` (the rest stays as it is).
    ``known_digest`` is the digest of what the server is believed to hold, None when it holds no status at all; ``digest``
    that of ``status`` where it is known, else empty.
    """

    ref: ObjectRef
    status: Mapping[str, Any]
    known_digest: str | None
    partial: bool = False
    force: bool = False  # write although only timestamps differ
    digest: str = ""


@dataclass(frozen=True, slots=True)
class StatusResult:
    """The result of one update; ``message`` says why when it was not written, ``status`` and ``version`` (of the object)
    are the server's answer."""

    ref: ObjectRef
    outcome: WriteOutcome
    message: str = ""
    status: Mapping[str, Any] | None = None
    version: str = ""


def semantic(value: Any) -> Any:
    """``value`` without timestamps and absent values, so that two documents with the same meaning compare equal."""
    if isinstance(value, str):  # most are, and to ask for a mapping first takes longer
        return value
    if isinstance(value, Mapping):
        return {k: semantic(v) for k, v in value.items() if k not in TIMESTAMPS and v is not None}
    if isinstance(value, list | tuple):
        return [semantic(v) for v in value]
    return value


def digest(status: Mapping[str, Any] | None) -> str | None:
    """A short fingerprint of a status, without timestamps; None for no status."""
    return fingerprint(semantic(status)) if status else None


def fingerprint(said: Any) -> str:
    """The digest of what ``semantic`` made of a status."""
    return hashlib.blake2b(msgspec.json.encode(said, order="sorted"), digest_size=12).hexdigest()


class StatusWriter:
    """Writes statuses with bounded parallelism and rate. One per operator: it remembers what the server refused."""

    def __init__(
        self,
        client: KubeClient,
        *,
        parallelism: int = 4,
        per_second: float = 0.0,
        stop: threading.Event | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``per_second`` 0 means as fast as the server answers."""
        self._client = client
        self._spacing = 1.0 / per_second if per_second > 0 else 0.0
        self._stop = stop or threading.Event()
        self._turns = threading.Lock()
        self._next_turn = float("-inf")
        self._parallelism = max(1, parallelism)
        self._clock = clock
        self._refused: dict[str, tuple[str, float]] = {}  # by uid: digest of the document the schema refused, and when
        self._undecided: dict[str | None, float] = {}  # by namespace: when admission could not be asked

    def write(
        self, updates: Iterable[StatusUpdate], done: Callable[[StatusResult], None] | None = None
    ) -> list[StatusResult]:
        """Write what differs; one result for each update, in their order. Never raises for a single object.

        ``done`` is called from the worker threads' results, in order, as they come.
        """
        todo = list(updates)
        if len(todo) <= 1 or self._parallelism == 1:
            return [self._finish(self._one(u), done) for u in todo]
        with ThreadPoolExecutor(self._parallelism, thread_name_prefix="status") as pool:
            return [self._finish(r, done) for r in pool.map(self._one, todo)]

    @property
    def refused(self) -> int:
        """How many objects have a document that the server's schema refused."""
        return len(self._refused)

    def keep_only(self, uids: Iterable[str]) -> None:
        """Forget what was refused of every other object: it is gone. Of namespaces, what no longer counts is forgotten."""
        present, now = set(uids), self._clock()
        self._refused = {uid: document for uid, document in self._refused.items() if uid in present}
        self._undecided = {of: at for of, at in self._undecided.items() if now - at < RETRY_UNDECIDED_AFTER}

    @staticmethod
    def _finish(result: StatusResult, done: Callable[[StatusResult], None] | None) -> StatusResult:
        if done is not None:
            done(result)
        return result

    def _one(self, update: StatusUpdate) -> StatusResult:
        ref = update.ref
        desired = update.digest or digest(update.status) or ""
        if not update.partial and not update.force and desired == update.known_digest:
            return StatusResult(ref, WriteOutcome.UNCHANGED)
        refused, at = self._refused.get(ref.uid, (None, 0.0))
        if refused == desired and self._clock() - at < RETRY_REFUSED_AFTER:
            return StatusResult(
                ref, WriteOutcome.REJECTED, "the same document was refused before; it is sent again after an hour"
            )
        bytes_ = json_size(update.status)
        if bytes_ > MAX_STATUS_BYTES:
            message = f"the status has {bytes_} bytes, more than the {MAX_STATUS_BYTES} allowed; it was not written"
            return StatusResult(ref, WriteOutcome.TOO_LARGE, message)
        if self._clock() - self._undecided.get(ref.namespace, -math.inf) < RETRY_UNDECIDED_AFTER:
            message = (
                "admission could not be asked about another status of its namespace; it is tried again after a minute"
            )
            return StatusResult(ref, WriteOutcome.FAILED, message)
        self._wait_for_turn()
        try:
            answer = self._client.patch(f"{ref.path}/status", _operations(update), kind="json", again=SLOW_ONCE)
        except NotFound:
            return StatusResult(ref, WriteOutcome.GONE, f"{ref} was deleted")
        except Conflict as error:
            return StatusResult(ref, WriteOutcome.FAILED, f"{error}; the next cycle tries again")
        except Rejected as error:
            return self._rejected(update, desired, error)
        except (KubeError, Stopped) as error:  # what was written before is in the results
            if isinstance(error, Undecided):  # each of thousands would take as long as the time limit of a webhook
                self._undecided[ref.namespace] = self._clock()
            return StatusResult(ref, WriteOutcome.FAILED, str(error))
        self._refused.pop(ref.uid, None)
        self._undecided.pop(ref.namespace, None)
        version = str((answer.get("metadata") or {}).get("resourceVersion", ""))
        return StatusResult(ref, WriteOutcome.WRITTEN, status=answer.get("status") or {}, version=version)

    def _wait_for_turn(self) -> None:
        """Space the writes evenly, whatever the number of threads."""
        if not self._spacing:
            return
        with self._turns:
            now = self._clock()
            turn = max(now, self._next_turn)
            self._next_turn = turn + self._spacing
        self._stop.wait(turn - now)

    def _rejected(self, update: StatusUpdate, desired: str, error: Rejected) -> StatusResult:
        """A failed uid test and a schema violation have the same code; one read tells them apart."""
        ref = update.ref
        try:
            present = self._client.get(ref.path)
        except NotFound:
            return StatusResult(ref, WriteOutcome.GONE, f"{ref} was deleted")
        except (KubeError, Stopped):
            present = {}
        uid = str((present.get("metadata") or {}).get("uid", ""))
        if uid and ref.uid and uid != ref.uid:
            return StatusResult(ref, WriteOutcome.GONE, f"{ref} was deleted and made anew")
        if update.partial and not present.get("status"):
            return StatusResult(
                ref, WriteOutcome.FAILED, f"{ref} has no status any more; the next cycle writes all of it"
            )
        self._refused[ref.uid] = desired, self._clock()
        return StatusResult(ref, WriteOutcome.REJECTED, str(error))


def _operations(update: StatusUpdate) -> list[dict[str, Any]]:
    operations: list[dict[str, Any]] = []
    if update.ref.uid:
        operations.append({"op": "test", "path": "/metadata/uid", "value": update.ref.uid})
    if update.partial and update.known_digest is not None:
        operations += [{"op": "add", "path": f"/status/{key}", "value": value} for key, value in update.status.items()]
    else:
        operations.append({"op": "add", "path": "/status", "value": dict(update.status)})
    return operations
