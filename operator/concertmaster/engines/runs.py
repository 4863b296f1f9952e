"""Run records from executions: ready times of the steps, start, end and outcome of the run.

The history stores no run objects. A run is rebuilt from its pods each time it is read, so that pods that arrive late (a
long step, a backfill) correct the record instead of contradicting it.
"""

from __future__ import annotations

from collections.abc import Sequence

from concertmaster.core.attempts import begin, last_attempts
from concertmaster.core.fast_init import fast_replace
from concertmaster.core.model import (
    Outcome,
    RunRecord,
    Source,
    StepExecution,
    StepSpec,
    WorkflowDefinition,
    WorkflowGraph,
    WorkflowKey,
    without_pauses,
)
from concertmaster.engines.common.layout import lay_out
from concertmaster.engines.outcomes import LOST_SECONDS, QUIET_SECONDS, RunOutcomes
from concertmaster.engines.registry import by_traits

_NEVER = float("inf")
_DEPTH = 50  # maximum nesting of steps without a pod that are searched inside a fanned-out template


class RunBuilder:
    """Builds the runs of one workflow from their executions (any order, one per pod).

    Outcome: Failed if a step failed in its last attempt and no dependent step ran after it, Succeeded if all steps
    succeeded, Unknown if an end was not observed or a required step is missing.
    """

    def __init__(self, key: WorkflowKey, definition: WorkflowDefinition | None, as_of: float | None) -> None:
        """``as_of``: time up to which facts are complete (unix seconds); a run that may not have finished by then is
        Running. Without it every run counts as finished."""
        self.key = key
        self._definition = definition
        self._engine = by_traits(definition.engine) if definition is not None else None
        self._as_of = as_of
        self._specs = {s.name: s for s in definition.graph.steps} if definition is not None else {}
        self._daemons = {name for name, s in self._specs.items() if s.daemon}
        self._empty = any(s.width == 0 for s in self._specs.values())
        self._edges = Edges(definition.graph) if definition is not None else None
        self._ends = RunOutcomes(definition.graph if definition is not None else None)

    def runs(self, run: str, executions: Sequence[StepExecution]) -> list[RunRecord]:
        """All runs that used the name ``run``, oldest first: people and fixed Job names reuse names. Each later run is named
        "<name>@<start in unix seconds>"."""
        parts = self._split(executions)
        names = [run, *(f"{run}@{int(begin(part[0]))}" for part in parts[1:])]
        return [self.run(name, part) for name, part in zip(names, parts, strict=True)]

    def run(self, run: str, executions: Sequence[StepExecution]) -> RunRecord:
        """One run."""
        settled = list(executions)
        if self._engine is not None:
            settled = self._engine.settle(settled, self._definition)
        if self._definition is not None:
            settled = lay_out(settled, self._definition.graph)
        begins = [begin(e) for e in settled]
        if self._edges is not None:
            settled = self._edges.with_ready(settled, begins)
        rows = enumerate(zip(begins, settled, strict=True))
        ordered = sorted([(time, e.step, e.item or "", e.attempt, e.uid or "", i) for i, (time, e) in rows])
        ends = [e.finished for e in settled if e.finished is not None]
        work = [e.finished for e in settled if e.finished is not None and e.step not in self._daemons]
        end = max(work or ends, default=None)  # the engine ends daemons with the run, and their pods may take longer
        record = RunRecord(
            workflow=self.key,
            run=run,
            start=ordered[0][0] if ordered and ordered[0][0] != float("inf") else None,
            end=end,
            outcome=self._ends.outcome(settled, end, self._as_of),
            source=Source.HISTORY,
            steps=tuple([settled[row[-1]] for row in ordered]),
            pauses=self.pauses(executions),
        )
        return without_pauses(record)

    def pauses(self, executions: Sequence[StepExecution]) -> tuple[tuple[float, float], ...]:
        """The times in which one run stood still between a failed end and a retry, as far as its pods tell."""
        return self._engine.pauses(executions) if self._engine is not None else ()

    def _split(self, executions: Sequence[StepExecution]) -> list[list[StepExecution]]:
        """Split the executions of one name into runs. No engine repeats a step that succeeded, so a repeated success
        after everything had ended starts a new run."""
        ordered = sorted([(begin(e), e.uid or "", i) for i, e in enumerate(executions)])
        if not self._empty and len({(e.step, e.item) for e in executions}) == len(executions):
            return [[executions[place] for _, _, place in ordered]]  # no step succeeded twice
        parts: list[list[StepExecution]] = []
        done: dict[tuple[str, str | None], int] = {}
        latest = float("-inf")
        for since, _, place in ordered:
            e = executions[place]
            room = _completions(self._specs.get(e.step), e.item)
            # An attempt numbered by the engine belongs to the run it is an attempt of: a JobSet restarts as a whole.
            again = room is not None and e.attempt == 0 and done.get((e.step, e.item), 0) >= room
            if not parts or (again and latest <= since < float("inf")):  # a pod without times tells no begin of a run
                parts.append([])
                done, latest = {}, float("-inf")
            parts[-1].append(e)
            if e.outcome is Outcome.SUCCEEDED:
                done[e.step, e.item] = done.get((e.step, e.item), 0) + 1
            end = e.finished if e.finished is not None else since
            if end > latest:
                latest = end
        return self._continued(parts) or [[]]

    def _continued(self, parts: list[list[StepExecution]]) -> list[list[StepExecution]]:
        """``parts`` without those that continue the one before: a retry creates pods anew under their names, but not the
        first one of the run if it succeeded, which every new run begins with."""
        found = parts[:1]
        for part in parts[1:]:
            first = found[-1][0]
            anew = not {e.pod for e in part}.isdisjoint(e.pod for e in found[-1])
            known = {(e.step, e.item) for e in part}
            if anew and first.step in self._ends.needed and (first.step, first.item) not in known:
                found[-1].extend(part)
            else:
                found.append(part)
        return found


def decided_at(run: RunRecord, as_of: float) -> float | None:
    """When an unfinished run counts as finished if no further facts arrive: the next moment after ``as_of``, the time
    up to which facts are complete (both unix seconds). None if it has finished already."""
    if run.outcome is not Outcome.RUNNING or run.end is None:
        return None
    return next((run.end + wait for wait in (QUIET_SECONDS, LOST_SECONDS) if run.end + wait > as_of), None)


def _completions(spec: StepSpec | None, item: str | None) -> int | None:
    """How often one step and item can succeed within a run; None if unknown."""
    if spec is None:
        return None
    if spec.fan_out and item is None:
        return spec.width
    return None if spec.selector else 1


def with_ready(executions: Sequence[StepExecution], graph: WorkflowGraph) -> list[StepExecution]:
    """Executions of one run, already numbered by ``settle``, with the time (unix seconds) at which their dependencies
    were satisfied, where known."""
    return Edges(graph).with_ready(executions, [begin(e) for e in executions])


class Edges:
    """The dependencies of the steps of a graph, and how many fan-outs each step shares with its dependencies."""

    def __init__(self, graph: WorkflowGraph) -> None:
        self.specs = {s.name: s for s in graph.steps}
        self.above: dict[str, list[tuple[StepSpec, int]]] = {}
        self.below_fan_out: dict[str, bool] = {}  # whether an item of the step depends on only some items of another
        for spec in graph.steps:
            above = [self.specs[name] for name in spec.depends_on if name in self.specs]
            self.above[spec.name] = shared = [(other, spec.shared_fan_outs(other)) for other in above]
            self.below_fan_out[spec.name] = any(levels for _, levels in shared)

    def with_ready(self, executions: Sequence[StepExecution], begins: Sequence[float]) -> list[StepExecution]:
        """See ``with_ready``; ``begins`` as of ``begin``."""
        times = _Ready(executions, self, min(begins, default=_NEVER))
        return [
            e if e.ready is not None else fast_replace(e, ready=times.of(e, first))
            for e, first in zip(executions, begins, strict=True)
        ]


class _Ready:
    """Ready times of one run."""

    def __init__(self, executions: Sequence[StepExecution], edges: Edges, start: float) -> None:
        """``start``: of the first execution, unix seconds."""
        self.edges = edges
        self.rows: dict[str, list[StepExecution]] = {}
        for e in executions:
            self.rows.setdefault(e.step, []).append(e)
        self.start = start
        self._ready: dict[str, float | None] = {}  # by step, where all of its executions wait for the same
        self._by_items: dict[tuple[str, int], dict[tuple[str, ...], list[StepExecution]]] = {}
        self._memo: dict[tuple[str, tuple[str, ...]] | str, float | None] = {}  # by name where a step ended as a whole
        self._attempts = (
            {(e.step, e.item, e.attempt): e for e in executions} if any(e.attempt for e in executions) else {}
        )
        for spec in edges.specs.values():  # in topological order, which avoids recursion along chains of missing steps
            self._end(spec, (), 0)

    def of(self, e: StepExecution, first: float) -> float | None:
        """Unix seconds, of an execution that began at ``first``; None if unknown or if the declared edges contradict the
        observed times."""
        if e.attempt > 0:
            before = self._attempts.get((e.step, e.item, e.attempt - 1))
            return _no_later(before.finished if before else None, first)
        spec = self.edges.specs.get(e.step)
        if spec is None or self.start == _NEVER:
            return None
        items = e.items if self.edges.below_fan_out[spec.name] else ()
        if items:
            return _no_later(self._after(spec, items), first)
        if spec.name not in self._ready:
            self._ready[spec.name] = self._after(spec, ())
        return _no_later(self._ready[spec.name], first)

    def _after(self, spec: StepSpec, items: tuple[str, ...], depth: int = 0) -> float | None:
        """When all dependencies of one item of ``spec`` had ended."""
        latest = self.start
        for above, shared in self.edges.above[spec.name]:
            if depth > _DEPTH:
                return None
            if shared and any(p.whole for p in spec.path):
                shared = min(shared, len(items))  # the handler of the whole fan-out has no item
            if shared and (shared > len(items) or any(i.startswith("#") for i in items[:shared])):
                return None
            end = self._end(above, items[:shared], depth)
            if end is None:
                return None
            if end > latest:
                latest = end
        return latest

    def _end(self, spec: StepSpec, scope: tuple[str, ...], depth: int) -> float | None:
        place = (spec.name, scope) if scope else spec.name
        if place not in self._memo:
            self._memo[place] = self._ended(spec, scope, depth)
        return self._memo[place]

    def _ended(self, spec: StepSpec, scope: tuple[str, ...], depth: int) -> float | None:
        rows = self._rows_of(spec.name, scope)
        if not rows:  # skipped, cached or without a pod of its own: use the end of its dependencies
            return None if spec.waits else self._after(spec, scope, depth + 1)
        if len(rows) == 1:
            return _done(rows[0], spec)
        ends = [_done(e, spec) for e in last_attempts(rows)]
        known = [t for t in ends if t is not None]
        return max(known) if len(known) == len(ends) else None

    def _rows_of(self, step: str, scope: tuple[str, ...]) -> list[StepExecution]:
        """Executions of a step inside these items. Each of thousands of items may wait for its own."""
        rows = self.rows.get(step, [])
        if not scope:
            return rows
        place = step, len(scope)
        if place not in self._by_items:
            self._by_items[place] = {}
            for e in rows:
                self._by_items[place].setdefault(e.items[: len(scope)], []).append(e)
        return self._by_items[place].get(scope, [])


def _done(e: StepExecution, spec: StepSpec) -> float | None:
    """When dependents of an execution may begin: at the end of its pod, or once a daemon is ready."""
    if not spec.daemon:
        return e.finished
    return e.serving if e.serving is not None else e.started


def _no_later(ready: float | None, first: float) -> float | None:
    """The ready time, no later than the begin. Times have a resolution of one second and come from several clocks, so a
    small excess counts as equal; a large one means that the edge did not hold in this run."""
    if ready is None or ready <= first or first == _NEVER:
        return ready
    return first if ready <= first + 60.0 else None
