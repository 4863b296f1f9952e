"""The stage of the cycle that changes things: plan, gate, propose, apply, prove, take back, prune.

Nothing happens here, not even a request, unless a policy in mode Approve or Auto governs a profile or a change is there
already. Every cycle looks at everything anew: what a change is follows from its object, its target and the runs, so a
process that starts knows as much as the one that stopped.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from concertmaster.api.conditions import ConditionType, Reason
from concertmaster.api.effective import EffectivePolicy, PolicyRef
from concertmaster.core import jsonpatch
from concertmaster.core.gates import Situation, Verdict, blocking, judge
from concertmaster.core.gates.base import Past
from concertmaster.core.ledger import Line, corrected, correction, withdrawn
from concertmaster.core.model import RunRecord, WorkflowDefinition
from concertmaster.core.plan import Plan, Refused, plan
from concertmaster.core.proof import Sides, prove, sides
from concertmaster.engines.define import define
from concertmaster.history import HistoryError
from concertmaster.kube.access import AccessChecker
from concertmaster.kube.client import KubeClient
from concertmaster.kube.discover import scan
from concertmaster.kube.errors import KubeError, NotFound, Stopped
from concertmaster.kube.events import EventRecorder
from concertmaster.kube.objects import CHANGES
from concertmaster.runtime.assessor import Subject
from concertmaster.runtime.changes_confirm import confirmed, written
from concertmaster.runtime.changes_document import FINISHED, FLYING, Change, object_name, says
from concertmaster.runtime.changes_facts import FactReader
from concertmaster.runtime.changes_hand import Hand
from concertmaster.runtime.changes_terms import prices_of, reach_of, rights_of, terms_of
from concertmaster.runtime.ports import Candidate, History
from concertmaster.runtime.scene import Scene

log = logging.getLogger("concertmaster.changes")

C = ConditionType
_OPEN_PROPOSALS = 5  # undecided plans per workflow: more than a status shows nobody reads
_DEFAULT_LIMIT = 20
_OBJECTION = 30 * 86400.0  # seconds for which a rule asks after a person was against what it did
_MOST_RUNS = 400  # of one workflow for one proof

Candidates = Callable[[str], Sequence[Candidate] | None]
"""Advice that could be carried out, by the profile's uid; None while it was not analysed by this process."""


@dataclass(slots=True)
class Outcome:
    """What the stage did in one cycle."""

    in_flight: dict[PolicyRef, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Desk:
    """Everything about one workflow while the stage works on it."""

    subject: Subject
    policy: EffectivePolicy
    changes: list[Change]
    lines: Sequence[Line]
    scene: Scene
    facts: FactReader
    now: float
    data_until: float | None
    before: Sequence[RunRecord] | None = None

    def baseline(self, sides_: Callable[[_Desk, float, float], Sides]) -> Sequence[RunRecord]:
        """The runs a change made now could be compared with; looked up once."""
        if self.before is None:
            self.before = sides_(self, self.now, self.policy.analysis.window_seconds).before
        return self.before

    @property
    def workflow(self) -> str:
        """How the ledger calls it."""
        return f"{self.subject.entry.namespace}/{self.subject.entry.name}"

    @property
    def definition(self) -> WorkflowDefinition | None:
        """The definition as listed in this cycle."""
        return self.subject.resolved.definition

    def put(self, change: Change | None) -> None:
        """Take in what a change became."""
        if change is not None:
            self.changes = [change if c.uid == change.uid else c for c in self.changes]
            if all(c.uid != change.uid for c in self.changes):
                self.changes.append(change)

    def listed(self) -> dict[str, Any] | None:
        """The target as listed in this cycle, None when it is not there."""
        ref = self.subject.profile.spec.workflow_ref if self.subject.profile is not None else None
        found = self.scene.targets.get(ref.kind, self.subject.entry.namespace, ref.name) if ref is not None else None
        return found.unpack() if found is not None else None

    def certainly_gone(self) -> bool:
        """Whether the target is known not to exist."""
        ref = self.subject.profile.spec.workflow_ref if self.subject.profile is not None else None
        space = self.subject.entry.namespace
        return ref is not None and self.scene.targets.certain(ref.api_version, ref.kind, space)


class Changes:
    """The stage. Calling it runs one cycle's worth; it raises Stopped only."""

    def __init__(
        self,
        client: KubeClient,
        hand: Hand,
        history: History,
        access: AccessChecker,
        events: EventRecorder,
        candidates: Candidates,
        *,
        namespaces: Sequence[str] = (),
        secure: bool | None = None,
    ) -> None:
        self._client = client
        self._hand = hand
        self._history = history
        self._access = access
        self._events = events
        self._candidates = candidates
        self._namespaces = tuple(namespaces)
        self._secure = secure

    def __call__(
        self, scene: Scene, subjects: Sequence[Subject], data_until: Mapping[str, float | None], now: float,
        beat: Callable[[str], None] = lambda _: None,
    ) -> Outcome:  # fmt: skip
        """Look after every change and every policy that allows some. ``data_until`` by metrics source."""
        outcome = Outcome()
        try:
            flying = self._hand.journal.flying()
        except HistoryError as error:
            outcome.problems.append(f"nothing is changed while the journal cannot be read: {error}")
            return outcome
        active = [s for s in subjects if s.policy is not None and s.policy.apply.mode.value != "Recommend"]
        if not active and not scene.snapshot.changes and not flying:
            return outcome
        listed = self._list(outcome)
        if listed is None:
            return outcome
        by_profile: dict[tuple[str, str], list[Change]] = {}
        for change in listed:
            by_profile.setdefault((change.namespace, change.profile), []).append(change)
        lines = [line for c in listed if (line := c.line()) is not None]
        facts = FactReader(self._client, self._access, self._secure)
        self._deleted(flying, listed, subjects, now)
        for subject in subjects:
            mine = by_profile.pop((subject.entry.namespace, subject.entry.name), [])
            if subject.policy is None or (not mine and subject not in active):
                continue
            beat("changes")
            desk = _Desk(subject, subject.policy, mine, lines, scene, facts, now, data_until.get(subject.source))
            self._guarded(lambda desk=desk: self._workflow(desk), f"changes of {desk.workflow}", outcome)  # type: ignore[misc]
            source = subject.policy.source
            if source is not None:
                outcome.in_flight[source] = outcome.in_flight.get(source, 0) + _flying(desk.changes)
        for orphans in by_profile.values():
            for change in orphans:
                self._guarded(lambda c=change: self._profile_gone(c, now), str(change.ref), outcome)  # type: ignore[misc]
        refs = {(s.entry.namespace, s.entry.name): s.entry.ref for s in subjects}
        for note in self._hand.told(refs):
            self._events.post(note)
        outcome.problems += self._hand.problems
        self._hand.problems = []
        return outcome

    # --- around the workflows

    def _list(self, outcome: Outcome) -> list[Change] | None:
        """All WorkflowChange objects, None when they cannot be read: on half a picture nothing is decided."""
        found: list[Change] = []

        def visit(obj: dict[str, Any]) -> None:
            if not (obj.get("metadata") or {}).get("deletionTimestamp"):
                found.append(Change(obj))

        seen = scan(self._client, CHANGES, self._namespaces, visit)
        if not seen.complete:
            outcome.problems.append(f"nothing is changed: {seen.problems[0].message}")
            return None
        return found

    @staticmethod
    def _guarded(work: Callable[[], None], what: str, outcome: Outcome) -> None:
        """One workflow's trouble must not stop the others."""
        try:
            work()
        except Stopped:
            raise
        except KubeError as error:
            outcome.problems.append(f"{what}: {error}")
        except Exception as error:
            log.exception("%s failed in an unexpected way", what)
            outcome.problems.append(f"{what} failed ({type(error).__name__}); the operator's log has the details")

    def _deleted(
        self, flying: Mapping[str, Mapping[str, Any]], listed: Sequence[Change], subjects: Sequence[Subject], now: float
    ) -> None:
        """Changes in flight whose objects are gone are taken back from the journal."""
        present = {c.uid: c for c in listed}
        modes = {(s.entry.namespace, s.entry.name): s.policy.apply.mode.value for s in subjects if s.policy is not None}
        for uid, body in flying.items():
            if uid in present:
                if present[uid].phase in FINISHED:
                    self._hand.journal.drop(uid)
                continue
            change = Change(body)
            allowed = modes.get((change.namespace, change.profile), "Recommend") != "Recommend"
            try:
                self._hand.recover(body, allowed=allowed, now=now)
            except Stopped:
                raise
            except KubeError as error:
                self._hand.problems.append(f"{change.ref} was deleted and its target cannot be read: {error}")

    def _profile_gone(self, change: Change, now: float) -> None:
        """A change whose profile does not exist."""
        text = f"WorkflowProfile {change.profile} does not exist"
        if change.phase in FLYING:
            self._hand.orphan(change, Reason.PROFILE_GONE, text, now)
        elif change.phase not in FINISHED:
            self._hand.end(change, "Superseded", says(C.APPROVED, False, Reason.PROFILE_GONE, text), now)

    # --- one workflow

    def _workflow(self, desk: _Desk) -> None:
        allowed = desk.policy.apply.mode.value != "Recommend"
        for change in [c for c in desk.changes if c.phase in FLYING]:
            desk.put(self._follow(desk, change, allowed))
        proposed = [c for c in desk.changes if c.phase not in FLYING | FINISHED]
        if not allowed:
            why = "; ".join(desk.policy.notes) or "the policy in force only recommends"
            for change in proposed:
                finding = says(C.APPROVED, False, Reason.POLICY_GONE, f"{why}: the plan is withdrawn")
                desk.put(self._hand.end(change, "Superseded", finding, desk.now))
        else:
            candidates = self._candidates(desk.subject.entry.uid)
            raw = desk.listed()
            if candidates is not None and raw is not None:
                self._proposals(desk, proposed, candidates, raw)
        self._prune(desk)

    def _follow(self, desk: _Desk, change: Change, allowed: bool) -> Change | None:
        """One change in flight."""
        if change.phase == "Applied":
            if allowed:
                return self._hand.settle(change, desk.now)
            found = self._hand.settle(change, desk.now)
            return found if found is None or found.phase != "Verifying" else self._orphan(desk, found)
        if not allowed:
            return self._orphan(desk, change)
        if change.is_(C.ORPHANED):
            text = "a policy allows changes again; the proof goes on"
            found = self._hand.write(change, change.status, [says(C.ORPHANED, False, Reason.ACTIVE, text)], desk.now)
            change = found or change
        if change.condition(C.RESTORED).get("status") == "Unknown":
            return self._hand.restore(change, None, desk.now)
        if change.decision == "Reject":
            who = change.spec.get("decidedBy") or "somebody"
            return self._hand.restore(change, None, desk.now, f"rejected by {who}")
        return self._verify(desk, change)

    def _orphan(self, desk: _Desk, change: Change) -> Change | None:
        why = "; ".join(desk.policy.notes) or "the policy in force only recommends"
        return self._hand.orphan(change, Reason.POLICY_GONE, why, desk.now)

    def _verify(self, desk: _Desk, change: Change) -> Change | None:
        raw = desk.listed()
        if raw is None:
            if desk.certainly_gone():
                return self._hand.conflict(change, "the target was deleted", desk.now)
            return None
        target, definition = change.target, desk.definition
        if target is None or str(raw["metadata"].get("uid")) != target.uid:
            return self._hand.conflict(change, "the target was deleted and made anew", desk.now)
        if not jsonpatch.fits(raw, change.operations("inverse") or [{"op": "none", "path": "/"}]):
            text = (
                f"somebody else changed what this change had set; it is left as it is. Its undoing was: {change.undo()}"
            )
            return self._hand.conflict(change, text, desk.now)
        applied = change.applied
        if definition is None or applied is None:
            return None
        if change.fingerprint is None and definition.fingerprint is not None:
            marked = self._marked(change, definition.fingerprint)
            change = self._hand.write(marked, marked.status, [], desk.now) or change
        terms = terms_of(desk.policy, definition, desk.now)
        touched = self._touched(desk, change, definition)
        window = desk.policy.analysis.window_seconds + terms.max_age
        found = self._sides(desk, applied + 1.0, window, change)
        values = written(change.operations("patch") or ())
        proof = prove(
            change.aim,
            found,
            terms,
            age=float("inf") if touched else desk.now - applied,
            step=_step(change, definition),
            lowers_memory=change.aim.value == "Cheaper" and any(p.endswith("/memory") for p in values),
            pricing=prices_of(desk.policy),
        )
        if touched:
            proof = replace(
                proof, reason=f"the workflow was changed otherwise meanwhile, which ends the proof: {proof.reason}"
            )
        return self._hand.proved(change, proof, desk.now)

    def _sides(self, desk: _Desk, applied: float, window: float, change: Change | None = None) -> Sides:
        """Runs before and after ``applied``, the moment of ``change`` or (None) of one that is only thought of."""
        definition = desk.definition
        if definition is None:
            return Sides((), ())
        until = desk.data_until or desk.now
        runs = self._history.runs(definition, limit=_MOST_RUNS, since=applied - window, as_of=until)
        others = [c for c in desk.changes if c.applied is not None and (change is None or c.uid != change.uid)]
        stayed = [c.applied for c in others if c.phase in FINISHED and c.restored is None and c.applied is not None]
        stayed = [t for t in stayed if t < applied]
        undone = [(c.applied, c.restored) for c in others if c.applied is not None and c.restored is not None]
        return sides(runs, applied=applied, since=max(stayed, default=None), now=until, without=undone)

    @staticmethod
    def _marked(change: Change, fingerprint: str) -> Change:
        plan_ = dict(change.status.get("plan") or {})
        plan_["target"] = {**(plan_.get("target") or {}), "fingerprint": fingerprint}
        return Change({**change.raw, "status": {**change.status, "plan": plan_}})

    @staticmethod
    def _touched(desk: _Desk, change: Change, definition: WorkflowDefinition) -> bool:
        """Whether the definition was changed since, by anybody but another change of ours."""
        if change.fingerprint is None or change.fingerprint == definition.fingerprint:
            return False
        since = change.applied or 0.0
        others = [t for c in desk.changes if c.uid != change.uid for t in (c.applied, c.restored) if t]
        return not any(t >= since for t in others)

    # --- proposals

    def _proposals(
        self, desk: _Desk, proposed: list[Change], candidates: Sequence[Candidate], raw: Mapping[str, Any]
    ) -> None:
        waiting = {c.recommendation: c for c in proposed if c.phase == "Proposed"}
        bare = [c for c in proposed if c.phase != "Proposed"]
        open_ = sum(c.decision is None for c in waiting.values())
        for candidate in candidates:
            mine = waiting.pop(candidate.recommendation.id, None)
            factor = correction(desk.lines, candidate.recommendation.rule, desk.workflow)
            own = replace(candidate, recommendation=corrected(candidate.recommendation, factor))
            if mine is not None:
                self._decided(desk, mine, own, raw)
                if all(c.phase != "Superseded" for c in desk.changes if c.uid == mine.uid):
                    continue
                open_ -= mine.decision is None
            try:
                made = self._plan(desk, own, raw)
            except Refused:
                continue
            orphan = next((c for c in bare if c.name.startswith(object_name(made)) and c.digest == made.digest), None)
            if orphan is not None and orphan.decision is None and orphan.recommendation == made.recommendation:
                desk.put(self._hand.adopt(orphan, made, desk.now))
                bare.remove(orphan)
            elif open_ < _OPEN_PROPOSALS and self._propose(desk, own, made):
                open_ += 1
        for change in waiting.values():
            text = "the advice behind it is no longer given"
            desk.put(self._hand.end(change, "Superseded", says(C.APPROVED, False, Reason.SUPERSEDED, text), desk.now))
        for change in bare:
            text = "the operator did not make this object; it is not carried out"
            desk.put(self._hand.end(change, "Failed", says(C.APPROVED, False, Reason.REJECTED, text), desk.now))

    def _plan(self, desk: _Desk, candidate: Candidate, raw: Mapping[str, Any]) -> Plan:
        entry = desk.subject.entry
        return plan(
            candidate.recommendation,
            raw,
            profile=entry.name,
            namespace=entry.namespace,
            reach=reach_of(desk.policy),
            monthly_cost=candidate.monthly_cost,
            spread=candidate.spread,
        )

    def _propose(self, desk: _Desk, candidate: Candidate, made: Plan) -> bool:
        """Create the object of a plan whose gates are open, and carry it out where nobody is asked. Whether one waits."""
        if any(c.name == object_name(made) and c.phase == "Completed" for c in desk.changes):
            return False  # tried, rejected or taken back: not the very same again
        cheap = self._situation(desk, candidate, approved=False)
        verdicts = judge(made, cheap)
        asks = _asks(verdicts)
        if blocking(verdicts, proposing=asks):
            return False
        fresh = self._hand.target(made)
        if fresh is None:
            return False
        verdicts = judge(made, replace(cheap, facts=desk.facts.read(made, fresh, desk.definition)))
        if blocking(verdicts, proposing=asks):
            return False
        change = self._hand.propose(made, desk.changes, desk.now)
        desk.put(change)
        if change is None or asks:
            return change is not None
        self._carry_out(desk, change, candidate, approved=False)
        return False

    def _decided(self, desk: _Desk, change: Change, candidate: Candidate, raw: Mapping[str, Any]) -> None:
        """Look after a proposal: end it, hold it or carry it out as was decided."""
        if change.decision == "Reject":
            who = change.spec.get("decidedBy") or "somebody"
            finding = says(C.APPROVED, False, Reason.REJECTED, f"rejected by {who}")
            desk.put(self._hand.end(change, "Completed", finding, desk.now))
            return
        if (wrong := change.forged()) is not None:
            desk.put(self._hand.end(change, "Failed", says(C.APPROVED, False, Reason.REJECTED, wrong), desk.now))
            return
        made = self._confirmed(desk, change, candidate, raw)
        if made is None:
            return
        approved = change.decision == "Approve"
        verdicts = judge(made, self._situation(desk, candidate, approved=approved))
        if not approved and _asks(verdicts):
            return
        if shut := blocking(verdicts, proposing=False):
            self._hold(desk, change, shut)
            return
        self._carry_out(desk, change, candidate, approved=approved)

    def _confirmed(self, desk: _Desk, change: Change, candidate: Candidate, raw: Mapping[str, Any]) -> Plan | None:
        """The plan recomputed on ``raw``; without one the change is ended and None is returned."""
        try:
            made = confirmed(
                change,
                candidate.recommendation,
                raw,
                reach=reach_of(desk.policy),
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

    def _carry_out(self, desk: _Desk, change: Change, candidate: Candidate, *, approved: bool) -> None:
        """Everything once more on what the API server has this moment, then the write."""
        fresh = self._fresh(change)
        raw = self._hand.target(change)
        if fresh is None or fresh.spec != change.spec or fresh.phase != change.phase:
            return  # somebody decided this very moment: the next cycle looks again
        if raw is None:
            desk.put(self._hand.conflict(change, "the target was deleted", desk.now))
            return
        made = self._confirmed(desk, fresh, candidate, raw)
        if made is None:
            return
        facts = desk.facts.read(made, raw, desk.definition)
        shut = blocking(
            judge(made, replace(self._situation(desk, candidate, approved=approved), facts=facts)), proposing=False
        )
        if shut:
            self._hold(desk, fresh, shut)
            return
        found = self._hand.apply(fresh, made, raw, desk.now)
        if found is not None and found.phase == "Verifying":
            found = self._fingerprinted(desk, found) or found
        desk.put(found)

    def _fingerprinted(self, desk: _Desk, change: Change) -> Change | None:
        """Note what the definition is with the change, to notice when somebody changes it otherwise."""
        raw = self._hand.target(change)
        if raw is None:
            return None
        space = desk.subject.entry.namespace

        def look(kind: str, name: str) -> Mapping[str, Any] | None:
            found = desk.scene.targets.get(kind, space, name)
            return found.unpack() if found is not None else None

        definition = define(raw, look, namespace=space)
        if definition is None or definition.fingerprint is None:
            return None
        marked = self._marked(change, definition.fingerprint)
        return self._hand.write(marked, marked.status, [], desk.now)

    def _fresh(self, change: Change) -> Change | None:
        try:
            return Change(self._client.get(change.ref.path))
        except NotFound:
            return None

    def _hold(self, desk: _Desk, change: Change, shut: Sequence[Verdict]) -> None:
        desk.put(self._hand.hold(change, [v.gate for v in shut], shut[0].message, desk.now))

    def _situation(self, desk: _Desk, candidate: Candidate, *, approved: bool) -> Situation:
        item, entry = candidate.recommendation, desk.subject.entry
        past = [Past(c.applied, c.restored, c.name) for c in desk.changes if c.applied is not None]
        deleted = self._hand.journal.deleted(entry.namespace, entry.name, desk.now)
        past += [Past(at, at) for at in deleted.values()]
        why = "somebody deleted a change of this kind while it was being proven" if item.id in deleted else None
        why = why or _objection([c for c in desk.changes if c.recommendation == item.id], desk.now)
        return Situation(
            now=desk.now,
            rights=rights_of(desk.policy),
            past=tuple(past),
            in_flight=tuple(c.name for c in desk.changes if c.phase in FLYING),
            data_until=desk.data_until,
            baseline_runs=len(desk.baseline(self._sides)),
            coverage=candidate.coverage,
            withdrawn=withdrawn(desk.lines, item.rule, desk.workflow) or why,
            approved=approved,
            writes_left=self._hand.writes_left(desk.subject.entry.namespace, desk.now),
        )

    # --- the end

    def _prune(self, desk: _Desk) -> None:
        """Delete the oldest finished changes beyond the limit; those without a verdict first, the ledger needs the rest."""
        finished = [c for c in desk.changes if c.phase in FINISHED]
        limit = desk.policy.apply.change_history_limit if desk.policy.source is not None else _DEFAULT_LIMIT
        excess = len(finished) - limit
        for change in sorted(finished, key=lambda c: (c.verdict is not None, c.created, c.name))[: max(0, excess)]:
            try:
                self._client.delete(change.ref.path, uid=change.uid)
            except NotFound:
                continue
            desk.changes = [c for c in desk.changes if c.uid != change.uid]


def _asks(verdicts: Sequence[Verdict]) -> bool:
    """Whether a person is asked: the gate of the mode waits for a decision."""
    return any(v.gate == "mode" and not v.open and v.waiting for v in verdicts)


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


def _flying(changes: Sequence[Change]) -> int:
    return Counter(c.phase in FLYING for c in changes)[True]


def _step(change: Change, definition: WorkflowDefinition) -> str | None:
    """The step a change is about: what follows the rule in its recommendation's id, without a container's name."""
    rest = change.recommendation.partition(".")[2]
    names = [s.name for s in definition.graph.steps if rest == s.name or rest.startswith(f"{s.name}.")]
    return max(names, key=len, default=None)
