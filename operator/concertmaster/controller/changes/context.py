"""One workflow in one cycle: its profile, policy, target, changes and facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from concertmaster.api.models.profile import WorkflowRef
from concertmaster.controller.changes.control_group import WorkflowControl
from concertmaster.controller.changes.cycle import CycleContext
from concertmaster.controller.changes.listed_changes import ListedChanges
from concertmaster.controller.changes.writing.target import TargetClient
from concertmaster.controller.discovery.resolved_profile import ResolvedProfile
from concertmaster.controller.discovery.targets import Target, Targets
from concertmaster.controller.snapshot import ClusterSnapshot
from concertmaster.controller.source_report import SourceReport
from concertmaster.controller.workflow_change import Scope, WorkflowChangeView
from concertmaster.core.changes.json_patch import fits
from concertmaster.core.changes.plan import Plan
from concertmaster.core.changes.reconcile import TargetState
from concertmaster.core.changes.situation import ClusterFacts
from concertmaster.core.changes.verification.start_times import StartTimes, observed
from concertmaster.core.model import TASK, WorkflowDefinition
from concertmaster.core.model.policy import Policy
from concertmaster.core.times import parse_time, seconds_outside
from concertmaster.engines.registry import shared_by


@dataclass
class WorkflowContext:
    """Everything about one workflow while the stage works on it: one per workflow and call. ``collected``: whether its
    namespace is read in this cycle; ``all_changes``: the changes of every workflow."""

    cycle: CycleContext
    profile: ResolvedProfile
    policy: Policy
    changes: list[WorkflowChangeView]
    all_changes: ListedChanges
    control: WorkflowControl
    collected: bool
    foreseen: tuple[int, str | None] | None = None  # see ``ComparedRuns.foresee``

    @property
    def now(self) -> float:
        """When the call was made (unix seconds)."""
        return self.cycle.now

    @property
    def snapshot(self) -> ClusterSnapshot:
        """The cluster in this cycle."""
        return self.cycle.given.snapshot

    @property
    def report(self) -> SourceReport | None:
        """How reading its metrics source went."""
        return self.cycle.given.reports.get(self.profile.source)

    def may_write(self, *, new: bool = False) -> bool:
        """Whether the policy still says what this cycle follows, asked of the API server. Nothing ``new`` is written while
        the watches are behind."""
        policies = self.cycle.policies
        return not (new and policies.behind) and policies.unchanged(self.profile)

    @property
    def data_until(self) -> float | None:
        """Up to when the facts of the namespace are complete (unix seconds)."""
        return self.report.complete_until(self.profile.entry.namespace) if self.report is not None else None

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
        own, others = self._target(change.task), (self.profile.target, *self.profile.held)
        dated = [self._own_edited(change)]
        dated += [t.written[1] for t in others if t is not None and (own is None or t.ref != own.ref)]
        return min((at for at in dated if at > applied), default=None)

    def _own_edited(self, change: WorkflowChangeView) -> float:
        """When somebody else last edited the object that ``change`` was written to, or later (unix seconds; 0: nobody has,
        or it is not known). Whoever owns its spec may write an annotation every minute, which dates it as well."""
        target = self._target(change.task)
        planned = ((change.status.get("plan") or {}).get("target") or {}).get("generation")
        present = target.edition if target is not None else None
        if target is None or (isinstance(planned, int) and isinstance(present, int) and present <= planned + 1):
            return 0.0
        return target.written[1]

    def made_anew(self, change: WorkflowChangeView) -> float | None:
        """When the object that ``change`` was for was made anew without what it had set (unix seconds); None where it was
        not."""
        raw, target = self.listed(change.task) or {}, change.target
        meta = raw.get("metadata") or {}
        if target is None or meta.get("name") != target.name or meta.get("uid") in (None, target.uid):
            return None
        return None if fits(raw, change.operations("inverse") or ()) else parse_time(str(meta["creationTimestamp"]))

    def start_times(
        self, before: StartTimes | None, change: WorkflowChangeView, definition: WorkflowDefinition
    ) -> StartTimes:
        """When the workflow could be started since ``change``, by its own object and those that start it, and when those
        that define it were edited unseen."""
        ref, own = self.workflow_ref, self.profile.target
        starters = self.snapshot.targets.triggers(self.profile.entry.namespace, ref.kind, ref.name) if ref else ()
        dated = [t.written[1] for t in (own, *starters) if t is not None]
        if change.task is None:
            dated = [self._own_edited(change), *(t.written[1] for t in starters)]
        listed = self._target(None)
        present = listed.edition if listed is not None else None
        edition = (present, *(t.edition for t in (*starters, *self.profile.held)))
        return observed(before, definition, edition, edited=max(dated, default=0.0), now=self.now - self.ahead)

    @property
    def target_versions(self) -> tuple[tuple[str, str], ...]:
        """The objects that define the workflow or start it, each by uid and resource version."""
        ref, own = self.workflow_ref, (self.profile.target, *self.profile.held)
        starters = self.snapshot.targets.triggers(self.profile.entry.namespace, ref.kind, ref.name) if ref else ()
        return tuple((t.ref.uid, t.version) for t in (*own, *starters) if t is not None)

    def read_since(self, moment: float) -> bool:
        """Whether the workflow's runs since ``moment`` (unix seconds) have been read: otherwise runs would seem to be
        missing."""
        low = self.report.unread.get(self.profile.key, moment) if self.report is not None else moment
        return self.collected and low <= moment

    @property
    def why_not(self) -> str:
        """Why no changes are allowed now. A policy that cannot be read may be that which allowed them."""
        invalid = [v.ref for v in self.snapshot.policies.views if v.policy is None]
        near = [ref for ref in invalid if ref.namespace in (None, self.profile.entry.namespace)]
        notes = [f"{ref} is invalid and not in force" for ref in near[:1]]
        if self.profile.led:
            return "; ".join([*notes, "another profile of its workflow is used for changes"])
        source = self.policy.source
        only = f"{source} only recommends (apply.mode)" if source is not None else "no policy in force selects it"
        return "; ".join([*notes, *(self.policy.notes or [only])])

    @property
    def workflow(self) -> str:
        """Its name in the ledger."""
        return f"{self.profile.entry.namespace}/{self.profile.entry.name}"

    @property
    def definition(self) -> WorkflowDefinition | None:
        """The definition as listed in this cycle."""
        return self.profile.resolved.definition

    @cached_property  # reading a profile validates it, and each question about an object asks for it
    def workflow_ref(self) -> WorkflowRef | None:
        """The object that the profile says defines the workflow."""
        return self.profile.parse().spec.workflow_ref if self.profile.policy is not None else None

    def read(self, plan: Plan, raw: Mapping[str, Any]) -> ClusterFacts:
        """What the cluster says about ``raw``, the target of a plan as it is now."""
        return self.cycle.facts.read(plan, raw, self.definition, self.profile.key.name)

    def put(self, change: WorkflowChangeView | None) -> None:
        """Record the present state of a change."""
        if change is not None:
            self.all_changes.put(change)
            self.changes = [change if c.uid == change.uid else c for c in self.changes]
            if all(c.uid != change.uid for c in self.changes):
                self.changes.append(change)

    @property
    def scope(self) -> Scope | None:
        """What its changes may be for; None without a workflow that is an object."""
        ref = self.workflow_ref
        return None if ref is None else scope_of(ref, self.profile.entry.namespace, self.snapshot.targets)

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
        return self.snapshot.targets.get(kind, self.profile.entry.namespace, name)

    def certainly_gone(self, task: str | None) -> bool:
        """Whether that object, which is not listed, is known not to exist."""
        ref = self.workflow_ref
        if ref is None:
            return False
        kind, name = (ref.kind, ref.name) if task is None else (TASK, task)
        return self.snapshot.targets.certain(ref.api_version, kind, self.profile.entry.namespace, name)

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


def scope_of(ref: WorkflowRef, namespace: str, targets: Targets) -> Scope:
    """What changes of a profile in ``namespace`` with that ``workflowRef`` may apply to."""
    shared = shared_by(ref.kind)
    if shared is None:
        return Scope(ref)
    target = targets.get(ref.kind, namespace, ref.name)
    if target is not None:
        return Scope(ref, shared.names(target.unpack(), None))
    return Scope(ref, frozenset() if targets.certain(ref.api_version, ref.kind, namespace, ref.name) else None)
