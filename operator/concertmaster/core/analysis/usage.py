"""Container usage per run: the figures that sizing and the utilisation marks rest on.

The unit is the run, not the sample: one peak, one CPU total and one duration per container and run (design section 1).
Items of a fan-out share one request, so the run's peak is the largest of its items'. Ambiguous rows and rows without
samples are left out and counted, never read as zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from typing import Any, NamedTuple

from concertmaster.core.analysis.pod_level import governed
from concertmaster.core.model import POD, ContainerFact, ContainerSpec, Outcome, RunRecord, StepExecution, StepSpec
from concertmaster.core.model.amounts import STORAGE

# Containers the engines add to every pod; their size is not the workflow author's.
_EXECUTOR_CONTAINERS = {"wait", "init", "supervisor", "prepare", "place-scripts", "working-dir-initializer"}


class RunUsage(NamedTuple):
    """One run's figures of one container.

    ``memory_peak`` is the highest sample, ``memory_most`` the kernel's high-water mark (page cache included): the true peak
    lies between them. ``memory_floor`` is a limit the container was killed at, if it was. ``waiting_share`` is the share of
    the time in which it had work and no CPU (0 to 1), by the kernel's pressure figures. ``reserved_seconds`` is how long its
    pods were there, which is what requests cost. ``gpus_used``: GPUs busy on average; ``gpus_active``: most at any time;
    ``storage_peak``: of its writable layer, bytes.
    """

    time: float
    seconds: float
    memory_peak: float | None
    memory_most: float | None
    mean_cores: float | None
    peak_cores: float | None
    throttled_share: float | None
    oom_killed: bool
    memory_floor: float | None
    input_size: float | None
    waiting_share: float | None
    reserved_seconds: float
    gpus_used: float | None = None
    gpus_active: float | None = None
    storage_peak: float | None = None


@dataclass(frozen=True, slots=True)
class ContainerUsage:
    """A container of a step over runs: requests in force, per-run usage, and how much of it could be seen.

    ``coverage`` is the share of executions with usable memory samples; ``ambiguous`` and ``unsampled`` count the rest.
    """

    name: str
    image: str | None
    cpu_request: float | None
    cpu_limit: float | None
    memory_request: float | None
    memory_limit: float | None
    place: str | None  # of its resources in the definition
    executions: int
    ambiguous: int
    unsampled: int
    coverage: float | None
    runs: tuple[RunUsage, ...]
    gpu_resource: str | None = None
    gpu_request: float | None = None
    storage_request: float | None = None  # ephemeral storage, bytes
    storage_limit: float | None = None

    @property
    def memory_utilization(self) -> float | None:
        """Median per-run peak over the request; None when either is unknown."""
        peaks = [r.memory_peak for r in self.runs if r.memory_peak is not None] if self.memory_request else []
        return sorted(peaks)[len(peaks) // 2] / self.memory_request if peaks and self.memory_request else None

    @property
    def cpu_utilization(self) -> float | None:
        """Median per-run mean CPU over the request; None when either is unknown."""
        means = [r.mean_cores for r in self.runs if r.mean_cores is not None] if self.cpu_request else []
        return sorted(means)[len(means) // 2] / self.cpu_request if means and self.cpu_request else None

    @property
    def gpu_utilization(self) -> float | None:
        """Median per-run mean use of the GPUs over their number; None when either is unknown."""
        means = [r.gpus_used for r in self.runs if r.gpus_used is not None] if self.gpu_request else []
        return sorted(means)[len(means) // 2] / self.gpu_request if means and self.gpu_request else None

    @property
    def storage_utilization(self) -> float | None:
        """Median per-run peak of ephemeral storage over the request; None when either is unknown."""
        peaks = [r.storage_peak for r in self.runs if r.storage_peak is not None] if self.storage_request else []
        return sorted(peaks)[len(peaks) // 2] / self.storage_request if peaks and self.storage_request else None


def utilizations(containers: Sequence[ContainerUsage]) -> dict[str, list[float]]:
    """Used shares of the requests of containers, by resource; what is unknown is left out."""
    names = {"cpu": "cpu", "memory": "memory", "gpu": "gpu", STORAGE: "storage"}
    return {
        resource: [u for c in containers if (u := getattr(c, f"{name}_utilization")) is not None]
        for resource, name in names.items()
    }


def weighted_utilization(containers: Sequence[ContainerUsage]) -> tuple[float | None, float | None]:
    """CPU and memory utilization (0 to 1), weighted by what was requested for how long; None where unknown."""
    figures: list[float | None] = []
    for kind in ("cpu", "memory"):
        weight = used = 0.0
        for container in containers:
            request, share = getattr(container, f"{kind}_request"), getattr(container, f"{kind}_utilization")
            if request and share is not None:
                held = request * sum(r.seconds for r in container.runs)
                weight += held
                used += held * share
        figures.append(used / weight if weight > 0 else None)
    return figures[0], figures[1]


_usage = partial(tuple.__new__, RunUsage)  # of its fields: there are as many as containers of runs


def mean_cores(fact: ContainerFact, fallback_seconds: float | None) -> float | None:
    """CPU seconds over the wall time the counter covers (over the whole life it reads low for short pods)."""
    if fact.cpu_seconds is None:
        return None
    seconds = fact.cpu_sampled_seconds or fallback_seconds
    return fact.cpu_seconds / seconds if seconds and seconds > 0 else None


def _seconds(fact: ContainerFact, execution: StepExecution) -> float | None:
    if fact.started is not None and fact.finished is not None:
        return fact.finished - fact.started if fact.finished > fact.started else 0.0
    return execution.duration


def _run_usage(time: float, rows: Sequence[tuple[ContainerFact, StepExecution]]) -> RunUsage:
    if len(rows) == 1:
        return _only_usage(time, *rows[0])
    seconds = reserved = 0.0
    peak = most = cores = peak_cores = throttled = floor = size = waiting = gpus = active = disk = None
    killed = False
    for fact, execution in rows:
        one = _only_usage(time, fact, execution)
        size = _larger(size, one.input_size)
        killed = killed or one.oom_killed
        floor = _larger(floor, one.memory_floor)
        if fact.ambiguous:
            continue
        seconds += one.seconds
        reserved += one.reserved_seconds
        peak = _larger(peak, one.memory_peak)
        most = _larger(most, one.memory_most)
        cores = _larger(cores, one.mean_cores)
        peak_cores = _larger(peak_cores, one.peak_cores)
        throttled = _larger(throttled, one.throttled_share)
        waiting = _larger(waiting, one.waiting_share)
        gpus, active = _larger(gpus, fact.gpu_used), _larger(active, fact.gpus_active)
        disk = _larger(disk, fact.storage_peak)
    more = (gpus, active, disk)
    return RunUsage(
        time, seconds, peak, most, cores, peak_cores, throttled, killed, floor, size, waiting, reserved, *more
    )


def _only_usage(time: float, fact: ContainerFact, execution: StepExecution) -> RunUsage:
    """Of a single execution, as nearly all runs have it."""
    killed = fact.reason == "OOMKilled"
    floor, size = fact.memory_limit if killed else None, execution.input_size
    if fact.ambiguous:
        return RunUsage(time, 0.0, None, None, None, None, None, killed, floor, size, None, 0.0)
    own = _seconds(fact, execution)
    sampled, kernel = fact.memory_sampled_peak, fact.memory_kernel_peak
    return _usage(
        (
            time,
            own or 0.0,
            sampled if sampled is not None else kernel,
            kernel,
            mean_cores(fact, own),
            fact.cpu_peak_cores,
            fact.throttled_share,
            killed,
            floor,
            size,
            _waiting(fact, own),
            execution.span or own or 0.0,
            fact.gpu_used,
            fact.gpus_active,
            fact.storage_peak,
        )
    )


def _waiting(fact: ContainerFact, fallback_seconds: float | None) -> float | None:
    if fact.cpu_waiting_seconds is None:
        return None
    seconds = fact.cpu_sampled_seconds or fallback_seconds
    return min(1.0, fact.cpu_waiting_seconds / seconds) if seconds and seconds > 0 else None


def _larger(known: float | None, value: float | None) -> float | None:
    return value if known is None or (value is not None and value > known) else known


class InRun(NamedTuple):
    """A container of a step in one run: as its last execution had it, how many there were, and what they used."""

    newest: ContainerFact
    executions: int
    ambiguous: int
    unsampled: int
    usage: RunUsage


def usage_of(run: RunRecord) -> dict[str, dict[str, InRun]]:
    """Usage of every main container in a run, by step and container. Those that only the engine's executor adds are left
    out."""
    found: dict[str, dict[str, list[tuple[ContainerFact, StepExecution]]]] = {}
    for execution in run.steps:
        if execution.outcome is Outcome.SKIPPED or execution.outcome is Outcome.CACHED:
            continue
        for fact in execution.containers:
            if not fact.init and fact.name not in _EXECUTOR_CONTAINERS:
                found.setdefault(execution.step, {}).setdefault(fact.name, []).append((fact, execution))
    return {step: {name: _in_run(run, rows) for name, rows in of.items()} for step, of in found.items()}


def _in_run(run: RunRecord, rows: Sequence[tuple[ContainerFact, StepExecution]]) -> InRun:
    return InRun(
        rows[-1][0],
        len(rows),
        sum([fact.ambiguous for fact, _ in rows]),
        sum([not fact.ambiguous and fact.memory_peak is None for fact, _ in rows]),
        _run_usage(run.end if run.end is not None else rows[0][1].finished or 0.0, rows),
    )


def container_usage(spec: StepSpec | None, runs: Iterable[Mapping[str, InRun]]) -> tuple[ContainerUsage, ...]:
    """Usage of every main container of a step, from what ``usage_of`` says of it in each run (oldest first).

    Requests come from the definition where it declares the container, else from the newest execution.
    """
    per_container: dict[str, list[InRun]] = {}
    for run in runs:
        for name, found in run.items():
            per_container.setdefault(name, []).append(found)
    declared = {c.name: c for c in spec.sized} if spec else {}
    of_pod = governed(spec.pod) if spec else frozenset[str]()
    return tuple(
        _container(name, declared.get(name), runs_of, of_pod)
        for name, runs_of in sorted(per_container.items())
        if name == POD or len(of_pod) < 2
    )


def _container(
    name: str, declared: ContainerSpec | None, runs: Sequence[InRun], of_pod: frozenset[str] = frozenset()
) -> ContainerUsage:
    newest = runs[-1].newest
    executions, ambiguous = sum([run.executions for run in runs]), sum([run.ambiguous for run in runs])
    unsampled = sum([run.unsampled for run in runs])
    now = declared if declared is not None else newest
    has = {r: not of_pod or (r in of_pod) is (name == POD) for r in ("cpu", "memory")}
    covered = has["memory"]  # where memory is another's, nothing of it is missing here
    return ContainerUsage(
        name=name,
        image=(declared.image if declared else None) or newest.image,
        cpu_request=now.cpu_request if has["cpu"] else None,
        cpu_limit=now.cpu_limit if has["cpu"] else None,
        memory_request=now.memory_request if has["memory"] else None,
        memory_limit=now.memory_limit if has["memory"] else None,
        place=declared.place if declared else None,
        executions=executions,
        ambiguous=ambiguous,
        unsampled=unsampled if covered else 0,
        coverage=(executions - ambiguous - unsampled) / executions if covered else None,
        runs=tuple(sorted([run.usage for run in runs], key=itemgetter(0))),
        **_extended(declared, newest),
    )


def _extended(declared: ContainerSpec | None, newest: ContainerFact) -> dict[str, Any]:
    """GPUs and ephemeral storage: what the definition says now, else what the newest execution had."""
    names = ("gpu_resource", "gpu_request", "storage_request", "storage_limit")
    found = {name: getattr(newest, name) for name in names}
    return found | {name: value for name in names if (value := getattr(declared, name, None)) is not None}
