"""The executed graph of one run: what really ran, in which order it had to run, and where its time went.

A declared graph says what may happen; a run shows what did: retries, fan-out items, skipped branches, edges that did
not bind. Replay and critical path need the second, so it is built here once per run from observed times and used for
every what-if. Limits are undone at this point: a pod that waited for a free slot has a short lag of its own plus a wait
that the simulation produces again, or no longer produces, when the limit changes.
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Iterable, Mapping, Sequence

from concertmaster.core.graph import topological_order
from concertmaster.core.model import Outcome, RunRecord, StepExecution, StepSpec, WorkflowGraph
from concertmaster.core.replay.run import Attempt, ExecutedRun, Limit, StepTimes
from concertmaster.core.replay.simulate import chain_length, pieces_of, simulate

# Kubernetes writes whole seconds: two stamps of the same instant can differ by one, a difference of two by two.
CLOCK_TOLERANCE = 2.0
# A scheduler with room binds a pod within seconds; a longer wait means that the cluster was full or had to grow.
FULL_CLUSTER_SECONDS = 10.0

Row = tuple[int, StepExecution]


def executed(run: RunRecord, graph: WorkflowGraph, locks: Iterable[Limit] = ()) -> ExecutedRun:
    """The executed graph of ``run`` on its declared ``graph``; ``locks`` are mutexes and semaphores the run obeyed.

    An edge counts only when the observed times agree with it: a pod created before its declared dependency ended did
    not wait for it in this run. Steps the graph does not know hang on nothing and keep their observed start.
    """
    problems: list[str] = list(graph.problems)
    rows = [(i, e) for i, e in enumerate(run.steps) if not _never_ran(e)]
    unknown = sum(1 for _, e in rows if _begin(e) is None or not _finite(e.finished))
    if unknown:
        return ExecutedRun(run.run, problems=(*problems, f"{unknown} of {len(rows)} pods have no known start or end"))
    if not rows:
        return ExecutedRun(run.run, problems=(*problems, "no pod of the run is known"))
    begins = [_begin(e) or 0.0 for _, e in rows]
    start = min(begins) if run.start is None or not _finite(run.start) else min(run.start, *begins)
    specs = _ordered(run, graph, problems)
    names = tuple(spec.name for spec in specs)
    index = {name: i for i, name in enumerate(names)}
    grouped: dict[str, list[Row]] = {name: [] for name in names}
    for row in rows:
        grouped[row[1].step].append(row)
    limits = (*locks, *_declared_limits(graph))
    free = _slot_free(rows, limits)

    parents: list[tuple[int, ...]] = []
    chains: list[tuple[tuple[Attempt, ...], ...]] = []
    steps: dict[str, StepTimes] = {}
    done: list[float] = []
    for spec in specs:
        own = grouped[spec.name]
        first = min((_begin(e) or 0.0 for _, e in own), default=math.inf)
        above = tuple(dict.fromkeys(index[p] for p in spec.depends_on if index.get(p, len(done)) < len(done)))
        binding = tuple(p for p in above if start + done[p] <= first + CLOCK_TOLERANCE)
        if len(binding) < len(above):
            loose = ", ".join(names[p] for p in above if p not in binding)
            problems.append(f"step {spec.name!r} began before {loose} ended: in this run it did not wait for it")
        ready = max((done[p] for p in binding), default=0.0)
        found = [_chain(attempts, start, ready, free) for attempts in _items(own)]
        found.sort(key=lambda chain: chain[0].finished - chain[0].span)
        parents.append(binding)
        chains.append(tuple(found))
        pods = [a for chain in found for a in chain]
        done.append(max((a.finished for a in pods), default=ready))
        if pods:
            begun = min(a.finished - a.work for a in pods)
            steps[spec.name] = StepTimes(ready, begun, done[-1], sum(a.work for a in pods), len(pods))
    limits = (*limits, *_capacity(chains))
    last = max(done)
    end = last if run.end is None or not _finite(run.end) else max(run.end - start, last)
    pieces = tuple(tuple(pieces_of(chain) for chain in found) for found in chains)
    lengths = tuple(max(map(chain_length, found), default=0.0) for found in pieces)
    replayed = simulate(names, parents, pieces, lengths, limits) + end - last
    return ExecutedRun(
        run=run.run,
        names=names,
        parents=tuple(parents),
        chains=tuple(chains),
        done=tuple(done),
        pieces=pieces,
        lengths=lengths,
        steps=steps,
        index=index,
        limits=limits,
        tail=end - last,
        makespan=end,
        replayed=replayed,
        usable=True,
        problems=tuple(problems),
    )


def _never_ran(execution: StepExecution) -> bool:
    """Skipped, or answered from a cache without a pod."""
    return execution.outcome in (Outcome.SKIPPED, Outcome.CACHED) and (
        _begin(execution) is None or not _finite(execution.finished)
    )


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _begin(execution: StepExecution) -> float | None:
    """When the pod came into being, as early as it is known."""
    return next((v for v in (execution.created, execution.scheduled, execution.started) if _finite(v)), None)


def _ordered(run: RunRecord, graph: WorkflowGraph, problems: list[str]) -> list[StepSpec]:
    """Specs in topological order; steps only seen in the run are added, edges that close a circle are ignored."""
    specs = {spec.name: spec for spec in graph.steps}
    unknown = list(dict.fromkeys(e.step for e in run.steps if e.step not in specs))
    if unknown and graph.steps:
        problems.append(f"the graph does not know {', '.join(unknown)}: replayed at the observed start")
    specs.update((name, StepSpec(name)) for name in unknown)
    body = tuple(name for name, spec in specs.items() if not spec.on_exit)
    place = {name: i for i, name in enumerate(specs)}
    waits = {n: body if spec.on_exit and not spec.depends_on else spec.depends_on for n, spec in specs.items()}
    found = topological_order([[place[p] for p in waits[n] if p in place and p != n] for n in specs])
    if found.cyclic:
        problems.append("the graph has a circle of dependencies: the edges on it are ignored")
    names = list(specs)
    return [StepSpec(names[i], depends_on=waits[names[i]]) for i in (*found.order, *found.cyclic)]


def _declared_limits(graph: WorkflowGraph) -> list[Limit]:
    whole = [Limit(graph.parallelism)] if graph.parallelism is not None and graph.parallelism > 0 else []
    own = [
        Limit(s.parallelism, frozenset((s.name,)))
        for s in graph.steps
        if s.parallelism is not None and s.parallelism > 0
    ]
    return whole + own


def _items(rows: Iterable[Row]) -> list[list[Row]]:
    """Executions of one step by fan-out item, attempts in order. Pods that share item and attempt are items apart."""
    out: dict[tuple[str | None, int], list[Row]] = {}
    seen: dict[tuple[str | None, int], int] = {}
    for row in rows:
        key = (row[1].item, row[1].attempt)
        seen[key] = seen.get(key, 0) + 1
        out.setdefault((row[1].item, seen[key]), []).append(row)
    return [sorted(chain, key=lambda row: (row[1].attempt, _begin(row[1]) or 0.0)) for chain in out.values()]


def _slot_free(rows: Sequence[Row], limits: Iterable[Limit]) -> dict[int, float]:
    """For each pod that had to wait: the moment (unix seconds) from which every limit had a slot for it."""
    free: dict[int, float] = {}
    for limit in limits:
        held = sorted(
            (r for r in rows if limit.steps is None or r[1].step in limit.steps), key=lambda r: _begin(r[1]) or 0.0
        )
        ends: list[float] = []
        for rank, (position, execution) in enumerate(held):
            if 0 < limit.size <= rank:
                opened = ends[rank - limit.size]
                if opened <= (_begin(execution) or 0.0) + CLOCK_TOLERANCE:  # else the limit was not in force
                    free[position] = max(free.get(position, -math.inf), opened)
            insort(ends, execution.finished or 0.0)
    return free


def _chain(attempts: Sequence[Row], start: float, ready: float, free: Mapping[int, float]) -> tuple[Attempt, ...]:
    """Attempts of one item: each becomes ready when the one before it ended."""
    out: list[Attempt] = []
    for number, (position, execution) in enumerate(attempts):
        begin = (_begin(execution) or start) - start
        ready = min(ready, begin)  # stamps of whole seconds: a pod never waits a negative time
        opened = min(max(ready, free.get(position, -math.inf) - start), begin)
        finished = max((execution.finished or start) - start, begin)
        scheduled = _between(execution.scheduled, start, begin, finished)
        started = _between(execution.started, start, scheduled, finished)
        out.append(
            Attempt(
                step=execution.step,
                item=execution.item,
                attempt=execution.attempt,
                ready=ready,
                queued=opened - ready,
                lag=begin - opened,
                pending=scheduled - begin,
                starting=started - scheduled,
                work=finished - started,
                finished=finished,
                failed=execution.outcome is Outcome.FAILED or number < len(attempts) - 1,
                outcome=execution.outcome,
                throttled_share=_throttled(execution),
                source=position,
            )
        )
        ready = finished
    return tuple(out)


def _between(stamp: float | None, start: float, low: float, high: float) -> float:
    """A stamp relative to the run's start and inside its pod's life; an unknown one falls on the earlier end."""
    return low if stamp is None or not math.isfinite(stamp) else min(max(stamp - start, low), high)


def _throttled(execution: StepExecution) -> float | None:
    """Share of throttled periods of the most throttled main container, where known."""
    shares = [c.throttled_share for c in execution.containers if c.throttled_share is not None and not c.init]
    return max((s for s in shares if 0.0 <= s <= 1.0), default=None)


def _capacity(chains: Iterable[Iterable[Sequence[Attempt]]]) -> list[Limit]:
    """The most pods seen at a time, as a limit, when pods had to wait for a node: more would only wait longer."""
    pods = [a for found in chains for chain in found for a in chain]
    if not any(a.pending > FULL_CLUSTER_SECONDS for a in pods):
        return []
    held = [(a.finished - a.span - (a.lag if a.attempt == 0 else 0.0), a.finished) for a in pods]
    edges = sorted([(begin, 1) for begin, _ in held] + [(end, -1) for _, end in held])
    now = peak = 0
    for _, change in edges:
        now += change
        peak = max(peak, now)
    return [Limit(peak, None, "capacity")]
