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
from dataclasses import dataclass, field

from concertmaster.core.graph import topological_order
from concertmaster.core.model import Outcome, RunRecord, StepExecution, StepSpec, WorkflowGraph

# Kubernetes writes whole seconds: two stamps of the same instant can differ by one, a difference of two by two.
CLOCK_TOLERANCE = 2.0


@dataclass(frozen=True, slots=True)
class Limit:
    """At most ``size`` pods of ``steps`` (None: of the whole run) at a time: a limit, mutex or semaphore."""

    size: int
    steps: frozenset[str] | None = None
    name: str = "parallelism"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One pod of a run. Times are seconds after the run's start.

    ``ready``: dependencies satisfied. ``lag``: controller time before the pod existed, without waits for a limit
    (``queued``). ``pending``: pod created until bound to a node. ``starting``: bound until the main container ran
    (image pull, init containers). ``work``: main containers.
    """

    step: str
    item: str | None
    attempt: int
    ready: float
    queued: float
    lag: float
    pending: float
    starting: float
    work: float
    finished: float
    failed: bool
    outcome: Outcome
    throttled_share: float | None = None
    source: int = -1  # position in RunRecord.steps

    @property
    def span(self) -> float:
        """Seconds the pod held its slot: creation to finish."""
        return self.pending + self.starting + self.work


@dataclass(frozen=True, slots=True)
class StepTimes:
    """When a step of one run became ready, first started and last finished (seconds after the run's start)."""

    ready: float
    start: float
    finish: float
    busy: float
    pods: int


@dataclass(frozen=True, slots=True)
class ExecutedRun:
    """One run, ready for replay. Positions are a topological order of ``names``.

    ``parents[i]`` are positions that step i really waited for; ``chains[i]`` its fan-out items, each with its attempts
    in order (empty: the step did not run and passes its dependencies on); ``done[i]`` when it ended. ``tail``: seconds
    between the last pod's end and the run's end. ``usable`` False: ``problems`` says why the run cannot be replayed.
    """

    run: str
    names: tuple[str, ...]
    parents: tuple[tuple[int, ...], ...]
    chains: tuple[tuple[tuple[Attempt, ...], ...], ...]
    done: tuple[float, ...]
    steps: Mapping[str, StepTimes]
    makespan: float
    tail: float
    limits: tuple[Limit, ...] = ()
    usable: bool = True
    problems: tuple[str, ...] = ()
    index: Mapping[str, int] = field(default_factory=dict)


def executed(run: RunRecord, graph: WorkflowGraph, locks: Iterable[Limit] = ()) -> ExecutedRun:
    """The executed graph of ``run`` on its declared ``graph``; ``locks`` are mutexes and semaphores the run obeyed.

    An edge counts only when the observed times agree with it: a pod created before its declared dependency ended did
    not wait for it in this run. Steps the graph does not know hang on nothing and keep their observed start.
    """
    problems: list[str] = list(graph.problems)
    start, end = _span(run)
    if start is None or end is None:
        return _unusable(run, [*problems, "the run has no start or no end"])
    specs = _ordered(run, graph, problems)
    names = tuple(spec.name for spec in specs)
    index = {name: i for i, name in enumerate(names)}
    grouped: dict[str, list[tuple[int, StepExecution]]] = {name: [] for name in names}
    missing = 0
    for position, execution in enumerate(run.steps):
        if execution.outcome in (Outcome.SKIPPED, Outcome.CACHED) and execution.finished is None:
            continue
        if not _finite(execution.finished) or not _finite(_begin(execution)):
            missing += 1
            continue
        grouped[execution.step].append((position, execution))
    if missing:
        return _unusable(run, [*problems, f"{missing} of {len(run.steps)} pods have no known start or end"])
    if not any(grouped.values()):
        return _unusable(run, [*problems, "no pod of the run is known"])

    limits = tuple(locks) + _declared_limits(graph)
    slots = _slot_free(run.steps, grouped, limits)
    parents: list[tuple[int, ...]] = []
    chains: list[tuple[tuple[Attempt, ...], ...]] = []
    steps: dict[str, StepTimes] = {}
    first = [min((_begin(e) or 0.0 for _, e in grouped[name]), default=math.inf) for name in names]
    done = [0.0] * len(names)
    for i, spec in enumerate(specs):
        above = tuple(index[p] for p in spec.depends_on if p in index and index[p] < i)
        binding = tuple(p for p in above if start + done[p] <= first[i] + CLOCK_TOLERANCE)
        if len(binding) < len(above):
            free = ", ".join(names[p] for p in above if p not in binding)
            problems.append(f"step {spec.name!r} started before {free} ended; in this run it did not wait for it")
        ready = max((done[p] for p in binding), default=0.0)
        rows = tuple(
            _chain(attempts, start, ready, slots) for _, attempts in sorted(_items(grouped[spec.name]).items())
        )
        parents.append(binding)
        chains.append(rows)
        pods = [a for row in rows for a in row]
        done[i] = max((a.finished for a in pods), default=ready)
        if pods:
            begun = min(a.finished - a.work for a in pods)
            steps[spec.name] = StepTimes(ready, begun, done[i], sum(a.work for a in pods), len(pods))
    last = max(done, default=0.0)
    makespan = max(end - start, last)
    return ExecutedRun(
        run.run,
        names,
        tuple(parents),
        tuple(chains),
        tuple(done),
        steps,
        makespan,
        makespan - last,
        limits,
        True,
        tuple(problems),
        index,
    )


def _span(run: RunRecord) -> tuple[float | None, float | None]:
    begins = [b for b in (_begin(e) for e in run.steps) if _finite(b)]
    ends = [e.finished for e in run.steps if _finite(e.finished)]
    start = run.start if _finite(run.start) else min((b for b in begins if b is not None), default=None)
    end = run.end if _finite(run.end) else max((f for f in ends if f is not None), default=None)
    return start, end


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _begin(execution: StepExecution) -> float | None:
    """When the pod came into being, as early as it is known."""
    return next((v for v in (execution.created, execution.scheduled, execution.started) if _finite(v)), None)


def _unusable(run: RunRecord, problems: Sequence[str]) -> ExecutedRun:
    return ExecutedRun(run.run, (), (), (), (), {}, math.nan, 0.0, (), False, tuple(problems))


def _ordered(run: RunRecord, graph: WorkflowGraph, problems: list[str]) -> list[StepSpec]:
    """Specs in topological order; steps only seen in the run are added, edges that close a circle are ignored."""
    specs = {spec.name: spec for spec in graph.steps}
    unknown = [e.step for e in run.steps if e.step not in specs]
    if unknown and graph.steps:
        shown = ", ".join(dict.fromkeys(unknown))
        problems.append(f"the graph does not know {shown}; replayed at the observed start")
    for name in unknown:
        specs.setdefault(name, StepSpec(name))
    body = tuple(name for name, spec in specs.items() if not spec.on_exit)
    specs = {
        name: StepSpec(name, depends_on=body, on_exit=True) if spec.on_exit and not spec.depends_on else spec
        for name, spec in specs.items()
    }
    names = list(specs)
    place = {name: i for i, name in enumerate(names)}
    above = [[place[p] for p in specs[name].depends_on if p in place and p != name] for name in names]
    found = topological_order(above)
    if found.cyclic:
        problems.append("the graph has a circle of dependencies; the edges on it are ignored")
    return [specs[names[i]] for i in (*found.order, *found.cyclic)]


def _declared_limits(graph: WorkflowGraph) -> tuple[Limit, ...]:
    own = [
        Limit(s.parallelism, frozenset((s.name,)), f"parallelism of {s.name}")
        for s in graph.steps
        if s.parallelism is not None and s.parallelism > 0
    ]
    whole = [Limit(graph.parallelism)] if graph.parallelism is not None and graph.parallelism > 0 else []
    return (*whole, *own)


def _items(rows: Iterable[tuple[int, StepExecution]]) -> dict[str, list[tuple[int, StepExecution]]]:
    """Executions of one step by fan-out item, attempts in order. Pods that share item and attempt are items apart."""
    out: dict[str, list[tuple[int, StepExecution]]] = {}
    seen: dict[tuple[str | None, int], int] = {}
    for position, execution in rows:
        key = (execution.item, execution.attempt)
        seen[key] = seen.get(key, 0) + 1
        out.setdefault(f"{execution.item or ''}\0{seen[key]:06d}", []).append((position, execution))
    for chain in out.values():
        chain.sort(key=lambda row: (row[1].attempt, _begin(row[1]) or 0.0))
    return out


def _slot_free(
    executions: Sequence[StepExecution], grouped: Mapping[str, list[tuple[int, StepExecution]]], limits: Iterable[Limit]
) -> dict[int, float]:
    """For each pod the moment (unix seconds) from which every limit had a free slot for it, as the run shows it."""
    free: dict[int, float] = {}
    everything = [row for rows in grouped.values() for row in rows]
    for limit in limits:
        rows = [r for r in everything if limit.steps is None or r[1].step in limit.steps]
        rows.sort(key=lambda row: _begin(row[1]) or 0.0)
        ends: list[float] = []
        for rank, (position, execution) in enumerate(rows):
            if rank >= limit.size:
                opened = ends[rank - limit.size]
                if opened <= (_begin(execution) or 0.0) + CLOCK_TOLERANCE:  # else the limit was not in force
                    free[position] = max(free.get(position, -math.inf), opened)
            insort(ends, execution.finished or 0.0)
    return free


def _chain(
    attempts: Sequence[tuple[int, StepExecution]], start: float, ready: float, free: Mapping[int, float]
) -> tuple[Attempt, ...]:
    """Attempts of one item: each becomes ready when the one before it ended."""
    out: list[Attempt] = []
    for number, (position, execution) in enumerate(attempts):
        begin = (_begin(execution) or start) - start
        finished = max((execution.finished or start) - start, begin)
        opened = max(ready, min(free.get(position, -math.inf) - start, begin))
        scheduled = _between(execution.scheduled, start, begin, finished)
        started = _between(execution.started, start, scheduled, finished)
        failed = execution.outcome is Outcome.FAILED or number < len(attempts) - 1
        out.append(
            Attempt(
                execution.step,
                execution.item,
                execution.attempt,
                ready,
                max(0.0, opened - ready),
                begin - opened,
                scheduled - begin,
                started - scheduled,
                finished - started,
                finished,
                failed,
                execution.outcome,
                _throttled(execution),
                position,
            )
        )
        ready = finished
    return tuple(out)


def _between(stamp: float | None, start: float, low: float, high: float) -> float:
    """A stamp relative to the run's start and inside its pod's life; an unknown one falls on the earlier end."""
    return low if stamp is None or not math.isfinite(stamp) else min(max(stamp - start, low), high)


def _throttled(execution: StepExecution) -> float | None:
    shares = [c.throttled_share for c in execution.containers if c.throttled_share is not None and not c.init]
    return max((s for s in shares if 0.0 <= s <= 1.0), default=None)
