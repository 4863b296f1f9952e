"""Inputs that repeat from run to run, and which results a cache still holds."""

from __future__ import annotations

from benchmarks.graphs.draws import stream
from benchmarks.graphs.execution import RunState
from benchmarks.graphs.law import Step

_BEFORE = 10_000  # numbers of runs start here, so that runs before the window have random events too


class Caches:
    """What one run finds in the caches of its steps."""

    def __init__(self, run: RunState) -> None:
        self._run = run

    def holds(self, step: Step, item: int) -> bool:
        """Whether the result of this item is cached. An entry is renewed by the first run after its maximum age."""
        if step.cached is None or step.repeats is None:
            return False
        kept = int(step.cached / self._run.flow.every) + 1  # runs that share an entry, with the one that writes it
        return (self._run.number - self.first(step, item)) % kept != 0

    def key(self, step: Step, item: int) -> str | None:
        """What identifies the input of this item; None where inputs are unknown."""
        return f"{self.first(step, item)}-{item}" if step.repeats is not None else None

    def first(self, step: Step, item: int) -> int:
        """Number of the first run with the input of this one."""
        number = self._run.number
        part = item if step.by_item else 0
        while number > -_BEFORE and self._repeats(number, step, part):
            number -= 1
        return number

    def _repeats(self, number: int, step: Step, part: int) -> bool:
        run = self._run
        same = stream(run.flow.seed, run.sample, number + _BEFORE, step.name, part, "input")
        return float(same.random()) < (step.repeats or 0.0)
