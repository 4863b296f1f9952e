"""Sessions of the history: its schema, and limits of what it waits for."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from concertmaster.history.address import DatabaseAddress
from concertmaster.history.postgresql.errors import translate
from concertmaster.postgresql.server import DatabaseServer
from concertmaster.postgresql.session import Session

_STATEMENT_SECONDS = 30
_LOCK_SECONDS = 5


def history_session(
    address: DatabaseAddress,
    *,
    statement_seconds: int = _STATEMENT_SECONDS,
    patience: float | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Session:
    """A session whose errors are those of the history; ``patience`` as in ``Session``, or 5 s more than the server may
    take for a statement."""
    settings = {
        "search_path": f'"{address.schema}"',
        "statement_timeout": f"{statement_seconds}s",
        "lock_timeout": f"{_LOCK_SECONDS}s",
        "idle_in_transaction_session_timeout": "60s",
    }
    server = DatabaseServer(address.url, password_file=address.password_file, settings=settings)
    patience = statement_seconds + 5.0 if patience is None else patience
    return Session(server, partial(translate, place=str(address)), patience=patience, clock=clock)
