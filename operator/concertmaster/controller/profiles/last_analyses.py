"""What the last analysis of each profile rested on and said, and whether it still stands; kept across restarts.

The history takes a copy of each, which the next process takes for its own. What came into the history since is marked
there, so that a process that starts on an existing history analyses what has changed and nothing else.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import msgspec

from concertmaster.api.conditions import ConditionUpdate
from concertmaster.controller.changes.cycle import Candidate
from concertmaster.controller.code_digest import code_digest
from concertmaster.controller.collection.history_provider import HistoryProvider
from concertmaster.controller.object_cache import CachedObject
from concertmaster.controller.profiles.fleet_index import FleetIndex
from concertmaster.controller.profiles.outputs import Outputs
from concertmaster.controller.status_view import StatusView
from concertmaster.core import arrays as np
from concertmaster.core.model import WorkflowKey
from concertmaster.core.rules import FleetMember
from concertmaster.core.schedules.timetable import Timetable
from concertmaster.core.times import recent
from concertmaster.history import HistoryError, RunsDigest

log = logging.getLogger("concertmaster.analysis")


@dataclass(frozen=True, slots=True)
class AnalysisRecord:
    """Inputs and results of one analysis. ``inputs``: a fingerprint of everything but the runs, whose digest is
    ``runs``. ``applicable``: recommendations that set fields, ``packed``: of ten thousand workflows they take six times
    as much memory as they are, and few are ever asked for. ``provisional``: it rested on the newest runs, while the older
    ones were being read."""

    inputs: str
    runs: RunsDigest
    ready: ConditionUpdate
    objectives: ConditionUpdate
    at: float
    lasts: float  # seconds until it is made again although nothing is known to have changed
    applicable: bytes
    query_problem: str = ""
    edition: int = 0  # of the fleet, as far as it matters to the workflow
    provisional: bool = False

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """Recommendations that set fields, best first. Raises ValueError for what a damaged row left of them."""
        if not self.applicable:
            return ()
        try:
            return _CANDIDATES.decode(zlib.decompress(self.applicable))
        except (zlib.error, msgspec.MsgspecError) as error:
            raise ValueError(f"its recommendations cannot be read: {error}") from error


def packed(candidates: Sequence[Candidate]) -> bytes:
    """Candidates as an analysis record keeps them."""
    return zlib.compress(msgspec.msgpack.encode(candidates), 1) if candidates else b""


_CANDIDATES = msgspec.msgpack.Decoder(tuple[Candidate, ...])
LARGE = 100  # runs in the window; of a workflow with more, one more changes next to nothing
GROWTH = 0.05  # of these runs


def too_few(before: RunsDigest, now: RunsDigest) -> bool:
    """Whether an analysis that rested on many runs waits for more of them: fewer than one in twenty have ended since, and
    none of these failed."""
    if now.runs <= LARGE or now.fresh >= GROWTH * before.runs:
        return False
    return now.failed is None or (before.failed is not None and now.failed <= before.failed)


@dataclass(slots=True)
class LastAnalysis:
    """The last analysis of one profile. ``revision``: how often new or corrected pods of its workflow had come until
    then; most of them change nothing that is over (see ``RunsDigest``)."""

    record: AnalysisRecord
    key: WorkflowKey
    revision: int
    status: StatusView | None = None  # what the server holds of it; None until it was written

    def is_current(self, entry: CachedObject, inputs: str, now: float) -> bool:
        """Whether it would be made again only for other runs: of all of them, same inputs, not too old, and the server holds
        it."""
        whole = not self.record.provisional
        return whole and self.matches(entry, inputs) and recent(self.record.at, now, self.record.lasts)

    def matches(self, entry: CachedObject, inputs: str) -> bool:
        """Whether the inputs are the same and the server holds it."""
        held = self.status.body if self.status is not None else None
        return self.record.inputs == inputs and held is not None and held == entry.status.body

    def runs_unchanged(self, revision: int, as_of: float) -> bool:
        """Whether no pod has come since, and no run that was going on may count as over by now."""
        due = self.record.runs.due
        return self.revision == revision and (due is None or as_of < due)


class _Row(msgspec.Struct):
    """What the history keeps of one analysis."""

    version: str  # of the code, see ``code_digest``
    body: str
    record: AnalysisRecord
    detail: bytes | None
    runs: bytes | None  # of the fleet's member: rows of four numbers
    timetable: Timetable | None
    late: float | None
    suspended: bool
    taints: frozenset[str]
    waits: bool = False
    series: dict[str, str] = {}


_DECODER = msgspec.msgpack.Decoder(_Row)


class LastAnalyses:
    """The last analysis of each profile, by its uid."""

    def __init__(self, history: HistoryProvider, fleet: FleetIndex, outputs: Outputs) -> None:
        self._history = history
        self._fleet = fleet
        self._outputs = outputs
        self._known: dict[str, LastAnalysis] = {}
        self._asked: set[str] = set()  # profiles that the history was asked for
        outputs.details.stored = self._detail

    def get(self, uid: str) -> LastAnalysis | None:
        """What this process remembers of a profile."""
        return self._known.get(uid)

    def recall(self, entry: CachedObject, key: WorkflowKey, revision: int) -> LastAnalysis | None:
        """The same; on the first call what an earlier process kept, if the server still holds that status."""
        uid = entry.uid
        if uid not in self._known and uid not in self._asked:
            self._asked.add(uid)
            try:
                self._restore(entry, key, revision)
            except (HistoryError, msgspec.MsgspecError, ValueError) as error:
                log.info("the last analysis of %s is made anew: %s", entry.ref, error)
        return self._known.get(uid)

    def _restore(self, entry: CachedObject, key: WorkflowKey, revision: int) -> None:
        kept = self._history.store.analysis(entry.uid)
        if kept is None:
            return
        row = _DECODER.decode(kept.content)
        if row.version != code_digest() or row.body != entry.status.body:
            return
        _ = row.record.candidates  # a damaged row is noticed here, where the analysis can still be made anew
        if row.runs is not None:
            member = FleetMember(
                key, np.frombuffer(row.runs).reshape(-1, 4), row.timetable, row.late, row.suspended, row.taints
            )
            self._fleet.restore(member, waits=row.waits, edition=row.record.edition)
        self._outputs.restore(entry, key, row.detail, row.series)
        self._outputs.details.release(entry.namespace, entry.name)
        self._known[entry.uid] = LastAnalysis(row.record, key, -1 if kept.stale else revision, entry.status)

    def put(self, uid: str, record: AnalysisRecord, key: WorkflowKey, revision: int) -> None:
        """A new analysis, not written yet."""
        self._known[uid] = LastAnalysis(record, key, revision)

    def holds(self, entry: CachedObject, runs: RunsDigest, revision: int, *, urgent: bool) -> bool:
        """Whether the last analysis holds with the ``runs`` there are now: nothing that it rests on has changed by what
        came since, or too few runs to matter, unless each of them is waited for (``urgent``)."""
        known = self._known[entry.uid]
        before = known.record.runs
        if runs.digest == before.digest:
            known.record, known.revision = replace(known.record, runs=replace(before, due=runs.due)), revision
            self._confirm(entry)
            return True
        if urgent or not too_few(before, runs):
            return False
        # Compared with the runs of the analysis, not with these: a few runs several times add up.
        known.record, known.revision = replace(known.record, runs=replace(before, due=runs.due)), revision
        return True

    def _confirm(self, entry: CachedObject) -> None:
        try:
            self._history.store.confirm_analysis(entry.uid)
        except HistoryError as error:
            log.info("the analysis of %s is made anew at the next start: %s", entry.ref, error)

    def published(self, entry: CachedObject, status: StatusView) -> None:
        """The server holds this status now. What it holds later must be the same, or the analysis is made anew: a write
        that failed and a status somebody emptied are fixed alike."""
        known = self._known.get(entry.uid)
        if known is None:
            return
        known.status = status
        self._keep(entry, known, status.body or "")

    def keep_only(self, uids: Collection[str]) -> None:
        """Forget profiles that are gone."""
        for uid in [u for u in self._known if u not in uids]:
            del self._known[uid]
        self._asked &= set(uids)

    def _keep(self, entry: CachedObject, known: LastAnalysis, body: str) -> None:
        """Store it for the next process. A full disk costs the next start and nothing else."""
        try:
            self._history.store.keep_analysis(
                entry.uid, known.key, msgspec.msgpack.encode(self._row(entry, known, body))
            )
        except HistoryError as error:
            log.info("the analysis of %s is not kept for the next start: %s", entry.ref, error)
        else:
            self._outputs.details.release(entry.namespace, entry.name)

    def _row(self, entry: CachedObject, known: LastAnalysis, body: str) -> _Row:
        member, waits = self._fleet.member(known.key)
        return _Row(
            code_digest(),
            body,
            known.record,
            self._outputs.details.packed(entry.namespace, entry.name),
            None if member is None else member.runs.tobytes(),
            None if member is None else member.timetable,
            None if member is None else member.late,
            member is not None and member.suspended,
            frozenset() if member is None else member.taints,
            waits,
            self._outputs.series.lines(entry.uid),
        )

    def _detail(self, uid: str) -> bytes | None:
        """The details that the history keeps of a profile, packed. Called from any thread."""
        kept = self._history.store.analysis(uid)
        return _DECODER.decode(kept.content).detail if kept is not None else None
