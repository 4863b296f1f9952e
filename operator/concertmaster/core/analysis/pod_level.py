"""Workflows with pod-level resources: for these resources the pod is analysed instead of its containers.

Metrics exist per container only, but scheduling, cost and sizing depend on the pod's request wherever it has one. The pod's
figures are therefore aggregated here and removed from its containers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from concertmaster.core.known import largest, total
from concertmaster.core.model import POD, ContainerFact, ContainerSpec, RunRecord, StepExecution, WorkflowDefinition
from concertmaster.core.model.facts import OOM_KILLED
from concertmaster.core.reserved import reservation_of

_CPU = ("cpu_request", "cpu_limit", "cpu_seconds", "cpu_sampled_seconds", "cpu_peak_cores", "throttled_share")
_MEMORY = ("memory_request", "memory_limit", "memory_sampled_peak", "memory_kernel_peak", "samples", "expected_samples")
_OF = {"cpu": (*_CPU, "cpu_waiting_seconds"), "memory": _MEMORY}


def governed(pod: ContainerSpec | None) -> frozenset[str]:
    """The resources set at pod level: cpu, memory, both or none."""
    return frozenset(r for r in _OF if pod is not None and getattr(pod, f"{r}_request") is not None)


def with_pods(
    definition: WorkflowDefinition, runs: Sequence[RunRecord]
) -> tuple[WorkflowDefinition, tuple[RunRecord, ...]]:
    """Definition and runs with pod-level figures where the definition sets pod-level resources. The API server's minimum
    for such a request includes containers injected by the engine."""
    pods = {s.name: s.pod for s in definition.graph.steps if s.pod is not None}
    if not pods:
        return definition, tuple(runs)
    least: dict[str, dict[str, float]] = {}
    changed = []
    for run in runs:
        steps = []
        for e in run.steps:
            pod = pods.get(e.step)
            if pod is not None and e.containers:
                asked = {r: reservation_of(e.containers, r).total for r in governed(pod)}
                least[e.step] = {r: amount for r, amount in asked.items() if amount}
                e = _whole(e, pod)
            steps.append(e)
        changed.append(replace(run, steps=tuple(steps)))
    specs = tuple(
        s if s.pod is None else replace(s, pod=replace(s.pod, least=_larger(s.pod.least, least.get(s.name, {}))))
        for s in definition.graph.steps
    )
    return replace(definition, graph=replace(definition.graph, steps=specs)), tuple(changed)


def _larger(a: Any, b: Any) -> dict[str, float]:
    return {r: max(a.get(r, 0.0), b.get(r, 0.0)) for r in {*a, *b}}


def _whole(execution: StepExecution, spec: ContainerSpec) -> StepExecution:
    """The execution with its pod added as a container; resources set at pod level are removed from the containers."""
    if any(c.name == POD for c in execution.containers):
        return execution  # a container already has that name: their figures would be mixed up
    resources = governed(spec)
    nothing = {name: None for r in resources for name in _OF[r]}
    members = tuple(replace(c, **nothing) for c in execution.containers)  # type: ignore[arg-type]
    return replace(execution, containers=(*members, _pod(execution.containers, spec, resources)))


def _pod(containers: Sequence[ContainerFact], spec: ContainerSpec, resources: frozenset[str]) -> ContainerFact:
    """A pod as one container: of these ``resources``, what is declared for the pod and what its containers used together."""
    rows = [c for c in containers if not c.init]
    own: dict[str, Any] = {}
    if "cpu" in resources:
        own |= {
            "cpu_request": spec.cpu_request,
            "cpu_limit": spec.cpu_limit,
            "cpu_seconds": total(c.cpu_seconds for c in rows),
            "cpu_sampled_seconds": largest(c.cpu_sampled_seconds for c in rows),
            "cpu_peak_cores": total(c.cpu_peak_cores for c in rows),
            "throttled_share": largest(c.throttled_share for c in rows if c.cpu_limit is None),
            "cpu_waiting_seconds": largest(c.cpu_waiting_seconds for c in rows),
        }
    unlimited = [c for c in rows if c.memory_limit is None] if spec.memory_limit is not None else []
    if "memory" in resources:
        sampled = [c for c in rows if c.samples or c.memory_sampled_peak is not None]
        own |= {
            "memory_request": spec.memory_request,
            "memory_limit": spec.memory_limit,
            "memory_sampled_peak": _pod_amount(containers, "memory_sampled_peak"),
            "memory_kernel_peak": _pod_amount(containers, "memory_kernel_peak"),
            "samples": max((c.samples for c in sampled if c.samples is not None), default=None),
            "expected_samples": max((c.expected_samples for c in rows if c.expected_samples is not None), default=None),
            "reason": OOM_KILLED if any(c.reason == OOM_KILLED for c in unlimited) else None,
            "restarted_after_oom": largest(c.restarted_after_oom for c in unlimited),
        }
    return ContainerFact(
        POD,
        started=min((c.started for c in rows if c.started is not None), default=None),
        finished=largest(c.finished for c in rows),
        ambiguous=any(c.ambiguous for c in rows),
        **own,
    )


def _pod_amount(containers: Sequence[ContainerFact], name: str) -> float | None:
    """What a pod needs of a figure of its containers: of all that run together, or of the largest before them. Of peaks an
    upper bound, since they need not coincide."""
    together = total(getattr(c, name) for c in containers if not c.init)
    before = largest(getattr(c, name) for c in containers if c.init)
    return largest((together, before))
