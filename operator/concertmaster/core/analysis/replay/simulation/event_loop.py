"""Pods under several limits each, simulated event by event."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from heapq import heappop, heappush

from concertmaster.core.analysis.replay.run import Chain, Limit
from concertmaster.core.analysis.replay.simulation.slot_queue import children_of

END, DUE = 0, 1  # at the same time, slots are released before they are requested


class EventLoop:
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
        self._children = children_of(parents)
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
