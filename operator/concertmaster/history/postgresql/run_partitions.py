"""Runs in PostgreSQL: a partition for the rows of each week, dropped as a whole when nobody needs any of them.

Pods are merged by uid whatever their time, and PostgreSQL has no unique key across partitions by time. So the week is in
the place of a row, which is its key anyway: places are numbered from the beginning of the week in which the row is stored
first. A pod that comes again is changed in its row, in whatever week that is; a run that goes on in the next week has
another row there, so that partitions of earlier weeks come to an end. Shards that write pods of one namespace claim it,
so that none of them stores a uid twice.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection

from concertmaster.history.errors import HistoryLocked
from concertmaster.history.postgresql.partitions import drop, lock_all, make, one_at_a_time, partitions
from concertmaster.history.sql import Connection, Transaction

WEEK = 7 * 86_400.0
"""Seconds: a row stays as much longer than it must, and until the last of its week may go."""
PLACES = 2**40
"""Places of a week."""

log = logging.getLogger(__name__)
_LAGGING = (
    2 * WEEK
)  # seconds after which rows are deleted one by one, from weeks with a run that is newer, or claims to be
_TABLES = {"executions": "", "pods": "uid"}  # each with the key of its partitions where it has none itself
_WHAT = "runs"
_WAIT = 300  # milliseconds for each of three tables: in all less than a server takes to look for those that wait in a circle
_VACUUM = "WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05)"
_NEEDED_SINCE = """SELECT min(coalesce(since, '-infinity')) FROM (SELECT DISTINCT namespace FROM workflows
    WHERE EXISTS (SELECT 1 FROM executions WHERE workflow = id)) AS present LEFT JOIN needed_runs USING (namespace)"""


class RunPartitions:
    """See ``sql.RunRetention``. Shards make and drop partitions one after the other."""

    def __init__(
        self, db: Connection, transaction: Transaction, reading: Transaction, clock: Callable[[], float]
    ) -> None:
        self._db = db
        self._transaction = transaction
        self._reading = reading
        self._clock = clock

    def prepare(self) -> int:
        """See ``sql.RunRetention``. Rows of the weeks before take no more pods."""
        with self._reading():
            at = self._week()
            week = max(at, int(self._clock() // WEEK))  # never back: a clock that ran ahead has opened that week
            lacking = self._missing(week)
        if lacking:
            with self._transaction():
                one_at_a_time(self._db, _WHAT)
                for table in self._missing(week):
                    values = week * PLACES, (week + 1) * PLACES
                    make(self._db, table, week + 1, values, key=_TABLES[table], settings=_VACUUM)
        if at < week:
            with self._transaction():  # not before others see the partition: a sequence is in no transaction
                one_at_a_time(self._db, _WHAT)
                if self._week() < week:
                    self._db.execute("SELECT setval('places', ?)", (week * PLACES,))
        return week * PLACES

    def drop_before(self, namespaces: Collection[str], moment: float) -> float:
        """See ``sql.RunRetention``. Shards keep runs for different times: a week is dropped when none needs any of it."""
        with self._transaction():
            self._db.executemany(
                "INSERT INTO needed_runs VALUES (?, ?) ON CONFLICT (namespace) DO UPDATE SET since = excluded.since",
                [(namespace, moment) for namespace in sorted(namespaces)],
            )
            self._db.execute(
                "DELETE FROM needed_runs WHERE NOT EXISTS "
                "(SELECT 1 FROM workflows WHERE workflows.namespace = needed_runs.namespace)"
            )
        with self._reading():
            found = self._db.execute(_NEEDED_SINCE).fetchone()[0]
            since = moment if found is None else float(found)
            due = self._over(since)
        if due:
            try:
                with self._transaction():
                    one_at_a_time(self._db, _WHAT)
                    lock_all(self._db, ("pods", "executions", "workflows"), _WAIT)
                    for end in self._over(since):  # what has changed in the meantime
                        drop(self._db, [f"{table}_until_{end}" for table in _TABLES])
            except HistoryLocked as error:
                log.info("history: runs of a week are not dropped yet, but with a later attempt: %s", error)
        return moment - _LAGGING

    def _over(self, since: float) -> list[int]:
        """Ends of the weeks that take no more rows and in which nothing ended at ``since`` or later."""
        week = self._week()
        over = []
        for name, end in partitions(self._db, "executions").items():
            if end <= week:
                newest = self._db.execute(f'SELECT max(ended) FROM "{name}"').fetchone()[0]
                if newest is None or newest < since:
                    over.append(end)
        return over

    def _week(self) -> int:
        """The week in which rows are stored."""
        return int(self._db.execute("SELECT last_value FROM places").fetchone()[0]) // PLACES

    def _missing(self, week: int) -> list[str]:
        """Tables that lack the partition of this week."""
        return [table for table in _TABLES if week + 1 not in partitions(self._db, table).values()]
