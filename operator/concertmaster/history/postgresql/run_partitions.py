"""Runs in PostgreSQL: a partition for the rows of each week, dropped as a whole when nobody needs any of them.

Pods are merged by uid whatever their time, and PostgreSQL has no unique key across partitions by time. So the week is in
the place of a row, which is its key anyway: places are numbered from the beginning of the week in which the row is stored
first. A pod that comes again is changed in its row, in whatever week that is; those from the week before it was created
on are searched. A run that continues in the next week has another row there, so that partitions of earlier weeks come to an
end. Shards that write pods of one namespace claim it, so that none of them stores a uid twice.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress
from functools import partial

from concertmaster.core.units import WEEK
from concertmaster.history.errors import HistoryLocked
from concertmaster.history.postgresql.partitions import (
    drop,
    make,
    one_at_a_time,
    partition,
    partitions,
    wait_briefly,
)
from concertmaster.history.runs.executions import SLACK
from concertmaster.history.sql import Connection, RunPlaces, Transaction

PLACES = 2**40
"""Places of a week."""
AUTOVACUUM = "(autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05)"

# Rows that left the window so long ago (seconds) are deleted one by one: by then the rest of their week has left it, and
# the slack is over; a week more is for attempts to drop it.
_LAG = WEEK + SLACK + WEEK
_TABLES = {"executions": "", "pods": "uid"}  # each with the key of its partitions where it has none itself
_WHAT = "runs"
_STATE = "SELECT last_value, extract(epoch FROM now())::double precision FROM places"
_NEWEST = "SELECT max(ended) FROM executions WHERE place >= ? AND place < ?"
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

    def prepare(self) -> RunPlaces:
        """See ``sql.RunRetention``. Rows of the weeks before take no more pods."""
        with self._reading():
            at, now = self._weeks()
            lacking = self._missing(now)
            instead = at == now - 1 and not self._missing(at)  # no earlier one: see ``RunPlaces.since``
        if lacking:
            try:
                self._make(now, briefly=instead)
            except HistoryLocked:  # by one that makes many workflows, or examines them
                if not instead:
                    raise
                return RunPlaces(at * PLACES, PLACES)
        if at < now:
            with self._transaction():  # not before others see the partition: a sequence is in no transaction
                one_at_a_time(self._db, _WHAT)
                if self._weeks()[0] < now:
                    self._db.execute("SELECT setval('places', ?)", (now * PLACES,))
        return RunPlaces(now * PLACES, PLACES)

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
            expired = self._expired(moment) and self._needless(moment)
        for end in expired:  # one by one, as autovacuum may have some of them
            drop(self._db, self._transaction, _WHAT, ("pods", "executions"), partial(self._names, end, moment))
        self._make_ahead()
        return moment - _LAG

    def _make_ahead(self) -> None:
        """The partition of the week to come, so that nobody waits for it when it begins."""
        with self._reading():
            now = self._weeks()[1]
            lacking = [week for week in (now, now + 1) if self._missing(week)]
        with suppress(HistoryLocked):  # an hour later, or when the week begins
            for week in lacking:
                self._make(week, briefly=True)

    def _make(self, week: int, *, briefly: bool) -> None:
        with self._transaction():
            one_at_a_time(self._db, _WHAT)
            if briefly:
                wait_briefly(self._db)
            for table in self._missing(week):
                values = week * PLACES, (week + 1) * PLACES
                make(self._db, table, week + 1, values, key=_TABLES[table], settings=f"WITH {AUTOVACUUM}")

    def _needless(self, moment: float) -> list[int]:
        """Ends of the weeks that no shard needs, this one since ``moment``."""
        needed = self._db.execute(_NEEDED_SINCE).fetchone()[0]
        return self._expired(moment if needed is None else min(moment, float(needed)))

    def _expired(self, since: float) -> list[int]:
        """Ends of the weeks that take no more rows and in which nothing ended since then, or a little before: a run that
        has rows in two weeks is kept or deleted as one."""
        at, expired = self._weeks()[0], []
        for end in partitions(self._db, "executions").values():
            if end <= at:
                # by the table, not the partition, which another shard may drop now
                newest = self._db.execute(_NEWEST, ((end - 1) * PLACES, end * PLACES)).fetchone()[0]
                if (end * WEEK if newest is None else newest) < since - SLACK:
                    expired.append(end)
        return expired

    def _names(self, end: int, moment: float) -> list[str]:
        """The partitions of that week, unless somebody needs it by now."""
        return [partition(table, end) for table in _TABLES] if end in self._needless(moment) else []

    def _weeks(self) -> tuple[int, int]:
        """The week in which rows are stored, and the one it is: never an earlier one, whatever the clock says, and none
        that is far ahead of the server's clock, as all others would have to store in it."""
        at, served = self._db.execute(_STATE).fetchone()
        week = int(at) // PLACES
        return week, max(week, int(min(self._clock(), float(served) + WEEK) // WEEK))

    def _missing(self, week: int) -> list[str]:
        """Tables that lack the partition of this week."""
        return [table for table in _TABLES if week + 1 not in partitions(self._db, table).values()]
