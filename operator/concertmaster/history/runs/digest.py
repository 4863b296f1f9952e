"""The input of an analysis of a workflow, without making the analysis: a digest of the runs that are over.

Pods of a run in progress change nothing about the others. The rows are hashed as stored; only runs that may be in
progress are assembled, to determine whether they are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from concertmaster.core.model import Outcome, RunRecord, WorkflowDefinition
from concertmaster.engines import LOST_SECONDS, RunBuilder, decided_at
from concertmaster.history import rows
from concertmaster.history.runs.cache import KeptRun, RunCache, digest
from concertmaster.history.runs.settled import MARK
from concertmaster.history.runs.stored import StoredRun, put_together, stored_runs
from concertmaster.history.sql import DatabaseEngine

_MAX_HELD = 1_400  # executions that are kept for the reading that follows
MAX_RUNNING = 8  # runs of one workflow at a time that do not count against a limit of finished runs


@dataclass(frozen=True, slots=True)
class RunsDigest:
    """``digest``: of the runs that are over. ``due``: the next moment (unix seconds up to which facts are complete) at
    which a run that is going on may count as over without any further fact; None: none is going on.

    ``runs`` are over, ``fresh`` of them ended after the moment that was asked about. ``newest`` and ``failed``: when the
    newest run ended, and the newest that failed within the last day (unix seconds)."""

    digest: str = ""
    due: float | None = None
    runs: int = 0
    fresh: int = 0
    newest: float | None = None
    failed: float | None = None


@dataclass(frozen=True, slots=True)
class _Recent:
    """What may still change about the runs under one name: how many are going on, and of how many; when that is decided
    without a further fact, and when those ended that failed."""

    runs: int = 0
    going: int = 0
    due: tuple[float, ...] = ()
    failed: tuple[float, ...] = ()

    @classmethod
    def of(cls, runs: Sequence[RunRecord], as_of: float) -> _Recent:
        return cls(
            len(runs),
            sum(r.outcome is Outcome.RUNNING for r in runs),
            tuple(moment for r in runs if (moment := decided_at(r, as_of)) is not None),
            tuple(r.end for r in runs if r.outcome is Outcome.FAILED and r.end is not None),
        )


_LONG_AGO = _Recent(runs=1)


class DigestReader:
    """Reads the digest of one workflow's runs. ``as_of``: until when facts are complete (unix seconds). Runs that the
    ``cache`` has are taken from it, and of those put together here it gets what is held at once; it also learns which
    runs are settled."""

    def __init__(self, definition: WorkflowDefinition, as_of: float, cache: RunCache | None) -> None:
        self._definition, self._as_of = definition, as_of
        self._cache = cache or RunCache()

    def read(self, engine: DatabaseEngine, number: int, *, limit: int, since: float, after: float | None) -> RunsDigest:
        """The digest of the newest ``limit`` finished runs that ended at or after ``since``; those that ended ``after``
        are fresh."""
        names = rows.newest(engine.db, number, limit + MAX_RUNNING, since)
        stored = stored_runs(engine.runs, number, names)
        seen = self._recent(stored)
        known = hashlib.blake2b(digest_size=16)
        due: list[float] = []
        newest: list[float] = []
        failed: list[float] = []
        over = fresh = 0
        for name in names:
            state = seen.get(name, _LONG_AGO)
            due += state.due
            if state.going == state.runs:
                continue
            over += 1
            if over > limit:
                break
            known.update(f"{name}\0{state.going or ''}\0".encode())
            for body in stored[name].bodies:
                known.update(body)
            end = stored[name].ended
            if end is not None:
                newest.append(end)
                fresh += after is None or end > after
            failed += state.failed
        count, last = min(over, limit), max(newest, default=None)
        return RunsDigest(known.hexdigest(), min(due, default=None), count, fresh, last, max(failed, default=None))

    def _recent(self, stored: Mapping[str, StoredRun]) -> dict[str, _Recent]:
        """What may still change, by the names of the runs; those that ended long ago and settled ones are left out."""
        builder = RunBuilder(self._definition.key, self._definition, self._as_of)
        kept = self._cache.before_reading(self._definition)
        known_settled = self._cache.settled.of(self._definition, self._as_of)
        settled: list[bytes] = []
        seen: dict[str, _Recent] = {}
        held = 0
        for name, found in stored.items():
            if found.ended is not None and self._as_of - found.ended >= LOST_SECONDS:
                continue
            mark = digest(found.bodies)
            if mark[:MARK] in known_settled:
                settled.append(mark[:MARK])
                continue
            run = kept.same(name, mark, self._as_of)
            if run is None:
                records = put_together(found, name, builder)
                run = KeptRun(mark, self._as_of, records, found.decided(self._as_of))
                held += sum([len(r.steps) for r in run.records])
                if run.over and held <= _MAX_HELD:
                    kept.runs[name] = run
            seen[name] = _Recent.of(run.records, self._as_of)
            if seen[name] == _LONG_AGO and run.over:
                settled.append(mark[:MARK])
        self._cache.settled.keep(self._definition, self._as_of, settled)
        return seen


def newest_finished(records: list[RunRecord], limit: int) -> list[RunRecord]:
    """Of ``records``, oldest first, the newest ``limit`` that are over and those still going on."""
    room = limit
    chosen: list[RunRecord] = []
    for record in reversed(records):
        if record.outcome is not Outcome.RUNNING:
            if room <= 0:
                continue
            room -= 1
        chosen.append(record)
    return chosen[::-1]
