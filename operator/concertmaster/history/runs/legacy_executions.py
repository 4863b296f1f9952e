"""Executions as versions before stored them, one to a row: moved into rows of runs before a version begins that knows only
these."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from concertmaster.core.model import StepExecution, WorkflowKey
from concertmaster.history import rows
from concertmaster.history.encoding import decode_execution
from concertmaster.history.runs.executions import merge
from concertmaster.history.sql import Connection

log = logging.getLogger(__name__)

_BATCH_PODS = 2_000  # pods
_LOG_EVERY = 50  # times


class EarlierPods:
    """Pods in the table of earlier versions. Several processes may move them concurrently."""

    def __init__(self, db: Connection) -> None:
        self._db = db
        self._number = 0  # of the workflow whose turn it is: all before have none left
        self._times = 0
        self._converted = 0

    def move_some(self) -> bool:
        """Move some of them, in the caller's transaction. Returns whether there were any. Unreadable ones are dropped."""
        query = "SELECT min(workflow) FROM earlier_pods WHERE workflow >= ?"
        (number,) = self._db.execute(query, (self._number,)).fetchone()
        if number is None:
            return False
        self._number = int(number)
        if self._times % _LOG_EVERY == 0:
            log.info("history: converting the pods of an earlier version; %d so far", self._converted)
        self._times += 1
        query = "SELECT namespace, kind, name FROM workflows WHERE id = ?"
        key = WorkflowKey(*self._db.execute(query, (number,)).fetchone())
        query = "SELECT uid, run, body FROM earlier_pods WHERE workflow = ? ORDER BY run LIMIT ?"
        found = self._db.execute(query, (number, _BATCH_PODS)).fetchall()
        self._converted += len(found)
        pods = [(rows.readable(decode_execution, body, run, set()), key, run, uid) for uid, run, body in found]
        merge(self._db, [(e, key, run) for e, key, run, uid in pods if e is not None and _sound(e, uid)], set())
        for some in rows.chunks([uid for uid, _, _ in found]):
            self._db.execute(f"DELETE FROM earlier_pods WHERE uid IN ({rows.marks(some)})", some)
        return True


def _sound(e: StepExecution, uid: str) -> bool:
    """Whether its bytes made sense as far as storing it needs."""
    times = (e.created, e.scheduled, e.started, e.finished)
    return e.uid == uid and isinstance(e.extra, Mapping) and all(t is None or isinstance(t, int | float) for t in times)
