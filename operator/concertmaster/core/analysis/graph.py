"""Exact figures of a step graph: order, levels, longest path, slack and drag.

Bottleneck analysis rests on the longest path, so it is computed exactly, in linear time. Terms follow the critical path
method (Kelley and Walker, 1959): *slack* is how much longer a step could take without delaying the whole; *drag* (Devaux,
1999) is how much shorter the whole would be if the step took no time. A step's share of the path overstates this as soon
as a second path is nearly as long.
"""

from __future__ import annotations

import heapq
import math
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
    cyclic: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class LongestPath:
    """The longest path as node positions, ``chain`` root first. ``head[i]``: length of the longest path ending with node i,
    ``tail[i]``: of the longest starting with it, both including its own duration (s). ``length`` is NaN with a cycle."""

    length: float
    chain: tuple[int, ...]
    head: tuple[float, ...]
    tail: tuple[float, ...]
    order: tuple[int, ...]


def topological_order(parents: Sequence[Sequence[int]]) -> TopologicalOrder:
    """Kahn's algorithm over ``parents[i]`` (positions node i waits for); ties are broken by lowest position.

    Positions outside the graph are ignored. Nodes that can never become ready are returned in ``cyclic``.
    """
    n = len(parents)
    children: list[list[int]] = [[] for _ in range(n)]
    missing = [0] * n
    for node, above in enumerate(parents):
        for parent in above:
            if 0 <= parent < n:
                children[parent].append(node)
                missing[node] += 1
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


def clean_duration(value: object) -> float:
    """``value`` as a duration in seconds; anything but a positive number below MAX_SECONDS becomes 0."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return 0.0
    return number if 0.0 < number < MAX_SECONDS else 0.0


def longest_path(durations: Sequence[float], parents: Sequence[Sequence[int]], ordered: bool = False) -> LongestPath:
    """Longest path through nodes 0..n-1, exact, in O(nodes + edges).

    ``durations`` in seconds (invalid values count as zero); ``parents[i]``: positions node i waits for. ``ordered``: the
    nodes are already in topological order.
    """
    n = min(len(durations), len(parents))
    order: Sequence[int] = range(n)
    if not ordered:
        sequence = topological_order(parents[:n])
        if sequence.cyclic:
            return LongestPath(math.nan, (), (), (), ())
        order = sequence.order
    spent = [clean_duration(d) for d in durations[:n]]
    head, best = [0.0] * n, [-1] * n
    for node in order:
        begin, last = 0.0, -1
        for parent in parents[node]:
            if 0 <= parent < n and (last < 0 or head[parent] > begin):
                begin, last = head[parent], parent
        head[node], best[node] = begin + spent[node], last
    tail = [0.0] * n  # until a node is visited: the longest tail of its children
    for node in reversed(order):
        through = tail[node] = spent[node] + tail[node]
        for parent in parents[node]:
            if 0 <= parent < n and tail[parent] < through:
                tail[parent] = through
    if not n:
        return LongestPath(0.0, (), (), (), ())
    node = max(range(n), key=head.__getitem__)
    length, chain = head[node], [node]
    while best[node] >= 0:
        node = best[node]
        chain.append(node)
    return LongestPath(length, tuple(reversed(chain)), tuple(head), tuple(tail), tuple(order))


def drags(path: LongestPath, durations: Sequence[float], parents: Sequence[Sequence[int]]) -> list[float]:
    """Drag of every node in seconds: ``length`` minus the length when that node takes no time. O(edges log nodes).

    Every path from a root to a leaf either contains node v or has exactly one edge that spans v's place in a topological
    order. The longest path that avoids v is therefore the largest head + tail over the edges that span that place.
    """
    n = len(path.order)
    out = [0.0] * n
    if not n:
        return out
    place = [0] * n
    for position, node in enumerate(path.order):
        place[node] = position
    has_child = [False] * n
    spans: list[tuple[int, float, int]] = []  # (first place spanned, length of the longest such path, last place)
    for node in range(n):
        rooted = True
        for parent in parents[node]:
            if 0 <= parent < n:
                rooted, has_child[parent] = False, True
                if place[node] - place[parent] > 1:
                    spans.append((place[parent] + 1, path.head[parent] + path.tail[node], place[node] - 1))
        if rooted and place[node] > 0:
            spans.append((0, path.tail[node], place[node] - 1))
    spans += [(place[v] + 1, path.head[v], n - 1) for v in range(n) if not has_child[v] and place[v] < n - 1]
    spans.sort()
    active: list[tuple[float, int]] = []
    taken = 0
    for position, node in enumerate(path.order):
        while taken < len(spans) and spans[taken][0] <= position:
            heapq.heappush(active, (-spans[taken][1], spans[taken][2]))
            taken += 1
        while active and active[0][1] < position:
            heapq.heappop(active)
        own = clean_duration(durations[node])
        through = path.head[node] + path.tail[node] - 2 * own  # head and tail both include the node's own time
        avoiding = -active[0][0] if active else 0.0
        loss = path.length - max(through, avoiding)
        out[node] = loss if loss > 1e-12 * path.length else 0.0
    return out


def drags_many(durations: Floats, parents: Sequence[Sequence[int]]) -> Floats:
    """``drags`` of many graphs with the same edges at once. Nodes must be in topological order; ``durations`` and the result
    have shape (nodes, graphs), seconds."""
    spent = np.where((durations > 0.0) & (durations < MAX_SECONDS), durations, 0.0)
    head, tail, n = spent.copy(), np.zeros_like(spent), len(parents)
    heads, tails = list(head), list(tail)  # views of the rows: indexing them again and again took a third of the time
    childless = [True] * n
    for node, above in enumerate(parents):
        if above:
            heads[node] += latest_of(above, heads)
            for parent in above:
                childless[parent] = False
    for node in reversed(range(n)):
        through = tails[node]  # until here: the longest tail of its children
        through += spent[node]
        for parent in parents[node]:
            np.maximum(tails[parent], through, out=tails[parent])
    avoiding = np.zeros_like(spent)
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
    loss = length - np.maximum(head + tail - 2 * spent, avoiding)
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
        out[node] = max((out[p] + 1 for p in parents[node] if 0 <= p < len(parents)), default=0)
    return out
