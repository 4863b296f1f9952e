"""Container usage per run: the figures that sizing and the utilisation marks rest on.

The unit is the run, not the sample: one peak, one CPU total and one duration per container and run (design section 1).
Items of a fan-out share one request, so the run's peak is the largest of its items'. Ambiguous rows and rows without
samples are left out and counted, never read as zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from concertmaster.core.analysis.pod_level import governed
from concertmaster.core.model import POD, ContainerFact, ContainerSpec, Outcome, RunRecord, StepExecution, StepSpec

# Containers the engines add to every pod; their size is not the workflow author's.
_EXECUTOR_CONTAINERS = {"wait", "init", "supervisor", "prepare", "place-scripts", "working-dir-initializer"}


class RunUsage(NamedTuple):
    """One run's figures of one container.

    ``memory_peak`` is the highest sample, ``memory_most`` the kernel's high-water mark (page cache included): the true peak
    lies between them. ``memory_floor`` is a limit the container was killed at, if it was. ``waiting_share`` is the share of
    the time in which it had work and no CPU (0 to 1), by the kernel's pressure figures. ``reserved_seconds`` is how long its
    pods were there, which is what requests cost.
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

    @property
    def memory_utilization(self) -> float | None:
        """Median per-run peak over the request; None when either is unknown."""
        peaks = sorted(r.memory_peak for r in self.runs if r.memory_peak is not None)
        if not peaks or not self.memory_request:
            return None
        return peaks[len(peaks) // 2] / self.memory_request

    @property
    def cpu_utilization(self) -> float | None:
        """Median per-run mean CPU over the request; None when either is unknown."""
        means = sorted(r.mean_cores for r in self.runs if r.mean_cores is not None)
        if not means or not self.cpu_request:
            return None
        return means[len(means) // 2] / self.cpu_request


def mean_cores(fact: ContainerFact, fallback_seconds: float | None) -> float | None:
    """CPU seconds over the wall time the counter covers (over the whole life it reads low for short pods)."""
    if fact.cpu_seconds is None:
        return None
    seconds = fact.cpu_sampled_seconds or fallback_seconds
    return fact.cpu_seconds / seconds if seconds and seconds > 0 else None


def _seconds(fact: ContainerFact, execution: StepExecution) -> float | None:
    if fact.started is not None and fact.finished is not None:
        return max(0.0, fact.finished - fact.started)
    return execution.duration


def _run_usage(time: float, rows: Sequence[tuple[ContainerFact, StepExecution]]) -> RunUsage:
    seconds = reserved = 0.0
    peak = most = cores = peak_cores = throttled = floor = size = waiting = None
    killed = False
    for fact, execution in rows:
        size = _larger(size, execution.input_size)
        if fact.reason == "OOMKilled":
            killed = True
            floor = _larger(floor, fact.memory_limit)
        if fact.ambiguous:
            continue
        own = _seconds(fact, execution)
        seconds += own or 0.0
        reserved += execution.span or own or 0.0
        peak = _larger(peak, fact.memory_peak)
        most = _larger(most, fact.memory_kernel_peak)
        cores = _larger(cores, mean_cores(fact, own))
        peak_cores = _larger(peak_cores, fact.cpu_peak_cores)
        throttled = _larger(throttled, fact.throttled_share)
        waiting = _larger(waiting, _waiting(fact, own))
    return RunUsage(time, seconds, peak, most, cores, peak_cores, throttled, killed, floor, size, waiting, reserved)


def _waiting(fact: ContainerFact, fallback_seconds: float | None) -> float | None:
    if fact.cpu_waiting_seconds is None:
        return None
    seconds = fact.cpu_sampled_seconds or fallback_seconds
    return min(1.0, fact.cpu_waiting_seconds / seconds) if seconds and seconds > 0 else None


def _larger(known: float | None, value: float | None) -> float | None:
    return value if known is None or (value is not None and value > known) else known


def container_usage(
    spec: StepSpec | None, executions: Sequence[tuple[RunRecord, StepExecution]]
) -> tuple[ContainerUsage, ...]:
    """Usage of every main container of a step, from its executions with the runs they belong to (oldest run first).

    Requests come from the definition where it declares the container, else from the newest execution. Containers that
    only the engine's executor adds are left out.
    """
    per_container: dict[str, dict[str, tuple[float, list[tuple[ContainerFact, StepExecution]]]]] = {}
    newest: dict[str, ContainerFact] = {}
    for run, execution in executions:
        if execution.outcome is Outcome.SKIPPED or execution.outcome is Outcome.CACHED:
            continue
        for fact in execution.containers:
            if fact.init or fact.name in _EXECUTOR_CONTAINERS:
                continue
            by_run = per_container.setdefault(fact.name, {})
            if run.run not in by_run:
                by_run[run.run] = (run.end if run.end is not None else execution.finished or 0.0, [])
            by_run[run.run][1].append((fact, execution))
            newest[fact.name] = fact
    declared = {c.name: c for c in spec.sized} if spec else {}
    of_pod = governed(spec.pod) if spec else frozenset[str]()
    return tuple(
        _container(name, declared.get(name), newest[name], by_run, of_pod)
        for name, by_run in sorted(per_container.items())
        if name == POD or len(of_pod) < 2
    )


def _container(
    name: str,
    declared: ContainerSpec | None,
    newest: ContainerFact,
    by_run: dict[str, tuple[float, list[tuple[ContainerFact, StepExecution]]]],
    of_pod: frozenset[str] = frozenset(),
) -> ContainerUsage:
    rows = [row for _, rows_of_run in by_run.values() for row in rows_of_run]
    ambiguous = sum(1 for fact, _ in rows if fact.ambiguous)
    unsampled = sum(1 for fact, _ in rows if not fact.ambiguous and fact.memory_peak is None)
    now = declared if declared is not None else newest
    has = {r: not of_pod or (r in of_pod) is (name == POD) for r in ("cpu", "memory")}
    covered = rows if has["memory"] else []  # where memory is another's, nothing of it is missing here
    return ContainerUsage(
        name=name,
        image=(declared.image if declared else None) or newest.image,
        cpu_request=now.cpu_request if has["cpu"] else None,
        cpu_limit=now.cpu_limit if has["cpu"] else None,
        memory_request=now.memory_request if has["memory"] else None,
        memory_limit=now.memory_limit if has["memory"] else None,
        place=declared.place if declared else None,
        executions=len(rows),
        ambiguous=ambiguous,
        unsampled=unsampled if covered else 0,
        coverage=(len(rows) - ambiguous - unsampled) / len(rows) if covered else None,
        runs=tuple(_run_usage(time, rows_of_run) for time, rows_of_run in sorted(by_run.values(), key=lambda v: v[0])),
    )
