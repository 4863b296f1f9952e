"""The runs of a scenario as pods of a real Prometheus."""

from __future__ import annotations

from collections.abc import Iterator

from concertmaster.core.model import ContainerFact, Outcome, StepExecution, StepSpec
from concertmaster.engines.common.names import argo_pod_name_of
from testbed.series.openmetrics import ContainerLife, Grid, PodLife
from tests.support.builders import DAY, NOW
from tests.support.core.scenario_builder import Scenario

# Every run starts in the same second of the scrape interval; 27 s later a first step of 20 s is over before a scrape.
GRID = Grid(NOW - 14.2 * DAY, NOW, kubelet_offset=27.0)


def _later(moment: float | None, shift: float) -> float | None:
    return None if moment is None else moment + shift


def _container(fact: ContainerFact, shift: float) -> ContainerLife:
    seconds = (fact.finished or 0.0) - (fact.started or 0.0)
    share = (fact.cpu_seconds or 0.0) / fact.cpu_sampled_seconds if fact.cpu_sampled_seconds else 0.0
    return ContainerLife(
        fact.name,
        image=fact.image or "app:1",
        started=_later(fact.started, shift),
        finished=_later(fact.finished, shift),
        cpu_seconds=share * seconds,
        memory_peak=fact.memory_peak or 0.0,
        cpu_request=fact.cpu_request,
        cpu_limit=fact.cpu_limit,
        memory_request=fact.memory_request,
        memory_limit=fact.memory_limit,
        throttled_share=fact.throttled_share or 0.0,
        fs_read_bytes=fact.fs_read_bytes or 0.0,
        gpu_busy=_gpus(fact),
        storage_request=fact.storage_request,
        storage_limit=fact.storage_limit,
        storage_peak=fact.storage_peak or 0.0,
        terminated_reason=fact.reason,
    )


def _gpus(fact: ContainerFact) -> list[float]:
    """How busy each GPU of a container was: the active ones alike, the others not at all."""
    active = int(fact.gpus_active or 0)
    return [(fact.gpu_used or 0.0) / max(1, active)] * active + [0.0] * (int(fact.gpu_request or 0) - active)


def _node(run: str, spec: StepSpec, execution: StepExecution) -> str:
    """The name Argo gives the node of this execution."""
    name = run
    for piece in spec.path:
        name += piece.text
        if piece.items:
            name += f"({piece.items[int(execution.item or 0)]})"
        if piece.attempts:
            name += f"({execution.attempt})"
    return name


def pods_of(of: Scenario, namespace: str, shift: float = 0.0) -> Iterator[PodLife]:
    """The pods of all runs of an Argo scenario, ``shift`` seconds later than it says."""
    graph = of.definition.graph
    for record in of.runs:
        run = f"nightly-etl-{record.run.removeprefix('run-')}"
        for execution in record.steps:
            spec = graph.step(execution.step)
            assert spec is not None
            assert execution.created is not None
            assert execution.finished is not None
            failed = execution.outcome is Outcome.FAILED
            yield PodLife(
                namespace=namespace,
                pod=argo_pod_name_of(run, _node(run, spec, execution), spec.template),
                uid=f"{namespace}-{execution.uid}",
                created=execution.created + shift,
                containers=[_container(c, shift) for c in execution.containers],
                node=execution.node or "",
                owner_kind="Workflow",
                owner_name=run,
                scheduled=_later(execution.scheduled, shift),
                started=_later(execution.scheduled, shift),
                finished=max(execution.finished, *(c.finished or 0.0 for c in execution.containers)) + shift,
                phase="Failed" if failed else "Succeeded",
                status_reason=execution.reason if failed else None,
                deleted=execution.finished + 600 + shift,
                network_receive_bytes=execution.network_receive_bytes or 0.0,
                network_transmit_bytes=execution.network_transmit_bytes or 0.0,
                volumes={v.claim: (v.used, v.capacity) for v in execution.volumes},
            )
