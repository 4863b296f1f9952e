"""The history's place cannot be written: nothing to start from is a mistake, something is enough to go on with."""

from __future__ import annotations

import secrets
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from concertmaster.api.conditions import ConditionType, ConditionUpdate, Reason
from concertmaster.controller.collection.history_provider import HistoryProvider
from concertmaster.controller.object_cache import CachedObject
from concertmaster.controller.profiles.fleet_index import FleetIndex
from concertmaster.controller.profiles.last_analyses import AnalysisRecord, LastAnalyses
from concertmaster.controller.profiles.outputs import Outputs
from concertmaster.controller.reporting.details import Details
from concertmaster.core.model.daily import DailyRow, LongTermFigures, RecommendationOutcome
from concertmaster.history import (
    DatabaseAddress,
    HistoryError,
    HistoryFull,
    HistoryLocked,
    HistoryReadOnly,
    HistoryUnavailable,
    RunsDigest,
    Store,
)
from concertmaster.kube.objects import PROFILES, ObjectRef
from testbed.services.postgres import PostgresServer
from tests.support.data.history_rows import KEY, ran
from tests.support.history_places import Schema


@pytest.fixture
def file(tmp_path: Path) -> Path:
    name = tmp_path / "history.db"
    with Store(str(name)) as store:
        store.add({KEY: {"first": [ran("1")]}})
        store.set_watermark("s", "x", 7.0)
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
    keeper.store.add({KEY: {"second": [ran("2")]}})
    keeper.store.set_watermark("s", "x", 99.0)
    assert len(keeper.store.runs(KEY)) == 2
    assert list(keeper.store.journal()) == ["change/1"]
    with pytest.raises(HistoryReadOnly):
        keeper.store.write_journal("change/2", "{}", 1.0)
    outputs = Outputs(keeper, details := Details())
    memory = LastAnalyses(keeper, FleetIndex(), outputs)
    entry = CachedObject(ObjectRef(PROFILES, KEY.namespace, "etl", "u-1"), 1, "1", 0.0, {}, "{}")
    details.put(KEY.namespace, "etl", "u-1", b"{}", KEY)
    said = ConditionUpdate(ConditionType.READY, True, Reason.ANALYZED, "")
    memory.put("u-1", AnalysisRecord("", RunsDigest(), said, said, 0.0, 1.0, b""), KEY, 0)
    memory.published(entry, entry.status)
    copy = keeper.store
    wall.rmdir()
    assert keeper.reopen() == ""
    assert keeper.store is not copy
    assert "can be written again" in caplog.text
    assert keeper.store.watermark("s", "x") == 7.0, "what was not kept is read again"
    assert details.get(KEY.namespace, "etl", "u-1") == b"{}", "what the copy would have kept is not lost with it"
    keeper.store.write_journal("change/2", "{}", 1.0)
    keeper.close()


def test_a_locked_file_is_no_reason_to_stop_advising(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process ended at its start, again and again, while another held the file."""
    monkeypatch.setattr("concertmaster.history.schema._BUSY_SECONDS", 0.1)
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    keeper = HistoryProvider(str(file))
    said = keeper.reopen()
    assert "is held by another process" in said and "nothing is changed automatically" in said
    with pytest.raises(HistoryReadOnly):
        keeper.store.write_journal("change/2", "{}", 1.0)
    other.execute("ROLLBACK")
    other.close()
    assert keeper.reopen() == ""
    assert keeper.store.watermark("s", "x") == 7.0
    assert not Path(f"{file}.damaged-1").exists()
    keeper.close()


def test_a_directory_in_place_of_the_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(HistoryReadOnly, match=r"is a directory. Remove it, or name a file in historyPath"):
        HistoryProvider(str(tmp_path))


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


def test_where_no_new_file_can_be_begun_in_place_of_a_damaged_one_it_goes_on_in_memory(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store stayed closed: every cycle failed until the process was started anew."""
    keeper = HistoryProvider(str(file))
    file.rename(file.with_name("elsewhere"))

    def full(_: HistoryProvider) -> Store:
        raise HistoryFull(f"history {file} has no space left to write")

    with monkeypatch.context() as patched:
        patched.setattr(HistoryProvider, "_written", full)
        keeper.renew()
        assert "has no space left to write" in keeper.reopen()
        keeper.store.add({KEY: {"second": [ran("2")]}})
        assert len(keeper.store.runs(KEY)) == 1
    assert keeper.reopen() == ""
    keeper.store.write_journal("change/2", "{}", 1.0)


def test_a_locked_history_is_waited_for_once_a_cycle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifty workflows waited five seconds each for a lock that another process held."""
    keeper, attempts = HistoryProvider(str(tmp_path / "history.db")), []

    def locked(*_: Any, **__: Any) -> None:
        attempts.append(1)
        raise HistoryLocked("database is locked")

    monkeypatch.setattr(type(keeper.store.daily), "record", locked)
    for _ in range(50):
        keeper.record(KEY, LongTermFigures())
    assert len(attempts) == 1
    keeper.reopen()
    keeper.record(KEY, LongTermFigures())
    assert len(attempts) == 2


def test_rows_of_one_workflow_that_cannot_be_stored_do_not_keep_those_of_others_out(postgres: PostgresServer) -> None:
    """A template's name may have thousands of letters, more than PostgreSQL can index."""
    keeper = HistoryProvider("unused", Schema.fresh(postgres.url, postgres.password_file).address)
    long = RecommendationOutcome(f"timeout.{secrets.token_hex(4000)}", "Active", 0.0, 0.0)
    keeper.record(KEY, LongTermFigures(adoptions=[long]))
    other = replace(KEY, name="other")
    keeper.record(other, LongTermFigures([DailyRow(3, "", 1, 1, 0)]))
    assert len(keeper.store.daily.rows(other)) == 1
    keeper.close()


def test_a_server_that_goes_away_is_said_and_comes_back(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    server = PostgresServer().start()
    try:
        keeper = HistoryProvider("", DatabaseAddress(server.url, "concertmaster", str(server.password_file)))
        keeper.store.add({KEY: {"first": [ran("1")]}})
        keeper.store.set_watermark("s", "x", 7.0)
        assert keeper.reopen() == ""
        server.stop()
        problem = keeper.reopen()
        assert "cannot be reached" in problem
        assert "Check that the server runs" in problem
        assert keeper.reopen() == problem
        assert caplog.messages == [problem], "an outage is one line of the log"
        with pytest.raises(HistoryUnavailable):
            keeper.store.runs(KEY)
        server.start()
        assert keeper.reopen() == ""
        assert "answers again" in caplog.text
        assert (len(keeper.store.runs(KEY)), keeper.store.watermark("s", "x")) == (1, 7.0)
        keeper.close()
    finally:
        server.close()


def test_a_server_is_waited_for_at_the_start_and_not_without_end() -> None:
    server = PostgresServer()
    address = DatabaseAddress(server.url, "concertmaster", str(server.password_file))
    try:
        pauses: list[float] = []

        def pause(seconds: float) -> None:
            pauses.append(seconds)
            if len(pauses) == 2:
                server.start()

        HistoryProvider("", address, pause=pause).close()
        assert len(pauses) == 2
        server.stop()
        pauses.clear()
        with pytest.raises(HistoryUnavailable, match="cannot be reached"):
            HistoryProvider("", address, patience=10.0, pause=lambda seconds: pauses.append(seconds))
        assert 10.0 <= sum(pauses) < 15.0
    finally:
        server.close()


def test_only_its_own_namespaces_are_tidied(file: Path) -> None:
    keeper = HistoryProvider(str(file), owns=lambda namespace: namespace != KEY.namespace)
    keeper.tidy({}, 1e9)
    assert len(keeper.store.runs(KEY)) == 1
    keeper.close()
    keeper = HistoryProvider(str(file))
    keeper.tidy({}, 1e9)
    assert keeper.store.runs(KEY) == []
    keeper.close()


def test_runs_of_a_namespace_that_moved_are_counted_once(file: Path) -> None:
    """Both processes found the same runs uncounted; the first one is slow, or was stopped meanwhile."""
    slow, other = HistoryProvider(str(file)), HistoryProvider(str(file))
    slow.owns = lambda _: False
    for keeper, runs, until in ((slow, 2, 100.0), (other, 3, 200.0)):
        keeper.record(KEY, LongTermFigures([DailyRow(0, "", runs, runs, 0, until=until, whole=False)]))
    (row,) = other.store.daily.rows(KEY)
    assert (row.count, row.until) == (3, 200.0)
    slow.close()
    other.close()


def test_a_history_is_dropped_only_once_it_is_kept_that_it_was(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In between the process may end: a profile that returns would have neither its runs nor a reading of the past."""
    keeper = HistoryProvider(str(file))

    def full(*_: Any) -> None:
        raise HistoryError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(keeper.store, "set_watermark", full)
        with pytest.raises(HistoryError):
            keeper.tidy({}, 1e9)
    assert len(keeper.store.runs(KEY)) == 1
    keeper.tidy({}, 1e9)
    assert keeper.store.runs(KEY) == []
    keeper.close()
