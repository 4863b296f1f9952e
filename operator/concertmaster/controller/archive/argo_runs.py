"""Archived Workflows into the history, where live objects put what they say: forward from where the archive was read last,
and back into the past, newest first, as far as runs are analysed.

Rows are listed without their objects; an object is only fetched where its run may be of an observed workflow. How far was
read is kept in the history like that of a metrics source, so that a restart goes on and a new profile is caught up on.
What a live object said is never replaced by what the archive says of the same end.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf

from concertmaster.archive import ArchivedWorkflow, ArchiveError, ArgoArchive, StatementFailed
from concertmaster.controller.archive.reading import Result, RunsOfArchive
from concertmaster.controller.collection.history_provider import HistoryProvider
from concertmaster.controller.collection.watermarks import SLACK, Watermarks
from concertmaster.controller.interfaces import ArchiveReport, Heartbeat, Reach
from concertmaster.core.model import InputSource, RunRecord, WorkflowDefinition, WorkflowKey
from concertmaster.engines import Claims
from concertmaster.engines.argo.live import ORIGIN_LABELS, names_its_template, origins
from concertmaster.history import HistoryDamaged, HistoryError

log = logging.getLogger("concertmaster.archive")

SOURCE = "argo archive"  # among the marks of metrics sources, none of which can have this name
MAX_SECONDS = 10.0  # of a cycle
MAX_SHARE = 3.0  # of these, of one namespace before the others were read
MOST_AT_ONCE = 50  # runs stored in one transaction
MOST_STEPS_AT_ONCE = 20_000
OVERLAP = 3600.0  # seconds: a Workflow is archived some time after it ended, and others meanwhile
_FUTURE = 86_400.0 * 365  # beyond any clock that is ahead
_NOTES = 3


@dataclass(slots=True)
class _Turn:
    """What one cycle reads. ``wants``: by workflow, the moment down to which its runs are analysed. ``late``: namespaces
    that have used up their share, with the last row that was read of them; their marks stay there."""

    runs: RunsOfArchive
    claims: Claims
    reach: Mapping[WorkflowKey, Reach]
    wants: Mapping[WorkflowKey, float]
    now: float
    heartbeat: Heartbeat
    over: Callable[[], bool]
    several: bool  # namespaces
    remember: float = -inf  # the end from which on rows will be listed again
    changed: set[WorkflowKey] = field(default_factory=set)
    more: bool = False
    spent: dict[str, float] = field(default_factory=dict)  # seconds by namespace
    late: dict[str, ArchivedWorkflow] = field(default_factory=dict)

    def charge(self, row: ArchivedWorkflow, seconds: float) -> None:
        """Count what a row took against the share of its namespace."""
        self.spent[row.namespace] = self.spent.get(row.namespace, 0.0) + seconds
        if self.several and self.spent[row.namespace] >= MAX_SHARE:
            self.late[row.namespace] = row

    def begin_again(self) -> None:
        """All others were read: there is time for another share."""
        self.spent.clear()
        self.late.clear()


class ArchivedRuns:
    """See ``interfaces.RunArchive``. ``backfill``: seconds back that are read at most. ``count`` is called with "complete",
    "end" (only how the run ended is known) or "unreadable"."""

    def __init__(
        self,
        archive: ArgoArchive,
        keeper: HistoryProvider,
        backfill: float,
        *,
        count: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._archive = archive
        self._keeper = keeper
        self._backfill = backfill
        self._count = count
        self._clock = clock
        self._marks = Watermarks(keeper, SOURCE)
        self._seen: dict[str, float] = {}  # ends of the runs that were read and are listed again, by uid
        self._inputs: dict[WorkflowKey, tuple[InputSource, ...]] = {}  # where sizes were read from
        self._failing = False
        self._outage = (0.0, 0.0)  # when the archive could last not be read
        self._taken: Counter[WorkflowKey] = Counter()  # runs of the past, by workflow whose past is being read
        # The last row of the past that was read, by its end and namespaces: others may have ended in the same second.
        self._last: dict[tuple[float, frozenset[str]], ArchivedWorkflow] = {}

    def read(
        self,
        definitions: Sequence[WorkflowDefinition],
        reach: Mapping[WorkflowKey, Reach],
        now: float,
        heartbeat: Heartbeat,
    ) -> ArchiveReport:
        """See ``interfaces.RunArchive``."""
        claims = Claims(definitions)
        keys = [key for key in claims.of_kind("Workflow") if key in reach]
        if not keys:
            return ArchiveReport()
        until, notes = self._clock() + MAX_SECONDS, list[str]()
        runs = RunsOfArchive(self._archive, self._keeper, claims)
        wants = {key: now - min(reach[key][1], self._backfill) for key in keys}
        spaces = {key.namespace for key in keys}
        turn = _Turn(
            runs, claims, reach, wants, now, heartbeat, lambda: self._clock() >= until, several=len(spaces) > 1
        )
        inputs = {d.key: d.inputs for d in definitions}
        if self._failing:
            self._outage = (self._outage[0], now)
        try:
            self._marks.read_without(keys)
            if other := [key for key in keys if self._inputs.get(key, inputs[key]) != inputs[key]]:
                self._marks.forget(other)
            self._inputs = inputs
            self._forward(turn, spaces)
            self._back(turn, keys)
            listed_again = self._listed_again(self._untils(spaces), now)
            self._seen = {uid: ended for uid, ended in self._seen.items() if ended >= listed_again}
            self._failing = False
        except ArchiveError as error:
            self._outage = self._outage if self._failing else (now, now)
            self._failing = True
            notes.append(f"{error} Until then finished runs whose objects are gone are known from the metrics only.")
        except HistoryDamaged as error:
            log.error("%s", error)
            self._keeper.renew()
        except HistoryError as error:
            notes.append(f"archived runs wait to be stored: {error}")
        if notes:
            turn.more = False
        notes += runs.problems[:_NOTES]
        if (further := len(runs.problems) - _NOTES) > 0:
            notes.append(f"{further} further archived runs cannot be read")
        return ArchiveReport(frozenset(turn.changed), tuple(notes), turn.more)

    def _forward(self, turn: _Turn, namespaces: Collection[str]) -> None:
        """What was archived since the last reading, of namespaces that were read before."""
        untils = self._untils(namespaces)
        if not untils:
            return
        since = max(self._listed_again(untils, turn.now), min(turn.wants.values()))
        after: ArchivedWorkflow | None = None
        while True:
            page = self._archive.page(
                untils, since, turn.now + _FUTURE, labels=ORIGIN_LABELS, after=after, newest_first=False
            )
            read = self._store(page.rows, turn, past=False)
            if read:
                after = page.rows[read - 1]
                for name in untils.keys() & turn.late.keys():
                    self._advance({name: untils.pop(name)}, turn.late[name], turn.now)
                    turn.more = True
                self._advance(untils, after, turn.now)
            if read < len(page.rows) or (page.more and turn.over()):
                turn.more = True
                return
            if not page.more or not untils:
                return

    def _untils(self, namespaces: Collection[str]) -> dict[str, float]:
        """Up to when namespaces were read, without those that never were."""
        return {name: at for name in namespaces if (at := self._marks.until(name)) is not None}

    def _listed_again(self, untils: Mapping[str, float], now: float) -> float:
        """The moment from which on rows are listed although they were read up to ``untils``."""
        return min(untils.values(), default=0.0) - OVERLAP - self._away(now)

    def _away(self, now: float) -> float:
        """How long the archive could not be read until a short while ago: Argo may not have been able to write to it either,
        and archives what waited after what ended later."""
        began, ended = self._outage
        return ended - began if 0.0 <= now - ended < OVERLAP else 0.0

    def _advance(self, untils: Mapping[str, float], row: ArchivedWorkflow, now: float) -> None:
        """These namespaces were read up to ``row``. A clock that is ahead must not hide what others archive meanwhile."""
        at = min(row.ended, now)
        self._marks.advance([name for name, known in untils.items() if known < at], at, facts=False)

    def _back(self, turn: _Turn, keys: Sequence[WorkflowKey]) -> None:
        """Runs of the past, newest first; workflows that lack as much are read together."""
        spaces = {key.namespace for key in keys}
        fresh = spaces - self._untils(spaces).keys()
        newest = self._archive.newest(fresh) if fresh else None
        if newest is None:  # nothing was archived there yet: there is no moment from which to go on
            keys = [key for key in keys if key.namespace not in fresh]
        turn.remember = min(newest, turn.now) - OVERLAP if newest is not None else inf
        lows = self._marks.lows(keys, min(newest if newest is not None else turn.now, turn.now))
        while unread := {key: low for key, low in lows.items() if low > turn.wants[key] + SLACK}:
            if turn.over():
                turn.more = True
                break
            going = {key: low for key, low in unread.items() if key.namespace not in turn.late}
            if not going:
                turn.begin_again()
                continue
            low = max(going.values())
            places = frozenset(key.namespace for key, own in going.items() if own == low)
            horizon = min(turn.wants[key] for key in going if key.namespace in places)
            page = self._archive.page(places, horizon, low, labels=ORIGIN_LABELS, after=self._last.get((low, places)))
            read = self._store(page.rows, turn, past=True)
            for name in places & turn.late.keys():
                self._lower(lows, frozenset((name,)), turn.late[name], turn.late[name].ended, low)
            if others := frozenset(places - turn.late.keys()):
                whole = read == len(page.rows) and not page.more
                row = None if whole else page.rows[read - 1]
                self._lower(lows, others, row, horizon if row is None else row.ended, low)
        self._last = {place: row for place, row in self._last.items() if place[0] in unread.values()}
        for key in set(self._taken) - unread.keys():
            del self._taken[key]

    def _lower(
        self,
        lows: dict[WorkflowKey, float],
        places: frozenset[str],
        row: ArchivedWorkflow | None,
        since: float,
        low: float,
    ) -> None:
        """These namespaces were read from ``low`` down to ``since``, where ``row`` was the last."""
        if row is not None:
            self._last[since, places] = row
        if since < low:
            self._marks.lower(lows, places, since, low)

    def _store(self, rows: Sequence[ArchivedWorkflow], turn: _Turn, *, past: bool) -> int:
        """Store the runs of ``rows`` as far as time allows, and how many rows that were. Only then are they left behind."""
        turn.heartbeat("archive")
        results: list[Result] = []
        seen: dict[str, float] = {}
        steps = read = 0
        for row in rows:
            if read and turn.over():
                break
            read += 1
            if row.namespace in turn.late:
                continue
            again = not past and self._seen.get(row.uid) == row.ended
            if row.ended >= turn.remember:
                seen[row.uid] = row.ended
            if again:
                continue
            turn.heartbeat("archive")
            begun = self._clock()
            try:
                result = turn.runs.read(row) if self._wants(row, turn, past) else Result()
            except StatementFailed as error:
                result = turn.runs.unreadable(row, str(error))
            turn.charge(row, self._clock() - begun)
            results.append(result)
            steps += len(result.record.steps) if result.record is not None else 0
            if past and result.key is not None:
                self._taken[result.key] += 1
            if len(results) >= MOST_AT_ONCE or steps >= MOST_STEPS_AT_ONCE:
                self._keep(results, turn)
                results, steps = [], 0
        self._keep(results, turn)
        self._seen |= seen
        return read

    def _wants(self, row: ArchivedWorkflow, turn: _Turn, past: bool) -> bool:
        """Whether the object is worth fetching."""
        created_from = origins(row.namespace, row.labels)
        if not names_its_template(row.labels) and not turn.claims.may_be_of(row.namespace, frozenset()):
            created_from = origins(row.namespace, row.labels, self._archive.reference(row))
        if not turn.claims.may_be_of(row.namespace, created_from):
            return False
        observed = [key for key in created_from if key in turn.wants]
        if not observed:
            return True
        return any(row.ended >= turn.wants[key] and (not past or self._has_room(key, turn)) for key in observed)

    def _has_room(self, key: WorkflowKey, turn: _Turn) -> bool:
        """Whether older runs of a workflow would be kept."""
        return self._taken[key] < turn.reach[key][0]

    def _keep(self, results: Sequence[Result], turn: _Turn) -> None:
        """Store what was read. Raises HistoryError."""
        records: list[RunRecord] = [r.record for r in results if r.record is not None]
        if records:
            turn.changed |= self._keeper.store.add({}, records=records).workflows
        turn.runs.waiting.clear()
        for result in results:
            if result.count:
                self._count(result.count)
