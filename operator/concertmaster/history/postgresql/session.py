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
    patience: float = _STATEMENT_SECONDS + 5.0,
    clock: Callable[[], float] = time.monotonic,
) -> Session:
    """A session whose errors are those of the history; ``patience`` as in ``Session``."""
    settings = {
        "search_path": f'"{address.schema}"',
        "statement_timeout": f"{_STATEMENT_SECONDS}s",
        "lock_timeout": f"{_LOCK_SECONDS}s",
        "idle_in_transaction_session_timeout": "60s",
    }
    server = DatabaseServer(address.url, password_file=address.password_file, settings=settings)
    return Session(server, partial(translate, place=str(address)), patience=patience, clock=clock)
