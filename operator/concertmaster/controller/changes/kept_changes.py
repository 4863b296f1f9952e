"""Changes that were kept: monitored for failures and OOM kills that are too rare for a verification to show.

The journal names them. An entry is dropped once the change is old enough, has enough runs, or was followed by another one;
without a journal that lasts, nothing is monitored, as nothing could be rolled back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial

from concertmaster.api.conditions import ConditionType, Reason
from concertmaster.controller.changes.context import WorkflowContext
from concertmaster.controller.changes.listed_changes import OBJECTION
from concertmaster.controller.changes.rollback import Rollback
from concertmaster.controller.changes.verification.compared_change import ComparedChange
from concertmaster.controller.changes.verification.compared_runs import ComparedRuns
from concertmaster.controller.changes.verification.kept_start_times import KeptStartTimes
from concertmaster.controller.changes.writing.status import verification_fields
from concertmaster.controller.changes.writing.writer import ChangeWriter
from concertmaster.controller.workflow_change import WorkflowChangeView
from concertmaster.core.changes.operations import replaced
from concertmaster.core.changes.operations import written as written_values
from concertmaster.core.changes.phases import written
from concertmaster.core.changes.reconcile import FINISHED, ObservedState, Step, after_verdict
from concertmaster.core.changes.verification.attribution import harmed_steps
from concertmaster.core.changes.verification.kept_changes import MAX_RUNS, later_harm, next_check, watched_until
from concertmaster.core.changes.verification.one_image import of_one_image
from concertmaster.core.changes.verification.start_times import Span
from concertmaster.core.changes.verification.verify import Verification, scheduled
from concertmaster.core.model.enums import ChangePhase, Verdict
from concertmaster.kube.apply import last_write, written_at

_MAX_CHECKS = 10  # in one cycle: each reads hundreds of runs, and none is urgent


class KeptChanges:
    """Monitors the kept changes that the journal names."""

    def __init__(self, writer: ChangeWriter, runs: ComparedRuns, rollback: Rollback, times: KeptStartTimes) -> None:
        self._writer = writer
        self._runs = runs
        self._rollback = rollback
        self._times = times
        self._named: frozenset[str] = frozenset()  # uids
        self._due: dict[str, float] = {}  # by uid: the age (seconds) from which it is examined next
        self._left = 0  # checks in this cycle

    def begin(self, listed: Iterable[WorkflowChangeView], reads: Callable[[str], bool]) -> None:
        """Begin a cycle: read the journal, and drop what is deleted or rolled back. ``reads``: whether the changes of a
        namespace are among those ``listed``. Raises HistoryError."""
        self._named, self._left = frozenset(), _MAX_CHECKS
        named, present = self._writer.journal.kept(), {c.uid: c for c in listed}
        over = {
            uid
            for uid, namespace in named.items()
            if reads(namespace) and (uid not in present or (present[uid].phase in FINISHED and not _kept(present[uid])))
        }
        for uid in over:
            self._release(uid)
        self._named = frozenset(named.keys() - over)
        self._due = {uid: age for uid, age in self._due.items() if uid in self._named}

    def note_replaced(self, context: WorkflowContext) -> None:
        """Say of lately kept changes whose values somebody else has replaced that they do not stay: their rules ask from
        then on. Otherwise, where a pipeline applies its manifest every night, each would be made again every day."""
        newer: set[str] = set()
        for change in sorted((c for c in context.changes if c.applied), key=lambda c: c.applied or 0.0, reverse=True):
            if change.restored is not None:
                continue
            patch = change.operations("patch") or ()
            pointers = written_values(patch).keys() - newer
            newer |= _in_place(context, change) if change.phase == ChangePhase.CONFLICT else pointers
            lately = _kept(change) and context.now - (change.since(ConditionType.RESTORED) or 0.0) < OBJECTION
            listed = context.listed(change.task) if lately else None
            if listed is None or not replaced(listed, patch, pointers):
                continue
            raw = self._writer.target.read(change)  # the list may be of an earlier cycle
            if raw is not None and written_at(raw) is None and replaced(raw, patch, pointers):
                manager = last_write(raw["metadata"].get("managedFields"))[0]
                context.put(self._writer.carry_out(change, written.replaced(change.status, manager), context.now))

    def check(self, context: WorkflowContext) -> None:
        """Check each kept change of a workflow that is due. One that cannot be judged now, or whose rollback could not be
        announced, remains due."""
        for change in [c for c in context.changes if c.uid in self._named and _kept(c)]:
            if change.applied is None or context.definition is None:
                continue
            compared = ComparedChange(context, change, context.definition, change.applied)
            times = self._times.of(compared)  # observed in every cycle
            if context.now - change.applied >= self._due.get(change.uid, 0.0):
                context.put(self._check(compared, times.unwatched))

    def _check(self, compared: ComparedChange, unwatched: Sequence[Span]) -> WorkflowChangeView | None:
        context, definition, applied = compared.context, compared.definition, compared.applied
        if self._left <= 0 or not context.read_since(applied):
            return None
        change = self._writer.fingerprinted(compared.change, definition.fingerprint, context.now)
        compared = replace(compared, change=change)
        decidable = not change.undecidable(context.scope)
        observed = ObservedState(
            decidable,
            change.forged(context.scope) if decidable else None,
            journaled=self._writer.journaled(change),
        )
        others = [t for c in context.changes if c.uid != change.uid for t in (c.applied, c.restored) if t is not None]
        changed = self._runs.touched(compared) or any(t > applied for t in others)
        decision = after_verdict(observed, context.target_state(change, self._writer.target), changed=changed)
        if decision.step is Step.RELEASE:
            self._release(change.uid)
        if decision.step is not Step.VERIFY:
            return None
        self._left -= 1
        last = watched_until(scheduled(context.policy.apply.verify, definition, context.now))
        runs = self._runs.split(context, applied, context.policy.analysis.window_seconds + last, change)
        runs = replace(runs, after=tuple(r for r in runs.after if (r.start or 0.0) <= applied + last))
        runs = of_one_image(self._runs.watched(compared, runs, unwatched), definition.graph)
        steps, lowered = compared.steps(runs), compared.lowered
        reason = later_harm(runs, steps, lowered)
        if reason is not None:  # read only then: they are many
            runs = context.control.own_runs(runs, applied)
            reason = later_harm(runs, steps, lowered)
        if reason is None:
            age = context.now - applied
            self._due[change.uid] = next_check(age)
            if age >= last or len(runs.after) >= MAX_RUNS:
                self._release(change.uid)
            return None
        harmed = harmed_steps(runs, steps, lowered) or steps
        seen = len(runs.before), min(len(runs.after), MAX_RUNS)
        return self._overturn(context, change, Verification(Verdict.WORSE, True, reason, *seen, harmed=harmed))

    def _overturn(
        self, context: WorkflowContext, change: WorkflowChangeView, result: Verification
    ) -> WorkflowChangeView | None:
        """Roll a kept change back, or report the harm where the policy in force does not allow a rollback."""
        fields = verification_fields(result, "")
        apply = context.policy.apply
        obstacle = change.out_of_bounds(apply.bounds) if apply.allows_changes else context.why_not
        if obstacle is None:
            return self._rollback.restore(context, change, written.overturned(result, fields))
        if not context.may_write():  # for good: nothing resumes it when a policy allows changes again
            return None
        because = Reason.OUT_OF_BOUNDS if apply.allows_changes else Reason.POLICY_GONE
        orphan = change.orphaned(because, f"{result.reason}; {obstacle}")
        after = self._writer.carry_out(change, written.judged_and_left(orphan, result, fields), context.now)
        if after is not None:
            self._release(change.uid)
        return after

    def _release(self, uid: str) -> None:
        self._writer.noted(partial(self._writer.journal.release, uid))


def _in_place(context: WorkflowContext, change: WorkflowChangeView) -> set[str]:
    """The pointers at which its object still has what a change has set, of which somebody has replaced a part. Of the others
    the change before it is the last."""
    listed, patch = context.listed(change.task), change.operations("patch") or ()
    return {p for p in written_values(patch) if listed is None or not replaced(listed, patch, (p,))}


def _kept(change: WorkflowChangeView) -> bool:
    """Whether it was verified and not rolled back."""
    state = change.condition(ConditionType.RESTORED).get("reason")
    return change.phase == ChangePhase.COMPLETED and change.verdict is not None and state == Reason.KEPT.value
