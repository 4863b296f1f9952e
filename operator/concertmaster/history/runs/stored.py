"""What is stored of the runs of one workflow: bytes first, which are a fingerprint too, and records out of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from concertmaster.core.model import RunRecord, WorkflowKey
from concertmaster.engines import QUIET_SECONDS, RunBuilder
from concertmaster.history import rows
from concertmaster.history.encoding import decode_executions, decode_record
from concertmaster.history.rebuild import rebuild
from concertmaster.history.sql import RowsOfRuns


@dataclass(slots=True)
class StoredRun:
    """The rows under one name of a run: of its executions, and what its object said. ``ended``: when the newest of them did
    (unix seconds)."""

    executions: list[bytes] = field(default_factory=list)
    record: bytes | None = None
    ended: float | None = None

    @property
    def bodies(self) -> list[bytes]:
        """All rows in a fixed order, which sorting gives in a fraction of the time of the database."""
        return sorted(self.executions if self.record is None else [*self.executions, self.record])

    def decided(self, as_of: float) -> bool:
        """Whether its outcome, once it is over, is one that only a further fact can change at or after ``as_of`` (unix
        seconds). The end that a Job has in the metrics stands only until its pods are known to have failed for good."""
        return self.record is None or (self.ended is not None and as_of - self.ended >= QUIET_SECONDS)


def stored_runs(source: RowsOfRuns, number: int, names: Sequence[str]) -> dict[str, StoredRun]:
    """The rows of each of these runs of a workflow."""
    found = {name: StoredRun() for name in names}
    for part in rows.chunks(names):
        for table in ("executions", "records"):
            for name, ended, body in source.of(table, number, part):
                stored = found[name]
                if table == "records":
                    stored.record = body
                else:
                    stored.executions.append(body)
                if ended is not None:
                    stored.ended = ended if stored.ended is None else max(stored.ended, ended)
    return found


def live_record(stored: StoredRun, key: WorkflowKey, name: str) -> RunRecord | None:
    """What the object of the run said, None where it is not known."""
    if stored.record is None:
        return None
    return rows.readable(partial(decode_record, key=key, run=name), stored.record)


def put_together(stored: StoredRun, name: str, builder: RunBuilder) -> list[RunRecord]:
    """All runs of that name, oldest first, of the rows that can be read."""
    found = [rows.readable(decode_executions, body) or () for body in stored.executions]
    return rebuild(name, [e for part in found for e in part], live_record(stored, builder.key, name), builder)
