"""Simulated attempts of pods: how long they wait and work, what they use, and what they fail of."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from benchmarks.advice.law import DAY, HOUR, MI, NOW, Flow, Step
from concertmaster.core.model import ContainerFact, Outcome, StepExecution, VolumeUse

_ATTEMPTS = 6  # with random numbers of their own; later ones have those of the last


def gamma(cv: float, normal: float) -> float:
    """A value with mean 1 and this variation, from a normal draw (Wilson-Hilferty approximation of the gamma
    distribution)."""
    if cv <= 0:
        return 1.0
    shape = 1.0 / cv**2
    cube = 1.0 - 1.0 / (9.0 * shape) + normal / (3.0 * math.sqrt(shape))
    return max(0.02, cube) ** 3


@dataclass(slots=True)
class RunOfPods:
    """What the pods of a run have in common. ``names``: the product's names of the steps and, with "/", of their
    containers."""

    flow: Flow
    number: int
    start: float
    size: float
    names: dict[str, str]
    _draws: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = field(init=False)

    def __post_init__(self) -> None:
        self._draws = []
        for i, step in enumerate(self.flow.steps):
            own = np.random.default_rng((self.flow.seed, self.number, i + 1))
            uniform, normal = own.random((step.items, _ATTEMPTS, 8)), own.standard_normal((step.items, _ATTEMPTS, 3))
            self._draws.append((uniform, normal, own.standard_normal(2)))

    @property
    def days_ago(self) -> float:
        """Days between its start and the end of the history."""
        return (NOW - self.start) / DAY

    def draws(self, step: int, item: int, attempt: int) -> Draws:
        """The random numbers of an attempt."""
        uniform, normal, shared = self._draws[step]
        own = uniform[item, min(attempt, _ATTEMPTS - 1)].tolist()
        noise = normal[item, min(attempt, _ATTEMPTS - 1)].tolist()
        return Draws._make([*own, *noise, float(uniform[item, 0, 2]), *shared.tolist()])


class Draws(NamedTuple):
    """Uniform numbers (0 to 1) by what they decide, normal ones by what they vary; ``broken`` is one for all attempts of an
    item, those at the end are one for all pods of the step."""

    node: float
    part: float  # of its work that a failed attempt, or of the usual hang that this one has done
    sampled: float
    transient: float
    hang: float
    wait: float
    busy: float
    start: float
    work: float
    cores: float
    peak: float
    broken: float
    size: float
    key: float


class _Use(NamedTuple):
    """``work``: seconds from start to end; ``cores``: mean use; ``throttled``: share of periods; ``peak``: of memory,
    bytes."""

    work: float
    cores: float
    throttled: float
    peak: float


def execute(
    run: RunOfPods, at: int, item: int, attempt: int, ready: float, created: float, free: float
) -> StepExecution:
    """One attempt of an item of the step at this place, ``created`` when it was ``ready`` and allowed to run, with a node
    for it from ``free`` on (unix seconds)."""
    flow, step = run.flow, run.flow.steps[at]
    draws = run.draws(at, item, attempt)
    node = int(draws.node * flow.nodes)
    size = gamma(step.size_spread, draws.size) * math.exp(step.growth * (_growth_days(run) - 60.0))
    uneven = step.uneven if step.items > 1 and step.uneven > 1 and item == step.items - 1 else 1.0
    slow = flow.slow_factor if node < flow.slow_nodes else 1.0
    use, reason = _end(run, step, draws, _usual(run, step, draws, size, uneven, slow), created)
    scheduled = free + 0.2 + _wait(flow, step, draws, created)
    started = scheduled + step.start * (0.8 + 0.4 * draws.start)
    if step.timeout is not None and started + use.work - created > step.timeout:
        reason, use = "DeadlineExceeded", use._replace(work=step.timeout - (started - created))
    samples = max(1, int(use.work / 15.0)) if draws.sampled < flow.sampled else 0
    main = _main(run.names[f"{step.name}/"], step, use, started, samples, reason)
    uid = f"{flow.name}-{run.number}-{step.name}-{item}-{attempt}"
    return StepExecution(
        run.names[step.name], str(item) if step.items > 1 else None, attempt=attempt, pod=uid, uid=uid,
        node=f"node-{node}", ready=ready, created=created, scheduled=scheduled, started=started,
        finished=started + use.work, outcome=Outcome.SUCCEEDED if reason is None else Outcome.FAILED, reason=reason,
        containers=(main,) if step.sidecar is None else (main, _sidecar(step, use.work, started, samples)),
        input_fingerprint=f"{step.name}-{item}-{int(abs(draws.key) * 1e9) % step.keys}" if step.keys else None,
        input_size=size * run.size * 1e9 if step.sizes else None, volumes=_volumes(run, step, draws, created),
        network_receive_bytes=step.receives * use.work if step.receives else None,
    )  # fmt: skip


def _growth_days(run: RunOfPods) -> float:
    """Days of growth: both rates count from sixty days before the end."""
    return max(0.0, 60.0 - run.days_ago)


def _later(run: RunOfPods, step: Step) -> bool:
    """Whether the run is one of those after the step has changed."""
    return step.since is not None and run.days_ago <= step.since


def _usual(run: RunOfPods, step: Step, draws: Draws, size: float, uneven: float, slow: float) -> _Use:
    """What the attempt does and uses if nothing happens to it. Factors: of the input's ``size``, of an ``uneven`` item, of a
    ``slow`` node."""
    factor = step.factor if _later(run, step) else 1.0
    work = step.seconds * run.size * size * gamma(step.cv, draws.work) * factor * uneven * slow
    throttled = 0.0
    if step.cpu_limit is not None and step.cpu > 0.9 * step.cpu_limit:
        throttled = max(0.0, 1.0 - step.cpu_limit / step.cpu) * 0.9 + 0.02
        work *= max(1.0, step.cpu / step.cpu_limit)
    work /= 1.0 - step.waits_cpu
    busy = min(step.cpu, step.cpu_limit or step.cpu) * (1.0 - step.waits_cpu)
    grown = math.exp(step.peak_growth * (_growth_days(run) - 60.0))
    peak = step.peak * (1 + 0.3 * (run.size - 1)) * gamma(step.peak_cv, draws.peak) * grown
    return _Use(work, busy * gamma(0.05, draws.cores), throttled, peak)


def _end(run: RunOfPods, step: Step, draws: Draws, use: _Use, created: float) -> tuple[_Use, str | None]:
    """What it did and used until it ended, and the reason if it failed."""
    broken = step.then_broken if _later(run, step) else step.broken
    if step.memory_limit is not None and use.peak > step.memory_limit:
        return use._replace(peak=step.memory_limit, work=use.work * (0.4 + 0.5 * draws.part)), "OOMKilled"
    if draws.broken < broken or draws.transient < step.transient:
        return use._replace(work=use.work * (0.2 + 0.7 * draws.part)), "Error"
    if step.volume is not None and step.volume.at(created, draws.size) > step.volume.capacity:
        return use._replace(work=use.work * 0.5), "Error"
    if draws.hang < step.hang:  # it waits, and spends the CPU of a usual execution
        work = step.hang_seconds * (0.7 + 0.6 * draws.part)
        return use._replace(work=work, cores=use.cores * (use.work / work)), None
    return use, None


def _wait(flow: Flow, step: Step, draws: Draws, created: float) -> float:
    """Seconds until it is scheduled."""
    wait = step.wait * -math.log(1 - 0.98 * draws.wait)
    if flow.busy is not None and flow.busy[0] <= created % DAY / HOUR < flow.busy[1]:
        wait += flow.busy[2] * (0.6 + 0.8 * draws.busy)
    return wait


def _main(name: str, step: Step, use: _Use, started: float, samples: int, reason: str | None) -> ContainerFact:
    """Its own container; without samples no use is known."""
    work, cores = use.work, use.cores
    main = ContainerFact(
        name, "registry.example/etl:1", started=started, finished=started + work, samples=samples,
        expected_samples=max(1, int(work / 15.0)), cpu_request=step.cpu_request, cpu_limit=step.cpu_limit,
        memory_request=step.memory_request, memory_limit=step.memory_limit, cpu_seconds=cores * work,
        cpu_sampled_seconds=work, cpu_peak_cores=cores * 1.15, memory_sampled_peak=use.peak,
        memory_kernel_peak=1.03 * use.peak, throttled_share=use.throttled if step.cpu_limit is not None else None,
        reason=reason, oom_events=1.0 if reason == "OOMKilled" else 0.0, cpu_waiting_seconds=step.waits_cpu * work,
        io_waiting_seconds=step.waits_io * work, fs_read_bytes=2 * MI * work, fs_write_bytes=MI * work,
        gpu_request=float(step.gpus) or None, gpu_resource=step.gpu_resource if step.gpus else None,
        gpu_used=step.gpu_use * step.gpus_busy if step.gpus else None,
        gpus_active=float(step.gpus_busy) if step.gpus else None,
    )  # fmt: skip
    if samples:
        return main
    return replace(main, cpu_seconds=None, cpu_sampled_seconds=None, cpu_peak_cores=None, memory_sampled_peak=None,
                   memory_kernel_peak=None)  # fmt: skip


def _sidecar(step: Step, work: float, started: float, samples: int) -> ContainerFact:
    """The container beside it, which may end late."""
    assert step.sidecar is not None
    own, seconds = step.sidecar, work + step.sidecar_late
    return ContainerFact(
        own.name, "registry.example/proxy:1", started=started, finished=started + work + step.sidecar_late,
        samples=samples, expected_samples=max(1, int(work / 15.0)), cpu_request=own.cpu_request,
        memory_request=own.memory_request, cpu_seconds=own.cpu * seconds, cpu_sampled_seconds=seconds,
        cpu_peak_cores=1.1 * own.cpu, memory_sampled_peak=own.peak, memory_kernel_peak=own.peak,
    )  # fmt: skip


def _volumes(run: RunOfPods, step: Step, draws: Draws, created: float) -> tuple[VolumeUse, ...]:
    """Use of the volume that the step mounts."""
    volume = step.volume
    if volume is None:
        return ()
    claim = f"{run.flow.name}-{run.number}-{volume.claim}" if volume.each else volume.claim
    return (VolumeUse(claim, min(volume.at(created, draws.size), volume.capacity), volume.capacity),)
