"""Rolls changes back, announced in the status first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from concertmaster.api.conditions import ConditionType
from concertmaster.controller.changes.cluster_facts import ListFailed
from concertmaster.controller.changes.context import WorkflowContext
from concertmaster.controller.changes.cycle import CycleContext
from concertmaster.controller.changes.writing.target import TargetClient
from concertmaster.controller.changes.writing.writer import ChangeWriter
from concertmaster.controller.workflow_change import WorkflowChangeView
from concertmaster.core.changes.admission.rolled_back import refused_pods
from concertmaster.core.changes.operations import above_limit, version_test
from concertmaster.core.changes.phases import written
from concertmaster.core.changes.phases.transition import MAX_PAUSE, Transition, conflict
from concertmaster.core.model import WorkflowDefinition
from concertmaster.core.text import duration
from concertmaster.core.units import MINUTE
from concertmaster.engines import PATCHABLE
from concertmaster.kube.apply import PatchOutcome, WriteResult

_T = TypeVar("_T")
NOT_TAKEN = (PatchOutcome.FORBIDDEN, PatchOutcome.REFUSED)
"""Rights, admission or a limit of the namespace keep it from being written."""


def write_back(
    writer: ChangeWriter,
    cycle: CycleContext,
    change: WorkflowChangeView,
    raw: Mapping[str, Any],
    definition: WorkflowDefinition | None,
    may_write: Callable[[], bool] = lambda: True,
) -> WriteResult:
    """Roll the target back from the version ``raw`` that was judged, tried first, unless its pods would be refused then, as
    somebody lowered a limit, a LimitRange or a ResourceQuota since. ``definition``: the workflow's as it is now.
    ``may_write`` is asked when nothing but the write itself is left. After a refusal it is not tried for a while."""
    kind = PATCHABLE.get(change.target.kind) if change.target is not None else None
    inverse = change.operations("inverse") or ()
    ranges, quotas = _known(cycle.facts.ranges, change.namespace), _known(cycle.facts.quotas, change.namespace)
    wrong = above_limit(kind, inverse, raw)
    wrong = wrong or refused_pods(kind, inverse, raw, change.task, definition, ranges, quotas)
    if wrong is not None:
        return WriteResult(PatchOutcome.REFUSED, f"{wrong}; until that is changed, no pod would be created")
    now = cycle.now
    if writer.paused(change, now):
        why = writer.why_refused(change, now) or "the API server refused it"
        text = f"{why}; it is tried again at least every {duration(MAX_PAUSE)}"
        return WriteResult(PatchOutcome.UNCERTAIN, text)
    result = _write_inverse(writer.target, change, raw, may_write)
    if result.outcome in NOT_TAKEN:
        writer.note_refused(change, now, MINUTE, MAX_PAUSE, result.message)
    elif result.outcome is PatchOutcome.DONE:
        writer.forget_refused(change, now)
    return result


def _known(read: Callable[[str], Iterable[_T]], namespace: str) -> list[_T]:
    """What is read of a namespace; nothing where it cannot be, which keeps no harm from being rolled back."""
    try:
        return list(read(namespace))
    except ListFailed:
        return []


def _write_inverse(
    client: TargetClient, change: WorkflowChangeView, raw: Mapping[str, Any], may_write: Callable[[], bool]
) -> WriteResult:
    operations = [version_test(str(raw["metadata"]["resourceVersion"])), *(change.operations("inverse") or [])]
    tried = client.patch(change, operations, dry_run=True)
    if tried.outcome is not PatchOutcome.TRIED:
        return tried
    if not may_write():
        return WriteResult(PatchOutcome.CHANGED, "the policy in force was changed meanwhile")
    return client.patch(change, operations)


class Rollback:
    """Executes rollbacks."""

    def __init__(self, writer: ChangeWriter) -> None:
        self._writer = writer

    def restore(
        self, context: WorkflowContext, change: WorkflowChangeView, announcement: Transition | None
    ) -> WorkflowChangeView | None:
        """Roll a change back, announcing it first; without an ``announcement``, continue with one that was announced. The
        change and the policy are read again before each write."""
        if not self._writer.as_read(change) or not context.may_write():
            return None  # the next cycle decides on what holds now
        now = context.now
        announced = self._writer.carry_out(change, announcement, now) if announcement is not None else change
        if announced is None:
            return None
        raw = self._writer.target.read(announced)
        end = written.rolled_back(self._writer.target.state(announced, raw))
        if end is None and raw is not None:
            result = write_back(self._writer, context.cycle, announced, raw, context.definition, context.may_write)
            why = written.announced(str(announced.condition(ConditionType.RESTORED).get("message") or ""))
            if result.outcome is PatchOutcome.DONE:
                end = written.restored(f"rolled back: {why}")
                now = now if result.at is None else result.at
            elif result.outcome is PatchOutcome.GONE:
                end = conflict("the target was deleted; there is nothing to roll back", applied=True)
            else:
                note = f"{announced.ref} is not rolled back yet: {result.message}"
                if result.outcome in NOT_TAKEN:
                    self._writer.tally.wait(note)
                    end = written.refused(why, result.message, announced.rollback_command())
                else:
                    self._writer.problems.append(note)
        return self._writer.carry_out(announced, end, now) if end is not None else announced

    def end_forged(self, change: WorkflowChangeView, wrong: str, now: float) -> WorkflowChangeView | None:
        """End a change in progress whose status is not what was proposed. Its status is not used for any write."""
        text = f"{wrong}; the target is left as it is. {self._command_for(change)}"
        return self._writer.carry_out(change, conflict(text, applied=change.applied is not None), now)

    def _command_for(self, change: WorkflowChangeView) -> str:
        """The command by which a person rolls it back: from the journal, if that still has the proposed plan. The
        journal's plan was for the profile's workflow when it was written, even if the profile names another one now."""
        bodies: dict[str, Mapping[str, Any]] = {}
        self._writer.noted(lambda: bodies.update(self._writer.journal.in_flight().entries))
        kept = WorkflowChangeView(bodies.get(change.uid) or {})
        if kept.digest != change.digest or kept.forged() is not None:
            return "What it was before is in the object's own history"
        return f"To roll the change back, as the journal has it: {kept.rollback_command()}"
