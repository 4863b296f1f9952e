"""Defective histories at the start of the operator: damaged, locked, full, read-only, of another version."""

from __future__ import annotations

import json
import random
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.chaos.bed import HEALTHY, Bed, operator, started
from benchmarks.chaos.objects import ARGO
from benchmarks.chaos.statuses import dated, observed, stale, until_recommended

_WHOLE = "whole"  # the history that is damaged
Damage = Callable[[Path], AbstractContextManager[Mapping[str, str]]]
"""Breaks a file while it lasts; what it adds to the environment of the operator."""


@contextmanager
def _garbage(file: Path) -> Iterator[Mapping[str, str]]:
    with file.open("r+b") as out:
        out.seek(4096)
        out.write(random.Random(1).randbytes(200_000))
    yield {}


@contextmanager
def _cut(file: Path) -> Iterator[Mapping[str, str]]:
    with file.open("r+b") as out:
        out.truncate(file.stat().st_size // 2)
    yield {}


@contextmanager
def _newer(file: Path) -> Iterator[Mapping[str, str]]:
    """A migration unknown to this version."""
    with sqlite3.connect(file) as db:
        columns = [row[1] for row in db.execute("PRAGMA table_info(migrations)")]
        newest = db.execute("SELECT * FROM migrations ORDER BY version DESC LIMIT 1").fetchone()
        values = [999 if name == "version" else value for name, value in zip(columns, newest, strict=True)]
        db.execute(f"INSERT INTO migrations VALUES ({', '.join('?' * len(values))})", values)
    db.close()
    yield {}


@contextmanager
def _locked(file: Path) -> Iterator[Mapping[str, str]]:
    db = sqlite3.connect(file, isolation_level=None)
    db.execute("PRAGMA locking_mode = EXCLUSIVE")
    db.execute("BEGIN EXCLUSIVE")
    try:
        yield {}
    finally:
        db.rollback()
        db.close()


@contextmanager
def _a_directory(file: Path) -> Iterator[Mapping[str, str]]:
    file.unlink()
    file.mkdir()
    yield {}


@contextmanager
def _full(file: Path) -> Iterator[Mapping[str, str]]:
    """A backup without the newer half of what the metrics have, restored where there is no room for it."""
    with sqlite3.connect(file) as db:
        (newer,) = db.execute("SELECT avg(ended) FROM executions").fetchone()
        db.execute("DELETE FROM executions WHERE ended > ?", (newer,))
        for table in ("watermarks", "analyses"):
            db.execute(f"DELETE FROM {table}")
    db.execute("VACUUM")
    db.close()
    yield {"CHAOS_DISK": "full"}


@contextmanager
def _read_only(file: Path) -> Iterator[Mapping[str, str]]:
    yield {"CHAOS_DISK": "read-only"}


HISTORIES: dict[str, Damage] = {
    "garbage in it": _garbage,
    "cut in half": _cut,
    "of a newer version": _newer,
    "locked by another process": _locked,
    "on a full disk": _full,
    "on a read-only disk": _read_only,
    "a directory in its place": _a_directory,
}


def measure(seed: int = 1) -> dict[str, Any]:
    """Run the campaign, in which nothing is left to chance."""
    with started(discover=[{"apiVersion": ARGO, "kind": "WorkflowTemplate"}]) as bed:
        sources = [{"name": "default", "url": bed.prometheus.url, "delaySeconds": 5}]
        with operator(bed, sources, name=_WHOLE) as op:
            until_recommended(bed, op)
        rows = {name: _start(bed, sources, name, damage) for name, damage in HISTORIES.items()}
    return {"healthy": HEALTHY, "histories": rows}


def _start(bed: Bed, sources: Any, name: str, damage: Damage) -> dict[str, Any]:
    """Start the operator with a defective copy of an existing history."""
    slug = re.sub(r"\W+", "-", name)
    file = bed.directory / f"{slug}.db"
    shutil.copy(bed.directory / f"{_WHOLE}.db", file)
    before = observed(bed)
    problem = ""
    with damage(file) as environment:
        try:
            with operator(bed, sources, name=slug, environment=environment) as op:
                op.wait_cycles(3, 240)
                row: dict[str, Any] = {"starts": True, "alive": op.alive()}
                problem = next((str(p) for c in reversed(op.cycles()) for p in c.get("problems") or ()), "")
        except Exception as error:  # noqa: BLE001 - what is measured is whether it starts
            row = {"starts": False, "why": str(error)[-300:]}
    after = observed(bed)
    row |= {
        "advised": bed.with_recommendations(),
        "lost_runs": sum(max(0, n - after.get(key, 0)) for key, n in before.items()),
        "stale": stale(bed),
        "dated": dated(bed),
        "set_aside": any(bed.directory.glob(f"{file.name}.damaged-*")),  # only one whose content is damaged may be
        "said": (problem or _last_error(bed.directory / f"{slug}.log")).replace(f"{bed.directory}/", ""),
    }
    print(f"  history {name}: {row}", flush=True)
    return row


def _last_error(log: Path) -> str:
    found = ""
    for line in log.read_text(errors="replace").splitlines() if log.is_file() else ():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if (
            isinstance(entry, dict)
            and entry.get("level") in ("error", "warning")
            and "history" in str(entry.get("msg"))
        ):
            found = str(entry["msg"])
    return found


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """The section of the page."""
    yield f"### Histories that are defective at the start: {found['healthy']} workflows"
    yield ""
    yield (
        "| the history is ... at the start | starts | alive | recommending, of these dated | runs lost | set aside"
        " | the operator says |"
    )
    yield "|---|---|---|---|---|---|---|"
    for name, row in found["histories"].items():
        cause = str(row.get("said") or "-").split(". ")[0].replace("|", "/")[:200]
        starts, alive, aside = ("yes" if row.get(mark) else "no" for mark in ("starts", "alive", "set_aside"))
        advised = f"{row['advised']}, {row['dated']}"
        yield f"| {name} | {starts} | {alive} | {advised} | {row['lost_runs']} | {aside} | {cause} |"
