"""What can happen to the file: damage, a full disk, a lock, a kill in the middle of a write."""

from __future__ import annotations

import errno
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from concertmaster.history import (
    HistoryDamaged,
    HistoryError,
    HistoryFull,
    HistoryLocked,
    HistoryReadOnly,
    Store,
    schema,
)
from concertmaster.history.errors import translate
from concertmaster.history.schema import MIGRATIONS
from tests.support.data.history_rows import KEY, ran


@pytest.fixture
def path(tmp_path: Path) -> str:
    name = str(tmp_path / "history.db")
    with Store(name) as store:
        store.add({KEY: {f"r{n}": [ran(str(n), n * 100.0)] for n in range(300)}})
        store.set_watermark("s", "x", 7.0)
    return name


def overwrite(path: str, offset: int, content: bytes) -> None:
    with Path(path).open("r+b") as file:
        file.seek(offset)
        file.write(content)


@pytest.mark.parametrize(
    ("offset", "content"),
    [(0, b"this is not a database at all"), (4096 + 100, b"\xff" * 4000), (24, b"\x00" * 60)],
)
def test_a_damaged_file_is_set_aside_and_history_begins_anew(path: str, offset: int, content: bytes) -> None:
    overwrite(path, offset, content)
    with Store(path) as store:
        assert store.recovered is not None
        assert f"{path}.damaged-1" in store.recovered
        assert store.keys() == []
        assert store.watermark("s", "x") is None  # so that everything is read again
        store.add({KEY: {"r": [ran("1")]}})
    assert Path(f"{path}.damaged-1").exists()
    with Store(path) as store:
        assert store.recovered is None
        assert len(store.runs(KEY)) == 1


def test_every_damaged_file_gets_a_name_of_its_own(path: str) -> None:
    for number in (1, 2):
        overwrite(path, 0, b"garbage garbage garbage")
        with Store(path) as store:
            assert f"damaged-{number}" in (store.recovered or "")


def test_a_truncated_file_is_damage(path: str) -> None:
    size = Path(path).stat().st_size
    os.truncate(path, size // 2)
    with Store(path) as store:
        assert store.recovered is not None


def test_an_empty_file_is_a_new_history(tmp_path: Path) -> None:
    name = tmp_path / "history.db"
    name.touch()
    with Store(str(name)) as store:
        assert store.recovered is None
        assert store.keys() == []


def test_a_full_database_loses_nothing_and_says_so(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store(path) as store, monkeypatch.context() as disk:
        disk.setattr(os, "statvfs", lambda _: SimpleNamespace(f_frsize=1, f_blocks=2**40, f_bavail=0))
        with pytest.raises(HistoryFull, match=r"no space left to write .* Nothing was lost"):
            store.add({KEY: {"big": [ran(f"big-{n}") for n in range(2000)]}})
            store.set_watermark("s", "x", 99.0)
        assert store.watermark("s", "x") == 7.0
        assert len(store.runs(KEY)) == 300
        disk.undo()
        store.add({KEY: {"big": [ran(f"big-{n}") for n in range(2000)]}})
        store.set_watermark("s", "x", 99.0)
        assert store.watermark("s", "x") == 99.0


def test_a_full_disk_loses_nothing_and_says_so(path: str) -> None:
    """The limit on file sizes stands for a full disk: writes of the log fail."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Store(path) as store:
        room = Path(path).stat().st_size // 2
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
        try:
            with pytest.raises(HistoryFull):
                store.add({KEY: {"big": [ran(f"big-{n}") for n in range(5000)]}})
                store.set_watermark("s", "x", 99.0)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert store.watermark("s", "x") == 7.0
        assert len(store.runs(KEY)) == 300
        store.add({KEY: {"big": [ran("after")]}})
    with Store(path) as store:
        assert store.recovered is None
        assert len(store.runs(KEY)) == 301


def test_a_disk_keeps_room_for_deleting_and_for_the_journal(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once it was full to the last byte, fewer runs could not be kept either, as the condition asks for."""
    total, folder = 24 * 2**20, Path(path).parent

    def left() -> int:
        return total - sum(file.stat().st_size for file in folder.iterdir())

    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_frsize=1, f_blocks=total, f_bavail=max(0, left())))
    with Store(path) as store:
        with pytest.raises(HistoryFull):
            for n in range(100):
                store.add({KEY: {f"big-{n}": [ran(f"big-{n}-{i}", message=os.urandom(4000).hex()) for i in range(50)]}})
        assert total // 8 < left() < total // 2
        store.write_journal("pending", "x" * 10_000, 1.0)
        assert store.prune(max_runs=10, before=0.0) > 300
        store.add({KEY: {"after": [ran("after", message=os.urandom(100_000).hex())]}})


def test_space_that_cannot_be_given_back_on_a_full_disk_is_given_back_later(path: str) -> None:
    """What was deleted before is deleted, and who deleted it need not know."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Store(path) as store:
        store._db.execute("DELETE FROM executions")
        store._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        free = "PRAGMA freelist_count"
        pages = store._db.execute(free).fetchone()[0]
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
        try:
            store._engine.shrink()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert store._db.execute(free).fetchone()[0] == pages > 0
        store._engine.shrink()
        assert store._db.execute(free).fetchone()[0] == 0


def test_the_log_gives_back_what_a_large_write_took(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "_LOG_BYTES", 4 * 2**20)
    log = Path(f"{path}-wal")
    with Store(path) as store:
        store.add({KEY: {f"big-{n}": [ran(f"big-{n}", message=os.urandom(4000).hex())] for n in range(3000)}})
        large = log.stat().st_size
        for n in range(3):
            store.add({KEY: {f"small-{n}": [ran(f"small-{n}")]}})
        assert log.stat().st_size <= 4 * 2**20 < large


def test_a_start_on_a_full_disk_is_not_taken_for_damage(path: str) -> None:
    """Not even the index of the write-ahead log, 32 KiB, has room."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(HistoryFull):
            Store(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(Path(path).parent.glob("*damaged*"))
    with Store(path) as store:
        assert store.recovered is None
        assert len(store.runs(KEY)) == 300


@pytest.mark.parametrize("name", ["SHMMAP", "SHMOPEN", "LOCK", "NOMEM", "ACCESS", "FSTAT"])
def test_a_fault_of_the_place_is_no_damage_of_the_file(name: str) -> None:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorname = f"SQLITE_IOERR_{name}"
    assert isinstance(translate(error, "/data/history.db"), HistoryReadOnly)


def test_a_held_file_is_not_taken_for_damage(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("concertmaster.history.schema._BUSY_SECONDS", 0.1)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with Store(path) as store, pytest.raises(HistoryLocked, match="another process"):
        store.add({KEY: {"r": [ran("x")]}})
    other.execute("ROLLBACK")
    other.close()
    assert not Path(f"{path}.damaged-1").exists()


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(HistoryReadOnly, match="historyPath"):
        Store(str(tmp_path / "missing" / "history.db"))
    with pytest.raises(HistoryReadOnly):
        Store(str(tmp_path))


def test_a_read_only_file(path: str) -> None:
    with Store(path) as store:
        store._db.execute("PRAGMA query_only = ON")
        with pytest.raises(HistoryReadOnly):
            store.add({KEY: {"r": [ran("x")]}})


def test_a_copy_has_what_the_file_holds_and_leaves_it_alone(path: str) -> None:
    before = Path(path).read_bytes()
    with Store(path, copy=True) as store:
        assert len(store.runs(KEY)) == 300
        assert store.watermark("s", "x") == 7.0
        store.add({KEY: {"later": [ran("later")]}})
        store.set_watermark("s", "x", 99.0)
        assert len(store.runs(KEY)) == 301
        for write in (lambda: store.write_journal("change/1", "{}", 1.0), lambda: store.drop_journal("change/1")):
            with pytest.raises(HistoryReadOnly, match="not begun"):
                write()
    assert Path(path).read_bytes() == before
    with Store(path) as store:
        assert store.watermark("s", "x") == 7.0


def test_a_copy_of_a_file_on_a_full_disk_can_grow(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_frsize=1, f_blocks=2**40, f_bavail=0))
    with Store(path, copy=True) as store:
        store.add({KEY: {"big": [ran(f"big-{n}") for n in range(2000)]}})
        assert len(store.runs(KEY)) == 301


@pytest.mark.parametrize("content", [b"this is not a database at all", b""])
def test_a_copy_of_what_cannot_be_read_is_empty(path: str, content: bytes) -> None:
    Path(path).write_bytes(content)
    with Store(path, copy=True) as store:
        assert store.keys() == []
        store.add({KEY: {"r": [ran("1")]}})
    assert Path(path).read_bytes() == content


def test_a_copy_is_bounded(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("concertmaster.history.schema._MAX_COPY_BYTES", 1000)
    with Store(path, copy=True) as store:
        assert store.keys() == []
        assert "began empty" in (store.recovered or "")


def killed_after_writing(path: str) -> None:
    """A process that wrote its journal and a run and ended without closing: both stand in the write-ahead log alone."""
    code = (
        "import os, sys\n"
        "from concertmaster.history import Store\n"
        "from tests.support.data.history_rows import KEY, ran\n"
        "store = Store(sys.argv[1])\n"
        "store.write_journal('change/1', '{}', 1.0)\n"
        "store.add({KEY: {'late': [ran('late')]}})\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, path], check=False)
    assert done.returncode == -signal.SIGKILL
    assert Path(f"{path}-wal").stat().st_size > 0


def test_a_copy_has_what_a_killed_process_left_in_the_log(path: str) -> None:
    killed_after_writing(path)
    before = Path(path).read_bytes()
    with Store(path, copy=True) as store:
        assert list(store.journal()) == ["change/1"]
        assert len(store.runs(KEY)) == 301
        assert store.recovered is None
    assert Path(path).read_bytes() == before
    with Store(path) as store:  # and the log is still there for the next process
        assert list(store.journal()) == ["change/1"]


def test_a_copy_without_the_log_says_so(path: str) -> None:
    """Something else is in the place of the log: the file alone is read."""
    killed_after_writing(path)
    Path(f"{path}-wal").unlink()
    Path(f"{path}-wal").mkdir()
    with Store(path, copy=True) as store:
        assert list(store.journal()) == []
        assert len(store.runs(KEY)) == 300
        assert "could not be read and is missing in the copy" in (store.recovered or "")


def test_a_damaged_file_that_cannot_be_set_aside_is_reported(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    overwrite(path, 0, b"garbage garbage garbage")
    monkeypatch.setattr("concertmaster.history.schema.os.replace", refuse)
    with pytest.raises(HistoryReadOnly, match=r"cannot be set aside \(Read-only file system\)"):
        Store(path)


def test_a_disk_that_is_full_while_tables_are_made_is_called_full(tmp_path: Path) -> None:
    """SQLite ends the transaction itself: to end it once more would hide what is wrong."""
    with closing(sqlite3.connect(tmp_path / "small.db", isolation_level=None)) as raw:
        raw.execute("PRAGMA max_page_count = 3")
        with pytest.raises(sqlite3.Error) as told:
            schema._executed(raw, [f"CREATE TABLE t{n} (a TEXT)" for n in range(9)])
        assert isinstance(translate(told.value, "small.db"), HistoryFull)
        assert not raw.in_transaction


def test_a_newer_schema_is_refused_not_destroyed(path: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute("INSERT INTO migrations VALUES (?, 'later')", (max(MIGRATIONS) + 1,))
    for copy in (False, True):
        with pytest.raises(HistoryError, match="newer version"):
            Store(path, copy=copy)
    assert not Path(f"{path}.damaged-1").exists()


def test_another_programs_database_is_refused_not_destroyed(tmp_path: Path) -> None:
    name = str(tmp_path / "other.db")
    with sqlite3.connect(name) as raw:
        raw.execute("CREATE TABLE precious (x)")
    for copy in (False, True):
        with pytest.raises(HistoryError, match="another program"):
            Store(name, copy=copy)
    with sqlite3.connect(name) as raw:
        assert raw.execute("SELECT count(*) FROM precious").fetchone() == (0,)


def test_unexpected_faults_keep_their_name() -> None:
    assert type(translate(sqlite3.ProgrammingError("odd"), "p")) is HistoryError
    error = sqlite3.OperationalError("bad")
    error.sqlite_errorname = "SQLITE_CORRUPT_VTAB"
    assert isinstance(translate(error, "p"), HistoryDamaged)


WRITER = """
import sys
from concertmaster.history import Store
from tests.support.data.history_rows import KEY, ran
store = Store(sys.argv[1])
n = int(sys.argv[2])
print("ready", flush=True)
while True:
    rows = [ran(f"{n}-{i}", n * 100.0) for i in range(50)]
    store.add({KEY: {f"k{n}": rows}})
    store.set_watermark("s", "killed", float(n))
    n += 1
"""


def test_a_kill_in_the_middle_of_writing_leaves_whole_transactions(path: str) -> None:
    root = Path(__file__).resolve().parents[3]
    environment = {**os.environ, "PYTHONPATH": f"{root / 'operator'}{os.pathsep}{root}"}
    start = 0
    for delay in (0.05, 0.11, 0.17, 0.23, 2.0, 20.0):
        if delay > 1.0 and start:
            break  # the long ones are for a busy machine, on which nothing is written within the others
        command = [sys.executable, "-c", WRITER, path, str(start)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root, env=environment)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        with Store(path) as store:
            assert store.recovered is None
            last = store.watermark("s", "killed")
            whole = [r for r in store.runs(KEY) if r.run.startswith("k")]
            assert all(len(r.steps) == 50 for r in whole)
            covered = 0 if last is None else int(last) + 1
            assert len(whole) - covered in (0, 1)  # what was written before the watermark moved is read again
            start = len(whole)
    assert start > 0
