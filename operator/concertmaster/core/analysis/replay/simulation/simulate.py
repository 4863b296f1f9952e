"""The makespan of chains of pods on a graph of steps, under limits, by the cheapest simulation that is exact.

When no limit can bind, one pass in topological order gives the same result as the event loop at a fraction of its cost; when
no pod is under two limits, a queue of slots does.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from concertmaster.core.analysis.replay.run import Chain, Limit, has_room
from concertmaster.core.analysis.replay.simulation.event_loop import EventLoop
from concertmaster.core.analysis.replay.simulation.slot_queue import SlotQueue


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
            return EventLoop(names, parents, pieces, ranks, [limit for limit in limits if limit.size > 0]).run()
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
    edges: list[tuple[float, int, int]] = []
    for i in limit.places(names):
        for chain in pieces[i]:
            now = ready[i]
            for delay, head, work in chain:
                now += delay
                edges.append((now, 1, 1))
                end = now + head + work
                edges.append((end, 0 if end > now else 2, -1))
                now = end
    edges.sort()  # at the same time, slots are released first, but not by a pod that needs one to end at once
    return any(held > limit.size for held in accumulate(change for *_, change in edges))
