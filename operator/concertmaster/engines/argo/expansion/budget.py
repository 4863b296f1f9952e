"""How large the graph of a workflow may become while its templates are expanded: they may call each other many times over,
pass on ends and fan out in products."""

from __future__ import annotations

from dataclasses import dataclass, replace

from concertmaster.engines.argo.expansion.items import FanOut, fan_out
from concertmaster.engines.argo.expansion.tasks import Task
from concertmaster.engines.argo.expansion.values import KnownValues
from concertmaster.engines.common.bounds import MAX_EDGES, MAX_STEPS
from concertmaster.engines.common.manifest import Problems

MAX_CALLS = 10_000
MAX_PASSED = 10 * MAX_EDGES  # ends that tasks hand on to those behind them, also through templates without steps
MAX_NAMES = 4_000_000  # total characters of the item names of all fan-outs
_BEYOND = (
    f"the graph has more than {MAX_STEPS:,} steps, {MAX_EDGES:,} edges or {MAX_CALLS:,} calls of templates: "
    "the rest is left out; split the workflow"
)


@dataclass(slots=True)
class Budget:
    """What was counted so far; ``passed``: ends that tasks handed on, ``names``: characters of item names."""

    problems: Problems
    steps: int = 0
    edges: int = 0
    passed: int = 0
    calls: int = 0
    names: int = 0

    def called(self) -> bool:
        """Count one more call of a template, whatever comes of it: whether there were too many."""
        self.calls += 1
        return self.spent()

    def spent(self) -> bool:
        """Whether nothing more may be added, which is reported."""
        counts = ((self.edges, MAX_EDGES), (self.passed, MAX_PASSED), (self.calls, MAX_CALLS))
        beyond = self.steps >= MAX_STEPS or any(count > most for count, most in counts)
        if beyond:
            self.problems.add(_BEYOND)
        return beyond

    def names_of(self, task: Task, values: KnownValues) -> FanOut | None:
        """The fan-out of a task, None without one; beyond ``MAX_NAMES`` its item names count as unknown."""
        spread = fan_out(task.raw, task.where, values, self.problems, named=self.names <= MAX_NAMES)
        self.names += spread.size if spread is not None else 0
        if spread is not None and spread.items and self.names > MAX_NAMES:
            return replace(spread, items=None)
        return spread
