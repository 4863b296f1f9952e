"""One connection that is made again when it was lost.

A statement outside a transaction is repeated once over a new connection; inside one the whole transaction fails and its
caller repeats it. While the server cannot be reached, only one attempt every few seconds waits for it: a cycle over
thousands of workflows must not wait once for each of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import psycopg

from concertmaster.postgresql.faults import DatabaseFault, FaultKind, SharedSession, fault_of
from concertmaster.postgresql.server import DatabaseServer

T = TypeVar("T")

_RETRY_AFTER = 5.0  # seconds between two attempts to connect
_CONNECT_SECONDS = 5
_TURNS = 4  # in which two connections ask for their sessions; on a busy pooler others take theirs in between
_NO_FILE = "/dev/null/none"  # libpq looks for one of its own where none is named


class _Bounded(psycopg.Connection[tuple[Any, ...]]):
    """A connection whose waits end: the server's own time limit is of no use when the server makes no progress."""

    patience = 35.0

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """See ``psycopg.Connection``."""
        return super().wait(_until(gen, time.monotonic() + self.patience, self), interval, timeout)


def _until(gen: Any, deadline: float, connection: psycopg.Connection[Any]) -> Generator[Any, Any, Any]:
    """``gen`` as long as it is not ``deadline``; the value of a wait in which nothing came is 0."""
    try:
        state = next(gen)
        while True:
            ready = yield state
            if not ready and time.monotonic() >= deadline:
                connection.close()
                raise psycopg.OperationalError("no answer to a statement")
            state = gen.send(ready)
    except StopIteration as ended:
        return ended.value


class Session:
    """One connection at a time, autocommitting outside ``begin`` and ``commit``. Used by one thread at a time.

    Statements have ``?`` for parameters.
    """

    def __init__(
        self,
        server: DatabaseServer,
        error: Callable[[DatabaseFault], Exception],
        *,
        patience: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``error`` makes what is raised of a fault. ``patience``: seconds after which a server is given up that keeps the
        connection and does not answer."""
        self._server = server
        self._error = error
        self._patience = patience
        self._clock = clock
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None
        self._fault: DatabaseFault | None = None
        self._failed_at = 0.0
        self._left_at = float("-inf")  # when a connection to a read-only server was closed
        self.inside = False  # a transaction

    def execute(self, query: str, parameters: Sequence[Any] = (), /) -> psycopg.Cursor[tuple[Any, ...]]:
        """Apply one statement."""
        return self._run(lambda c: c.execute(_placed(query), _clean(parameters)))

    def executemany(self, query: str, parameters: Iterable[Sequence[Any]], /) -> None:
        """Apply a statement once for each set of parameters, in a pipeline."""
        if sets := [_clean(one) for one in parameters]:
            self._run(lambda c: c.cursor().executemany(_placed(query), sets))

    def begin(self) -> None:
        """Begin a transaction."""
        self.execute("BEGIN")
        self.inside = True

    def commit(self) -> None:
        """Commit it; if the connection is lost at this moment, the outcome is unknown."""
        try:
            self.execute("COMMIT")
        finally:
            self.inside = False

    def rollback(self) -> None:
        """Undo it. The end of a lost connection undoes it, too."""
        try:
            if self._connection is not None and not self._connection.closed:
                self._connection.execute("ROLLBACK")
        except psycopg.Error:
            self.close()
        finally:
            self.inside = False

    def close(self) -> None:
        """Close the connection; the next statement makes another one."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def check(self) -> None:
        """Whether the server answers now, whatever it did a moment ago."""
        self._failed_at = float("-inf")
        self.execute("SELECT 1")

    def _run(self, call: Callable[[psycopg.Connection[tuple[Any, ...]]], T]) -> T:
        fresh = self._connection is None
        connection = self._connected()
        try:
            return call(connection)
        except psycopg.Error as error:
            if not connection.closed:
                fault = fault_of(error)
                if fault.kind is FaultKind.READ_ONLY and self._clock() - self._left_at >= _RETRY_AFTER:
                    self._left_at = self._clock()
                    self.close()  # this was the primary server: its name may lead to another one by now
                raise self._error(fault) from error
            self._connection = None
            if self.inside or fresh:
                raise self._error(fault_of(error)) from error
        return self._run(call)  # over a new connection: a lost one is noticed when it is used

    def _connected(self) -> psycopg.Connection[tuple[Any, ...]]:
        if self._connection is not None:
            return self._connection
        if self.inside:
            raise self._error(
                DatabaseFault(FaultKind.UNREACHABLE, "the connection was lost in the middle of a transaction")
            )
        if self._fault is not None and self._clock() - self._failed_at < _RETRY_AFTER:
            raise self._error(self._fault)
        try:
            self._connection = self._connect()
        except psycopg.Error as error:
            self._fault, self._failed_at = fault_of(error), self._clock()
            raise self._error(self._fault) from error
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or str(error)
            file = str(getattr(error, "filename", None) or "")
            raise self._error(DatabaseFault(FaultKind.CREDENTIALS_FILE, why, file=file)) from error
        self._fault = None
        return self._connection

    def _connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        known: dict[str, Any] = {}
        for name, file in (("user", self._server.user_file), ("password", self._server.password_file)):
            if file is not None:
                known[name] = Path(file).read_text(encoding="utf-8").strip()
        if not self._server.environment:
            # PGPASSWORD and the password file are about another server: they must not be sent to this one.
            known.setdefault("password", "")
            known["passfile"] = _NO_FILE
        if not self._server.prepared:
            known["prepare_threshold"] = None
        connection = self._opened(known, self._patience)
        try:
            self._refuse_shared(connection, known)
            for name, value in self._server.settings.items():
                connection.execute("SELECT set_config(%s, %s, false)", (name, value))
        except BaseException:
            connection.close()
            raise
        return connection

    def _opened(self, known: Mapping[str, Any], patience: float) -> _Bounded:
        connection = _Bounded.connect(
            self._server.url,
            autocommit=True,
            connect_timeout=_CONNECT_SECONDS,
            application_name="concertmaster",
            keepalives_idle=10,
            keepalives_interval=5,
            keepalives_count=3,
            tcp_user_timeout=15_000,
            **known,
        )
        connection.patience = patience
        return connection

    def _refuse_shared(self, connection: _Bounded, known: Mapping[str, Any]) -> None:
        """Raise SharedSession where a pooler gives sessions away between transactions. Settings would be lost with them, and
        stay in force for whoever gets them next: read-only, or with this schema before theirs."""
        mine, others = set[tuple[Any, ...]](), set[tuple[Any, ...]]()
        with suppress(psycopg.Error):  # of a server without room for another connection
            other = self._opened(known, _CONNECT_SECONDS)
            with closing(other):
                for _ in range(_TURNS):
                    mine.add(_process_of(connection))
                    others.add(_process_of(other))
        if len(mine) > 1 or mine & others:
            raise SharedSession("sessions are shared between transactions")


def _process_of(connection: _Bounded) -> tuple[Any, ...]:
    """The process behind a connection at this moment, by its number and its server's start: a name may lead to several
    servers, whose processes may have the same numbers. As a number, which no setting of the server writes in another way."""
    query = "SELECT pg_backend_pid(), extract(epoch FROM pg_postmaster_start_time())::float8"
    return connection.execute(query, prepare=False).fetchone() or ()


@lru_cache(maxsize=1024)
def _placed(query: str) -> bytes:
    return query.replace("%", "%%").replace("?", "%s").encode()


def _clean(parameters: Sequence[Any]) -> list[Any]:
    """PostgreSQL keeps any text but NUL and half of a surrogate pair, which names of series may hold."""
    return [_text(p) if isinstance(p, str) else p for p in parameters]


def _text(value: str) -> str:
    return value if value.isprintable() else value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
