"""Executions of a workflow by step and run: one pass over the records, shared by all rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

from concertmaster.core.analysis.runs.executions import RunExecutions, executions_by_step, unseen_at
from concertmaster.core.analysis.runs.starts import stopped_runs
from concertmaster.core.analysis.runs.usage import images_of
from concertmaster.core.analysis.workflow import Analysis
from concertmaster.core.model import Outcome, RunRecord, StepExecution
from concertmaster.core.stats.dependence import dependence

ExecutionsByRun = Mapping[str, Sequence[StepExecution]]


class Rows:
    """Views of the records of one analysis, each computed on first use."""

    def __init__(self, analysis: Analysis) -> None:
        self._runs, self._figures, self._definition = analysis.runs, analysis.figures, analysis.definition
        self.failing = frozenset(s.step for s in analysis.steps if s.failures.failed)  # steps with a failed execution

    @cached_property
    def all(self) -> Mapping[str, ExecutionsByRun]:
        """Executions that ran, whatever their outcome, by step and run (runs oldest first)."""
        return {step: {of.run: of.ran for of in of_runs} for step, of_runs in self._executions.items()}

    @cached_property
    def succeeded(self) -> Mapping[str, ExecutionsByRun]:
        """Succeeded executions of known duration, by step and run."""
        return {step: {of.run: of.timed for of in of_runs if of.timed} for step, of_runs in self._executions.items()}

    @cached_property
    def fingerprinted(self) -> frozenset[str]:
        """Steps with an execution of which the fingerprint of its inputs is known."""
        return frozenset[str]().union(*self._figures.of_each(_fingerprinted, self._runs))

    @cached_property
    def undisturbed(self) -> tuple[RunRecord, ...]:
        """The records without runs that were stopped because the next one was due: what failed then is no fault of its
        step."""
        stopped = stopped_runs(self._definition, self._runs, self._figures)
        return tuple(run for run in self._runs if run.run not in stopped) if stopped else self._runs

    @cached_property
    def failures_alike(self) -> float:
        """How many times as wide the interval of a share of failed runs is as if each failed on its own, and not many on
        one day."""
        return dependence([run.outcome is Outcome.FAILED for run in self._runs])

    def unseen(self, step: str) -> int:
        """Number of runs that may have failed at the step or not."""
        return sum([unseen_at(run, step) for run in self._runs])

    @property
    def _executions(self) -> Mapping[str, Sequence[RunExecutions]]:
        return self._figures.grouped(executions_by_step, self._runs)

    @cached_property
    def runs(self) -> Mapping[str, RunRecord]:
        """The records by run name."""
        return {run.run: run for run in self._runs}


def repeat_key(execution: StepExecution) -> str | None:
    """What an execution has in common with those that repeat it: its inputs, and the images of its containers as far as
    these are known. None where the inputs are not."""
    inputs = execution.input_fingerprint
    return inputs and f"{inputs} {images_of([c.image for c in execution.containers if not c.init]) or ''}"


def _fingerprinted(run: RunRecord) -> frozenset[str]:
    return frozenset([e.step for e in run.steps if e.input_fingerprint])
