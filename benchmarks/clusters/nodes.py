"""Nodes of the simulated cluster: which pod finds room where, what an autoscaler adds, and which spot nodes are lost."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from benchmarks.clusters.law import DAY, EVENING, MORNING, Cluster, Pool, stream
from benchmarks.clusters.runs import Node, Pod

_EXACT = 1e-9

Later = Callable[[float, Callable[[float], None]], None]
"""Calls a function at that time (unix seconds), with the time."""


def _turn(time: float) -> float:
    """The next time at which services scale."""
    return min(time + ((turn - time) % DAY or DAY) for turn in (MORNING, EVENING))


class Nodes:
    """``later``: see ``Later``; ``lose``: what to do with a pod whose node was lost; ``changed``: called once there is
    another node."""

    def __init__(
        self,
        cluster: Cluster,
        seed: int,
        begin: float,
        later: Later,
        lose: Callable[[float, Pod], None],
        changed: Callable[[float], None],
    ) -> None:
        self._seed, self._later, self._lose, self._changed = seed, later, lose, changed
        self._slowing = cluster.slowing
        self._pools = {pool.name: pool for pool in cluster.pools}
        self._first = cluster.pools[0]
        self._nodes: dict[str, list[Node]] = {pool.name: [] for pool in cluster.pools}
        self._made = dict.fromkeys(self._nodes, 0)
        self._booting = dict.fromkeys(self._nodes, 0)
        for pool in cluster.pools:
            for _ in range(pool.nodes):
                self._add(begin, pool, added=False)
            if pool.by_day:
                self._later(_turn(begin), lambda then, pool=pool: self._scaled(then, pool))  # type: ignore[misc]

    def pool_of(self, pod: Pod) -> Pool:
        """The pool on which the pod may run."""
        return self._pools[pod.step.pool] if pod.step.pool else self._first

    def place(self, time: float, pod: Pod) -> Node | None:
        """Bind the pod to a node; None where none has room. Pods are spread over the nodes of a fixed pool, and packed
        onto those of an autoscaled one."""
        pool = self.pool_of(pod)
        fitting = [n for n in self._nodes[pool.name] if n.free >= pod.step.cores - _EXACT]
        if not fitting:
            return None
        choose = max if pool.most is None else min
        node = choose(fitting, key=lambda n: n.free)
        node.free -= pod.step.cores
        node.used = time
        node.pods.append(pod)
        return node

    def victims(self, pod: Pod) -> list[Pod]:
        """Pods of lower priority whose eviction makes room for the pod on one node, as few as possible; none where that
        is not enough."""
        best: list[Pod] = []
        for node in self._nodes[self.pool_of(pod).name]:
            lower = [p for p in node.pods if p.run.flow.priority < pod.run.flow.priority]
            free, chosen = node.free, []
            for other in sorted(lower, key=lambda p: (p.run.flow.priority, -(p.scheduled or 0.0))):
                if free >= pod.step.cores - _EXACT:
                    break
                free += other.step.cores
                chosen.append(other)
            if free >= pod.step.cores - _EXACT and chosen and (not best or len(chosen) < len(best)):
                best = chosen
        return best

    def slower(self, node: Node) -> float:
        """How many times longer work takes on the node, as full as it is."""
        return 1.0 + self._slowing * (1.0 - max(0.0, node.free) / node.pool.cores)

    def release(self, time: float, pod: Pod) -> None:
        """The pod has left its node."""
        node = pod.node
        assert node is not None
        node.pods.remove(pod)
        node.free += pod.step.cores
        node.used = time
        if node.added and not node.pods:
            self._later(time + node.pool.idle, lambda then: self._remove(then, node))

    def grow(self, time: float, pending: Iterable[Pod]) -> None:
        """Add nodes for the pods that found no room, as an autoscaler does."""
        short: dict[str, float] = {}
        for pod in pending:
            pool = self.pool_of(pod)
            if pool.most is not None:
                short[pool.name] = short.get(pool.name, 0.0) + pod.step.cores
        for name, cores in short.items():
            pool = self._pools[name]
            most = (pool.most or 0) - len(self._nodes[name])
            for _ in range(min(most, math.ceil(cores / pool.cores - _EXACT)) - self._booting[name]):
                self._booting[name] += 1
                boot = pool.boot * stream(self._seed, "boot", name, round(time)).uniform(0.8, 1.3)
                self._later(time + boot, lambda then, pool=pool: self._booted(then, pool))  # type: ignore[misc]

    def _scaled(self, time: float, pool: Pool) -> None:
        """Services of the pool have begun their day, or ended it; pods that are on a node stay there."""
        more = pool.services_at(time - 1.0) - pool.services_at(time)
        for node in self._nodes[pool.name]:
            node.free += more
        self._later(_turn(time), lambda then: self._scaled(then, pool))
        if more > 0.0:
            self._changed(time)

    def _booted(self, time: float, pool: Pool) -> None:
        self._booting[pool.name] -= 1
        node = self._add(time, pool, added=True)
        self._changed(time)
        if not node.pods:
            self._later(time + pool.idle, lambda then: self._remove(then, node))

    def _add(self, time: float, pool: Pool, *, added: bool) -> Node:
        number = self._made[pool.name]
        self._made[pool.name] += 1
        node = Node(f"{pool.name or 'node'}-{number}", pool, pool.cores - pool.services_at(time), time, added)
        self._nodes[pool.name].append(node)
        if pool.lost is not None:
            life = stream(self._seed, "life", pool.name, number).expovariate(1.0 / pool.lost)
            self._later(time + life, lambda then: self._gone(then, node))
        return node

    def _remove(self, time: float, node: Node) -> None:
        if not node.pods and not node.gone and time - node.used >= node.pool.idle - 1.0:
            node.gone = True
            self._nodes[node.pool.name].remove(node)

    def _gone(self, time: float, node: Node) -> None:
        if node.gone:
            return
        node.gone = True
        self._nodes[node.pool.name].remove(node)
        for pod in list(node.pods):
            self._lose(time, pod)
        if not node.added:
            pool = node.pool
            self._later(time + pool.boot, lambda then: self._replaced(then, pool))

    def _replaced(self, time: float, pool: Pool) -> None:
        self._add(time, pool, added=False)
        self._changed(time)
