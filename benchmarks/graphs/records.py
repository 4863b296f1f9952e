"""Simulated runs as the records that the product reads."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.graphs.caches import Caches
from benchmarks.graphs.law import MI, Container, Step
from benchmarks.graphs.simulation import Execution, Played
from concertmaster.core.model import (
    ContainerFact,
    Outcome,
    RunRecord,
    Source,
    StepExecution,
    VolumeUse,
    WorkflowDefinition,
)

_EVERY = 15.0  # seconds between two samples
_USUAL_SIZE = 1e9  # bytes of an input of 1


def record(played: Played, definition: WorkflowDefinition) -> RunRecord:
    """The run as it is kept in the history."""
    state = played.state
    steps = sorted((_execution(played, e) for e in played.executions), key=lambda e: (e.created or 0.0, e.uid or ""))
    outcome = Outcome.FAILED if played.failed else Outcome.SUCCEEDED
    run = RunRecord(
        definition.key,
        f"{state.flow.name}-{state.number}",
        state.start,
        played.end,
        outcome,
        Source.HISTORY,
        tuple(steps),
    )
    return replace(run, fingerprint=definition.fingerprint)


def _execution(played: Played, done: Execution) -> StepExecution:
    state, step, course = played.state, done.step, done.course
    uid = f"{state.flow.name}-{state.number}-{step.name}-{done.group}-{done.item}-{done.attempt}"
    return StepExecution(
        step.path, _item(done), attempt=done.attempt, pod=uid, uid=uid, node=f"node-{course.node}", ready=done.ready,
        created=done.created, scheduled=done.scheduled, started=done.started, finished=done.finished,
        outcome=Outcome.SUCCEEDED if course.reason is None else Outcome.FAILED, reason=course.reason,
        containers=tuple(_container(done, c) for c in step.containers),
        input_fingerprint=Caches(state).key(step, done.item),
        input_size=state.size * _USUAL_SIZE if state.flow.inputs_known else None, volumes=_volumes(played, step),
    )  # fmt: skip


def _item(done: Execution) -> str | None:
    """The item's name, as Argo writes it: within its group, if it has one."""
    parts = [f"{done.group}:g{done.group}"] if done.step.group else []
    parts += [f"{done.item}:i{done.item}"] if done.step.items > 1 else []
    return " / ".join(parts) or None


def _container(done: Execution, container: Container) -> ContainerFact:
    course = done.course
    seconds = course.work + container.outlives
    failed = course.reason is not None and container.name == course.failed_in
    killed = failed and course.reason == "OOMKilled"
    peak = container.memory_limit if killed and container.memory_limit else course.peaks[container.name]
    samples = max(1, int(course.work / _EVERY))
    cores = container.cores * course.cpu_factor
    most = container.burst if container.cpu_limit is None else min(container.burst, container.cpu_limit)
    _, throttled = container.throttling
    return ContainerFact(
        container.name, "registry.example/work:1", started=done.started, finished=done.finished + container.outlives,
        samples=samples, expected_samples=samples, cpu_request=container.cpu_request, cpu_limit=container.cpu_limit,
        memory_request=container.memory_request, memory_limit=container.memory_limit, cpu_seconds=cores * seconds,
        cpu_sampled_seconds=seconds, cpu_peak_cores=1.05 * max(cores, most), memory_sampled_peak=peak,
        memory_kernel_peak=1.02 * peak, throttled_share=throttled if container.cpu_limit is not None else None,
        reason=course.reason if failed else None, oom_events=float(killed), cpu_waiting_seconds=0.0,
        io_waiting_seconds=0.0, fs_read_bytes=MI * course.work, fs_write_bytes=MI * course.work,
        gpu_request=float(container.gpus) or None, gpu_resource="nvidia.com/gpu" if container.gpus else None,
        gpu_used=container.gpu_use * container.gpus_busy if container.gpus else None,
        gpus_active=float(container.gpus_busy) if container.gpus else None,
    )  # fmt: skip


def _volumes(played: Played, step: Step) -> tuple[VolumeUse, ...]:
    if step.volume is None:
        return ()
    used = step.volume.used - step.volume.growth * played.state.days_ago
    return (VolumeUse(step.volume.claim, min(used, step.volume.capacity), step.volume.capacity),)
