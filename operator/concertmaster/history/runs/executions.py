"""The executions of runs: those of one run in columns, up to ``MOST`` to a row, and by uid the row in which each is."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from concertmaster.core.model import StepExecution, WorkflowKey
from concertmaster.engines import merge_executions, with_merged_containers
from concertmaster.history import rows
from concertmaster.history.encoding import decode_executions, encode_executions, uids_of
from concertmaster.history.sql import Connection

MOST = 256  # executions in a row, which is written anew with each that comes: nearly all runs have one row
_REUSED_NAME_SLACK = 7 * 86_400.0  # seconds a pod is kept beyond the age limit when its run's name is in use
_AT_ONCE = 100  # rows inserted by one statement
_UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

_NEW = "workflow, run, part, begun, ended, pods, body"
Run = tuple[WorkflowKey, str]


@dataclass(slots=True)
class _Part:
    """One row: the ``part``-th of its run. ``place`` None: it is not stored yet; ``size``: bytes as stored."""

    run: Run
    number: int  # of the workflow
    part: int
    place: int | None = None
    size: int = 0
    executions: dict[str, StepExecution] = field(default_factory=dict)  # by uid
    changed: bool = False

    @property
    def key(self) -> tuple[int, str, int]:
        """Unique among all rows."""
        return self.number, self.run[1], self.part

    def row(self) -> tuple[float | None, float | None, int, bytes]:
        """What is stored of it, always in the same order: the bytes serve as a fingerprint."""
        spans = [_span(e) for e in self.executions.values()]
        begun = min([first for first, _ in spans if first is not None], default=None)
        ended = max([last for _, last in spans if last is not None], default=None)
        body = encode_executions([e for _, e in sorted(self.executions.items())])
        return begun, ended, len(spans), body


class Parts:
    """Rows that are read, changed and written inside one transaction of the caller; unreadable ones are added to ``lost``
    and left as they are."""

    def __init__(self, db: Connection, lost: list[str]) -> None:
        self._db = db
        self._lost = lost
        self._parts: dict[tuple[int, str, int], _Part] = {}
        self._of_uid: dict[str, _Part] = {}
        self._placed: set[str] = set()  # uids that are new or in another row than before
        self._room: dict[Run, _Part | None] = {}  # where the next execution of a run goes
        self._next: dict[Run, int] = {}  # number of the next part
        self._numbers: dict[WorkflowKey, int] = {}

    def find(self, uids: Iterable[str]) -> None:
        """Read the rows that hold these."""
        places: set[int] = set()
        for part in rows.chunks([uid_key(uid) for uid in uids]):
            query = f"SELECT place FROM pods WHERE uid IN ({rows.marks(part)})"
            places |= {int(place) for (place,) in self._db.execute(query, part)}
        self._read(sorted(places))

    def ended_before(self, number: int, moment: float) -> int:
        """Drop the executions of a workflow that ended before ``moment`` (unix seconds); returns how many."""
        query = "SELECT place FROM executions WHERE workflow = ? AND begun < ?"
        self._read([int(place) for (place,) in self._db.execute(query, (number, moment)).fetchall()])
        ends = {uid: _span(part.executions[uid])[1] for uid, part in self._of_uid.items()}
        old = [uid for uid, end in ends.items() if end is not None and end < moment]
        for uid in old:
            self._drop(uid)
        rows.delete_uids(self._db, [uid_key(uid) for uid in old])
        return len(old)

    def get(self, uid: str) -> tuple[Run, StepExecution] | None:
        """Run and execution of a uid that was looked for."""
        part = self._of_uid.get(uid)
        return None if part is None else (part.run, part.executions[uid])

    def make_room(self, runs: Iterable[Run]) -> None:
        """Read the rows of these runs that take more, of all at once: executions will be put into them."""
        new = sorted(set(runs) - set(self._room), key=lambda run: (str(run[0]), run[1]))
        for key in {key: None for key, _ in new}:
            if key not in self._numbers:
                self._numbers[key] = rows.make_id(self._db, key)
        by_number = {(self._numbers[run[0]], run[1]): run for run in new}
        take: dict[Run, int] = {}
        for part in rows.chunks(list(by_number)):
            pairs = ",".join(["(?, ?)"] * len(part))
            query = (  # SQLite goes through the whole table for "(workflow, run) IN"
                f"WITH wanted (number, name) AS (VALUES {pairs}) SELECT workflow, run, place, part, pods "
                "FROM wanted JOIN executions ON workflow = number AND run = name"
            )
            for number, name, place, at, pods in self._db.execute(query, [value for pair in part for value in pair]):
                if (run := by_number.get((number, name))) is not None:  # None: of text the database holds otherwise
                    self._next[run] = max(self._next.get(run, 0), at + 1)
                    if pods < MOST:
                        take[run] = int(place)
        self._read(sorted(take.values()))
        stored = {part.place: part for part in self._parts.values()}
        self._room |= {run: stored.get(take[run]) if run in take else None for run in new}

    def put(self, run: Run, uid: str, execution: StepExecution) -> None:
        """Put an execution into a run, out of any other."""
        part = self._of_uid.get(uid)
        if part is None or part.run != run:
            if part is not None:
                self._drop(uid)
            part = self._with_room(run)
            self._of_uid[uid] = part
            self._placed.add(uid)
        part.executions[uid] = execution
        part.changed = True

    def write(self) -> Counter[str]:
        """Write what changed; by how many bytes each namespace grew."""
        changed = [part for _, part in sorted(self._parts.items()) if part.changed]
        grown: Counter[str] = Counter()
        updated: list[tuple[Any, ...]] = []
        new: list[tuple[_Part, tuple[Any, ...]]] = []
        for part in changed:
            namespace = part.run[0].namespace
            if not part.executions:
                self._db.execute("DELETE FROM executions WHERE place = ?", (part.place,))
                grown[namespace] -= part.size + rows.ROW
                continue
            row = part.row()
            grown[namespace] += len(row[-1]) - part.size
            if part.place is not None:
                updated.append((*row, part.place))
            else:
                new.append((part, row))
                grown[namespace] += rows.ROW
        self._db.executemany("UPDATE executions SET begun = ?, ended = ?, pods = ?, body = ? WHERE place = ?", updated)
        self._insert(new)
        placed = sorted((uid_key(uid), self._of_uid[uid].place) for uid in self._placed)
        self._db.executemany(
            "INSERT INTO pods VALUES (?, ?) ON CONFLICT (uid) DO UPDATE SET place = excluded.place", placed
        )
        for uid in self._placed:
            grown[self._of_uid[uid].run[0].namespace] += rows.POD
        return grown

    def _insert(self, new: Sequence[tuple[_Part, tuple[Any, ...]]]) -> None:
        for start in range(0, len(new), _AT_ONCE):
            group = new[start : start + _AT_ONCE]
            values = ",".join(["(?, ?, ?, ?, ?, ?, ?)"] * len(group))
            query = f"INSERT INTO executions ({_NEW}) VALUES {values} RETURNING place"
            found = self._db.execute(query, [value for part, row in group for value in (*part.key, *row)])
            # Places are given in the order of the values, whatever the order in which they are returned.
            for (part, _), place in zip(group, sorted(int(place) for (place,) in found.fetchall()), strict=True):
                part.place = place

    def _with_room(self, run: Run) -> _Part:
        if run not in self._room:
            self.make_room([run])
        part = self._room[run]
        if part is None or len(part.executions) >= MOST:
            at = self._next.get(run, 0)
            self._next[run] = at + 1
            part = self._room[run] = _Part(run, self._numbers[run[0]], at)
            self._parts[part.key] = part
        return part

    def _drop(self, uid: str) -> None:
        part = self._of_uid.pop(uid)
        del part.executions[uid]
        part.changed = True

    def _read(self, places: Sequence[int]) -> None:
        have = {part.place for part in self._parts.values()}
        for part in rows.chunks([place for place in places if place not in have]):
            query = (
                "SELECT place, namespace, kind, name, workflow, run, part, body FROM executions "
                f"JOIN workflows ON id = workflow WHERE place IN ({rows.marks(part)})"
            )
            for place, namespace, kind, name, number, run, at, body in self._db.execute(query, part):
                key = WorkflowKey(namespace, kind, name)
                self._numbers[key] = int(number)
                found = rows.readable(decode_executions, body, f"{key}/{run}", self._lost)
                if found is not None:
                    read = _Part(
                        (key, run), int(number), int(at), int(place), len(body), {e.uid or "": e for e in found}
                    )
                    self._parts[read.key] = read
                    self._of_uid |= dict.fromkeys(read.executions, read)


def merge(
    db: Connection, given: Sequence[tuple[StepExecution, WorkflowKey, str]], lost: list[str]
) -> tuple[int, int, set[WorkflowKey], Counter[str]]:
    """Write pods of runs, each merged with what is known of it: how many are new, how many have more than before, of
    which workflows, and by how many bytes each namespace grew."""
    parts = Parts(db, lost)
    parts.find({e.uid or "": None for e, _, _ in given})
    known = {e.uid: parts.get(e.uid or "") for e, _, _ in given}
    parts.make_room((key, run) for e, key, run in given if (home := known[e.uid]) is None or home[0] != (key, run))
    touched: set[WorkflowKey] = set()
    new: set[str] = set()
    changed: Counter[str] = Counter()
    for e, key, run in given:
        before = parts.get(e.uid or "")
        merged = with_merged_containers(e) if before is None else merge_executions(before[1], e)
        if before == ((key, run), merged):
            continue
        touched |= {key} if before is None else {key, before[0][0]}
        if before is None:
            new.add(e.uid or "")
        else:
            changed[e.uid or ""] += 1
        parts.put((key, run), e.uid or "", merged)
    return len(new), changed.total(), touched, parts.write()


def delete(db: Connection, number: int, runs: Sequence[str] | None = None) -> int:
    """Delete the executions of these runs of a workflow, or of all; returns how many."""
    gone = 0
    for part in rows.chunks(runs) if runs is not None else [None]:
        which = "" if part is None else f" AND run IN ({rows.marks(part)})"
        values = (number, *(part or ()))
        uids: list[bytes] = []
        for pods, body in db.execute(f"SELECT pods, body FROM executions WHERE workflow = ?{which}", values):
            gone += int(pods)
            # Of a row that cannot be read, entries are left that lead nowhere; they are corrected when a pod comes again.
            uids += map(uid_key, rows.readable(uids_of, body, "", []) or ())
        rows.delete_uids(db, uids)
        db.execute(f"DELETE FROM executions WHERE workflow = ?{which}", values)
    return gone


def keep_only(db: Connection, number: int, runs: set[str], before: float, lost: list[str]) -> int:
    """Delete all runs of a workflow but these, and what ended long ``before`` (unix seconds); how many pods that were."""
    gone = sorted(rows.names(db, number) - runs)
    for run in gone:
        db.execute("DELETE FROM records WHERE workflow = ? AND run = ?", (number, run))
    parts = Parts(db, lost)
    # names are reused: what is long past goes even where the name is still in use
    old = delete(db, number, gone) + parts.ended_before(number, before - _REUSED_NAME_SLACK)
    parts.write()
    return old


def uid_key(uid: str) -> bytes:
    """The uid in 16 bytes, as Kubernetes gives it; any other as its text."""
    if _UUID.fullmatch(uid):
        return bytes.fromhex(uid.replace("-", ""))
    return uid.encode("utf-8", "surrogatepass")


def _span(e: StepExecution) -> tuple[float | None, float | None]:
    times = [t for t in (e.created, e.scheduled, e.started, e.finished) if t is not None]
    return min(times, default=None), max(times, default=None)
