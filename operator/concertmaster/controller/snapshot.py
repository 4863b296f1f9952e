"""The state of the cluster in one cycle: namespaces, policies, targets; and discovery applied to it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from concertmaster.api.discovery import DiscoveryTarget, discover, discovered_kinds, undisclosed
from concertmaster.api.labelled import discover_labelled
from concertmaster.api.models.policy import ClusterOptimizationPolicy
from concertmaster.api.policy import AnyPolicy
from concertmaster.api.policy import ref as ref_of
from concertmaster.controller.discovery import profiles as discovery
from concertmaster.controller.discovery.capacities import Capacities
from concertmaster.controller.discovery.labelled import Labelled, LabelledWorkflows
from concertmaster.controller.discovery.policies import PolicyIndex
from concertmaster.controller.discovery.profile_writes import ProfileWrites
from concertmaster.controller.discovery.targets import NO_TARGETS, Target, Targets, kinds_to_list, refresh
from concertmaster.controller.discovery.transient_faults import TransientFaults
from concertmaster.controller.object_cache import CachedObjects, ObjectCache, everything
from concertmaster.core.changes.admission.capacity import Capacity
from concertmaster.core.model.policy import PolicyRef
from concertmaster.kube.client import KubeClient
from concertmaster.kube.discover import Problem, ProblemKind, read, scan
from concertmaster.kube.objects import NAMESPACES
from concertmaster.kube.profiles import ProfileWriteOutcome


@dataclass(frozen=True, slots=True)
class ClusterSnapshot:
    """One cycle's view. ``notes`` are sentences for the log about what could not be seen."""

    objects: CachedObjects
    namespaces: Mapping[str, Mapping[str, str]]
    policies: PolicyIndex
    targets: Targets
    discovered: Mapping[PolicyRef, int] = field(default_factory=dict)
    obstacles: Mapping[PolicyRef, tuple[str, ...]] = field(default_factory=dict)
    pending: Mapping[PolicyRef, int] = field(default_factory=dict)  # profiles to create in the next cycles
    created: int = 0
    withdrawn: int = 0
    more: bool = False  # whether discovery had no time for all of them: the next cycle goes on
    notes: tuple[str, ...] = ()
    held: frozenset[str] = frozenset()  # uids of profiles that are withdrawn once their changes in progress are decided
    labels_old: bool = False  # those of the namespaces are of an earlier cycle: nothing new is written on them
    capacity: Mapping[str, Capacity] | None = None  # by namespace; None: not read yet

    @property
    def changed(self) -> bool:
        """Whether discovery made or withdrew profiles."""
        return bool(self.created or self.withdrawn)


@dataclass(frozen=True, slots=True)
class _Namespaces:
    """Labels by namespace. ``old``: they are from an earlier cycle; ``denied``: a right is missing, at least just now."""

    labels: dict[str, dict[str, str]]
    notes: tuple[str, ...] = ()
    old: bool = False
    denied: bool = False


@dataclass(frozen=True, slots=True)
class _Planned:
    """A discovery plan with its inputs. Most cycles find the same cluster as the one before."""

    inputs: tuple[object, ...]
    targets: Targets
    plan: discovery.DiscoveryPlan

    def is_current(self, inputs: tuple[object, ...], targets: Targets) -> bool:
        """Whether the same plan would be made again."""
        return self.targets is targets and self.inputs == inputs


class NamespacesUnread(Exception):
    """The namespaces could not be read yet: which policies select what is not known."""


class SnapshotBuilder:
    """Builds the snapshot and keeps targets from cycle to cycle. An empty ``namespaces`` means the whole cluster."""

    def __init__(
        self,
        client: KubeClient,
        cache: ObjectCache,
        namespaces: Sequence[str],
        cluster_template_owners: Mapping[str, Collection[str]],
        *,
        labelled: LabelledWorkflows | None = None,
        owns: Callable[[str], bool] = everything,
        clock: Callable[[], float] = time.monotonic,
        argo: Callable[[], Target | Problem | None] = lambda: None,
    ) -> None:
        """``argo``: the ConfigMap of Argo's controller, where it may be read."""
        self._argo = argo
        self._labelled = labelled
        self._client = client
        self._cache = cache
        self._scope = tuple(namespaces)
        self._owners = cluster_template_owners
        self._owns = owns
        self._targets = NO_TARGETS
        self._clock = clock
        self._capacities = Capacities(client, namespaces, clock)
        self._passing = TransientFaults(clock=clock)
        self._denials = TransientFaults(namespaces, clock=clock)  # of targets
        self._labels: dict[str, dict[str, str]] | None = None  # of the namespaces when they could last be read
        self._unlabelled: Collection[str] = ()  # namespaces whose labels may not be read
        self._policies: PolicyIndex | None = None
        self._plan: _Planned | None = None
        self._writes = ProfileWrites(client, cache, clock)

    def build(self, heartbeat: Callable[[], None]) -> ClusterSnapshot:
        """The current snapshot, after profiles were created, relabelled and withdrawn."""
        registered = self._cache.snapshot()
        reading = self._namespaces(registered)
        namespaces = reading.labels
        policies = self._policies = PolicyIndex(registered, namespaces, self._owners, self._policies)
        references = {ref[:2] for ref in map(discovery.reference, registered.profiles) if ref is not None}
        kinds = kinds_to_list(references | set(discovered_kinds(policies.parsed)))
        argo = self._argo() if any(kind.group == "argoproj.io" for kind in kinds) else None
        self._targets = refresh(
            self._client, kinds, self._scope, self._targets, heartbeat, self._owns, self._denials, argo
        )
        notes = reading.notes + tuple(p.message for p in self._targets.problems if p.kind is ProblemKind.UNREADABLE)
        capacity, unread = self._capacities.refresh()
        notes += unread
        snapshot = ClusterSnapshot(
            registered, namespaces, policies, self._targets, notes=notes, labels_old=reading.old, capacity=capacity
        )
        seen = self._labelled.refresh(policies.parsed, namespaces) if self._labelled is not None else Labelled()
        snapshot = replace(snapshot, notes=(*notes, *seen.notes))
        found = seen.workflows, seen.left_out
        changing = frozenset(discovery.changing(registered.changes))
        inputs = (policies.edition, reading, frozenset(self._unlabelled), found, registered.profiles, changing)
        if self._plan is None or not self._plan.is_current(inputs, self._targets):
            plan = self._planned(snapshot, reading, seen, changing)
            self._plan = _Planned(inputs, self._targets, plan)
        return self._carry_out(snapshot, self._plan.plan, heartbeat)

    def _planned(
        self, snapshot: ClusterSnapshot, reading: _Namespaces, seen: Labelled, changing: Collection[tuple[str, str]]
    ) -> discovery.DiscoveryPlan:
        """What discovery makes of the cluster."""
        profiles, policies, namespaces = snapshot.objects.profiles, snapshot.policies, reading.labels
        known = discovery.labelled(profiles)
        by_labels, crowded = discover_labelled(policies.parsed, seen.workflows, known, namespaces)
        discovered = discover(policies.parsed, [_as_target(t) for t in self._targets], namespaces, self._owners)
        complete = self._complete(policies)
        plan = discovery.plan((*discovered, *by_labels), self._targets, profiles, complete=complete, changing=changing)
        selecting = {ref_of(p): reading.notes for p in policies.parsed if _by_label(p) and reading.denied}
        left_out = {policy: (text,) for policy, text in seen.left_out.items()}
        unlisted = discovery.unlisted(policies.parsed, self._targets, plan.discovered)
        problems = (plan.obstacles, unlisted, undisclosed(policies.parsed, self._owners), crowded, left_out, selecting)
        obstacles = {
            p: tuple(t for texts in problems for t in texts.get(p, ()))
            for p in {p for texts in problems for p in texts}
        }
        return replace(plan, obstacles=obstacles)

    def _complete(self, policies: PolicyIndex) -> Callable[[str], bool]:
        """Whether all policies that may select something in a namespace are known, including those that select it by its
        labels."""
        by_label = any(_by_label(p) and p.spec.discover for p in policies.parsed)
        unlabelled = self._unlabelled if by_label else ()
        return lambda namespace: policies.complete(namespace) and namespace not in unlabelled

    def _namespaces(self, snapshot: CachedObjects) -> _Namespaces:
        """The namespaces in reach, with the labels of an earlier cycle where they cannot be read just now; where that is not
        allowed, names are known and labels are not. Raises NamespacesUnread.

        Listed namespaces are read one by one: that right can be given for them alone.
        """
        labels_of: dict[str, dict[str, str]] = {}
        problems: list[Problem] = []

        def visit(obj: dict[str, Any]) -> None:
            meta = obj.get("metadata") or {}
            if not meta.get("deletionTimestamp") and self._owns(str(meta.get("name", ""))):
                labels_of[str(meta.get("name", ""))] = {str(k): str(v) for k, v in (meta.get("labels") or {}).items()}

        for name in self._scope:
            one = read(self._client, NAMESPACES, None, name)
            if isinstance(one, Problem):
                problems.append(one)
            else:
                visit(one)
        if not self._scope:
            problems += scan(self._client, NAMESPACES, (), visit, metadata_only=True).problems
        if passing := self._passing.of(NAMESPACES, problems):
            if self._labels is None:
                raise NamespacesUnread(f"nothing is decided before the namespaces are read: {passing[0].message}")
            note = f"labels of namespaces are those of an earlier cycle: {passing[0].message}"
            return _Namespaces(self._labels, (note,), True, passing[0].kind is ProblemKind.FORBIDDEN)
        if not problems:
            self._labels, self._unlabelled = labels_of, ()
            return _Namespaces(labels_of)
        known = self._scope or {e.namespace for e in (*snapshot.profiles, *snapshot.policies)}
        self._unlabelled = {name for name in known if self._owns(name) and name not in labels_of}
        note = f"labels of namespaces are unknown: {problems[0].message}"
        return _Namespaces(labels_of | {name: {} for name in self._unlabelled}, (note,), denied=True)

    def _carry_out(
        self, snapshot: ClusterSnapshot, plan: discovery.DiscoveryPlan, beat: Callable[[], None]
    ) -> ClusterSnapshot:
        obstacles: dict[PolicyRef, list[str]] = {p: list(texts) for p, texts in plan.obstacles.items()}
        discovered, pending = dict(plan.discovered), Counter[PolicyRef]()
        written = self._writes.carry_out(plan, beat)
        for desired, result in sorted(written.not_created, key=lambda row: (row[0].namespace, row[0].name)):
            discovered[desired.policy] -= 1
            pending[desired.policy] += (desired.namespace, desired.name) in written.left
            # A name taken since the plan was made: the next plan sees it.
            if result is not None and result.outcome is not ProfileWriteOutcome.NAME_TAKEN:
                obstacles.setdefault(desired.policy, []).append(result.message)
        shot, gone = self._cache.snapshot() if written.created else snapshot.objects, written.gone
        return replace(
            snapshot,
            objects=replace(shot, profiles=tuple(e for e in shot.profiles if e.uid not in gone)) if gone else shot,
            discovered=discovered,
            obstacles={p: tuple(texts) for p, texts in obstacles.items()},
            pending=pending,
            created=written.created,
            withdrawn=len(gone),
            more=written.more,
            held=frozenset(e.uid for e in plan.held),
        )


def _by_label(policy: AnyPolicy) -> bool:
    return isinstance(policy, ClusterOptimizationPolicy) and policy.spec.namespace_selector is not None


def _as_target(target: Target) -> DiscoveryTarget:
    return DiscoveryTarget(
        target.ref.resource.api_version,
        target.ref.resource.kind,
        target.ref.namespace,
        target.ref.name,
        target.labels,
        trigger_of=target.starts[1] if target.starts is not None else None,
    )
