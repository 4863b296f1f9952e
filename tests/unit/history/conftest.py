"""Both places a history can be in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from concertmaster.history import Store
from tests.support.history_places import File, Place, Schema


@pytest.fixture(params=["sqlite", "postgresql"])
def make_place(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Place]:
    """An empty place at each call."""
    if request.param == "sqlite":
        numbers = iter(range(10_000))
        return lambda: File(tmp_path / f"history-{next(numbers)}.db")
    server = request.getfixturevalue("postgres")
    return lambda: Schema.fresh(server.url, server.password_file)


@pytest.fixture
def place(make_place: Callable[[], Place]) -> Place:
    """An empty place."""
    return make_place()


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    """An open store, empty at first."""
    with place.open() as found:
        yield found
