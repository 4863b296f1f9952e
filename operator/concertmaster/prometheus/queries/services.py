"""What pods outside workflows request on each node: services, and what belongs to the nodes themselves. PromQL text, pure.

Such pods are known by the kind of their controller, so that what a run reserves is not counted twice: a pod without a
controller, or of one that is not known, may be part of a run. Series are joined by the uid of the pod alone, which every
family has and no scrape renames, whatever it does with ``namespace`` and ``pod``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

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
_REQUESTS = "kube_pod_container_resource_requests"
_INIT_REQUESTS, _INIT_INFO = "kube_pod_init_container_resource_requests", "kube_pod_init_container_info"
_LIMITS, _INIT_LIMITS = "kube_pod_container_resource_limits", "kube_pod_init_container_resource_limits"
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
    there, amounts = matcher(node, "!=", ""), among(resource, _AMOUNTS)
    kinds = among(scheme.name("created_by_kind"), set(SERVICE_KINDS) - set(run_kinds))
    info = selector("kube_pod_info", [*where, *kinds, there])
    ended = selector("kube_pod_status_phase", [*where, scheme.match("phase", "=~", "Failed|Succeeded")])
    pods = f"{info} unless on ({uid}) ({ended} == 1)"
    container = dict.fromkeys((uid, scheme.name("container"), f"{EXPORTED}container"))
    each = ", ".join(container)
    always = selector(_INIT_INFO, [*where, scheme.match("restart_policy", "=", "Always")])
    sidecars = f"{selector(_INIT_REQUESTS, [*where, there, *amounts])} and on ({each}) {always}"
    requests = f"max by ({each}, {node}, {resource}) ({selector(_REQUESTS, [*where, there, *amounts])} or {sidecars})"
    count = f"count by ({node}) (group by ({uid}, {node}) ({pods}))"
    allocatable = selector(ALLOCATABLE, [*where, *among(resource, (*_AMOUNTS, "pods"))])
    return by_stat(
        held=f"sum by ({node}, {resource}) ({requests} and on ({uid}) ({pods}))",
        pods=count,
        allocatable=f"max by ({node}, {resource}) ({allocatable})",
    )


def quota_services(matchers: Mapping[str, str], scheme: LabelScheme, run_kinds: Collection[str] = ()) -> str:
    """By namespace with a ResourceQuota and ``resource`` at the pinned time: what such pods take of it, as ``services`` has
    it, on a node or not (``stat`` is ``requests``, ``limits`` or ``pods``); ``quotas`` says which namespaces have one."""
    where = equalities(matchers)
    uid, space, resource = scheme.columns("uid", "namespace", "resource")
    kinds = among(scheme.name("created_by_kind"), set(SERVICE_KINDS) - set(run_kinds))
    quotas = f"group by ({space}) ({selector(_QUOTAS, [*where, matcher(space, '!=', '')])})"
    ended = selector("kube_pod_status_phase", [*where, scheme.match("phase", "=~", "Failed|Succeeded")])
    pods = f"{selector('kube_pod_info', [*where, *kinds])} and on ({space}) ({quotas}) unless on ({uid}) ({ended} == 1)"
    each = ", ".join(dict.fromkeys((uid, scheme.name("container"), f"{EXPORTED}container")))
    always = selector(_INIT_INFO, [*where, scheme.match("restart_policy", "=", "Always")])

    def taken(metric: str, init: str) -> str:
        own, inits = (
            f"{selector(name, [*where, *among(resource, _AMOUNTS)])} and on ({space}) ({quotas})"
            for name in (metric, init)
        )
        amounts = f"max by ({each}, {space}, {resource}) (({own}) or ({inits} and on ({each}) {always}))"
        return f"sum by ({space}, {resource}) ({amounts} and on ({uid}) ({pods}))"

    return by_stat(
        requests=taken(_REQUESTS, _INIT_REQUESTS),
        limits=taken(_LIMITS, _INIT_LIMITS),
        pods=f"count by ({space}) (group by ({uid}, {space}) ({pods}))",
        quotas=quotas,
    )
