"""The executions of a workflow sorted by step and run: one pass over the records, shared by all rules that look at them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property

from concertmaster.core.analysis.workflow import Analysis
from concertmaster.core.model import Outcome, RunRecord, StepExecution

_ABSENT = frozenset({Outcome.SKIPPED, Outcome.CACHED, Outcome.RUNNING})

ByRun = Mapping[str, list[StepExecution]]


class Rows:
    """Views of one analysis' records, each made when first asked for."""

    def __init__(self, analysis: Analysis) -> None:
        self._runs, self._figures = analysis.runs, analysis.figures
        self.failing = frozenset(s.step for s in analysis.steps if s.failures.failed)  # steps with a failed execution

    @cached_property
    def all(self) -> Mapping[str, ByRun]:
        """Executions that ran, whatever came of them, by step and run (runs oldest first)."""
        return self._by_step(_ran)

    @cached_property
    def succeeded(self) -> Mapping[str, ByRun]:
        """Succeeded executions of known duration, by step and run."""
        timed = self._by_step(_timed)
        return {step: timed.get(step, {}) for step in self.all}

    def _by_step(self, of_run: Callable[[RunRecord], dict[str, list[StepExecution]]]) -> Mapping[str, ByRun]:
        executions: dict[str, dict[str, list[StepExecution]]] = {}
        for run in self._runs:
            name = run.run
            for step, rows in self._figures.of(of_run, run).items():
                by_run = executions.get(step)
                if by_run is None:
                    executions[step] = {name: rows}
                else:
                    by_run[name] = rows
        return executions

    @cached_property
    def runs(self) -> Mapping[str, RunRecord]:
        """The records by their name."""
        return {run.run: run for run in self._runs}


def _ran(run: RunRecord) -> dict[str, list[StepExecution]]:
    rows: dict[str, list[StepExecution]] = {}
    for e in run.steps:
        if e.outcome not in _ABSENT:
            rows.setdefault(e.step, []).append(e)
    return rows


def _timed(run: RunRecord) -> dict[str, list[StepExecution]]:
    rows: dict[str, list[StepExecution]] = {}
    for e in run.steps:
        if e.started is not None and e.finished is not None and e.outcome.timed:
            rows.setdefault(e.step, []).append(e)
    return rows
