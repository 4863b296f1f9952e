"""Finished changes: deleted beyond the limit of their policy, and 90 days after their profile went."""

from __future__ import annotations

from contextlib import suppress
from functools import partial

from concertmaster.api.conditions import ConditionType
from concertmaster.controller.changes.context import WorkflowContext
from concertmaster.controller.changes.writing.writer import ChangeWriter
from concertmaster.controller.workflow_change import WorkflowChangeView
from concertmaster.core.changes.reconcile import FINISHED
from concertmaster.core.model.enums import ChangePhase
from concertmaster.core.units import DAY
from concertmaster.kube.errors import Forbidden

_DEFAULT_LIMIT = 20
_KEPT_SECONDS = 90 * DAY  # without a profile: one that is made anew finds what was decided about its workflow


def prune(writer: ChangeWriter, context: WorkflowContext) -> None:
    """Delete the oldest finished changes beyond the limit: those that were superseded or failed first, those with a
    verdict last. The ledger needs these, and what was rejected or undone makes its rule ask."""
    finished = [c for c in context.changes if c.phase in FINISHED]
    limit = context.policy.apply.change_history_limit if context.policy.source is not None else _DEFAULT_LIMIT
    excess = len(finished) - limit
    decided = (ChangePhase.COMPLETED, ChangePhase.CONFLICT)
    oldest = sorted(finished, key=lambda c: (c.verdict is not None, c.phase in decided, c.created, c.name))
    for change in oldest[: max(0, excess)]:
        if not writer.delete(change):
            return
        context.changes = [c for c in context.changes if c.uid != change.uid]
        if all(c.digest != change.digest for c in context.changes):
            writer.noted(partial(writer.journal.forget_proposed, change.digest))


def delete_outdated(writer: ChangeWriter, change: WorkflowChangeView, now: float) -> None:
    """Delete a finished change without a profile once its last condition is old enough."""
    if min(now - (change.since(kind) or 0.0) for kind in ConditionType) >= _KEPT_SECONDS:
        with suppress(Forbidden):  # where changes are not allowed any more, they stay and harm nobody
            writer.delete(change)
