"""Room that services and other workflows leave: on all nodes, and in the quotas of the namespace, run by run.

Services (pods outside workflows) are known by what they request on each node at times (``admission.service_pods``). Other
workflows are seen as what they reserve on average while pods of a run wait for a slot, when more of them would be there. At
times they reserve more, which no average shows, so a gain in that room is only half certain. What pods wait for outside the
cluster, or in services of it, may have no room either (``outside``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from concertmaster.core import arrays as np
from concertmaster.core import text
from concertmaster.core.analysis.replay import ExecutedRun
from concertmaster.core.changes.admission.capacity import Capacity
from concertmaster.core.changes.admission.nodes import Nodes
from concertmaster.core.changes.admission.quotas import pod_sizes
from concertmaster.core.known import median
from concertmaster.core.model import Interval, StepSpec
from concertmaster.core.rules.base import THROTTLED
from concertmaster.core.rules.evidence import Evidence
from concertmaster.core.units import GIB

_MIN_SHARE = 0.01  # of what nodes have, to be worth a word
_MAX_WAITING_CORES = 0.3  # most of a core that pods use which mostly wait for something else
_VARYING_SHARE = 0.1  # above the usual amount: services that scale
_AT_TIMES = 0.5  # of the gain beside what others reserve on average: at times they reserve more


class FreeCapacity(NamedTuple):
    """How many pods fit beside other workflows: by run, and ``usually`` (median), also for runs before all others are known;
    ``where`` room is short, as a phrase, and what others reserve there on average: ``cores``, and ``memory`` in bytes.
    ``services``: whether pods outside workflows, too, take room there."""

    pods: Mapping[str, int]
    usually: int
    where: str
    cores: float
    memory: float
    services: bool = False


def beside_others(evidence: Evidence, runs: Sequence[ExecutedRun], steps: Sequence[StepSpec]) -> FreeCapacity | None:
    """Room for pods of the ``steps`` on the nodes and in the quotas, whichever is less; None where the fleet is unknown, or
    nothing bounds the pods."""
    fleet, key, capacity = evidence.fleet, evidence.analysis.definition.key, evidence.capacity
    begun = {r.run: r.start for r in evidence.analysis.runs if r.start is not None}
    seen = [run for run in runs if run.run in begun]
    if fleet is None or not seen:
        return None
    since = fleet.known_since(key, np.array([[begun[run.run], begun[run.run] + run.makespan] for run in seen]))
    known = [run for run in seen if begun[run.run] >= since] or seen
    spans = np.array([[begun[run.run] + moment for moment in _waiting(run)] for run in known])
    here, everywhere = (
        list(zip(of.loads(key, spans, s).tolist(), of.loads(key, spans, s, memory=True).tolist(), strict=True))
        for of, s in ((fleet, key.namespace), (fleet.among(capacity.nodes.tolerated), None))
    )
    times, sizes = spans[:, 0].tolist(), pod_sizes(steps, capacity.ranges)
    held = _held(capacity, times)
    fits = [
        replace(
            capacity,
            quotas=tuple(replace(q, hard=_less(q.hard, *own)) for q in capacity.quotas),
            nodes=replace(capacity.nodes, all=_less(_less(capacity.nodes.all, *every), *services)),
        ).pods_of(sizes, [time])
        for own, every, services, time in zip(here, everywhere, held, times, strict=True)
    ]
    bound = [(*fit, run.run) for fit, run in zip(fits, known, strict=True) if fit is not None]
    if not bound:
        return None
    usually, by, _ = sorted(bound)[len(bound) // 2]
    quota = by.startswith("ResourceQuota")
    cores, gib = (sum(amounts) / len(known) for amounts in zip(*(here if quota else everywhere), strict=True))
    where = f"room in {by}" if quota else "nodes"
    pods = {run.run: usually for run in seen} | {run: fit for fit, _, run in bound}
    return FreeCapacity(pods, usually, where, cores, gib * GIB, not quota and any(map(any, held)))


def _waiting(run: ExecutedRun) -> tuple[float, float]:
    """From when the first pod waited for a slot to when the last one had it, in seconds from the begin of the run; the whole
    run where none waited."""
    waits = [(a.ready, a.ready + a.queued) for chains in run.chains for a, *_ in chains if a.queued > 0.0]
    return (min(begin for begin, _ in waits), max(end for _, end in waits)) if waits else (0.0, run.makespan)


def _held(capacity: Capacity, times: Sequence[float]) -> list[tuple[float, float]]:
    """Cores and GiB that services request on all nodes at each of the times; nothing where they are not known."""
    services = capacity.nodes.services
    if services is None:
        return [(0.0, 0.0)] * len(times)
    gib = [size / GIB for size in services.held("memory", times)]
    return list(zip(services.held("cpu", times), gib, strict=True))


def _less(amounts: Mapping[str, float], cores: float, gib: float) -> Mapping[str, float]:
    """Amounts by resource without so many cores, and so much memory."""
    taken = {"cpu": cores, "memory": gib * GIB}
    return {resource: max(0.0, amount - taken.get(resource, 0.0)) for resource, amount in amounts.items()}


def begins(evidence: Evidence, runs: Sequence[ExecutedRun]) -> list[float]:
    """When the runs began (unix seconds), of those of which it is known."""
    begun = {r.run: r.start for r in evidence.analysis.runs}
    return [start for run in runs if (start := begun.get(run.run)) is not None]


def service_notes(evidence: Evidence, times: Sequence[float]) -> tuple[str, ...]:
    """What services hold of quotas, and of nodes whose number is steady, at the median of the ``times``, as sentences; that
    it is not known; nothing where neither binds."""
    capacity, nodes = evidence.capacity, evidence.capacity.nodes
    unknown = (bool(nodes.all) and nodes.services is None) or (bool(capacity.quotas) and capacity.in_quotas is None)
    notes = ["requests of pods outside workflows are not known"] if unknown else []
    if nodes.all and nodes.left_out:
        are = f"{text.count(nodes.left_out, 'node')} {'is' if nodes.left_out == 1 else 'are'}"
        notes.append(f"{are} left out, whose taints none of its pods was seen to tolerate")
    return (*notes, *_of_nodes(nodes, times), *_of_quotas(capacity, times))


def _of_quotas(capacity: Capacity, times: Sequence[float]) -> Iterator[str]:
    held = capacity.in_quotas.usually(times) if capacity.in_quotas is not None else {}
    for quota in (q for q in capacity.quotas if not q.scoped):
        parts = [
            _part(resource, held[resource], hard)
            for resource, hard in quota.hard.items()
            if held.get(resource, 0.0) >= _MIN_SHARE * hard > 0.0
        ]
        if parts:
            yield f"pods outside workflows take {text.listing(parts)} of ResourceQuota {quota.name}"


def _part(resource: str, held: float, hard: float) -> str:
    """``3 of 8 cores``, ``limits of 2Gi of 8Gi``, ``4 of 50 pods``."""
    side, _, kind = resource.rpartition(".")
    amount = {"cpu": text.cores, "memory": text.memory}.get(kind, lambda size: text.count(int(size), "pod"))
    of = f"{amount(held).partition(' ')[0]} of {amount(hard)}"
    return f"{side} of {of}" if side else of


def _of_nodes(nodes: Nodes, times: Sequence[float]) -> tuple[str, ...]:
    if not nodes.all or nodes.services is None:
        return ()
    parts = []
    for resource, amount in (("cpu", text.cores), ("memory", text.memory)):
        held, most = float(np.median(nodes.services.held(resource, times))), nodes.services.high(resource)
        if resource in nodes.all and held >= _MIN_SHARE * nodes.all[resource]:
            usual, high = (amount(size).partition(" ")[0] for size in (held, most))  # the unit follows the whole
            varies = f" (at times {high})" if most > (1.0 + _VARYING_SHARE) * held else ""
            parts.append(f"{usual}{varies} of {amount(nodes.all[resource])}")
    least = "" if nodes.services.whole else "at least "
    return (f"pods outside workflows request {least}{' and '.join(parts)} on all nodes",) if parts else ()


def between(beside: Interval | None, alone: Interval) -> Interval:
    """A gain between that ``beside`` other workflows (None: none) and that if they leave all nodes ``alone``."""
    likely = min(beside.likely, alone.likely) if beside is not None else 0.0
    return Interval(min(_AT_TIMES * beside.low, likely) if beside is not None else 0.0, likely, alone.high)


def outside(evidence: Evidence, steps: Sequence[StepSpec], limit: int) -> str | None:
    """What must bear ``limit`` pods of the ``steps`` at a time, where these mostly wait for something else than the CPU: the
    replay cannot know whether more of them at once take as long each. None where they compute, or nothing is known of it."""
    names = {s.name for s in steps if s.fan_out} or {s.name for s in steps}
    containers = [c for step in evidence.analysis.steps if step.step in names for c in step.containers]
    cores = max((used for c in containers if (used := median(c.known("mean_cores"))) is not None), default=None)
    throttled = any((median(c.known("throttled_share")) or 0.0) >= THROTTLED for c in containers)
    if cores is None or cores > _MAX_WAITING_CORES or throttled:
        return None
    return (
        f"its pods use {text.percent(cores)} of a core: what else they wait for, such as a database or an API with a"
        f" rate limit, must serve {limit} of them at a time"
    )
