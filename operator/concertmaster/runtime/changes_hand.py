"""The hand that writes: proposes, applies, settles and restores one change, journal first.

Every step can be the last one of a process. What was begun is therefore written down before it is done (history, then
the WorkflowChange), and what an interrupted write became is read from the object itself: it holds the plan's new values,
or the old ones, or somebody else's.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from concertmaster.api.conditions import ConditionType, Finding, Reason
from concertmaster.core import jsonpatch
from concertmaster.core.plan import Plan
from concertmaster.core.proof import Proof
from concertmaster.core.verdict import Verdict
from concertmaster.history import HistoryError
from concertmaster.kube.apply import WriteResult, Wrote, patch_object
from concertmaster.kube.client import KubeClient
from concertmaster.kube.errors import Conflict, KubeError, NotFound, Stopped
from concertmaster.kube.events import Note, Severity
from concertmaster.kube.objects import CHANGES, ObjectRef, target_resource
from concertmaster.runtime.changes_document import (
    Change,
    new_object,
    object_name,
    plan_status,
    says,
    with_conditions,
    with_proof,
)
from concertmaster.runtime.changes_journal import Journal

log = logging.getLogger("concertmaster.changes")

C = ConditionType
_REPEATABLE = frozenset({"Conflict", "Superseded", "Failed"})
_ATTEMPTS = 9
_MINUTE = 60.0
_REASONS = {
    Verdict.IMPROVED: Reason.IMPROVED,
    Verdict.SAME: Reason.SAME,
    Verdict.WORSE: Reason.WORSE,
    Verdict.INCONCLUSIVE: Reason.INCONCLUSIVE,
}


class Hand:
    """Writes changes. ``per_minute`` is the most writes of users' objects per namespace and minute."""

    def __init__(self, client: KubeClient, journal: Journal, *, per_minute: int = 6) -> None:
        self.client = client
        self.journal = journal
        self.notes: list[tuple[Change, Severity, str, str]] = []  # (change, severity, reason, text) for Events
        self.problems: list[str] = []
        self._per_minute = per_minute
        self._writes: dict[str, deque[float]] = {}

    # --- reading

    def target(self, change_or_plan: Change | Plan) -> dict[str, Any] | None:
        """The target as the API server has it now; None when it is gone. Raises KubeError."""
        ref = self.target_ref(change_or_plan)
        if ref is None:
            return None
        try:
            raw = self.client.get(ref.path)
        except NotFound:
            return None
        raw.setdefault("apiVersion", ref.resource.api_version)
        raw.setdefault("kind", ref.resource.kind)
        return raw

    @staticmethod
    def target_ref(found: Change | Plan) -> ObjectRef | None:
        """The object a change or plan is for; None for a kind that is not known."""
        target = found.target
        resource = target_resource(target.api_version, target.kind) if target is not None else None
        if target is None or resource is None:
            return None
        return ObjectRef(resource, target.namespace if resource.namespaced else None, target.name, target.uid)

    def writes_left(self, namespace: str, now: float) -> int:
        """How many objects of the namespace may still be written in this minute."""
        seen = self._writes.setdefault(namespace, deque())
        while seen and now - seen[0] >= _MINUTE:
            seen.popleft()
        return self._per_minute - len(seen)

    # --- proposing

    def propose(self, plan: Plan, known: Iterable[Change], now: float) -> Change | None:
        """Create the object of a plan. None when the same plan was finished before, or the server does not take it."""
        taken = {c.name: c for c in known}
        attempt = 1
        while (name := object_name(plan, attempt)) in taken:
            if taken[name].phase not in _REPEATABLE or attempt >= _ATTEMPTS:
                return None
            attempt += 1
        self.journal.note_made(plan.digest, now)
        try:
            raw = self.client.create(CHANGES.path(plan.namespace), new_object(plan, name))
        except Stopped:
            raise
        except Conflict:
            return None  # made since the list was read: the next cycle sees it
        except KubeError as error:
            self.problems.append(f"WorkflowChange {plan.namespace}/{name} cannot be created: {error}")
            return None
        return self.adopt(Change(raw), plan, now)

    def adopt(self, change: Change, plan: Plan, now: float) -> Change | None:
        """Write the plan into the status of an object that has none yet."""
        how = f"kubectl concertmaster approve -n {change.namespace} {change.name}"
        status = {**plan_status(plan), "phase": "Proposed"}
        waiting = says(C.APPROVED, None, Reason.WAITING, f"{plan.says()}; to approve it: {how}")
        return self.write(change, status, [waiting], now)

    # --- applying

    def apply(self, change: Change, plan: Plan, raw: Mapping[str, Any], now: float) -> Change | None:
        """Write a plan that passed every gate, on the version of the target that was judged."""
        ref = self.target_ref(plan)
        if ref is None:
            return None
        operations = plan.operations(str(raw["metadata"]["resourceVersion"]))
        tried = patch_object(self.client, ref, operations, dry_run=True)
        if tried.outcome is not Wrote.TRIED:
            return self._unwritten(change, tried, now)
        automatic = change.decision is None
        who = change.spec.get("decidedBy") or "somebody"
        approved = (
            says(C.APPROVED, True, Reason.AUTOMATIC, "the policy's mode is Auto")
            if automatic
            else says(C.APPROVED, True, Reason.APPROVED, f"approved by {who}")
        )
        intent = says(C.APPLIED, None, Reason.IN_PROGRESS, f"about to be written: {plan.says()}")
        status = {**change.status, "phase": "Applied"}
        self.journal.put({**change.raw, "status": with_conditions(status, [approved, intent], None, now)}, now)
        begun = self.write(change, status, [approved, intent], now)
        if begun is None:
            self.journal.drop(change.uid)
            return None
        self._writes.setdefault(plan.namespace, deque()).append(now)
        wrote = patch_object(self.client, ref, operations)
        if wrote.outcome is Wrote.DONE:
            return self.verifying(begun, now)
        if wrote.outcome is Wrote.UNCERTAIN:
            return begun  # the next cycle looks what became of it
        return self.settle(begun, now, wrote)

    def settle(self, change: Change, now: float, wrote: WriteResult | None = None) -> Change | None:
        """Find out what a write became that was begun: done, not done, or overtaken by somebody else."""
        raw = self.target(change)
        if raw is None:
            return self.conflict(change, "the target was deleted", now)
        inverse, patch = change.operations("inverse") or [], change.operations("patch") or []
        if self._same_object(change, raw) and inverse and jsonpatch.fits(raw, inverse):
            return self.verifying(change, now)
        if self._same_object(change, raw) and patch and jsonpatch.fits(raw, patch):
            if wrote is not None and wrote.outcome is not Wrote.CHANGED:
                self.journal.drop(change.uid)
                return self._unwritten(change, wrote, now)
            status = {**change.status, "phase": "Proposed"}
            text = "it was not written yet; every gate is asked again before it is"
            found = self.write(change, status, [says(C.APPLIED, False, Reason.WAITING, text)], now)
            self.journal.drop(change.uid)
            return found
        return self.conflict(change, "somebody else changed the target before it was written", now)

    def verifying(self, change: Change, now: float) -> Change | None:
        """It stands: wait for runs."""
        status = {**change.status, "phase": "Verifying"}
        findings = [
            says(C.APPLIED, True, Reason.APPLIED, f"written; to take it back by hand: {change.undo()}"),
            says(C.VERIFIED, None, Reason.IN_PROGRESS, "runs after the change are being collected"),
        ]
        found = self.write(change, status, findings, now)
        if found is not None:
            self.journal.put(found.raw, now)
            self.note(found, Severity.NORMAL, "ChangeApplied", f"{found.name}: {self._expected(found)}")
        return found

    # --- proving

    def proved(self, change: Change, proof: Proof, now: float) -> Change | None:
        """Write where the proof stands; a verdict that lets the change stand ends it."""
        measure = str((change.status.get("predicted") or {}).get("measure") or "Duration")
        status = with_proof(change.status, proof, measure)
        if proof.verdict is None:
            same = {k: v for k, v in status.items() if k != "measured"}
            if same == {k: v for k, v in change.status.items() if k != "measured"}:
                return change  # no new run: what was measured moves only by rounding
            found = says(C.VERIFIED, None, Reason.IN_PROGRESS, proof.reason)
            return self.write(change, status, [found], now)
        if proof.restore:
            return self.restore(Change({**change.raw, "status": status}), proof, now)
        findings = [_judged(proof), says(C.RESTORED, False, Reason.KEPT, "the change stays")]
        found_ = self.write(change, {**status, "phase": "Completed"}, findings, now)
        if found_ is not None:
            self.journal.drop(change.uid)
            self.note(found_, Severity.NORMAL, "ChangeKept", f"{change.name}: {proof.reason}")
        return found_

    # --- restoring

    def restore(self, change: Change, proof: Proof | None, now: float, why: str = "") -> Change | None:
        """Take a change back, saying so first. ``proof`` or ``why`` is the ground; neither: go on with one begun."""
        begun: Change | None = change
        if proof is not None or why:
            reason = proof.reason if proof is not None else why
            intent = says(C.RESTORED, None, Reason.IN_PROGRESS, f"about to be taken back: {reason}")
            findings = [intent] if proof is None else [_judged(proof), intent]
            self._also_in_journal({**change.raw, "status": with_conditions(change.status, findings, None, now)}, now)
            begun = self.write(change, change.status, findings, now)
        if begun is None:
            return None
        return self._take_back(begun, now)

    def _also_in_journal(self, change: Mapping[str, Any], now: float) -> None:
        """A full disk must not keep harm from being taken back: the WorkflowChange says it too."""
        try:
            self.journal.put(change, now)
        except HistoryError as error:
            self.problems.append(f"the journal cannot be written: {error}")

    def _take_back(self, change: Change, now: float) -> Change | None:
        raw, ref = self.target(change), self.target_ref(change)
        if raw is None or ref is None or not self._same_object(change, raw):
            return self.conflict(change, "the target was deleted or made anew; there is nothing to take back", now)
        inverse, patch = change.operations("inverse") or [], change.operations("patch") or []
        if not jsonpatch.fits(raw, inverse):
            if jsonpatch.fits(raw, patch):
                return self._restored(change, "the old values were back already", now)
            text = (
                f"somebody else changed the target since; it is left as it is. To take the change back: {change.undo()}"
            )
            return self.conflict(change, text, now)
        operations = [
            {"op": "test", "path": "/metadata/resourceVersion", "value": raw["metadata"]["resourceVersion"]},
            *inverse,
        ]
        result = patch_object(self.client, ref, operations, dry_run=True)
        if result.outcome is Wrote.TRIED:
            result = patch_object(self.client, ref, operations)
        if result.outcome is Wrote.DONE:
            return self._restored(change, f"taken back: {_ground(change)}", now)
        if result.outcome is Wrote.GONE:
            return self.conflict(change, "the target was deleted; there is nothing to take back", now)
        self.problems.append(f"{change.ref} is not taken back yet: {result.message}")
        return change

    def _restored(self, change: Change, text: str, now: float) -> Change | None:
        status = {**change.status, "phase": "Completed", "restored": True}
        found = self.write(change, status, [says(C.RESTORED, True, Reason.TAKEN_BACK, text)], now)
        if found is not None:
            self.journal.drop(change.uid)
            self.note(found, Severity.WARNING, "ChangeTakenBack", f"{change.name}: {text}")
        return found

    def recover(self, body: Mapping[str, Any], *, allowed: bool, now: float) -> None:
        """Make good for a change whose object was deleted while it was in flight."""
        change = Change(body)
        self.journal.note_deleted(body, now)
        raw, ref, inverse = self.target(change), self.target_ref(change), change.operations("inverse") or []
        stands = raw is not None and ref is not None and inverse and self._same_object(change, raw)
        if stands and raw is not None and ref is not None and jsonpatch.fits(raw, inverse):
            if not allowed:
                self.problems.append(f"{change.ref} was deleted and its policy is gone; to undo it: {change.undo()}")
            else:
                version = {
                    "op": "test",
                    "path": "/metadata/resourceVersion",
                    "value": raw["metadata"]["resourceVersion"],
                }
                result = patch_object(self.client, ref, [version, *inverse])
                if result.outcome not in (Wrote.DONE, Wrote.GONE):
                    self.problems.append(f"{change.ref} was deleted and is not taken back yet: {result.message}")
                    return
                text = f"{change.name} was deleted while it was being proven, so the change was taken back"
                self.note(change, Severity.WARNING, "ChangeTakenBack", text)
        self.journal.drop(change.uid)

    # --- other ends

    def conflict(self, change: Change, text: str, now: float) -> Change | None:
        """Somebody else was faster: nothing more is written."""
        kind = C.APPLIED if change.applied is None else C.RESTORED
        found = self.write(
            change, {**change.status, "phase": "Conflict"}, [says(kind, False, Reason.CONFLICT, text)], now
        )
        if found is not None:
            self.journal.drop(change.uid)
            self.note(found, Severity.WARNING, "ChangeConflict", f"{change.name}: {text}")
        return found

    def end(self, change: Change, phase: str, finding: Finding, now: float) -> Change | None:
        """End a change that was not written."""
        if phase != "Failed":  # a forged object must not make the operator forget the plan it imitates
            self.journal.forget_made(change.digest)
        return self.write(change, {**change.status, "phase": phase}, [finding], now)

    def orphan(self, change: Change, reason: Reason, text: str, now: float) -> Change | None:
        """Say that nothing more is written, and how to undo; once."""
        message = f"{text}; nothing more is written. To take the change back: {change.undo()}"
        if change.is_(C.ORPHANED) and change.condition(C.ORPHANED).get("reason") == reason.value:
            return change
        found = self.write(change, change.status, [says(C.ORPHANED, True, reason, message)], now)
        if found is not None:
            self.note(found, Severity.WARNING, "ChangeOrphaned", f"{change.name}: {text}")
        return found

    def hold(self, change: Change, gates: list[str], text: str, now: float) -> Change | None:
        """Say which gates hold a decided change back; again only when others do."""
        message = f"waits for {', '.join(gates)}: {text}"
        before = str(change.condition(C.APPLIED).get("message") or "").partition(":")[0]
        if before == message.partition(":")[0]:
            return change
        return self.write(change, change.status, [says(C.APPLIED, False, Reason.GATE_CLOSED, message)], now)

    def _unwritten(self, change: Change, result: WriteResult, now: float) -> Change | None:
        """The server did not take it: final when it never will."""
        if result.outcome is Wrote.GONE:
            return self.conflict(change, "the target was deleted", now)
        if result.outcome is Wrote.REFUSED:
            return self.end(change, "Failed", says(C.APPLIED, False, Reason.WRITE_FAILED, result.message), now)
        if result.outcome is Wrote.FORBIDDEN:
            status = {**change.status, "phase": "Proposed"}
            return self.write(change, status, [says(C.APPLIED, False, Reason.DENIED, result.message)], now)
        return change  # a moving target, or no answer: the next cycle tries again

    # --- writing

    def write(self, change: Change, status: Mapping[str, Any], findings: list[Finding], now: float) -> Change | None:
        """Replace the status; None (and a problem) when the server does not take it."""
        generation = (change.raw.get("metadata") or {}).get("generation")
        document = with_conditions(status, findings, generation, now)
        operations = [
            {"op": "test", "path": "/metadata/uid", "value": change.uid},
            {"op": "add", "path": "/status", "value": document},
        ]
        try:
            return Change(self.client.patch(f"{change.ref.path}/status", operations, kind="json"))
        except Stopped:
            raise
        except NotFound:
            return None  # deleted: the journal knows what to do
        except KubeError as error:
            self.problems.append(f"{change.ref}: its status cannot be written: {error}")
            return None

    def note(self, change: Change, severity: Severity, reason: str, text: str) -> None:
        """Remember something to tell in an Event."""
        self.notes.append((change, severity, reason, text))

    def told(self, profiles: Mapping[tuple[str, str], ObjectRef]) -> list[Note]:
        """The Events about profiles, by namespace and name; the list is empty afterwards."""
        found = [
            Note(profiles[c.namespace, c.profile], severity, reason, text, action="Change")
            for c, severity, reason, text in self.notes
            if (c.namespace, c.profile) in profiles
        ]
        self.notes.clear()
        return found

    @staticmethod
    def _same_object(change: Change, raw: Mapping[str, Any]) -> bool:
        target = change.target
        return target is not None and str((raw.get("metadata") or {}).get("uid") or "") == target.uid

    @staticmethod
    def _expected(change: Change) -> str:
        return str((change.status.get("predicted") or {}).get("text") or "written")


def _judged(proof: Proof) -> Finding:
    verdict = proof.verdict or Verdict.INCONCLUSIVE
    state = {Verdict.IMPROVED: True, Verdict.INCONCLUSIVE: None}.get(verdict, False)
    return says(C.VERIFIED, state, _REASONS[verdict], proof.reason)


def _ground(change: Change) -> str:
    return str(change.condition(C.RESTORED).get("message") or "").removeprefix("about to be taken back: ")
