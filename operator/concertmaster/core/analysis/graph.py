"""Exact figures of a step graph: order, levels, longest path, slack and drag.

Bottleneck analysis rests on the longest path, so it is computed exactly, in linear time. Terms follow the critical path
method (Kelley and Walker, 1959): *slack* is how much longer a step could take without delaying the whole; *drag* (Devaux,
1999) is how much shorter the whole would be if the step took no time. A step's share of the path overstates this as soon
as a second path is nearly as long.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

from concertmaster.core import arrays as np
from concertmaster.core.arrays import Floats

MAX_SECONDS = 1e12  # seconds (30,000 years): larger values are invalid; sums and squares of valid ones stay finite
MIN_SECONDS = 1e-3  # seconds: cluster timestamps resolve nothing shorter


@dataclass(frozen=True, slots=True)
class TopologicalOrder:
    """A topological order of nodes 0..n-1; ``cyclic``: nodes on a cycle or downstream of one."""

    order: tuple[int, ...]
    children: tuple[tuple[int, ...], ...]
    cyclic: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class LongestPath:
    """The longest path as node positions, ``chain`` root first. ``head[i]``: length of the longest path ending with node i,
    ``tail[i]``: of the longest starting with it, both including its own duration (s)."""

    length: float
    chain: tuple[int, ...]
    head: tuple[float, ...]
    tail: tuple[float, ...]


def topological_order(parents: Sequence[Sequence[int]]) -> TopologicalOrder:
    """Kahn's algorithm over ``parents[i]`` (positions node i waits for); ties are broken by lowest position. Nodes that can
    never become ready are returned in ``cyclic``."""
    n = len(parents)
    children: list[list[int]] = [[] for _ in range(n)]
    missing = [len(above) for above in parents]
    for node, above in enumerate(parents):
        for parent in above:
            children[parent].append(node)
    ready = [node for node in range(n) if missing[node] == 0]
    order: list[int] = []
    while ready:
        node = heapq.heappop(ready)
        order.append(node)
        for child in children[node]:
            missing[child] -= 1
            if missing[child] == 0:
                heapq.heappush(ready, child)
    done = set(order)
    cyclic = tuple(node for node in range(n) if node not in done)
    return TopologicalOrder(tuple(order), tuple(tuple(c) for c in children), cyclic)


def longest_path(durations: Sequence[float], parents: Sequence[Sequence[int]]) -> LongestPath:
    """Longest path through nodes 0..n-1, which are in topological order, exact, in O(nodes + edges). ``durations`` in
    seconds; ``parents[i]``: positions node i waits for."""
    n = len(durations)
    head, best = [0.0] * n, [-1] * n
    for node, above in enumerate(parents):
        begin, last = 0.0, -1
        for parent in above:
            if last < 0 or head[parent] > begin:
                begin, last = head[parent], parent
        head[node], best[node] = begin + durations[node], last
    tail = [0.0] * n  # until a node is visited: the longest tail of its children
    for node in reversed(range(n)):
        through = tail[node] = durations[node] + tail[node]
        for parent in parents[node]:
            if tail[parent] < through:
                tail[parent] = through
    node = max(range(n), key=head.__getitem__, default=-1)
    length, chain = head[node] if n else 0.0, list[int]()
    while node >= 0:
        chain.append(node)
        node = best[node]
    return LongestPath(length, tuple(reversed(chain)), tuple(head), tuple(tail))


def drags(path: LongestPath, durations: Sequence[float], parents: Sequence[Sequence[int]]) -> list[float]:
    """Drag of every node in seconds: ``length`` minus the length when that node takes no time. O(edges log nodes).

    Every path from a root to a leaf either contains node v or has exactly one edge that spans v's place in the order. The
    longest path that avoids v is therefore the largest head + tail over the edges that span that place.
    """
    n = len(durations)
    childless = [True] * n
    spans: list[tuple[int, float, int]] = []  # (first place spanned, length of the longest such path, last place)
    for node, above in enumerate(parents):
        for parent in above:
            childless[parent] = False
            if node - parent > 1:
                spans.append((parent + 1, path.head[parent] + path.tail[node], node - 1))
        if not above and node:
            spans.append((0, path.tail[node], node - 1))
    spans += [(node + 1, path.head[node], n - 1) for node in range(n - 1) if childless[node]]
    spans.sort()
    active: list[tuple[float, int]] = []
    out, taken = [0.0] * n, 0
    for node, own in enumerate(durations):
        while taken < len(spans) and spans[taken][0] <= node:
            heapq.heappush(active, (-spans[taken][1], spans[taken][2]))
            taken += 1
        while active and active[0][1] < node:
            heapq.heappop(active)
        through = path.head[node] + path.tail[node] - 2 * own  # head and tail both include the node's own time
        avoiding = -active[0][0] if active else 0.0
        loss = path.length - max(through, avoiding)
        out[node] = loss if loss > 1e-12 * path.length else 0.0
    return out


def drags_many(durations: Floats, parents: Sequence[Sequence[int]]) -> Floats:
    """``drags`` of many graphs with the same edges at once; ``durations`` and the result have shape (nodes, graphs),
    seconds."""
    head, tail, n = durations.copy(), np.zeros_like(durations), len(parents)
    heads, tails = list(head), list(tail)  # views of the rows: indexing them again and again took a third of the time
    childless = [True] * n
    for node, above in enumerate(parents):
        if above:
            heads[node] += latest_of(above, heads)
            for parent in above:
                childless[parent] = False
    for node in reversed(range(n)):
        through = tails[node]  # until here: the longest tail of its children
        through += durations[node]
        for parent in parents[node]:
            np.maximum(tails[parent], through, out=tails[parent])
    avoiding = np.zeros_like(durations)
    for node, above in enumerate(parents):
        for parent in above:
            if node - parent > 1:
                spanned = avoiding[parent + 1 : node]
                np.maximum(spanned, heads[parent] + tails[node], out=spanned)
        if not above and node:
            np.maximum(avoiding[:node], tails[node], out=avoiding[:node])
        if childless[node] and node < n - 1:
            np.maximum(avoiding[node + 1 :], heads[node], out=avoiding[node + 1 :])
    length = head.max(axis=0)
    loss = length - np.maximum(head + tail - 2 * durations, avoiding)
    drag: Floats = np.where(loss > 1e-12 * length, loss, 0.0)
    return drag


def latest_of(steps: Sequence[int], ends: Sequence[Floats]) -> Floats:
    """When the last of at least one step ended, by run; ``ends[i]``: when step i did, shape (runs,). Not to be changed: it
    can be one of the ``ends``."""
    latest = ends[steps[0]]
    for step in steps[1:]:
        latest = np.maximum(latest, ends[step])
    return latest


def levels(parents: Sequence[Sequence[int]]) -> list[int]:
    """Level of every node: 0 for roots, else one more than the deepest parent; -1 on a cycle or downstream of one."""
    order = topological_order(parents)
    out = [-1] * len(parents)
    for node in order.order:
        out[node] = max((out[p] + 1 for p in parents[node]), default=0)
    return out
