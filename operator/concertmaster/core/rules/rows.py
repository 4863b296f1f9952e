"""The executions of a workflow sorted by step and run: one pass over the records, shared by all rules that look at them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from concertmaster.core.analysis.workflow import Analysis
from concertmaster.core.model import Outcome, RunRecord, StepExecution

ByRun = Mapping[str, list[StepExecution]]


class Rows:
    """Views of one analysis' records, each made when first asked for."""

    def __init__(self, analysis: Analysis) -> None:
        self._runs = analysis.runs
        self.failing = frozenset(s.step for s in analysis.steps if s.failures.failed)  # steps with a failed execution

    @cached_property
    def all(self) -> Mapping[str, ByRun]:
        """Executions that ran, whatever came of them, by step and run (runs oldest first)."""
        executions: dict[str, dict[str, list[StepExecution]]] = {}
        for run in self._runs:
            for e in run.steps:
                if e.outcome not in (Outcome.SKIPPED, Outcome.CACHED, Outcome.RUNNING):
                    executions.setdefault(e.step, {}).setdefault(run.run, []).append(e)
        return executions

    @cached_property
    def succeeded(self) -> Mapping[str, ByRun]:
        """Succeeded executions of known duration, by step and run."""
        return {
            step: {run: good for run, rows in by_run.items() if (good := [e for e in rows if _good(e)])}
            for step, by_run in self.all.items()
        }

    @cached_property
    def runs(self) -> Mapping[str, RunRecord]:
        """The records by their name."""
        return {run.run: run for run in self._runs}


def _good(execution: StepExecution) -> bool:
    return execution.outcome.timed and execution.duration is not None
