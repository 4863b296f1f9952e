"""Usage of containers in one run: one peak, one CPU total and one duration per container and run.

Items of a fan-out share one request, so the peak of a run is the largest over its items. Ambiguous rows and rows without
samples are left out and counted, never taken as zero.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from concertmaster.core.analysis.runs.injected import EXECUTOR
from concertmaster.core.model import ContainerFact, Outcome, RunRecord, StepExecution

_Rows = Sequence[tuple[ContainerFact, StepExecution]]

IDLE_CORES = 0.1
"""Mean cores up to which a step waits, whatever for."""


class RunUsage(NamedTuple):
    """Figures of one container in one run.

    ``memory_peak``: the highest sample; ``memory_most``: the kernel's high-water mark (including page cache); the true peak
    lies between them; bytes. ``memory_floor``: the limit at which the container was OOM-killed, if it was.
    ``waiting_share``: share of time (0 to 1) it was runnable without getting CPU, from the kernel's pressure figures.
    ``reserved_seconds``: for which its pods are on a node, and their requests charged. ``gpus_used``: mean number of busy
    GPUs; ``gpus_active``: most at any time; ``storage_peak``: bytes of its writable layer. ``cpu_request``, ``cpu_limit``,
    ``gpu_request``, ``memory_request`` and ``memory_limit``: what it had then, in cores, GPUs and bytes. ``image``:
    what ran, several of its executions separated by spaces, and ``template``: the fingerprint of the run's template; None
    where unknown.
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
    cpu_request: float | None = None
    cpu_limit: float | None = None
    gpu_request: float | None = None
    memory_request: float | None = None
    memory_limit: float | None = None
    image: str | None = None
    template: str | None = None


_ASKED = ("cpu_request", "cpu_limit", "gpu_request", "memory_request")
_usage = partial(tuple.__new__, RunUsage)  # positional, for speed: one per container and run


def mean_cores(fact: ContainerFact, fallback_seconds: float | None) -> float | None:
    """Mean cores: CPU seconds over the time the counter covers (the whole lifetime would understate short pods)."""
    spent = fact.cpu_seconds
    if spent is None:
        return None
    seconds = fact.cpu_sampled_seconds or fallback_seconds
    return spent / seconds if seconds and seconds > 0.0 else None


def together(time: float, usages: Sequence[RunUsage]) -> RunUsage:
    """Several usages of one run as one: seconds add up, of other figures the largest counts; requests, limits and template
    are those of the last."""
    seconds = reserved = 0.0
    peak = most = cores = peak_cores = throttled = floor = size = waiting = gpus = active = disk = None
    for one in usages:
        seconds += one.seconds
        reserved += one.reserved_seconds
        peak, most = _larger(peak, one.memory_peak), _larger(most, one.memory_most)
        cores, peak_cores = _larger(cores, one.mean_cores), _larger(peak_cores, one.peak_cores)
        throttled, waiting = _larger(throttled, one.throttled_share), _larger(waiting, one.waiting_share)
        floor, size = _larger(floor, one.memory_floor), _larger(size, one.input_size)
        gpus, active = _larger(gpus, one.gpus_used), _larger(active, one.gpus_active)
        disk = _larger(disk, one.storage_peak)
    killed, images, last = any(one.oom_killed for one in usages), images_of([one.image for one in usages]), usages[-1]
    had = last.cpu_request, last.cpu_limit, last.gpu_request, last.memory_request, last.memory_limit
    return RunUsage(
        time, seconds, peak, most, cores, peak_cores, throttled, killed, floor, size, waiting, reserved,
        gpus, active, disk, *had, images, last.template,
    )  # fmt: skip


def _larger(known: float | None, value: float | None) -> float | None:
    return value if known is None or (value is not None and value > known) else known


def _run_usage(time: float, rows: _Rows, template: str | None) -> RunUsage:
    """All executions of one container in one run as one. Of an ambiguous fact only the input size and OOM kills count."""
    found = together(time, [_only_usage(time, fact, execution, template) for fact, execution in rows])
    newest = rows[-1][0]  # attempts and items of a run have the same resources
    return found if not newest.ambiguous else found._replace(**{name: getattr(newest, name) for name in _ASKED})


def images_of(images: Sequence[str | None]) -> str | None:
    """The known ``images``, each once, separated by spaces; None where none is known."""
    return " ".join(sorted({name for image in images if image for name in image.split()})) or None


def _only_usage(time: float, fact: ContainerFact, execution: StepExecution, template: str | None) -> RunUsage:
    """Usage from a single execution: the common case."""
    killed = fact.oom_killed
    floor, size = fact.memory_limit if killed else None, execution.input_size
    if fact.ambiguous:
        return RunUsage(
            time, 0.0, None, None, None, None, None, killed, floor, size, None, 0.0,
            memory_limit=fact.memory_limit, image=fact.image, template=template,
        )  # fmt: skip
    started, finished = fact.started, fact.finished
    if fact.init and finished is None:  # no metric has its end: it is before the start of what it prepares
        finished, started = execution.started, started if started is not None else execution.started
    own = execution.duration if started is None or finished is None else max(0.0, finished - started)
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
            execution.held or own or 0.0,
            fact.gpu_used,
            fact.gpus_active,
            fact.storage_peak,
            fact.cpu_request,
            fact.cpu_limit,
            fact.gpu_request,
            fact.memory_request,
            fact.memory_limit,
            fact.image,
            template,
        )
    )


def _waiting(fact: ContainerFact, fallback_seconds: float | None) -> float | None:
    if fact.cpu_waiting_seconds is None:
        return None
    seconds = fact.cpu_sampled_seconds or fallback_seconds
    return min(1.0, fact.cpu_waiting_seconds / seconds) if seconds and seconds > 0 else None


class ContainerInRun(NamedTuple):
    """A container (``place``: step and name) in one run: its newest execution, the number of executions that may have
    started, and the usage of all. ``unlike``: the executions where their requests or limits differ; else empty."""

    place: tuple[str, str]
    newest: ContainerFact
    executions: int
    ambiguous: int
    unsampled: int
    unlike: _Rows
    usage: RunUsage

    def usage_where(self, fits: Callable[[ContainerFact | RunUsage], bool]) -> RunUsage | None:
        """The usage of the executions whose requests and limits fit; None where those of none do."""
        if not self.unlike:
            return self.usage if fits(self.usage) else None
        rows = [row for row in self.unlike if fits(row[0])]
        if len(rows) == len(self.unlike):
            return self.usage
        return _run_usage(self.usage.time, rows, self.usage.template) if rows else None


_one = partial(tuple.__new__, ContainerInRun)


def usage_of(run: RunRecord) -> list[ContainerInRun]:
    """The figures of every container in a run. Containers added only by the engine's executor are left out."""
    by_container: dict[tuple[str, str], list[tuple[ContainerFact, StepExecution]]] = {}
    skipped, cached = Outcome.SKIPPED, Outcome.CACHED
    for execution in run.steps:
        outcome = execution.outcome
        if outcome is skipped or outcome is cached:
            continue
        for fact in execution.containers:
            name = fact.name
            if name in EXECUTOR:
                continue
            by_container.setdefault((execution.step, name), []).append((fact, execution))
    end = run.end
    template = run.fingerprint
    return [_in_run(end, place, rows, template) for place, rows in by_container.items()]


def _in_run(
    end: float | None,
    place: tuple[str, str],
    rows: _Rows,
    template: str | None,
) -> ContainerInRun:
    fact, execution = rows[0]
    time = end if end is not None else execution.finished or 0.0
    if len(rows) == 1:
        usage = _only_usage(time, fact, execution, template)
        dark = usage.memory_peak is None and not fact.ambiguous
        started = not dark or _may_have_started(fact, execution)
        return _one((place, fact, int(started), fact.ambiguous, int(dark and started), (), usage))
    ambiguous = sum([fact.ambiguous for fact, _ in rows])
    unseen = [(f, e) for f, e in rows if not f.ambiguous and f.memory_peak is None]
    unsampled = sum([_may_have_started(f, e) for f, e in unseen])
    usage = _run_usage(time, rows, template)
    sizes = {(f.cpu_request, f.cpu_limit, f.memory_request, f.memory_limit, f.gpu_request) for f, _ in rows}
    unlike = tuple(rows) if len(sizes) > 1 else ()
    executions = len(rows) - len(unseen) + unsampled
    return ContainerInRun(place, rows[-1][0], executions, ambiguous, unsampled, unlike, usage)


def _may_have_started(fact: ContainerFact, execution: StepExecution) -> bool:
    """False for a container of a failed pod that neither began nor ended: the node did not admit the pod (OutOfcpu), or the
    image could not be pulled. Samples of it are not missing."""
    return execution.outcome is not Outcome.FAILED or fact.started is not None or bool(fact.reason)
