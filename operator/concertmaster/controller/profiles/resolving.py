"""All profiles of a cycle, parsed and resolved; the same list as in the cycle before while nothing of it has changed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from pydantic import ValidationError

from concertmaster.api.conditions import ConditionType, ConditionUpdate, Reason
from concertmaster.api.models.base import explain
from concertmaster.api.models.profile import WorkflowProfile
from concertmaster.controller.collection.sources import MetricsSources
from concertmaster.controller.discovery.definitions import Definitions, ResolvedDefinition
from concertmaster.controller.discovery.fingerprint import fingerprint
from concertmaster.controller.discovery.policies import PolicyIndex, as_document, unknown_source
from concertmaster.controller.discovery.profiles import reference
from concertmaster.controller.discovery.resolved_profile import ResolvedProfile
from concertmaster.controller.discovery.targets import NO_TARGETS, Targets
from concertmaster.controller.discovery.time_shares import TimeShares
from concertmaster.controller.object_cache import CachedObject
from concertmaster.controller.profiles.shared_targets import elect_leaders
from concertmaster.controller.snapshot import ClusterSnapshot
from concertmaster.core.model import TASK
from concertmaster.core.model.policy import Policy, PolicyRef

_RestsOn = tuple[tuple[CachedObject, ...], str, Mapping[str, Mapping[str, str]]]


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


class PoliciesInForce:
    """The policy of each profile. A profile is parsed, and its policy resolved, again only when it, its namespace's labels
    or a policy changed; equal policies are one object."""

    def __init__(self) -> None:
        self._known: dict[str, _InForce] = {}
        self._policies: dict[str, Policy] = {}

    def of(self, entry: CachedObject, index: PolicyIndex, namespace_labels: Mapping[str, str]) -> _InForce:
        """That of one profile; without a policy where the profile cannot be read."""
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

    def keep_only(self, uids: Collection[str]) -> None:
        """Forget profiles that are gone."""
        self._known = {uid: known for uid, known in self._known.items() if uid in uids}
        used = {known.policy_edition for known in self._known.values()}
        self._policies = {edition: policy for edition, policy in self._policies.items() if edition in used}


class ProfileResolver:
    """Resolves profiles, remembering what was made of them."""

    def __init__(self, sources: MetricsSources, shares: TimeShares) -> None:
        self._sources = sources
        self._shares = shares
        self._definitions = Definitions(shares)
        self._in_force = PoliciesInForce()
        self._rests_on: _RestsOn | None = None
        self._targets: Targets = NO_TARGETS
        self._resolved: Sequence[ResolvedProfile] = ()

    def profiles(self, snapshot: ClusterSnapshot) -> Sequence[ResolvedProfile]:
        """The profiles; not examined anew when all they are made of is as in the cycle before, and none of them waited."""
        rests_on = (snapshot.objects.profiles, snapshot.policies.edition, snapshot.namespaces)
        same = self._targets is snapshot.targets and self._rests_on == rests_on
        if same and not self._shares.resumed and not any(p.resolved.waits for p in self._resolved):
            return self._resolved
        entries = self._shares.in_order(snapshot.objects.profiles, lambda entry: entry)
        self._resolved = elect_leaders([self._resolve(entry, snapshot) for entry in entries])
        self._rests_on, self._targets = rests_on, snapshot.targets
        uids = frozenset(p.entry.uid for p in self._resolved)
        self._definitions.keep_only(uids)
        self._in_force.keep_only(uids)
        return self._resolved

    def _resolve(self, entry: CachedObject, snapshot: ClusterSnapshot) -> ResolvedProfile:
        """One profile. The status of one that cannot be read says so."""
        labels, targets = snapshot.namespaces.get(entry.namespace, {}), snapshot.targets
        known = self._in_force.of(entry, snapshot.policies, labels)
        policy = known.policy
        if policy is None:
            finding = ConditionUpdate(ConditionType.TARGET_RESOLVED, False, Reason.INVALID_SPEC, known.problem)
            return ResolvedProfile(entry, None, "", (), ResolvedDefinition(None, finding), "")
        resolved = self._definitions.resolve(entry, targets)
        by_node = policy.pricing.by_node
        if resolved.definition is not None and (policy.inputs or policy.extra_metrics or by_node):
            own = {"inputs": policy.inputs, "metrics": policy.extra_metrics, "priced_by_node": by_node}
            resolved = replace(resolved, definition=replace(resolved.definition, **own))  # type: ignore[arg-type]
        ref = reference(entry)
        tasks = resolved.definition.holders if resolved.definition is not None else ()
        return ResolvedProfile(
            entry,
            policy,
            known.policy_edition,
            known.overridden,
            resolved,
            policy.metrics_source,
            self._refusal(policy.metrics_source, entry.namespace, labels),
            target=targets.get(ref[1], entry.namespace, ref[2]) if ref is not None else None,
            held=tuple([t for name in tasks if (t := targets.get(TASK, entry.namespace, name)) is not None]),
        )

    def _refusal(self, source: str, namespace: str, labels: Mapping[str, str]) -> ConditionUpdate | None:
        """Why the namespace may not query the metrics source, or None."""
        if source not in (names := self._sources.names()):
            return ConditionUpdate(
                ConditionType.METRICS_AVAILABLE, False, Reason.SOURCE_UNKNOWN, unknown_source(source, names)
            )
        if self._sources.allows(source, labels):
            return None
        text = (
            f"namespace {namespace} may not use metrics source {source}; "
            "its namespaceSelector in the operator's configuration does not select the namespace's labels"
        )
        return ConditionUpdate(ConditionType.METRICS_AVAILABLE, False, Reason.SOURCE_REFUSED, text)
