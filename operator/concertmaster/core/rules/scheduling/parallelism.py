"""``parallelism``: the sufficient number of concurrent pods.

A limit that delays pods while nodes have room costs run time; the rule raises it to the smallest one whose replay is within
2% of a run without any limit. Where pods only wait for nodes, a higher limit gains nothing: the rule then lowers it to that
same smallest one, so that pods queue in the engine, where they reserve nothing and disturb nobody.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from concertmaster.core import text
from concertmaster.core.analysis.replay import (
    EnoughParallelism,
    ExecutedRun,
    Limit,
    WhatIf,
    enough_parallelism,
    replay,
    time_split,
)
from concertmaster.core.analysis.replay.parallelism import TOLERANCE, smallest_limit
from concertmaster.core.lifecycle import commands
from concertmaster.core.model import Category, Edit, Finding, Level, StepSpec, WorkflowDefinition
from concertmaster.core.rules.base import Evidence, Rule, gain_sentence
from concertmaster.core.rules.scheduling.free_capacity import (
    FreeCapacity,
    begins,
    beside_others,
    between,
    outside,
    service_notes,
)
from concertmaster.core.rules.scheduling.suspension import quota_needed
from concertmaster.core.rules.scheduling.waits import most_on_nodes
from concertmaster.core.sizing import MILLI
from concertmaster.core.units import MIB

_ELSEWHERE = 0.25  # most of the wait for nodes, as a share, that other workflows caused


@dataclass(frozen=True, slots=True)
class _Scope:
    """One field that limits pods: its name, the replay limits it corresponds to, and its location."""

    about: str  # part of the id after the rule's name
    step: str | None
    name: str
    limit: int | None
    limits: tuple[str | None, ...]
    pointer: str | None
    literal: object


def _scopes(evidence: Evidence) -> Iterator[_Scope]:
    definition = evidence.analysis.definition
    graph, own = definition.graph, definition.key.name
    if definition.engine.single_step and len(graph.steps) == 1:
        job = graph.steps[0]
        pointer = f"{job.pointer}/parallelism" if job.pointer else None
        yield _Scope("", None, own, graph.parallelism, (None, job.name), pointer, job.declared.get("parallelism"))
        return
    pointer, literal = graph.parallelism_pointer, definition.declared.get("parallelism", graph.parallelism)
    yield _Scope("", None, own, graph.parallelism, (None,), pointer, literal)
    for group in graph.limits:
        wide = tuple(s.name for s in graph.steps if s.name in group.steps and s.parallelism is not None)
        if wide:
            name = group.template or wide[0]
            step = wide[0] if len(wide) == 1 else None
            yield _Scope(wide[0] if len(wide) == 1 else name, step, name, group.limit, wide, group.pointer, group.limit)


def _edit(scope: _Scope, limit: int) -> tuple[Edit, ...]:
    return () if scope.pointer is None else (commands.field_edit(scope.pointer, scope.literal, limit),)


def _held_back(runs: list[ExecutedRun]) -> tuple[int, float]:
    """Number of runs in which a pod of the critical path waited for a slot, and the mean wait (s) over all runs."""
    waits = [split.limit for split in (time_split(run) for run in runs) if split is not None]
    return sum(w >= 1.0 for w in waits), sum(waits) / len(waits) if waits else 0.0


def _inside(evidence: Evidence, scope: _Scope) -> list[StepSpec]:
    steps = evidence.analysis.definition.graph.steps
    return [s for s in steps if None in scope.limits or s.name in scope.limits]


def _capacity(evidence: Evidence, scope: _Scope, times: Sequence[float]) -> tuple[int, str]:
    """The most concurrent pods of the scope allowed by quotas, nodes and the policy, and which of them applies. ``times``:
    when services leave room on the nodes (unix seconds; their median counts)."""
    fits = evidence.capacity.pods(_inside(evidence, scope), times)
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


def _raise(evidence: Evidence, scope: _Scope, least: EnoughParallelism, runs: list[ExecutedRun]) -> Finding | None:
    if scope.limit is None or least.limit is None or least.limit <= scope.limit:
        return None
    times = begins(evidence, runs)
    wanted, (capacity, by) = least.limit, _capacity(evidence, scope, times)
    locks, names = _locks(evidence.analysis.definition, wanted)
    if locks:
        runs = [replace(run, limits=(*run.limits, *locks)) for run in runs]
        least = enough_parallelism(runs, evidence.analysis.definition.graph, scope.limits)
        by = names if least.limit is not None and least.limit < min(wanted, capacity) else by
    least = replace(least, limit=min(least.limit or wanted, capacity))
    if least.limit is None or least.limit <= scope.limit:
        return None
    bound = f" (limited by {by})" if least.limit < wanted else ""
    change = WhatIf(parallelism=tuple((s, least.limit) for s in scope.limits))
    percent = evidence.settings.number("minGainPercent", 5.0)
    gains = evidence.worth(change, percent, runs)
    if gains is None:
        return None
    (share, seconds), others, beside = gains, "", beside_others(evidence, runs, _inside(evidence, scope))
    short = sum(beside.pods.get(run.run, least.limit) < least.limit for run in runs) if beside is not None else 0
    if beside is not None and short:
        room = {name: Limit(max(pods, scope.limit), None, "capacity") for name, pods in beside.pods.items()}
        there = evidence.gain(
            change, [replace(run, limits=(*run.limits, room[run.run])) if run.run in room else run for run in runs]
        )
        share, seconds = between(there.share, share), between(there.seconds, seconds)
        if share.likely < percent / 100:
            return None
        others = _beside(beside, least.limit, short, len(runs))
    held, wait = _held_back(runs)
    then = (least.now or 0.0) - seconds.likely
    waited = sum(any(limit.kind == "capacity" for limit in run.limits) for run in runs)
    edits = _edit(scope, least.limit)
    must_bear = outside(evidence, _inside(evidence, scope), least.limit)
    queue = quota_needed(evidence, least.limit)
    modest = least.limit <= 2 * scope.limit and not waited and must_bear is None and queue is None
    return Finding(
        step=scope.step,
        about=scope.about,
        action=f"Raise parallelism of {scope.name}: {scope.limit} -> {least.limit}{bound}",
        because=(
            f"its {least.width} pods run at most {scope.limit} at a time; on the critical path pods waited"
            f" {text.duration(wait)} per run for a free slot, in {held} of {text.count(len(runs), 'run')}"
            f" ({evidence.recent_window()})"
        ),
        otherwise=f"runs keep taking {text.duration(least.now)} instead of {text.duration(then)}",
        risk=Level.LOW if modest else Level.MEDIUM,
        current=f"{text.count(scope.limit, 'pod')} at a time",
        proposed=f"{least.limit} pods at a time",
        expected=gain_sentence(share, seconds),
        confidence=0.9 if modest else 0.7,
        gain_seconds=seconds,
        gain_share=share,
        edits=edits,
        evidence=(
            f"replayed without any limit a run takes {text.duration(least.best)}; {least.limit} is the "
            + (f"largest limit that fits{bound}" if bound else "smallest limit within 2% of it"),
            f"pods waited 10 s or more for a node in {waited} of {len(runs)} runs",
            *(note for note in (must_bear, queue) if note is not None),
            *([others] if others else []),
            *service_notes(evidence, times),
        ),
        automatic=queue is None,
    )


def _elsewhere(run: ExecutedRun, limit: int) -> float:
    """Seconds that pods waited for a node while fewer than ``limit`` pods of the run had one: others held the nodes."""
    edges: list[tuple[float, int, int]] = []  # time, change of the pods on nodes, of those waiting
    for a in (a for chains in run.chains for chain in chains for a in chain):
        bound = a.finished - a.starting - a.work
        edges += [(bound - a.pending, 0, 1), (bound, 1, -1), (a.finished, -1, 0)]
    waited, running, waiting, last = 0.0, 0, 0, 0.0
    for time, more, queued in sorted(edges):
        if running < limit:
            waited += waiting * (time - last)
        running, waiting, last = running + more, waiting + queued, time
    return waited


def _fits(runs: list[ExecutedRun], most: int, start_up: float) -> tuple[int, float, float]:
    """Smallest limit (at most ``most``) that keeps the runs within 2% of their current duration when admitted pods find a
    node at once, with the replayed mean makespan and the current one (s)."""
    now = sum(run.replayed for run in runs) / len(runs)
    found = WhatIf.scale_start_up(start_up)

    def change(limit: int) -> WhatIf:
        return WhatIf.set_parallelism(limit) & found

    limit = smallest_limit(runs, change, most, now * (1.0 + TOLERANCE), found)
    return limit, sum(replay(run, change(limit)) for run in runs) / len(runs), now


def _lower(evidence: Evidence, scope: _Scope, runs: list[ExecutedRun]) -> Finding | None:
    engine = evidence.analysis.definition.engine
    named = evidence.analysis.definition.pod_labels
    workflow = named.value if named is not None and named.value else scope.name  # what its engine calls it
    if scope.step is not None or (scope.pointer is None and engine.concurrency(workflow, 1) is None):
        return None
    crowded = [run for run in runs if any(limit.kind == "capacity" for limit in run.limits)]
    if len(crowded) < max(2, len(runs) / 2):
        return None  # nodes had room in most runs
    rows = [a for run in runs for chains in run.chains for chain in chains for a in chain]
    pending, starting = (sum(v) / len(runs) for v in ([a.pending for a in rows], [a.starting for a in rows]))
    busy = sum(a.span for a in rows) / len(runs)
    if pending < evidence.settings.number("minWaitingPercent", 10.0) / 100 * busy:
        return None
    most = max(most_on_nodes(run) for run in runs)
    limit, seconds, now = _fits(runs, most, starting / (pending + starting))
    if (
        limit >= (scope.limit if scope.limit is not None else max(most_on_nodes(run, pending=True) for run in runs))
        or seconds > (1.0 + TOLERANCE) * now
    ):
        return None
    if sum(_elsewhere(run, limit) for run in runs) > _ELSEWHERE * pending * len(runs):
        return None  # with fewer pods at a time, each would still wait for others
    edits = _edit(scope, limit)
    title = "Set" if scope.limit is None else "Lower"
    before = "not set" if scope.limit is None else str(scope.limit)
    return Finding(
        about=scope.about,
        action=f"{title} parallelism of {scope.name}: {before} -> {limit}",
        because=(
            f"its pods waited {text.duration(pending)} per run for a node, {text.percent(pending / busy)} of their life, in"
            f" {len(crowded)} of {text.count(len(runs), 'run')} ({evidence.recent_window()}); never more than"
            f" {most} ran at a time"
        ),
        otherwise="waiting pods keep crowding the scheduler's queue, and delay other workflows on the same nodes",
        category=Category.SCALABILITY,
        current="no limit" if scope.limit is None else f"{text.count(scope.limit, 'pod')} at a time",
        proposed=f"{text.count(limit, 'pod')} at a time",
        expected=f"{text.duration(pending)} less queueing of pods in each run; no impact on run duration"
        f" ({text.duration(seconds)} replayed, {text.duration(now)} now)",
        confidence=0.7,
        edits=edits,
        evidence=(f"{limit} is the smallest limit whose replay, with a node for each pod let in, is within 2% of now",),
        automatic=bool(edits),
        snippet=None if edits else engine.concurrency(workflow, limit),
    )


def evaluate(evidence: Evidence) -> Iterator[Finding]:
    """One recommendation per field that limits pods, if another value is better."""
    analysis = evidence.analysis
    runs = [run for run in evidence.recent() if run.usable]
    if not analysis.enough or not runs:
        return
    crowded = any(limit.kind == "capacity" for run in runs for limit in run.limits)
    for scope in _scopes(evidence):
        if scope.limit is None and not crowded:
            continue  # no limit delays pods, and no capacity is short
        enough = enough_parallelism(runs, analysis.definition.graph, scope.limits)
        recommended = _raise(evidence, scope, enough, runs) or _lower(evidence, scope, runs)
        if recommended is not None:
            yield recommended


RULE = Rule(
    "parallelism",
    evaluate,
    Category.PERFORMANCE,
    Level.LOW,
    tie_break=9,
    settings=("minGainPercent", "minWaitingPercent"),
    steps=False,
)
