"""Names of kinds and objects as the API server's URLs want them.

The engines declare their kinds instead of API discovery: plurals never change, and a declaration needs no request, no
cache and no right to list them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from concertmaster.core.model import ObjectKind
from concertmaster.engines import object_kind

GROUP = "concertmaster.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind of object: where it lives and whether it has a namespace."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool = True

    @property
    def group(self) -> str:
        """The API group, empty for the core one."""
        return self.api_version.rpartition("/")[0]

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """The URL path of the collection (over all namespaces when ``namespace`` is None), object or subresource."""
        root = f"/apis/{self.api_version}" if "/" in self.api_version else f"/api/{self.api_version}"
        if self.namespaced and namespace is not None:
            root += f"/namespaces/{quote(namespace, safe='')}"
        path = f"{root}/{self.plural}"
        if name is not None:
            path += f"/{quote(name, safe='')}"
        return f"{path}/{subresource}" if subresource else path

    def body(self, **parts: Any) -> dict[str, Any]:
        """An object of this kind with these parts, to be sent."""
        return {"apiVersion": self.api_version, "kind": self.kind, **parts}


PROFILES = Resource(API_VERSION, "WorkflowProfile", "workflowprofiles")
POLICIES = Resource(API_VERSION, "OptimizationPolicy", "optimizationpolicies")
CLUSTER_POLICIES = Resource(API_VERSION, "ClusterOptimizationPolicy", "clusteroptimizationpolicies", namespaced=False)
CHANGES = Resource(API_VERSION, "WorkflowChange", "workflowchanges")
OWN_KINDS = (PROFILES, POLICIES, CLUSTER_POLICIES, CHANGES)

NAMESPACES = Resource("v1", "Namespace", "namespaces", namespaced=False)
EVENTS = Resource("events.k8s.io/v1", "Event", "events")
PODS = Resource("v1", "Pod", "pods")
CONFIG_MAPS = Resource("v1", "ConfigMap", "configmaps")
LIMIT_RANGES = Resource("v1", "LimitRange", "limitranges")
RESOURCE_QUOTAS = Resource("v1", "ResourceQuota", "resourcequotas")
# By version, the newest first: LocalQueues of Kueue, and the ClusterQueues that they name.
KUEUE_QUEUES = tuple(
    (
        Resource(f"kueue.x-k8s.io/{version}", "LocalQueue", "localqueues"),
        Resource(f"kueue.x-k8s.io/{version}", "ClusterQueue", "clusterqueues", namespaced=False),
    )
    for version in ("v1beta2", "v1beta1")
)
# What may size or start the same workloads: where each names its target.
AUTOSCALERS = (
    (Resource("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers"), "scaleTargetRef"),
    (Resource("autoscaling.k8s.io/v1", "VerticalPodAutoscaler", "verticalpodautoscalers"), "targetRef"),
    (Resource("keda.sh/v1alpha1", "ScaledObject", "scaledobjects"), "scaleTargetRef"),
)
# Who else decides about new objects. Policies in all versions that a server may serve: of one it does not, it has none.
ADMISSION = tuple(
    Resource(f"admissionregistration.k8s.io/{version}", kind, plural, namespaced=False)
    for kind, plural, versions in (
        ("ValidatingWebhookConfiguration", "validatingwebhookconfigurations", ("v1",)),
        ("MutatingWebhookConfiguration", "mutatingwebhookconfigurations", ("v1",)),
        ("ValidatingAdmissionPolicy", "validatingadmissionpolicies", ("v1",)),
        ("ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", ("v1",)),
        ("MutatingAdmissionPolicy", "mutatingadmissionpolicies", ("v1", "v1beta1", "v1alpha1")),
        ("MutatingAdmissionPolicyBinding", "mutatingadmissionpolicybindings", ("v1", "v1beta1", "v1alpha1")),
    )
    for version in versions
)
ACCESS_REVIEWS = Resource(
    "authorization.k8s.io/v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews", namespaced=False
)
SUBJECT_REVIEWS = Resource("authorization.k8s.io/v1", "SubjectAccessReview", "subjectaccessreviews", namespaced=False)
SELF_REVIEWS = Resource("authentication.k8s.io/v1", "SelfSubjectReview", "selfsubjectreviews", namespaced=False)
TOKEN_REVIEWS = Resource("authentication.k8s.io/v1", "TokenReview", "tokenreviews", namespaced=False)


def resource_of(kind: ObjectKind, api_version: str | None = None) -> Resource:
    """The resource of an engine's kind, in the version given or else its own."""
    return Resource(api_version or kind.api_version, kind.kind, kind.plural, kind.namespaced)


def target_resource(api_version: str, kind: str) -> Resource | None:
    """The resource of a kind that an engine reads, or None for any other. The version is the caller's: a group may serve
    several, and the reference says which one its author meant."""
    known = object_kind(api_version, kind)
    return resource_of(known, api_version) if known else None


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """One object. ``uid`` tells it from a later one of the same name."""

    resource: Resource
    namespace: str | None
    name: str
    uid: str = ""

    @property
    def path(self) -> str:
        """The URL path of the object."""
        return self.resource.path(self.namespace, self.name)

    def __str__(self) -> str:
        where = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.resource.kind} {where}"

    @classmethod
    def of(cls, resource: Resource, obj: Mapping[str, Any]) -> ObjectRef:
        """The reference of a listed object."""
        meta = obj.get("metadata") or {}
        return cls(resource, meta.get("namespace") or None, str(meta.get("name", "")), str(meta.get("uid", "")))


def plain(value: Any) -> Any:
    """Plain dicts and lists of what may be a read-only view."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return value
