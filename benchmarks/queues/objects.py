"""Queues and the CronJobs whose Jobs are run in them."""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]

NAMESPACE = "queues"
_API = "kueue.x-k8s.io/v1beta2"
_QUEUE, _PRIORITY = "kueue.x-k8s.io/queue-name", "kueue.x-k8s.io/priority-class"
_QUOTA = [{"name": "cpu", "nominalQuota": "4"}, {"name": "memory", "nominalQuota": "16Gi"}]
QUEUES = ("plain", "ranked", "parts")
"""LocalQueues, each of a ClusterQueue named ``<queue>-cluster`` that holds four cores."""


def queues() -> list[Object]:
    """The queues, and two priorities: in each queue the high one preempts the low one."""
    flavor = {"name": "default", "resources": _QUOTA}
    spec = {
        "namespaceSelector": {},
        "preemption": {"withinClusterQueue": "LowerPriority"},
        "resourceGroups": [{"coveredResources": ["cpu", "memory"], "flavors": [flavor]}],
    }
    return [
        _object(_API, "ResourceFlavor", "default"),
        *({**_object(_API, "ClusterQueue", f"{name}-cluster"), "spec": spec} for name in QUEUES),
        *(
            {**_object(_API, "WorkloadPriorityClass", name), "value": value}
            for name, value in (("high", 2), ("low", 1))
        ),
        *(
            {**_object(_API, "LocalQueue", name, NAMESPACE), "spec": {"clusterQueue": f"{name}-cluster"}}
            for name in QUEUES
        ),
    ]


def cronjobs() -> list[Object]:
    """``nightly``: two fit into the quota at a time. ``low`` is preempted by ``high``. ``partial``: six pods, of which Kueue
    admits four at a time. ``never`` requests more than its queue holds."""
    return [
        _cronjob("nightly", "plain", "2", 10),
        _cronjob("low", "ranked", "4", 20, rank="low"),
        _cronjob("high", "ranked", "4", 6, rank="high"),
        _cronjob("partial", "parts", "1", 8, pods=6, least=2),
        _cronjob("never", "plain", "8", 5),
    ]


def _cronjob(
    name: str, queue: str, cpu: str, seconds: int, *, rank: str | None = None, pods: int = 1, least: int | None = None
) -> Object:
    """A CronJob whose Jobs are made by hand. ``least``: how many of its ``pods`` Kueue may admit at a time."""
    requests = {"cpu": cpu, "memory": "64Mi"}
    container = {"name": "main", "image": "sim/work:1", "command": ["work"], "resources": {"requests": requests}}
    template = {
        "metadata": {"annotations": {"sim/duration": str(seconds)}},
        "spec": {"restartPolicy": "Never", "containers": [container]},
    }
    meta = {
        "labels": {_QUEUE: queue} | ({_PRIORITY: rank} if rank else {}),
        "annotations": {"kueue.x-k8s.io/job-min-parallelism": str(least)} if least else {},
    }
    job = {"parallelism": pods, "completions": pods, "template": template}
    spec = {"schedule": "0 0 1 1 *", "suspend": True, "jobTemplate": {"metadata": meta, "spec": job}}
    return {**_object("batch/v1", "CronJob", name, NAMESPACE), "spec": spec}


def _object(api: str, kind: str, name: str, namespace: str | None = None) -> Object:
    meta = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": api, "kind": kind, "metadata": meta}
