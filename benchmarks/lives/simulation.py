"""Runs of a followed workflow, as the records that the product reads."""

from __future__ import annotations

import heapq
import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from benchmarks.lives.law import BEGIN, DAY, IDLE, Flow, Step
from benchmarks.lives.manifests import image, known
from concertmaster.core.model import ContainerFact, Outcome, RunRecord, Source, StepExecution

_NEXT = 1.0  # seconds until the engine creates what is due
_BACKOFF = 10.0  # seconds before a retry
_DIES_AFTER = 0.6  # of the work, when an attempt fails
_SCRAPE = 15.0  # seconds
_NODES = 8
_JITTER = 3.0  # seconds within which a controller starts a scheduled run


def starts(flow: Flow, since: float, until: float) -> Iterator[tuple[int, float]]:
    """Numbers and start times (unix seconds) of the runs that are due from ``since`` to before ``until``."""
    number = math.ceil((since - BEGIN) / flow.every)
    while (time := BEGIN + number * flow.every) < until:
        if not any(a <= time < b for a, b in flow.paused):
            yield number, time
        number += 1


def play(flow: Flow, seed: int, number: int, due: float) -> RunRecord:
    """The run of that number, ``due`` in unix seconds."""
    return _Player(flow, seed, number, due).play()


@dataclass(slots=True)
class _Player:
    """One run while it is simulated. ``queue``: pods to be created, by time; by step: the items ``left``, and when it was
    ``ready`` and ``done``."""

    flow: Flow
    seed: int
    number: int
    due: float
    load: float = 1.0
    size: float = 1.0
    queue: list[tuple[float, int, int, int, int]] = field(default_factory=list)
    left: dict[str, int] = field(default_factory=dict)
    ready: dict[str, float] = field(default_factory=dict)
    done: dict[str, float] = field(default_factory=dict)
    rows: list[StepExecution] = field(default_factory=list)
    failed: bool = False
    requested: int = 0

    def play(self) -> RunRecord:
        flow, rng = self.flow, np.random.default_rng((self.seed, self.number + 10**6))
        start = self.due + float(rng.uniform(0.0, _JITTER))
        noise, spread = rng.standard_normal(2)
        effects = [e for e in flow.effects if e.step is None and e.holds(start, None)]
        self.size = math.exp(flow.input_spread * spread) * math.prod(e.inputs for e in effects)
        age = (start - BEGIN) / DAY
        self.load = self.size * math.exp(flow.noise * noise) * (1.0 + flow.drift) ** age * flow.calendar.factor(start)
        slots = [start] * (flow.parallelism or 0)
        self.left = {step.name: step.items for step in flow.steps}
        self._launch(start)
        while self.queue:
            requested, _, index, item, attempt = heapq.heappop(self.queue)
            created = max(requested, heapq.heappop(slots)) if slots else requested
            ended = self._execute(index, item, attempt, requested, created)
            if flow.parallelism:
                heapq.heappush(slots, ended)
        self.rows.sort(key=lambda row: (row.created or 0.0, row.uid or ""))
        end = max(row.finished or 0.0 for row in self.rows)
        outcome = Outcome.FAILED if self.failed else Outcome.SUCCEEDED
        read, name = known(flow).definition, f"etl-{self.number}"
        mark = read.fingerprint
        return RunRecord(read.key, name, start, end, outcome, Source.HISTORY, tuple(self.rows), fingerprint=mark)

    def _launch(self, now: float) -> None:
        """Request the pods of all steps that have become ready."""
        for index, step in enumerate(self.flow.steps):
            if step.name not in self.ready and all(before in self.done for before in step.after):
                self.ready[step.name] = max((self.done[before] for before in step.after), default=now)
                for item in range(step.items):
                    self._request(self.ready[step.name] + _NEXT, index, item, 0)

    def _request(self, time: float, index: int, item: int, attempt: int) -> None:
        self.requested += 1
        heapq.heappush(self.queue, (time, self.requested, index, item, attempt))

    def _execute(self, index: int, item: int, attempt: int, requested: float, created: float) -> float:
        """Simulate one attempt, and return when it ends."""
        step, flow = self.flow.steps[index], self.flow
        rng = np.random.default_rng((self.seed, self.number + 10**6, zlib.crc32(step.name.encode()), item, attempt))
        varies, peaks, uses = rng.standard_normal(3)
        waits, pulls, luck, node = rng.uniform(size=4)
        scheduled = created + 0.2 + float(waits)
        started = scheduled + 2.0 + 2.0 * float(pulls)
        effects = [e for e in flow.effects if e.holds(created, step.name)]
        factor = math.prod(e.factor for e in effects)
        work = step.seconds * self.load * factor * step.stretch * math.exp(step.spread * float(varies))
        peak = step.memory * math.exp(step.memory_spread * float(peaks)) * math.prod(e.memory for e in effects)
        fails = next((e.fails for e in reversed(effects) if e.fails is not None), step.fails)
        reason = None
        if step.memory_limit is not None and peak > step.memory_limit:
            reason, peak, work = "OOMKilled", step.memory_limit, _DIES_AFTER * work
        elif luck < fails:
            reason, work = "Error", _DIES_AFTER * work
        uid = f"etl-{self.number}-{step.name}-{item}-{attempt}"
        names, sizes = known(flow).names, flow.inputs_known
        container = _container(step, names[f"{step.name}/"], started, work, peak, 1.0 + 0.03 * float(uses), reason)
        self.rows.append(
            StepExecution(
                names[step.name], str(item) if step.items > 1 else None, attempt=attempt, pod=uid, uid=uid,
                node=f"node-{int(_NODES * node)}", ready=self.ready[step.name] if attempt == 0 else requested,
                created=created, scheduled=scheduled, started=started, finished=started + work,
                outcome=Outcome.FAILED if reason else Outcome.SUCCEEDED, reason=reason, containers=(container,),
                input_size=1e9 * self.size / step.items if sizes else None,
            )
        )  # fmt: skip
        self._after(index, item, attempt, started + work, reason is not None)
        return started + work

    def _after(self, index: int, item: int, attempt: int, ended: float, failed: bool) -> None:
        step = self.flow.steps[index]
        if failed and attempt < step.retries:
            self._request(ended + _BACKOFF, index, item, attempt + 1)
        elif failed:
            self.failed = True
        else:
            self.left[step.name] -= 1
            if self.left[step.name] == 0:
                self.done[step.name] = ended
                self._launch(ended)


def _container(
    step: Step, name: str, started: float, work: float, peak: float, use: float, reason: str | None
) -> ContainerFact:
    limited = min(step.cores, step.cpu_limit or math.inf)
    cores = use * step.cores * (step.busy + IDLE * (1.0 - step.busy)) / step.stretch
    samples = max(1, int(work / _SCRAPE))
    return ContainerFact(
        name, image(step), started=started, finished=started + work, samples=samples, expected_samples=samples,
        cpu_request=step.cpu_request, cpu_limit=step.cpu_limit, memory_request=step.memory_request,
        memory_limit=step.memory_limit, cpu_seconds=cores * work, cpu_sampled_seconds=work, cpu_peak_cores=limited,
        memory_sampled_peak=peak, memory_kernel_peak=1.02 * peak,
        throttled_share=None if step.cpu_limit is None else _throttled(step),
        reason=reason, oom_events=1.0 if reason == "OOMKilled" else 0.0, cpu_waiting_seconds=0.01 * work,
        io_waiting_seconds=0.02 * work, fs_read_bytes=1e6 * work, fs_write_bytes=5e5 * work,
    )  # fmt: skip


def _throttled(step: Step) -> float:
    """Share of its CPU periods in which the container waits for the next one."""
    return 0.01 if step.stretch == 1.0 else (step.stretch - 1.0 + step.busy) / step.stretch
