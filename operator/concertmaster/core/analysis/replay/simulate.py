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

from concertmaster.core.analysis.replay.run import Chain, Limit, has_room

END, DUE = 0, 1  # at the same time, slots are released before they are requested


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
        if queue.waited:
            return end
    ends = _ends(parents, lengths)
    if queue is None and limits:
        ready = [max([ends[parent] for parent in above], default=0.0) for above in parents]
        if any(_binds(limit, names, pieces, ready) for limit in limits):
            return _EventLoop(names, parents, pieces, ranks, [limit for limit in limits if limit.size > 0]).run()
    return max(ends, default=0.0)


def _ends(parents: Sequence[Sequence[int]], lengths: Sequence[float]) -> list[float]:
    """When each step ends (s) if nothing waits for a slot."""
    ends: list[float] = []
    for above, length in zip(parents, lengths, strict=True):
        end = 0.0
        for parent in above:
            if ends[parent] > end:
                end = ends[parent]
        ends.append(end + length)
    return ends


def _binds(limit: Limit, names: Sequence[str], pieces: Sequence[Sequence[Chain]], ready: Sequence[float]) -> bool:
    """Whether pods that never wait would at some time hold more slots than exist. If not, the limit never matters."""
    if has_room((limit,), names, pieces):
        return False
    edges: list[tuple[float, int]] = []
    for i in limit.places(names):
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
    """Pods that each are under one limit at most: they start in the order in which they request their slots, each in the
    slot that is free first. ``waited``: whether any had to wait for it; ``end``: when the last step so far ended (s)."""

    def __init__(
        self,
        parents: Sequence[Sequence[int]],
        pieces: Sequence[Sequence[Chain]],
        ranks: Sequence[int],
        limit_of: Sequence[int],
        slots: Sequence[int],
    ) -> None:
        """``limit_of``: by step its limit, -1 for none; ``slots``: of each limit."""
        self._pieces, self._ranks, self._limit_of = pieces, ranks, limit_of
        self._children = _children(parents)
        self._missing = [len(above) for above in parents]
        self._left = [len(chains) for chains in pieces]
        # Until a step is ready: the end of what it waits for; then: of its own pods.
        self._latest = [0.0] * len(parents)
        self._ready = [step for step, missing in enumerate(self._missing) if not missing]
        # Of steps with several chains that were ready: when these are due, ascending, and which they are.
        self._first: list[tuple[list[float], list[int]]] = [([], [])] * len(parents)
        # Requests: time, rank, end of the attempt before it (first attempts come first), number, step, chain, attempt. Of
        # the first attempts of a step the next one, with its chain as the number and its place in ``_first`` as the chain.
        self._due: list[tuple[float, int, float, int, int, int, int]] = []
        self._free = [*([0.0] * count for count in slots), []]  # the last one is that of -1
        self._number, self.waited, self.end = 0, False, 0.0

    @classmethod
    def of(
        cls,
        names: Sequence[str],
        parents: Sequence[Sequence[int]],
        pieces: Sequence[Sequence[Chain]],
        ranks: Sequence[int],
        limits: Sequence[Limit],
    ) -> SlotQueue | None:
        """None where no limit can bind, two that can cover the same step, or a pod takes no time: such a pod's successors
        request their slots when it does, which only events put in order."""
        sizes: dict[frozenset[str] | None, int] = {}
        for limit in limits:
            if not has_room((limit,), names, pieces):
                sizes[limit.steps] = min(limit.size, sizes.get(limit.steps, limit.size))
        if not sizes or min(sizes.values()) < 1:
            return None
        limit_of = [-1] * len(names)
        for number, (steps, size) in enumerate(sizes.items()):
            for place in Limit(size, steps).places(names):
                if limit_of[place] >= 0:
                    return None
                limit_of[place] = number
        if any(head + work <= 0.0 for chains in pieces for chain in chains for _, head, work in chain):
            return None
        return cls(parents, pieces, ranks, limit_of, list(sizes.values()))

    def run(self) -> float:
        """To the end of the last pod; returns it."""
        for _ in self.openings():
            pass
        return self.end

    def openings(self) -> Iterator[int]:
        """Runs to the end of the last pod, and gives each step when all that it waits for has its times; what comes before
        does not depend on it."""
        pieces, ranks, children, missing = self._pieces, self._ranks, self._children, self._missing
        left, latest, ready, due, first = self._left, self._latest, self._ready, self._due, self._first
        slots = [self._free[limit] for limit in self._limit_of]
        while ready or due:
            if ready:
                yield ready[-1]
                step = ready.pop()
                begin, chains = latest[step], pieces[step]
                if chains:
                    request, c = begin + chains[0][0][0], 0
                    if len(chains) > 1:
                        times = [begin + chain[0][0] for chain in chains]
                        order = sorted(range(len(times)), key=times.__getitem__)
                        request, c, first[step] = times[order[0]], order[0], (sorted(times), order)
                    heappush(due, (request, ranks[step], -1.0, c, step, 0, 0))
                    continue
            else:
                request, rank, _, number, step, c, attempt = heappop(due)
                chains, free, (times, order) = pieces[step], slots[step], first[step]
                place, c = (len(order), c) if attempt else (c, number)
                while True:  # as long as the next pod of the same step is the next of all
                    chain = chains[c]
                    _, head, work = chain[attempt]
                    if free and free[0] > request:
                        request, self.waited = free[0], True
                    end = request + head + work
                    if free:
                        heapreplace(free, end)
                    attempt += 1
                    if attempt < len(chain):
                        self._number += 1
                        heappush(due, (end + chain[attempt][0], rank, end, self._number, step, c, attempt))
                    else:
                        left[step] -= 1
                        if end > latest[step]:
                            latest[step] = end
                    place += 1
                    if place >= len(order):
                        break
                    request, c, attempt = times[place], order[place], 0
                    if due and due[0][0] <= request:
                        heappush(due, (request, rank, -1.0, c, step, place, 0))
                        break
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
        other._pieces, other._first = pieces, list(self._first)
        other._missing, other._left, other._latest = list(self._missing), list(self._left), list(self._latest)
        other._ready, other._due, other._free = list(self._ready), list(self._due), [list(own) for own in self._free]
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
        self._number, self._turn, self.end = 0, 0, 0.0
        # Time, kind, rank, number, step, chain, attempt.
        self.events: list[tuple[float, int, int, int, int, int, int]] = []

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
