"""All workflows of a site at the same time, one event after the other."""

from __future__ import annotations

import heapq
import itertools
import math
from collections import defaultdict
from collections.abc import Callable

from benchmarks.clusters.admission import Locks, Quotas
from benchmarks.clusters.law import Flow, Rng, Site, stream
from benchmarks.clusters.nodes import Nodes
from benchmarks.clusters.runs import Pod, Run
from benchmarks.clusters.starts import Start, starts

_PREEMPTED, _LOST = "PreemptionByScheduler", "NodeLost"


def play(site: Site, seed: int, begin: float, end: float) -> dict[str, list[Run]]:
    """The runs by workflow that begin between ``begin`` and ``end`` (unix seconds), each until it is over. Equal seeds give
    equal work, whatever else differs between two sites."""
    simulation = _Simulation(site, seed, begin)
    for flow in site.flows:
        for start in starts(flow, seed, begin, end):
            simulation.expect(flow, start)
    simulation.go()
    return simulation.runs


class _Simulation:
    def __init__(self, site: Site, seed: int, begin: float) -> None:
        self._seed, self._cluster = seed, site.cluster
        self._agenda: list[tuple[float, int, Callable[[float], None]]] = []
        self._order = itertools.count()
        self.runs: dict[str, list[Run]] = {flow.name: [] for flow in site.flows}
        self._active: dict[str, list[Run]] = defaultdict(list)
        self._late: dict[str, Start] = {}
        self._expected = 0
        self._pending: list[Pod] = []
        self._nodes = Nodes(site.cluster, seed, begin, self._later, self._lose, self._schedule)
        self._locks = Locks(site.cluster.semaphores)
        self._run_locks: dict[str, list[Run]] = defaultdict(list)
        self._quotas = Quotas(site.cluster)

    def expect(self, flow: Flow, start: Start) -> None:
        """Have this run started when it is due."""
        self._expected += 1
        self._later(start.due, lambda time: self._due(time, flow, start))

    def go(self) -> None:
        """Play until every run is over."""
        while self._agenda and (self._expected or any(self._active.values())):
            time, _, act = heapq.heappop(self._agenda)
            act(time)

    def _later(self, time: float, act: Callable[[float], None]) -> None:
        heapq.heappush(self._agenda, (time, next(self._order), act))

    def _due(self, time: float, flow: Flow, start: Start) -> None:
        self._expected -= 1
        active = self._active[flow.name]
        if start.scheduled and active and flow.policy == "Forbid":
            # The controller of CronJobs makes up for the last start that was missed, that of Argo with a deadline only.
            if flow.engine == "cronjob" or flow.deadline is not None:
                self._late[flow.name] = start
            return
        if start.scheduled and flow.policy == "Replace":
            for run in list(active):
                self._end(time, run, failed=True)
        self._begin(time, flow, start)

    def _begin(self, time: float, flow: Flow, start: Start) -> None:
        run = Run(flow, start, left={s.name: s.items for s in flow.steps})
        self.runs[flow.name].append(run)
        self._active[flow.name].append(run)
        if flow.run_lock is not None:
            queue = self._run_locks[flow.run_lock]
            queue.append(run)
            if len(queue) > 1:
                return
        self._admitted(time, run)

    def _admitted(self, time: float, run: Run) -> None:
        run.begun = time
        self._later(time + 0.5, lambda then: self._continue(then, run))

    def _end(self, time: float, run: Run, *, failed: bool) -> None:
        run.over, run.failed = time, failed
        self._active[run.flow.name].remove(run)
        run.waiting.clear()
        for pod in [p for p in run.pods if p.finished is None]:
            self._finish(time, pod, "Stopped")
        if run.flow.run_lock is not None:
            queue = self._run_locks[run.flow.run_lock]
            first = queue[0] is run
            queue.remove(run)
            if first and queue:
                self._admitted(time, queue[0])
        late = self._late.pop(run.flow.name, None)
        deadline = run.flow.deadline
        if late is not None and (deadline is None or time <= late.due + deadline):
            self.expect(run.flow, Start(time + 1.0, late.number, False))

    def _continue(self, time: float, run: Run) -> None:
        """Pods of the steps whose dependencies are over, and the end of the run."""
        if run.over is not None:
            return
        if not any(run.left.values()):
            self._end(time, run, failed=False)
            return
        for step in run.flow.steps:
            if step.name not in run.ready and not any(run.left[name] for name in step.after):
                run.ready.add(step.name)
                run.waiting += [Pod(run, step, item, 0, time) for item in range(step.items)]
        self._admit(time, run)

    def _admit(self, time: float, run: Run) -> None:
        """Pods as far as the limit of the run, locks and the quota of the namespace let them in, in this order."""
        while run.waiting and (run.flow.limit is None or run.active < run.flow.limit):
            pod = run.waiting.pop(0)
            run.active += 1
            if self._locks.ask(pod):
                self._ask_quota(time, pod)

    def _ask_quota(self, time: float, pod: Pod) -> None:
        if pod.run.over is None and self._quotas.ask(pod):
            delay = self._random(pod, "created").uniform(0.5, 1.5)
            self._later(time + delay, lambda then: self._create(then, pod))

    def _create(self, time: float, pod: Pod) -> None:
        if pod.run.over is not None:
            self._leave(time, pod)
            return
        pod.created = time
        pod.run.pods.append(pod)
        self._pending.append(pod)
        self._schedule(time)

    def _schedule(self, time: float) -> None:
        """Bind pods to nodes: those of higher priority first, of equal ones the oldest."""
        if not self._pending:
            return
        full: set[tuple[str, float, int]] = set()
        for pod in sorted(self._pending, key=lambda p: (-p.run.flow.priority, p.created or 0.0)):
            if pod.finished is not None:  # evicted, or its run was stopped, by what was done for one before it
                continue
            size = (pod.step.pool, pod.step.cores, pod.run.flow.priority)
            if size in full:
                continue
            node = self._nodes.place(time, pod)
            if node is None and self._cluster.preempts:
                for other in self._nodes.victims(pod):
                    self._finish(time, other, _PREEMPTED)
                node = self._nodes.place(time, pod)
            if node is None:
                full.add(size)
                continue
            self._pending.remove(pod)
            pod.node, pod.scheduled = node, time
            random = self._random(pod, "work")
            pod.started = time + random.uniform(1.0, 4.0)
            work = pod.step.seconds * math.exp(random.gauss(0.0, pod.step.spread)) * self._pace(pod.run)
            over = pod.started + work * self._nodes.slower(node)
            self._later(over, lambda then, pod=pod: self._finish(then, pod, None))  # type: ignore[misc]
        if self._pending:
            self._nodes.grow(time, self._pending)

    def _pace(self, run: Run) -> float:
        """How long the work of all its pods takes, as a factor."""
        flow, start = run.flow, run.start
        common = stream(self._seed, flow.name, start.number).gauss(0.0, flow.run_spread)
        before = flow.before
        return math.exp(common) * (before.factor if before is not None and start.due < before.until else 1.0)

    def _random(self, pod: Pod, what: str) -> Rng:
        run = pod.run
        return stream(self._seed, run.flow.name, run.start.number, pod.step.name, pod.item, pod.attempt, what)

    def _lose(self, time: float, pod: Pod) -> None:
        self._finish(time, pod, _LOST)

    def _finish(self, time: float, pod: Pod, reason: str | None) -> None:
        """The pod is over. If it was killed (``reason``) it is tried again as often as its step says, and then the run
        fails."""
        if pod.finished is not None:
            return
        pod.finished, pod.reason = time, reason
        if pod.node is not None:
            self._nodes.release(time, pod)
        else:
            self._pending.remove(pod)
        run = pod.run
        run.active -= 1
        self._leave(time, pod)
        if run.over is None:
            if reason is None:
                run.left[pod.step.name] -= 1
            elif pod.attempt < pod.step.retries:
                run.waiting.insert(0, Pod(run, pod.step, pod.item, pod.attempt + 1, time))
            else:
                self._end(time, run, failed=True)
            self._later(time + 0.5, lambda then: self._continue(then, run))
        self._later(time, self._schedule)

    def _leave(self, time: float, pod: Pod) -> None:
        """Give back what the pod held, and let in who waited for it."""
        for other in self._locks.release(pod):
            self._ask_quota(time, other)
        for other in self._quotas.release(pod):
            delay = self._random(other, "quota").uniform(1.0, 10.0)
            self._later(time + delay, lambda then, other=other: self._create(then, other))  # type: ignore[misc]
