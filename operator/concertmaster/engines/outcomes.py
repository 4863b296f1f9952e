"""Outcome of a run, derived from the outcomes of its pods and from its declared graph."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Container, Mapping, Sequence
from itertools import takewhile
from operator import itemgetter

from concertmaster.core.attempts import begin, last_attempts
from concertmaster.core.model import Outcome, StepExecution, StepSpec, WorkflowGraph
from concertmaster.core.units import DAY

QUIET_SECONDS = 900.0
"""A run without activity for this long counts as finished, unless steps are missing according to its graph."""
LOST_SECONDS = DAY
"""After this long without activity the outcome of a run with missing steps is Unknown."""


class RunOutcomes:
    """Outcomes of the runs of one graph; properties of the graph are computed once."""

    def __init__(self, graph: WorkflowGraph | None) -> None:
        self._graph = graph
        self._specs = {s.name: s for s in graph.steps} if graph else {}
        self._followers = _followers(graph) if graph else {}
        self._daemons = {s.name: s for s in graph.steps if s.daemon} if graph else {}
        self._needed = _needed(graph) if graph is not None else ()
        self.needed = frozenset(name for name, _ in self._needed)
        self._may_be_empty = frozenset(name for name, s in self._specs.items() if s.fan_out and s.width is None)
        self._complete = graph is not None and bool(graph.steps) and not graph.inferred and not _open_ended(graph)

    def outcome(self, executions: Sequence[StepExecution], end: float | None, as_of: float | None) -> Outcome:
        """Outcome of a run, by its pods alone. ``end`` is the end of its last pod, ``as_of`` the time up to which facts
        are complete (both unix seconds)."""
        graph, daemons = self._graph, self._daemons
        ends = last_attempts(executions)
        # A daemon is killed once the steps that use it have ended: its exit status says nothing about the run.
        final = [e for e in ends if e.step not in daemons] if daemons else ends
        kinds = {e.outcome for e in final}
        ignored = float("inf") if as_of is None or end is None else as_of - end
        over: set[str] = set()  # steps that a tolerated failure left out
        if Outcome.FAILED in kinds:
            rows: dict[str, list[StepExecution]] = {}
            for e in executions:
                rows.setdefault(e.step, []).append(e)
            tolerance = _Tolerance(self._specs, rows, self._followers)
            built = [(e, tolerance.left_out(e)) for e in final if e.outcome is Outcome.FAILED]
            failed = [e for e, left_out in built if left_out is None]
            over.update(*(left_out for _, left_out in built if left_out is not None))
            last = failed or [e for e, _ in built if self._tolerates(e)]
            if last and ignored < QUIET_SECONDS and _may_retry(last, graph):
                return Outcome.RUNNING
            if failed:
                return Outcome.FAILED
        if not final or Outcome.UNKNOWN in kinds or Outcome.RUNNING in kinds:
            return Outcome.UNKNOWN
        if daemons and _failed_early(daemons, ends, final):
            return Outcome.UNKNOWN  # steps of a steps template fail with their daemon, a dag continues without it
        if self._missing(ends, over):
            return Outcome.RUNNING if ignored < LOST_SECONDS else Outcome.UNKNOWN
        if not self._complete and ignored < QUIET_SECONDS:
            return Outcome.RUNNING
        return Outcome.ENDED if Outcome.ENDED in kinds else Outcome.SUCCEEDED

    def _tolerates(self, e: StepExecution) -> bool:
        """Whether the run is declared to go on after a failure of this step."""
        return e.step in self._specs and self._specs[e.step].tolerated is not None

    def _missing(self, final: Sequence[StepExecution], over: Collection[str]) -> bool:
        """Whether a step that every run takes, except those in ``over``, has no execution, or fewer than its declared
        width."""
        counts: dict[str, int] = {}
        for e in final:
            counts[e.step] = counts.get(e.step, 0) + 1
        missing = [name for name, width in self._needed if counts.get(name, 0) < width and name not in over]
        return any(not self._had_no_items(name, counts) for name in missing)

    def _had_no_items(self, step: str, ran: Container[str]) -> bool:
        """Whether a fan-out whose items are only known at run time had none: a step after it ran."""
        todo = [step] if step in self._may_be_empty else []
        seen = set(todo)
        while todo:
            below = {s.name for s in self._followers.get(todo.pop(), ())} - seen
            if any(name in ran for name in below):
                return True
            seen |= below
            todo += below & self._may_be_empty
        return False


def _failed_early(
    daemons: Mapping[str, StepSpec], ends: Sequence[StepExecution], final: Sequence[StepExecution]
) -> bool:
    """Whether a daemon failed, in the last of its attempts ``ends``, while steps beside it were still running. One whose end
    was not seen was last seen up to a scrape before it."""
    beside: dict[str, list[tuple[float, float]]] = {}  # begin of each, and the latest end of all that began by then
    for first, last, around in sorted(
        (begin(e), e.finished, e.step.rpartition(".")[0]) for e in final if e.finished is not None
    ):
        spans = beside.setdefault(around, [])
        spans.append((first, max(last, spans[-1][1]) if spans else last))
    for e in ends:
        if e.step not in daemons or daemons[e.step].tolerated is not None:
            continue
        if e.outcome is Outcome.FAILED and e.finished is not None:
            spans = beside.get(e.step.rpartition(".")[0], [])
            begun = bisect_right(spans, e.finished, key=itemgetter(0))
            if begun and spans[begun - 1][1] > e.finished + 1.0:
                return True
    return False


def _followers(graph: WorkflowGraph) -> dict[str, list[StepSpec]]:
    """The steps directly behind each. A handler runs regardless of the outcome of the steps before it; steps within one
    handler depend on each other as usual."""
    followers: dict[str, list[StepSpec]] = {}
    handlers = {s.name for s in graph.steps if s.on_exit}
    for s in graph.steps:
        for name in s.depends_on if not s.on_exit else handlers.intersection(s.depends_on):
            followers.setdefault(name, []).append(s)
    return followers


class _Tolerance:
    """What was built upon the failures of one run. Of thousands of items that failed in one step, what follows is looked
    through once."""

    def __init__(
        self,
        specs: Mapping[str, StepSpec],
        rows: Mapping[str, Sequence[StepExecution]],
        followers: Mapping[str, Sequence[StepSpec]],
    ) -> None:
        self._specs = specs
        self._places = {name: place for place, name in enumerate(specs)}  # in topological order
        self._rows = rows
        self._followers = followers
        self._tolerated = {s.tolerated for s in specs.values()}
        self._declared: dict[str, set[str]] = {}
        self._begins: dict[tuple[str, int], dict[tuple[str, ...], float]] = {}
        self._known: dict[tuple[str, tuple[str, ...]], tuple[float, set[str]] | None] = {}

    def left_out(self, e: StepExecution) -> set[str] | None:
        """The steps that will not run any more because of this failure, if dependent steps ran after it, so that the run
        tolerated it (continueOn, depends): those of the step itself or, where these were skipped, of the template around
        it. None otherwise. Where the step is declared to be tolerated, nothing has to have run.

        In a dag all of them must have run: a dependent that was skipped, with everything after it, propagates the failure.
        Only where the last task skipped may fail itself does the controller take it for one that did. Inside a fan-out only
        the steps of the same item depend on it.
        """
        spec, own = self._specs.get(e.step), e.items
        if spec is not None and spec.tolerated is not None:
            return self._inside(spec.tolerated)
        if e.finished is None:
            return None
        place = e.step, own if spec is not None and any(p.items != () for p in spec.path) else ()
        if place not in self._known:
            self._known[place] = self._followed(e.step, spec, own)
        known = self._known[place]
        return known[1] if known is not None and known[0] >= e.finished - 1.0 else None

    def _inside(self, tolerated: str) -> set[str]:
        """The steps of what the run goes on without, by declaration: items of a fan-out may have left some of them out."""
        if tolerated not in self._declared:
            self._declared[tolerated] = {name for name in self._specs if name.startswith(f"{tolerated}.")}
        return self._declared[tolerated]

    def _followed(self, step: str, spec: StepSpec | None, own: tuple[str, ...]) -> tuple[float, set[str]] | None:
        """When the last step that may have waited for a failed one began, and the steps that are left out; None where one
        of these ends its branch."""

        def ran(s: StepSpec) -> float | None:
            levels = spec.shared_fan_outs(s) if spec is not None else 0
            scope = () if any(item.startswith("#") for item in own[:levels]) else own[:levels]
            return self._begun(s.name, scope)

        latest = float("-inf")
        over: set[str] = set()
        skipped: list[str] = []
        todo, seen = [step], {step}
        while todo:
            below = [(s, ran(s)) for s in self._followers.get(todo.pop(), ())]
            latest = max([latest, *(at for _, at in below if at is not None)])
            left_out = [s for s, at in below if at is None and s.name not in seen]
            for s in left_out:
                # Groups of a steps template are not separate branches: a step skipped in one of them does not fail the run.
                around = _shared_parts(s.name, step)
                if not self._followers.get(s.name) and not _in_group(s, around):
                    if not self._passes_over(s, around):
                        return None
                    latest = float("inf")
                    over.add(s.name)
            seen.update(s.name for s in left_out)
            todo += [s.name for s in left_out]
            skipped += [s.name for s in left_out]
        # What comes after it has run, or is left out itself.
        for name in sorted(skipped, key=self._places.__getitem__, reverse=True):
            if any(ran(s) is not None or s.name in over for s in self._followers.get(name, ())):
                over.add(name)
        return latest, over

    def _passes_over(self, last: StepSpec, around: int) -> bool:
        """Whether one of the dags around a failed step and ``last``, of which there are so many beside the entrypoint, goes
        on without its last task, which ``last`` is or is a part of."""
        parts = last.name.split(".")
        return any(
            ".".join(parts[: depth + 1]) in self._tolerated and not _in_group(last, depth)
            for depth in range(around + 1)
        )

    def _begun(self, step: str, scope: tuple[str, ...]) -> float | None:
        """The latest begin of a step inside these items."""
        place = step, len(scope)
        if place not in self._begins:
            begins: dict[tuple[str, ...], float] = {}
            self._begins[place] = begins
            for e in self._rows.get(step, ()):
                items, at = e.items[: len(scope)], begin(e)
                begins[items] = max(at, begins.get(items, at))
        return self._begins[place].get(scope)


def _shared_parts(one: str, other: str) -> int:
    """How many templates around both of two steps."""
    pairs = zip(one.split("."), other.split("."), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _in_group(step: StepSpec, depth: int) -> bool:
    """Whether the task ``depth`` templates below the entrypoint that the step is (a part of) is in a steps template."""
    return any(part.in_group for part in step.path[depth + 1 : depth + 2])


def _may_retry(failed: Sequence[StepExecution], graph: WorkflowGraph | None) -> bool:
    limits: Mapping[str, int | None] = {s.name: s.retry_limit for s in graph.steps} if graph else {}
    reported = {s.name for s in graph.steps if s.queries} if graph else set[str]()
    # Of a template around the step only that it is retried is known, not how often.
    around = {s.name for s in graph.steps if any(part.attempts for part in s.path[:-1])} if graph else set[str]()
    for e in failed:
        if e.step in around:
            return True
        if e.step in reported and e.pod is None:  # a step reported by a query has ended
            continue
        limit = limits.get(e.step)
        if e.step not in limits or limit is None or e.attempt < limit:
            return True
    return False


def _needed(graph: WorkflowGraph) -> tuple[tuple[str, int], ...]:
    """The steps that every run takes, each with its declared width."""
    needed: list[tuple[str, int]] = []
    optional: set[str] = set()
    for step in graph.steps:
        may_miss = step.conditional or step.waits or step.on_exit or bool(step.memoized)
        if may_miss or any(d in optional for d in step.depends_on):
            if not step.waits:
                optional.add(step.name)
        elif not step.queries:
            needed.append((step.name, 1 if step.width is None else step.width))
    return tuple(needed)


def _open_ended(graph: WorkflowGraph) -> bool:
    """Whether the graph allows for an unknown number of further pods: fan-out of unknown width, conditional steps."""
    return any(
        (s.fan_out and s.width is None) or s.conditional or s.on_exit or s.memoized or s.selector for s in graph.steps
    )
