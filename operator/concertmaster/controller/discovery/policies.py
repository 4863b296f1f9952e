"""The policies of one snapshot: parsed once, and asked for every profile.

A policy that cannot be parsed is not in force, which its status says; it never stops the others.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from concertmaster.api.models.base import explain
from concertmaster.api.models.policy import ClusterOptimizationPolicy, OptimizationPolicy
from concertmaster.api.models.profile import WorkflowProfile
from concertmaster.api.policy import AnyPolicy, select
from concertmaster.api.resolve import resolve
from concertmaster.controller.discovery.fingerprint import fingerprint
from concertmaster.controller.object_cache import CachedObject, CachedObjects
from concertmaster.core.model.policy import Policy, PolicyRef
from concertmaster.core.times import format_time


@dataclass(frozen=True, slots=True)
class PolicyView:
    """One policy object: parsed, or with the sentence that says why it could not be parsed."""

    entry: CachedObject
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
        snapshot: CachedObjects,
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

    def renewed(self, snapshot: CachedObjects, namespaces: Mapping[str, Mapping[str, str]]) -> PolicyIndex:
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
        return resolve(profile, chosen.winner, cluster_template_owners=owners), chosen.overridden


def _view(
    kind: type[OptimizationPolicy] | type[ClusterOptimizationPolicy], entry: CachedObject, known: PolicyView | None
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


def as_document(entry: CachedObject) -> dict[str, Any]:
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


def unknown_source(name: str, sources: Sequence[str]) -> str:
    """The sentence about a name that is no configured source."""
    known = ", ".join(sorted(sources)) or "none"
    return (
        f"metricsSource {name} is no source of the operator's configuration (it has: {known}); "
        "correct spec.metricsSource or add the source to the configuration"
    )
