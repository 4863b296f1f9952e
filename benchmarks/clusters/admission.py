"""What lets pods in: mutexes and semaphores, which are given in the order of the requests, and quotas of namespaces."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping

from benchmarks.clusters.law import Cluster
from benchmarks.clusters.runs import Pod

_EXACT = 1e-9


class Locks:
    """All locks. ``sizes``: places by lock; one where a lock has none."""

    def __init__(self, sizes: Mapping[str, int]) -> None:
        self._sizes = sizes
        self._held: dict[str, int] = defaultdict(int)
        self._queues: dict[str, deque[Pod]] = defaultdict(deque)

    def ask(self, pod: Pod) -> bool:
        """Whether the pod has the lock of its step now, or needs none; otherwise it is queued."""
        lock = pod.step.lock
        if lock is None:
            return True
        if self._queues[lock] or self._held[lock] >= self._sizes.get(lock, 1):
            self._queues[lock].append(pod)
            return False
        self._held[lock] += 1
        pod.holding = True
        return True

    def release(self, pod: Pod) -> Iterator[Pod]:
        """Give back what the pod holds; who has the lock in its place."""
        lock = pod.step.lock
        if lock is None or not pod.holding:
            return
        pod.holding = False
        self._held[lock] -= 1
        queue = self._queues[lock]
        while queue and self._held[lock] < self._sizes.get(lock, 1):
            other = queue.popleft()
            if other.run.over is not None:
                continue
            self._held[lock] += 1
            other.holding = True
            yield other


class Quotas:
    """CPU quotas by namespace (cores), beside services; none where a namespace has none."""

    def __init__(self, cluster: Cluster) -> None:
        self._hard = cluster.quotas
        self._used: dict[str, float] = defaultdict(float, cluster.in_quotas)
        self._queues: dict[str, deque[Pod]] = defaultdict(deque)

    def ask(self, pod: Pod) -> bool:
        """Whether the pod is within the quota; otherwise it is queued."""
        space = pod.run.flow.namespace
        if space not in self._hard:
            return True
        if self._queues[space] or not self._fits(pod):
            self._queues[space].append(pod)
            return False
        self._take(pod)
        return True

    def release(self, pod: Pod) -> Iterator[Pod]:
        """Give back what the pod uses; who is within the quota now."""
        space = pod.run.flow.namespace
        if not pod.counted:
            return
        pod.counted = False
        self._used[space] -= pod.step.cores
        queue = self._queues[space]
        while queue and (queue[0].run.over is not None or self._fits(queue[0])):
            other = queue.popleft()
            if other.run.over is None:
                self._take(other)
                yield other

    def _fits(self, pod: Pod) -> bool:
        space = pod.run.flow.namespace
        return self._used[space] + pod.step.cores <= self._hard[space] + _EXACT

    def _take(self, pod: Pod) -> None:
        self._used[pod.run.flow.namespace] += pod.step.cores
        pod.counted = True
