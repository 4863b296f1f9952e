"""The policy in force for a profile. Pure.

One policy wins as a whole: merging several would make it impossible to see where a value comes from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from concertmaster.api.models.policy import ClusterOptimizationPolicy, OptimizationPolicy
from concertmaster.api.models.profile import WorkflowProfile
from concertmaster.core.model.policy import PolicyRef
from concertmaster.core.times import parse_time

AnyPolicy = OptimizationPolicy | ClusterOptimizationPolicy


@dataclass(frozen=True, slots=True)
class Selection:
    """The policy in force (None: no policy selects the profile), and the others that select it, best first."""

    winner: AnyPolicy | None
    overridden: tuple[PolicyRef, ...] = ()


def ref(policy: AnyPolicy) -> PolicyRef:
    """The policy's name as a value."""
    return PolicyRef(policy.kind, policy.metadata.namespace, policy.metadata.name)


def rank(policy: AnyPolicy) -> tuple[bool, int, float, str]:
    """Sort key, best first: namespaced, then priority, then the older, then by name."""
    created = policy.metadata.creation_timestamp
    return (
        isinstance(policy, ClusterOptimizationPolicy),
        -policy.spec.priority,
        parse_time(created) if created else float("inf"),
        policy.metadata.name,
    )


def home(policy: AnyPolicy) -> str | None:
    """The only namespace a policy has a say in; None for one of the cluster."""
    return None if isinstance(policy, ClusterOptimizationPolicy) else policy.metadata.namespace or ""


def reaches(policy: AnyPolicy, namespace: str, namespace_labels: Mapping[str, str]) -> bool:
    """Whether a policy has a say in a namespace at all."""
    if isinstance(policy, ClusterOptimizationPolicy):
        selector = policy.spec.namespace_selector
        return selector is None or selector.matches(namespace_labels)
    return policy.metadata.namespace == namespace


def selects(policy: AnyPolicy, namespace: str, labels: Mapping[str, str], namespace_labels: Mapping[str, str]) -> bool:
    """Whether a policy is for a profile with these ``labels`` in this namespace."""
    selector = policy.spec.selector
    return reaches(policy, namespace, namespace_labels) and (selector is None or selector.matches(labels))


def select(
    profile: WorkflowProfile,
    policies: Iterable[OptimizationPolicy],
    cluster_policies: Iterable[ClusterOptimizationPolicy],
    namespace_labels: Mapping[str, str],
) -> Selection:
    """The policy in force for a profile among all policies there are.

    A suspended policy wins like any other: otherwise suspending a careful policy would put its workflows under a less
    careful one.
    """
    namespace, labels = profile.metadata.namespace or "", profile.metadata.labels
    candidates: list[AnyPolicy] = [*policies, *cluster_policies]
    matching = sorted((p for p in candidates if selects(p, namespace, labels, namespace_labels)), key=rank)
    if not matching:
        return Selection(None)
    return Selection(matching[0], tuple(map(ref, matching[1:])))
