"""Archived runs into the history, where live objects put what they say: forward from where the archive was read last,
and back into the past, newest first, as far as runs are analysed.

Rows are listed without their objects; an object is only fetched where its run may be of an observed workflow. How far was
read is kept in the history like that of a metrics source, so that a restart continues and a new profile is caught up on.
What a live object said is never replaced by what the archive says of the same end.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from concertmaster.archive import ArchiveError, ArchiveTable
from concertmaster.controller.archive.backfill import PastRuns
from concertmaster.controller.archive.formats import ArchiveFormat
from concertmaster.controller.archive.intake import Intake, SeenRuns
from concertmaster.controller.archive.reading import RunsOfArchive
from concertmaster.controller.archive.recent import NewRuns
from concertmaster.controller.archive.turns import Turns
from concertmaster.controller.collection.history_provider import HistoryProvider
from concertmaster.controller.collection.watermarks import Watermarks
from concertmaster.controller.discovery.fingerprint import fingerprint
from concertmaster.controller.health import Heartbeat
from concertmaster.core.model import InputSource, WorkflowDefinition, WorkflowKey
from concertmaster.core.units import HOUR
from concertmaster.engines import Claims
from concertmaster.history import HistoryDamaged, HistoryError

log = logging.getLogger("concertmaster.archive")

MAX_SECONDS = 10.0  # of a cycle; half of it for the past
OVERLAP_SECONDS = HOUR  # seconds: a run is archived some time after it ended, and others meanwhile
_NOTES = 3
_AWAY = "archive-away:"  # watermarks of no source: when an archive could last not be read

_Asked = frozenset[tuple[str, tuple[InputSource, ...], int]]
"""Of the workflows of one namespace: the histories, where input sizes stand, and how many runs are analyzed."""


Reach = tuple[int, float]
"""How much of the past of a workflow is analyzed: the newest runs (number) of the last seconds."""


@dataclass(frozen=True, slots=True)
class ArchiveReport:
    """Archived runs since the last cycle: workflows with new records, and sentences on what could not be read. ``more``:
    the past is not read to its end yet, run again soon."""

    changed: frozenset[WorkflowKey] = frozenset()
    notes: tuple[str, ...] = ()
    more: bool = False


class ArchivedRuns:
    """Reads an archive into the history. ``backfill``: seconds back that are read at most. ``count`` is called with
    "complete", "end" (only how the run ended is known) or "unreadable", ``answers`` with whether the archive could be
    read."""

    def __init__(
        self,
        archive: ArchiveTable,
        form: ArchiveFormat,
        history: HistoryProvider,
        backfill: float,
        *,
        count: Callable[[str], None] = lambda _: None,
        answers: Callable[[bool], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._archive = archive
        self._form = form
        self._history = history
        self._backfill = backfill
        self._count = count
        self._answers = answers
        self._clock = clock
        self._turns = Turns(clock)
        self._failing = False
        self._outage: tuple[float, float] | None = None  # when the archive could last not be read; None: not looked up
        self._begin()

    def _begin(self) -> None:
        """Reset everything remembered of a reading when the store changes: another one may lack what the last one had."""
        self._store = self._history.store
        self._marks = Watermarks(lambda: self._history.store, self._form.source)
        self._recent = NewRuns(self._archive, self._marks, self._turns)
        self._past = PastRuns(self._archive, self._history, self._marks, self._turns)
        self._seen = SeenRuns()
        self._asked: dict[str, _Asked] = {}

    def read(
        self,
        definitions: Sequence[WorkflowDefinition],
        reach: Mapping[WorkflowKey, Reach],
        now: float,
        heartbeat: Heartbeat,
    ) -> ArchiveReport:
        """Once per cycle, with all workflows that are observed, for a bounded time; ``now`` in unix seconds. Faults of the
        archive are in the notes."""
        claims = Claims(definitions)
        keys = [key for key in claims.of_kind(self._form.run_kind) if key in reach]
        if not keys:
            return ArchiveReport()
        if self._history.store is not self._store:
            self._begin()
        wants = {key: now - min(reach[key][1], self._backfill) for key in keys}
        most = {key: reach[key][0] for key in keys}
        runs, notes = RunsOfArchive(self._archive, self._form, self._history, claims), list[str]()
        intake = Intake(runs, wants, most, now, heartbeat, self._seen, self._count)
        try:
            if self._failing:
                self._keep_outage(self._last_outage()[0], now)
            self._compare({d.key: d.inputs for d in definitions}, most)
            self._read(intake, keys)
            self._failing = False
        except ArchiveError as error:
            self._note_fault(now)
            notes.append(f"{error} Until then finished runs whose objects are gone are known from the metrics only.")
        except HistoryDamaged as error:
            log.error("%s", error)
            self._history.renew()
        except HistoryError as error:
            notes.append(f"archived runs wait to be stored: {error}")
        self._answers(not self._failing)
        if notes:
            intake.more = False
        notes += runs.problems[:_NOTES]
        if (further := len(runs.problems) - _NOTES) > 0:
            notes.append(f"{further} further archived runs cannot be read")
        return ArchiveReport(frozenset(intake.changed), tuple(notes), intake.more)

    def _compare(self, inputs: Mapping[WorkflowKey, tuple[InputSource, ...]], most: Mapping[WorkflowKey, int]) -> None:
        """Have the past read again of workflows whose inputs changed, and forget what is remembered of namespaces of which
        more or other runs are requested than in the last cycle."""
        store = self._history.store
        known, shards = store.watermarks(self._form.inputs), self._marks.shards(most)
        sums = {
            shard: float(int(fingerprint(inputs[key])[:12], 16)) if inputs[key] else 0.0
            for key, shard in shards.items()
        }
        if changed := {shard: at for shard, at in sums.items() if known.get(shard, 0.0) != at}:
            store.drop_watermarks(self._form.source, changed)
            store.set_watermarks(self._form.inputs, changed)
        parts: dict[str, list[tuple[str, tuple[InputSource, ...], int]]] = {}
        for key, number in most.items():
            parts.setdefault(key.namespace, []).append((shards[key], inputs[key], number))
        asked = {space: frozenset(part) for space, part in parts.items()}
        for space in self._asked.keys() | asked.keys():
            if self._asked.get(space) != asked.get(space):
                self._seen.runs.pop(space, None)
                self._past.forget(space)
        self._asked = asked
        self._turns.keep(asked)

    def _read(self, intake: Intake, keys: Sequence[WorkflowKey]) -> None:
        begun, spaces = self._clock(), _spaces(keys)
        again = OVERLAP_SECONDS + self._away(intake.now)
        self._marks.read_without(keys)
        untils = self._untils(spaces)
        self._recent.read(intake, untils, again, MAX_SECONDS / 2)
        known = set(untils)
        if fresh := spaces - known:
            newest = self._archive.newest(fresh)
            if newest is not None:  # else nothing was archived there yet: there is no moment from which to continue
                self._marks.advance(fresh, min(newest, intake.now), facts=True)
                known |= fresh
        read = [key for key in keys if key.namespace in known]
        self._past.read(intake, read, begun + MAX_SECONDS - self._clock())
        self._seen.forget_before(min(self._untils(spaces).values(), default=0.0) - again)

    def _untils(self, namespaces: Collection[str]) -> dict[str, float]:
        """Up to when namespaces were read, without those that never were."""
        marks = self._history.store.watermarks(self._form.source)
        return {name: marks[name] for name in namespaces if name in marks}

    def _away(self, now: float) -> float:
        """How long the archive was unreadable until a short while ago: its engine may have been unable to write to it
        too, and then archives runs that waited after runs that ended later."""
        began, ended = self._last_outage()
        return ended - began if 0.0 <= now - ended < OVERLAP_SECONDS else 0.0

    def _note_fault(self, now: float) -> None:
        """A fault soon after another one is a part of the same outage."""
        if not self._failing:
            with suppress(HistoryError):
                self._keep_outage(self._last_outage()[0] if self._away(now) else now, now)
        self._failing = True

    def _last_outage(self) -> tuple[float, float]:
        """The last outage, also one that an earlier process met. Raises HistoryError."""
        if self._outage is None:
            kept = self._history.store.watermarks("")
            began, ended = (kept.get(shard, 0.0) for shard in self._shards())
            self._outage = began, ended
        return self._outage

    def _keep_outage(self, began: float, ended: float) -> None:
        """For the process that comes next, too. A history that is away is no reason to forget it here."""
        self._outage = began, ended
        with suppress(HistoryError):
            self._history.store.set_watermarks("", dict(zip(self._shards(), self._outage, strict=True)))

    def _shards(self) -> tuple[str, str]:
        return f"{_AWAY}{self._form.source}:since", f"{_AWAY}{self._form.source}:until"


def _spaces(keys: Collection[WorkflowKey]) -> set[str]:
    return {key.namespace for key in keys}
