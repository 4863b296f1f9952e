"""Simulated runs of a workflow. Equal seeds yield equal random events, so that fixing a problem in the model shows its
effect."""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass, field, replace
from itertools import zip_longest

import numpy as np

from benchmarks.advice.law import DAY, HOUR, MI, NOW, WINDOW, Flow, Step
from concertmaster.core.model import ContainerFact, Outcome, RunRecord, Source, StepExecution, VolumeUse, WorkflowKey

_ATTEMPTS = 6


@dataclass(slots=True)
class _Run:
    """State of a run: its records, free slots, and the pending steps."""

    flow: Flow
    number: int
    start: float
    size: float
    draws: dict[str, np.ndarray] = field(default_factory=dict)
    rows: list[StepExecution] = field(default_factory=list)
    failed: bool = False


def gamma(cv: float, normal: float) -> float:
    """A value with mean 1 and this variation, from a normal draw (Wilson-Hilferty approximation of the gamma
    distribution)."""
    if cv <= 0:
        return 1.0
    shape = 1.0 / cv**2
    cube = 1.0 - 1.0 / (9.0 * shape) + normal / (3.0 * math.sqrt(shape))
    return max(0.02, cube) ** 3


def starts(flow: Flow, until: float = NOW, span: float = WINDOW) -> list[tuple[int, float]]:
    """Number and time of the runs that begin in the span before ``until`` (unix seconds); numbers do not depend on the
    span."""
    base = (NOW - 400 * DAY) // DAY * DAY + flow.begin
    first = math.ceil((until - span - base) / flow.every)
    last = math.floor((until - 2 * HOUR - base) / flow.every)
    return [(n, base + n * flow.every) for n in range(first, last + 1)]


def play_all(
    flow: Flow, key: WorkflowKey, names: dict[str, str], until: float = NOW, span: float = WINDOW
) -> list[RunRecord]:
    """All runs of the span. ``names``: the product's names of the steps and, with "/", of their containers."""
    due = starts(flow, until, span)
    if flow.meets is None:
        return [play(flow, key, names, n, t) for n, t in due]
    runs: list[RunRecord] = []
    free, missed = -math.inf, None
    for number, time in due:
        if missed is not None and free < time:  # a CronJob's newest missed start takes place as soon as it may
            runs.append(play(flow, key, names, missed, free + 1.0))
            free, missed = runs[-1].end or free, None
        if time < free and flow.meets == "Forbid":
            missed = number if flow.engine == "cronjob" else None
            continue
        runs.append(play(flow, key, names, number, time, flow.crowding if time < free else 1.0))
        free = max(free, runs[-1].end or free)
    return _cut(runs, Outcome.FAILED if flow.engine == "cron" else Outcome.UNKNOWN) if flow.meets == "Replace" else runs


def _cut(runs: list[RunRecord], outcome: Outcome) -> list[RunRecord]:
    """Truncate runs that end when the next one is due: Argo stops them, and their pods fail; a CronJob deletes them, and
    their outcome is unknown."""
    reason = "Error" if outcome is Outcome.FAILED else None
    found = []
    for run, after in zip_longest(runs, runs[1:]):
        cut = after.start if after is not None else None
        if cut is None or (run.end or 0.0) <= cut:
            found.append(run)
            continue
        rows = tuple(
            e if (e.finished or 0.0) <= cut else replace(e, finished=cut, outcome=outcome, reason=reason)
            for e in run.steps
            if (e.started or 0.0) < cut
        )
        found.append(replace(run, end=cut, outcome=outcome, steps=rows))
    return found


def play(
    flow: Flow, key: WorkflowKey, names: dict[str, str], number: int, start: float, crowding: float = 1.0
) -> RunRecord:
    """Simulate one run."""
    rng = np.random.default_rng((flow.seed, number))
    hour = start % DAY / HOUR
    weekend = int(start // DAY + 3) % 7 >= 5
    size = gamma(flow.noise, float(rng.standard_normal()))
    size *= crowding * (1.0 + flow.daily * math.sin(2 * math.pi * hour / 24.0)) * (1.0 - flow.weekly * weekend)
    run = _Run(flow, number, start, size)
    for i, step in enumerate(flow.steps):
        own = np.random.default_rng((flow.seed, number, i + 1))
        run.draws[step.name] = own.random((step.items, _ATTEMPTS, 8))
        run.draws[f"{step.name}/n"] = own.standard_normal((step.items, _ATTEMPTS, 3))
        run.draws[f"{step.name}/s"] = own.standard_normal(2)
    end = _schedule(run, names)
    outcome = Outcome.FAILED if run.failed else Outcome.SUCCEEDED
    run.rows.sort(key=lambda e: (e.created or 0.0, e.uid or ""))
    return RunRecord(
        key, f"{flow.name}-{number}", start, end, outcome, Source.HISTORY, tuple(run.rows), fingerprint="f"
    )


def _schedule(run: _Run, names: dict[str, str]) -> float:
    """Simulate the steps in the order in which pods become ready; returns the end of the last pod."""
    flow = run.flow
    open_ = {s.name: s.items for s in flow.steps}
    ready_at = {s.name: run.start for s in flow.steps}
    missing = {s.name: set(s.after) for s in flow.steps}
    slots = [run.start] * (flow.parallelism or 10_000 if flow.parallelism else 1)
    room = [run.start] * (flow.capacity or 1)
    locks: dict[str, float] = {}
    creator, last = run.start, run.start
    order = {s.name: i for i, s in enumerate(flow.steps)}
    queue: list[tuple[float, int, int, int]] = []
    for s in flow.steps:
        if not s.after:
            for item in range(s.items):
                heapq.heappush(queue, (run.start + 1.0, order[s.name], item, 0))
    while queue:
        ready, at, item, attempt = heapq.heappop(queue)
        step = flow.steps[at]
        created = max(ready, heapq.heappop(slots)) if flow.parallelism else ready
        created = max(created, creator, locks.get(step.lock, 0.0) if step.lock else 0.0)
        creator = created + 0.05
        free = max(created, heapq.heappop(room)) if flow.capacity else created
        execution = _execute(
            run, step, names, item, attempt, ready_at[step.name] if attempt == 0 else ready, created, free
        )
        run.rows.append(execution)
        finished = execution.finished or created
        gone = finished + step.sidecar_late
        if flow.parallelism:
            heapq.heappush(slots, gone)
        if flow.capacity:
            heapq.heappush(room, gone)
        if step.lock:
            locks[step.lock] = gone
        last = max(last, gone)
        if execution.outcome is Outcome.FAILED:
            if attempt < step.retries:
                heapq.heappush(queue, (finished + 10.0, at, item, attempt + 1))
            else:
                run.failed = True
            continue
        open_[step.name] -= 1
        for other in flow.steps:
            if other.pipelined and step.name in other.after:
                heapq.heappush(queue, (gone + 0.5, order[other.name], item, 0))
        ready_at.update({s.name: max(ready_at[s.name], gone) for s in flow.steps if step.name in s.after})
        if open_[step.name] == 0:
            for other in flow.steps:
                missing[other.name].discard(step.name)
                if step.name in other.after and not missing[other.name] and not other.pipelined:
                    for k in range(other.items):
                        heapq.heappush(queue, (ready_at[other.name] + 0.5, order[other.name], k, 0))
    return last


def _execute(
    run: _Run, step: Step, names: dict[str, str], item: int, attempt: int, ready: float, created: float, free: float
) -> StepExecution:
    flow, try_ = run.flow, min(attempt, _ATTEMPTS - 1)
    u = run.draws[step.name][item, try_]
    same = run.draws[step.name][item, 0]
    n = run.draws[f"{step.name}/n"][item, try_]
    shared = run.draws[f"{step.name}/s"]
    before = (NOW - run.start) / DAY
    later = step.since is not None and before <= step.since
    growth = max(0.0, 60.0 - before)  # both growth rates count from sixty days before the end
    size = gamma(step.size_spread, float(shared[0])) * math.exp(step.growth * (growth - 60.0))
    work = step.seconds * run.size * size * gamma(step.cv, float(n[0])) * (step.factor if later else 1.0)
    if step.items > 1 and step.uneven > 1 and item == step.items - 1:
        work *= step.uneven
    node = int(u[0] * flow.nodes)
    if node < flow.slow_nodes:
        work *= flow.slow_factor
    throttled = 0.0
    if step.cpu_limit is not None and step.cpu > 0.9 * step.cpu_limit:
        throttled = max(0.0, 1.0 - step.cpu_limit / step.cpu) * 0.9 + 0.02
        work *= max(1.0, step.cpu / step.cpu_limit)
    work /= 1.0 - step.waits_cpu
    busy = min(step.cpu, step.cpu_limit or step.cpu) * (1.0 - step.waits_cpu)
    cores = busy * gamma(0.05, float(n[1]))
    peak = (
        step.peak
        * (1 + 0.3 * (run.size - 1))
        * gamma(step.peak_cv, float(n[2]))
        * math.exp(step.peak_growth * (growth - 60.0))
    )
    volumes: tuple[VolumeUse, ...] = ()
    reason: str | None = None
    broken = step.then_broken if later else step.broken
    if step.memory_limit is not None and peak > step.memory_limit:
        reason, peak, work = "OOMKilled", step.memory_limit, work * (0.4 + 0.5 * float(u[1]))
    elif float(same[2]) < broken or float(u[3]) < step.transient:
        reason, work = "Error", work * (0.2 + 0.7 * float(u[1]))
    elif step.volume is not None and step.volume.at(created, float(shared[0])) > step.volume.capacity:
        reason, work = "Error", work * 0.5
    elif float(u[4]) < step.hang:  # it waits, and spends the CPU of a usual execution
        usual, work = work, step.hang_seconds * (0.7 + 0.6 * float(u[1]))
        cores *= usual / work
    wait = step.wait * -math.log(1 - 0.98 * float(u[5]))
    hour = created % DAY / HOUR
    if flow.busy is not None and flow.busy[0] <= hour < flow.busy[1]:
        wait += flow.busy[2] * (0.6 + 0.8 * float(u[6]))
    scheduled = free + 0.2 + wait
    started = scheduled + step.start * (0.8 + 0.4 * float(u[7]))
    limit = step.timeout
    if limit is not None and started + work - created > limit:
        reason, work = "DeadlineExceeded", limit - (started - created)
    finished = started + work
    expected = max(1, int(work / 15.0))
    samples = expected if float(u[2]) < flow.sampled else 0
    if step.volume is not None:
        claim = f"{flow.name}-{run.number}-{step.volume.claim}" if step.volume.each else step.volume.claim
        used = min(step.volume.at(created, float(shared[0])), step.volume.capacity)
        volumes = (VolumeUse(claim, used, step.volume.capacity),)
    main = ContainerFact(
        names[f"{step.name}/"], "registry.example/etl:1", started=started, finished=finished, samples=samples,
        expected_samples=expected, cpu_request=step.cpu_request, cpu_limit=step.cpu_limit,
        memory_request=step.memory_request, memory_limit=step.memory_limit, cpu_seconds=cores * work,
        cpu_sampled_seconds=work, cpu_peak_cores=cores * 1.15, memory_sampled_peak=peak, memory_kernel_peak=1.03 * peak,
        throttled_share=throttled if step.cpu_limit is not None else None, reason=reason,
        oom_events=1.0 if reason == "OOMKilled" else 0.0, cpu_waiting_seconds=step.waits_cpu * work,
        io_waiting_seconds=step.waits_io * work, fs_read_bytes=2 * MI * work, fs_write_bytes=MI * work,
        gpu_request=float(step.gpus) or None, gpu_resource=step.gpu_resource if step.gpus else None,
        gpu_used=step.gpu_use * step.gpus_busy if step.gpus else None,
        gpus_active=float(step.gpus_busy) if step.gpus else None,
    )  # fmt: skip
    if not samples:
        main = replace(main, cpu_seconds=None, cpu_sampled_seconds=None, cpu_peak_cores=None, memory_sampled_peak=None,
                       memory_kernel_peak=None)  # fmt: skip
    containers = [main]
    if step.sidecar is not None:
        s = step.sidecar
        seconds = work + step.sidecar_late
        containers.append(
            ContainerFact(
                s.name, "registry.example/proxy:1", started=started, finished=finished + step.sidecar_late,
                samples=samples, expected_samples=expected, cpu_request=s.cpu_request, memory_request=s.memory_request,
                cpu_seconds=s.cpu * seconds, cpu_sampled_seconds=seconds, cpu_peak_cores=1.1 * s.cpu,
                memory_sampled_peak=s.peak, memory_kernel_peak=s.peak,
            )
        )  # fmt: skip
    uid = f"{flow.name}-{run.number}-{step.name}-{item}-{attempt}"
    outcome = Outcome.SUCCEEDED if reason is None else Outcome.FAILED
    key = f"{step.name}-{item}-{int(abs(float(shared[1])) * 1e9) % step.keys}" if step.keys else None
    return StepExecution(
        names[step.name], str(item) if step.items > 1 else None, attempt=attempt, pod=uid, uid=uid,
        node=f"node-{node}", ready=ready, created=created, scheduled=scheduled, started=started, finished=finished,
        outcome=outcome, reason=reason, containers=tuple(containers), input_fingerprint=key,
        input_size=size * run.size * 1e9 if step.sizes else None, volumes=volumes,
        network_receive_bytes=step.receives * work if step.receives else None,
    )  # fmt: skip
