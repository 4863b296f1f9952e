"""The executed graph of one run: what ran, which dependencies applied, and where the time went.

A declared graph describes what may happen; a run shows what did: retries, fan-out items, skipped branches, edges that did
not bind. Replay and critical path need the latter, so it is built once per run from observed times and reused for every
what-if. Waits for limits are separated here: a pod that waited for a slot has its own short lag plus a wait that the
simulation reproduces, or drops when the limit changes.
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate

from concertmaster.core.analysis.graph import MAX_SECONDS
from concertmaster.core.analysis.replay.items import CLOCK_TOLERANCE, SAME_RUN, ItemPlaces, ItemRow, places
from concertmaster.core.analysis.replay.layout import Layout, Taken, lay_out, taken
from concertmaster.core.analysis.replay.regular import FULL_CLUSTER_SECONDS, critical, executed_at_once, throttled
from concertmaster.core.analysis.replay.run import Attempt, ExecutedRun, Limit, in_order, lag_parts, longest, pieces_of
from concertmaster.core.analysis.replay.simulation.simulate import simulate
from concertmaster.core.model import Outcome, RunRecord, WorkflowGraph


def executed(run: RunRecord, graph: WorkflowGraph) -> ExecutedRun:
    """The executed graph of ``run`` on its declared ``graph``.

    Dependencies reported by the engine take precedence over declared ones. An edge counts only when the observed times
    agree with it: a pod created before its dependency ended did not wait for it in this run. Steps that are not in the
    graph and have no reported dependencies depend on nothing and keep their observed start.
    """
    return prepare((run,), graph)[0]


Layouts = dict[tuple[tuple[str, ...], Taken], Layout]
"""Of one graph, by the steps that only a run knows and the edges it took."""


def prepare(runs: Iterable[RunRecord], graph: WorkflowGraph, *, layouts: Layouts | None = None) -> list[ExecutedRun]:
    """Executed graphs of the runs of one workflow, to be built once and passed to every analysis. ``layouts``: cache of
    layouts of the same graph, so that runs of one layout share it across calls."""
    known = {step.name for step in graph.steps}
    daemons = frozenset(step.name for step in graph.steps if step.daemon)
    runs, layouts = list(runs), {} if layouts is None else layouts
    alike: dict[tuple[tuple[str, ...], Taken], list[RunRecord]] = {}
    for run in runs:
        extra = tuple(dict.fromkeys([e.step for e in run.steps if e.step not in known]))
        alike.setdefault((extra, taken(run)), []).append(run)
    found: dict[int, ExecutedRun] = {}
    for shape, members in alike.items():
        layout = layouts.get(shape)
        if layout is None:
            layout = layouts[shape] = lay_out(graph, *shape)
        regular = [None] * len(members) if daemons else executed_at_once(members, layout)
        for run, built in zip(members, regular, strict=True):
            found[id(run)] = built or _executed(run, layout, daemons)
    return [found[id(run)] for run in runs]


def _executed(run: RunRecord, layout: Layout, daemons: frozenset[str]) -> ExecutedRun:
    """The graph of one run, without the declared limits where the run shows that they were not in force; unusable where
    times of its pods are unknown or cannot be."""
    rows, unknown = _rows(run, daemons)
    if unknown:
        return _unusable(run, layout, f"{unknown} of {unknown + len(rows)} pods have no known start or end")
    if not rows:
        return _unusable(run, layout, "no pod of the run is known")
    start, last, end = _span(run, rows)
    if end >= MAX_SECONDS:
        return _unusable(run, layout, f"its times span {end:.3g} seconds, which cannot be")
    grouped: list[list[ItemRow]] = [[] for _ in layout.names]
    for row in rows:
        grouped[layout.index[row.execution.step]].append(row)
    placed = places(layout, grouped)
    free = _slot_free(rows, layout.limits)
    parents, chains, done, problems = _timeline(placed, start, free)
    shared = min([chain[0].lag for items in chains for chain in items])
    pieces = tuple([tuple([pieces_of(chain, shared) for chain in items]) for items in chains])
    if free:
        pieces = in_order(placed.names, chains, pieces, layout.limits)
    limits = (*layout.limits, *_capacity(chains, shared))
    lengths = tuple([longest(items) for items in pieces])
    ranks = _ranks(placed)
    replayed = simulate(placed.names, parents, pieces, lengths, ranks, limits) + end - last
    if layout.limits and abs(replayed - end) > SAME_RUN * end:
        why = f"under the declared limits the run would have taken {replayed:.0f} s, it took {end:.0f} s: not in force"
        return _executed(run, replace(layout, limits=(), problems=(*layout.problems, why)), daemons)
    return ExecutedRun(
        run=run.run,
        names=tuple(placed.names),
        parents=layout.waits if tuple(parents) == layout.waits else tuple(parents),  # shared between runs if equal
        chains=tuple(chains),
        pieces=pieces,
        lengths=lengths,
        ranks=ranks,
        pods=_pods(placed, chains),
        index=placed.index,
        limits=limits,
        shared_lag=shared,
        tail=end - last,
        makespan=end,
        replayed=replayed,
        usable=True,
        critical=critical(done, chains, parents),
        problems=tuple(dict.fromkeys([*layout.problems, *problems])),
        suspended=run.suspension.seconds if run.suspension is not None else 0.0,
    )


def _unusable(run: RunRecord, layout: Layout, why: str) -> ExecutedRun:
    return ExecutedRun(run.run, problems=(*layout.problems, why))


def _span(run: RunRecord, rows: Sequence[ItemRow]) -> tuple[float, float, float]:
    """Start of the run (unix seconds), and from there the end of its last pod and its own end (s)."""
    start = rows[0].begin
    if run.start is not None and _finite(run.start):
        start = min(start, run.start)
    last = max(row.end for row in rows) - start
    return start, last, last if run.end is None or not _finite(run.end) else max(run.end - start, last)


_Items = tuple[tuple[Attempt, ...], ...]


def _timeline(
    placed: ItemPlaces, start: float, free: Mapping[int, float]
) -> tuple[list[tuple[int, ...]], list[_Items], list[float], list[str]]:
    """By step: the steps it waited for, its pods by item, and when it was done (s from ``start``); and what contradicts the
    graph. ``free``: as ``_slot_free`` returns it."""
    parents: list[tuple[int, ...]] = []
    chains: list[_Items] = []
    done: list[float] = []
    problems: list[str] = []
    for name, waits, own in zip(placed.names, placed.waits, placed.rows, strict=True):
        binding = waits
        if own and waits:
            latest = own[0].begin - start + CLOCK_TOLERANCE
            loose = [p for p in waits if done[p] > latest]
            if loose:
                binding = tuple([p for p in waits if p not in loose])
                why = ", ".join(dict.fromkeys([placed.names[p] for p in loose]))
                problems.append(f"step {name!r} began before {why} ended: in this run it did not wait for it")
        ready = max([done[p] for p in binding]) if binding else 0.0
        items = tuple([_chain(attempts, start, ready, free) for attempts in _items(own)])
        parents.append(binding)
        chains.append(items)
        done.append(max([chain[-1].finished for chain in items]) if items else ready)
    return parents, chains, done, problems


def _ranks(placed: ItemPlaces) -> tuple[int, ...]:
    """Priority of each step among pods due at the same time: the order in which the steps began."""
    first = [own[0].begin if own else math.inf for own in placed.rows]
    order = sorted(range(len(first)), key=first.__getitem__)
    return tuple(sorted(order, key=order.__getitem__))


def _pods(placed: ItemPlaces, chains: Sequence[_Items]) -> dict[str, int]:
    """Number of pods of each step that has any."""
    pods: dict[str, int] = {}
    for name, items in zip(placed.names, chains, strict=True):
        for chain in items:
            pods[name] = pods.get(name, 0) + len(chain)
    return pods


def _rows(run: RunRecord, daemons: frozenset[str]) -> tuple[list[ItemRow], int]:
    """Executions that ran, in order of start, and the number of those with unknown start or end.

    A daemon ends for its dependents when it becomes ready or, if that is unknown, when it starts; the rest of its life is
    no work of the run.
    """
    rows: list[ItemRow] = []
    unknown = 0
    for position, execution in enumerate(run.steps):
        if execution.step in daemons:
            done = execution.serving if execution.serving is not None else execution.started
            execution = replace(execution, finished=done if done is not None else execution.finished)
        begin, end = execution.created, execution.finished
        if begin is None or not _finite(begin):
            begin = next((t for t in (execution.scheduled, execution.started) if t is not None and _finite(t)), None)
        if begin is not None and end is not None and _finite(end):
            rows.append(ItemRow(position, begin, end if end > begin else begin, execution))
        elif execution.outcome not in (Outcome.SKIPPED, Outcome.CACHED):
            unknown += 1
    rows.sort(key=lambda row: row.begin)
    return rows, unknown


def _finite(value: float) -> bool:
    return -math.inf < value < math.inf


def _items(rows: Sequence[ItemRow]) -> list[list[ItemRow]]:
    """Executions of one step by fan-out item, attempts in order. Pods with equal item and attempt are separate items."""
    if len(rows) <= 1:
        return [list(rows)] if rows else []
    out: dict[tuple[str | None, int], list[ItemRow]] = {}
    seen: dict[tuple[str | None, int], int] = {}
    for row in rows:
        key = (row.execution.item, row.execution.attempt)
        seen[key] = seen.get(key, 0) + 1
        out.setdefault((row.execution.item, seen[key]), []).append(row)
    for chain in out.values():
        if len(chain) > 1:
            chain.sort(key=lambda row: (row.execution.attempt, row.begin))
    return list(out.values())


def _slot_free(rows: Sequence[ItemRow], limits: Iterable[Limit]) -> dict[int, float]:
    """For each pod that had to wait: when (unix seconds) every limit had a free slot."""
    free: dict[int, float] = {}
    for limit in limits:
        ends: list[float] = []
        for row in rows:
            if limit.steps is not None and row.execution.step not in limit.steps:
                continue
            if 0 < limit.size <= len(ends):
                opened = ends[len(ends) - limit.size]
                if opened <= row.begin + CLOCK_TOLERANCE:  # else the limit was not in force
                    free[row.position] = max(free.get(row.position, -math.inf), opened)
            insort(ends, row.end)
    return free


def _chain(attempts: Sequence[ItemRow], start: float, ready: float, free: Mapping[int, float]) -> tuple[Attempt, ...]:
    """Attempts of one item; each becomes ready when the previous one ended."""
    out: list[Attempt] = []
    for number, (position, begin, end, execution) in enumerate(attempts):
        begin, finished = begin - start, end - start
        if begin < ready:  # timestamps are whole seconds: clamp negative waits
            ready = begin
        opened = min(max(ready, free[position] - start), begin) if position in free else ready
        scheduled = _between(execution.scheduled, start, begin, finished)
        started = _between(execution.started, start, scheduled, finished)
        out.append(
            Attempt(
                execution.step,
                execution.item,
                execution.attempt,
                ready,
                opened - ready,  # queued
                begin - opened,  # lag
                scheduled - begin,  # pending
                started - scheduled,  # starting
                finished - started,  # work
                finished,
                execution.outcome is Outcome.FAILED or number < len(attempts) - 1,
                throttled(execution) if execution.containers else None,
                position,
            )
        )
        ready = finished
    return tuple(out)


def _between(stamp: float | None, start: float, low: float, high: float) -> float:
    """A timestamp relative to the start of the run, clamped to the life of its pod; unknown ones become ``low``."""
    if stamp is None or not -math.inf < stamp < math.inf:
        return low
    after = stamp - start
    return low if after < low else high if after > high else after


def _capacity(chains: Sequence[Sequence[Sequence[Attempt]]], shared: float) -> list[Limit]:
    """When pods waited for a node, the observed peak of concurrent pods as a limit: more would only wait longer."""
    if max([a.pending for items in chains for chain in items for a in chain]) <= FULL_CLUSTER_SECONDS:
        return []
    held = [
        (a.finished - a.span - (0.0 if k else lag_parts(a, shared)[1]), a.finished)
        for items in chains
        for chain in items
        for k, a in enumerate(chain)
    ]
    edges = sorted([(begin, 1) for begin, _ in held] + [(end, -1) for _, end in held])
    return [Limit(max(accumulate(change for _, change in edges)), None, "capacity")]
