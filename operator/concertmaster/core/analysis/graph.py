"""Exact figures of a step graph: order, levels, longest path, slack and drag.

Everything the analysis says about bottlenecks rests on the longest path, so it is computed exactly and in linear time
rather than estimated. Terms follow the critical path method (Kelley and Walker, 1959): *slack* is how much longer a
step could take without making the whole longer; *drag* (Devaux, 1999) is what the whole would lose if the step took no
time, which a path share alone overstates as soon as a second path is nearly as long.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

LONGEST = 1e12  # seconds, 30,000 years: a number beyond is no duration; sums and squares below stay finite
SHORTEST = 1e-3  # seconds: clocks of clusters tell no less


@dataclass(frozen=True, slots=True)
class CriticalPath:
    """The longest path of a graph whose nodes have durations.

    ``length`` is in the unit of the durations. ``chain`` holds the nodes of one longest path, root first. ``slack``,
    ``drag`` and ``levels`` have an entry for every node of the usable graph; ``problems`` says what was wrong with the
    input and how it was read. With a cycle there is no longest path: ``length`` is NaN and the chain is empty.
    """

    length: float
    chain: tuple[str, ...] = ()
    slack: Mapping[str, float] = field(default_factory=dict)
    drag: Mapping[str, float] = field(default_factory=dict)
    levels: Mapping[str, int] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Order:
    """A topological order of nodes 0..n-1; ``cyclic`` holds the nodes on, or behind, a cycle."""

    order: tuple[int, ...]
    children: tuple[tuple[int, ...], ...]
    cyclic: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class LongestPath:
    """Index form of CriticalPath. ``head[i]`` is the longest path that ends with node i, ``tail[i]`` the longest that
    starts with it, both including its own duration. ``length`` is NaN when the graph has a cycle."""

    length: float
    chain: tuple[int, ...]
    head: tuple[float, ...]
    tail: tuple[float, ...]
    order: tuple[int, ...]


def topological_order(parents: Sequence[Sequence[int]]) -> Order:
    """Kahn's algorithm over ``parents[i]`` (positions i waits for); among ready nodes the lowest position goes first.

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
    return Order(tuple(order), tuple(tuple(c) for c in children), cyclic)


def clean_duration(value: object) -> float:
    """``value`` as a duration in seconds; what is no positive number below LONGEST counts as no time."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return 0.0
    return number if 0.0 < number < LONGEST else 0.0


def longest_path(durations: Sequence[float], parents: Sequence[Sequence[int]], ordered: bool = False) -> LongestPath:
    """Longest path through nodes 0..n-1, exact, in O(nodes + edges).

    ``durations`` are seconds (bad values count as zero), ``parents[i]`` the positions node i waits for. ``ordered``:
    every node is known to come after those it waits for.
    """
    n = min(len(durations), len(parents))
    order: Sequence[int] = range(n)
    if not ordered:
        found = topological_order(parents[:n])
        if found.cyclic:
            return LongestPath(math.nan, (), (), (), ())
        order = found.order
    spent = [clean_duration(d) for d in durations[:n]]
    head, best = [0.0] * n, [-1] * n
    for node in order:
        begin, last = 0.0, -1
        for parent in parents[node]:
            if 0 <= parent < n and (last < 0 or head[parent] > begin):
                begin, last = head[parent], parent
        head[node], best[node] = begin + spent[node], last
    tail = [0.0] * n  # of a node not yet reached: the longest of its children's
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
    """Drag of every node: ``length`` minus the length when that node takes no time. Exact, in O(edges log nodes).

    Every path from a root to a leaf either contains node v or has one edge that jumps over v's place in a topological
    order. The longest path that avoids v is therefore the largest head + tail over the edges that span its place.
    """
    n = len(path.order)
    out = [0.0] * n
    if not n:
        return out
    place = [0] * n
    for position, node in enumerate(path.order):
        place[node] = position
    has_child = [False] * n
    spans: list[tuple[int, float, int]] = []  # (first place jumped over, length of the longest such path, last place)
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
        through = path.head[node] + path.tail[node] - 2 * own  # without the node's own time, which both sides hold
        avoiding = -active[0][0] if active else 0.0
        loss = path.length - max(through, avoiding)
        out[node] = loss if loss > 1e-12 * path.length else 0.0
    return out


def levels(parents: Sequence[Sequence[int]]) -> list[int]:
    """Level of every node: 0 for roots, else one more than the deepest parent; -1 for nodes on or behind a cycle."""
    found = topological_order(parents)
    out = [-1] * len(parents)
    for node in found.order:
        out[node] = max((out[p] + 1 for p in parents[node] if 0 <= p < len(parents)), default=0)
    return out


def critical_path(durations: Mapping[str, float], edges: Mapping[str, Sequence[str]]) -> CriticalPath:
    """Longest path with its chain, slack and drag per node.

    ``durations``: seconds per node. ``edges``: for each node the nodes it depends on. Unknown names, self references
    and bad durations are reported in ``problems`` and left out; a cycle leaves no path at all.
    """
    names = list(dict.fromkeys([*durations, *(n for n in edges if n in durations)]))
    index = {name: i for i, name in enumerate(names)}
    problems = [
        *_bad_durations(durations),
        *(f"step {n!r} has no duration and is left out" for n in edges if n not in index),
    ]
    parents: list[list[int]] = [[] for _ in names]
    for name, above in edges.items():
        for parent in dict.fromkeys(above):
            if parent == name:
                problems.append(f"step {name!r} depends on itself; that edge is ignored")
            elif parent not in index:
                problems.append(f"step {name!r} depends on unknown step {parent!r}; that edge is ignored")
            elif name in index:
                parents[index[name]].append(index[parent])
    spent = [durations[name] for name in names]
    path = longest_path(spent, parents)
    if math.isnan(path.length):
        cycle = find_cycle(parents)
        problems.append("the steps depend on one another in a circle: " + " -> ".join(names[i] for i in cycle))
        return CriticalPath(math.nan, problems=tuple(problems))
    drag, level = drags(path, spent, parents), levels(parents)
    slack = {
        name: max(0.0, path.length - (path.head[i] + path.tail[i] - clean_duration(spent[i])))
        for i, name in enumerate(names)
    }
    return CriticalPath(
        path.length,
        tuple(names[i] for i in path.chain),
        slack,
        dict(zip(names, drag, strict=True)),
        dict(zip(names, level, strict=True)),
        tuple(problems),
    )


def find_cycle(parents: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """One cycle as positions, first repeated at the end, in the direction of execution; empty without one."""
    cyclic = set(topological_order(parents).cyclic)
    node = next(iter(sorted(cyclic)), None)
    if node is None:
        return ()
    seen: dict[int, int] = {}
    walk: list[int] = []
    while node not in seen:
        seen[node] = len(walk)
        walk.append(node)
        node = next(p for p in parents[node] if p in cyclic)  # a stuck node has at least one stuck parent
    cycle = walk[seen[node] :]
    return (*reversed(cycle), cycle[-1])


def reachable(parents: Sequence[Sequence[int]], start: Iterable[int]) -> set[int]:
    """All positions that ``start`` depends on, directly or not, ``start`` itself excluded unless it is on a cycle."""
    stack = [p for node in start for p in parents[node]]
    out: set[int] = set()
    while stack:
        node = stack.pop()
        if node not in out and 0 <= node < len(parents):
            out.add(node)
            stack.extend(parents[node])
    return out


def _bad_durations(durations: Mapping[str, float]) -> list[str]:
    out = []
    for name, value in durations.items():
        try:
            bad = not 0.0 <= float(value) < LONGEST
        except (TypeError, ValueError, OverflowError):
            bad = True
        if bad:
            out.append(f"step {name!r} has no usable duration ({value!r}); it counts as no time")
    return out
