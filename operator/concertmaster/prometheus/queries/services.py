"""What pods outside workflows request on each node: services, and what belongs to the nodes themselves. PromQL text, pure.

Such pods are known by the kind of their controller, so that what a run reserves is not counted twice: a pod without a
controller, or of one that is not known, may be part of a run. Series are joined by the uid of the pod alone, which every
family has and no scrape renames, whatever it does with ``namespace`` and ``pod``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from concertmaster.prometheus.queries.bulk import by_stat
from concertmaster.prometheus.queries.extended import ALLOCATABLE, EXPORTED
from concertmaster.prometheus.queries.promql import among, equalities, matcher, selector
from concertmaster.prometheus.queries.scope import LabelScheme

SERVICE_KINDS = (
    "CloneSet",  # OpenKruise
    "Cluster",  # CloudNativePG
    "DaemonSet",
    "Node",  # static pods
    "ReplicaSet",  # Deployments, and Rollouts of Argo
    "ReplicationController",  # DeploymentConfigs of OpenShift
    "StatefulSet",
    "StrimziPodSet",
)
_REQUESTS = ("kube_pod_container_resource_requests", "kube_pod_init_container_resource_requests")
_LIMITS = ("kube_pod_container_resource_limits", "kube_pod_init_container_resource_limits")
_INIT_INFO = "kube_pod_init_container_info"
_QUOTAS = "kube_resourcequota"
_AMOUNTS = ("cpu", "memory")


def services(matchers: Mapping[str, str], scheme: LabelScheme, run_kinds: Collection[str] = ()) -> str:
    """By node and ``resource`` at the pinned time: what the containers of such pods request (``stat`` is ``held``; cores and
    bytes), sidecars among their init containers included, how many such pods the node has (``pods``), and what it has
    allocatable (``allocatable``). ``run_kinds``: controllers whose pods are runs.

    A pod that was evicted keeps its requests until somebody deletes it, and holds nothing. Two replicas of
    kube-state-metrics report the same containers.
    """
    where, uid, node, resource = equalities(matchers), *scheme.columns("uid", "node", "resource")

    def placed(metric: str, more: Sequence[str]) -> str:
        return selector(metric, [*where, matcher(node, "!=", ""), *more])

    pods = _pods(where, scheme, run_kinds, placed)
    allocatable = selector(ALLOCATABLE, [*where, *among(resource, (*_AMOUNTS, "pods"))])
    return by_stat(
        held=_taken(where, scheme, node, pods, [placed(name, among(resource, _AMOUNTS)) for name in _REQUESTS]),
        pods=f"count by ({node}) (group by ({uid}, {node}) ({pods}))",
        allocatable=f"max by ({node}, {resource}) ({allocatable})",
    )


def quota_services(matchers: Mapping[str, str], scheme: LabelScheme, run_kinds: Collection[str] = ()) -> str:
    """By namespace with a ResourceQuota and ``resource`` at the pinned time: what such pods take of it, as ``services`` has
    it, on a node or not (``stat`` is ``requests``, ``limits`` or ``pods``); ``quotas`` says which namespaces have one."""
    where, uid, space, resource = equalities(matchers), *scheme.columns("uid", "namespace", "resource")
    quotas = f"group by ({space}) ({selector(_QUOTAS, [*where, matcher(space, '!=', '')])})"

    def bound(metric: str, more: Sequence[str]) -> str:
        return f"{selector(metric, [*where, *more])} and on ({space}) ({quotas})"

    pods = _pods(where, scheme, run_kinds, bound)
    requests, limits = (
        _taken(where, scheme, space, pods, [bound(name, among(resource, _AMOUNTS)) for name in names])
        for names in (_REQUESTS, _LIMITS)
    )
    count = f"count by ({space}) (group by ({uid}, {space}) ({pods}))"
    return by_stat(requests=requests, limits=limits, pods=count, quotas=quotas)


def _pods(
    where: Sequence[str], scheme: LabelScheme, run_kinds: Collection[str], read: Callable[[str, Sequence[str]], str]
) -> str:
    """Such pods that have not ended; ``read`` selects series of a metric with more matchers."""
    kinds = among(scheme.name("created_by_kind"), set(SERVICE_KINDS) - set(run_kinds))
    ended = selector("kube_pod_status_phase", [*where, scheme.match("phase", "=~", "Failed|Succeeded")])
    return f"{read('kube_pod_info', kinds)} unless on ({scheme.name('uid')}) ({ended} == 1)"


def _taken(where: Sequence[str], scheme: LabelScheme, by: str, pods: str, amounts: Sequence[str]) -> str:
    """Sums ``by`` that label and ``resource`` over the containers of these pods. ``amounts``: of containers, and of init
    containers, of which sidecars count."""
    uid, resource = scheme.columns("uid", "resource")
    each = ", ".join(dict.fromkeys((uid, scheme.name("container"), f"{EXPORTED}container")))
    always = selector(_INIT_INFO, [*where, scheme.match("restart_policy", "=", "Always")])
    own, inits = amounts
    largest = f"max by ({each}, {by}, {resource}) ({own} or {inits} and on ({each}) {always})"
    return f"sum by ({by}, {resource}) ({largest} and on ({uid}) ({pods}))"
