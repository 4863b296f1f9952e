"""Plans that are not applied yet: proposed, recomputed, blocked by a policy check, or applied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from concertmaster.api.conditions import ConditionType
from concertmaster.controller.changes.apply import Apply, question, unasked
from concertmaster.controller.changes.context import WorkflowContext
from concertmaster.controller.changes.cycle import Candidate
from concertmaster.controller.changes.listed_changes import objection
from concertmaster.controller.changes.verification.compared_runs import ComparedRuns
from concertmaster.controller.changes.writing.status import object_name
from concertmaster.controller.changes.writing.writer import ChangeWriter
from concertmaster.controller.workflow_change import Scope, WorkflowChangeView
from concertmaster.core.changes.checks import blocking, needs_decision, run_checks
from concertmaster.core.changes.fields import Refused
from concertmaster.core.changes.ledger import corrected
from concertmaster.core.changes.phases import proposed as transitions
from concertmaster.core.changes.phases.replan import Planner, caution_of, concerns, confirmed
from concertmaster.core.changes.phases.transition import Transition, conflict
from concertmaster.core.changes.plan import Plan, plan
from concertmaster.core.changes.reconcile import IN_FLIGHT
from concertmaster.core.changes.situation import CheckResult, PastChange, Situation
from concertmaster.core.model import TASK
from concertmaster.core.model.enums import ApplyMode, ChangePhase, Decision
from concertmaster.engines import PATCHABLE
from concertmaster.engines.define import define
from concertmaster.engines.registry import shared_by, trigger
from concertmaster.kube.client import KubeClient
from concertmaster.kube.errors import NotFound
from concertmaster.kube.objects import target_resource

C = ConditionType
_OPEN_PROPOSALS = 5  # undecided plans per workflow: as many as a status shows


class Proposals:
    """Makes plans of recommendations and applies those that are decided."""

    def __init__(self, client: KubeClient, writer: ChangeWriter, apply: Apply, runs: ComparedRuns) -> None:
        self._client = client
        self._writer = writer
        self._apply = apply
        self._runs = runs

    def reconcile(
        self, context: WorkflowContext, proposed: list[WorkflowChangeView], candidates: Sequence[Candidate]
    ) -> None:
        """Take the next step of each plan ``proposed`` so far, and propose plans of the ``candidates`` (best first) as long
        as few wait. Plans whose recommendation is no longer a candidate end. Raises KubeError and HistoryError."""
        waiting = {c.recommendation: c for c in proposed if c.phase == ChangePhase.PROPOSED}
        unplanned = [c for c in proposed if c.phase != ChangePhase.PROPOSED]
        open_ = sum(c.decision is None for c in waiting.values())
        scope = context.scope
        for candidate in candidates:
            mine = waiting.pop(candidate.recommendation.id, None)
            raw = context.listed(candidate.recommendation.holder)
            if raw is None:
                continue  # the Task it is about has gone: the next analysis knows
            learns = context.policy.analysis.learning
            factor = (
                context.all_changes.ledger.factor(candidate.recommendation.rule, context.workflow) if learns else 1.0
            )
            own = replace(candidate, recommendation=corrected(candidate.recommendation, factor))
            if mine is not None:
                self._advance(context, mine, own, raw)
                if all(c.phase != ChangePhase.SUPERSEDED for c in context.changes if c.uid == mine.uid):
                    continue
                open_ -= mine.decision is None
            holder = candidate.recommendation.holder
            if holder is not None and (scope is None or holder not in (scope.tasks or ())):
                continue  # the Pipeline has left the Task since the analysis
            try:
                made = self._plan(context, own, raw)
            except Refused:
                continue
            orphan = next(
                (c for c in unplanned if c.name.startswith(object_name(made)) and c.digest == made.digest), None
            )
            if orphan is not None and orphan.decision is None and orphan.recommendation == made.recommendation:
                caution = caution_of(made, self._situation(context, own, made, approved=False))
                asks = context.policy.apply.mode is not ApplyMode.AUTO
                context.put(self._apply.adopt(orphan, made, context.now, caution, asks=asks))
                unplanned.remove(orphan)
            elif open_ < _OPEN_PROPOSALS and self._propose(context, own, made):
                open_ += 1
        for change in waiting.values():
            self._transition(
                context, change, transitions.superseded("the recommendation behind it is no longer active")
            )
        for change in unplanned:
            alone = all(c.uid == change.uid for c in context.changes if c.digest == change.digest)
            # Proposed by a process that died before it wrote the plan.
            if alone and self._writer.journal.proposed(change.digest):
                self._transition(
                    context, change, transitions.superseded("the recommendation has changed since it was made")
                )
            else:
                text = "the operator did not create this object; it is not applied"
                self._transition(context, change, transitions.forged(text))

    def _transition(self, context: WorkflowContext, change: WorkflowChangeView, step: Transition) -> None:
        context.put(self._writer.carry_out(change, step, context.now))

    def _plan(self, context: WorkflowContext, candidate: Candidate, raw: Mapping[str, Any]) -> Plan:
        planner = self._planner(candidate, raw, context.profile.entry.namespace, context.profile.entry.name)
        return planner(candidate.recommendation, bounds=context.policy.apply.bounds)

    def _planner(self, candidate: Candidate, raw: Mapping[str, Any], namespace: str, profile: str) -> Planner:
        return partial(
            plan,
            raw=raw,
            kinds=PATCHABLE,
            profile=profile,
            namespace=namespace,
            monthly_cost=candidate.monthly_cost,
            spread=candidate.spread,
        )

    def _propose(self, context: WorkflowContext, candidate: Candidate, made: Plan) -> bool:
        """Create the object of a plan that passes the checks, and apply it where no decision is needed. True when a
        proposal waits."""
        if any(c.digest == made.digest and c.phase == ChangePhase.COMPLETED for c in context.changes):
            return False  # the same plan is not proposed again after it was tried, rejected or rolled back
        cheap = self._situation(context, candidate, made, approved=False)
        verdicts = run_checks(made, cheap)
        asks = needs_decision(verdicts)
        if self._blocked(context, blocking(verdicts, proposing=asks)):
            return False
        fresh = self._writer.target.read(made)
        if fresh is None:
            return False
        verdicts = run_checks(made, replace(cheap, facts=context.read(made, fresh)))
        if self._blocked(context, blocking(verdicts, proposing=asks)):
            return False
        if not context.may_write(new=True):
            return False
        caution = caution_of(made, cheap)
        policy = context.policy.source
        change = self._apply.propose(made, context.changes, context.now, caution, asks=asks, policy=policy)
        context.put(change)
        if change is None or asks:
            return change is not None
        self._recheck_and_write(context, change, candidate, approved=False)
        return False

    def _advance(
        self, context: WorkflowContext, change: WorkflowChangeView, candidate: Candidate, raw: Mapping[str, Any]
    ) -> None:
        """Take the next step of a proposal: end it, keep it waiting or apply it, as decided."""
        if (end := transitions.before_planning(change.state, change.forged(context.scope))) is not None:
            self._transition(context, change, end)
            return
        made = self._confirmed(context, change, candidate, raw)
        if made is None:
            return
        approved = change.decision == Decision.APPROVE
        situation = self._situation(context, candidate, made, approved=approved)
        results = run_checks(made, situation)
        step = transitions.checked(
            results,
            approved=approved,
            undecided=change.is_(C.APPROVED) is None,
            news=unasked(change, concerns(made, situation.facts)),
            question=question(change, made, caution_of(made, situation)),
        )
        if step is None:
            self._recheck_and_write(context, change, candidate, approved=approved)
            return
        if approved or not needs_decision(results):
            self._blocked(context, blocking(results, proposing=False))
        self._transition(context, change, step)

    def _confirmed(
        self, context: WorkflowContext, change: WorkflowChangeView, candidate: Candidate, raw: Mapping[str, Any]
    ) -> Plan | None:
        """The plan recomputed on ``raw``; without one the change is ended and None is returned."""
        try:
            made = confirmed(
                candidate.recommendation,
                self._planner(candidate, raw, change.namespace, change.profile),
                digest=change.digest,
                patch=change.operations("patch") or (),
                bounds=context.policy.apply.bounds,
                drift=max(0.05, context.policy.apply.min_change),
                made=self._writer.journal.proposed(change.digest),
            )
        except Refused as error:
            self._transition(context, change, transitions.replanned(error))
            return None
        if made is None:
            self._transition(context, change, transitions.replanned())
        return made

    def _recheck_and_write(
        self, context: WorkflowContext, change: WorkflowChangeView, candidate: Candidate, *, approved: bool
    ) -> None:
        """Run all checks again on the present objects of the API server, then write."""
        if self._writer.paused(change, context.now):
            return  # its condition says why
        fresh = self._writer.fresh(change)
        raw = self._writer.target.read(change)
        if fresh is None or not self._writer.as_read(change):
            return  # somebody decided or changed the plan this very moment: the next cycle reads again
        if raw is None:
            self._transition(context, change, conflict("the target was deleted", applied=False))
            return
        if (wrong := fresh.forged(self._scope_now(context, fresh))) is not None:
            self._transition(context, fresh, transitions.forged(wrong))
            return
        made = self._confirmed(context, fresh, candidate, raw)
        if made is None:
            return
        facts = context.read(made, raw)
        situation = self._situation(context, candidate, made, approved=approved)
        blocked_by = blocking(run_checks(made, replace(situation, facts=facts)), proposing=False)
        if self._blocked(context, blocked_by):
            self._transition(context, fresh, transitions.hold(blocked_by))
            return
        if not context.may_write(new=True):
            return
        outcome = self._apply.apply(fresh, made, raw, context.now, lambda: context.may_write(new=True))
        context.put(outcome)
        if outcome is not None and outcome.phase == ChangePhase.VERIFYING:
            context.put(self._fingerprinted(context, outcome))

    def _fingerprinted(self, context: WorkflowContext, change: WorkflowChangeView) -> WorkflowChangeView | None:
        """Record the fingerprint of the changed definition, to detect later edits by others. Where the listed one cannot be
        read completely, neither can this."""
        changed, ref = self._writer.target.read(change), context.workflow_ref
        raw = changed if change.task is None else context.listed()
        if raw is None or ref is None or context.definition is None or context.definition.fingerprint is None:
            return None
        space, targets = context.profile.entry.namespace, context.snapshot.targets

        def resolve(kind: str, name: str) -> Mapping[str, Any] | None:
            if (kind, name) == (TASK, change.task):
                return changed
            target = targets.get(kind, space, name)
            return target.unpack() if target is not None else None

        # What starts it may set fields of its runs, which are part of the definition as it is read in each cycle.
        started = [t for t in (trigger(item.unpack()) for item in targets.triggers(space, ref.kind, ref.name)) if t]
        definition = define(raw, resolve, namespace=space, triggers=started)
        return None if definition is None else self._writer.fingerprinted(change, definition.fingerprint, context.now)

    def _scope_now(self, context: WorkflowContext, change: WorkflowChangeView) -> Scope | None:
        """What ``change`` may be for, a Task by the workflow as the API server has it this moment."""
        ref = context.workflow_ref
        resource = target_resource(ref.api_version, ref.kind) if ref is not None else None
        shared = shared_by(ref.kind) if ref is not None else None
        if change.task is None or ref is None or resource is None or shared is None:
            return context.scope
        try:
            raw = self._client.get(resource.path(context.profile.entry.namespace, ref.name))
            return Scope(ref, shared.names(raw, None))
        except NotFound:
            return Scope(ref)

    def _blocked(self, context: WorkflowContext, results: Sequence[CheckResult]) -> bool:
        """Count a plan that checks block; whether any does."""
        self._writer.tally.block(context.policy.source, results)
        return bool(results)

    def _situation(self, context: WorkflowContext, candidate: Candidate, made: Plan, *, approved: bool) -> Situation:
        item, entry = candidate.recommendation, context.profile.entry
        runs, unsure = self._runs.foresee(context)
        changes = context.all_changes.of_same_object(context.changes, made)
        past = [PastChange(c.applied, c.restored) for c in changes if c.applied is not None]
        deleted = self._writer.journal.deleted(entry.namespace, entry.name, made.target, context.now)
        past += [PastChange(at, at) for at in deleted.values()]
        why = "somebody deleted a change of this kind during its verification" if item.id in deleted else None
        why = why or objection(changes, made, context.now)
        return Situation(
            now=context.now,
            policy=context.policy,
            facts=context.cycle.facts.sharing(made, context.profile.key.name),
            past=tuple(past),
            in_flight=tuple(c.name for c in context.changes if c.phase in IN_FLIGHT),
            in_the_way=context.all_changes.in_the_way(made),
            data_until=context.data_until,
            baseline_runs=runs,
            coverage=candidate.coverage,
            withdrawn=context.all_changes.ledger.withdrawn(item.rule, context.workflow) or why,
            unsure=unsure,
            approved=approved,
            writes_left=self._apply.writes_left(context.profile.entry.namespace, context.now),
        )
