"""Verification of one change: its runs before and after, and what they say."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from typing import NamedTuple

from concertmaster.api.conditions import Reason
from concertmaster.controller.changes.context import WorkflowContext
from concertmaster.controller.changes.verification.compared_change import ComparedChange
from concertmaster.controller.changes.verification.compared_runs import ComparedRuns, OwnRuns, behind
from concertmaster.controller.changes.verification.kept_start_times import KeptStartTimes
from concertmaster.controller.changes.verification.suspended_runs import suspended_runs
from concertmaster.controller.workflow_change import WorkflowChangeView
from concertmaster.core.changes.verification.attribution import harmed_steps
from concertmaster.core.changes.verification.before_after import BeforeAfter
from concertmaster.core.changes.verification.harm import silent
from concertmaster.core.changes.verification.start_times import Span, StartTimes
from concertmaster.core.changes.verification.surroundings import Surroundings
from concertmaster.core.changes.verification.suspended_runs import not_admitted, waiting_clause
from concertmaster.core.changes.verification.verify import Verification, scheduled, verify
from concertmaster.core.model import SuspendedRun, WorkflowKey
from concertmaster.core.model.engines import QUEUE_LABEL
from concertmaster.core.model.enums import MetricRole, OnSame, Verdict
from concertmaster.core.text import duration
from concertmaster.core.units import MINUTE

# Seconds after which runs are read again although none is new: a verification ends by age as well, runs count as lost some
# time after their last sign of life, and other workflows run on.
_AGAIN = 30 * MINUTE

RevisionOf = Callable[[WorkflowKey], int | None]
"""How often new or corrected runs of a workflow have come to this process; None: nobody counts."""


class _Undecided(NamedTuple):
    """A verification that had no verdict ``at`` a moment (unix seconds), and what it depended on."""

    depends_on: tuple[object, ...]
    at: float

    def lasts(self, now: float) -> bool:
        """Whether it is not made again while that is unchanged."""
        return 0.0 <= now - self.at < _AGAIN


class Verifier:
    """Compares the runs of changes."""

    def __init__(self, runs: ComparedRuns, times: KeptStartTimes, revision: RevisionOf = lambda _: None) -> None:
        self._runs = runs
        self._times = times
        self._revision = revision
        self._undecided: dict[str, _Undecided] = {}  # by uid of the change, the last made at the end
        # By uid of a change without a run yet: since when one was seen to wait, and when last (unix seconds). Pods are known
        # once they have ended, so that a run is not missing as soon as it does not wait any more.
        self._waited: dict[str, Span] = {}

    def nothing_new(self, compared: ComparedChange) -> bool:
        """Whether nothing of the workflow has changed since ``verify`` last found no verdict. Thousands of changes may be
        verified for days, and reading the runs of each takes longer than everything else of a cycle in which none ended."""
        self._times.of(compared)  # observed in every cycle
        known = self._undecided.get(compared.change.uid)
        return (
            known is not None and known.lasts(compared.context.now) and known.depends_on == self._dependencies(compared)
        )

    def _dependencies(self, compared: ComparedChange) -> tuple[object, ...] | None:
        """What a verification depends on beside time and other workflows; None where that is not known."""
        context, definition = compared.context, compared.definition
        revision, policy = self._revision(definition.key), context.policy
        if revision is None or policy.metric(MetricRole.INPUT_SIZE) is not None:
            return None
        changes = [(c.uid, c.version) for c in context.changes]
        source = context.outages, behind(context)
        return revision, compared.change.version, definition, policy, changes, context.target_versions, source

    def _note(self, compared: ComparedChange, *, waits: bool) -> None:
        """Remember that there is no verdict, if it ``waits`` for further runs: else the next cycle looks again."""
        known, now = self._undecided, compared.context.now
        known.pop(compared.change.uid, None)
        for uid in [uid for uid, old in islice(known.items(), 2) if not old.lasts(now)]:
            del known[uid]  # of changes that have ended since
        if waits and (depends_on := self._dependencies(compared)) is not None:
            known[compared.change.uid] = _Undecided(depends_on, now)

    def _note_waiting(self, compared: ComparedChange, first: float, max_age: float) -> None:
        uid, now = compared.change.uid, compared.context.now
        known = {other: span for other, span in self._waited.items() if now - span[1] < max_age}
        self._waited = {**known, uid: (min(first, known[uid][0]) if uid in known else first, now)}

    def forget(self, change: WorkflowChangeView) -> None:
        """Verify it anew in the next cycle."""
        self._undecided.pop(change.uid, None)

    def verify(self, compared: ComparedChange, *, early: bool) -> Verification | None:
        """What its runs say about a change. ``early``: before the queries of users, which say what the newest runs were
        given; None where the result depends on that."""
        context, applied = compared.context, compared.applied
        settings = scheduled(context.policy.apply.verify, compared.definition, context.now)
        times = self._times.of(compared)
        own = self._runs.own(compared, times, settings.max_age_seconds)
        runs, pricing = own.runs, context.policy.pricing
        asked = early and context.policy.metric(MetricRole.INPUT_SIZE) is not None
        unknown = asked and any(r.outcome.timed and r.input_total is None for r in runs.after)
        steps, lowered = compared.steps(runs), compared.lowered
        silence = _silence(compared, own, times, self._waited.get(compared.change.uid))
        if waiting := _suspended(compared, runs, silence):
            self._note_waiting(compared, min(run.created for run in waiting), settings.max_age_seconds)
            silence = not_admitted(waiting, runs, context.now - context.ahead) if compared.raises else None
            runs = replace(runs, left_out=(*runs.left_out, waiting_clause(waiting)))
        around = Surroundings.of(context.control, runs, applied, pricing=pricing, silence=silence, timed=not unknown)
        age = math.inf if own.ended else _age(compared, runs, times)
        result = verify(compared.change.aim, runs, settings, age=age, steps=steps, lowered=lowered, around=around)
        if unknown and result.verdict is None:
            return None
        if result.verdict is Verdict.WORSE:
            # Pods that were never created name no step: the whole change is then at fault.
            result = replace(result, harmed=harmed_steps(runs, steps, lowered) or steps)
        if own.ended:
            result = replace(result, reason=f"{own.ended}, which ends the verification: {result.reason}")
        # That runs do not come at all is to be seen at once.
        self._note(compared, waits=result.verdict is None and bool(runs.after or runs.begun))
        return result


def _silence(compared: ComparedChange, own: OwnRuns, times: StartTimes, waited: Span | None) -> str | None:
    """Why it counts as harm that no run came until the workflow was edited, or up to now; not in the span in which one was
    seen that ``waited``."""
    context, definition, applied = compared.context, compared.definition, compared.applied
    read = (context.data_until or applied) - context.ahead
    since, until = max(applied, times.since), read if own.edited is None else min(read, own.edited)
    blind = (*context.outages, *times.gaps, *((waited,) if waited else ()))
    found = silent(own.runs, definition, applied=since, until=until, blind=blind)
    if found is not None:  # read only then: they are many
        blind = (*blind, *context.control.pauses(own.runs, since, until))
        found = silent(own.runs, definition, applied=since, until=until, blind=blind)
    return found


def _suspended(compared: ComparedChange, runs: BeforeAfter, silence: str | None) -> tuple[SuspendedRun, ...]:
    """The runs that wait, where none has begun since the change although one was due, or something holds runs back."""
    held = compared.definition.declared.get(QUEUE_LABEL) or any(r.suspension is not None for r in runs.before)
    if runs.begun or not (silence or held):
        return ()
    return suspended_runs(compared.context, compared.definition, compared.applied)


def _age(compared: ComparedChange, runs: BeforeAfter, times: StartTimes) -> float:
    """For how long (seconds) the workflow could run since the change, and its runs were read."""
    # Runs that a person starts count while the schedule is suspended.
    idle = [(a, b) for a, b in times.gaps if not any(a <= (r.start or 0.0) <= b for r in runs.after)]
    return compared.context.seconds_read(max(compared.applied, times.since), idle)


def never_read(context: WorkflowContext, applied: float) -> Verification | None:
    """What ends the verification of a workflow that was changed so that it is not understood any more, once it has lasted as
    long as it may: no run is known that could. None where it may go on."""
    settings, finding = context.policy.apply.verify, context.profile.resolved.finding
    if finding.reason is not Reason.UNSUPPORTED or context.now - applied < settings.max_age_seconds:
        return None
    text = f"no run can be compared within {duration(settings.max_age_seconds)}: {finding.message}"
    return Verification(Verdict.INCONCLUSIVE, settings.on_inconclusive is OnSame.RESTORE, text, 0, 0)
