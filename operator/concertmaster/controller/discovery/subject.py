"""A profile with everything the cycle knows of it before the metrics are read, and counts over many of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from pydantic import ValidationError

from concertmaster.api.conditions import ConditionType, ConditionUpdate, Reason
from concertmaster.api.models.base import explain
from concertmaster.api.models.profile import WorkflowProfile
from concertmaster.controller.discovery.definitions import Definitions, Resolved
from concertmaster.controller.discovery.policies import PolicyBook, as_document, unknown_source
from concertmaster.controller.discovery.profiles import reference
from concertmaster.controller.discovery.targets import Target, Targets
from concertmaster.controller.interfaces import CollectionRequest, SourceReport
from concertmaster.controller.registry import Entry
from concertmaster.core.fleet.ranking import Headline
from concertmaster.core.model import TASK, WorkflowDefinition, WorkflowKey
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


class AllowedSources(Protocol):
    """Which metrics sources there are, and who may use them."""

    def names(self) -> Sequence[str]:
        """The configured names."""

    def allows(self, source: str, namespace_labels: Mapping[str, str]) -> bool:
        """Whether a namespace with these labels may use the source."""


def resolve_subject(
    entry: Entry,
    book: PolicyBook,
    targets: Targets,
    namespaces: Mapping[str, Mapping[str, str]],
    definitions: Definitions,
    sources: AllowedSources,
) -> Subject:
    """A profile, parsed and resolved. One that cannot be read is a subject too: its status says so."""
    try:
        profile = WorkflowProfile.parse(as_document(entry))
    except ValidationError as error:
        finding = ConditionUpdate(
            ConditionType.TARGET_RESOLVED, False, Reason.INVALID_SPEC, "; ".join(explain(error)[:3])
        )
        return Subject(entry, None, None, (), Resolved(None, finding), "")
    policy, losers = book.resolve(profile)
    resolved = definitions.resolve(entry, targets)
    if resolved.definition is not None and (policy.inputs or policy.extra_metrics):
        own = replace(resolved.definition, inputs=policy.inputs, metrics=policy.extra_metrics)
        resolved = replace(resolved, definition=own)
    source = policy.metrics_source
    refusal = None
    if source not in sources.names():
        refusal = _metrics(Reason.SOURCE_UNKNOWN, unknown_source(source, sources.names()))
    elif not sources.allows(source, namespaces.get(entry.namespace, {})):
        refusal = _metrics(
            Reason.SOURCE_REFUSED,
            f"namespace {entry.namespace} may not use metrics source {source}; "
            "its namespaceSelector in the operator's configuration does not select the namespace's labels",
        )
    ref = reference(entry)
    target = targets.get(ref[1], entry.namespace, ref[2]) if ref is not None else None
    tasks = resolved.definition.holders if resolved.definition is not None else ()
    held = tuple(t for name in tasks if (t := targets.get(TASK, entry.namespace, name)) is not None)
    return Subject(entry, profile, policy, losers, resolved, source, refusal, target, held)


def requests(subjects: Iterable[Subject], now: float, *, due: bool) -> list[CollectionRequest]:
    """What to ask each source for; one demand per source, in a fixed order."""
    wanted: dict[str, dict[WorkflowKey, WorkflowDefinition]] = {}
    windows: dict[str, float] = {}
    for s in subjects:
        if s.refusal is not None or s.policy is None or s.resolved.definition is None:
            continue
        wanted.setdefault(s.source, {})[s.resolved.definition.key] = s.resolved.definition
        windows[s.source] = max(windows.get(s.source, 0.0), s.policy.analysis.window_seconds)
    return [
        CollectionRequest(name, tuple(wanted[name].values()), windows[name], now, due=due) for name in sorted(wanted)
    ]


def _metrics(reason: Reason, message: str) -> ConditionUpdate:
    return ConditionUpdate(ConditionType.METRICS_AVAILABLE, False, reason, message)


def facts_by_policy(
    subjects: Iterable[Subject], reports: Mapping[str, SourceReport] | None = None
) -> dict[PolicyRef, PolicyTally]:
    """How many profiles each policy governs and loses, what they point at, and what ``reports`` say of pods in their
    namespaces that fit no single workflow."""
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
        tally.headlines += s.entry.status.headlines
        tally.minor += s.entry.status.minor
        tally.problems.update(dict.fromkeys(s.policy.problems))
        report = (reports or {}).get(s.source)
        if report is not None and s.resolved.definition is not None:
            place = (s.entry.namespace, s.resolved.definition.engine)
            tally.strays.update(dict.fromkeys(report.namespace_strays.get(place, ())))
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
    headlines: list[Headline] = field(default_factory=list)
    minor: int = 0
    strays: dict[str, None] = field(default_factory=dict)
