"""Room that other workflows leave: on all nodes, and in the quotas of the namespace, run by run.

Others are seen as what they reserve on average while a run is in progress. At times they reserve more, which no average
shows, so a gain in that room is only half certain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from concertmaster.core import arrays as np
from concertmaster.core.model import Interval, StepSpec
from concertmaster.core.rules.base import Evidence

_AT_TIMES = 0.5  # of the gain beside what others reserve on average: at times they reserve more


class Room(NamedTuple):
    """How many pods fit beside other workflows: by run, and ``usually`` (median); ``where`` room is short, as a phrase, and
    the ``cores`` that others reserve there on average."""

    pods: Mapping[str, int]
    usually: int
    where: str
    cores: float


def beside_others(evidence: Evidence, steps: Sequence[StepSpec]) -> Room | None:
    """Room for pods of the ``steps`` on the nodes and in the quotas, whichever is less; None where the fleet is unknown, or
    nothing bounds the pods."""
    fleet, key, capacity = evidence.fleet, evidence.analysis.definition.key, evidence.capacity
    runs = [(r.run, r.start, r.end) for r in evidence.analysis.runs if r.start is not None and r.end is not None]
    if fleet is None or not runs:
        return None
    spans = np.array([(start, end) for _, start, end in runs])
    here, everywhere = (fleet.loads(key, spans, space).tolist() for space in (key.namespace, None))
    fits = [
        replace(
            capacity,
            quotas=tuple(replace(q, hard=_less(q.hard, own)) for q in capacity.quotas),
            nodes=replace(capacity.nodes, all=_less(capacity.nodes.all, every)),
        ).pods(steps)
        for own, every in zip(here, everywhere, strict=True)
    ]
    known = [(*fit, run) for fit, (run, *_) in zip(fits, runs, strict=True) if fit is not None]
    if not known:
        return None
    usually, by, _ = sorted(known)[len(known) // 2]
    quota = by.startswith("ResourceQuota")
    loads = here if quota else everywhere
    where = f"room in {by}" if quota else "nodes"
    return Room({run: pods for pods, _, run in known}, usually, where, sum(loads) / len(loads))


def _less(amounts: Mapping[str, float], cores: float) -> Mapping[str, float]:
    """Amounts by resource without so many cores."""
    return {**amounts, "cpu": max(0.0, amounts["cpu"] - cores)} if "cpu" in amounts else amounts


def between(beside: Interval | None, alone: Interval) -> Interval:
    """A gain between that ``beside`` other workflows (None: none) and that if they leave all nodes ``alone``."""
    likely = min(beside.likely, alone.likely) if beside is not None else 0.0
    return Interval(min(_AT_TIMES * beside.low, likely) if beside is not None else 0.0, likely, alone.high)
