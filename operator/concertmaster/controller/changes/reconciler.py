"""The stage of the cycle that changes things: plan, gate, propose, apply, prove, take back, prune.

Nothing happens here, not even a request, unless a policy in mode Approve or Auto governs a profile or a change is there
already. Every cycle looks at everything anew: what a change is follows from its object, its target and the runs, so a
process that starts knows as much as the one that stopped.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from concertmaster.api.conditions import ConditionType, Reason
from concertmaster.controller.changes.apply import Apply
from concertmaster.controller.changes.cluster_facts import FactReader
from concertmaster.controller.changes.context import WorkflowContext, scope_of
from concertmaster.controller.changes.control_group import ControlGroup
from concertmaster.controller.changes.proposals import Proposals
from concertmaster.controller.changes.rollback import Rollback
from concertmaster.controller.changes.status import says
from concertmaster.controller.changes.tally import Tally
from concertmaster.controller.changes.verifier import Verifier
from concertmaster.controller.changes.writer import ChangeWriter
from concertmaster.controller.discovery.subject import Subject
from concertmaster.controller.interfaces import Candidate, History
from concertmaster.controller.snapshot import ClusterSnapshot
from concertmaster.controller.workflow_change import FINISHED, FLYING, Change
from concertmaster.core.changes.ledger import Ledger
from concertmaster.core.model.policy import PolicyRef
from concertmaster.history import HistoryError
from concertmaster.kube.access import AccessChecker
from concertmaster.kube.client import KubeClient
from concertmaster.kube.discover import scan
from concertmaster.kube.errors import KubeError, NotFound, Stopped
from concertmaster.kube.events import EventRecorder
from concertmaster.kube.objects import CHANGES

log = logging.getLogger("concertmaster.changes")

C = ConditionType
_DEFAULT_LIMIT = 20

Candidates = Callable[[str], Sequence[Candidate] | None]
"""Advice that could be carried out, by the profile's uid; None while it was not analysed by this process."""


@dataclass(slots=True)
class Outcome:
    """What the stage did in one cycle."""

    in_flight: dict[PolicyRef, int] = field(default_factory=dict)
    tally: Tally | None = None  # None: it could not look
    problems: list[str] = field(default_factory=list)


class Changes:
    """The stage. Calling it runs one cycle's worth; it raises Stopped only."""

    def __init__(
        self,
        client: KubeClient,
        hand: ChangeWriter,
        steps: Apply,
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
        self._ends = Rollback(hand)
        self._follower = Verifier(hand, steps, self._ends, history)
        self._plans = Proposals(client, hand, steps, self._follower)
        self._access = access
        self._events = events
        self._candidates = candidates
        self._namespaces = tuple(namespaces)
        self._secure = secure

    def __call__(
        self, scene: ClusterSnapshot, subjects: Sequence[Subject], data_until: Mapping[str, float | None], now: float,
        heartbeat: Callable[[str], None] = lambda _: None,
    ) -> Outcome:  # fmt: skip
        """Look after every change and every policy that allows some. ``data_until`` by metrics source."""
        outcome = Outcome()
        self._guarded(lambda: self._look(scene, subjects, data_until, now, heartbeat, outcome), "the changes", outcome)
        outcome.problems += self._hand.problems
        self._hand.problems = []
        return outcome

    def _look(
        self, scene: ClusterSnapshot, subjects: Sequence[Subject], data_until: Mapping[str, float | None], now: float,
        heartbeat: Callable[[str], None], outcome: Outcome,
    ) -> None:  # fmt: skip
        try:
            flying = self._hand.journal.flying()
        except HistoryError as error:
            outcome.problems.append(f"nothing is changed while the journal cannot be read: {error}")
            return
        active = [s for s in subjects if s.policy is not None and s.policy.apply.mode.value != "Recommend"]
        if not active and not scene.snapshot.changes and not flying:
            outcome.tally = Tally()
            return
        listed = self._list(outcome)
        if listed is None:
            return
        tally = outcome.tally = self._hand.tally = Tally()
        by_profile: dict[tuple[str, str], list[Change]] = {}
        for change in listed:
            by_profile.setdefault((change.namespace, change.profile), []).append(change)
        in_flight = {c.uid: c for c in listed if c.phase in FLYING}  # few of thousands, and each plan looks at them
        ledger = Ledger(line for c in listed if (line := c.line()) is not None)
        facts = FactReader(self._client, self._access, self._secure)
        others = ControlGroup(subjects, listed, self._history, data_until, now, heartbeat)
        self._deleted(flying, listed, subjects, scene, now, outcome)
        for subject in subjects:
            mine = by_profile.pop((subject.entry.namespace, subject.entry.name), [])
            if subject.policy is None or (not mine and subject not in active):
                continue
            heartbeat("changes")
            until = data_until.get(subject.source)
            desk = WorkflowContext(subject, subject.policy, mine, ledger, scene, facts, others, now, until, in_flight)
            self._guarded(lambda desk=desk: self._workflow(desk), f"changes of {desk.workflow}", outcome)  # type: ignore[misc]
            source = subject.policy.source
            if source is not None:
                outcome.in_flight[source] = outcome.in_flight.get(source, 0) + _flying(desk.changes)
            tally.stand(desk.changes)
        for orphans in by_profile.values():
            tally.stand(orphans)
            for change in orphans:
                self._guarded(lambda c=change: self._profile_gone(c, now), str(change.ref), outcome)  # type: ignore[misc]
        refs = {(s.entry.namespace, s.entry.name): s.entry.ref for s in subjects}
        for note in self._hand.told(refs):
            self._events.post(note)

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
        except (KubeError, HistoryError) as error:
            outcome.problems.append(f"{what}: {error}")
        except Exception as error:
            log.exception("%s failed in an unexpected way", what)
            outcome.problems.append(f"{what} failed ({type(error).__name__}); the operator's log has the details")

    def _deleted(
        self, flying: Mapping[str, Mapping[str, Any]], listed: Sequence[Change], subjects: Sequence[Subject],
        scene: ClusterSnapshot, now: float, outcome: Outcome,
    ) -> None:  # fmt: skip
        """Changes in flight whose objects are gone are taken back from the journal."""
        present = {c.uid: c for c in listed}
        known = {(s.entry.namespace, s.entry.name): s for s in subjects}
        for uid, body in flying.items():
            if uid in present:
                if present[uid].phase in FINISHED:
                    self._hand.noted(lambda uid=uid: self._hand.journal.drop(uid))  # type: ignore[misc]
                continue
            change = Change(body)
            subject = known.get((change.namespace, change.profile))
            policy = subject.policy if subject is not None else None
            allowed = policy is not None and policy.apply.mode.value != "Recommend"
            ref = subject.profile.spec.workflow_ref if subject is not None and subject.profile is not None else None
            of = scope_of(ref, change.namespace, scene.targets) if ref is not None else None
            self._guarded(
                lambda body=body, of=of, allowed=allowed: self._ends.recover(body, of=of, allowed=allowed, now=now),  # type: ignore[misc]
                f"{change.ref}, deleted while it was being proven",
                outcome,
            )

    def _profile_gone(self, change: Change, now: float) -> None:
        """A change whose profile does not exist."""
        text = f"WorkflowProfile {change.profile} does not exist"
        if change.phase in FLYING:
            self._hand.orphan(change, Reason.PROFILE_GONE, text, now)
        elif change.phase not in FINISHED:
            self._hand.end(change, "Superseded", says(C.APPROVED, False, Reason.PROFILE_GONE, text), now)

    # --- one workflow

    def _workflow(self, desk: WorkflowContext) -> None:
        allowed = desk.policy.apply.mode.value != "Recommend"
        for change in [c for c in desk.changes if c.phase in FLYING]:
            desk.put(self._follower.follow(desk, change, allowed))
        proposed = [c for c in desk.changes if c.phase not in FLYING | FINISHED]
        if not allowed:
            why = "; ".join(desk.policy.notes) or "the policy in force only recommends"
            for change in proposed:
                finding = says(C.APPROVED, False, Reason.POLICY_GONE, f"{why}: the plan is withdrawn")
                desk.put(self._hand.end(change, "Superseded", finding, desk.now))
        else:
            candidates = self._candidates(desk.subject.entry.uid)
            if candidates is not None and desk.listed() is not None:
                self._plans.look(desk, proposed, candidates)
        self._prune(desk)

    # --- the end

    def _prune(self, desk: WorkflowContext) -> None:
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


def _flying(changes: Sequence[Change]) -> int:
    return Counter(c.phase in FLYING for c in changes)[True]
