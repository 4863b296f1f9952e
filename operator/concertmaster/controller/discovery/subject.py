"""A profile with everything the cycle knows of it before the metrics are read, and counts over many of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from concertmaster.api.conditions import ConditionUpdate
from concertmaster.api.models.profile import WorkflowProfile
from concertmaster.controller.discovery.definitions import Resolved
from concertmaster.controller.discovery.profiles import reference
from concertmaster.controller.discovery.targets import Target
from concertmaster.controller.registry import Entry
from concertmaster.core.model import WorkflowKey
from concertmaster.core.model.policy import Policy, PolicyRef
from concertmaster.kube.objects import PROFILES


@dataclass(frozen=True, slots=True)
class Subject:
    """One profile with everything that is known before the metrics are read."""

    entry: Entry
    profile: WorkflowProfile | None
    policy: Policy | None
    losers: tuple[PolicyRef, ...]
    resolved: Resolved
    source: str
    refusal: ConditionUpdate | None = None  # why its source may not be asked
    target: Target | None = None  # the object that defines it
    held: tuple[Target, ...] = ()  # Tasks it refers to, which hold further fields of it

    @property
    def key(self) -> WorkflowKey:
        """The workflow's identity in the history, also while its definition cannot be had."""
        if self.resolved.definition is not None:
            return self.resolved.definition.key
        ref = reference(self.entry)
        kind, name = (ref[1], ref[2]) if ref is not None else (PROFILES.kind, self.entry.name)
        return WorkflowKey(self.entry.namespace, kind, name)


def facts_by_policy(subjects: Iterable[Subject]) -> dict[PolicyRef, PolicyTally]:
    """How many profiles each policy governs and loses, and what they point at."""
    found: dict[PolicyRef, PolicyTally] = {}
    for s in subjects:
        if s.policy is None:
            continue
        for loser in s.losers:
            found.setdefault(loser, PolicyTally()).losing += 1
        if s.policy.source is None:
            continue
        tally = found.setdefault(s.policy.source, PolicyTally())
        tally.matched += 1
        tally.problems.update(dict.fromkeys(s.policy.problems))
        ref = s.profile.spec.workflow_ref if s.profile is not None else None
        if ref is not None:
            tally.targets.add((ref.api_version, ref.kind, s.entry.namespace))
        tally.targets |= {(t.ref.resource.api_version, t.ref.resource.kind, s.entry.namespace) for t in s.held}
    return found


@dataclass(slots=True)
class PolicyTally:
    """What the subjects say about one policy."""

    matched: int = 0
    losing: int = 0
    targets: set[tuple[str, str, str]] = field(default_factory=set)
    problems: dict[str, None] = field(default_factory=dict)
