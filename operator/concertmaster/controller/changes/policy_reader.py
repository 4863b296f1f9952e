"""The policy in force as the API server has it this moment: asked right before every write.

Watches may hang, and a cycle may take minutes. A policy that was suspended, changed or overridden meanwhile must take
effect at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from concertmaster.api.models.profile import WorkflowProfile
from concertmaster.controller.discovery.policies import as_document
from concertmaster.controller.discovery.resolved_profile import ResolvedProfile
from concertmaster.controller.object_cache import ObjectCache
from concertmaster.controller.snapshot import ClusterSnapshot
from concertmaster.core.model.enums import ApplyMode
from concertmaster.core.model.policy import Policy
from concertmaster.kube.access import AccessChecker, Right
from concertmaster.kube.client import KubeClient
from concertmaster.kube.errors import Forbidden, NotFound
from concertmaster.kube.objects import CLUSTER_POLICIES, NAMESPACES, POLICIES, PROFILES, Resource


@dataclass(frozen=True, slots=True)
class PolicyReader:
    """Reads policies and profiles again. ``late``: the watches lag behind the cluster; ``namespaces``: those that the
    operator reads by name (empty: it lists all)."""

    client: KubeClient
    access: AccessChecker
    snapshot: ClusterSnapshot
    late: bool = False
    namespaces: Sequence[str] = ()

    @property
    def behind(self) -> bool:
        """Whether the cycle does not know what the cluster has."""
        return self.late or self.snapshot.labels_old

    def unchanged(self, profile: ResolvedProfile) -> bool:
        """Whether the policy that the cycle follows for ``profile`` is the one in force now. Raises KubeError."""
        followed, present = profile.policy, self._present(profile)
        if followed is None or present is None:
            return False
        apply = replace(present.apply, mode=ApplyMode.RECOMMEND) if profile.led else present.apply
        return (followed.source, followed.suspended, followed.apply) == (present.source, present.suspended, apply)

    def _present(self, profile: ResolvedProfile) -> Policy | None:
        registry, entry = ObjectCache(), profile.entry
        try:
            registry.observe(PROFILES, "ADDED", self.client.get(entry.ref.path))
            (present,) = (WorkflowProfile.parse(as_document(e)) for e in registry.snapshot().profiles)
        except (NotFound, ValueError):  # deleted, being deleted, or no longer valid
            return None
        if present.metadata.uid != entry.uid:
            return None
        for policy in self._list(POLICIES, entry.namespace):
            registry.observe(POLICIES, "ADDED", policy)
        cluster_wide = self._cluster_policies()
        for policy in cluster_wide:
            registry.observe(CLUSTER_POLICIES, "ADDED", policy)
        labels = self._labels(entry.namespace) if cluster_wide else {}
        return (
            None if labels is None else self.snapshot.policies.renewed(registry.snapshot(), labels).resolve(present)[0]
        )

    def _labels(self, namespace: str) -> dict[str, dict[str, str]] | None:
        """The labels of the namespace, by which policies of the cluster select: by its name; none where they may not be
        read, None when it is gone."""
        try:
            if self.namespaces:
                found = [self.client.get(NAMESPACES.path(None, namespace))]
            else:
                found = list(self.client.items(NAMESPACES.path(), name=namespace, metadata_only=True))
        except Forbidden:
            return {namespace: {}}
        except NotFound:
            return None
        return {namespace: found[0]["metadata"].get("labels") or {}} if found else None

    def _list(self, resource: Resource, namespace: str | None) -> list[dict[str, Any]]:
        return list(self.client.items(resource.path(namespace)))

    def _cluster_policies(self) -> list[dict[str, Any]]:
        """Empty where the operator has no right to them and so never saw one, or the cluster lacks the kind."""
        followed = any(v.entry.ref.resource == CLUSTER_POLICIES for v in self.snapshot.policies.views)
        if not followed and self.access.allowed(Right("list", CLUSTER_POLICIES)) is False:
            return []
        try:
            return self._list(CLUSTER_POLICIES, None)
        except NotFound:
            if followed:
                raise
            return []
