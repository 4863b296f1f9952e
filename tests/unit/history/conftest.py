"""The places a history can be in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from concertmaster.history import Store
from concertmaster.history.runs import row_sources
from tests.support.history_places import File, Place, Schema


@pytest.fixture(params=["sqlite", "postgresql", "postgresql with a cache"])
def make_place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Place]:
    """An empty place at each call."""
    numbers = iter(range(10_000))
    if request.param == "sqlite":
        return lambda: File(tmp_path / f"history-{next(numbers)}.db")
    server = request.getfixturevalue("postgres")
    if request.param == "postgresql":
        return lambda: Schema.fresh(server.url, server.password_file)
    monkeypatch.setattr(row_sources, "MAX_UNCACHED_RUNS", 0)  # also for the few runs of a test
    return lambda: Schema.fresh(server.url, server.password_file, tmp_path / f"rows-{next(numbers)}.cache")


@pytest.fixture
def place(make_place: Callable[[], Place]) -> Place:
    """An empty place."""
    return make_place()


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    """An open store, empty at first."""
    with place.open() as found:
        yield found
