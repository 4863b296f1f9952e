"""Simulated runs of a healthy workflow, as the records that the product would read."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from benchmarks.healthy.law import DAY, Delay, Flow, Run, Step
from concertmaster.core.model import (
    STOPPED,
    ContainerFact,
    Outcome,
    RunRecord,
    Source,
    StepExecution,
    VolumeUse,
    WorkflowDefinition,
)

_NODES = 8  # of equal speed, unless the workflow has a law of its own
_SCRAPE = 15.0  # seconds between two samples
_CREATION = 0.04  # seconds a controller needs for each pod
_FIRST, _NEXT = 1.0, 0.5  # seconds until the pods of the first steps, and of those after a step, are requested
_BACKOFF = 8.0  # seconds before a retry
_REDONE = 60.0  # seconds of work since the last checkpoint


def simulate(
    flow: Flow, definition: WorkflowDefinition, names: dict[str, str], seeds: Sequence[int], now: float
) -> list[RunRecord]:
    """Its runs of the window before ``now`` that have ended by then. ``names``: the product's names of the steps and, with
    "/", of their containers."""
    starts = flow.starts(np.random.default_rng([*seeds, 0]), now)
    runs: list[RunRecord] = []
    free = -math.inf
    for number, start in enumerate(sorted(starts)):
        if flow.schedule is not None and flow.meets == "Forbid" and start < free:
            continue
        run = Run(np.random.default_rng([*seeds, 1, number]), number, start, (now - start) / DAY)
        if flow.prepare is not None:
            flow.prepare(run)
        record = _Player(flow, run, definition, names).play()
        free = record.end or start
        if free <= now:
            runs.append(record)
    return runs


class _Pod(NamedTuple):
    """A pod that is to be created: when it is requested, as which of the run, and for which step (by position), item and
    attempt."""

    requested: float
    order: int
    step: int
    item: int
    attempt: int


@dataclass(slots=True)
class _Player:
    """One run while it is simulated. By step: the steps that are ``missing`` before it (by position), the ``sizes`` of its
    items, how many of them are ``left``, and when it was ``ready`` and ``ended``."""

    flow: Flow
    run: Run
    definition: WorkflowDefinition
    names: dict[str, str]
    queue: list[_Pod] = field(default_factory=list)
    missing: list[set[str]] = field(default_factory=list)
    sizes: dict[str, Sequence[float]] = field(default_factory=dict)
    left: dict[str, int] = field(default_factory=dict)
    ready: dict[str, float] = field(default_factory=dict)
    ended: dict[str, float] = field(default_factory=dict)
    rows: list[StepExecution] = field(default_factory=list)
    rest: dict[tuple[int, int], float] = field(
        default_factory=dict
    )  # seconds left after a checkpoint, by step and item
    outcome: Outcome = Outcome.SUCCEEDED
    requests: int = 0

    def play(self) -> RunRecord:
        """Simulate the pods in the order in which they are requested."""
        start = self.run.start
        slots = [start] * (self.flow.parallelism or 0)
        creator = start
        self.missing = [set(step.after) for step in self.flow.steps]
        for index, step in enumerate(self.flow.steps):
            if not step.after:
                self._launch(index, start, _FIRST)
        while self.queue:
            pod = heapq.heappop(self.queue)
            created = max(pod.requested, creator, heapq.heappop(slots) if slots else 0.0)
            creator = created + _CREATION
            done = self._execute(pod, created)
            self.rows.append(done)
            finished = done.finished or created
            if self.flow.parallelism:
                heapq.heappush(slots, finished)
            self._after(pod, finished, done.outcome)
        return self._record()

    def _record(self) -> RunRecord:
        self.rows.sort(key=lambda row: (row.created or 0.0, row.uid or ""))
        version = "" if self.run.version == self.flow.version else f"-{self.run.version}"
        return RunRecord(
            self.definition.key,
            f"{self.flow.name}-{self.run.number}",
            self.run.start,
            max((row.finished or 0.0 for row in self.rows), default=self.run.start),
            self.outcome,
            Source.LIVE if self.flow.live else Source.HISTORY,
            tuple(self.rows),
            fingerprint=f"{self.definition.fingerprint}{version}",
        )

    def _launch(self, index: int, at: float, delay: float) -> None:
        """Request the pods of a step whose dependencies ended ``at``; a step without any has ended, too."""
        step = self.flow.steps[index]
        skipped = step.only is not None and step.only not in self.run.marks
        sizes = () if skipped else step.items(self.run) if step.items is not None else (1.0,)
        self.sizes[step.name], self.left[step.name], self.ready[step.name] = sizes, len(sizes), at
        for item in range(len(sizes)):
            self._request(at + delay, index, item)
        if not sizes:
            self._complete(step.name, at)

    def _request(self, at: float, step: int, item: int, attempt: int = 0) -> None:
        self.requests += 1
        heapq.heappush(self.queue, _Pod(at, self.requests, step, item, attempt))

    def _after(self, pod: _Pod, finished: float, outcome: Outcome) -> None:
        """What follows the end of a pod: a retry, or the steps after its own once all items have succeeded."""
        step = self.flow.steps[pod.step]
        self.ended[step.name] = max(self.ended.get(step.name, finished), finished)
        if outcome is Outcome.FAILED and pod.attempt < step.retries:
            self._request(finished + _BACKOFF, pod.step, pod.item, pod.attempt + 1)
        elif outcome is not Outcome.SUCCEEDED:
            self.outcome = outcome
        else:
            self.left[step.name] -= 1
            if self.left[step.name] == 0:
                self._complete(step.name, self.ended[step.name])

    def _complete(self, name: str, at: float) -> None:
        self.ended[name] = at
        for index, other in enumerate(self.flow.steps):
            if name in self.missing[index]:
                self.missing[index].discard(name)
                if not self.missing[index]:
                    self._launch(index, max(self.ended[before] for before in other.after), _NEXT)

    def _execute(self, pod: _Pod, created: float) -> StepExecution:
        run, rng = self.run, self.run.rng
        step = self.flow.steps[pod.step]
        size = self.sizes[step.name][pod.item]
        node, pace = self.flow.node(run) if self.flow.node else (run.node or f"node-{rng.integers(0, _NODES)}", 1.0)
        scheduled = created + 0.1 + _waited(step.wait, run)
        started = scheduled + _pulled(step.pull, run)
        whole = max(0.5, _work(step, run, size) * pace)
        whole = self.rest.pop((pod.step, pod.item), whole)
        work, reason = _ended(step, run, whole)
        if step.resumes and reason is not None:
            self.rest[pod.step, pod.item] = whole - work + min(work, _REDONE)
        peak = _peak(step, run)
        if step.memory_limit is not None and peak > step.memory_limit:
            reason, peak, work = "OOMKilled", step.memory_limit, 0.6 * work
        if step.timeout is not None and started + work - created > step.timeout:
            reason, work = "DeadlineExceeded", max(0.0, step.timeout - (started - created))
        uid = f"{self.flow.name}-{run.number}-{step.name}-{pod.item}-{pod.attempt}"
        container = _container(step, run, started, work, peak, reason, self.names[f"{step.name}/"], self.flow.sampled)
        volume = step.volume
        return StepExecution(
            self.names[step.name], str(pod.item) if step.items else None, attempt=pod.attempt, pod=uid, uid=uid, node=node,
            ready=self.ready[step.name] if pod.attempt == 0 else pod.requested, created=created, scheduled=scheduled,
            started=started, finished=started + work, outcome=_outcome(reason),
            reason=reason, containers=(container,), network_receive_bytes=step.network * work,
            input_size=1e9 * (size if step.items else run.load) if step.sized else None,
            input_fingerprint=step.inputs(run) if step.inputs else None,
            volumes=(VolumeUse(volume.claim, volume.used(run) * volume.capacity, volume.capacity),) if volume else (),
        )  # fmt: skip


def _waited(delay: Delay, run: Run) -> float:
    return float(run.rng.exponential(delay)) if isinstance(delay, float | int) else delay(run)


def _pulled(delay: Delay, run: Run) -> float:
    return delay * float(run.rng.uniform(0.7, 1.3)) if isinstance(delay, float | int) else delay(run)


def _work(step: Step, run: Run, size: float) -> float:
    """Seconds of an execution that succeeds."""
    seconds = step.seconds * size * math.pow(run.load, step.scales) * run.varied(step.spread)
    if step.slow and run.chance(step.slow):
        seconds *= 1.0 + float(run.rng.pareto(step.tail))
    share, factor = step.rare
    return step.fixed + seconds * (factor if share and run.chance(share) else 1.0)


def _ended(step: Step, run: Run, work: float) -> tuple[float, str | None]:
    """Seconds until an attempt ends, and the reason if it fails."""
    reason = step.fails(run) if step.fails is not None else None
    if reason is not None:
        return work * float(run.rng.uniform(0.05, 0.5)), reason
    if run.chance(step.flaky):
        return work * float(run.rng.uniform(0.1, 0.9)), "Error"
    return work, None


def _outcome(reason: str | None) -> Outcome:
    """As the readers of live objects have it: what was stopped has neither succeeded nor failed."""
    if reason is None:
        return Outcome.SUCCEEDED
    return Outcome.UNKNOWN if reason in STOPPED else Outcome.FAILED


def _peak(step: Step, run: Run) -> float:
    used = step.memory_used + step.memory_grows * run.load
    return used * step.memory_request * run.varied(step.memory_spread)


def _container(
    step: Step, run: Run, started: float, work: float, peak: float, reason: str | None, name: str, sampled: float
) -> ContainerFact:
    cores = step.cpu_used * step.cpu_request * run.varied(0.05)
    cores = cores if step.cpu_limit is None else min(cores, step.cpu_limit)
    throttled = 0.01 if not step.throttled else min(0.4, step.throttled * run.varied(0.25))
    expected = max(1, int(work / _SCRAPE))
    samples = expected if run.chance(sampled * min(1.0, work / _SCRAPE)) else 0  # shorter pods are often missed
    used: dict[str, Any] = {}
    if samples:
        used = {
            "cpu_seconds": cores * work,
            "cpu_sampled_seconds": work,
            "cpu_peak_cores": 1.2 * cores,
            "memory_sampled_peak": peak,
            "memory_kernel_peak": 1.04 * peak,
        }
    if step.gpus:
        used |= {
            "gpu_request": float(step.gpus),
            "gpu_resource": step.gpu_resource,
            "gpu_used": step.gpus * step.gpu_used,
            "gpus_active": float(step.gpus),
        }
    return ContainerFact(
        name, f"registry.example/work:{run.version}", started=started, finished=started + work, samples=samples,
        expected_samples=expected, cpu_request=step.cpu_request, cpu_limit=step.cpu_limit,
        memory_request=step.memory_request, memory_limit=step.memory_limit,
        throttled_share=None if step.cpu_limit is None else throttled, reason=reason,
        oom_events=1.0 if reason == "OOMKilled" else 0.0, cpu_waiting_seconds=0.01 * work,
        io_waiting_seconds=step.disk_wait * work, fs_read_bytes=1e6 * work, fs_write_bytes=5e5 * work, **used,
    )  # fmt: skip
