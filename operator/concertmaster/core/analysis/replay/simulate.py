"""Discrete-event simulation of chains of pods on a graph of steps, under limits.

Independent of runs and what-ifs: durations in, makespan out. When no limit can bind, one pass in topological order gives
the same result as the event loop at a fraction of its cost.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Sequence
from itertools import accumulate

from concertmaster.core import arrays as np
from concertmaster.core.analysis.graph import latest_of
from concertmaster.core.analysis.replay.run import Attempt, Chain, Limit, Piece
from concertmaster.core.arrays import Floats

END, DUE = 0, 1  # at the same time, slots are released before they are requested
_EPSILON = 1e-6  # seconds from one request to the next: too short to matter, longer than rounding errors


def lag_parts(first: Attempt, shared: float) -> tuple[float, float]:
    """A first pod's controller lag before it requests its slot, and while it holds the slot, in seconds.

    After a wait for a slot the lag is measured from when the slot became free, so all of it holds the slot. Otherwise only
    ``shared``, the least lag of any pod of the run, certainly does; the rest is a controller working through a queue.
    """
    lag = first.lag
    held = shared if shared < lag and not first.queued > 0.0 else lag
    return lag - held, held


def pieces_of(chain: Sequence[Attempt], shared: float) -> Chain:
    """Attempts as pieces; a back-off occupies no slot."""
    first = chain[0]
    delay, held = lag_parts(first, shared)
    head: Piece = (delay, held + first.pending + first.starting, first.work)
    if len(chain) == 1:
        return (head,)
    return (head, *[(a.lag, a.pending + a.starting, a.work) for a in chain[1:]])


def in_order(
    names: Sequence[str],
    chains: Sequence[Sequence[Sequence[Attempt]]],
    pieces: Sequence[Sequence[Chain]],
    limits: Sequence[Limit],
) -> tuple[tuple[Chain, ...], ...]:
    """``pieces`` of ``chains`` with the delays of the first pods that waited for a slot, up to the request for it.

    The times of such a pod do not show its request. It had not come while other pods still found a free slot: so it follows
    the requests of all pods under the same limit that were ready no later and did not wait, at most until its slot became
    free. Pods that waited request their slots in the order in which they were ready, then created.
    """
    placed = [list(rows) for rows in pieces]
    for limit in limits:
        pods = [
            (first.ready, first.queued > 0.0, first.finished - first.span, step, k)
            for step in _under(limit, names)
            for k, (first, *_) in enumerate(chains[step])
        ]
        latest = -math.inf
        for ready, waited, _, step, k in sorted(pods):
            (delay, head, work), *retries = placed[step][k]
            if waited and latest >= ready:
                delay = max(delay, min(latest + _EPSILON - ready, chains[step][k][0].queued))
                placed[step][k] = ((delay, head, work), *retries)
            latest = max(latest, ready + delay)
    return tuple(map(tuple, placed))


def chain_length(chain: Chain) -> float:
    """Seconds of a chain that never waits for a slot."""
    if len(chain) == 1:
        delay, head, work = chain[0]
        return delay + head + work
    return sum([delay + head + work for delay, head, work in chain])


def simulate(
    names: Sequence[str],
    parents: Sequence[Sequence[int]],
    pieces: Sequence[Sequence[Chain]],
    lengths: Sequence[float],
    ranks: Sequence[int],
    limits: Sequence[Limit],
) -> float:
    """Makespan in seconds. ``parents[i]``: steps that step i waits for, all of them before it in ``names``;
    ``pieces[i]``: its chains; ``lengths[i]``: the longest of them (s); ``ranks[i]``: priority among pods due at the same
    time, lowest first."""
    if limits:
        ready = _ready(parents, lengths)
        if any(_binds(limit, names, pieces, ready) for limit in limits):
            return _EventLoop(names, parents, pieces, ranks, [limit for limit in limits if limit.size > 0]).run()
    return _unlimited(parents, lengths)


def _unlimited(parents: Sequence[Sequence[int]], lengths: Sequence[float]) -> float:
    """Makespan in seconds when nothing waits for a slot."""
    ends: list[float] = []
    last = 0.0
    for above, length in zip(parents, lengths, strict=True):
        end = 0.0
        for parent in above:
            if ends[parent] > end:
                end = ends[parent]
        end += length
        ends.append(end)
        if end > last:
            last = end
    return last


def unlimited_many(parents: Sequence[Sequence[int]], lengths: Floats) -> Floats:
    """``_unlimited`` of many runs at once; ``lengths`` has shape (steps, runs), the result (runs,)."""
    longest: Floats = ends_many(parents, lengths).max(axis=0, initial=0.0)
    return longest


def ends_many(parents: Sequence[Sequence[int]], lengths: Floats, earlier: Floats | None = None) -> Floats:
    """When each step of many runs ends if nothing waits for a slot; both of shape (steps, runs). ``earlier``: these times of
    the first steps, as far as they are known."""
    ends = np.array(lengths, order="C")
    begin = 0
    if earlier is not None:
        begin = len(earlier)
        ends[:begin] = earlier
    rows = list(ends)  # views
    for step in range(begin, len(rows)):
        if parents[step]:
            rows[step] += latest_of(parents[step], rows)  # in place
    return ends


def _ready(parents: Sequence[Sequence[int]], lengths: Sequence[float]) -> list[float]:
    """When each step becomes ready (s) if nothing waits for a slot."""
    out: list[float] = []
    for above in parents:
        begin = 0.0
        for parent in above:
            end = out[parent] + lengths[parent]
            if end > begin:
                begin = end
        out.append(begin)
    return out


def has_room(limits: Sequence[Limit], names: Sequence[str], pieces: Sequence[Sequence[object]]) -> bool:
    """Whether each limit has a slot for every chain under it, so that none can ever wait."""
    return all(sum([len(pieces[i]) for i in _under(limit, names)]) <= limit.size for limit in limits)


def _under(limit: Limit, names: Sequence[str]) -> list[int]:
    """The places of the steps that a limit covers."""
    return [i for i, name in enumerate(names) if limit.steps is None or name in limit.steps]


def _binds(limit: Limit, names: Sequence[str], pieces: Sequence[Sequence[Chain]], ready: Sequence[float]) -> bool:
    """Whether pods that never wait would at some time hold more slots than exist. If not, the limit never matters."""
    if has_room((limit,), names, pieces):
        return False
    mine = _under(limit, names)
    edges: list[tuple[float, int]] = []
    for i in mine:
        for chain in pieces[i]:
            now = ready[i]
            for delay, head, work in chain:
                now += delay
                edges.append((now, 1))
                now += head + work
                edges.append((now, -1))
    edges.sort()  # at the same time, slots are released first
    return any(held > limit.size for held in accumulate(change for _, change in edges))


class _EventLoop:
    """Pods request their slots when they are due, first come, first served; a pod blocked by its own limit does not block
    pods under other limits. ``end``: when the last pod so far ended (s)."""

    def __init__(
        self,
        names: Sequence[str],
        parents: Sequence[Sequence[int]],
        pieces: Sequence[Sequence[Chain]],
        ranks: Sequence[int],
        limits: Sequence[Limit],
    ) -> None:
        self._pieces, self._ranks = pieces, ranks
        self._children: list[list[int]] = [[] for _ in names]
        for step, above in enumerate(parents):
            for parent in above:
                self._children[parent].append(step)
        self._missing = [len(above) for above in parents]
        self._needs = [
            tuple(k for k, limit in enumerate(limits) if limit.steps is None or name in limit.steps) for name in names
        ]
        self._free = [limit.size for limit in limits]
        self._left = [len(chains) for chains in pieces]
        self._queues: dict[tuple[int, ...], deque[tuple[int, int, int, int]]] = {n: deque() for n in self._needs}
        self._number, self._turn = 0, 0
        self.events: list[
            tuple[float, int, int, int, int, int, int]
        ] = []  # time, kind, rank, number, step, chain, attempt
        self.end = 0.0

    def run(self) -> float:
        """Until nothing is due or running any more; returns ``end``."""
        self.open_steps([step for step, missing in enumerate(self._missing) if not missing], 0.0)
        while self.events:
            now, kind, _, _, step, chain, attempt = heapq.heappop(self.events)
            if kind == DUE:
                self.request_slot(step, chain, attempt)
            else:
                self.end_pod(step, chain, attempt, now)
            if not self.events or self.events[0][0] > now:  # after all events of the same time
                self.assign_slots(now)
        return self.end

    def open_steps(self, ready: list[int], now: float) -> None:
        """Make the pods of ready steps due; a step without pods ends at once."""
        while ready:
            step = ready.pop()
            for c, chain in enumerate(self._pieces[step]):
                self._push(now + chain[0][0], DUE, step, c, 0)
            if not self._pieces[step]:
                self.end = max(self.end, now)
                ready.extend(self._freed_by(step))

    def request_slot(self, step: int, chain: int, attempt: int) -> None:
        """Queue a pod that is due behind those under the same limits."""
        self._queues[self._needs[step]].append((self._turn, step, chain, attempt))
        self._turn += 1

    def end_pod(self, step: int, chain: int, attempt: int, now: float) -> None:
        """Free its slots; the next attempt of its item becomes due, or the steps that waited for the last item."""
        self.end = max(self.end, now)
        for k in self._needs[step]:
            self._free[k] += 1
        attempts = self._pieces[step][chain]
        if attempt + 1 < len(attempts):
            self._push(now + attempts[attempt + 1][0], DUE, step, chain, attempt + 1)
            return
        self._left[step] -= 1
        if not self._left[step]:
            self.open_steps(self._freed_by(step), now)

    def assign_slots(self, now: float) -> None:
        """Start queued pods, the first that came first, as long as their limits have free slots."""
        while True:
            heads = [q[0] for need, q in self._queues.items() if q and all(self._free[k] > 0 for k in need)]
            if not heads:
                return
            _, step, chain, attempt = min(heads)
            self._queues[self._needs[step]].popleft()
            for k in self._needs[step]:
                self._free[k] -= 1
            _, head, work = self._pieces[step][chain][attempt]
            self._push(now + head + work, END, step, chain, attempt)

    def _freed_by(self, step: int) -> list[int]:
        """Steps that waited for ``step`` last."""
        for child in self._children[step]:
            self._missing[child] -= 1
        return [child for child in self._children[step] if not self._missing[child]]

    def _push(self, time: float, kind: int, step: int, chain: int, attempt: int) -> None:
        heapq.heappush(self.events, (time, kind, self._ranks[step], self._number, step, chain, attempt))
        self._number += 1
