"""Histories that an earlier version left, with a row for each execution: nothing of them is lost."""

from __future__ import annotations

import re
import sqlite3
import threading
from contextlib import closing
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from concertmaster.core.model import StepExecution, WorkflowKey
from concertmaster.history import HistoryError, Store
from concertmaster.history.encoding import _EXECUTION, _deflate, _execution_row
from concertmaster.history.runs import legacy_executions
from concertmaster.history.runs.legacy_executions import EarlierPods
from concertmaster.history.schema import MIGRATIONS
from tests.support.data.earlier_history import ROWS, earlier_body, earlier_rows, make_earlier, make_schema
from tests.support.data.encoded_executions import EXECUTIONS
from tests.support.data.history_rows import KEY, ran
from tests.support.history_places import Schema

OTHER = WorkflowKey("team", "CronJob", "nightly")
RUNS = {
    KEY: {f"r{n}": [ran(f"{n}-{i}", 100.0 * n, f"s{i}") for i in range(4)] for n in range(30)},
    OTHER: {"x": [ran("x")]},
}


@pytest.mark.parametrize("version", range(1, ROWS + 1))
def test_a_file_of_an_earlier_version_keeps_its_runs(tmp_path: Path, version: int) -> None:
    make_earlier(tmp_path / "h.db", RUNS, version)
    with Store(":memory:") as new, Store(str(tmp_path / "h.db")) as store:
        new.add(RUNS)
        assert store.recovered is None
        assert [store.runs(key) for key in RUNS] == [new.runs(key) for key in RUNS]
        assert store.stats().pods == 121
        assert store.add(RUNS).workflows == frozenset(), "each uid is known"
    with closing(sqlite3.connect(tmp_path / "h.db")) as raw:
        assert raw.execute("SELECT max(version) FROM migrations").fetchone() == (len(MIGRATIONS),)
        assert raw.execute("SELECT 1 FROM sqlite_master WHERE name = 'earlier_pods'").fetchall() == []


def test_a_schema_of_an_earlier_version_keeps_its_runs(postgres_schema: Schema) -> None:
    _make_earlier_schema(postgres_schema)
    with Store(":memory:") as new, postgres_schema.open() as store:
        new.add(RUNS)
        assert [store.runs(key) for key in RUNS] == [new.runs(key) for key in RUNS]
        assert store.add(RUNS).workflows == frozenset()
    assert postgres_schema.raw("SELECT to_regclass('earlier_pods')") == [(None,)]


@given(st.lists(EXECUTIONS, unique_by=lambda e: e.uid, max_size=8))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_executions_are_moved(tmp_path_factory: pytest.TempPathFactory, executions: list[StepExecution]) -> None:
    path = tmp_path_factory.mktemp("earlier") / "h.db"
    make_earlier(path, {KEY: {"r": executions}})
    with Store(":memory:") as new, Store(str(path)) as store:
        new.add({KEY: {"r": executions}})
        assert store.runs(KEY) == new.runs(KEY)


def test_many_pods_of_a_workflow_are_moved_a_few_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """All at once they would take the memory that the operator has, at every start again."""
    path = tmp_path / "h.db"
    make_earlier(path, RUNS)
    given: list[int] = []
    merge = legacy_executions.merge
    monkeypatch.setattr(legacy_executions, "_BATCH_PODS", 7)
    monkeypatch.setattr(legacy_executions, "_LOG_EVERY", 1)
    caplog.set_level("INFO", "concertmaster.history")
    monkeypatch.setattr(
        legacy_executions, "merge", lambda db, pods, lost: given.append(len(pods)) or merge(db, pods, lost)
    )
    with Store(str(path)) as store, Store(":memory:") as new:
        new.add(RUNS)
        assert [store.runs(key) for key in RUNS] == [new.runs(key) for key in RUNS]
    assert (max(given), sum(given)) == (7, 121)
    logged = [
        int(number) for number in re.findall(r"converting the pods of an earlier version; (\d+) so far", caplog.text)
    ]
    assert logged == [0, *accumulate(given)][:-1]


def test_a_file_is_not_left_with_the_room_its_rows_took(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    make_earlier(path, {KEY: {f"r{n}": [ran(f"{n}-{i}", 10.0 * n, f"s{i}") for i in range(10)] for n in range(300)}})
    before = path.stat().st_size
    with Store(str(path)) as store:
        assert store.stats().bytes < 0.7 * before


def test_shards_move_a_history_in_turns(postgres_schema: Schema, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where one of them loses its connection in the middle."""
    _make_earlier_schema(postgres_schema)
    monkeypatch.setattr(legacy_executions, "_BATCH_PODS", 5)
    at_once, errors = threading.Barrier(3), []
    some = EarlierPods.move_some
    lost = iter([None])

    def moved(self: EarlierPods) -> bool:
        if self._times == 3 and next(lost, 0) is None:
            (pid,) = self._db.execute("SELECT pg_backend_pid()").fetchone()
            postgres_schema.raw(f"SELECT pg_terminate_backend({pid})")
        return some(self)

    def start() -> None:
        at_once.wait()
        try:
            postgres_schema.open().close()
        except HistoryError as error:
            errors.append(error)

    monkeypatch.setattr(EarlierPods, "move_some", moved)
    threads = [threading.Thread(target=start) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(errors) <= 1, "only the one whose connection was lost"
    with Store(":memory:") as new, postgres_schema.open() as store:
        new.add(RUNS)
        assert [store.runs(key) for key in RUNS] == [new.runs(key) for key in RUNS]
        assert store.stats().pods == 121
    assert postgres_schema.raw("SELECT count(*) FROM pods") == [(121,)]


def test_moving_goes_on_where_a_process_was_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "h.db"
    make_earlier(path, RUNS)
    moved: list[int] = []
    merge = legacy_executions.merge

    def ended(*args: object) -> object:
        if moved:
            raise KeyboardInterrupt
        moved.append(1)
        return merge(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(legacy_executions, "merge", ended)
    with pytest.raises(KeyboardInterrupt):
        Store(str(path))
    with closing(sqlite3.connect(path)) as raw:
        left = raw.execute("SELECT count(*) FROM earlier_pods").fetchone()[0]
        assert 0 < left < 121, "one workflow is moved, the other is not"
    monkeypatch.undo()
    with Store(str(path)) as store:
        assert store.stats().pods == 121


def _with(row: list[Any], place: int, value: object) -> list[Any]:
    return [*row[:place], value, *row[place + 1 :]]


DAMAGED = {
    "no format": b"\0",
    "another uid": earlier_body(ran("4-2")),
    "a number for a uid": _deflate([_with(_execution_row(ran("3-2"))[0], _EXECUTION.index("uid"), 3), []]),
    "text for a time": _deflate([_with(_execution_row(ran("3-2"))[0], _EXECUTION.index("created"), "now"), []]),
    "a list for figures": _deflate([_execution_row(ran("3-2"))[0], [], [1]]),
}


@pytest.mark.parametrize("body", DAMAGED.values(), ids=DAMAGED)
def test_rows_that_cannot_be_read_hold_nothing_up(tmp_path: Path, body: bytes) -> None:
    path = tmp_path / "h.db"
    make_earlier(path, RUNS)
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute("UPDATE pods SET body = ? WHERE uid = '3-2'", (body,))
    with Store(str(path)) as store:
        assert store.stats().pods == 120
        assert sum(len(r.steps) for r in store.runs(KEY)) == 119
        store.add({KEY: {"r3": [replace(RUNS[KEY]["r3"][2])]}})
        assert store.stats().pods == 121


@pytest.fixture
def postgres_schema(request: pytest.FixtureRequest) -> Schema:
    """An empty schema of a real server."""
    server = request.getfixturevalue("postgres")
    return Schema.fresh(server.url, server.password_file)


def _make_earlier_schema(place: Schema) -> None:
    """The tables of the first version with ``RUNS``."""
    make_schema(place, 1)
    with place.connect() as db:
        numbers = {}
        for key in RUNS:
            query = "INSERT INTO workflows (namespace, kind, name) VALUES (%s, %s, %s) RETURNING id"
            (numbers[key],) = db.execute(query, (key.namespace, key.kind, key.name)).fetchone() or (0,)
        db.cursor().executemany("INSERT INTO pods VALUES (%s, %s, %s, %s, %s, %s)", earlier_rows(RUNS, numbers))
