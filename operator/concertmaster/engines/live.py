"""Run records from live objects, common to all engines.

Live objects are read and stored as soon as they finish, because they contain what the metrics lack: edges taken,
attempts, cache hits, skipped branches, exit codes and messages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import NamedTuple

from concertmaster.core.model import Outcome, RunRecord, Source, StepExecution, WorkflowKey
from concertmaster.engines.common.bounds import MAX_EDGES, MAX_EXECUTIONS
from concertmaster.engines.common.manifest import Problems, text, timestamp
from concertmaster.engines.common.objects import KubeObject, mappings

WAITED_UNKNOWN = "what its steps waited for is taken from the declared graph"


def few(executions: Iterable[StepExecution], problems: Problems) -> list[StepExecution]:
    """Executions of one run, at most ``MAX_EXECUTIONS``: a skipped task stands for all steps inside it, and a task run for
    all of its retries."""
    rows = list(islice(executions, MAX_EXECUTIONS + 1))
    if len(rows) > MAX_EXECUTIONS:
        problems.add(f"the run has more than {MAX_EXECUTIONS:,} step executions: the rest is left out")
    return rows[:MAX_EXECUTIONS]


@dataclass(frozen=True, slots=True)
class LiveRun:
    """The record of one run, read from a live object. ``complete``: the run has ended and all its steps are known.
    ``problems``: messages about what could not be read. ``reason``: why the run failed, as reported by the engine.
    ``created``, ``started``, ``finished``: the engine's own times of the run in unix seconds; the times of a record
    come from its pods."""

    record: RunRecord
    complete: bool
    problems: tuple[str, ...] = ()
    reason: str | None = None
    created: float | None = None
    started: float | None = None
    finished: float | None = None


class RunEnd(NamedTuple):
    """How a run ended, why it failed as the engine reports it, and when its condition says so (unix seconds)."""

    outcome: Outcome = Outcome.RUNNING
    reason: str | None = None
    at: float | None = None


def end_of(obj: KubeObject, outcomes: Mapping[str, Outcome]) -> RunEnd:
    """The end of an object by the first of its conditions that is true and has a type in ``outcomes``."""
    for row in mappings(obj.status.get("conditions"), "status.conditions", obj.problems):
        outcome = outcomes.get(str(row.get("type")))
        if outcome is not None and row.get("status") == "True":
            return RunEnd(
                outcome, text(row.get("reason"), "reason", obj.problems), timestamp(row.get("lastTransitionTime"))
            )
    return RunEnd()


def ended_by(outcomes: Mapping[str, Outcome]) -> Callable[[KubeObject], bool]:
    """Returns whether an object has ended, by its conditions."""
    return lambda obj: end_of(obj, outcomes).outcome is not Outcome.RUNNING


def one_line(message: object) -> str | None:
    """A message of an engine as one line of at most 200 characters; None for what is no text, or empty."""
    return " ".join(message.split())[:200] if isinstance(message, str) and message else None


def live_run(
    obj: KubeObject,
    key: WorkflowKey,
    steps: Sequence[StepExecution],
    end: RunEnd,
    *,
    started: str = "startTime",
    finished: str = "completionTime",
    complete: bool = True,
) -> LiveRun:
    """Build the record of a live object from its executions and its ``end``. ``started`` and ``finished`` name the status
    fields with the engine's own times; ``complete`` is False if steps are missing."""
    ordered = sorted(
        steps,
        key=lambda e: (e.created if e.created is not None else float("inf"), e.step, e.item or "", e.attempt),
    )
    if sum(len(e.after or ()) for e in ordered) > MAX_EDGES:
        obj.problems.add(f"run {obj.name} has more than {MAX_EDGES:,} edges: {WAITED_UNKNOWN}")
        ordered = [replace(e, after=None) for e in ordered]
    begin, last = span(ordered)
    at, until = timestamp(obj.status.get(started)), timestamp(obj.status.get(finished))
    until = until if until is not None else end.at
    created = timestamp(obj.meta.get("creationTimestamp"))
    restored = created is not None and at is not None and at < created  # from a backup: it tells nothing of the run
    record = RunRecord(
        workflow=key,
        run=obj.name,
        start=begin if begin is not None else at,
        end=last if last is not None else until,
        outcome=end.outcome,
        source=Source.LIVE,
        steps=tuple(ordered),
        created=None if restored else created,
    )
    over = end.outcome is not Outcome.RUNNING and all(e.outcome is not Outcome.RUNNING for e in ordered)
    why = end.reason if end.outcome is Outcome.FAILED else None
    return LiveRun(record, over and complete, obj.problems.all(), why, created, at, until)


def not_begun(run: LiveRun) -> LiveRun:
    """``run`` without the start that its engine has given it: it waits, and nothing of it has begun."""
    return replace(run, started=None, record=replace(run.record, start=None))


def span(steps: Sequence[StepExecution]) -> tuple[float | None, float | None]:
    """First creation and last end of the pods of a run in unix seconds. Live and history records share this
    computation, so that they can be compared. The pod of a daemon, which the engine ends with the run, may take longer."""
    pods = [e for e in steps if e.pod is not None]
    begins = [e.created for e in pods if e.created is not None]
    ends = [e.finished for e in pods if e.finished is not None and e.serving is None]
    served = [e.finished for e in pods if e.finished is not None and e.serving is not None]
    return min(begins, default=None), max(ends or served, default=None)
