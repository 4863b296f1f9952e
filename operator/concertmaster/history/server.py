"""A store on a database server. The driver is an optional part of the installation and is imported when it is wanted."""

from __future__ import annotations

from concertmaster.history.address import Address
from concertmaster.history.errors import HistoryError
from concertmaster.history.store import Store


def open_server(address: Address) -> Store:
    """Connect and migrate. Raises HistoryError and its kinds."""
    try:
        from concertmaster.history.postgresql import PostgresEngine
    except ImportError as error:
        raise HistoryError(
            f"history {address} needs the PostgreSQL driver: pip install 'concertmaster[postgresql]' ({error})"
        ) from error
    return Store(PostgresEngine(address))
