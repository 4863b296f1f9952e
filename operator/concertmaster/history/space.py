"""How much of the history each namespace takes, so that the runs of one cannot fill the disk for all."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from math import inf

from concertmaster.history.amounts import AMOUNT
from concertmaster.history.rows import POD, ROW
from concertmaster.history.runs import executions
from concertmaster.history.sql import Connection

_CUT_TO = 0.9  # of the bound, so that not every reading deletes
_ROOM_AGAIN = 0.8
# Of a row, by table.
_BYTES = {
    "executions": f"length(body) + {ROW} + {POD} * pods",
    "records": f"length(body) + {ROW}",
    "amounts": f"length(run) + length(metric) + length(step) + {AMOUNT}",
}
NumberedRun = tuple[int, str]  # of the workflow with that number


class Space:
    """Bytes by namespace, of pods and records of runs and of the values of users' queries. ``most``: the bound of one
    namespace. Written bytes are summed up and measured once the sum exceeds the bound: until then, rows replaced or
    deleted since still count."""

    def __init__(self, most: float = inf) -> None:
        self._most = most
        self._taken: dict[str, float] = {}
        self.full: frozenset[str] = frozenset()  # namespaces whose older runs were deleted for room

    def keep(self, db: Connection, written: Mapping[str, int]) -> bool:
        """Bytes were written into namespaces, in the caller's transaction. Returns whether runs were deleted to stay
        within the bound."""
        cut = False
        for namespace, size in written.items():
            known = self._taken.get(namespace)
            taken = self._measured(db, namespace) if known is None else known + size
            if taken > self._most and known is not None:
                taken = self._measured(db, namespace)
            if taken > self._most:
                taken, cut = self._cut(db, namespace), True
                self.full |= {namespace}
            self._taken[namespace] = taken
        return cut

    def review(self, db: Connection, namespaces: Collection[str]) -> None:
        """Measure anew those that were full: runs were deleted by number and age. ``namespaces``: those that have any."""
        self._taken = {name: taken for name, taken in self._taken.items() if name in namespaces}
        for namespace in self.full:
            self._taken[namespace] = self._measured(db, namespace)
        self.full = frozenset(n for n in self.full if self._taken[n] > _ROOM_AGAIN * self._most)

    @staticmethod
    def _measured(db: Connection, namespace: str) -> float:
        queries = [
            f"SELECT sum({size}) FROM {table} JOIN workflows ON id = workflow WHERE namespace = ?"
            for table, size in _BYTES.items()
        ]
        return sum([float(db.execute(query, (namespace,)).fetchone()[0] or 0) for query in queries])

    def _cut(self, db: Connection, namespace: str) -> float:
        """Delete the oldest runs of each workflow, beginning with the workflow that takes the most space. Returns the
        remaining bytes."""
        sizes: dict[NumberedRun, float] = {}
        ends: dict[NumberedRun, float] = {}  # of those that are over
        for table, taken in _BYTES.items():
            ended = "NULL" if table == "amounts" else "max(ended)"
            query = (
                f"SELECT workflow, run, {ended}, sum({taken}) FROM {table} "
                "JOIN workflows ON id = workflow WHERE namespace = ? GROUP BY workflow, run"
            )
            for workflow, run, end, size in db.execute(query, (namespace,)):
                sizes[workflow, run] = sizes.get((workflow, run), 0.0) + float(size)
                if end is not None:
                    ends[workflow, run] = max(end, ends.get((workflow, run), end))
        up_to: dict[int, float] = {}  # bytes of the runs of each workflow down to this one, from the newest
        ranked: list[tuple[float, NumberedRun]] = []
        for key in sorted(sizes, key=lambda of: (ends.get(of, inf), of), reverse=True):
            up_to[key[0]] = up_to.get(key[0], 0.0) + sizes[key]
            ranked.append((up_to[key[0]], key))
        left = sum(up_to.values())
        gone: list[NumberedRun] = []
        for _, key in sorted(ranked, reverse=True):
            if left <= _CUT_TO * self._most:
                break
            left -= sizes[key]
            gone.append(key)
        runs: dict[int, list[str]] = {}
        for workflow, run in gone:
            runs.setdefault(workflow, []).append(run)
        for workflow in sorted(runs):
            executions.delete(db, workflow, runs[workflow])
        for table in ("records", "amounts"):
            db.executemany(f"DELETE FROM {table} WHERE workflow = ? AND run = ?", gone)
        return left
