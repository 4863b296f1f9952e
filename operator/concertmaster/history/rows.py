"""Reading and writing single tables of the history; every function works inside its caller's transaction."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from concertmaster.core.model import RunRecord, Source, StepExecution, WorkflowKey
from concertmaster.engines import merge_executions, with_merged_containers
from concertmaster.history.encoding import decode_execution, decode_record, encode_execution, encode_record
from concertmaster.history.rebuild import retried, same_run
from concertmaster.history.space import ROW
from concertmaster.history.sql import Connection

_REUSED_NAME_SLACK = 7 * 86_400.0  # seconds a pod is kept beyond the age limit when its run's name is in use
_CHUNK = 500  # values per query
_ALL = 2**53  # rows
_PART_BYTES = 1 << 17  # of rows as stored: about 100 bytes an execution, a few in the record of a run of like steps
T = TypeVar("T")


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
    query = "SELECT run FROM pods WHERE workflow = ? UNION SELECT run FROM records WHERE workflow = ?"
    return {str(row[0]) for row in db.execute(query, (number, number))}


def newest(db: Connection, number: int, limit: int | None, since: float | None) -> list[str]:
    """Names of the newest runs of a workflow, newest first, that ended at or after ``since``."""
    query = (
        "SELECT run, newest FROM (SELECT run, max(last) AS newest FROM ("
        "SELECT run, max(ended) AS last FROM pods WHERE workflow = ? GROUP BY run UNION ALL "
        "SELECT run, ended FROM records WHERE workflow = ?) AS seen GROUP BY run) AS runs "
        "WHERE newest IS NULL OR newest >= ? ORDER BY newest DESC NULLS LAST, run LIMIT ?"
    )
    args: tuple[Any, ...] = (
        number,
        number,
        float("-inf") if since is None else since,
        _ALL if limit is None else limit,
    )
    return [str(row[0]) for row in db.execute(query, args)]


def number_after(db: Connection, number: int, moment: float) -> int:
    """How many runs of a workflow ended after ``moment``."""
    query = (
        "SELECT count(*) FROM (SELECT run, max(last) AS newest FROM ("
        "SELECT run, max(ended) AS last FROM pods WHERE workflow = ? GROUP BY run UNION ALL "
        "SELECT run, ended FROM records WHERE workflow = ?) AS seen GROUP BY run) AS runs WHERE newest > ?"
    )
    return int(db.execute(query, (number, number, moment)).fetchone()[0])


def begun(db: Connection, keys: Iterable[WorkflowKey]) -> dict[WorkflowKey, list[float]]:
    """When the first known pod of each run of the workflows began, by a query for each few hundred namespaces."""
    out: dict[WorkflowKey, list[float]] = {key: [] for key in keys}
    for part in _chunks(sorted({key.namespace for key in out})):
        query = (
            "SELECT namespace, kind, name, min(begun) FROM pods JOIN workflows ON id = workflow "
            f"WHERE namespace IN ({_marks(part)}) AND begun IS NOT NULL GROUP BY id, run"
        )
        for namespace, kind, name, at in db.execute(query, part):
            if (key := WorkflowKey(namespace, kind, name)) in out:
                out[key].append(float(at))
    return out


def pods_by_uid(
    db: Connection, uids: Sequence[str], lost: list[str]
) -> dict[str, tuple[WorkflowKey, str, StepExecution]]:
    """Place and execution of each known uid; unreadable rows are added to ``lost`` and left out."""
    out: dict[str, tuple[WorkflowKey, str, StepExecution]] = {}
    for part in _chunks(uids):
        query = (
            "SELECT uid, namespace, kind, name, run, body FROM pods JOIN workflows ON id = workflow "
            f"WHERE uid IN ({_marks(part)})"
        )
        for uid, namespace, kind, name, run, body in db.execute(query, part):
            e = _readable(decode_execution, body, str(uid), lost)
            if e is not None:
                out[uid] = (WorkflowKey(namespace, kind, name), run, e)
    return out


def pods_of_runs(db: Connection, number: int, runs: Sequence[str], lost: list[str]) -> dict[str, list[StepExecution]]:
    """Executions of each of ``runs``."""
    out: dict[str, list[StepExecution]] = {run: [] for run in runs}
    for part in _chunks(runs):
        query = f"SELECT run, uid, body FROM pods WHERE workflow = ? AND run IN ({_marks(part)})"
        for run, uid, body in db.execute(query, (number, *part)):
            e = _readable(decode_execution, body, str(uid), lost)
            if e is not None:
                out[run].append(e)
    return out


def bodies_of_runs(
    db: Connection, number: int, runs: Sequence[str]
) -> tuple[dict[str, list[bytes]], dict[str, float | None]]:
    """The rows of each of ``runs`` as stored, in a fixed order, and when the newest of them ended."""
    by_run: dict[str, list[bytes]] = {run: [] for run in runs}
    ends: dict[str, float | None] = {}
    for part in _chunks(runs):
        for table in ("pods", "records"):
            query = f"SELECT run, ended, body FROM {table} WHERE workflow = ? AND run IN ({_marks(part)})"
            for run, ended, body in db.execute(query, (number, *part)):
                by_run[run].append(body)
                known = ends.get(run)
                ends[run] = ended if known is None else max(known, ended) if ended is not None else known
    for bodies in by_run.values():
        bodies.sort()  # in a fraction of the time of the database
    return by_run, ends


def sizes_of_runs(db: Connection, number: int, runs: Sequence[str]) -> dict[str, int]:
    """Bytes of the rows of each of ``runs`` as stored."""
    sizes = dict.fromkeys(runs, 0)
    for part in _chunks(runs):
        for table in ("pods", "records"):
            query = f"SELECT run, sum(length(body)) FROM {table} WHERE workflow = ? AND run IN ({_marks(part)}) GROUP BY run"
            for run, size in db.execute(query, (number, *part)):
                sizes[run] += int(size)
    return sizes


def in_parts(runs: Iterable[str], sizes: Mapping[str, int]) -> Iterator[list[str]]:
    """``runs`` in parts small enough to be decoded at once: each of a few thousand executions, or of one run."""
    part: list[str] = []
    size = 0
    for run in runs:
        size += sizes.get(run, 0)
        if part and size > _PART_BYTES:
            yield part
            part, size = [], sizes.get(run, 0)
        part.append(run)
    if part:
        yield part


def records_of_runs(
    db: Connection, number: int, key: WorkflowKey, runs: Sequence[str], lost: list[str]
) -> dict[str, RunRecord]:
    """Live records of those of ``runs`` that have one."""
    out: dict[str, RunRecord] = {}
    for part in _chunks(runs):
        query = f"SELECT run, body FROM records WHERE workflow = ? AND run IN ({_marks(part)})"
        for run, body in db.execute(query, (number, *part)):
            record = _readable(partial(decode_record, key=key, run=str(run)), body, f"{key}/{run}", lost)
            if record is not None:
                out[run] = record
    return out


def _write_pods(db: Connection, pods: Mapping[str, tuple[WorkflowKey, str, StepExecution]]) -> Counter[str]:
    """Insert or replace pods by uid, always in the same order: two writers that wait for each other's rows would be a
    deadlock. Returns the bytes by namespace."""
    numbers = {key: make_id(db, key) for key in sorted({key for key, _, _ in pods.values()}, key=str)}
    written = [(uid, numbers[key], run, *_span(e), encode_execution(e)) for uid, (key, run, e) in sorted(pods.items())]
    db.executemany(
        "INSERT INTO pods VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (uid) DO UPDATE SET workflow = excluded.workflow, "
        "run = excluded.run, begun = excluded.begun, ended = excluded.ended, body = excluded.body",
        written,
    )
    sizes: Counter[str] = Counter()
    for uid, *_, body in written:
        sizes[pods[uid][0].namespace] += len(body) + ROW
    return sizes


def _span(e: StepExecution) -> tuple[float | None, float | None]:
    times = [t for t in (e.created, e.scheduled, e.started, e.finished) if t is not None]
    return min(times, default=None), max(times, default=None)


def merge_pods(
    db: Connection, given: Sequence[tuple[StepExecution, WorkflowKey, str]], lost: list[str]
) -> tuple[int, int, set[WorkflowKey], Counter[str]]:
    """Write pods of runs, each merged with what is known of it: how many are new, how many have more than before, of
    which workflows, and bytes written by namespace."""
    known = pods_by_uid(db, [e.uid or "" for e, _, _ in given], lost)
    touched: set[WorkflowKey] = set()
    fresh: dict[str, tuple[WorkflowKey, str, StepExecution]] = {}
    new = changed = 0
    for e, key, run in given:
        before = known.get(e.uid or "")
        merged = with_merged_containers(e) if before is None else merge_executions(before[2], e)
        if before is not None and before[:2] == (key, run) and merged == before[2]:
            continue
        touched |= {key} if before is None else {key, before[0]}
        new, changed = new + (before is None), changed + (before is not None)
        known[e.uid or ""] = fresh[e.uid or ""] = (key, run, merged)
    return new, changed, touched, _write_pods(db, fresh)


def keep_only(db: Connection, number: int, runs: set[str], before: float) -> int:
    """Delete all runs of a workflow but these, and what ended long ``before`` (unix seconds); how many pods that were."""
    gone = 0
    for run in names(db, number) - runs:
        gone += db.execute("DELETE FROM pods WHERE workflow = ? AND run = ?", (number, run)).rowcount
        db.execute("DELETE FROM records WHERE workflow = ? AND run = ?", (number, run))
    # names are reused: what is long past goes even where the name is still in use
    old = "DELETE FROM pods WHERE workflow = ? AND ended < ?"
    return gone + db.execute(old, (number, before - _REUSED_NAME_SLACK)).rowcount


def write_record(db: Connection, record: RunRecord, lost: list[str]) -> int:
    """Insert or replace one live record; the bytes written, 0 when it says nothing new.

    The mere end of a run does not replace a record of its steps, nor what the metrics say of it what the engine said.
    """
    name = (make_id(db, record.workflow), record.run)
    same = db.execute("SELECT body FROM records WHERE workflow = ? AND run = ?", name).fetchone()
    known = None
    if same is not None and same[0] != encode_record(record):
        decode = partial(decode_record, key=record.workflow, run=record.run)
        known = _readable(decode, same[0], f"{record.workflow}/{record.run}", lost)
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


def note_fingerprint(db: Connection, key: WorkflowKey, fingerprint: str, at: float) -> None:
    """Extend the span of the current fingerprint to ``at``, or begin a new one."""
    number = make_id(db, key)
    query = "SELECT fingerprint, first_seen FROM fingerprints WHERE workflow = ? ORDER BY first_seen DESC LIMIT 1"
    last = db.execute(query, (number,)).fetchone()
    if last is not None and last[0] == fingerprint:
        change = "UPDATE fingerprints SET last_seen = ? WHERE workflow = ? AND first_seen = ? AND last_seen < ?"
        db.execute(change, (at, number, last[1], at))
    else:
        db.execute(
            "INSERT INTO fingerprints VALUES (?, ?, ?, ?) ON CONFLICT (workflow, first_seen) DO UPDATE "
            "SET fingerprint = excluded.fingerprint, last_seen = excluded.last_seen",
            (number, fingerprint, at, at),
        )


def _readable(decode: Callable[[bytes], T], body: bytes, name: str, lost: list[str]) -> T | None:
    """A row whose bytes make no sense is left out, not fatal: one pod is not worth a history."""
    try:
        return decode(body)
    except (ValueError, TypeError, KeyError, IndexError, zlib.error):
        lost.append(name)
        return None


def _marks(part: Sequence[str]) -> str:
    return ",".join("?" * len(part))


def _chunks(values: Sequence[str]) -> Iterator[list[str]]:
    for i in range(0, len(values), _CHUNK):
        yield list(values[i : i + _CHUNK])
