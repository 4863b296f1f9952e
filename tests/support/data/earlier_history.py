"""Histories as earlier versions of the operator left them, a row to an execution."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from concertmaster.core.model import StepExecution, WorkflowKey
from concertmaster.history.encoding import _deflate, _execution_row
from concertmaster.history.postgresql.schema import MIGRATIONS as SERVER
from concertmaster.history.schema import APPLICATION_ID, MIGRATIONS
from tests.support.history_places import Schema

Executions = Mapping[WorkflowKey, Mapping[str, Sequence[StepExecution]]]

ROWS = next(n for n, part in enumerate(MIGRATIONS) if any("earlier_pods" in text for text in part))
"""The last version that had a row to an execution."""


def earlier_body(e: StepExecution) -> bytes:
    """The execution in a row of its own."""
    return _deflate(_execution_row(e))


def earlier_rows(executions: Executions, numbers: Mapping[WorkflowKey, int]) -> Iterable[tuple[Any, ...]]:
    """Rows of the table of that time; ``numbers``: of the workflows."""
    for key, runs in executions.items():
        for run, pods in runs.items():
            for e in pods:
                times = [t for t in (e.created, e.scheduled, e.started, e.finished) if t is not None]
                yield e.uid, numbers[key], run, min(times, default=None), max(times, default=None), earlier_body(e)


def make_tables(db: sqlite3.Connection, version: int) -> None:
    """The tables of that version in an empty file."""
    db.execute("PRAGMA auto_vacuum = INCREMENTAL")
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.execute("CREATE TABLE migrations (version INTEGER PRIMARY KEY, applied TEXT NOT NULL)")
    for number, statements in enumerate(MIGRATIONS[:version], 1):
        for statement in statements:
            db.execute(statement)
        db.execute("INSERT INTO migrations VALUES (?, '2026-01-01')", (number,))


def make_earlier(path: Path, executions: Executions, version: int = ROWS) -> None:
    """A file of that version (at most ``ROWS``) with these executions."""
    with closing(sqlite3.connect(path)) as db, db:
        make_tables(db, version)
        keys = dict(zip(executions, range(1, len(executions) + 1), strict=True))
        for key, number in keys.items():
            columns = "(id, namespace, kind, name)"
            values = (number, key.namespace, key.kind, key.name)
            db.execute(f"INSERT INTO workflows {columns} VALUES (?, ?, ?, ?)", values)
        db.executemany("INSERT INTO pods VALUES (?, ?, ?, ?, ?, ?)", earlier_rows(executions, keys))


def make_schema(place: Schema, version: int) -> None:
    """The tables of that version in an empty schema."""
    place.raw(f'CREATE SCHEMA "{place.address.schema}"')
    place.raw("CREATE TABLE migrations (version BIGINT PRIMARY KEY, applied TIMESTAMPTZ NOT NULL DEFAULT now())")
    for number, statements in enumerate(SERVER[:version], 1):
        for statement in statements:
            place.raw(statement)
        place.raw(f"INSERT INTO migrations (version) VALUES ({number})")
