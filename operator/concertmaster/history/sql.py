"""The database interface of the store. Its statements are written once, in the SQL that SQLite and PostgreSQL share."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from concertmaster.core.units import WEEK

Parameters = Sequence[Any]
Transaction = Callable[[], AbstractContextManager[None]]
"""A context in which all is written or nothing; also one that only guards queries."""
RunRow = tuple[str, float | None, bytes]
"""A row of a run: its name, when the newest that is in it ended (unix seconds), and its bytes."""
DAILY = ("daily_metrics", "daily")
"""Tables of daily rows, in the order in which they are read."""


@dataclass(frozen=True, slots=True)
class RunPlaces:
    """What the places of rows of runs, which are numbers, say about their time. ``open_from``: that of the first row
    which may take further executions.

    ``of_week``: how many each week since 1970 has, beginning with the first one; a row keeps a place of the week in which it
    was stored. 0 where no place tells a time.
    """

    open_from: int = 0
    of_week: int = 0

    def since(self, created: float | None) -> int:
        """The first place of a row in which a pod that was created then (unix seconds, None where unknown) can be. A pod is
        stored after it was created, by clocks less than a week apart."""
        if self.of_week == 0 or created is None or not created >= WEEK:
            return 0
        newest = self.open_from // self.of_week
        if created >= (newest + 2) * WEEK:
            return 0  # what is no time at all says nothing
        return min(int(created // WEEK) - 1, newest - 1) * self.of_week


ANYWHERE = RunPlaces()
"""Where no place tells a time."""


class Cursor(Protocol):
    """The answer to one statement."""

    @property
    def rowcount(self) -> int:
        """Rows that the statement changed."""

    def fetchone(self) -> Any:
        """The next row, None after the last."""

    def fetchall(self) -> list[Any]:
        """All rows that are left."""

    def __iter__(self) -> Iterator[Any]:
        """The rows that are left."""


class Connection(Protocol):
    """Statements with ``?`` for each parameter. A ``?`` has no other meaning in them."""

    def execute(self, query: str, parameters: Parameters = (), /) -> Cursor:
        """Apply one statement."""

    def executemany(self, query: str, parameters: Iterable[Parameters], /) -> object:
        """Execute a statement once for each set of parameters, in as few round trips as possible."""


class DailyRetention(Protocol):
    """How expired daily rows are deleted. Called outside transactions."""

    def prepare(self, days: Collection[int]) -> None:
        """Rows of these days (since 1970) are about to be written."""

    def drop_before(self, day: int) -> bool:
        """Delete what is older than ``day``; False where it is to be tried again. What is deleted by weeks at once may stay
        until all of it is older."""


class RunRetention(Protocol):
    """How expired rows of runs are deleted. Called outside transactions."""

    def prepare(self) -> RunPlaces:
        """Runs are about to be written."""

    def drop_before(self, namespaces: Collection[str], moment: float) -> float:
        """Runs of these namespaces that ended before ``moment`` (unix seconds) are not needed any more. Deletes what is
        deleted as a whole; returns the moment before which the caller deletes run by run."""


class RowsOfRuns(Protocol):
    """How the rows of runs are read."""

    def of(self, table: str, number: int, names: Sequence[str]) -> Iterable[RunRow]:
        """Those of the runs called ``names`` of a workflow, in "executions" or "records"; ``names``: a chunk of them."""


class DatabaseEngine(Protocol):
    """One open database. Thread-safe: one thread at a time is inside. Every method raises HistoryError and its kinds,
    never an error of the driver."""

    place: str  # file or address as messages name it, without credentials
    recovered: str | None  # a sentence for people about what was lost when it was opened
    lasting: bool  # whether what is written outlives the process

    @property
    def db(self) -> Connection:
        """For statements inside ``transaction`` and ``reading``."""

    @property
    def daily(self) -> DailyRetention:
        """What deletes the rows of days."""

    @property
    def run_retention(self) -> RunRetention:
        """What deletes the rows of runs."""

    @property
    def runs(self) -> RowsOfRuns:
        """What reads the rows of runs. Used inside ``reading``."""

    def transaction(self, *, durable: bool = False) -> AbstractContextManager[None]:
        """An atomic transaction. ``durable``: on the disk before it ends, even where that is not the default."""

    def claim(self, names: Iterable[str]) -> None:
        """Inside a transaction: wait for other processes that claimed one of ``names``, then hold them until the
        transaction ends."""

    def reading(self) -> AbstractContextManager[None]:
        """Around statements that only read."""

    def shrink(self) -> None:
        """Rows were deleted: give space back where the database does not by itself."""

    def check(self) -> None:
        """Once per cycle: raise what would keep the next statement from working."""

    def close(self) -> None:
        """Give everything back; further calls fail."""
