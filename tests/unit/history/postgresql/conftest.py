"""A schema of a real server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from concertmaster.history import Store
from testbed.services.postgres import PostgresServer
from tests.support.history_places import Schema


@pytest.fixture
def place(postgres: PostgresServer) -> Schema:
    """An empty one."""
    return Schema.fresh(postgres.url, postgres.password_file)


@pytest.fixture
def store(place: Schema) -> Iterator[Store]:
    """An open store, empty at first."""
    with place.open() as found:
        yield found
