"""The defective histories of the chaos campaign: each fault must have something to act on."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from benchmarks.chaos.histories import HISTORIES
from benchmarks.chaos.loopfaults import launch
from concertmaster.history import HistoryError, HistoryFull, Store
from tests.support.data.history_rows import KEY, ran


def test_on_a_full_disk_there_is_something_to_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "history.db"
    facts = {KEY: {f"r{n}": [ran(f"{n}-{i}", 100.0 * n, f"s{i}") for i in range(4)] for n in range(100)}}
    store = Store(str(file))
    store.add(facts)
    store.set_watermark("default", KEY.namespace, 10_000.0)
    store.close()
    monkeypatch.setattr(sqlite3, "connect", sqlite3.connect)  # as they are, afterwards
    monkeypatch.setattr(os, "statvfs", os.statvfs)
    with HISTORIES["on a full disk"](file) as environment:
        launch.break_disk(environment["CHAOS_DISK"])
        store = Store(str(file))
        assert 0 < len(store.runs(KEY)) < 60
        assert store.watermarks("default") == {}
        with pytest.raises(HistoryFull):
            store.add(facts)
        store.close()


def test_a_history_of_a_newer_version_is_one(tmp_path: Path) -> None:
    file = tmp_path / "history.db"
    Store(str(file)).close()
    with HISTORIES["of a newer version"](file), pytest.raises(HistoryError, match="newer version"):
        Store(str(file))
