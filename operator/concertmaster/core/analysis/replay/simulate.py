"""Discrete-event simulation of chains of pods on a graph of steps, under limits.

Independent of runs and what-ifs: durations in, makespan out. When no limit can bind, one pass in topological order gives
the same result as the event loop at a fraction of its cost.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Sequence

import numpy as np

from concertmaster.core.analysis.replay.run import Attempt, Chain, Limit, Piece
from concertmaster.core.stats.summary import Floats

END, DUE = 0, 1  # at the same time, slots are released before they are requested


def lag_parts(first: Attempt, shared: float) -> tuple[float, float]:
    """A first pod's controller lag before it requests its slot, and while it holds the slot, in seconds.

    After a wait for a slot the lag is measured from when the slot became free, so all of it holds the slot. Otherwise only
    ``shared``, the least lag of any pod of the run, certainly does; the rest is a controller working through a queue.
    """
    held = first.lag if first.queued > 0.0 else min(first.lag, shared)
    return first.lag - held, held


def pieces_of(chain: Sequence[Attempt], shared: float) -> tuple[Piece, ...]:
    """Attempts as pieces; a back-off occupies no slot."""
    first = chain[0]
    delay, held = lag_parts(first, shared)
    head: Piece = (delay, held + first.pending + first.starting, first.work)
    if len(chain) == 1:
        return (head,)
    return (head, *[(a.lag, a.pending + a.starting, a.work) for a in chain[1:]])


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
            return _events(names, parents, pieces, ranks, [limit for limit in limits if limit.size > 0])
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
    ends = np.zeros_like(lengths)
    for step, above in enumerate(parents):
        if not above:
            ends[step] = lengths[step]
        elif len(above) == 1:
            np.add(ends[above[0]], lengths[step], out=ends[step])
        else:
            latest = np.maximum(ends[above[0]], ends[above[1]])
            for parent in above[2:]:
                np.maximum(latest, ends[parent], out=latest)
            np.add(latest, lengths[step], out=ends[step])
    longest: Floats = ends.max(axis=0, initial=0.0)
    return longest


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


def _binds(limit: Limit, names: Sequence[str], pieces: Sequence[Sequence[Chain]], ready: Sequence[float]) -> bool:
    """Whether pods that never wait would at some time hold more slots than exist. If not, the limit never matters."""
    mine = [i for i, name in enumerate(names) if limit.steps is None or name in limit.steps]
    if sum([len(pieces[i]) for i in mine]) <= limit.size:
        return False
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
    held = 0
    for _, change in edges:
        held += change
        if held > limit.size:
            return True
    return False


def _events(
    names: Sequence[str],
    parents: Sequence[Sequence[int]],
    pieces: Sequence[Sequence[Chain]],
    ranks: Sequence[int],
    limits: Sequence[Limit],
) -> float:
    """Event loop: pods request their slots when they are due, first come, first served; a pod blocked by its own limit does
    not block pods under other limits."""
    children: list[list[int]] = [[] for _ in names]
    for step, above in enumerate(parents):
        for parent in above:
            children[parent].append(step)
    missing = [len(above) for above in parents]
    needs = [tuple(k for k, limit in enumerate(limits) if limit.steps is None or name in limit.steps) for name in names]
    free = [limit.size for limit in limits]
    left = [len(chains) for chains in pieces]
    events: list[tuple[float, int, int, int, int, int, int]] = []  # time, kind, rank, number, step, chain, attempt
    queues: dict[tuple[int, ...], deque[tuple[int, int, int, int]]] = {need: deque() for need in needs}
    number, turn, end = 0, 0, 0.0

    def push(time: float, kind: int, step: int, chain: int, attempt: int) -> None:
        nonlocal number
        heapq.heappush(events, (time, kind, ranks[step], number, step, chain, attempt))
        number += 1

    def open_steps(ready: list[int], now: float) -> None:
        """Make the pods of ready steps due; a step without pods ends at once."""
        nonlocal end
        while ready:
            step = ready.pop()
            for c, chain in enumerate(pieces[step]):
                push(now + chain[0][0], DUE, step, c, 0)
            if not pieces[step]:
                end = max(end, now)
                ready.extend(over(step))

    def over(step: int) -> list[int]:
        for child in children[step]:
            missing[child] -= 1
        return [child for child in children[step] if not missing[child]]

    open_steps([step for step in range(len(names)) if not missing[step]], 0.0)
    while events:
        now, kind, _, _, step, c, attempt = heapq.heappop(events)
        if kind == DUE:
            queues[needs[step]].append((turn, step, c, attempt))
            turn += 1
        else:
            end = max(end, now)
            for k in needs[step]:
                free[k] += 1
            if attempt + 1 < len(pieces[step][c]):
                push(now + pieces[step][c][attempt + 1][0], DUE, step, c, attempt + 1)
            else:
                left[step] -= 1
                if not left[step]:
                    open_steps(over(step), now)
        if events and events[0][0] <= now:
            continue  # slots are assigned after all events of the same time
        while True:
            heads = [queue[0] for need, queue in queues.items() if queue and all(free[k] > 0 for k in need)]
            if not heads:
                break
            _, step, c, attempt = min(heads)
            queues[needs[step]].popleft()
            for k in needs[step]:
                free[k] -= 1
            _, head, work = pieces[step][c][attempt]
            push(now + head + work, END, step, c, attempt)
    return end
