"""The store: pods by run, live records by run, watermarks moved with the facts they cover.

Everything a call writes is one transaction. Facts come again after a crash, a full disk or an overlap of windows, so
adding is idempotent: a pod, known by its uid, is merged with what is already stored of it, and what says nothing new is
not written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from math import inf

from concertmaster.core.model import Outcome, RunRecord, StepExecution, WorkflowDefinition, WorkflowKey
from concertmaster.core.model.inputs import ExtraMetric
from concertmaster.core.model.metrics import ByRun
from concertmaster.core.times import recent
from concertmaster.core.units import HOUR
from concertmaster.history import amounts, rows
from concertmaster.history.analyses import Analyses
from concertmaster.history.runs.cache import RunCache
from concertmaster.history.runs.digest import MAX_RUNNING, DigestReader, RunsDigest, newest_finished
from concertmaster.history.runs.executions import delete, keep_only, merge
from concertmaster.history.runs.reader import RunReader, extended
from concertmaster.history.runs.stored import StoredRun, live_record, stored_runs
from concertmaster.history.space import Space
from concertmaster.history.sql import DatabaseEngine

_BATCH_WORKFLOWS = 100  # workflows pruned in one transaction
_NOTED_EVERY = HOUR  # seconds: how far the file may lag behind with what has not changed


class Store(Analyses):
    """One history. Safe to use from several threads of one process."""

    def __init__(self, place: str | DatabaseEngine, *, copy: bool = False, most: float = inf) -> None:
        """See ``Database``; ``most``: bytes of the runs of one namespace."""
        super().__init__(place, copy=copy)
        self._space = Space(most)
        # By workflow, the fingerprint in force, until when it was seen, and until when the file says so.
        self._noted: dict[WorkflowKey, tuple[str, float, float]] = {}

    # --- writing

    def add(
        self,
        executions: Mapping[WorkflowKey, Mapping[str, Sequence[StepExecution]]],
        *,
        records: Iterable[RunRecord] = (),
    ) -> frozenset[WorkflowKey]:
        """Add executions by workflow and run name (as ``Assignment.executions``), and ``records`` of live runs. Returns the
        workflows of which something is new.

        A record without steps has the end of a run; the rest comes from its pods.

        Executions need a uid. Either everything is written or nothing. The watermark that covers them is moved afterwards:
        what a stop in between leaves is read again. Where a namespace takes more than it may, its older runs go.
        """
        given = [(e, key, run) for key, runs in executions.items() for run, pods in runs.items() for e in pods if e.uid]
        places = self._engine.run_retention.prepare()
        with self._transaction():
            said = list(records)
            self._engine.claim({key.namespace for key in (*executions, *(record.workflow for record in said))})
            touched, written = merge(self._db, given, places)
            for record in said:
                if size := rows.write_record(self._db, record):
                    touched.add(record.workflow)
                    written[record.workflow.namespace] += size
            self._outdate(touched)
            cut = self._space.keep(self._db, written)
        if cut:
            self._engine.shrink()
        return frozenset(touched)

    @property
    def full(self) -> frozenset[str]:
        """Namespaces of which older runs were deleted because they exceeded the bound of one namespace."""
        return self._space.full

    def add_amounts(self, key: WorkflowKey, values: Mapping[ExtraMetric, ByRun]) -> None:
        """Store the results of users' queries for the runs of a workflow, by run and step. They count towards what the
        namespace may take."""
        with self._transaction():
            self._engine.claim([key.namespace])
            written = amounts.keep(self._db, rows.make_id(self._db, key), values)
            cut = written > 0 and self._space.keep(self._db, {key.namespace: written})
        if cut:
            self._engine.shrink()

    def note_definitions(
        self, fingerprints: Mapping[WorkflowKey, str], at: float, written: Mapping[WorkflowKey, float] = {}
    ) -> None:
        """Remember which template fingerprint each workflow has at ``at``, so that runs can be distinguished by it. It has
        it since it was ``written`` (unix seconds) where that is known, unless another one was seen after that."""
        fresh: list[tuple[WorkflowKey, str, float, float]] = []
        for key, fingerprint in fingerprints.items():
            known = self._noted.get(key)
            if known is not None and known[0] == fingerprint and recent(known[2], at, _NOTED_EVERY):
                self._noted[key] = (fingerprint, at, known[2])
                continue
            if known is not None and known[0] != fingerprint and known[1] <= at:
                fresh.append((key, known[0], known[1], known[1]))  # up to here the earlier one was in force
            fresh.append((key, fingerprint, min(at, written.get(key, at)), at))
        if not fresh:
            return
        with self._transaction():
            ahead = [key for key, *_ in fresh if (known := self._noted.get(key)) is None or at < known[1]]
            rows.end_fingerprints(self._db, ahead, at)
            for key, fingerprint, since, seen in fresh:
                rows.note_fingerprint(self._db, key, fingerprint, since, seen)
        self._noted.update({key: (fingerprint, seen, seen) for key, fingerprint, _, seen in fresh})

    def forget(self, key: WorkflowKey) -> int:
        """Delete the runs of a workflow; returns the number of pods deleted. Its daily rows stay their 400 days: they
        must survive a profile that is deleted by mistake or recreated."""
        self._noted.pop(key, None)
        with self._transaction():
            self._engine.claim([key.namespace])
            number = rows.known_id(self._db, key)
            if number is None:
                return 0
            gone = delete(self._db, number)
            for table in ("records", "fingerprints", "amounts"):
                self._db.execute(f"DELETE FROM {table} WHERE workflow = ?", (number,))
            left = "SELECT 1 FROM daily WHERE workflow = ?"
            self._db.execute(f"DELETE FROM workflows WHERE id = ? AND NOT EXISTS ({left})", (number, number))
        self._engine.shrink()
        return gone

    def prune(
        self,
        *,
        max_runs: int | Mapping[WorkflowKey, int],
        before: float,
        owns: Callable[[str], bool] = lambda _: True,
    ) -> int:
        """Keep the newest ``max_runs`` runs of each workflow (a number, or one per workflow) that ended after ``before``
        (unix seconds; longer where weeks are deleted as a whole) and definitions in force since, in the namespaces that
        ``owns`` is true of; returns the number of pods deleted run by run. Others can write in between."""
        gone = 0
        keys = [key for key in self.keys() if owns(key.namespace)]
        oldest = self._engine.run_retention.drop_before({key.namespace for key in keys}, before)
        for part in rows.chunks(keys, _BATCH_WORKFLOWS):
            with self._transaction():
                self._engine.claim({key.namespace for key in part})
                for key in part:
                    number = rows.make_id(self._db, key)
                    most = max_runs if isinstance(max_runs, int) else max_runs.get(key)
                    recent = set(rows.newest(self._db, number, most, oldest))
                    gone += keep_only(self._db, number, recent, oldest)
                    amounts.keep_only(self._db, number, recent)
                    self._db.execute("DELETE FROM fingerprints WHERE workflow = ? AND last_seen < ?", (number, oldest))
        if gone:
            self._engine.shrink()
        with self._engine.reading():
            self._space.review(self._db, {key.namespace for key in keys})
        return gone

    # --- reading

    def runs(
        self,
        key: WorkflowKey,
        *,
        limit: int | None = None,
        since: float | None = None,
        until: float = inf,
        definition: WorkflowDefinition | None = None,
        as_of: float | None = None,
        cache: RunCache | None = None,
    ) -> list[RunRecord]:
        """Run records, oldest first: at most the ``limit`` newest that are over and those going on, of those that ended
        from ``since`` to ``until``.

        ``definition`` gives the graph for ready times and outcomes, ``as_of`` until when facts are complete (see
        ``engines.RunBuilder``). With a ``cache`` and a definition, runs whose rows are unchanged are the same objects.
        """
        reader = RunReader(key, definition, as_of, cache)
        with self._engine.reading():
            number = rows.known_id(self._db, key)
            if number is None:
                return []
            names = rows.newest(self._db, number, None if limit is None else limit + MAX_RUNNING, since, until)
            selected = reader.fetch(self._engine, number, names)
            if (noted := self._noted.get(key)) is not None:
                selected = replace(selected, marks=[extended(mark, *noted) for mark in selected.marks])
        records = reader.records(selected)
        records = [r for r in records if r.steps or r.outcome is Outcome.FAILED]
        first = -inf if since is None else since
        records = [r for r in records if r.end is None or first <= r.end <= until]
        records.sort(key=lambda r: (r.end or r.start or 0.0, r.run))
        return records if limit is None else newest_finished(records, limit) if limit > 0 else []

    def runs_digest(
        self,
        definition: WorkflowDefinition,
        *,
        limit: int,
        since: float,
        as_of: float,
        after: float | None = None,
        cache: RunCache | None = None,
    ) -> RunsDigest:
        """A summary of the input of an analysis of ``runs``, without rebuilding those that ended long ago; ``after``:
        since when runs count as fresh. What is rebuilt stays in the ``cache`` for ``runs``."""
        reader = DigestReader(definition, as_of, cache)
        with self._engine.reading():
            number = rows.known_id(self._db, definition.key)
            if number is None:
                return RunsDigest()
            return reader.read(self._engine, number, limit=limit, since=since, after=after)

    def live_runs(self, keys: Iterable[WorkflowKey]) -> dict[tuple[str, str], WorkflowKey]:
        """Workflow by namespace and name of the runs that were reported by their own objects, for these workflows only."""
        live: dict[tuple[str, str], WorkflowKey] = {}
        with self._engine.reading():
            for key in keys:
                number = rows.known_id(self._db, key)
                query = "SELECT run FROM records WHERE workflow = ?"
                live |= {(key.namespace, run): key for (run,) in self._db.execute(query, (number,))}
        return live

    def live_record(self, key: WorkflowKey, run: str) -> RunRecord | None:
        """The last record from the object of the run of that name; None where there is none."""
        with self._engine.reading():
            number = rows.known_id(self._db, key)
            stored = StoredRun() if number is None else stored_runs(self._engine.runs, number, [run])[run]
            return live_record(stored, key, run)

    def number_after(self, key: WorkflowKey, moment: float) -> int:
        """How many runs of a workflow ended after ``moment`` (unix seconds)."""
        with self._engine.reading():
            number = rows.known_id(self._db, key)
            return 0 if number is None else rows.number_after(self._db, number, moment)

    def begun(self, keys: Iterable[WorkflowKey]) -> dict[WorkflowKey, list[float]]:
        """When the runs of these workflows began, as far as their pods tell (unix seconds)."""
        with self._engine.reading():
            return rows.begun(self._db, keys)

    def keys(self) -> list[WorkflowKey]:
        """Workflows with runs or a definition on record, in a fixed order."""
        with self._engine.reading():
            exists = "EXISTS (SELECT 1 FROM {} WHERE workflow = id)".format
            detail = " OR ".join(map(exists, ("executions", "records", "fingerprints")))
            query = f"SELECT namespace, kind, name FROM workflows WHERE {detail} ORDER BY namespace, kind, name"
            return [WorkflowKey(*row) for row in self._db.execute(query)]

    def newest(self) -> float | None:
        """When the newest pod ended (unix seconds)."""
        with self._engine.reading():
            row = self._db.execute("SELECT max(ended) FROM executions").fetchone()
            return None if row[0] is None else float(row[0])
