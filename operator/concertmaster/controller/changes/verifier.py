"""Changes that were written: settled, verified, rolled back, or left alone because somebody else took over."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from concertmaster.api.conditions import Reason
from concertmaster.controller.changes.apply import Apply
from concertmaster.controller.changes.context import WorkflowContext
from concertmaster.controller.changes.rollback import Rollback
from concertmaster.controller.changes.writing.status import verification_fields
from concertmaster.controller.changes.writing.writer import ChangeWriter
from concertmaster.controller.interfaces import History
from concertmaster.controller.workflow_change import WorkflowChangeView
from concertmaster.core.analysis.pod_level import with_pods
from concertmaster.core.changes.operations import lowered_memory
from concertmaster.core.changes.operations import written as values_written
from concertmaster.core.changes.phases import written
from concertmaster.core.changes.phases.proposed import superseded
from concertmaster.core.changes.phases.transition import Transition, conflict, resumed
from concertmaster.core.changes.reconcile import (
    FINISHED,
    ObservedState,
    Step,
    TargetState,
    before_verification,
    in_flight,
    without_profile,
)
from concertmaster.core.changes.verification.attribution import LoweredMemory, harmed_steps
from concertmaster.core.changes.verification.before_after import BeforeAfter, requested
from concertmaster.core.changes.verification.before_after import split_runs as split_runs_at
from concertmaster.core.changes.verification.harm import silent
from concertmaster.core.changes.verification.kept_changes import MAX_RUNS
from concertmaster.core.changes.verification.start_times import StartTimes, still_known
from concertmaster.core.changes.verification.surroundings import Surroundings
from concertmaster.core.changes.verification.verify import Verification, scheduled, verify
from concertmaster.core.lifecycle.states import step_of
from concertmaster.core.model import WorkflowDefinition
from concertmaster.core.model.enums import ChangePhase, MetricRole, OnSame, Verdict
from concertmaster.core.model.policy import Policy
from concertmaster.core.text import duration
from concertmaster.core.units import HOUR
from concertmaster.engines import PATCHABLE
from concertmaster.kube.errors import Forbidden

# Of one workflow before a change, to tell weekends: those of twelve days, at one every half an hour.
_MAX_RUNS = 600
_BEHIND = 6 * HOUR  # seconds: runs of so long ago are still being read


class Verifier:
    """Follows changes in progress."""

    def __init__(self, writer: ChangeWriter, apply: Apply, rollback: Rollback, history: History) -> None:
        self._writer = writer
        self._apply = apply
        self._rollback = rollback
        self._history = history
        self._times: dict[str, StartTimes] = {}  # of changes, by uid
        self.waiting: set[str] = set()  # changes, by uid, whose runs' inputs are requested later in this cycle

    def follow(
        self, context: WorkflowContext, change: WorkflowChangeView, allowed: bool, *, early: bool = False
    ) -> WorkflowChangeView | None:
        """Apply the next step of one change in progress. ``early``: before the queries of users, which say what the newest
        runs were given."""
        self.waiting.discard(change.uid)
        scope, now = context.scope, context.now
        decidable = not change.undecidable(scope)
        observed = ObservedState(
            decidable,
            change.forged(scope) if decidable else None,
            allowed,
            context.why_not,
            self._writer.journaled(change),
            change.out_of_bounds(context.policy.apply.bounds),
        )
        decision = in_flight(change.state, observed)
        if decision.resume:
            change = self._writer.carry_out(change, resumed(), now) or change
        match decision.step:
            case Step.DISTRUST:
                return self._rollback.distrust(change, decision.reason, now)
            case Step.SETTLE:
                return self._apply.settle(change, now)
            case Step.SETTLE_AND_ORPHAN:
                return self.orphan(change, Reason.POLICY_GONE, decision.reason, now)
            case Step.ORPHAN:
                state = self.target_state(context, change)
                return self.orphan(change, decision.because, decision.reason, now, state)
            case Step.CONTINUE_ROLL_BACK:
                return self._rollback.restore(change, None, now, context.may_write)
            case Step.ROLL_BACK:
                return self._rollback.restore(change, written.rolling_back(decision.reason), now, context.may_write)
            case Step.VERIFY:
                return self._verify(context, change, observed.out_of_bounds, early)
        return None  # the next cycle reads again

    def without_profile(self, change: WorkflowChangeView, invalid: str | None, now: float) -> WorkflowChangeView | None:
        """Leave a change that is not finished as it is, as its profile does not exist, or (``invalid``: why) cannot be
        read."""
        decision = without_profile(change.phase, change.profile, invalid)
        if decision.step is Step.WAIT:
            return change
        if decision.step is Step.WITHDRAW:
            return self._writer.carry_out(change, superseded(decision.reason, decision.because), now)
        if (wrong := change.forged()) is not None:
            return self._rollback.distrust(change, wrong, now)
        state = TargetState.UNKNOWN
        if change.phase == ChangePhase.VERIFYING:
            with suppress(Forbidden):  # where the right to read went as well, it is an orphan all the same
                state = self._writer.target.state(change, self._writer.target.read(change))
        return self.orphan(change, decision.because, decision.reason, now, state)

    def orphan(
        self,
        change: WorkflowChangeView,
        because: Reason,
        why: str,
        now: float,
        state: TargetState = TargetState.UNKNOWN,
    ) -> WorkflowChangeView | None:
        """Leave a change as it is; one whose write was begun only where it was written. Where somebody undid or overwrote
        it, by the ``state`` of its target, it has ended."""
        found = before_verification(state)
        if found.step is Step.CONFLICT:
            return self._overwritten(change, found.reason, now)
        if change.phase == ChangePhase.APPLIED:
            settled = self._apply.settle(change, now)
            if settled is None or settled.phase != ChangePhase.VERIFYING:
                return settled
            change = settled
        return self._writer.carry_out(change, change.orphaned(because, why), now)

    def target_state(self, context: WorkflowContext, change: WorkflowChangeView) -> TargetState:
        """State of the object that a change was written to."""
        raw = context.listed(change.task)
        if raw is None and not context.certainly_gone(change.task):
            return TargetState.UNKNOWN
        listed = self._writer.target.state(change, raw)
        if listed is TargetState.AS_WRITTEN:
            return listed
        # What could not be listed in this cycle is as it was before, perhaps before the change: only the object itself
        # tells that somebody else changed it.
        present = self._writer.target.state(change, self._writer.target.read(change))
        return TargetState.UNKNOWN if present is TargetState.AS_WRITTEN else present

    def _verify(
        self, context: WorkflowContext, change: WorkflowChangeView, obstacle: str | None, early: bool
    ) -> WorkflowChangeView | None:
        decision = before_verification(self.target_state(context, change))
        if decision.step is Step.CONFLICT:
            return self._overwritten(change, decision.reason, context.now)
        definition, applied = context.definition, change.applied
        if decision.step is not Step.VERIFY or applied is None:
            return None
        if definition is None:
            unread = never_read(context, applied)
            return self._conclude(context, change, unread, obstacle) if unread is not None else None
        if not context.read_since(applied):
            return None
        if change.fingerprint is None and definition.fingerprint is not None:
            change = self._writer.carry_out(change, marked(change, definition.fingerprint), context.now) or change
        settings = scheduled(context.policy.apply.verify, definition, context.now)
        # A new process reads first, and days of an absence one after the other.
        behind = context.now - context.ahead - (context.data_until or 0.0) > _BEHIND
        touched = not behind and self.touched(context, change, definition)
        window = context.policy.analysis.window_seconds + settings.max_age_seconds
        runs = self.split_runs(context, applied, window, change)
        steps = changed_steps(change, definition, runs)
        asked = early and context.policy.metric(MetricRole.INPUT_SIZE) is not None
        unknown = asked and any(r.outcome.timed and r.input_total is None for r in runs.after)
        lowered = lowered_by(change, context.policy)
        self._times = self._times if change.uid in self._times else still_known(self._times, context.now)
        times = self._times[change.uid] = context.start_times(self._times.get(change.uid), change, definition)
        until, alike = context.data_until or applied, max(applied, times.since)
        silence = silent(runs, definition, applied=alike, until=until, blind=(*context.outages, *times.gaps))
        # Runs that a person starts count while the schedule is suspended.
        idle = [(a, b) for a, b in times.gaps if not any(a <= (r.start or 0.0) <= b for r in runs.after)]
        age = context.seconds_read(alike, idle)
        result = verify(
            change.aim,
            runs,
            settings,
            age=float("inf") if touched else age,
            steps=steps,
            lowered=lowered,
            around=Surroundings.of(
                context.control, runs, applied, pricing=context.policy.pricing, silence=silence, timed=not unknown
            ),
        )
        if unknown and result.verdict is None:
            self.waiting.add(change.uid)
            return None
        if result.verdict is Verdict.WORSE:
            # Pods that were never created name no step: the whole change is then at fault.
            result = replace(result, harmed=harmed_steps(runs, steps, lowered) or steps)
        if touched:
            text = f"the workflow was changed otherwise meanwhile, which ends the verification: {result.reason}"
            result = replace(result, reason=text)
        return self._conclude(context, change, result, obstacle)

    def _conclude(
        self, context: WorkflowContext, change: WorkflowChangeView, result: Verification, obstacle: str | None
    ) -> WorkflowChangeView | None:
        """Record a result, and what follows from it; ``obstacle``: why the change must not be rolled back."""
        fields = verification_fields(result, str((change.status.get("predicted") or {}).get("measure") or "Duration"))
        if result.restore and obstacle is not None:
            orphan = change.orphaned(Reason.OUT_OF_BOUNDS, f"{result.reason}; {obstacle}")
            return self._writer.carry_out(change, written.judged_and_left(orphan, result, fields), context.now)
        if result.restore:
            step = written.rolling_back(result.reason, result, fields)
            return self._rollback.restore(change, step, context.now, context.may_write)
        if result.verdict is not None:  # the list may be of an earlier cycle, before somebody's edit
            present = before_verification(self._writer.target.state(change, self._writer.target.read(change)))
            if present.step is Step.CONFLICT:
                return self._overwritten(change, present.reason, context.now)
        return self._writer.carry_out(change, written.verified(result, fields, change.status), context.now)

    def _overwritten(self, change: WorkflowChangeView, why: str, now: float) -> WorkflowChangeView | None:
        """End a change whose target somebody else has changed since."""
        return self._writer.carry_out(change, conflict(why, applied=change.applied is not None), now)

    def split_runs(
        self, context: WorkflowContext, applied: float, window: float, change: WorkflowChangeView | None = None
    ) -> BeforeAfter:
        """Runs before and after ``applied``, the moment of ``change`` or (None) of one that is only planned."""
        definition = context.definition
        if definition is None:
            return BeforeAfter((), ())
        until = context.data_until or context.now
        limit = _MAX_RUNS + max(context.policy.apply.verify.max_runs, MAX_RUNS)
        known = self._history.runs(definition, limit=limit, since=applied - window, as_of=until)
        runs = with_pods(definition, known)[1]
        others = [(c, at) for c in context.changes if (at := c.applied) and (change is None or c.uid != change.uid)]
        stayed = [at for c, at in others if c.phase in FINISHED and c.restored is None and at < applied]
        undone = [(at, c.restored) for c, at in others if c.restored is not None]
        since = max(stayed, default=None)
        if change is None:
            return split_runs_at(runs, applied=applied, since=since, now=until, without=undone)
        shown = requested(definition, change.task, change.operations("patch") or ())
        return split_runs_at(runs, applied=applied, since=since, now=until, without=undone, changed=shown)

    @staticmethod
    def touched(context: WorkflowContext, change: WorkflowChangeView, definition: WorkflowDefinition) -> bool:
        """Whether the definition was changed since, by anybody but another change of ours. False when the definition
        cannot be read completely at present."""
        if None in (change.fingerprint, definition.fingerprint) or change.fingerprint == definition.fingerprint:
            return False
        since = change.applied or 0.0
        others = [t for c in context.changes if c.uid != change.uid for t in (c.applied, c.restored) if t]
        return not any(t >= since for t in others)


def never_read(context: WorkflowContext, applied: float) -> Verification | None:
    """What ends the verification of a workflow that was changed so that it is not understood any more, once it has lasted as
    long as it may: no run is known that could. None where it may go on."""
    settings, finding = context.policy.apply.verify, context.subject.resolved.finding
    if finding.reason is not Reason.UNSUPPORTED or context.now - applied < settings.max_age_seconds:
        return None
    text = f"no run can be compared within {duration(settings.max_age_seconds)}: {finding.message}"
    return Verification(Verdict.INCONCLUSIVE, settings.on_inconclusive is OnSame.RESTORE, text, 0, 0)


def marked(change: WorkflowChangeView, fingerprint: str) -> Transition:
    """Record the fingerprint of the changed definition, to detect later edits by others."""
    plan = change.status.get("plan") or {}
    target = {**(plan.get("target") or {}), "fingerprint": fingerprint}
    return Transition(None, fields={"plan": {**plan, "target": target}})


def lowered_by(change: WorkflowChangeView, policy: Policy) -> LoweredMemory | None:
    """The memory requests that a change lowered."""
    target = change.target
    requests = (
        lowered_memory(PATCHABLE.get(target.kind), change.operations("patch") or ()) if target is not None else ()
    )
    return LoweredMemory.of(requests, policy)


def changed_steps(change: WorkflowChangeView, definition: WorkflowDefinition, runs: BeforeAfter) -> tuple[str, ...]:
    """The steps whose containers' fields it sets (several where a template or Task is run twice, rounds of a recursion
    included) and the one it is about; none for a change of the whole workflow."""
    steps, pointers = definition.graph.steps, tuple(values_written(change.operations("patch") or ()))
    about = step_of(change.recommendation, [s.name for s in steps])
    fields = {
        c.place
        for s in steps
        for c in s.containers
        if c.resources_pointer is not None
        and c.holder == change.task
        and any(p.startswith(f"{c.resources_pointer}/") for p in pointers)
    }
    touched = [s.name for s in steps if s.name == about or any(c.place in fields for c in s.containers)]
    names = sorted({e.step for run in (*runs.before, *runs.after) for e in run.steps}.difference(s.name for s in steps))
    declared = ((name, definition.graph.declaring(name)) for name in names)
    return (*touched, *(name for name, spec in declared if spec is not None and spec.name in touched))
