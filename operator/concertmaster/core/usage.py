"""Container usage per run: the figures that sizing and the utilisation marks rest on.

The unit is the run, not the sample: one peak, one CPU total and one duration per container and run (design section 1).
Items of a fan-out share one request, so the run's peak is the largest of its items'. Ambiguous rows and rows without
samples are left out and counted, never read as zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from concertmaster.core.model import ContainerFact, ContainerSpec, Outcome, RunRecord, StepExecution, StepSpec

# Containers the engines add to every pod; their size is not the workflow author's.
_EXECUTOR_CONTAINERS = {"wait", "init", "supervisor", "prepare", "place-scripts", "working-dir-initializer"}


@dataclass(frozen=True, slots=True)
class RunUsage:
    """One run's figures of one container.

    ``memory_peak`` is the highest sample, ``memory_most`` the kernel's high-water mark (page cache included): the true peak
    lies between them. ``memory_floor`` is a limit the container was killed at, if it was.
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
    resources_pointer: str | None
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


def _largest(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return max(known) if known else None


def _run_usage(time: float, rows: Sequence[tuple[ContainerFact, StepExecution]]) -> RunUsage:
    usable = [(f, e) for f, e in rows if not f.ambiguous]
    seconds = [s for s in (_seconds(f, e) for f, e in usable) if s is not None]
    cores = [c for c in (mean_cores(f, _seconds(f, e)) for f, e in usable) if c is not None]
    killed = [f for f, _ in rows if f.reason == "OOMKilled"]
    return RunUsage(
        time=time,
        seconds=sum(seconds),
        memory_peak=_largest([f.memory_peak for f, _ in usable]),
        memory_most=_largest([f.memory_kernel_peak for f, _ in usable]),
        mean_cores=max(cores) if cores else None,
        peak_cores=_largest([f.cpu_peak_cores for f, _ in usable]),
        throttled_share=_largest([f.throttled_share for f, _ in usable]),
        oom_killed=bool(killed),
        memory_floor=_largest([f.memory_limit for f in killed]),
        input_size=_largest([e.input_size for _, e in rows]),
    )


def container_usage(spec: StepSpec | None, step: str, runs: Sequence[RunRecord]) -> tuple[ContainerUsage, ...]:
    """Usage of every main container of a step over the given runs (oldest first).

    Requests come from the definition where it declares the container, else from the newest execution. Containers that
    only the engine's executor adds are left out.
    """
    per_container: dict[str, dict[str, tuple[float, list[tuple[ContainerFact, StepExecution]]]]] = {}
    newest: dict[str, ContainerFact] = {}
    for run in runs:
        for execution in run.steps:
            if execution.step != step or execution.outcome in (Outcome.SKIPPED, Outcome.CACHED):
                continue
            for fact in execution.containers:
                if fact.init or fact.name in _EXECUTOR_CONTAINERS:
                    continue
                by_run = per_container.setdefault(fact.name, {})
                time = run.end if run.end is not None else execution.finished or 0.0
                by_run.setdefault(run.run, (time, []))[1].append((fact, execution))
                newest[fact.name] = fact
    declared = {c.name: c for c in spec.containers} if spec else {}
    return tuple(
        _container(name, declared.get(name), newest[name], by_run) for name, by_run in sorted(per_container.items())
    )


def _container(
    name: str,
    declared: ContainerSpec | None,
    newest: ContainerFact,
    by_run: dict[str, tuple[float, list[tuple[ContainerFact, StepExecution]]]],
) -> ContainerUsage:
    rows = [row for _, found in by_run.values() for row in found]
    ambiguous = sum(1 for fact, _ in rows if fact.ambiguous)
    unsampled = sum(1 for fact, _ in rows if not fact.ambiguous and fact.memory_peak is None)
    now = declared if declared is not None else newest
    return ContainerUsage(
        name=name,
        image=(declared.image if declared else None) or newest.image,
        cpu_request=now.cpu_request,
        cpu_limit=now.cpu_limit,
        memory_request=now.memory_request,
        memory_limit=now.memory_limit,
        resources_pointer=declared.resources_pointer if declared else None,
        executions=len(rows),
        ambiguous=ambiguous,
        unsampled=unsampled,
        coverage=(len(rows) - ambiguous - unsampled) / len(rows) if rows else None,
        runs=tuple(_run_usage(time, found) for time, found in sorted(by_run.values(), key=lambda v: v[0])),
    )
