"""Daily rows, baselines and adoption in the history."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager

from concertmaster.core.analysis.daily.rows import longest
from concertmaster.core.model import WorkflowKey
from concertmaster.core.model.daily import RUN, Baseline, DailyPeaks, DailyRow, RecommendationOutcome
from concertmaster.core.units import DAY
from concertmaster.history.daily.rows import COLUMNS, PEAK_PREFIX, amounts_of, as_stored, row_of, values_of
from concertmaster.history.errors import translated
from concertmaster.history.rows import delete_amounts, known_id, make_id
from concertmaster.history.schema import connect_readonly
from concertmaster.history.sql import Connection, DatabaseEngine, Transaction

KEEP_DAYS = 400
ADOPTIONS = 200
"""Recommendations of one workflow of which the state is kept, the latest first."""

_BARE = " AND ".join(
    f"NOT EXISTS (SELECT 1 FROM {table} WHERE workflow = id)"
    for table in ("daily", "executions", "records", "fingerprints")
)
_REPLACED = ", ".join(f"{column} = excluded.{column}" for column in COLUMNS.split(", ")[1:])
_INSERT = (
    f"INSERT INTO daily (workflow, step, {COLUMNS}) VALUES ({','.join('?' * (2 + len(COLUMNS.split(','))))}) "
    f"ON CONFLICT (workflow, step, day) DO UPDATE SET {_REPLACED}"
)


class DailyReader:
    """Reads the long-lived tables of one open history. ``read`` guards a query."""

    def __init__(self, db: Callable[[], Connection], read: Transaction) -> None:
        self._open = db
        self._read = read

    def recorded(self, key: WorkflowKey) -> float:
        """End of the newest run counted in the rows of a workflow (unix seconds, 0 for none)."""
        with self._read():
            number = known_id(self._db, key)
            query = "SELECT max(until) FROM daily WHERE workflow = ? AND step = 0"
            row = self._db.execute(query, (number,)).fetchone()
            return float(row[0]) if row is not None and row[0] is not None else 0.0

    def rows(self, key: WorkflowKey, *, since: int = 0, step: str | None = RUN, amounts: bool = True) -> list[DailyRow]:
        """Rows from the day ``since`` on, oldest first: of the runs, of one step, or all (None); with their ``amounts``."""
        with self._read():
            number = known_id(self._db, key)
            return [] if number is None else self._select(number, since, step, amounts)

    def largest(self, key: WorkflowKey, *, since: int) -> DailyPeaks:
        """The largest amounts of the days from ``since`` on."""
        query = (
            f"SELECT CASE WHEN step = 0 THEN '{RUN}' ELSE name END, metric, day, amount FROM daily_metrics "
            "LEFT JOIN step_names USING (workflow, step) "
            "WHERE workflow = ? AND day >= ? AND metric >= 'largest/' AND metric < 'largest0'"
        )
        found: dict[tuple[str, str], dict[int, float]] = {}
        with self._read():
            for step, metric, day, amount in self._db.execute(query, (known_id(self._db, key), since)):
                found.setdefault((step, metric.removeprefix(PEAK_PREFIX)), {})[day] = amount
        return DailyPeaks(found)

    def fleet(self, *, since: int = 0) -> dict[WorkflowKey, list[DailyRow]]:
        """Rows of the runs of all workflows from the day ``since`` on, also of workflows that are gone."""
        with self._read():
            query = (
                f"SELECT namespace, kind, name, {COLUMNS} FROM workflows JOIN daily ON workflow = id "
                "WHERE step = 0 AND day >= ? ORDER BY namespace, kind, name, day"
            )
            out: dict[WorkflowKey, list[DailyRow]] = {}
            for namespace, kind, name, *values in self._db.execute(query, (since,)):
                out.setdefault(WorkflowKey(namespace, kind, name), []).append(row_of(RUN, values, {}))
            return out

    def baseline(self, key: WorkflowKey) -> Baseline | None:
        """The workflow as it was first analysed."""
        with self._read():
            query = "SELECT at, runs, p50, p95, success, cost, score FROM baselines WHERE workflow = ?"
            row = self._db.execute(query, (known_id(self._db, key),)).fetchone()
            return None if row is None else Baseline(*row)

    def adoptions(self, key: WorkflowKey) -> list[RecommendationOutcome]:
        """States of the recommendations of a workflow, by the time they were first published."""
        with self._read():
            query = (
                "SELECT recommendation, state, first, since, money, minutes, failures, by, verdict, measured "
                "FROM adoptions WHERE workflow = ? ORDER BY first, recommendation"
            )
            return [RecommendationOutcome(*values) for values in self._db.execute(query, (known_id(self._db, key),))]

    # --- inside

    @property
    def _db(self) -> Connection:
        return self._open()

    def _select(self, number: int, since: int, step: str | None, amounts: bool = True) -> list[DailyRow]:
        names = dict(self._db.execute("SELECT step, name FROM step_names WHERE workflow = ?", (number,)))
        names[0] = RUN
        place = next((n for n, name in names.items() if name == step), -1) if step is not None else None
        only, args = ("", (number, since)) if place is None else (" AND step = ?", (number, since, place))
        metrics: dict[tuple[int, int], dict[str, float]] = {}
        query = f"SELECT step, day, metric, amount FROM daily_metrics WHERE workflow = ? AND day >= ?{only}"
        for of, day, metric, amount in self._db.execute(query, args) if amounts else ():
            metrics.setdefault((of, day), {})[metric] = amount
        query = f"SELECT step, {COLUMNS} FROM daily WHERE workflow = ? AND day >= ?{only} ORDER BY day, step"
        rows = self._db.execute(query, args).fetchall()
        return [row_of(names.get(of, "?"), values, metrics.get((of, values[0]), {})) for of, *values in rows]


class DailyTables(DailyReader):
    """The long-lived tables of one open history."""

    def __init__(self, engine: DatabaseEngine) -> None:
        super().__init__(lambda: engine.db, engine.reading)
        self._engine = engine
        self._dropped = 0  # the day before which rows were deleted last

    def record(
        self,
        key: WorkflowKey,
        rows: Sequence[DailyRow],
        *,
        baseline: Baseline | None = None,
        adoptions: Sequence[RecommendationOutcome] = (),
        since: int = 0,
        exceptional_since: int = 0,
    ) -> int:
        """Store rows (whole ones replace, others add), the baseline where there is none yet, and the states of
        recommendations; delete largest amounts of days before ``since`` that later ones come near, and all of days before
        ``exceptional_since``. Returns the number of rows written; rows that are unchanged are not."""
        self._engine.daily.prepare({row.day for row in rows})
        with self._engine.transaction():
            self._engine.claim([key.namespace])  # steps of a workflow are numbered, by one shard at a time
            number = make_id(self._db, key)
            fresh: list[tuple[DailyRow, DailyRow | None]] = []
            if rows:
                known = {(r.day, r.step): r for r in self._select(number, min(r.day for r in rows), None)}
                both = [(row, known.get((row.day, row.step))) for row in rows]
                fresh = [(after, before) for row, before in both if (after := as_stored(row, before)) != before]
                fresh = self._bounded(number, known, fresh)
            if fresh:
                self._write(number, fresh)
            if any(before is None for _, before in fresh):  # once a day
                delete_amounts(self._db, number, since, exceptional_since)
            if (b := baseline) is not None:
                values = (number, b.at, b.runs, b.p50, b.p95, b.success, b.cost, b.score)
                self._db.execute("INSERT INTO baselines VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", values)
            self._adopt(number, adoptions)
            return len(fresh)

    def prune(self, today: int, owns: Callable[[str], bool] = lambda _: True) -> None:
        """Once a day, delete rows of days that are older than ``KEEP_DAYS`` days; and, in the namespaces for which ``owns``
        is true, adoptions of that age and workflows without any row: other processes add to them in others."""
        oldest = today - KEEP_DAYS
        if oldest != self._dropped and self._engine.daily.drop_before(oldest):
            self._drop_names(owns)
            self._dropped = oldest
        ended, before = "adoptions WHERE since < ? AND state <> 'Active'", oldest * DAY
        with self._engine.transaction():
            bare = self._db.execute(f"SELECT id, namespace FROM workflows WHERE {_BARE}")
            over = self._db.execute(f"SELECT id, namespace FROM workflows, {ended} AND workflow = id", (before,))
            gone, old = ([(number, str(place)) for number, place in of if owns(place)] for of in (bare, over))
            self._engine.claim({place for _, place in (*gone, *old)})  # before rows are locked that others may wait for
            self._db.executemany(f"DELETE FROM {ended} AND workflow = ?", {(before, n) for n, _ in old})
            self._db.executemany(f"DELETE FROM workflows WHERE id = ? AND {_BARE}", [(n,) for n, _ in gone])

    # --- inside

    def _drop_names(self, owns: Callable[[str], bool]) -> None:
        """Forget steps of which no row is left: renamed ones, and those of graphs that change with each run."""
        with self._engine.reading():
            spaces = [str(name) for (name,) in self._db.execute("SELECT DISTINCT namespace FROM workflows").fetchall()]
        query = (
            "DELETE FROM step_names WHERE workflow IN (SELECT id FROM workflows WHERE namespace = ?) AND NOT EXISTS "
            "(SELECT 1 FROM daily WHERE daily.workflow = step_names.workflow AND daily.step = step_names.step)"
        )
        for namespace in filter(owns, spaces):
            with self._engine.transaction():
                self._engine.claim([namespace])  # or its number could be in use by a row that is being written
                self._db.execute(query, (namespace,))

    def _bounded(
        self, number: int, known: Mapping[tuple[int, str], DailyRow], fresh: Sequence[tuple[DailyRow, DailyRow | None]]
    ) -> list[tuple[DailyRow, DailyRow | None]]:
        """Those of the ``fresh`` rows, each with what is stored of it, that their day has room for; what is ``known`` of
        steps that take less time makes room. Steps may have other names in each run."""
        by_day: dict[int, dict[str, DailyRow]] = {}
        for row in (*known.values(), *(row for row, _ in fresh)):
            if row.step != RUN:
                by_day.setdefault(row.day, {})[row.step] = row
        kept = {(row.day, row.step) for rows in by_day.values() for row in longest(rows.values())}
        gone = [place for place in known if place[1] != RUN and place not in kept]
        if gone:
            places = self._places(number, [step for _, step in gone])
            for table in ("daily", "daily_metrics"):
                self._db.executemany(
                    f"DELETE FROM {table} WHERE workflow = ? AND step = ? AND day = ?",
                    [(number, places[step], day) for day, step in gone],
                )
        return [(row, before) for row, before in fresh if row.step == RUN or (row.day, row.step) in kept]

    def _write(self, number: int, rows: Sequence[tuple[DailyRow, DailyRow | None]]) -> None:
        """Rows, each with what is stored of it, in a few calls: a workflow of ten steps has eleven a day."""
        places = self._places(number, [row.step for row, _ in rows])
        self._db.executemany(_INSERT, [(number, places[row.step], *values_of(row)) for row, _ in rows])
        gone = [
            (number, places[row.step], row.day) for row, before in rows if before is not None and amounts_of(before)
        ]
        if gone:
            self._db.executemany("DELETE FROM daily_metrics WHERE workflow = ? AND step = ? AND day = ?", gone)
        amounts = [
            (number, places[row.step], row.day, metric, amount)
            for row, _ in rows
            for metric, amount in amounts_of(row).items()
        ]
        if amounts:
            self._db.executemany("INSERT INTO daily_metrics VALUES (?, ?, ?, ?, ?)", amounts)

    def _places(self, number: int, steps: Iterable[str]) -> dict[str, int]:
        """Numbers of steps within their workflow, new ones after those it has; 0 is the run as a whole."""
        query = "SELECT name, step FROM step_names WHERE workflow = ?"
        places = {str(name): int(place) for name, place in self._db.execute(query, (number,))}
        last = max(places.values(), default=0)
        missing = [step for step in dict.fromkeys(steps) if step != RUN and step not in places]
        new = {step: last + 1 + i for i, step in enumerate(missing)}
        if new:
            rows = [(number, place, step) for step, place in new.items()]
            self._db.executemany("INSERT INTO step_names VALUES (?, ?, ?)", rows)
        return places | new | {RUN: 0}

    def _adopt(self, number: int, adoptions: Sequence[RecommendationOutcome]) -> None:
        query = (
            "INSERT INTO adoptions AS old VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (workflow, recommendation) DO UPDATE SET state = excluded.state, since = excluded.since, "
            "money = coalesce(excluded.money, old.money), minutes = coalesce(excluded.minutes, old.minutes), "
            "failures = coalesce(excluded.failures, old.failures), by = coalesce(excluded.by, old.by), "
            "verdict = coalesce(excluded.verdict, old.verdict), measured = coalesce(excluded.measured, old.measured)"
        )
        for a in adoptions[:ADOPTIONS]:
            values = (a.recommendation, a.state, a.first, a.since, a.money, a.minutes, a.failures, a.by, a.verdict)
            self._db.execute(query, (number, *values, a.measured))
        if adoptions:
            self._db.execute(
                "DELETE FROM adoptions WHERE workflow = ? AND recommendation NOT IN "
                "(SELECT recommendation FROM adoptions WHERE workflow = ? ORDER BY since DESC LIMIT ?)",
                (number, number, ADOPTIONS),
            )


@contextmanager
def open_readonly(path: str) -> Iterator[DailyReader]:
    """The long-lived tables of a file that another process may be writing. Raises HistoryError."""

    @contextmanager
    def read() -> Iterator[None]:
        with translated(path):
            yield

    with translated(path), closing(connect_readonly(path)) as db:
        yield DailyReader(lambda: db, read)
