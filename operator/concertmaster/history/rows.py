"""Reading and writing single tables of the history; every function works inside its caller's transaction."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from math import inf
from typing import TypeVar

from concertmaster.core.model import RunRecord, Source, WorkflowKey
from concertmaster.core.model.daily import EXCEPTIONAL, RELEASED
from concertmaster.history.encoding import decode_record, encode_record
from concertmaster.history.rebuild import retried, same_run
from concertmaster.history.sql import Connection

ROW = 256  # bytes of a row beside its body: keys and index
POD = 64  # bytes of the entry of a pod: its uid, and where it is
_CHUNK = 500  # values per query
_ALL = 2**53  # rows
_SECOND = 1.0  # resolution of the times of objects
_ENDS = """(SELECT run, max(last) AS newest FROM (
    SELECT run, max(ended) AS last FROM executions WHERE workflow = ? GROUP BY run UNION ALL
    SELECT run, ended FROM records WHERE workflow = ?) AS seen GROUP BY run) AS runs"""
T = TypeVar("T")


def delete_amounts(db: Connection, number: int, since: int, exceptional_since: int) -> None:
    """Delete largest amounts of days of a workflow before ``since`` that those of a later day come near, and all of days
    before ``exceptional_since``."""
    query = (
        "DELETE FROM daily_metrics AS old WHERE workflow = ? AND day < ? AND metric >= 'largest/' AND metric < 'largest0' "
        f"AND (day < ? OR (metric NOT LIKE 'largest/{RELEASED}/%' AND EXISTS (SELECT 1 FROM daily_metrics AS later "
        "WHERE later.workflow = old.workflow AND later.step = old.step AND later.metric = old.metric "
        "AND later.day > old.day AND ? * later.amount >= old.amount)))"
    )
    db.execute(query, (number, since, exceptional_since, EXCEPTIONAL))


def known_id(db: Connection, key: WorkflowKey) -> int | None:
    """Row of a workflow, None when there is none."""
    query = "SELECT id FROM workflows WHERE namespace = ? AND kind = ? AND name = ?"
    row = db.execute(query, (key.namespace, key.kind, key.name)).fetchone()
    return None if row is None else int(row[0])


def make_id(db: Connection, key: WorkflowKey) -> int:
    """Row of a workflow, made when there is none."""
    known = known_id(db, key)
    if known is not None:
        return known
    row = (key.namespace, key.kind, key.name)
    # another shard may make the same row at the same moment
    query = (
        "INSERT INTO workflows (namespace, kind, name) VALUES (?, ?, ?) "
        "ON CONFLICT (namespace, kind, name) DO UPDATE SET name = excluded.name RETURNING id"
    )
    return int(db.execute(query, row).fetchone()[0])


def names(db: Connection, number: int) -> set[str]:
    """Names of all runs of a workflow."""
    query = "SELECT run FROM executions WHERE workflow = ? UNION SELECT run FROM records WHERE workflow = ?"
    return {str(row[0]) for row in db.execute(query, (number, number))}


def newest(db: Connection, number: int, limit: int | None, since: float | None, until: float = inf) -> list[str]:
    """Names of the newest runs of a workflow, newest first, that ended from ``since`` to ``until``."""
    query = (
        f"SELECT run FROM {_ENDS} WHERE newest IS NULL OR newest BETWEEN ? AND ? "
        "ORDER BY newest DESC NULLS LAST, run LIMIT ?"
    )
    args = (number, number, -inf if since is None else since, until, _ALL if limit is None else limit)
    return [str(run) for (run,) in db.execute(query, args)]


def number_after(db: Connection, number: int, moment: float) -> int:
    """How many runs of a workflow ended after ``moment``."""
    query = f"SELECT count(*) FROM {_ENDS} WHERE newest > ?"
    return int(db.execute(query, (number, number, moment)).fetchone()[0])


def begun(db: Connection, keys: Iterable[WorkflowKey]) -> dict[WorkflowKey, list[float]]:
    """When the first known pod of each run of the workflows began; one query for every few hundred namespaces."""
    out: dict[WorkflowKey, list[float]] = {key: [] for key in keys}
    for part in chunks(sorted({key.namespace for key in out})):
        query = (
            "SELECT namespace, kind, name, min(begun) FROM executions JOIN workflows ON id = workflow "
            f"WHERE namespace IN ({marks(part)}) AND begun IS NOT NULL GROUP BY id, run"
        )
        for namespace, kind, name, at in db.execute(query, part):
            if (key := WorkflowKey(namespace, kind, name)) in out:
                out[key].append(float(at))
    return out


def write_record(db: Connection, record: RunRecord) -> int:
    """Insert or replace one live record. Returns the bytes written, 0 when nothing is new. A record of the mere end of a
    run does not replace one with its steps, nor does an end from the metrics replace one from the engine, nor an earlier run
    of the name, which was read late, a later one."""
    name = (make_id(db, record.workflow), record.run)
    same = db.execute("SELECT body FROM records WHERE workflow = ? AND run = ?", name).fetchone()
    known = None
    if same is not None and same[0] != encode_record(record):
        known = readable(partial(decode_record, key=record.workflow, run=record.run), same[0])
        if known is not None and record.created is not None and record.created + _SECOND < (known.created or 0.0):
            return 0
        record = retried(known, record) if known is not None else record
    ended = record.end if record.end is not None else record.start  # the metrics have no end of a failed Job
    body = encode_record(record)
    if same is not None and same[0] == body:
        return 0
    if same is not None and not record.steps:
        better = known is not None and (known.steps or (known.source, record.source) == (Source.LIVE, Source.HISTORY))
        if known is not None and better and same_run(known, record):
            return 0
    db.execute(
        "INSERT INTO records VALUES (?, ?, ?, ?) ON CONFLICT (workflow, run) DO UPDATE "
        "SET ended = excluded.ended, body = excluded.body",
        (*name, ended, body),
    )
    return len(body) + ROW


def note_fingerprint(db: Connection, key: WorkflowKey, fingerprint: str, since: float, at: float) -> None:
    """Extend the span of the current fingerprint to ``at``, or begin one at ``since``, unless another was seen later."""
    number = make_id(db, key)
    query = "SELECT fingerprint, first_seen, last_seen FROM fingerprints WHERE workflow = ? ORDER BY first_seen DESC LIMIT 1"
    last = db.execute(query, (number,)).fetchone()
    if last is not None and last[0] == fingerprint:
        change = "UPDATE fingerprints SET last_seen = ? WHERE workflow = ? AND first_seen = ? AND last_seen < ?"
        db.execute(change, (at, number, last[1], at))
    else:
        db.execute(
            "INSERT INTO fingerprints VALUES (?, ?, ?, ?) ON CONFLICT (workflow, first_seen) DO UPDATE "
            "SET fingerprint = excluded.fingerprint, last_seen = excluded.last_seen",
            (number, fingerprint, since if last is None or since > last[2] else at, at),
        )


def end_fingerprints(db: Connection, keys: Iterable[WorkflowKey], at: float) -> None:
    """What was noted of these later than ``at``, which is now, was noted by a clock that ran ahead: it ends now at most."""
    for key in keys:
        number = known_id(db, key)
        db.execute("DELETE FROM fingerprints WHERE workflow = ? AND first_seen > ?", (number, at))
        db.execute("UPDATE fingerprints SET last_seen = ? WHERE workflow = ? AND last_seen > ?", (at, number, at))


def readable(decode: Callable[[bytes], T], body: bytes) -> T | None:
    """What a row says; None for one that cannot be decoded: one run is not worth a history."""
    try:
        return decode(body)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, zlib.error):
        return None


def marks(part: Sequence[object]) -> str:
    """A ``?`` for each value."""
    return ",".join("?" * len(part))


def chunks(values: Sequence[T], size: int = _CHUNK) -> Iterator[list[T]]:
    """``values`` in lists short enough for one statement."""
    for i in range(0, len(values), size):
        yield list(values[i : i + size])
