"""The history's place cannot be written: nothing to start from is a mistake, something is enough to go on with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from concertmaster.controller.collection.history_provider import HistoryProvider
from concertmaster.controller.interfaces import LongTermFigures
from concertmaster.history import HistoryError, HistoryReadOnly, Store
from tests.support.data.history_rows import KEY, ran


@pytest.fixture
def file(tmp_path: Path) -> Path:
    name = tmp_path / "history.db"
    with Store(str(name)) as store:
        store.add({KEY: {"first": [ran("1")]}}, watermark=("s", "x", 7.0))
        store.write_journal("change/1", "{}", 1.0)
    return name


def block(file: Path) -> Path:
    """Something in the way of the write-ahead log: the file can be read and not be written, for root as well."""
    wall = Path(f"{file}-wal")
    wall.unlink(missing_ok=True)
    wall.mkdir()
    return wall


def test_without_a_file_a_place_that_cannot_be_written_ends_the_start(tmp_path: Path) -> None:
    with pytest.raises(HistoryReadOnly, match="Check that the directory exists"):
        HistoryProvider(str(tmp_path / "missing" / "history.db"))


def test_with_a_file_it_goes_on_in_memory_and_returns_to_the_file(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    wall = block(file)
    keeper = HistoryProvider(str(file))
    assert keeper.reopen() == caplog.messages[0]
    assert keeper.reopen().startswith(f"history {file} cannot be opened for writing")
    assert "nothing is changed automatically" in keeper.reopen()
    assert "history.db-wal) could not be read and is missing in the copy" in keeper.reopen()
    keeper.store.add({KEY: {"second": [ran("2")]}}, watermark=("s", "x", 99.0))
    assert len(keeper.store.runs(KEY)) == 2
    assert list(keeper.store.journal()) == ["change/1"]
    with pytest.raises(HistoryReadOnly):
        keeper.store.write_journal("change/2", "{}", 1.0)
    copy = keeper.store
    wall.rmdir()
    assert keeper.reopen() == ""
    assert keeper.store is not copy
    assert "can be written again" in caplog.text
    assert keeper.store.watermark("s", "x") == 7.0, "what was not kept is read again"
    keeper.store.write_journal("change/2", "{}", 1.0)
    keeper.close()


def test_a_clock_that_ran_ahead_takes_no_history(file: Path) -> None:
    keeper = HistoryProvider(str(file))
    keeper.tidy({KEY: (200, 14 * 86400.0)}, now=4e9)
    assert len(keeper.store.runs(KEY)) == 1
    keeper.close()


def test_a_file_damaged_where_nothing_can_be_written_does_not_end_the_process(file: Path) -> None:
    keeper = HistoryProvider(str(file))
    keeper.store.close()
    file.write_bytes(b"garbage garbage garbage")
    block(file)
    keeper.renew()
    assert keeper.reopen()
    assert keeper.store.keys() == []


def test_a_locked_history_is_waited_for_once_a_cycle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifty workflows waited five seconds each for a lock that another process held."""
    keeper, attempts = HistoryProvider(str(tmp_path / "history.db")), []

    def locked(*_: Any, **__: Any) -> None:
        attempts.append(1)
        raise HistoryError("database is locked")

    monkeypatch.setattr(type(keeper.store.daily), "record", locked)
    for _ in range(50):
        keeper.record(KEY, LongTermFigures())
    assert len(attempts) == 1
    keeper.reopen()
    keeper.record(KEY, LongTermFigures())
    assert len(attempts) == 2
