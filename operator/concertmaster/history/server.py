"""A store on a database server. The driver is an optional part of the installation and is imported when it is wanted."""

from __future__ import annotations

from math import inf

from concertmaster.history.address import Address
from concertmaster.history.errors import HistoryError
from concertmaster.history.store import Store


def open_server(address: Address, most: float = inf) -> Store:
    """Connect and migrate; ``most``: bytes of the runs of one namespace. Raises HistoryError and its kinds."""
    try:
        from concertmaster.history.postgresql import PostgresEngine
    except ImportError as error:
        raise HistoryError(
            f"history {address} needs the PostgreSQL driver: pip install 'concertmaster[postgresql]' ({error})"
        ) from error
    return Store(PostgresEngine(address), most=most)
