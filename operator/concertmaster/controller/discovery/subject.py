"""A profile with everything the cycle knows of it before the metrics are read, and how much of its past is read and kept."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from pydantic import ValidationError

from concertmaster.api.conditions import ConditionType, ConditionUpdate, Reason
from concertmaster.api.models.base import explain
from concertmaster.api.models.profile import WorkflowProfile
from concertmaster.controller.discovery.definitions import Definitions, ResolvedDefinition
from concertmaster.controller.discovery.fingerprint import fingerprint
from concertmaster.controller.discovery.policies import PolicyIndex, as_document, unknown_source
from concertmaster.controller.discovery.profiles import changing, reference
from concertmaster.controller.discovery.targets import Target, Targets
from concertmaster.controller.interfaces import CollectionRequest
from concertmaster.controller.object_cache import CachedObject
from concertmaster.core.changes.verification.kept_changes import MAX_RUNS, watched_until
from concertmaster.core.changes.verification.verify import scheduled
from concertmaster.core.fleet.materiality import value
from concertmaster.core.model import TASK, WorkflowDefinition, WorkflowKey
from concertmaster.core.model.policy import Policy, PolicyRef, Pricing
from concertmaster.core.units import DAY
from concertmaster.kube.objects import PROFILES

_KEPT_UNREAD = (200, 14 * DAY)  # runs and seconds of a profile whose policy is not known: the defaults


@dataclass(frozen=True, slots=True)
class Subject:
    """One profile with everything that is known before the metrics are read. ``policy`` is None for one that cannot be
    read; ``policy_edition`` is a fingerprint of it. ``led``: another profile of the same workflow is used for changes, so
    that ``policy`` only recommends, whatever its source says. ``fewest_runs``: the least that any of the profiles of the
    workflow analyses, None where it has one."""

    entry: CachedObject
    policy: Policy | None
    policy_edition: str
    overridden: tuple[PolicyRef, ...]
    resolved: ResolvedDefinition
    source: str
    refusal: ConditionUpdate | None = None  # why its source may not be queried
    target: Target | None = None  # the object that defines it
    held: tuple[Target, ...] = ()  # Tasks it refers to, which hold further fields of it
    led: bool = False
    fewest_runs: int | None = None

    @property
    def profile(self) -> WorkflowProfile:
        """The profile, parsed anew: ten thousand parsed ones would be thirty megabytes."""
        return WorkflowProfile.parse(as_document(self.entry))

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


@dataclass(frozen=True, slots=True)
class _InForce:
    """The policy in force for a profile, and the inputs it was resolved from."""

    spec_text: str
    labels: Mapping[str, str]
    namespace_labels: Mapping[str, str]
    index: str
    policy: Policy | None
    policy_edition: str = ""
    overridden: tuple[PolicyRef, ...] = ()
    problem: str = ""


class Subjects:
    """Makes subjects of profiles. A profile is parsed, and its policy resolved, again only when it, its namespace's labels
    or a policy changed; equal policies are one object."""

    def __init__(self) -> None:
        self._known: dict[str, _InForce] = {}
        self._policies: dict[str, Policy] = {}

    def resolve(
        self,
        entry: CachedObject,
        index: PolicyIndex,
        targets: Targets,
        namespaces: Mapping[str, Mapping[str, str]],
        definitions: Definitions,
        sources: AllowedSources,
    ) -> Subject:
        """A profile, resolved. One that cannot be read is a subject too: its status says so."""
        known = self._in_force(entry, index, namespaces.get(entry.namespace, {}))
        policy = known.policy
        if policy is None:
            finding = ConditionUpdate(ConditionType.TARGET_RESOLVED, False, Reason.INVALID_SPEC, known.problem)
            return Subject(entry, None, "", (), ResolvedDefinition(None, finding), "")
        resolved = definitions.resolve(entry, targets)
        by_node = policy.pricing.by_node
        if resolved.definition is not None and (policy.inputs or policy.extra_metrics or by_node):
            own = {"inputs": policy.inputs, "metrics": policy.extra_metrics, "priced_by_node": by_node}
            resolved = replace(resolved, definition=replace(resolved.definition, **own))  # type: ignore[arg-type]
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
        held = tuple([t for name in tasks if (t := targets.get(TASK, entry.namespace, name)) is not None])
        return Subject(entry, policy, known.policy_edition, known.overridden, resolved, source, refusal, target, held)

    def keep_only(self, uids: Collection[str]) -> None:
        """Forget profiles that are gone."""
        self._known = {uid: known for uid, known in self._known.items() if uid in uids}
        used = {known.policy_edition for known in self._known.values()}
        self._policies = {edition: policy for edition, policy in self._policies.items() if edition in used}

    def _in_force(self, entry: CachedObject, index: PolicyIndex, namespace_labels: Mapping[str, str]) -> _InForce:
        known = self._known.get(entry.uid)
        if (
            known is None
            or known.index != index.edition
            or known.spec_text != entry.spec_text
            or known.labels != entry.labels
            or known.namespace_labels != namespace_labels
        ):
            known = self._known[entry.uid] = self._resolved(entry, index, namespace_labels)
        return known

    def _resolved(self, entry: CachedObject, index: PolicyIndex, namespace_labels: Mapping[str, str]) -> _InForce:
        rests_on = (entry.spec_text, entry.labels, namespace_labels, index.edition)
        try:
            policy, overridden = index.resolve(WorkflowProfile.parse(as_document(entry)))
        except ValidationError as error:
            return _InForce(*rests_on, None, problem="; ".join(explain(error)[:3]))
        edition = fingerprint(policy)
        return _InForce(*rests_on, self._policies.setdefault(edition, policy), edition, overridden)


def requests(subjects: Sequence[Subject], now: float, *, due: bool) -> list[CollectionRequest]:
    """The request to each source, in a fixed order. A namespace is only read when the definitions of all its workflows
    are known: what is read counts as read for all of them."""
    unread = unread_namespaces(subjects)
    requested: dict[str, dict[WorkflowKey, WorkflowDefinition]] = {}
    windows: dict[str, float] = {}
    runs: dict[str, int] = {}
    for s in subjects:
        if s.refusal is not None or s.policy is None or s.resolved.definition is None:
            continue
        if s.entry.namespace in unread:
            continue
        requested.setdefault(s.source, {})[s.resolved.definition.key] = s.resolved.definition
        windows[s.source] = max(windows.get(s.source, 0.0), s.policy.analysis.window_seconds)
        runs[s.source] = max(runs.get(s.source, 0), s.policy.analysis.min_runs)
    return [
        CollectionRequest(name, tuple(requested[name].values()), windows[name], now, due=due, min_runs=runs[name])
        for name in sorted(requested)
    ]


def unread_namespaces(subjects: Iterable[Subject]) -> set[str]:
    """Namespaces with definitions that wait for the next cycle."""
    return {s.entry.namespace for s in subjects if s.resolved.waits}


def most_valuable_first(subjects: Iterable[Subject]) -> list[Subject]:
    """In which order workflows are analysed and written: those without a status first, then by the worth of their
    recommendations; equals keep their order."""
    return sorted(subjects, key=lambda s: (s.entry.status.data_until is not None, -_worth(s)))


def _worth(subject: Subject) -> float:
    pricing = subject.policy.pricing if subject.policy is not None else Pricing()
    return sum([value(h.impact, pricing) for h in subject.entry.status.headlines])


def _metrics(reason: Reason, message: str) -> ConditionUpdate:
    return ConditionUpdate(ConditionType.METRICS_AVAILABLE, False, reason, message)


def reach(subjects: Sequence[Subject]) -> dict[WorkflowKey, tuple[int, float]]:
    """How much of each workflow's past is analysed: the newest runs (number) of the last seconds."""
    reaches: dict[WorkflowKey, tuple[int, float]] = {}
    for s in subjects:
        runs, window = reaches.get(s.key, _KEPT_UNREAD)
        if s.policy is not None:
            analysis = s.policy.analysis
            runs, window = max(runs, analysis.max_runs), max(window, analysis.window_seconds)
        reaches[s.key] = (runs, window)
    return reaches


def retained(
    subjects: Sequence[Subject], changes: Sequence[CachedObject], now: float
) -> dict[WorkflowKey, tuple[int, float]]:
    """How much of each workflow's past is kept: what is analysed; where a change is verified or monitored, runs before it
    beside those after it, which would otherwise take their place one by one."""
    reaches = reach(subjects)
    verified, kept = set(changing(changes)), dict[str, float]()
    for line in [c.line for c in changes if c.line is not None and not c.line.restored]:
        kept[line.workflow] = max(line.applied or 0.0, kept.get(line.workflow, 0.0))
    for s in subjects:
        place = s.entry.namespace, s.entry.name
        since = now if place in verified else kept.get("/".join(place))
        if s.policy is None or since is None:
            continue  # of ten thousand workflows: when their runs are due takes seconds to work out
        settings = scheduled(s.policy.apply.verify, s.resolved.definition, now)
        seconds = watched_until(settings)
        if now - since < seconds:
            runs, window = reaches[s.key]
            reaches[s.key] = (runs + max(settings.max_runs, MAX_RUNS), window + seconds)
    return reaches
