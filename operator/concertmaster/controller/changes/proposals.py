"""Plans that were not written yet: proposed, confirmed, held back by a policy check, or carried out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from concertmaster.api.conditions import ConditionType, Reason
from concertmaster.controller.changes.apply import Apply
from concertmaster.controller.changes.context import WorkflowContext
from concertmaster.controller.changes.replan import confirmed
from concertmaster.controller.changes.status import object_name, says
from concertmaster.controller.changes.verifier import Verifier
from concertmaster.controller.changes.writer import ChangeWriter
from concertmaster.controller.interfaces import Candidate
from concertmaster.controller.workflow_change import FLYING, Change, Scope, elsewhere
from concertmaster.core.changes.checks import blocking, needs_decision, run_checks
from concertmaster.core.changes.checks_cluster import other_pipelines
from concertmaster.core.changes.fields import Refused
from concertmaster.core.changes.ledger import corrected
from concertmaster.core.changes.plan import Plan, plan
from concertmaster.core.changes.situation import CheckResult, PastChange, Situation
from concertmaster.core.model import TASK
from concertmaster.engines import PATCHABLE
from concertmaster.engines.define import define
from concertmaster.engines.tekton.definition import tasks_of
from concertmaster.kube.client import KubeClient
from concertmaster.kube.errors import NotFound
from concertmaster.kube.objects import target_resource

C = ConditionType
_OPEN_PROPOSALS = 5  # undecided plans per workflow: more than a status shows nobody reads
_SAID = 150  # characters of who else is changed that a question surely has room for: how many, and the first names
_OBJECTION = 30 * 86400.0  # seconds for which a rule asks after a person was against what it did


class Proposals:
    """Makes plans of advice and carries out those that are decided."""

    def __init__(self, client: KubeClient, hand: ChangeWriter, steps: Apply, follower: Verifier) -> None:
        self._client = client
        self._hand = hand
        self._steps = steps
        self._follower = follower

    def look(self, desk: WorkflowContext, proposed: list[Change], candidates: Sequence[Candidate]) -> None:
        waiting = {c.recommendation: c for c in proposed if c.phase == "Proposed"}
        bare = [c for c in proposed if c.phase != "Proposed"]
        open_ = sum(c.decision is None for c in waiting.values())
        scope = desk.scope
        for candidate in candidates:
            mine = waiting.pop(candidate.recommendation.id, None)
            raw = desk.listed(candidate.recommendation.holder)
            if raw is None:
                continue  # the Task it is about has gone: the next analysis knows
            factor = desk.ledger.factor(candidate.recommendation.rule, desk.workflow)
            own = replace(candidate, recommendation=corrected(candidate.recommendation, factor))
            if mine is not None:
                self._decided(desk, mine, own, raw)
                if all(c.phase != "Superseded" for c in desk.changes if c.uid == mine.uid):
                    continue
                open_ -= mine.decision is None
            holder = candidate.recommendation.holder
            if holder is not None and (scope is None or holder not in (scope.tasks or ())):
                continue  # the Pipeline has left the Task since the analysis
            try:
                made = self._plan(desk, own, raw)
            except Refused:
                continue
            orphan = next((c for c in bare if c.name.startswith(object_name(made)) and c.digest == made.digest), None)
            if orphan is not None and orphan.decision is None and orphan.recommendation == made.recommendation:
                caution = _caution(made, self._situation(desk, own, made, approved=False))
                desk.put(self._steps.adopt(orphan, made, desk.now, caution))
                bare.remove(orphan)
            elif open_ < _OPEN_PROPOSALS and self._propose(desk, own, made):
                open_ += 1
        for change in waiting.values():
            text = "the advice behind it is no longer given"
            desk.put(self._hand.end(change, "Superseded", says(C.APPROVED, False, Reason.SUPERSEDED, text), desk.now))
        for change in bare:
            alone = all(c.uid == change.uid for c in desk.changes if c.digest == change.digest)
            if alone and self._hand.journal.made(change.digest):  # by a process that died before it wrote the plan
                text = "the advice has moved on since it was made"
                finding = says(C.APPROVED, False, Reason.SUPERSEDED, text)
                desk.put(self._hand.end(change, "Superseded", finding, desk.now))
                continue
            text = "the operator did not make this object; it is not carried out"
            desk.put(self._hand.end(change, "Failed", says(C.APPROVED, False, Reason.REJECTED, text), desk.now))

    def _plan(self, desk: WorkflowContext, candidate: Candidate, raw: Mapping[str, Any]) -> Plan:
        entry = desk.subject.entry
        return plan(
            candidate.recommendation,
            raw,
            PATCHABLE,
            profile=entry.name,
            namespace=entry.namespace,
            bounds=desk.policy.apply.bounds,
            monthly_cost=candidate.monthly_cost,
            spread=candidate.spread,
        )

    def _propose(self, desk: WorkflowContext, candidate: Candidate, made: Plan) -> bool:
        """Create the object of a plan whose gates are open, and carry it out where nobody is asked. Whether one waits."""
        if any(c.name == object_name(made) and c.phase == "Completed" for c in desk.changes):
            return False  # tried, rejected or taken back: not the very same again
        cheap = self._situation(desk, candidate, made, approved=False)
        verdicts = run_checks(made, cheap)
        asks = needs_decision(verdicts)
        if self._refused(blocking(verdicts, proposing=asks)):
            return False
        fresh = self._hand.target(made)
        if fresh is None:
            return False
        verdicts = run_checks(made, replace(cheap, facts=desk.read(made, fresh)))
        if self._refused(blocking(verdicts, proposing=asks)):
            return False
        change = self._steps.propose(made, desk.changes, desk.now, _caution(made, cheap))
        desk.put(change)
        if change is None or asks:
            return change is not None
        self._carry_out(desk, change, candidate, approved=False)
        return False

    def _decided(self, desk: WorkflowContext, change: Change, candidate: Candidate, raw: Mapping[str, Any]) -> None:
        """Look after a proposal: end it, hold it or carry it out as was decided."""
        if change.decision == "Reject":
            who = change.spec.get("decidedBy") or "somebody"
            finding = says(C.APPROVED, False, Reason.REJECTED, f"rejected by {who}")
            desk.put(self._hand.end(change, "Completed", finding, desk.now))
            return
        if (wrong := change.forged(desk.scope)) is not None:
            desk.put(self._hand.end(change, "Failed", says(C.APPROVED, False, Reason.REJECTED, wrong), desk.now))
            return
        made = self._confirmed(desk, change, candidate, raw)
        if made is None:
            return
        approved = change.decision == "Approve"
        situation = self._situation(desk, candidate, made, approved=approved)
        verdicts = run_checks(made, situation)
        others = other_pipelines(made, situation.facts) or ""
        unsaid = others[:_SAID] not in str(change.condition(C.APPROVED).get("message"))
        if not approved and needs_decision(verdicts):
            if unsaid:
                desk.put(self._steps.ask_again(change, made, desk.now, _caution(made, situation)))
            return
        if approved and unsaid and change.is_(C.APPROVED) is None:
            text = f"it was approved before this was known: {others}; a new proposal asks again"
            desk.put(self._hand.end(change, "Superseded", says(C.APPROVED, False, Reason.SUPERSEDED, text), desk.now))
            return
        if shut := blocking(verdicts, proposing=False):
            self._hold(desk, change, shut)
            return
        self._carry_out(desk, change, candidate, approved=approved)

    def _confirmed(
        self, desk: WorkflowContext, change: Change, candidate: Candidate, raw: Mapping[str, Any]
    ) -> Plan | None:
        """The plan recomputed on ``raw``; without one the change is ended and None is returned."""
        try:
            made = confirmed(
                change,
                candidate.recommendation,
                raw,
                bounds=desk.policy.apply.bounds,
                drift=max(0.05, desk.policy.apply.min_change),
                made=self._hand.journal.made(change.digest),
                monthly_cost=candidate.monthly_cost,
                spread=candidate.spread,
            )
        except Refused as error:
            phase, reason = ("Conflict", Reason.CONFLICT) if error.changed else ("Superseded", Reason.SUPERSEDED)
            kind = C.APPLIED if error.changed else C.APPROVED
            desk.put(self._hand.end(change, phase, says(kind, False, reason, str(error)), desk.now))
            return None
        if made is None:
            text = "the advice has moved on: a new plan takes its place"
            desk.put(self._hand.end(change, "Superseded", says(C.APPROVED, False, Reason.SUPERSEDED, text), desk.now))
        return made

    def _carry_out(self, desk: WorkflowContext, change: Change, candidate: Candidate, *, approved: bool) -> None:
        """Everything once more on what the API server has this moment, then the write."""
        fresh = self._fresh(change)
        raw = self._hand.target(change)
        if fresh is None or fresh.spec != change.spec or fresh.phase != change.phase:
            return  # somebody decided this very moment: the next cycle looks again
        if fresh.status.get("plan") != change.status.get("plan"):
            return  # nor is a plan taken over that nobody has looked at
        if raw is None:
            desk.put(self._hand.conflict(change, "the target was deleted", desk.now))
            return
        if (wrong := fresh.forged(self._scope_now(desk, fresh))) is not None:
            desk.put(self._hand.end(fresh, "Failed", says(C.APPROVED, False, Reason.REJECTED, wrong), desk.now))
            return
        made = self._confirmed(desk, fresh, candidate, raw)
        if made is None:
            return
        facts = desk.read(made, raw)
        situation = self._situation(desk, candidate, made, approved=approved)
        shut = blocking(run_checks(made, replace(situation, facts=facts)), proposing=False)
        if shut:
            self._hold(desk, fresh, shut)
            return
        found = self._steps.apply(fresh, made, raw, desk.now)
        if found is not None and found.phase == "Verifying":
            found = self._fingerprinted(desk, found) or found
        desk.put(found)

    def _fingerprinted(self, desk: WorkflowContext, change: Change) -> Change | None:
        """Note what the definition is with the change, to notice when somebody changes it otherwise."""
        changed = self._hand.target(change)
        raw = changed if change.task is None else desk.listed()
        if raw is None:
            return None
        space = desk.subject.entry.namespace

        def look(kind: str, name: str) -> Mapping[str, Any] | None:
            if (kind, name) == (TASK, change.task):
                return changed
            found = desk.scene.targets.get(kind, space, name)
            return found.unpack() if found is not None else None

        definition = define(raw, look, namespace=space)
        if definition is None or definition.fingerprint is None:
            return None
        marked = self._follower.marked(change, definition.fingerprint)
        return self._hand.write(marked, marked.status, [], desk.now)

    def _scope_now(self, desk: WorkflowContext, change: Change) -> Scope | None:
        """What ``change`` may be for, a Task by the Pipeline as the API server has it this moment."""
        ref = desk.workflow_ref
        resource = target_resource(ref.api_version, ref.kind) if ref is not None else None
        if change.task is None or ref is None or resource is None:
            return desk.scope
        try:
            return Scope(ref, tasks_of(self._client.get(resource.path(desk.subject.entry.namespace, ref.name))))
        except NotFound:
            return Scope(ref)

    def _fresh(self, change: Change) -> Change | None:
        try:
            return Change(self._client.get(change.ref.path))
        except NotFound:
            return None

    def _refused(self, shut: Sequence[CheckResult]) -> bool:
        """Count what closed gates keep back; whether any is closed."""
        self._hand.tally.refused.update(v.check for v in shut)
        return bool(shut)

    def _hold(self, desk: WorkflowContext, change: Change, shut: Sequence[CheckResult]) -> None:
        self._refused(shut)
        desk.put(self._hand.hold(change, [v.check for v in shut], shut[0].message, desk.now))

    def _situation(self, desk: WorkflowContext, candidate: Candidate, made: Plan, *, approved: bool) -> Situation:
        item, entry = candidate.recommendation, desk.subject.entry
        runs, unsure = desk.foresee(self._follower.split_runs)
        past = [PastChange(c.applied, c.restored, c.name) for c in desk.changes if c.applied is not None]
        deleted = self._hand.journal.deleted(entry.namespace, entry.name, desk.now)
        past += [PastChange(at, at) for at in deleted.values()]
        why = "somebody deleted a change of this kind while it was being proven" if item.id in deleted else None
        why = why or _objection([c for c in desk.changes if c.recommendation == item.id], desk.now)
        return Situation(
            now=desk.now,
            policy=desk.policy,
            facts=desk.facts.sharing(made, desk.subject.key.name),
            past=tuple(past),
            in_flight=tuple(c.name for c in desk.changes if c.phase in FLYING),
            elsewhere=elsewhere(desk.flying.values(), entry.namespace, entry.name, made.target),
            data_until=desk.data_until,
            baseline_runs=runs,
            coverage=candidate.coverage,
            withdrawn=desk.ledger.withdrawn(item.rule, desk.workflow) or why,
            unsure=unsure,
            approved=approved,
            writes_left=self._steps.writes_left(desk.subject.entry.namespace, desk.now),
        )


def _caution(made: Plan, situation: Situation) -> str | None:
    """What a person should know who decides: who else is changed, and how weak the proof will be."""
    return "; ".join(t for t in (other_pipelines(made, situation.facts), situation.unsure) if t) or None


def _objection(changes: Sequence[Change], now: float) -> str | None:
    """What a person did against changes of one recommendation in the last 30 days: then the rule asks."""
    for change in changes:
        at = max(change.since(C.RESTORED) or 0.0, change.since(C.APPROVED) or 0.0)
        if now - at >= _OBJECTION:
            continue
        if change.decision == "Reject":
            return f"{change.spec.get('decidedBy') or 'somebody'} rejected a change of this kind"
        if change.phase == "Conflict" and change.applied is not None:
            return "somebody undid or overwrote a change of this kind"
    return None
