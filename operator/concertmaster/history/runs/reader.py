"""The runs of one workflow out of the file: fetched while the store is locked, put together when it is not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import repeat

from concertmaster.core.model import RunRecord, WorkflowDefinition, WorkflowKey
from concertmaster.core.model.inputs import ExtraMetric
from concertmaster.core.model.metrics import ByRun, with_bytes_read, with_metrics
from concertmaster.engines import RunBuilder
from concertmaster.history import amounts
from concertmaster.history.runs.cache import KeptRun, RunCache, digest
from concertmaster.history.runs.stored import StoredRun, put_together, stored_runs
from concertmaster.history.sql import DatabaseEngine

MAX_EXECUTIONS = 50_000
"""Executions of a workflow that are held at once, those of 200 runs of 250 steps; 5 KiB each with all that is worked out of
them. Of a workflow with more, the newest runs are read."""

Mark = tuple[str, float, float]
"""A template's fingerprint, and from when until when it was seen (unix seconds)."""


@dataclass(frozen=True, slots=True)
class RunRows:
    """What the file holds of runs by name, the newest first."""

    stored: dict[str, StoredRun]
    marks: Sequence[Mark]
    values: dict[ExtraMetric, ByRun]


def left_out(completed: int, runs: Sequence[RunRecord]) -> tuple[str, ...]:
    """The note for people when fewer than all ``completed`` runs were read because of the number of executions."""
    executions = sum([len(r.steps) for r in runs])
    if len(runs) >= completed or executions < MAX_EXECUTIONS // 2:
        return ()
    return (
        f"only the newest {len(runs)} of {completed} runs are analyzed: they have {executions} step executions, and one "
        "analysis holds no more; to choose the runs, set spec.analysis.maxRuns or spec.analysis.window",
    )


def extended(mark: Mark, fingerprint: str, until: float, stored: float) -> Mark:
    """``mark`` extended to ``until`` where its fingerprint is still in force; ``stored``: when it was written last."""
    known, first, last = mark
    return known, first, max(last, until) if known == fingerprint and last >= stored else last


class RunReader:
    """Reads runs of one workflow once; see ``Store.runs``."""

    def __init__(
        self,
        key: WorkflowKey,
        definition: WorkflowDefinition | None,
        as_of: float | None,
        cache: RunCache | None,
    ) -> None:
        self._key, self._definition, self._as_of, self._cache = key, definition, as_of, cache
        self._moment = math.inf if as_of is None else as_of
        self._kept = cache.of(definition) if cache is not None and definition is not None else None

    def fetch(self, engine: DatabaseEngine, number: int, names: Sequence[str]) -> RunRows:
        """The rows of the runs called ``names``, newest first."""
        metrics = self._definition.metrics if self._definition is not None else ()
        query = "SELECT fingerprint, first_seen, last_seen FROM fingerprints WHERE workflow = ?"
        return RunRows(
            stored_runs(engine.runs, number, names),
            engine.db.execute(query, (number,)).fetchall(),
            amounts.read(engine.db, number, metrics),
        )

    def records(self, selected: RunRows) -> list[RunRecord]:
        """The records of the newest runs, in the order of their names, as far as ``MAX_EXECUTIONS`` reach. Those that are
        over are kept where the cache has room, and all others of the workflow forgotten."""
        builder = RunBuilder(self._key, self._definition, self._as_of)
        over: dict[str, KeptRun] = {}
        records: list[RunRecord] = []
        room = MAX_EXECUTIONS
        for name, stored in selected.stored.items():
            run = self._run(name, stored, builder)
            earlier = run.completed or repeat(None)
            run.completed = [self._completed(r, last, selected) for r, last in zip(run.records, earlier, strict=False)]
            records += [record for _, record in run.completed]
            if run.over:
                over[name] = run
            room -= sum([len(r.steps) for r in run.records])
            if room <= 0:
                break
        if self._kept is not None:
            self._kept.runs = over
            self._kept.figures.keep_only(records)
        if self._cache is not None:
            self._cache.note(self._key, sum([len(r.steps) for r in records]))
        return records

    def _run(self, name: str, stored: StoredRun, builder: RunBuilder) -> KeptRun:
        """What was put together before from the same rows, or put together now."""
        mark = b"" if self._kept is None else digest(stored.bodies)
        known = None if self._kept is None else self._kept.same(name, mark, self._moment)
        if known is not None:
            return known
        records = put_together(stored, name, builder)
        return KeptRun(mark, self._moment, records, stored.decided(self._moment))

    def _completed(
        self, record: RunRecord, before: tuple[object, RunRecord] | None, selected: RunRows
    ) -> tuple[object, RunRecord]:
        """The record with the fingerprint that was in force from its creation to its start, if that was observed, with what
        users' queries say of it, and with the bytes its pods read where those stand in for its input; the same object as
        ``before`` where they say the same. Some engines copy the template at the one, others at the other, and a queue may
        lie between."""
        mark = record.fingerprint
        if mark is None and record.start is not None:
            start = record.start
            begin = start if record.created is None else min(start, record.created)
            mark = next((f for f, first, last in selected.marks if first <= begin and start <= last), None)
        observed = mark, [(metric, of_runs.get(record.run)) for metric, of_runs in selected.values.items()]
        if before is not None and before[0] == observed:
            return before
        marked = record if mark is record.fingerprint else replace(record, fingerprint=mark)
        if self._definition is not None:
            marked = with_bytes_read(marked, self._definition.inputs, self._definition.metrics)
        return observed, with_metrics(marked, selected.values)
