"""PostgreSQL as an engine of the store: one connection, made again when it was lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from zlib import crc32

from concertmaster.history.address import DatabaseAddress
from concertmaster.history.postgresql.daily_partitions import DailyPartitions
from concertmaster.history.postgresql.run_partitions import RunPartitions
from concertmaster.history.postgresql.schema import migrate
from concertmaster.history.postgresql.session import history_session
from concertmaster.history.runs.row_cache import RowCache
from concertmaster.history.runs.row_sources import CachedRows, DatabaseRows
from concertmaster.history.sql import RowsOfRuns
from concertmaster.postgresql.session import Session

_GROUPS = 256  # of names, each with a lock of its own
_MAX_NAMES = _GROUPS // 2  # that one transaction locks one by one: each with its group, no more than all groups are
_CLAIMS = """SELECT pg_advisory_xact_lock{}(?, n)::text FROM unnest(?::int[]) AS of_groups (n)
    UNION ALL SELECT pg_advisory_xact_lock(?, n)::text FROM unnest(?::int[]) AS of_names (n)"""


class PostgresEngine:
    """See ``sql.DatabaseEngine``."""

    recovered: str | None = None
    lasting = True

    def __init__(self, address: DatabaseAddress, clock: Callable[[], float] = time.time) -> None:
        """Connect and migrate. Raises HistoryError and its kinds."""
        self.place = str(address)
        self._schema = address.schema
        self._lock = threading.RLock()
        self.db = history_session(address)
        try:
            migrate(self.db, partial(_together, self.db), self._schema, self.place)
        except BaseException:
            self.db.close()
            raise
        self.daily = DailyPartitions(self.db, self.transaction, self.reading)
        self.run_retention = RunPartitions(self.db, self.transaction, self.reading, clock)
        self._cache = None if address.cache is None else RowCache(address.cache.path, address.cache.most)
        self.runs: RowsOfRuns = DatabaseRows(self.db) if self._cache is None else CachedRows(self.db, self._cache)

    @contextmanager
    def transaction(self, *, durable: bool = False) -> Iterator[None]:
        """See ``sql.DatabaseEngine``."""
        with self._lock:
            try:
                with _together(self.db):
                    if durable:
                        self.db.execute("SET LOCAL synchronous_commit TO on")
                    yield
            except BaseException:
                self.daily.forget()
                raise

    def claim(self, names: Iterable[str]) -> None:
        """See ``sql.DatabaseEngine``. In a fixed order, so that two of them never wait for each other. Names are locked one
        by one, beside others of their groups; very many by whole groups: a server has no more than some thousand locks."""
        numbers = {crc32(name.encode("utf-8", "surrogatepass")) for name in names}
        groups, few = sorted({n % _GROUPS for n in numbers}), len(numbers) <= _MAX_NAMES
        own = sorted(n - 2**31 for n in numbers) if few else []
        of_groups, of_names = (crc32(f"{self._schema}{part}".encode()) - 2**31 for part in ("", " by name"))
        self.db.execute(_CLAIMS.format("_shared" if few else ""), (of_groups, groups, of_names, own))

    @contextmanager
    def reading(self) -> Iterator[None]:
        """See ``sql.DatabaseEngine``."""
        with self._lock:
            yield

    def shrink(self) -> None:
        """See ``sql.DatabaseEngine``. Autovacuum does it."""

    def check(self) -> None:
        """See ``sql.DatabaseEngine``."""
        with self._lock:
            self.db.check()

    def close(self) -> None:
        """See ``sql.DatabaseEngine``."""
        with self._lock:
            self.db.close()
            if self._cache is not None:
                self._cache.close()


@contextmanager
def _together(session: Session) -> Iterator[None]:
    """All that is written meanwhile, or nothing."""
    session.begin()
    try:
        yield
        session.commit()
    except BaseException:
        session.rollback()
        raise
