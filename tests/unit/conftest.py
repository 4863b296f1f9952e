"""A database server for the tests that need one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from testbed.services.postgres import PostgresServer


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server of this test run; whoever stops it starts it again."""
    with closing(PostgresServer().start()) as server:
        yield server
