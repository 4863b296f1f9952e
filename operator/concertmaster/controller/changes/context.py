"""One workflow in one cycle: its profile, policy, target, changes and facts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from concertmaster.api.conditions import ConditionType
from concertmaster.api.models.profile import WorkflowRef
from concertmaster.controller.changes.cluster_facts import FactReader
from concertmaster.controller.changes.control_group import WorkflowControl
from concertmaster.controller.changes.policy_reader import PolicyReader
from concertmaster.controller.changes.writing.target import TargetClient
from concertmaster.controller.discovery.subject import Subject
from concertmaster.controller.discovery.targets import Target, Targets
from concertmaster.controller.interfaces import SourceReport
from concertmaster.controller.snapshot import ClusterSnapshot
from concertmaster.controller.workflow_change import Scope, WorkflowChangeView
from concertmaster.core.changes.ledger import Ledger
from concertmaster.core.changes.operations import written
from concertmaster.core.changes.plan import Plan
from concertmaster.core.changes.reconcile import IN_FLIGHT, TargetState
from concertmaster.core.changes.situation import ClusterFacts
from concertmaster.core.changes.verification.before_after import BeforeAfter, foresee
from concertmaster.core.changes.verification.start_times import StartTimes, observed
from concertmaster.core.model import TASK, WorkflowDefinition
from concertmaster.core.model.enums import ChangePhase, Decision
from concertmaster.core.model.policy import Policy
from concertmaster.core.times import seconds_outside
from concertmaster.core.units import DAY
from concertmaster.engines.registry import shared_by

Place = tuple[str, str, str]
_OBJECTION = 30 * DAY  # seconds for which a rule asks after a person was against what it did


@dataclass(slots=True)
class WorkflowContext:
    """Everything about one workflow while the stage works on it: one per workflow and cycle."""

    subject: Subject
    policy: Policy
    changes: list[WorkflowChangeView]
    ledger: Ledger
    snapshot: ClusterSnapshot
    facts: FactReader
    control: WorkflowControl
    policies: PolicyReader
    now: float
    report: SourceReport | None  # of its metrics source
    collected: bool  # whether its namespace is read in this cycle
    in_flight: dict[str, WorkflowChangeView]  # all in progress by uid, whosever they are; shared by all contexts
    by_target: Callable[
        [], Mapping[Place, Sequence[WorkflowChangeView]]
    ]  # all by what they change, computed when needed
    foreseen: tuple[int, str | None] | None = None

    def foresee(self, sides_: Callable[[WorkflowContext, float, float], BeforeAfter]) -> tuple[int, str | None]:
        """How many runs a change made now could be compared with, and why its verification could miss harm (None: it
        would not). Computed once."""
        if self.foreseen is None:
            before = sides_(self, self.now, self.policy.analysis.window_seconds).before
            verify = self.policy.apply.verify
            forecast = foresee(before, max(verify.min_runs, verify.max_runs))
            self.foreseen = len(before), forecast.warns() if forecast is not None else None
        return self.foreseen

    def may_write(self, *, new: bool = False) -> bool:
        """Whether the policy still says what this cycle follows, asked of the API server. Nothing ``new`` is written while
        the watches are behind."""
        return not (new and self.policies.behind) and self.policies.unchanged(self.subject)

    @property
    def data_until(self) -> float | None:
        """Up to when the facts of the namespace are complete (unix seconds)."""
        return self.report.complete_until(self.subject.entry.namespace) if self.report is not None else None

    @property
    def outages(self) -> tuple[tuple[float, float], ...]:
        """When the metrics source saw no pods (unix seconds)."""
        return self.report.outages if self.report is not None else ()

    @property
    def ahead(self) -> float:
        """How many seconds the operator's clock is ahead of the metrics source's."""
        return max(0.0, self.report.clock_ahead) if self.report is not None else 0.0

    def seconds_read(self, moment: float, idle: Sequence[tuple[float, float]]) -> float:
        """How many seconds since ``moment`` (unix seconds) the metrics source was read for: neither its outages count, nor
        spans that were ``idle``, nor what is not read yet, nor what the operator's clock is ahead."""
        return seconds_outside((*self.outages, *idle), moment, (self.data_until or moment) - self.ahead)

    def edited(self, change: WorkflowChangeView, applied: float) -> float | None:
        """When somebody else edited the workflow since ``change`` was ``applied``, or later (unix seconds; None: not known):
        the first of the dates of its objects."""
        own, others = self._target(change.task), (self.subject.target, *self.subject.held)
        dated = [self._own_edited(change)]
        dated += [t.written[1] for t in others if t is not None and (own is None or t.ref != own.ref)]
        return min((at for at in dated if at > applied), default=None)

    def _own_edited(self, change: WorkflowChangeView) -> float:
        """When somebody else last edited the object that ``change`` was written to, or later (unix seconds; 0: nobody has,
        or it is not known). Whoever owns its spec may write an annotation every minute, which dates it as well."""
        target = self._target(change.task)
        planned = ((change.status.get("plan") or {}).get("target") or {}).get("generation")
        present = _generation(target.unpack()) if target is not None else None
        if target is None or (isinstance(planned, int) and present is not None and present <= planned + 1):
            return 0.0
        return target.written[1]

    def start_times(
        self, before: StartTimes | None, change: WorkflowChangeView, definition: WorkflowDefinition
    ) -> StartTimes:
        """When the workflow could be started since ``change``, by its own object and those that start it."""
        ref, own = self.workflow_ref, self.subject.target
        starters = self.snapshot.targets.triggers(self.subject.entry.namespace, ref.kind, ref.name) if ref else ()
        dated = [t.written[1] for t in (own, *starters) if t is not None]
        if change.task is None:
            dated = [self._own_edited(change), *(t.written[1] for t in starters)]
        edited, present = max(dated, default=0.0), _generation(self.listed())
        edition = (present, *(_generation(t.unpack()) for t in starters))
        return observed(before, definition, edition, edited=edited, now=self.now - self.ahead)

    def read_since(self, moment: float) -> bool:
        """Whether the workflow's runs since ``moment`` (unix seconds) have been read: otherwise runs would seem to be
        missing."""
        low = self.report.unread.get(self.subject.key, moment) if self.report is not None else moment
        return self.collected and low <= moment

    @property
    def why_not(self) -> str:
        """Why the policy in force allows no changes. One that cannot be read may be that which allowed them."""
        invalid = [v.ref for v in self.snapshot.policies.views if v.policy is None]
        near = [ref for ref in invalid if ref.namespace in (None, self.subject.entry.namespace)]
        notes = [f"{ref} is invalid and not in force" for ref in near[:1]]
        return "; ".join([*notes, *(self.policy.notes or ["the policy in force only recommends"])])

    @property
    def workflow(self) -> str:
        """Its name in the ledger."""
        return f"{self.subject.entry.namespace}/{self.subject.entry.name}"

    @property
    def definition(self) -> WorkflowDefinition | None:
        """The definition as listed in this cycle."""
        return self.subject.resolved.definition

    @property
    def workflow_ref(self) -> WorkflowRef | None:
        """The object that the profile says defines the workflow."""
        return self.subject.profile.spec.workflow_ref if self.subject.policy is not None else None

    def read(self, plan: Plan, raw: Mapping[str, Any]) -> ClusterFacts:
        """What the cluster says about ``raw``, the target of a plan as it is now."""
        return self.facts.read(plan, raw, self.definition, self.subject.key.name)

    def put(self, change: WorkflowChangeView | None) -> None:
        """Record the present state of a change."""
        if change is not None:
            self.in_flight.pop(change.uid, None)
            if change.phase in IN_FLIGHT:
                self.in_flight[change.uid] = change
            self.changes = [change if c.uid == change.uid else c for c in self.changes]
            if all(c.uid != change.uid for c in self.changes):
                self.changes.append(change)

    @property
    def scope(self) -> Scope | None:
        """What its changes may be for; None without a workflow that is an object."""
        ref = self.workflow_ref
        return None if ref is None else scope_of(ref, self.subject.entry.namespace, self.snapshot.targets)

    def listed(self, task: str | None = None) -> dict[str, Any] | None:
        """The workflow's object, or the ``task`` it refers to, as listed in this cycle; None when it is not there."""
        target = self._target(task)
        return target.unpack() if target is not None else None

    def _target(self, task: str | None) -> Target | None:
        """That object, packed."""
        ref = self.workflow_ref
        if ref is None:
            return None
        kind, name = (ref.kind, ref.name) if task is None else (TASK, task)
        return self.snapshot.targets.get(kind, self.subject.entry.namespace, name)

    def certainly_gone(self, task: str | None) -> bool:
        """Whether that object, which is not listed, is known not to exist."""
        ref = self.workflow_ref
        if ref is None:
            return False
        kind, name = (ref.kind, ref.name) if task is None else (TASK, task)
        return self.snapshot.targets.certain(ref.api_version, kind, self.subject.entry.namespace, name)

    def target_state(self, change: WorkflowChangeView, client: TargetClient) -> TargetState:
        """State of the object that a change of the workflow was written to."""
        raw = self.listed(change.task)
        if raw is None and not self.certainly_gone(change.task):
            return TargetState.UNKNOWN
        listed = client.state(change, raw)
        if listed is TargetState.AS_WRITTEN:
            return listed
        # What could not be listed in this cycle is as it was before, perhaps before the change: only the object itself
        # tells that somebody else changed it.
        present = client.state(change, client.read(change))
        return TargetState.UNKNOWN if present is TargetState.AS_WRITTEN else present


def _generation(raw: Mapping[str, Any] | None) -> int | None:
    found = ((raw or {}).get("metadata") or {}).get("generation")
    return found if isinstance(found, int) else None


def scope_of(ref: WorkflowRef, namespace: str, targets: Targets) -> Scope:
    """What changes of a profile in ``namespace`` with that ``workflowRef`` may apply to."""
    shared = shared_by(ref.kind)
    if shared is None:
        return Scope(ref)
    target = targets.get(ref.kind, namespace, ref.name)
    if target is not None:
        return Scope(ref, shared.names(target.unpack(), None))
    return Scope(ref, frozenset() if targets.certain(ref.api_version, ref.kind, namespace, ref.name) else None)


def by_target(changes: Iterable[WorkflowChangeView]) -> dict[Place, list[WorkflowChangeView]]:
    """Changes by their namespace and the kind and name of the object they are for."""
    found: dict[Place, list[WorkflowChangeView]] = {}
    for change in changes:
        if (target := change.target) is not None:
            found.setdefault((change.namespace, target.kind, target.name), []).append(change)
    return found


def of_same_object(
    own: Sequence[WorkflowChangeView], places: Mapping[Place, Sequence[WorkflowChangeView]], made: Plan
) -> list[WorkflowChangeView]:
    """The profile's ``own`` changes, and those of the object of a plan that were made for another profile: one of people's
    own replaces what discovery created, and what they were against stays so. A Task is that of other workflows too.
    ``places``: see ``by_target``."""
    if made.target.kind == TASK:
        return list(own)
    others = places.get((made.namespace, made.target.kind, made.target.name), ())
    return [*own, *(c for c in others if c.profile != made.profile)]


def in_the_way(changes: Iterable[WorkflowChangeView], made: Plan) -> tuple[str, ...]:
    """Which changes in progress on the object of a plan it would disturb, in words for someone in its namespace: those of
    other profiles, and those of its own that set the same fields. Of other profiles an orphaned one does not count: nobody
    will judge it or roll it back."""
    fields = {s.pointer for s in made.settings}
    found = []
    for c in changes:
        if c.phase not in IN_FLIGHT or c.target is None or c.target.uid != made.target.uid:
            continue
        if (c.namespace, c.profile) == (made.namespace, made.profile):
            if fields & written(c.operations("patch") or ()).keys():
                found.append(f"{c.name} of the same fields")
        elif not c.is_(ConditionType.ORPHANED):
            found.append(
                f"{c.name} of profile {c.profile}" if c.namespace == made.namespace else "one in another namespace"
            )
    return tuple(found)


def objection(changes: Sequence[WorkflowChangeView], now: float) -> str | None:
    """A person's rejection, rollback or deletion of changes of one recommendation in the last 30 days: the rule then
    waits for a decision."""
    for change in changes:
        at = max(change.since(ConditionType.RESTORED) or 0.0, change.since(ConditionType.APPROVED) or 0.0)
        if now - at >= _OBJECTION:
            continue
        if change.decision == Decision.REJECT:
            return f"{change.spec.get('decidedBy') or 'somebody'} rejected a change of this kind"
        applied = change.condition(ConditionType.APPLIED).get("status")
        if change.phase == ChangePhase.CONFLICT and applied in ("True", "Unknown"):
            return "somebody undid or overwrote a change of this kind"
    return None
