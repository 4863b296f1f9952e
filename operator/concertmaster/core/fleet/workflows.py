"""Other workflows as visible to rules: past runs, next starts, and what they reserve.

Limited to how workflows affect each other: using the same nodes at the same time. Runs are stored as arrays, and the
reservations of the whole fleet are summed once, so that ten thousand workflows stay small and fast to query.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property

from concertmaster.core import arrays as np
from concertmaster.core.arrays import Floats, Indices
from concertmaster.core.fleet.demand import Demand, Workload, forecast_demand
from concertmaster.core.fleet.members import FleetMember, name_of
from concertmaster.core.model import WorkflowKey
from concertmaster.core.schedules.timetable import Timetable
from concertmaster.core.units import HOUR

_MIN_RESERVED_SHARE = 0.1  # least share of the reserved cores of a workflow that is worth moving
_CORES, _MEMORY = 2, 3  # columns of the runs of a member
_MAX_TAINT_SETS = 20  # of taints; each keeps a fleet
_MIN_CORES = 1e-9  # cores, below which none are reserved but for rounding


class Fleet:
    """All workflows that share nodes with the current one, including itself.

    ``across``: whether recommendations may name workflows of other namespaces; otherwise only their number and their total
    reservation are reported.
    """

    def __init__(self, members: Iterable[FleetMember] = (), *, across: bool = True) -> None:
        self.members = tuple(members)
        self.across = across
        self._among: dict[frozenset[str], Fleet] = {}
        self._demands: dict[tuple[float, int], Demand] = {}
        self._reserved: dict[tuple[str | None, int], _Reserved] = {}  # of all and by namespace, and by column

    @cached_property
    def active(self) -> Fleet:
        """Without the workflows whose schedule is suspended: their runs are past, and none is to come."""
        if not any(m.suspended for m in self.members):
            return self
        return Fleet((m for m in self.members if not m.suspended), across=self.across)

    def among(self, tolerated: frozenset[str] | None) -> Fleet:
        """Without the workflows whose pods run on nodes with other taints than the ``tolerated`` ones; all if those are not
        known."""
        if tolerated is None or self._taints <= tolerated:
            return self
        if tolerated not in self._among:
            if len(self._among) >= _MAX_TAINT_SETS:
                del self._among[next(iter(self._among))]
            kept = (m for m in self.members if m.taints <= tolerated)
            self._among[tolerated] = Fleet(kept, across=self.across)
        return self._among[tolerated]

    @cached_property
    def _taints(self) -> frozenset[str]:
        """Those of all members: each workflow asks whether it tolerates them."""
        return frozenset(taint for m in self.members for taint in m.taints)

    def load(self, key: WorkflowKey, spans: Floats) -> float:
        """Mean cores reserved by all other workflows during the spans, shape (spans, 2) of start and end (unix seconds)."""
        return float(self.loads(key, spans).mean()) if len(spans) else 0.0

    def loads(self, key: WorkflowKey, spans: Floats, namespace: str | None = None, *, memory: bool = False) -> Floats:
        """Mean cores, or GiB of ``memory``, reserved by all other workflows (of one ``namespace``) during each of the spans,
        shape (spans,)."""
        column = _MEMORY if memory else _CORES
        lengths = np.maximum(1.0, spans[:, 1] - spans[:, 0])
        own = [_Reserved(self.members[place].runs, column) for place in self._places.get(key, ())]
        total = self._all_of(namespace, column).within(spans) - sum(
            (o.within(spans) for o in own), np.zeros(len(spans))
        )
        return np.asarray(np.maximum(0.0, total / lengths))

    def known_since(self, key: WorkflowKey, spans: Floats) -> float:
        """Since when (unix seconds) all other workflows that matter during the spans are known: the latest first run of
        those that reserve a tenth of what all others do. Of a frequent workflow, only the newest runs are kept."""
        cores = self._cores(spans)
        cores[self._places.get(key, [])] = 0.0
        matter = np.flatnonzero((cores > _MIN_CORES) & (cores >= _MIN_RESERVED_SHARE * cores.sum())).tolist()
        return max((float(self.members[place].runs[0, 0]) for place in matter), default=0.0)

    def meets(self, key: WorkflowKey, spans: Floats) -> list[tuple[str, float]]:
        """(workflow, mean cores) reserved by others during the spans, largest first; they sum to ``load``."""
        cores_of: dict[str, float] = {}
        elsewhere, beyond = 0.0, 0
        for place, cores in self._shares(spans):
            other = self.members[place]
            if other.key == key:
                continue
            if other.key.namespace == key.namespace:
                cores_of[other.key.name] = cores_of.get(other.key.name, 0.0) + cores
            elif self.across:
                name = f"{other.key.namespace}/{other.key.name}"
                cores_of[name] = cores_of.get(name, 0.0) + cores
            else:
                elsewhere, beyond = elsewhere + cores, beyond + 1
        if beyond:
            cores_of[f"{beyond} {'workflow' if beyond == 1 else 'workflows'} of other namespaces"] = elsewhere
        return sorted(cores_of.items(), key=lambda kv: (-kv[1], kv[0]))

    def turn(self, key: WorkflowKey, spans: Floats, now: float) -> tuple[int, float]:
        """How many of the workflows that it clashes with during the spans move before this one, the smallest first, and the
        longest usual run (s) of them all. Such a workflow is scheduled about as often from ``now`` (unix seconds) on and
        reserves a tenth of what all others do."""
        same = [self.members[place] for place in self._places.get(key, ())]
        own = next((m for m in same if m.starts_soon(now) and len(m.runs)), None)
        if own is None:
            return 0, 0.0
        others = [(self.members[place], cores) for place, cores in self._shares(spans)]
        others = [(m, cores) for m, cores in others if m.key != key]
        least = _MIN_RESERVED_SHARE * sum(cores for _, cores in others)
        starts = own.starts_soon(now)
        met = [m for m, cores in others if cores >= least and starts < 2 * m.starts_soon(now) < 4 * starts]
        sizes = [(float(np.median(m.runs[:, 2])), str(m.key)) for m in (own, *met)]
        longest = max(float(np.median(m.runs[:, 1] - m.runs[:, 0])) for m in (own, *met))
        return sum(size < sizes[0] for size in sizes), longest

    def _shares(self, spans: Floats) -> Iterator[tuple[int, float]]:
        """(index, mean cores) of the members that reserve cores during the spans."""
        cores = self._cores(spans)
        yield from ((int(place), float(cores[place])) for place in np.flatnonzero(cores > _MIN_CORES))

    def _cores(self, spans: Floats) -> Floats:
        """Mean cores that each member reserves during the spans, shape (members,). Of the runs of about the same length,
        those are examined that start before a span ends, and at most the longest of them before it begins."""
        reserved = np.zeros(len(self.members))
        if not len(spans):
            return reserved
        for owners, starts, ends, rates, longest in self._runs:
            first = np.searchsorted(starts, spans[:, 0] - longest).tolist()
            last = np.searchsorted(starts, spans[:, 1]).tolist()
            for (begin, end), low, high in zip(spans.tolist(), first, last, strict=True):
                seconds = np.minimum(ends[low:high], end) - np.maximum(starts[low:high], begin)
                np.add.at(
                    reserved, owners[low:high], np.maximum(seconds, 0.0) * rates[low:high] / max(1.0, end - begin)
                )
        return reserved / len(spans)

    def demand(self, now: float, hours: int) -> Demand:
        """Demand of the next hours by workflow (``<namespace>/<name>``); cached for an hour."""
        asked = (now // HOUR, hours)
        if asked not in self._demands:
            tables = {m.timetable for m in self.members if m.timetable is not None}  # many have the same schedule
            ahead: dict[Timetable | None, Floats] = {t: t.starts(now, now + (hours + 1) * HOUR) for t in tables}
            loads = [
                Workload(name_of(m.key), m.key.kind, m.runs, ahead.get(m.timetable), m.late, m.suspended)
                for m in self.members
            ]
            self._demands[asked] = forecast_demand(loads, now, hours)
        return self._demands[asked]

    @cached_property
    def _runs(self) -> list[tuple[Indices, Floats, Floats, Floats, float]]:
        """All runs with a duration, those of about the same length together: member index, start (ascending), end and cores
        reserved, and the seconds of the longest."""
        rows = np.concatenate([m.runs for m in self.members]) if self.members else np.empty((0, 4))
        owners = np.repeat(np.arange(len(self.members)), [len(m.runs) for m in self.members])
        taking = rows[:, 1] > rows[:, 0]
        rows, owners = rows[taking], owners[taking]
        seconds = rows[:, 1] - rows[:, 0]
        sizes = np.frexp(seconds)[1]  # powers of two
        found = []
        for size in np.unique(sizes):
            alike = np.flatnonzero(sizes == size)
            alike = alike[np.argsort(rows[alike, 0], kind="stable")]
            starts, ends, reserved = rows[alike, :3].T
            found.append((owners[alike], starts, ends, reserved / seconds[alike], float(seconds[alike].max())))
        return found

    @cached_property
    def _places(self) -> dict[WorkflowKey, list[int]]:
        """Indices of the members by key."""
        places: dict[WorkflowKey, list[int]] = {}
        for place, each in enumerate(self.members):
            places.setdefault(each.key, []).append(place)
        return places

    @cached_property
    def _by_namespace(self) -> dict[str, list[Floats]]:
        runs: dict[str, list[Floats]] = {}
        for each in self.members:
            if len(each.runs):
                runs.setdefault(each.key.namespace, []).append(each.runs)
        return runs

    def _all_of(self, namespace: str | None, column: int) -> _Reserved:
        if (namespace, column) not in self._reserved:
            spaces = self._by_namespace
            rows = [r for of in spaces.values() for r in of] if namespace is None else spaces.get(namespace, [])
            self._reserved[namespace, column] = _Reserved(np.concatenate(rows) if rows else np.empty((0, 4)), column)
        return self._reserved[namespace, column]


class _Reserved:
    """Cumulative core-seconds or GiB-seconds (``column`` of the runs) reserved over time, as prefix sums: a query costs two
    binary searches."""

    def __init__(self, runs: Floats, column: int) -> None:
        usable = runs[runs[:, 1] > runs[:, 0]]
        self._zero = float(usable[:, 0].min()) if len(usable) else 0.0
        rates = usable[:, column] / (usable[:, 1] - usable[:, 0])
        self._edges = [_prefix(usable[:, edge] - self._zero, rates) for edge in (0, 1)]

    def within(self, spans: Floats) -> Floats:
        """What is reserved in each span, shape (spans,)."""
        return np.asarray(self._until(spans[:, 1] - self._zero) - self._until(spans[:, 0] - self._zero))

    def _until(self, times: Floats) -> Floats:
        begun, ended = (
            rates[place] * times - weighted[place]
            for edges, rates, weighted in self._edges
            for place in [np.searchsorted(edges, times, side="right")]
        )
        return np.asarray(begun - ended)


def _prefix(edges: Floats, rates: Floats) -> tuple[Floats, Floats, Floats]:
    """Sorted edges with cumulative sums of rates and of rates times edges."""
    order = np.argsort(edges, kind="stable")
    edges, rates = edges[order], rates[order]
    return edges, np.concatenate([[0.0], np.cumsum(rates)]), np.concatenate([[0.0], np.cumsum(rates * edges)])
