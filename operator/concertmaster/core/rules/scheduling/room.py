"""Room that other workflows leave: on all nodes, and in the quotas of the namespace, run by run.

Others are seen as what they reserve on average while pods of a run wait for a slot, when more of them would be there. At
times they reserve more, which no average shows, so a gain in that room is only half certain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from concertmaster.core import arrays as np
from concertmaster.core.analysis.replay import ExecutedRun
from concertmaster.core.model import Interval, StepSpec
from concertmaster.core.rules.base import Evidence

_GIB = 1024.0**3
_AT_TIMES = 0.5  # of the gain beside what others reserve on average: at times they reserve more


class Room(NamedTuple):
    """How many pods fit beside other workflows: by run, and ``usually`` (median), also for runs before all others are known;
    ``where`` room is short, as a phrase, and what others reserve there on average: ``cores``, and ``memory`` in bytes."""

    pods: Mapping[str, int]
    usually: int
    where: str
    cores: float
    memory: float


def beside_others(evidence: Evidence, runs: Sequence[ExecutedRun], steps: Sequence[StepSpec]) -> Room | None:
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
        list(zip(fleet.loads(key, spans, s).tolist(), fleet.loads(key, spans, s, memory=True).tolist(), strict=True))
        for s in (key.namespace, None)
    )
    fits = [
        replace(
            capacity,
            quotas=tuple(replace(q, hard=_less(q.hard, *own)) for q in capacity.quotas),
            nodes=replace(capacity.nodes, all=_less(capacity.nodes.all, *every)),
        ).pods(steps)
        for own, every in zip(here, everywhere, strict=True)
    ]
    bound = [(*fit, run.run) for fit, run in zip(fits, known, strict=True) if fit is not None]
    if not bound:
        return None
    usually, by, _ = sorted(bound)[len(bound) // 2]
    quota = by.startswith("ResourceQuota")
    cores, gib = (sum(amounts) / len(known) for amounts in zip(*(here if quota else everywhere), strict=True))
    where = f"room in {by}" if quota else "nodes"
    pods = {run.run: usually for run in seen} | {run: fit for fit, _, run in bound}
    return Room(pods, usually, where, cores, gib * _GIB)


def _waiting(run: ExecutedRun) -> tuple[float, float]:
    """From when the first pod waited for a slot to when the last one had it, in seconds from the begin of the run; the whole
    run where none waited."""
    waits = [(a.ready, a.ready + a.queued) for chains in run.chains for a, *_ in chains if a.queued > 0.0]
    return (min(begin for begin, _ in waits), max(end for _, end in waits)) if waits else (0.0, run.makespan)


def _less(amounts: Mapping[str, float], cores: float, gib: float) -> Mapping[str, float]:
    """Amounts by resource without so many cores, and so much memory."""
    taken = {"cpu": cores, "memory": gib * _GIB}
    return {resource: max(0.0, amount - taken.get(resource, 0.0)) for resource, amount in amounts.items()}


def between(beside: Interval | None, alone: Interval) -> Interval:
    """A gain between that ``beside`` other workflows (None: none) and that if they leave all nodes ``alone``."""
    likely = min(beside.likely, alone.likely) if beside is not None else 0.0
    return Interval(min(_AT_TIMES * beside.low, likely) if beside is not None else 0.0, likely, alone.high)
