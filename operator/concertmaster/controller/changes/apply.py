"""Proposes plans and writes them: the steps forward of one change, each as the core decides it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from concertmaster.api import conditions
from concertmaster.controller.changes.writing.status import new_object, object_name, plan_for, plan_status
from concertmaster.controller.changes.writing.writer import ChangeWriter
from concertmaster.controller.workflow_change import WorkflowChangeView
from concertmaster.core.changes.checks_cluster import may_change_back
from concertmaster.core.changes.operations import written as written_fields
from concertmaster.core.changes.phases import proposed, written
from concertmaster.core.changes.phases.proposed import ASKS
from concertmaster.core.changes.phases.transition import MAX_PAUSE, Transition, conflict
from concertmaster.core.changes.plan import Plan
from concertmaster.core.model.enums import ChangePhase
from concertmaster.core.model.policy import PolicyRef
from concertmaster.core.text import duration
from concertmaster.core.times import recent
from concertmaster.core.units import DAY, HOUR, MINUTE
from concertmaster.kube.apply import PatchOutcome, WriteResult, as_planned, written_at
from concertmaster.kube.client import FIELD_MANAGER
from concertmaster.kube.errors import Conflict, Denied, Forbidden, KubeError, Rejected, Undecided
from concertmaster.kube.objects import CHANGES
from concertmaster.report.status.recommendation_log import clip

_REPEATABLE = frozenset({ChangePhase.CONFLICT, ChangePhase.SUPERSEDED, ChangePhase.FAILED})
_RESERVED_LENGTH = 150  # characters that a question always has for the fields, and for what it must tell
_ATTEMPTS = 9  # objects of one plan that may end within a day
_PAUSES = {
    PatchOutcome.REFUSED: (HOUR, DAY),  # it lasts, and each attempt is another object
    PatchOutcome.FORBIDDEN: (MINUTE, MAX_PAUSE),  # a freeze ends, and the change is still there
}
"""Seconds until the next attempt after a first refusal, and the most after several in a row, each twice the last."""


def question(change: WorkflowChangeView, plan: Plan, caution: str | None, *, asks: bool = True) -> str:
    """What the status of a proposal says of the decision, which it ``asks`` for or does not need; ``caution`` is what the
    person who decides must know."""
    how = f"{ASKS}kubectl concertmaster approve -n {change.namespace} {change.name}"
    if not asks:
        how = "; no decision is needed (apply.mode: Auto)"
    room, text = conditions.MAX_MESSAGE - len(how), plan.says()
    if caution:  # many fields leave room for it: nobody could approve what is not said
        text = f"{clip(text, max(_RESERVED_LENGTH, room - len(caution) - 2))}; {caution}"
    return f"{clip(text, room)}{how}"


def unasked(change: WorkflowChangeView, concern: str) -> str:
    """What a proposal has not said yet to whoever decides: the ``concern``, or that somebody must."""
    said = str(change.condition(conditions.ConditionType.APPROVED).get("message"))
    if concern[:_RESERVED_LENGTH] not in said:
        return concern
    return "" if change.decision is not None or ASKS in said else "it waits for a decision"


def _ended_lately(change: WorkflowChangeView, now: float) -> bool:
    """Whether a finished change ended within the last day: its conditions say when."""
    return any(now - (change.since(kind) or 0.0) < DAY for kind in conditions.ConditionType)


@dataclass(slots=True)
class _Unanswered:
    """Admission could not be asked about objects of a kind and namespace in the cycle ``at``. ``left_out``: changes, by uid,
    that were not tried for it, and go first. ``yielded``: the cycle in which others waited for them."""

    at: float
    left_out: set[str]
    yielded: float | None = None

    def give_turn(self, uid: str, now: float) -> bool:
        """Whether a change is tried in the cycle ``now``; notes who is not."""
        if self.at == now:
            self.left_out.add(uid)
            return False
        if uid in self.left_out or not self.left_out or self.yielded not in (None, now):
            return True
        self.yielded = now
        return False


class Apply:
    """Proposes and applies plans. ``per_minute``: maximum writes of users' objects per namespace and minute."""

    def __init__(self, writer: ChangeWriter, *, per_minute: int = 6) -> None:
        self._writer = writer
        self._per_minute = per_minute
        self._writes: list[tuple[str, float]] = []  # of the last minute: where and when
        self._denied: dict[str, tuple[float, str]] = {}  # by namespace: when none could be created there, and why
        self._unanswered: dict[tuple[str, str], _Unanswered] = {}  # by namespace and kind

    def writes_left(self, namespace: str, now: float) -> int:
        """How many objects of the namespace may still be written in this minute."""
        # A moment to come: the clock was set back since.
        self._writes = [(of, at) for of, at in self._writes if recent(at, now, MINUTE)]
        return self._per_minute - sum(of == namespace for of, _ in self._writes)

    def propose(
        self,
        plan: Plan,
        known: Iterable[WorkflowChangeView],
        now: float,
        caution: str | None,
        *,
        asks: bool,
        policy: PolicyRef | None = None,
    ) -> WorkflowChangeView | None:
        """Create the object of a plan; ``asks``: it waits for a person's decision. None when the same plan was finished
        before, or was ended too often within a day, a write of its recommendation was refused not long ago, or the server
        does not take the object: the status of ``policy``, for which the plan was made, then says why until it does."""
        taken = {c.name: c for c in known}
        attempt, lately = 1, 0
        while (name := object_name(plan, attempt)) in taken:
            lately += _ended_lately(taken[name], now)
            if taken[name].phase not in _REPEATABLE or lately >= _ATTEMPTS:
                return None
            attempt += 1
        if self._writer.paused(plan, now, DAY):
            return None  # asked of the journal last: most plans of a cycle were finished before
        raw = self._create(plan, name, now)
        if isinstance(raw, str):
            self._writer.tally.obstruct(policy, raw)
        return self.adopt(WorkflowChangeView(raw), plan, now, caution, asks=asks) if isinstance(raw, dict) else None

    def _create(self, plan: Plan, name: str, now: float) -> dict[str, Any] | str | None:
        """The new object, or why there is none; None: it is there by now. What is denied, rejected or not decided is tried
        again after a pause; where a right or quota is missing, or admission cannot be asked, one request a cycle tells."""
        journal, write = self._writer.journal, (plan.namespace, plan.profile, plan.recommendation, "object")
        at, why = self._denied.get(plan.namespace, (now, ""))
        if at == now and why:
            return why
        if journal.paused(write, now, MAX_PAUSE):
            return journal.why_refused(write, now)
        journal.note_proposed(plan.digest, now)
        try:
            raw = self._writer.client.create(CHANGES.path(plan.namespace), new_object(plan, name))
        except Conflict:
            return None  # made since the list was read: the next cycle sees it
        except KubeError as error:
            why = f"WorkflowChange {plan.namespace}/{name} cannot be created: {error}"
            theirs = isinstance(error, Denied | Rejected | Undecided | Forbidden)
            (self._writer.tally.notes if theirs else self._writer.problems).append(why)
            if isinstance(error, Denied | Rejected | Undecided):
                why = f"{why}; it is tried again at least every {duration(MAX_PAUSE)}"
                self._writer.noted(partial(journal.note_refused, write, now, MINUTE, MAX_PAUSE, why))
            if isinstance(error, Undecided | Forbidden) and not isinstance(error, Denied):
                self._denied = {k: v for k, v in self._denied.items() if v[0] == now} | {plan.namespace: (now, why)}
            return why
        self._writer.noted(partial(journal.forget_refused, write, now))
        return raw

    def adopt(
        self, change: WorkflowChangeView, plan: Plan, now: float, caution: str | None, *, asks: bool
    ) -> WorkflowChangeView | None:
        """Write the plan into the status of an object that has none yet; ``asks``: as in ``propose``."""
        step = proposed.asked(question(change, plan, caution, asks=asks), plan_status(plan), announce=asks)
        return self._writer.carry_out(change, step, now)

    def apply(
        self, change: WorkflowChangeView, plan: Plan, raw: Mapping[str, Any], now: float, may_write: Callable[[], bool]
    ) -> WorkflowChangeView | None:
        """Write a plan that passed every check, on the version of the target that was judged. ``may_write`` is asked again
        when nothing but the write itself is left. Where admission could not be asked about an object, none of its kind and
        namespace is tried in the same cycle: each may take as long as the time limit of a webhook. Those left out go first
        in the next one."""
        operations, of = plan.operations(str(raw["metadata"]["resourceVersion"])), (plan.namespace, plan.target.kind)
        before = self._unanswered.get(of)
        if before is not None and not before.give_turn(change.uid, now):
            return None
        tried = as_planned(self._writer.target.patch(plan, operations, dry_run=True), raw, operations)
        self._unanswered.pop(of, None)
        if tried.undecided:
            self._unanswered[of] = _Unanswered(now, before.left_out - {change.uid} if before is not None else set())
        if tried.outcome is not PatchOutcome.TRIED:
            return self._unwritten(change, tried, now)
        who = None if change.decision is None else str(change.spec.get("decidedBy") or "somebody")
        begun = self._writer.carry_out(change, proposed.writing(plan.says(), who, plan_for(change, raw)), now)
        if begun is None:
            return None
        if not may_write():
            return self.settle(begun, now, WriteResult(PatchOutcome.CHANGED))  # nothing was sent
        self._writes.append((plan.namespace, now))
        result = self._writer.target.patch(plan, operations)
        if result.outcome is PatchOutcome.UNCERTAIN:
            return begun  # the next cycle reads the outcome
        if result.outcome is PatchOutcome.DONE:
            self._writer.forget_refused(begun, now)
        # In progress, even if its status cannot be written now.
        return self.settle(begun, now, result, before=raw) or begun

    def settle(
        self,
        change: WorkflowChangeView,
        now: float,
        result: WriteResult | None = None,
        *,
        before: Mapping[str, Any] | None = None,
    ) -> WorkflowChangeView | None:
        """Determine the outcome of a write that was begun; ``result`` is the server's answer, where there was one. Without
        one, a target that is as before is waited for: the write may still be under way. What the server says it stored was
        written, even if somebody has undone it since: the next cycle sees that. So may they have where nothing says so,
        if the target's generation has moved twice. ``before``: the target that was judged, which still says by whom a
        field was applied; the write makes the operator its manager."""
        done = result is not None and result.outcome is PatchOutcome.DONE
        raw = result.stored if result is not None and done else self._writer.target.read(change)
        fields = list(written_fields(change.operations("patch") or ()))
        other_writers = may_change_back(before or raw or {}, fields, FIELD_MANAGER)
        expected = str((change.status.get("predicted") or {}).get("text") or "written")
        target = self._writer.target.state(change, raw)
        if result is None and self._writer.target.may_still_be_stored(change, raw):
            return change  # a later cycle reads the outcome
        step = written.settled(
            target,
            other_writers=other_writers,
            rollback_command=change.rollback_command(),
            expected=expected,
            unclear=result is None and self._writer.target.may_be_overwritten(change, raw),
        )
        if step.phase is ChangePhase.PROPOSED and result is not None and result.outcome is not PatchOutcome.CHANGED:
            return self._unwritten(change, result, now)
        # The cycle may have begun long before the write, or after it.
        at = written_at(raw or {}) if step.phase is ChangePhase.VERIFYING else None
        return self._writer.carry_out(change, step, now if at is None else at)

    def _unwritten(self, change: WorkflowChangeView, result: WriteResult, now: float) -> WorkflowChangeView | None:
        """The server did not take it: final when it never will; else it is tried again after a pause."""
        if result.outcome in _PAUSES:
            self._writer.note_refused(change, now, *_PAUSES[result.outcome], result.message)
        elif result.outcome is PatchOutcome.UNCERTAIN:
            self._writer.problems.append(f"{change.ref} is not written yet: {result.message}")
        steps = {
            PatchOutcome.GONE: conflict("the target was deleted", applied=False),
            PatchOutcome.REFUSED: proposed.refused(result.message),
            PatchOutcome.FORBIDDEN: proposed.denied(result.message),
        }
        return self._writer.carry_out(change, steps.get(result.outcome, Transition(None)), now)
