"""The policies of one snapshot: parsed once, asked for every profile, and given a status of their own.

A policy that cannot be parsed says so in its status and is not in force; it never stops the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import ValidationError

from concertmaster.api import conditions
from concertmaster.api.conditions import ConditionType, ConditionUpdate, Reason
from concertmaster.api.models.base import explain
from concertmaster.api.models.policy import ClusterOptimizationPolicy, OptimizationPolicy
from concertmaster.api.models.profile import WorkflowProfile
from concertmaster.api.policy import AnyPolicy, select
from concertmaster.api.resolve import resolve
from concertmaster.controller.discovery.fingerprint import fingerprint
from concertmaster.controller.interfaces import SourceReport
from concertmaster.controller.registry import Entry, Snapshot
from concertmaster.core.changes.checks import REMEDIES
from concertmaster.core.fleet.ranking import Headline, Totals, added, ranked_copies, totals
from concertmaster.core.model.policy import Policy, PolicyRef
from concertmaster.core.rules import settings_problems
from concertmaster.core.schedule import WindowUnusable, next_opening
from concertmaster.core.text import count
from concertmaster.core.times import format_time
from concertmaster.report.fleet import top_line, totals_document
from concertmaster.report.status.recommendation_log import clip

TOP_RECOMMENDATIONS = 10  # recommendations named in a policy's status
MAX_REVIEWS = 50  # rights asked for a policy and cycle; answers are remembered


@dataclass(frozen=True, slots=True)
class PolicyView:
    """One policy object: parsed, or with the sentence that says why it could not be parsed."""

    entry: Entry
    policy: AnyPolicy | None
    problem: str = ""

    @property
    def ref(self) -> PolicyRef:
        """The policy's name as a value."""
        return PolicyRef(self.entry.ref.resource.kind, self.entry.ref.namespace, self.entry.name)


class PolicyIndex:
    """All policies of one snapshot. ``namespaces`` are the labels of the namespaces in reach."""

    def __init__(
        self,
        snapshot: Snapshot,
        namespaces: Mapping[str, Mapping[str, str]],
        cluster_template_owners: Mapping[str, Collection[str]],
        earlier: PolicyIndex | None = None,
    ) -> None:
        known = {view.entry.uid: view for view in earlier.views} if earlier is not None else {}
        self.views: tuple[PolicyView, ...] = tuple(
            [_view(OptimizationPolicy, e, known.get(e.uid)) for e in snapshot.policies]
            + [_view(ClusterOptimizationPolicy, e, known.get(e.uid)) for e in snapshot.cluster_policies]
        )
        own = [(v.ref, v.entry.uid, v.entry.created, v.entry.labels, v.entry.spec_text) for v in self.views]
        self.edition = fingerprint(own)
        """Whether the policies are those of another index, as far as they decide on profiles."""
        self.parsed: tuple[AnyPolicy, ...] = tuple(v.policy for v in self.views if v.policy is not None)
        self._unparsed = {v.ref.namespace for v in self.views if v.policy is None}
        self._namespaces = namespaces
        self._owners = cluster_template_owners
        self._by_namespace: dict[str, list[OptimizationPolicy]] = {}
        self._cluster = [p for p in self.parsed if isinstance(p, ClusterOptimizationPolicy)]
        for policy in self.parsed:
            if isinstance(policy, OptimizationPolicy):
                self._by_namespace.setdefault(policy.metadata.namespace or "", []).append(policy)

    def complete(self, namespace: str) -> bool:
        """Whether all policies that may select something in ``namespace`` are known: it was read, and they were parsed."""
        return namespace in self._namespaces and self._unparsed.isdisjoint((None, namespace))

    def renewed(self, snapshot: Snapshot, namespaces: Mapping[str, Mapping[str, str]]) -> PolicyIndex:
        """The same for other policies, and other labels of namespaces."""
        return PolicyIndex(snapshot, {**self._namespaces, **namespaces}, self._owners)

    def resolve(self, profile: WorkflowProfile) -> tuple[Policy, tuple[PolicyRef, ...]]:
        """The policy in force for ``profile``, and those that also select it but are overridden."""
        namespace = profile.metadata.namespace or ""
        chosen = select(
            profile, self._by_namespace.get(namespace, ()), self._cluster, self._namespaces.get(namespace, {})
        )
        target = profile.spec.workflow_ref
        owners = self._owners.get(target.name, ()) if target is not None else ()
        return resolve(profile, chosen.winner, cluster_template_owners=owners), tuple(
            other.policy for other in chosen.overridden
        )


def _view(
    kind: type[OptimizationPolicy] | type[ClusterOptimizationPolicy], entry: Entry, known: PolicyView | None
) -> PolicyView:
    if (
        known is not None
        and known.entry.spec_text == entry.spec_text
        and known.entry.labels == entry.labels
        and known.entry.generation == entry.generation
    ):
        return replace(known, entry=entry)
    try:
        return PolicyView(entry, kind.parse(as_document(entry)))
    except ValidationError as error:
        return PolicyView(entry, None, "; ".join(explain(error)[:3]))


def as_document(entry: Entry) -> dict[str, Any]:
    """An entry as the document the models parse."""
    return {
        "apiVersion": entry.ref.resource.api_version,
        "kind": entry.ref.resource.kind,
        "metadata": {
            "name": entry.name,
            "namespace": entry.ref.namespace,
            "uid": entry.uid,
            "generation": entry.generation,
            "creationTimestamp": format_time(entry.created),
            "labels": dict(entry.labels),
        },
        "spec": entry.spec,
    }


@dataclass(frozen=True, slots=True)
class PolicyFacts:
    """What a cycle knows about one policy."""

    matched: int = 0
    discovered: int = 0
    changes_in_flight: int = 0
    obstacles: tuple[str, ...] = ()
    blocked: Mapping[str, int] = field(default_factory=dict)  # plans by the check that blocks them
    overridden: int = 0  # profiles it selects and another policy governs
    targets: frozenset[tuple[str, str, str]] = frozenset()  # apiVersion, kind and namespace of what it governs
    problems: tuple[str, ...] = ()
    headlines: Sequence[Headline] = ()  # published recommendations of the profiles it governs
    minor: int = 0
    totals: Totals | None = None  # of more than ``headlines``; None: of these


def policy_status(
    view: PolicyView,
    facts: PolicyFacts,
    *,
    sources: Sequence[str],
    reports: Mapping[str, SourceReport],
    write_access: Callable[[AnyPolicy, PolicyFacts], ConditionUpdate],
    now: float,
) -> dict[str, Any]:
    """The whole status of one policy. ``write_access`` answers that condition."""
    policy, resolved = view.policy, resolve(None, view.policy)
    if policy is None:
        findings = [
            ConditionUpdate(
                ConditionType.READY, False, Reason.INVALID_SPEC, f"{view.problem}; the policy is not in force"
            ),
        ]
    else:
        findings = [
            _ready(view.ref, policy, resolved, facts, now),
            _metrics(policy, sources, reports),
            write_access(policy, facts),
        ]
    return {
        "changesInFlight": facts.changes_in_flight,
        "conditions": conditions.update(
            view.entry.status.conditions, findings, generation=view.entry.generation, now=now
        ),
        "discoveredProfiles": facts.discovered,
        "matchedProfiles": facts.matched,
        "observedGeneration": view.entry.generation,
        "top": [clip(top_line(h), 400) for h in ranked_copies(facts.headlines, resolved.pricing)[:TOP_RECOMMENDATIONS]],
        "totals": totals_document(facts.totals or totals(facts.headlines), facts.minor),
    }


def part(view: PolicyView, facts: PolicyFacts) -> PolicyFacts:
    """As much of ``facts`` as a status shows, for another shard to write it."""
    pricing = resolve(None, view.policy).pricing
    return replace(
        facts,
        headlines=tuple(ranked_copies(facts.headlines, pricing)[:TOP_RECOMMENDATIONS]),
        totals=totals(facts.headlines),
        targets=frozenset(sorted(facts.targets)[:MAX_REVIEWS]),
        problems=facts.problems[:TOP_RECOMMENDATIONS],
        obstacles=facts.obstacles[:TOP_RECOMMENDATIONS],
    )


def put_together(parts: Sequence[PolicyFacts]) -> PolicyFacts:
    """What several shards know of one policy."""
    blocked: Counter[str] = Counter()
    for one in parts:
        blocked.update(one.blocked)
    return PolicyFacts(
        matched=sum(p.matched for p in parts),
        discovered=sum(p.discovered for p in parts),
        changes_in_flight=sum(p.changes_in_flight for p in parts),
        obstacles=tuple(dict.fromkeys(text for p in parts for text in p.obstacles)),
        blocked=blocked,
        overridden=sum(p.overridden for p in parts),
        targets=frozenset().union(*(p.targets for p in parts)),
        problems=tuple(dict.fromkeys(text for p in parts for text in p.problems)),
        headlines=tuple(h for p in parts for h in p.headlines),
        minor=sum(p.minor for p in parts),
        totals=added(p.totals or totals(p.headlines) for p in parts),
    )


def _ready(name: PolicyRef, policy: AnyPolicy, resolved: Policy, facts: PolicyFacts, now: float) -> ConditionUpdate:
    profiles = count(facts.matched, "profile")
    if policy.spec.suspend:
        return _is(
            False, Reason.SUSPENDED, f"suspended: {profiles} analysed, nothing is discovered or changed; "
            "set spec.suspend to false to go on"
        )  # fmt: skip
    if rules := settings_problems(resolved):
        more = f" (and {len(rules) - 3} more)" if len(rules) > 3 else ""
        return _is(False, Reason.UNKNOWN_RULE, f"{'; '.join(rules[:3])}{more}; everything else is in force")
    if windows := _windows(resolved, now):
        return _is(False, Reason.INVALID_SPEC, f"{windows}; everything else is in force")
    if facts.problems:
        return _is(False, Reason.INVALID_SPEC, f"{'; '.join(facts.problems[:3])}; everything else is in force")
    if facts.blocked or facts.obstacles:
        held = [blocked_plans(facts.blocked)] if facts.blocked else []
        more = f" (and {len(facts.obstacles) - 2} more)" if len(facts.obstacles) > 2 else ""
        return _is(True, Reason.ACTIVE, f"in force for {profiles}; {'; '.join([*held, *facts.obstacles[:2]])}{more}")
    if facts.matched == 0:
        return _is(False, Reason.NO_MATCHES, _no_match(name, policy, facts))
    return _is(True, Reason.ACTIVE, f"in force for {profiles}")


def blocked_plans(blocked: Mapping[str, int]) -> str:
    """How many plans which checks hold back, most first, each with what to do."""
    most = sorted(blocked.items(), key=lambda item: (-item[1], item[0]))
    parts = [f"{n} by {check}{f' ({REMEDIES[check]})' if check in REMEDIES else ''}" for check, n in most[:4]]
    return f"{count(sum(blocked.values()), 'planned change')} blocked: {'; '.join(parts)}"


def _windows(policy: Policy, now: float) -> str:
    """Which windows of apply can never open, as a sentence; empty when all can."""
    problems = []
    for place, window in enumerate(policy.apply.windows):
        try:
            next_opening(window, now)
        except WindowUnusable as error:
            problems.append(f"apply.windows[{place}] never opens: {error}")
    return "; ".join(problems)


def _no_match(name: PolicyRef, policy: AnyPolicy, facts: PolicyFacts) -> str:
    if facts.overridden:
        return (
            f"other policies win for all {facts.overridden} profiles {name} selects; raise spec.priority to change that"
        )
    where = f"in namespace {name.namespace}" if name.namespace else "in the namespaces it reaches"
    scope = f"-n {name.namespace}" if name.namespace else "-A"
    against = f"check spec.selector against: kubectl get wfp {scope} --show-labels"
    if facts.discovered:
        return f"discovery found {count(facts.discovered, 'target')}, but no profile {where} is selected; {against}"
    if policy.spec.discover:
        return (
            f"no profile {where} is selected and discovery found no target; check the selectors and the targets' labels"
        )
    return f"no profile {where} is selected; {against}"


def _metrics(policy: AnyPolicy, sources: Sequence[str], reports: Mapping[str, SourceReport]) -> ConditionUpdate:
    name = policy.spec.metrics_source
    kind = ConditionType.METRICS_AVAILABLE
    if name not in sources:
        return ConditionUpdate(kind, False, Reason.SOURCE_UNKNOWN, unknown_source(name, sources))
    report = reports.get(name)
    if report is None:
        return ConditionUpdate(kind, None, Reason.PENDING, f"source {name} is configured; no profile asked for it yet")
    return ConditionUpdate(kind, report.ok, report.reason, report.message)


def unknown_source(name: str, sources: Sequence[str]) -> str:
    """The sentence about a name that is no configured source."""
    known = ", ".join(sorted(sources)) or "none"
    return (
        f"metricsSource {name} is no source of the operator's configuration (it has: {known}); "
        "correct spec.metricsSource or add the source to the configuration"
    )


def _is(status: bool, reason: Reason, message: str) -> ConditionUpdate:
    return ConditionUpdate(ConditionType.READY, status, reason, message)
