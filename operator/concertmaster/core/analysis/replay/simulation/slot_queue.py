"""Pods under one limit each, simulated without events: which pod starts next needs no more than the time it is due."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from copy import copy
from heapq import heappop, heappush, heapreplace

from concertmaster.core.analysis.replay.run import Chain, Limit, Piece, has_room


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
        self._children = children_of(parents)
        self._missing = [len(above) for above in parents]
        self._left = [len(chains) for chains in pieces]
        # Until a step is ready: the end of what it waits for; then: of its own pods.
        self._latest = [0.0] * len(parents)
        self._ready = [step for step, missing in enumerate(self._missing) if not missing]
        # Of steps with several chains that were ready: when these are due, ascending, which they are, and their pods, where
        # none has a retry.
        self._first: list[tuple[list[float], list[int], list[Piece]]] = [([], [], [])] * len(parents)
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
        if _takes_no_time(pieces):
            return None
        return cls(parents, pieces, ranks, limit_of, list(sizes.values()))

    def run(self) -> float:
        """To the end of the last pod; returns it."""
        for _ in self.openings():
            pass
        return self.end

    def openings(self) -> Iterator[int]:  # noqa: C901 - the inner loop of all replays, a call in it is paid per pod
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
                        pods = [chains[c][0] for c in order] if max(map(len, chains)) == 1 else []
                        request, c, first[step] = times[order[0]], order[0], (sorted(times), order, pods)
                    heappush(due, (request, ranks[step], -1.0, c, step, 0, 0))
                    continue
            else:
                request, rank, _, number, step, c, attempt = heappop(due)
                chains, free, (times, order, pods) = pieces[step], slots[step], first[step]
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
                    if pods and free:  # all that are the next of all, in half of the time
                        stop = bisect_left(times, due[0][0], place) if due else len(order)
                        latest[step] = max(latest[step], self._started(times[place:stop], pods[place:stop], free))
                        left[step] -= stop - place
                        if stop < len(order):
                            heappush(due, (times[stop], rank, -1.0, order[stop], step, stop, 0))
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

    def _started(self, times: Sequence[float], pods: Sequence[Piece], free: list[float]) -> float:
        """Pods without retries get the slots that are ``free`` first, in the order of their requests at these ``times``.
        Returns the end of the last one."""
        last = 0.0
        for request, (_, head, work) in zip(times, pods, strict=True):
            if free[0] > request:
                request, self.waited = free[0], True
            end = request + head + work
            heapreplace(free, end)
            if end > last:
                last = end
        return last

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


def _takes_no_time(pieces: Sequence[Sequence[Chain]]) -> bool:
    """Whether any pod does. As loops, in half of the time of ``any``: of a fan-out this looks at each pod in each replay."""
    for chains in pieces:
        for chain in chains:
            for _, head, work in chain:
                if head + work <= 0.0:
                    return True
    return False


def children_of(parents: Sequence[Sequence[int]]) -> list[list[int]]:
    """The steps that wait for each step."""
    children: list[list[int]] = [[] for _ in parents]
    for step, above in enumerate(parents):
        for parent in above:
            children[parent].append(step)
    return children
