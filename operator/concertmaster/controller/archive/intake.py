"""Rows of the archive into the history, for one cycle: which objects are worth fetching, and in which portions their runs
are stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from concertmaster.archive import ArchiveRow, StatementFailed, StatementTimedOut
from concertmaster.controller.archive.reading import Result, RunsOfArchive
from concertmaster.controller.health import Heartbeat
from concertmaster.core.model import RunRecord, WorkflowKey

MAX_BATCH_RUNS = 50  # runs stored in one transaction
MAX_BATCH_STEPS = 20_000
MAX_TRIES = 3
"""Cycles in which a row is tried for which the server takes too long: it may only be busy."""
LATE_SECONDS = 900.0
"""Seconds in which the other objects of a run may be archived after its own."""

Keys = frozenset[WorkflowKey]


@dataclass(slots=True)
class SeenRuns:
    """Runs that were read and may be listed again: by namespace and uid, their end and the workflow that they are of.
    ``tries``: by uid, the end of others and how often reading them took too long."""

    runs: dict[str, dict[str, tuple[float, WorkflowKey | None]]] = field(default_factory=dict)
    tries: dict[str, tuple[float, int]] = field(default_factory=dict)

    def knows(self, row: ArchiveRow) -> bool:
        """Whether this end of the run was read."""
        return self.runs.get(row.namespace, {}).get(row.uid, (None, None))[0] == row.ended

    def workflow(self, row: ArchiveRow) -> WorkflowKey | None:
        """The workflow that a known run is of, if it is an observed one."""
        return self.runs[row.namespace][row.uid][1]

    def note(self, row: ArchiveRow, key: WorkflowKey | None) -> None:
        """It is read and stored."""
        self.runs.setdefault(row.namespace, {})[row.uid] = row.ended, key

    def late(self, row: ArchiveRow) -> bool:
        """Reading it took too long; whether it is tried no more."""
        tried = self.tries.pop(row.uid, (row.ended, 0))[1] + 1
        if tried < MAX_TRIES:
            self.tries[row.uid] = row.ended, tried
        return tried >= MAX_TRIES

    def forget_before(self, moment: float) -> None:
        """Those are not listed any more."""
        self.tries = {uid: tried for uid, tried in self.tries.items() if tried[0] >= moment}
        kept = {name: {u: run for u, run in runs.items() if run[0] >= moment} for name, runs in self.runs.items()}
        self.runs = {name: runs for name, runs in kept.items() if runs}


@dataclass(slots=True)
class Intake:
    """One cycle's rows on their way into the history. ``wants``: by workflow, the moment down to which its runs are
    analysed; ``most``: how many of them. ``more``: there are rows for which the time was too short."""

    runs: RunsOfArchive
    wants: Mapping[WorkflowKey, float]
    most: Mapping[WorkflowKey, int]
    now: float
    heartbeat: Heartbeat
    seen: SeenRuns
    count: Callable[[str], None]
    changed: set[WorkflowKey] = field(default_factory=set)
    more: bool = False
    _taken: list[tuple[ArchiveRow | None, Result]] = field(default_factory=list)
    _steps: int = 0

    def take(
        self, listed: ArchiveRow, wanted: Callable[[Keys, Keys], bool], *, again: bool = True
    ) -> WorkflowKey | None:
        """Read one row, where its object is ``wanted``: that is asked with the observed workflows that the run may be of,
        and with those among them that it was created from. Returns the workflow that it is a run of. ``again``: also the
        object of a run that is known as it ended, and of one for which the server takes too long only once: it is not
        listed in the next cycle.

        A row that is not wanted does not count as read: it may be later. Raises ArchiveError and HistoryError.
        """
        self.heartbeat("archive")
        needed, row = False, listed
        try:
            described = self.runs.archive.described(listed)
            row = described or listed
            observed, named = self._observed(row) if described is not None and row.over else (Keys(), Keys())
            needed = not observed or wanted(observed, named)
            if observed and needed:
                key = None if again else self.runs.known(row, observed)
                result = self.runs.read(row) if key is None else Result(None, key)
            else:
                result = Result()
        except StatementFailed as error:
            needed, result = True, self.runs.unreadable(row, str(error))
            if isinstance(error, StatementTimedOut) and not again and not self.seen.late(listed):
                needed, result = False, replace(result, count="")
        if result.lacking and self.now - _end(row) < LATE_SECONDS:
            needed, result = False, replace(result, count="")
        self._taken.append((listed if needed else None, result))
        self._steps += len(result.record.steps) if result.record is not None else 0
        if len(self._taken) >= MAX_BATCH_RUNS or self._steps >= MAX_BATCH_STEPS:
            self.keep()
        return result.key

    def _observed(self, row: ArchiveRow) -> tuple[Keys, Keys]:
        """The observed workflows whose runs are analysed that far back and may include this one, and those of them that it
        was created from."""
        form = self.runs.form
        reference = None if form.name_all(row.labels) else self.runs.archive.reference(row)
        created_from = form.origins(row.namespace, row.labels, reference)
        found = self.runs.claims.candidates(row.namespace, created_from)
        observed = frozenset(key for key in found if key in self.wants and _end(row) >= self.wants[key])
        return observed, observed & created_from

    def keep(self) -> None:
        """Store what was taken. Only then it counts as read. Raises HistoryError."""
        records: list[RunRecord] = [r.record for _, r in self._taken if r.record is not None]
        if records:
            self.changed |= self.runs.history.store.add({}, records=records)
        taken, self._taken, self._steps = self._taken, [], 0
        self.runs.waiting.clear()
        for row, result in taken:
            if row is not None:
                self.seen.note(row, result.key)
            if result.count:
                self.count(result.count)


def _end(row: ArchiveRow) -> float:
    return row.ended if row.finished is None else row.finished
