"""The executions of a workflow sorted by step and run: one pass over the records, shared by all rules that look at them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from concertmaster.core.analysis.workflow import Analysis
from concertmaster.core.model import Outcome, RunRecord, StepExecution

_ABSENT = frozenset({Outcome.SKIPPED, Outcome.CACHED, Outcome.RUNNING})
_TIMED = frozenset({Outcome.SUCCEEDED, Outcome.ENDED})

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
            name = run.run
            for e in run.steps:
                if e.outcome in _ABSENT:
                    continue
                by_run = executions.get(e.step)
                if by_run is None:
                    executions[e.step] = {name: [e]}
                elif name in by_run:
                    by_run[name].append(e)
                else:
                    by_run[name] = [e]
        return executions

    @cached_property
    def succeeded(self) -> Mapping[str, ByRun]:
        """Succeeded executions of known duration, by step and run."""
        return {
            step: {
                run: rows if len(rows) == len(good) else good
                for run, rows in by_run.items()
                if (
                    good := [
                        e for e in rows if e.started is not None and e.finished is not None and e.outcome in _TIMED
                    ]
                )
            }
            for step, by_run in self.all.items()
        }

    @cached_property
    def runs(self) -> Mapping[str, RunRecord]:
        """The records by their name."""
        return {run.run: run for run in self._runs}
