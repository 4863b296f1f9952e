"""The executions of runs: those of one run in columns, up to ``PER_ROW`` in a row, and by uid the row in which each is."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from concertmaster.core.model import StepExecution, WorkflowKey
from concertmaster.core.units import WEEK
from concertmaster.engines import merge_executions, with_merged_containers
from concertmaster.history import rows
from concertmaster.history.encoding import decode_executions, encode_executions, uids_of
from concertmaster.history.sql import ANYWHERE, Connection, RunPlaces

SLACK = WEEK
"""Seconds for which pods are kept beyond the age limit where others of their run, or of its name, are within it."""
PER_ROW = 256  # executions: a row is written anew with each that comes, and nearly all runs have one row
_INSERTED_AT_ONCE = 100  # rows
_UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

Run = tuple[WorkflowKey, str]


@dataclass(slots=True, eq=False)
class _Row:
    """``place`` None: it is not stored yet. ``size``: bytes as stored."""

    run: Run
    number: int  # of the workflow
    place: int | None = None
    size: int = 0
    executions: dict[str, StepExecution] = field(default_factory=dict)  # by uid
    changed: bool = False

    def values(self) -> tuple[float | None, float | None, int, bytes]:
        """What is stored of it, always in the same order: the bytes serve as a fingerprint."""
        spans = [_span(e) for e in self.executions.values()]
        begun = min([first for first, _ in spans if first is not None], default=None)
        ended = max([last for _, last in spans if last is not None], default=None)
        body = encode_executions([e for _, e in sorted(self.executions.items())])
        return begun, ended, len(spans), body


class ExecutionRows:
    """Rows that are read, changed and written inside one transaction of the caller; unreadable ones are left as they are."""

    def __init__(self, db: Connection, places: RunPlaces = ANYWHERE) -> None:
        self._db = db
        self._places = places
        self._stored: dict[int, _Row] = {}  # by place
        self._new: list[_Row] = []
        self._of_uid: dict[str, _Row] = {}
        self._entries: dict[bytes, int] = {}  # places of the uids that were looked for, as stored
        self._placed: set[str] = set()  # uids that are new or in another row than before
        self._room: dict[Run, _Row | None] = {}  # where the next execution of a run goes
        self._numbers: dict[WorkflowKey, int] = {}

    def find(self, uids: Mapping[str, float | None]) -> None:
        """Read the rows that hold these; each with when it was created (unix seconds), None where that is not known."""
        for some in rows.chunks(list(uids.items())):
            query = f"SELECT uid, place FROM pods WHERE uid IN ({rows.marks(some)}) AND place >= ?"
            since = min([self._places.since(created) for _, created in some])
            values = (*(uid_key(uid) for uid, _ in some), since)
            self._entries |= {bytes(uid): int(place) for uid, place in self._db.execute(query, values)}
        self._read(sorted(set(self._entries.values())))

    def get(self, uid: str) -> tuple[Run, StepExecution] | None:
        """Run and execution of a uid that was looked for."""
        row = self._of_uid.get(uid)
        return None if row is None else (row.run, row.executions[uid])

    def make_room(self, runs: Iterable[Run]) -> None:
        """Read the rows of these runs that take more, of all at once: executions will be put into them."""
        new = sorted(set(runs) - set(self._room), key=lambda run: (str(run[0]), run[1]))
        for key in {key: None for key, _ in new}:
            if key not in self._numbers:
                self._numbers[key] = rows.make_id(self._db, key)
        with_room: dict[Run, int] = {}
        for some in rows.chunks(new):
            target = ",".join([f"({n}, ?, ?)" for n in range(len(some))])
            query = (  # SQLite goes through the whole table for "(workflow, run) IN"
                f"WITH target (n, number, name) AS (VALUES {target}) SELECT n, place, pods "
                "FROM target JOIN executions ON workflow = number AND run = name WHERE place >= ?"
            )
            values = [*(value for key, name in some for value in (self._numbers[key], name)), self._places.open_from]
            with_room |= {some[n]: int(place) for n, place, pods in self._db.execute(query, values) if pods < PER_ROW}
        self._read(sorted(with_room.values()))
        # A row that cannot be read takes no more.
        self._room |= {run: self._stored.get(with_room[run]) if run in with_room else None for run in new}

    def put(self, run: Run, uid: str, execution: StepExecution) -> None:
        """Put an execution into a run, out of any other."""
        row = self._of_uid.get(uid)
        if row is None or row.run != run:
            if row is not None:
                self._take_out(uid)
            row = self._of_uid[uid] = self._with_room(run)
            self._placed.add(uid)
        row.executions[uid] = execution
        row.changed = True

    def drop_before(self, number: int, moment: float) -> int:
        """Take out what ended before ``moment`` (unix seconds) of rows of a workflow that began before; returns how much."""
        query = "SELECT place FROM executions WHERE workflow = ? AND begun < ?"
        places = [int(place) for (place,) in self._db.execute(query, (number, moment)).fetchall()]
        self._read(places)
        ends = {uid: _span(row.executions[uid])[1] for uid, row in self._of_uid.items()}
        old = [uid for uid, end in ends.items() if end is not None and end < moment]
        for uid in old:
            self._take_out(uid)
        _forget_uids(self._db, [uid_key(uid) for uid in old], places)
        return len(old)

    def write(self) -> Counter[str]:
        """Write what changed; by how many bytes each namespace grew."""
        grown: Counter[str] = Counter()
        updated: list[tuple[Any, ...]] = []
        inserted: list[tuple[_Row, tuple[Any, ...]]] = []
        for row in [*self._stored.values(), *self._new]:
            namespace = row.run[0].namespace
            if row.changed and row.executions:
                values = row.values()
                grown[namespace] += len(values[-1]) - row.size
                if row.place is None:
                    inserted.append((row, values))
                    grown[namespace] += rows.ROW
                else:
                    updated.append((*values, row.place))
            elif row.changed and row.place is not None:
                self._db.execute("DELETE FROM executions WHERE place = ?", (row.place,))
                grown[namespace] -= row.size + rows.ROW
        self._db.executemany("UPDATE executions SET begun = ?, ended = ?, pods = ?, body = ? WHERE place = ?", updated)
        self._insert(inserted)
        placed = sorted((uid_key(uid), self._of_uid[uid].place) for uid in self._placed)
        moved = [(uid, self._entries[uid]) for uid, place in placed if self._entries.get(uid, place) != place]
        self._db.executemany("DELETE FROM pods WHERE uid = ? AND place = ?", moved)
        self._db.executemany("INSERT INTO pods VALUES (?, ?) ON CONFLICT DO NOTHING", placed)
        for uid in self._placed:
            grown[self._of_uid[uid].run[0].namespace] += rows.POD
        return grown

    def _insert(self, new: Sequence[tuple[_Row, tuple[Any, ...]]]) -> None:
        for some in rows.chunks(new, _INSERTED_AT_ONCE):
            values = ",".join(["(?, ?, ?, ?, ?, ?)"] * len(some))
            query = f"INSERT INTO executions (workflow, run, begun, ended, pods, body) VALUES {values} RETURNING place"
            given = [value for row, of in some for value in (row.number, row.run[1], *of)]
            # Places are given in the order of the values, whatever the order in which they are returned.
            places = sorted(int(place) for (place,) in self._db.execute(query, given).fetchall())
            for (row, _), place in zip(some, places, strict=True):
                row.place = place

    def _with_room(self, run: Run) -> _Row:
        if run not in self._room:
            self.make_room([run])
        row = self._room[run]
        if row is None or len(row.executions) >= PER_ROW:
            row = self._room[run] = _Row(run, self._numbers[run[0]])
            self._new.append(row)
        return row

    def _take_out(self, uid: str) -> None:
        row = self._of_uid.pop(uid)
        del row.executions[uid]
        row.changed = True

    def _read(self, places: Sequence[int]) -> None:
        for some in rows.chunks([place for place in places if place not in self._stored]):
            query = (
                "SELECT place, namespace, kind, name, workflow, run, body FROM executions "
                f"JOIN workflows ON id = workflow WHERE place IN ({rows.marks(some)})"
            )
            for place, namespace, kind, name, number, run, body in self._db.execute(query, some):
                key = WorkflowKey(namespace, kind, name)
                self._numbers[key] = int(number)
                found = rows.readable(decode_executions, body)
                if found is not None:
                    row = _Row((key, run), int(number), int(place), len(body), {e.uid or "": e for e in found})
                    self._stored[int(place)] = row
                    self._of_uid |= dict.fromkeys(row.executions, row)


def merge(
    db: Connection,
    given: Sequence[tuple[StepExecution, WorkflowKey, str]],
    places: RunPlaces,
) -> tuple[set[WorkflowKey], Counter[str]]:
    """Write pods of runs, each merged with what is known of it: of which workflows there is more than before, and by how
    many bytes each namespace grew."""
    found = ExecutionRows(db, places)
    found.find({e.uid or "": e.created for e, _, _ in given})
    known = {e.uid: found.get(e.uid or "") for e, _, _ in given}
    found.make_room((key, run) for e, key, run in given if (home := known[e.uid]) is None or home[0] != (key, run))
    touched: set[WorkflowKey] = set()
    for e, key, run in given:
        before = found.get(e.uid or "")
        merged = with_merged_containers(e) if before is None else merge_executions(before[1], e)
        if before == ((key, run), merged):
            continue
        touched |= {key} if before is None else {key, before[0][0]}
        found.put((key, run), e.uid or "", merged)
    return touched, found.write()


def delete(db: Connection, number: int, runs: Sequence[str] | None = None) -> int:
    """Delete the executions of these runs of a workflow, or of all; returns how many."""
    gone = 0
    for some in [None] if runs is None else rows.chunks(runs):
        which = "" if some is None else f" AND run IN ({rows.marks(some)})"
        gone += _delete(db, f"workflow = ?{which}", (number, *(some or ())))
    return gone


def keep_only(db: Connection, number: int, runs: set[str], before: float) -> int:
    """Delete all runs of a workflow but these, and what ended long ``before`` (unix seconds); how many pods that were."""
    gone = sorted(rows.names(db, number) - runs)
    for run in gone:
        db.execute("DELETE FROM records WHERE workflow = ? AND run = ?", (number, run))
    # names are reused: what is long past goes even where the name is still in use
    long_past = before - SLACK
    deleted = delete(db, number, gone) + _delete(db, "workflow = ? AND ended < ?", (number, long_past))
    partly = ExecutionRows(db)
    deleted += partly.drop_before(number, long_past)
    partly.write()
    return deleted


def _delete(db: Connection, which: str, values: Sequence[Any]) -> int:
    """Delete the rows of which ``which`` is true, and the entries of their uids; returns the number of executions."""
    gone = 0
    uids: list[bytes] = []
    old = db.execute(f"SELECT place, pods, body FROM executions WHERE {which}", values).fetchall()
    if not old:
        return 0  # as for nearly all workflows of each pruning
    for place, pods, body in old:
        gone += int(pods)
        found = rows.readable(uids_of, body)
        if found is None:
            db.execute("DELETE FROM pods WHERE place = ?", (place,))  # goes through all of them, and is rare
        else:
            uids += map(uid_key, found)
    _forget_uids(db, uids, [int(place) for place, _, _ in old])
    db.execute(f"DELETE FROM executions WHERE {which}", values)
    return gone


def _forget_uids(db: Connection, uids: Sequence[bytes], places: Sequence[int]) -> None:
    """Delete the entries of pods in rows with these places. By the places as well, so that partitions that hold none of
    them are not searched."""
    for some in rows.chunks(uids):
        query = f"DELETE FROM pods WHERE uid IN ({rows.marks(some)}) AND place BETWEEN ? AND ?"
        db.execute(query, (*some, min(places), max(places)))


def uid_key(uid: str) -> bytes:
    """The uid in 16 bytes, as Kubernetes gives it; any other as its text."""
    if _UUID.fullmatch(uid):
        return bytes.fromhex(uid.replace("-", ""))
    return uid.encode("utf-8", "surrogatepass")


def _span(e: StepExecution) -> tuple[float | None, float | None]:
    times = [t for t in (e.created, e.scheduled, e.started, e.finished) if t is not None]
    return min(times, default=None), max(times, default=None)
