"""Simulated runs as the records that the product reads."""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.clusters.law import Step
from benchmarks.clusters.manifests import MEMORY_LIMIT, MEMORY_REQUEST
from benchmarks.clusters.runs import Pod, Run
from concertmaster.core.model import ContainerFact, Outcome, RunRecord, Source, StepExecution, WorkflowDefinition
from concertmaster.core.model.runs import Suspension

_MI = 2.0**20
_EVERY = 15.0  # seconds between two samples
_BUSY, _PEAK = 0.8, 0.95  # shares of the requested cores in use: mean and highest
_MEMORY = 200 * _MI


def records(runs: Iterable[Run], definition: WorkflowDefinition, now: float) -> list[RunRecord]:
    """The runs that were over by ``now`` (unix seconds), as they are kept in the history."""
    made = [_record(run, definition) for run in runs if run.over is not None and run.over <= now and run.first]
    return sorted(made, key=lambda r: (r.start or 0.0, r.run))


def _record(run: Run, definition: WorkflowDefinition) -> RunRecord:
    pods = sorted(
        (p for p in run.pods if p.finished is not None), key=lambda p: (p.created or 0.0, p.step.name, p.item)
    )
    outcome = Outcome.FAILED if run.failed else Outcome.SUCCEEDED
    held = run.begun - run.start.due
    container = next(c.name for c in definition.graph.steps[0].containers if not c.sidecar and not c.init)
    single = definition.graph.steps[0].name if definition.engine.single_step else None
    return RunRecord(
        definition.key,
        f"{run.flow.name}-{run.start.number}-{int(run.start.due)}",
        run.first,
        max((p.finished for p in pods if p.finished is not None), default=run.over),
        outcome,
        Source.HISTORY if run.flow.run_lock is None else Source.LIVE,
        tuple(_execution(run, pod, single, container) for pod in pods),
        fingerprint=definition.fingerprint,
        suspension=Suspension(held, f"mutex/{run.flow.run_lock}" if held else None) if run.flow.run_lock else None,
    )


def _execution(run: Run, pod: Pod, single: str | None, container: str) -> StepExecution:
    step = pod.step
    uid = f"{run.flow.name}-{run.start.number}-{int(run.start.due)}-{step.name}-{pod.item}-{pod.attempt}"
    return StepExecution(
        single or step.name, _item(step, pod, single is not None), attempt=pod.attempt, pod=uid, uid=uid,
        node=pod.node.name if pod.node is not None else None, ready=None if single else pod.ready, created=pod.created,
        scheduled=pod.scheduled, started=pod.started, finished=pod.finished,
        outcome=Outcome.SUCCEEDED if pod.reason is None else Outcome.FAILED, reason=pod.reason,
        containers=() if pod.started is None else (_container(pod, container),),
        spot=pod.node.pool.lost is not None if pod.node is not None else None,
    )  # fmt: skip


def _item(step: Step, pod: Pod, single: bool) -> str | None:
    """The item's name, as Argo writes it, or the completion index of a Job."""
    if step.items == 1:
        return None
    return str(pod.item) if single else f"{pod.item}:i{pod.item}"


def _container(pod: Pod, name: str) -> ContainerFact:
    assert pod.started is not None and pod.finished is not None
    seconds, cores = max(0.0, pod.finished - pod.started), pod.step.cores
    samples = max(1, int(seconds / _EVERY))
    return ContainerFact(
        name, "registry.example/work:1", started=pod.started, finished=pod.finished, samples=samples,
        expected_samples=samples, cpu_request=cores, memory_request=MEMORY_REQUEST * _MI,
        memory_limit=MEMORY_LIMIT * _MI, cpu_seconds=_BUSY * cores * seconds, cpu_sampled_seconds=seconds,
        cpu_peak_cores=_PEAK * cores, memory_sampled_peak=_MEMORY, memory_kernel_peak=1.02 * _MEMORY,
        cpu_waiting_seconds=0.0, io_waiting_seconds=0.0, fs_read_bytes=1e6, fs_write_bytes=1e6,
    )  # fmt: skip
