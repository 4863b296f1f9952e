"""Which targets a policy's ``discover`` entries select, and how their profiles are called and labelled. Pure.

Creating and withdrawing is the caller's business; here is only what should exist.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from concertmaster.api.models.base import GROUP
from concertmaster.api.models.kinds import TARGETS
from concertmaster.api.models.policy import ClusterOptimizationPolicy
from concertmaster.api.policy import AnyPolicy, home, rank, reaches, ref
from concertmaster.core.model import PodLabels
from concertmaster.core.model.policy import PolicyRef
from concertmaster.engines.registry import CLUSTER_KINDS

MAX_NAME = 63  # a profile's name must fit into a label value

# Short names as the engines' own kubectl columns use them.
KIND_SHORT: Mapping[str, str] = {kind.kind: kind.short for kind in TARGETS if kind.short is not None}
_KINDS = {
    word.lower(): kind.kind
    for kind in TARGETS
    for word in (kind.kind, kind.plural, kind.short, kind.alias)
    if word is not None
}


def full_kind(word: str) -> str:
    """The kind that people mean by ``word``, its name, plural or short name in any case and with or without its group, as
    kubectl takes and prints them (``cronjob.batch``); the word itself for no kind of target."""
    return _KINDS.get(word.partition(".")[0].lower(), word)


# Labels by which deployment tools recognise what is theirs. Copied onto a profile, they would make such a tool delete
# it as an object that is no longer in Git.
TRACKING_LABELS = frozenset(
    {
        "app.kubernetes.io/instance",
        "app.kubernetes.io/managed-by",
        "argocd.argoproj.io/instance",
        "helm.sh/chart",
        "helm.toolkit.fluxcd.io/name",
        "helm.toolkit.fluxcd.io/namespace",
        "kustomize.toolkit.fluxcd.io/name",
        "kustomize.toolkit.fluxcd.io/namespace",
    }
)


@dataclass(frozen=True, slots=True)
class DiscoveryTarget:
    """An object that may get a profile. ``namespace`` is None for a ClusterWorkflowTemplate; ``trigger_of`` names the
    template a CronWorkflow only starts (it is no workflow of its own then)."""

    api_version: str
    kind: str
    namespace: str | None
    name: str
    labels: Mapping[str, str]
    trigger_of: str | None = None

    @property
    def identity(self) -> tuple[str, str]:
        """What makes it the same in another profile of its namespace."""
        return self.kind, self.name

    @property
    def title(self) -> str:
        """How sentences call it."""
        return f"{self.kind} {self.name}"

    @property
    def spec(self) -> dict[str, object]:
        """The spec of a profile for it."""
        return {"workflowRef": {"apiVersion": self.api_version, "kind": self.kind, "name": self.name}}


@dataclass(frozen=True, slots=True)
class LabelledTarget:
    """Pods with certain labels, which may get a profile: the keys as its policy wrote them, and the value."""

    declared: Mapping[str, str]
    labels: PodLabels

    @property
    def identity(self) -> tuple[str, str]:
        """See ``DiscoveryTarget``."""
        return identity(self.labels)

    @property
    def title(self) -> str:
        """See ``DiscoveryTarget``."""
        return f"workflow {self.labels.value}"

    @property
    def spec(self) -> dict[str, object]:
        """See ``DiscoveryTarget``."""
        return {"podLabels": {**self.declared, "value": self.labels.value}}


def identity(labels: PodLabels) -> tuple[str, str]:
    """Kind and name by which plans compare workflows, for one recognized by labels."""
    return "podLabels", repr(labels)


@dataclass(frozen=True, slots=True)
class DesiredProfile:
    """A profile that should exist; without ``labels`` for pods, whose labels are not its own. With ``create`` False (its
    policy is suspended) one that exists is left alone, but none is made."""

    namespace: str
    name: str
    labels: Mapping[str, str]
    target: DiscoveryTarget | LabelledTarget
    policy: PolicyRef
    create: bool = True


def profile_name(kind: str, name: str) -> str:
    """The name of the profile of a discovered target: ``<kind-short>-<name>``, cut and hashed when over 63 characters.

    Raises KeyError for a kind that cannot be discovered.
    """
    full = f"{KIND_SHORT[kind]}-{name}"
    if len(full) <= MAX_NAME:
        return full
    return cut(full, f"{kind}/{name}")


def cut(name: str, of: str) -> str:
    """A name that is cut where it is too long, and ends with a hash of what it is made ``of``."""
    digest = hashlib.sha256(of.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{name[: MAX_NAME - 9].rstrip('-.')}-{digest}"


def copied_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """The target's labels that its profile gets: all but the deployment tools' and our own."""
    return {
        key: value
        for key, value in sorted(labels.items())
        if key not in TRACKING_LABELS and key.split("/", 1)[0] != GROUP
    }


def discovered_kinds(policies: Iterable[AnyPolicy]) -> tuple[tuple[str, str], ...]:
    """The (apiVersion, kind) pairs that must be listed, in a fixed order."""
    entries = (entry for policy in policies for entry in policy.spec.discover)
    return tuple(sorted({(e.api_version, e.kind) for e in entries if e.api_version is not None and e.kind is not None}))


def discover(
    policies: Iterable[AnyPolicy],
    targets: Iterable[DiscoveryTarget],
    namespaces: Mapping[str, Mapping[str, str]],
    cluster_owners: Mapping[str, Collection[str]] | None = None,
) -> tuple[DesiredProfile, ...]:
    """The profiles that should exist, sorted by namespace and name, each under the best policy that asks for it.

    ``namespaces`` are the labels of every namespace the operator watches; targets elsewhere are passed over. A target
    without a namespace gets a profile only where ``cluster_owners`` (namespaces by the target's name) or a cluster policy
    with a namespaceSelector says so: whoever may write a namespace's policy may not list it.
    """
    ordered = [policy for policy in sorted(policies, key=rank) if policy.spec.discover]
    # Policies of a namespace come before those of the cluster: of ten thousand targets, none is compared with the policies
    # of another namespace.
    local: dict[str | None, list[AnyPolicy]] = {}
    for policy in ordered:
        local.setdefault(home(policy), []).append(policy)
    profiles: dict[tuple[str, str], DesiredProfile] = {}
    for target in targets:
        if target.trigger_of is not None or target.kind not in KIND_SHORT:
            continue
        name = profile_name(target.kind, target.name)
        for policy in ordered if target.namespace is None else (*local.get(target.namespace, ()), *local.get(None, ())):
            if not _asks_for(policy, target):
                continue
            for namespace in _places(policy, target, namespaces):
                if (
                    namespace in namespaces
                    and (namespace, name) not in profiles
                    and reaches(policy, namespace, namespaces[namespace])
                    and (target.namespace is not None or _may_show(policy, namespace, target, cluster_owners or {}))
                ):
                    profiles[namespace, name] = DesiredProfile(
                        namespace, name, copied_labels(target.labels), target, ref(policy), not policy.spec.suspend
                    )
    return tuple(profiles[key] for key in sorted(profiles))


def _places(policy: AnyPolicy, target: DiscoveryTarget, namespaces: Iterable[str]) -> Iterable[str]:
    """Namespaces in which a policy may ask for a profile of a target."""
    own = target.namespace or home(policy)
    return namespaces if own is None else (own,)


def undisclosed(
    policies: Iterable[AnyPolicy], cluster_owners: Mapping[str, Collection[str]]
) -> dict[PolicyRef, tuple[str, ...]]:
    """Policies that ask for cluster-wide targets where none may be shown, with what to do."""
    owning = {namespace for namespaces in cluster_owners.values() for namespace in namespaces}
    names: dict[PolicyRef, tuple[str, ...]] = {}
    for policy in policies:
        kinds = sorted({e.kind for e in policy.spec.discover if e.kind is not None and e.kind in CLUSTER_KINDS})
        if isinstance(policy, ClusterOptimizationPolicy):
            shown = bool(owning) or policy.spec.namespace_selector is not None
            remedy = "add a namespaceSelector, or name them in clusterTemplateOwners of the operator's configuration"
        else:
            shown = policy.metadata.namespace in owning
            remedy = "name this namespace in clusterTemplateOwners of the operator's configuration"
        if kinds and not shown:
            names[ref(policy)] = (f"{' and '.join(kinds)} objects are discovered in named namespaces only; {remedy}",)
    return names


def _may_show(
    policy: AnyPolicy, namespace: str, target: DiscoveryTarget, cluster_owners: Mapping[str, Collection[str]]
) -> bool:
    """Whether a namespace may learn of a cluster-wide target: the operator's configuration or a cluster policy names it."""
    chosen = isinstance(policy, ClusterOptimizationPolicy) and policy.spec.namespace_selector is not None
    return chosen or namespace in cluster_owners.get(target.name, ())


def _asks_for(policy: AnyPolicy, target: DiscoveryTarget) -> bool:
    """Versions of one API group are the same objects, so only the group is compared."""
    group = target.api_version.split("/", 1)[0]
    return any(
        entry.kind == target.kind
        and entry.api_version is not None
        and entry.api_version.split("/", 1)[0] == group
        and (entry.selector is None or entry.selector.matches(target.labels))
        for entry in policy.spec.discover
    )
