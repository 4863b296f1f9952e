"""Discrete-event simulation of chains of pods on a graph of steps, under limits.

Independent of runs and what-ifs: durations in, makespan out. When no limit can bind, one pass in topological order gives
the same result as the event loop at a fraction of its cost.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from copy import copy
from heapq import heappop, heappush, heapreplace
from itertools import accumulate

from concertmaster.core.analysis.replay.run import Chain, Limit

END, DUE = 0, 1  # at the same time, slots are released before they are requested


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
    queue = SlotQueue.of(names, parents, pieces, ranks, limits) if limits else None
    if queue is not None:
        end = queue.run()
        return end if queue.waited else _unlimited(parents, lengths)
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
    return all(sum([len(pieces[i]) for i in limit.places(names)]) <= limit.size for limit in limits)


def _binds(limit: Limit, names: Sequence[str], pieces: Sequence[Sequence[Chain]], ready: Sequence[float]) -> bool:
    """Whether pods that never wait would at some time hold more slots than exist. If not, the limit never matters."""
    if has_room((limit,), names, pieces):
        return False
    mine = limit.places(names)
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


class SlotQueue:
    """Pods under one limit of the whole run: they start in the order in which they request their slots, each in the slot
    that is free first. ``waited``: whether any had to wait for it; ``end``: when the last step so far ended (s)."""

    def __init__(
        self, parents: Sequence[Sequence[int]], pieces: Sequence[Sequence[Chain]], ranks: Sequence[int], size: int
    ) -> None:
        self._pieces, self._ranks = pieces, ranks
        self._children = _children(parents)
        self._missing = [len(above) for above in parents]
        self._left = [len(chains) for chains in pieces]
        # Until a step is ready: the end of what it waits for; then: of its own pods.
        self._latest = [0.0] * len(parents)
        self._ready = [step for step, missing in enumerate(self._missing) if not missing]
        # Requests: time, rank, end of the attempt before it (first attempts come first), number, step, chain, attempt.
        self._due: list[tuple[float, int, float, int, int, int, int]] = []
        self._free = [0.0] * min(size, sum(self._left))
        self._number = 0
        self.waited, self.end = False, 0.0

    @classmethod
    def of(
        cls,
        names: Sequence[str],
        parents: Sequence[Sequence[int]],
        pieces: Sequence[Sequence[Chain]],
        ranks: Sequence[int],
        limits: Sequence[Limit],
    ) -> SlotQueue | None:
        """None where a limit for some steps only can bind, or a pod takes no time: such a pod's successors request their
        slots when it does, which only events put in order."""
        binding = [limit for limit in limits if not has_room((limit,), names, pieces)]
        if not binding or any(limit.steps is not None or limit.size < 1 for limit in binding):
            return None
        if any(head + work <= 0.0 for chains in pieces for chain in chains for _, head, work in chain):
            return None
        return cls(parents, pieces, ranks, min(limit.size for limit in binding))

    def run(self) -> float:
        """To the end of the last pod; returns it."""
        for _ in self.openings():
            pass
        return self.end

    def openings(self) -> Iterator[int]:
        """Runs to the end of the last pod, and gives each step when all that it waits for has its times; what comes before
        does not depend on it."""
        pieces, ranks, children, missing = self._pieces, self._ranks, self._children, self._missing
        left, latest, ready, due, free = self._left, self._latest, self._ready, self._due, self._free
        while ready or due:
            if ready:
                yield ready[-1]
                step = ready.pop()
                begin, chains = latest[step], pieces[step]
                for c, chain in enumerate(chains):
                    heappush(due, (begin + chain[0][0], ranks[step], -1.0, c, step, c, 0))
                if chains:
                    continue
            else:
                request, rank, _, _, step, c, attempt = heappop(due)
                chain = pieces[step][c]
                _, head, work = chain[attempt]
                if free[0] > request:
                    request, self.waited = free[0], True
                end = request + head + work
                heapreplace(free, end)
                attempt += 1
                if attempt < len(chain):
                    self._number += 1
                    heappush(due, (end + chain[attempt][0], rank, end, self._number, step, c, attempt))
                    continue
                if end > latest[step]:
                    latest[step] = end
                left[step] -= 1
                if left[step]:
                    continue
            end = latest[step]
            if end > self.end:
                self.end = end
            for child in children[step]:
                if end > latest[child]:
                    latest[child] = end
                missing[child] -= 1
                if not missing[child]:
                    ready.append(child)

    def without(self, places: Sequence[int]) -> SlotQueue:
        """As it is now, without the pods of the steps at these places, none of which was ready yet."""
        other = copy(self)
        pieces = list(self._pieces)
        for place in places:
            pieces[place] = ()
        other._pieces = pieces
        other._missing, other._left, other._latest = list(self._missing), list(self._left), list(self._latest)
        other._ready, other._due, other._free = list(self._ready), list(self._due), list(self._free)
        return other


def _children(parents: Sequence[Sequence[int]]) -> list[list[int]]:
    """The steps that wait for each step."""
    children: list[list[int]] = [[] for _ in parents]
    for step, above in enumerate(parents):
        for parent in above:
            children[parent].append(step)
    return children


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
        self._children = _children(parents)
        self._missing = [len(above) for above in parents]
        self._needs = [
            tuple(k for k, limit in enumerate(limits) if limit.steps is None or name in limit.steps) for name in names
        ]
        self._free = [limit.size for limit in limits]
        self._left = [len(chains) for chains in pieces]
        self._queues: dict[tuple[int, ...], deque[tuple[int, int, int, int]]] = {n: deque() for n in self._needs}
        self._number, self._turn = 0, 0
        # Time, kind, rank, number, step, chain, attempt.
        self.events: list[tuple[float, int, int, int, int, int, int]] = []
        self.end = 0.0

    def run(self) -> float:
        """Until nothing is due or running any more; returns ``end``."""
        self.open_steps([step for step, missing in enumerate(self._missing) if not missing], 0.0)
        while self.events:
            now, kind, _, _, step, chain, attempt = heappop(self.events)
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
        heappush(self.events, (time, kind, self._ranks[step], self._number, step, chain, attempt))
        self._number += 1
