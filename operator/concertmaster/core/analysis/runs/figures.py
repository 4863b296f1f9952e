"""Cache of figures derived from single runs.

A finished run does not change, so neither does what depends on it alone: its executed graph, its cost, its longest steps.
Several analyses of one workflow (the current one and those that settle a recommendation) use the same runs; when their
records are kept between cycles, only new ones are computed.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, Concatenate, ParamSpec, TypeVar

from concertmaster.core.analysis.cost.runs import Costs
from concertmaster.core.analysis.replay.executed import Layouts, prepare
from concertmaster.core.analysis.replay.run import ExecutedRun
from concertmaster.core.analysis.runs.grouping import Grouping
from concertmaster.core.model import RunRecord, WorkflowGraph
from concertmaster.core.model.policy import Pricing

P = ParamSpec("P")
R = TypeVar("R", RunRecord, ExecutedRun)
KeyedRow = TypeVar("KeyedRow", bound=tuple[Any, ...])
T = TypeVar("T")


class RunFigures:
    """Figures of the runs of one workflow. Keyed by ``id()``, since comparing records costs more than most figures; keeping
    the record as well keeps the id unique."""

    def __init__(self) -> None:
        self._figures: dict[Callable[..., Any], dict[int, Any]] = {}  # by what makes them
        self._groupings: dict[Callable[..., Any], Grouping[Any]] = {}
        self._runs: dict[int, RunRecord | ExecutedRun] = {}
        self._together: dict[Hashable, tuple[list[int], tuple[RunRecord, ...], Any]] = {}
        self._asked: set[Hashable] = set()
        self._executed: dict[int, tuple[RunRecord, ExecutedRun]] = {}
        self._graph = WorkflowGraph(())
        self._layouts: Layouts = {}
        self._costs = Costs(Pricing())

    def of(self, make: Callable[Concatenate[R, P], T], run: R, *more: P.args, **named: P.kwargs) -> T:
        """``make(run, *more, **named)``, cached by run and ``make``: the arguments must be determined by these."""
        figures = self._figures.setdefault(make, {})
        number = id(run)
        if number not in figures:
            self._runs[number], figures[number] = run, make(run, *more, **named)
        return figures[number]  # type: ignore[no-any-return]

    def of_each(self, make: Callable[[R], T], runs: Sequence[R]) -> list[T]:
        """``of`` for each run, in their order."""
        known = self._figures.setdefault(make, {})
        try:
            return list(map(known.__getitem__, map(id, runs)))
        except KeyError:
            for run in runs:
                if (number := id(run)) not in known:
                    self._runs[number], known[number] = run, make(run)
        return [known[id(run)] for run in runs]

    def grouped(self, make: Callable[[R], Sequence[KeyedRow]], runs: Sequence[R]) -> Mapping[Any, Sequence[KeyedRow]]:
        """The rows that ``make`` gives of each run by their first field, in the order of the runs; see ``Grouping``."""
        self._asked.add(make)
        rows = self.of_each(make, runs)
        known = self._groupings.get(make)
        grouping = self._groupings[make] = Grouping(rows) if known is None else known.moved_on(rows)
        return grouping.by_key

    def of_all(self, key: Hashable, runs: Sequence[RunRecord], make: Callable[[], T]) -> T:
        """``make()``, cached; it must depend only on these records, their graph, the price list and ``key``."""
        self._asked.add(key)
        identities = [id(run) for run in runs]
        known = self._together.get(key)
        if known is None or known[0] != identities:
            known = self._together[key] = identities, tuple(runs), make()
        return known[2]

    def executed(self, runs: Sequence[RunRecord], graph: WorkflowGraph) -> tuple[ExecutedRun, ...]:
        """``replay.prepare`` of the runs, cached, in their order."""
        if graph is not self._graph and graph != self._graph:
            self._executed, self._layouts, self._together = {}, {}, {}
        self._graph = graph
        fresh = [run for run in runs if id(run) not in self._executed]
        for run, built in zip(fresh, prepare(fresh, graph, layouts=self._layouts), strict=True):
            self._executed[id(run)] = run, built
        return tuple([self._executed[id(run)][1] for run in runs])

    def costs(self, pricing: Pricing) -> Costs:
        """The cached costs under that price list."""
        if pricing != self._costs.pricing:
            self._costs, self._together = Costs(pricing), {}
        return self._costs

    def keep_only(self, runs: Iterable[RunRecord]) -> None:
        """Drop all other records, and figures of several runs that were not used since the last call."""
        kept = {id(run) for run in runs}
        for number in self._executed.keys() - kept:
            del self._executed[number]
        both = kept | {id(executed) for _, executed in self._executed.values()}
        for number in self._runs.keys() - both:
            del self._runs[number]
            for known in self._figures.values():
                known.pop(number, None)
        self._figures = {make: known for make, known in self._figures.items() if known}
        asked, self._asked = self._asked, set()
        self._groupings = {make: known for make, known in self._groupings.items() if make in asked}
        self._together = {k: known for k, known in self._together.items() if k in asked and kept.issuperset(known[0])}
        self._costs.keep_only(kept)
