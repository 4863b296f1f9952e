"""Executions as versions before stored them, one to a row: moved into rows of runs before a version begins that knows only
these."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager

from concertmaster.core.model import StepExecution, WorkflowKey
from concertmaster.history import rows
from concertmaster.history.encoding import decode_execution
from concertmaster.history.runs.executions import merge
from concertmaster.history.sql import Connection

log = logging.getLogger(__name__)

_TELL_EVERY = 1000  # workflows


def move_pods(db: Connection, transaction: Callable[[], AbstractContextManager[None]]) -> None:
    """Move all that is left: a workflow to a transaction, so that a process that ends meanwhile loses little. What cannot
    be read is dropped."""
    workflows = db.execute("SELECT id, namespace, kind, name FROM workflows ORDER BY id").fetchall()
    for done, (number, namespace, kind, name) in enumerate(workflows):
        if done and done % _TELL_EVERY == 0:
            log.info("history: runs of %d of %d workflows are in the tables of this version", done, len(workflows))
        with transaction():
            found: list[tuple[StepExecution, WorkflowKey, str]] = []
            key = WorkflowKey(namespace, kind, name)
            for run, body in db.execute("SELECT run, body FROM earlier_pods WHERE workflow = ?", (number,)):
                execution = rows.readable(decode_execution, body, run, [])
                if execution is not None:
                    found.append((execution, key, run))
            merge(db, found, [])
            db.execute("DELETE FROM earlier_pods WHERE workflow = ?", (number,))
