"""A higher limit of concurrent pods: the smallest one whose replay is within 2% of a run without any limit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from concertmaster.core import text
from concertmaster.core.analysis.replay import (
    EnoughParallelism,
    ExecutedRun,
    Limit,
    WhatIf,
    enough_parallelism,
    time_split,
)
from concertmaster.core.model import Finding, Interval, Level, WorkflowDefinition
from concertmaster.core.model.engines import POD_BY_POD
from concertmaster.core.rules.base import gain_sentence
from concertmaster.core.rules.evidence import Evidence
from concertmaster.core.rules.scheduling.free_capacity import (
    FreeCapacity,
    begins,
    beside_others,
    between,
    outside,
    service_notes,
)
from concertmaster.core.rules.scheduling.limit_scopes import LimitScope
from concertmaster.core.rules.scheduling.suspension import quota_needed
from concertmaster.core.sizing import MILLI
from concertmaster.core.units import MIB


@dataclass(frozen=True, slots=True)
class _Allowed:
    """The sufficient ``limit`` as far as locks and capacity allow it; ``by``: which of them keeps it lower (empty: none).
    ``runs``: the runs with these locks; ``least``: what they take now, and without a limit."""

    limit: int
    by: str
    runs: list[ExecutedRun]
    least: EnoughParallelism

    @property
    def bound(self) -> str:
        """`` (limited by ResourceQuota compute)``; empty where nothing keeps it lower."""
        return f" (limited by {self.by})" if self.by else ""


@dataclass(frozen=True, slots=True)
class _Gain:
    """What the limit gains; ``beside``: a sentence on other workflows that leave less room (empty: none do)."""

    share: Interval
    seconds: Interval
    beside: str = ""


def higher_limit(
    evidence: Evidence, scope: LimitScope, enough: EnoughParallelism, runs: list[ExecutedRun], least_percent: float
) -> Finding | None:
    """The recommendation of a higher limit; None where the present one suffices, or no higher one is allowed and gains
    enough. ``enough``: the sufficient limit by the field alone; ``least_percent``: of the run time, which it must gain."""
    if scope.limit is None or enough.limit is None or enough.limit <= scope.limit:
        return None
    times = begins(evidence, runs)
    allowed = _allowed(evidence, scope, enough, runs, times)
    if allowed.limit <= scope.limit:
        return None
    gain = _gain(evidence, scope, allowed, least_percent)
    if gain is None:
        return None
    limit, least = allowed.limit, allowed.least
    held, wait = _held_back(allowed.runs)
    waited = sum(any(of.kind == "capacity" for of in run.limits) for run in allowed.runs)
    must_bear = outside(evidence, scope.inside(evidence.analysis.definition.graph.steps), limit)
    queue = quota_needed(evidence, limit)
    modest = limit <= 2 * scope.limit and not waited and must_bear is None and queue is None
    return Finding(
        step=scope.step,
        about=scope.about,
        action=f"Raise parallelism of {scope.name}: {scope.limit} -> {limit}{allowed.bound}",
        because=(
            f"its {least.width} pods run at most {scope.limit} at a time; on the critical path pods waited"
            f" {text.duration(wait)} per run for a free slot, in {held} of {text.count(len(runs), 'run')}"
            f" ({evidence.recent_window()})"
        ),
        otherwise=(
            f"runs keep taking {text.duration(least.now)} instead of"
            f" {text.duration((least.now or 0.0) - gain.seconds.likely)}"
        ),
        risk=Level.LOW if modest else Level.MEDIUM,
        current=f"{text.count(scope.limit, 'pod')} at a time",
        proposed=f"{limit} pods at a time",
        expected=gain_sentence(gain.share, gain.seconds),
        confidence=0.9 if modest else 0.7,
        gain_seconds=gain.seconds,
        gain_share=gain.share,
        edits=scope.edit(limit),
        evidence=(
            f"replayed without any limit a run takes {text.duration(least.best)}; {limit} is the "
            + (f"largest limit that fits{allowed.bound}" if allowed.by else "smallest limit within 2% of it"),
            f"pods waited 10 s or more for a node in {waited} of {len(runs)} runs",
            *(note for note in (must_bear, queue) if note is not None),
            *([gain.beside] if gain.beside else []),
            *service_notes(evidence, times),
        ),
        # Of runs that are not admitted, none would show that the limit is too high.
        automatic=queue is None or POD_BY_POD in evidence.analysis.definition.declared,
    )


def _allowed(
    evidence: Evidence, scope: LimitScope, enough: EnoughParallelism, runs: list[ExecutedRun], times: Sequence[float]
) -> _Allowed:
    """The sufficient limit with the locks that pods hold, at most what the namespace has room for. ``times``: when the runs
    began (unix seconds)."""
    definition, wanted, least = evidence.analysis.definition, enough.limit or 0, enough
    capacity, by = _capacity(evidence, scope, times)
    locks, names = _locks(definition, wanted)
    if locks:
        runs = [replace(run, limits=(*run.limits, *locks)) for run in runs]
        least = enough_parallelism(runs, scope.limits)
    limit = least.limit or wanted
    if limit < min(wanted, capacity):
        by = names
    limit = min(limit, capacity)
    return _Allowed(limit, by if limit < wanted else "", runs, least)


def _gain(evidence: Evidence, scope: LimitScope, allowed: _Allowed, least_percent: float) -> _Gain | None:
    """What the limit gains in the room that other workflows leave; None where that is too little."""
    limit, runs, definition = allowed.limit, allowed.runs, evidence.analysis.definition
    change = WhatIf(parallelism=tuple((s, limit) for s in scope.limits))
    alone = evidence.worth(change, least_percent, runs)
    if alone is None:
        return None
    share, seconds = alone
    room = beside_others(evidence, runs, scope.inside(definition.graph.steps))
    short = sum(room.pods.get(run.run, limit) < limit for run in runs) if room is not None else 0
    if room is None or not short:
        return _Gain(share, seconds)
    bounds = {name: Limit(max(pods, scope.limit or 0), None, "capacity") for name, pods in room.pods.items()}
    beside = evidence.gain(
        change, [replace(run, limits=(*run.limits, bounds[run.run])) if run.run in bounds else run for run in runs]
    )
    share, seconds = between(beside.share, share), between(beside.seconds, seconds)
    if share.likely < least_percent / 100:
        return None
    return _Gain(share, seconds, _beside(room, limit, short, len(runs)))


def _held_back(runs: list[ExecutedRun]) -> tuple[int, float]:
    """Number of runs in which a pod of the critical path waited for a slot, and the mean wait (s) over all runs."""
    waits = [split.limit for split in (time_split(run) for run in runs) if split is not None]
    return sum(w >= 1.0 for w in waits), sum(waits) / len(waits) if waits else 0.0


def _capacity(evidence: Evidence, scope: LimitScope, times: Sequence[float]) -> tuple[int, str]:
    """The most concurrent pods of the scope allowed by quotas, nodes and the policy, and which of them applies. ``times``:
    when services leave room on the nodes (unix seconds; their median counts)."""
    fits = evidence.capacity.pods(scope.inside(evidence.analysis.definition.graph.steps), times)
    bounds = (int(evidence.analysis.policy.apply.bounds.parallelism.max), "apply.bounds.parallelism of the policy")
    return min(fits, bounds) if fits is not None else bounds


def _locks(definition: WorkflowDefinition, wanted: int) -> tuple[tuple[Limit, ...], str]:
    """The mutexes and semaphores known to admit fewer than the ``wanted`` pods, each of which holds them by itself, and
    their names."""
    sizes = definition.config_maps.semaphores
    limits: dict[str, Limit] = {}
    for name in dict.fromkeys(n for s in definition.graph.steps for n in s.locks):
        size = 1 if name.startswith("mutex/") else sizes.get(name, wanted)
        holders = frozenset(s.name for s in definition.graph.steps if name in {*s.locks} - {*s.outer_locks})
        if size < wanted and holders:
            limits[name] = Limit(size, holders, "lock")
    return tuple(limits.values()), text.listing([f"{n.partition('/')[0]} {n.rpartition('/')[2]}" for n in limits])


def _amounts(room: FreeCapacity) -> str:
    """What others reserve, without what is none but for rounding."""
    memory = [text.memory(room.memory)] if room.memory >= MIB else []
    return " and ".join([*([text.cores(room.cores)] if room.cores >= MILLI or not memory else []), *memory])


def _beside(room: FreeCapacity, limit: int, short: int, runs: int) -> str:
    """What leaves less room than for ``limit`` pods, in ``short`` of so many ``runs``, as a sentence."""
    reserve = room.cores >= MILLI or room.memory >= MIB
    if reserve and room.usually < limit:
        pods = f"{text.count(room.usually, 'pod')}{' beside those outside workflows' if room.services else ''}"
        return f"other workflows reserve {_amounts(room)} on average meanwhile, which leaves {room.where} for {pods}"
    who = "other workflows" if reserve else "pods outside workflows"
    return f"{who} leave room for fewer than {limit} pods in {short} of {runs} runs"
