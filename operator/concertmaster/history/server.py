"""A store on a database server. The driver is an optional part of the installation and is imported when it is needed."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from math import inf

from concertmaster.history.address import CacheFile, DatabaseAddress
from concertmaster.history.errors import HistoryError, check_version
from concertmaster.history.store import Store
from concertmaster.settings import Settings


def configured(settings: Settings) -> DatabaseAddress | None:
    """The server that the settings name; None where the history is a file. Copies of its rows are kept beside the path of
    that file."""
    kept = settings.history
    if kept.url is None:
        return None
    cache = CacheFile(f"{settings.history_path}.cache", kept.cache_size.bytes) if kept.cache_size.bytes > 0 else None
    return DatabaseAddress(kept.url, kept.schema_name, kept.password_file, cache)


def open_server(address: DatabaseAddress, most: float = inf, clock: Callable[[], float] = time.time) -> Store:
    """Connect and migrate; ``most``: bytes of the runs of one namespace. ``clock``: unix seconds, by which runs are put into
    partitions. Raises HistoryError and its kinds."""
    try:
        from concertmaster.history.postgresql import PostgresEngine
    except ImportError as error:
        raise _driver_missing(address, error) from error
    return Store(PostgresEngine(address, clock), most=most)


@dataclass(frozen=True, slots=True)
class ServerState:
    """The state of a server as ``doctor`` reports it. ``version``: of the schema, 0 where there is none yet; ``ours``:
    the version of this program. ``writes``: it is no standby; ``creates``: the user may create tables, or the schema."""

    version: int
    ours: int
    writes: bool
    creates: bool


def server_state(address: DatabaseAddress) -> ServerState:
    """The state of a server; changes nothing. Raises HistoryError and its kinds, also for a schema of another version."""
    try:
        from concertmaster.history.postgresql.schema import ANOTHER_SCHEMA, MIGRATIONS, present_version, rights
        from concertmaster.history.postgresql.session import history_session
    except ImportError as error:
        raise _driver_missing(address, error) from error
    with closing(history_session(address)) as session:
        version = present_version(session, address.schema)
        check_version(str(address), version, MIGRATIONS, ANOTHER_SCHEMA)
        return ServerState(version, max(MIGRATIONS), *rights(session, address.schema))


def _driver_missing(address: DatabaseAddress, error: ImportError) -> HistoryError:
    return HistoryError(
        f"history {address} needs the PostgreSQL driver: pip install 'concertmaster[postgresql]' ({error})"
    )
