"""Details of each profile for the HTTP server: the last analysis in full, packed. It is read from the history when somebody
asks; what the history does not keep yet stands in memory, within a bound. The newest runs are put together from the history
then, too: to render them takes a tenth of an analysis, and few of ten thousand are examined before the next one.

An answer is given to whoever knows the profile's uid. It is random and part of the object, so that those who may read the
profile get what was found out about it, whichever way they reach the port; and there is no list to ask for. Besides the
object, Events about it carry the uid (``regarding``), and an audit log of the API server carries the query of whoever
asked through it: those who read these have it too.
"""

from __future__ import annotations

import hmac
import threading
import zlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

import msgspec

from concertmaster.controller.collection.history_provider import HistoryProvider
from concertmaster.core.analysis.workflow import analyze
from concertmaster.core.model import RunRecord, WorkflowDefinition, WorkflowKey
from concertmaster.core.model.daily import RUN
from concertmaster.core.model.policy import Policy
from concertmaster.core.times import parse_time
from concertmaster.core.units import MIB
from concertmaster.engines import complete
from concertmaster.report import daily
from concertmaster.report.detail import encode, with_recent
from concertmaster.report.runs.served import recent_runs
from concertmaster.report.runs.views import RunHistory, kept_runs

MAX_BYTES = 64 * MIB  # packed, of those in memory
_MAX_UNPACKED = 8


@dataclass(frozen=True, slots=True)
class _Kept:
    uid: str
    packed: bytes | None  # None: the history has it
    key: WorkflowKey | None = None


@dataclass(frozen=True, slots=True)
class Observed:
    """How the runs of a workflow are read; facts are complete until ``as_of`` (unix seconds)."""

    definition: WorkflowDefinition
    policy: Policy
    as_of: float | None


class Details:
    """Documents by namespace and name of the profile. Thread-safe."""

    def __init__(self, most_bytes: int = MAX_BYTES) -> None:
        self._most = most_bytes
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, str], _Kept] = {}  # in the order of the analyses
        self._bytes = 0
        self._whole: dict[str, tuple[bytes, bytes]] = {}  # by uid: as kept, and as served; of those asked for last
        self.history: HistoryProvider | None = None  # set once it is open
        self.stored: Callable[[str], bytes | None] = lambda uid: None  # what the history keeps, packed, by uid
        self.observed: Mapping[str, Observed] = {}  # by uid of the profile, as of the last cycle
        self.elsewhere: Callable[[str], str | None] = lambda namespace: None  # the other shard that has a namespace

    def put(self, namespace: str, name: str, uid: str, document: bytes, key: WorkflowKey | None = None) -> None:
        """Keep a document; the ones that were not renewed for longest make room."""
        self.restore(namespace, name, uid, zlib.compress(document, 6), key)

    def packed(self, namespace: str, name: str) -> bytes | None:
        """A document as it is kept. Raises HistoryError."""
        with self._lock:
            kept = self._kept.get((namespace, name))
        return self._packed(kept) if kept is not None else None

    def release(self, namespace: str, name: str) -> None:
        """The history keeps the document from here on."""
        with self._lock:
            if (kept := self._kept.get((namespace, name))) is not None:
                self._bytes -= len(kept.packed or b"")
                self._kept[namespace, name] = replace(kept, packed=None)

    def restore(self, namespace: str, name: str, uid: str, packed: bytes, key: WorkflowKey | None = None) -> None:
        """Keep a document that ``packed`` gave."""
        kept = _Kept(uid, packed, key)
        with self._lock:
            self._drop((namespace, name))
            if len(packed) > self._most:
                return
            self._kept[namespace, name] = kept
            self._bytes += len(packed)
            while self._bytes > self._most:
                self._drop(next(key for key, kept in self._kept.items() if kept.packed is not None))

    def get(self, namespace: str, name: str, uid: str) -> bytes | None:
        """The document, for those who know the uid; None as well when there is none. Raises HistoryError."""
        kept = self._of(namespace, name, uid)
        packed = self._packed(kept) if kept is not None else None
        if packed is None:
            return None
        known = self._whole.pop(uid, None)
        if known is not None and known[0] == packed:
            whole = known[1]
        else:
            document = zlib.decompress(packed)
            whole = self._completed(uid, document)
            if whole is document:
                return document
        self._whole[uid] = packed, whole
        for oldest in list(self._whole)[:-_MAX_UNPACKED]:
            self._whole.pop(oldest, None)
        return whole

    def _completed(self, uid: str, document: bytes) -> bytes:
        """A document with the newest runs in it, as of its analysis."""
        known = self.observed.get(uid)
        if known is None or self.history is None or b'"recent":null' not in document:
            return document
        made = msgspec.json.decode(document)
        at = parse_time(made["analysedAt"]) + 1.0  # written without the fraction of its second
        records = self._runs(self.history, known, known.as_of or at)
        definition, runs = complete(known.definition, records)
        return with_recent(made, recent_runs(analyze(definition, runs, now=at, policy=known.policy)))

    def days(self, namespace: str, name: str, uid: str, step: str = RUN) -> bytes | None:
        """The daily rows of the profile's workflow or of one of its steps, for those who know the uid. Raises
        HistoryError."""
        kept = self._of(namespace, name, uid)
        if kept is None or kept.key is None or self.history is None:
            return None
        tables = self.history.store.daily
        rows = tables.rows(kept.key, step=step)
        if step != RUN:
            return encode(daily.view(rows, step))
        return encode(daily.view(rows, step, tables.baseline(kept.key), tables.adoptions(kept.key)))

    def runs(self, namespace: str, name: str, uid: str, run: str = "") -> bytes | None:
        """All runs of the profile's workflow that the history keeps, one line each, or ``run`` in full, for those who know
        the uid. Raises HistoryError."""
        kept, known = self._of(namespace, name, uid), self.observed.get(uid)
        if kept is None or known is None or self.history is None:
            return None
        records = self._runs(self.history, known, known.as_of)
        history = RunHistory.of(*complete(known.definition, records), known.policy.pricing)
        stored = kept_runs(history, run)
        return stored.model_dump_json(by_alias=True, exclude_none=True).encode() if stored is not None else None

    @staticmethod
    def _runs(history: HistoryProvider, known: Observed, as_of: float | None) -> list[RunRecord]:
        """The runs that an analysis is made of, oldest first."""
        limit = known.policy.analysis.max_runs
        return history.store.runs(known.definition.key, limit=limit, definition=known.definition, as_of=as_of)

    def _packed(self, kept: _Kept) -> bytes | None:
        return kept.packed if kept.packed is not None else self.stored(kept.uid)

    def _of(self, namespace: str, name: str, uid: str) -> _Kept | None:
        with self._lock:
            kept = self._kept.get((namespace, name))
        return kept if kept is not None and hmac.compare_digest(kept.uid.encode(), uid.encode()) else None

    def keep_only(self, uids: Collection[str]) -> None:
        """Forget profiles that are gone."""
        with self._lock:
            for key in [k for k, kept in self._kept.items() if kept.uid not in uids]:
                self._drop(key)

    def _drop(self, key: tuple[str, str]) -> None:
        gone = self._kept.pop(key, None)
        if gone is not None:
            self._bytes -= len(gone.packed or b"")
