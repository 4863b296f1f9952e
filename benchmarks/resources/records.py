"""Simulated runs as the records that the product reads: samples every 30 seconds, and none of some pods."""

from __future__ import annotations

from benchmarks.resources.law import CPU, DISK, GPU, MEMORY, MI, Role
from benchmarks.resources.simulation import Pod, Run, used_of
from benchmarks.resources.usage import Use
from concertmaster.core.model import (
    ContainerFact,
    Outcome,
    RunRecord,
    Source,
    StepExecution,
    VolumeUse,
    WorkflowDefinition,
)

_EVERY = 30.0  # seconds between two samples
_USUAL_SIZE = 1e9  # bytes of an input of 1


def record(run: Run, definition: WorkflowDefinition) -> RunRecord:
    """The run as it is kept in the history."""
    flow = run.state.flow
    return RunRecord(
        definition.key, f"{flow.name}-{run.state.number}", run.state.start, run.end,
        Outcome.FAILED if run.failed else Outcome.SUCCEEDED, Source.LIVE if flow.live else Source.HISTORY,
        tuple(_execution(run, pod) for pod in run.pods), fingerprint=_fingerprint(run, definition),
    )  # fmt: skip


def _fingerprint(run: Run, definition: WorkflowDefinition) -> str | None:
    """That of the object of today, or of the one before."""
    flow = run.state.flow
    if not flow.marked:
        return None
    return "before" if flow.at(run.state.days_ago) is flow.before else definition.fingerprint


def _execution(run: Run, pod: Pod) -> StepExecution:
    state, flow = run.state, run.state.flow
    uid = f"{flow.name}-{state.number}-{pod.step.name}-{pod.item}-{pod.attempt}"
    lacking = state.events(pod.step.name, pod.item, pod.attempt, "samples").random() < flow.gaps
    volume = pod.step.volume
    mounted = () if volume is None else (VolumeUse(volume.claim, used_of(state, pod.step), volume.capacity),)
    return StepExecution(
        pod.step.name, f"{pod.item}:i{pod.item}" if pod.step.items > 1 else None, attempt=pod.attempt, pod=uid, uid=uid,
        node=f"node-{pod.item % 5}", ready=pod.created, created=pod.created, scheduled=pod.scheduled,
        started=pod.started, finished=pod.finished,
        outcome=Outcome.SUCCEEDED if pod.reason is None else Outcome.FAILED, reason=pod.reason,
        containers=tuple(_container(pod, use, lacking) for use in pod.uses), message=_message(pod) if flow.live else None,
        input_size=state.size * _USUAL_SIZE if flow.inputs_known else None, volumes=mounted,
    )  # fmt: skip


def _message(pod: Pod) -> str | None:
    """The kubelet's message on an eviction for local storage."""
    if pod.reason != "Evicted":
        return None
    limit = next(u.container.limits[DISK] for u in pod.uses if u.container.name == pod.by)
    return f'Container {pod.by} exceeded its local ephemeral storage limit "{round(limit / MI)}Mi". '


def _container(pod: Pod, use: Use, lacking: bool) -> ContainerFact:
    container = use.container
    init = container.role is Role.INIT
    began = pod.started - container.seconds * use.factor if init else pod.started
    ended = pod.started if init else pod.finished
    killed = pod.reason == "OOMKilled" and pod.by == container.name
    seconds = ended - began
    expected = max(1, int(seconds / _EVERY))
    samples = 0 if lacking else int(seconds / _EVERY)
    most = container.limits.get(MEMORY, use.need) if killed else use.need
    disk = container.disk is not None and (DISK in container.requests or DISK in container.limits) and samples > 0
    gpus = container.limits.get(GPU)
    known = not lacking and samples > 0
    return ContainerFact(
        container.name, container.image, init=init, started=began, finished=ended, samples=samples,
        expected_samples=expected, reason="OOMKilled" if killed else None, sidecar=container.role is Role.NATIVE,
        cpu_request=container.requests.get(CPU), cpu_limit=container.limits.get(CPU),
        memory_request=container.requests.get(MEMORY), memory_limit=container.limits.get(MEMORY),
        cpu_seconds=use.cores * seconds if known else None, cpu_sampled_seconds=seconds if known else None,
        cpu_peak_cores=use.highest if known else None,
        throttled_share=use.throttled if known and CPU in container.limits else None,
        cpu_waiting_seconds=use.waited * seconds if known else None, io_waiting_seconds=0.0 if known else None,
        memory_sampled_peak=min(most, use.seen) if known else None,
        memory_kernel_peak=_mark(use, most) if known else None, oom_events=float(killed),
        fs_read_bytes=MI * seconds if known else None, fs_write_bytes=MI * seconds if known else None,
        gpu_resource=GPU if gpus else None, gpu_request=gpus,
        gpu_used=use.gpus_used if gpus and known else None, gpus_active=float(use.gpus) if gpus and known else None,
        storage_request=container.requests.get(DISK), storage_limit=container.limits.get(DISK),
        storage_peak=use.disk if disk else None,
    )  # fmt: skip


def _mark(use: Use, most: float) -> float:
    """The kernel's high-water mark: page cache fills what the limit leaves of it."""
    return min(use.container.limits.get(MEMORY, float("inf")), most * use.container.memory.cache)
