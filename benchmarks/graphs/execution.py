"""What happens in one attempt of one item: how long it works, what it needs, and why it fails."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from statistics import median

from benchmarks.graphs.draws import stream
from benchmarks.graphs.law import DAY, NOW, Container, Flow, Step

_ATTEMPTS = 8  # with random events of their own; further ones repeat the last
_LEAST_STARTUP = 0.2


@dataclass(frozen=True, slots=True)
class RunState:
    """What all pods of a run have in common: its number and start (unix seconds), the ``sample`` of random events it
    belongs to, the size of its input, and the factor on its times."""

    flow: Flow
    sample: int
    number: int
    start: float
    size: float
    pace: float

    @property
    def days_ago(self) -> float:
        """Days from its start to the end of the window."""
        return (NOW - self.start) / DAY


@dataclass(frozen=True, slots=True)
class Course:
    """One attempt: seconds of work, why it failed (None: it did not) and in which container, the memory peak of each
    container in bytes, the number of the node, the seconds until it was found and from then to the start, and the factor on
    the usual cores."""

    work: float
    reason: str | None
    failed_in: str
    peaks: dict[str, float]
    node: int
    queued: float
    startup: float
    cpu_factor: float


class Events:
    """The random events of one step of a run, in one item of its group."""

    def __init__(self, run: RunState, step: Step, group: int) -> None:
        rng = stream(run.flow.seed, run.sample, run.number, step.name, group)
        self._uniform = rng.random((step.items, _ATTEMPTS, 6))
        self._normal = rng.standard_normal((step.items, _ATTEMPTS, 3))
        self._of_run = rng.random(2)
        self._of_item = rng.random(step.items)
        self._run, self._step = run, step

    def course(self, item: int, attempt: int) -> Course:
        """What happens in this attempt."""
        run, step = self._run, self._step
        row = min(attempt, _ATTEMPTS - 1)
        where, moment, fails, hangs, queue, start = (float(u) for u in self._uniform[item, row])
        time, memory, cpu = (float(n) for n in self._normal[item, row])
        node = int(where * run.flow.nodes)
        work = min(self._work(item, time, node), self._longest())
        peaks = {c.name: _peak(c, run.size, memory) for c in step.containers}
        killed = next((c.name for c in step.containers if c.memory_limit and peaks[c.name] > c.memory_limit), None)
        reason, cores = None, math.exp(0.04 * cpu)
        if killed is not None:
            reason, work = "OOMKilled", work * (0.5 + 0.4 * moment)
        elif self._broken(item) or fails < step.transient:
            first, last = step.fails_at
            reason, work = "Error", work * (first + (last - first) * moment)
        elif hangs < step.hang:
            usual, work = work, step.hang_seconds * (0.8 + 0.4 * moment)
            cores *= usual / work
        queued = _LEAST_STARTUP - step.wait * math.log(1.0 - 0.98 * queue)
        startup = step.startup * (0.8 + 0.4 * start)
        if step.timeout is not None and queued + startup + work > step.timeout:
            reason, work = "DeadlineExceeded", max(1.0, step.timeout - queued - startup)
        return Course(work, reason, killed or "main", peaks, node, queued, startup, cores)

    def _longest(self) -> float:
        """Most seconds of an item."""
        if self._step.evened is None:
            return math.inf
        draws = zip(self._normal[:, 0, 0], self._uniform[:, 0, 0] * self._run.flow.nodes, strict=True)
        works = [self._work(item, float(time), int(node)) for item, (time, node) in enumerate(draws)]
        others = [work for item, work in enumerate(works) if self._unlike(item) == 1.0]
        return max(self._step.evened * median(works), *others)

    def _work(self, item: int, time: float, node: int) -> float:
        run, step = self._run, self._step
        work = step.seconds * run.pace * math.exp(step.elasticity * math.log(run.size))
        work *= math.exp(step.spread * time - step.spread * step.spread / 2)
        if step.change is not None and step.change.holds(run.days_ago, item, run.size):
            work *= step.change.factor
        if step.item_spread:
            work *= math.exp(step.item_spread * _lasting(run.flow.seed, step.name, item))
        if step.items > 1:
            work *= self._unlike(item)
        if node < run.flow.slow_nodes:
            work *= run.flow.slow_factor
        return work * math.prod(c.throttling[0] for c in step.containers if c.paces)

    def _unlike(self, item: int) -> float:
        """Factor of an item that takes longer than the others."""
        step = self._step
        often, which = (float(u) for u in self._of_run)
        slow = often < step.slow_item_share and item == int(which * step.items)
        return (step.last_item if item == step.items - 1 else 1.0) * (step.slow_item if slow else 1.0)

    def _broken(self, item: int) -> bool:
        """Whether all attempts of the item fail."""
        run, step = self._run, self._step
        changed = step.change is not None and step.change.holds(run.days_ago, item, run.size)
        share = step.change.broken if changed and step.change is not None else step.broken
        return float(self._of_item[item]) < share


@lru_cache(maxsize=4096)
def _lasting(seed: int, step: str, item: int) -> float:
    """What makes an item differ in all runs (standard normal)."""
    return float(stream(seed, step, item).standard_normal())


def _peak(container: Container, size: float, normal: float) -> float:
    return container.memory * math.exp(container.memory_elasticity * math.log(size) + container.memory_spread * normal)
