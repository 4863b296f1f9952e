"""Use of what few pods request (GPUs, ephemeral storage) and prices of nodes, asked where needed only. PromQL text, pure.

The exporter of GPU metrics runs in a pod of its own. Scraped without ``honor_labels`` its series carry the pod that uses the
GPU as ``exported_pod``: both forms are queried, and no pod asked for is the exporter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from concertmaster.engines.common.names import pod_label
from concertmaster.prometheus.queries.bulk import by_stat, last_values
from concertmaster.prometheus.queries.promql import among, equalities, selector
from concertmaster.prometheus.queries.scope import LabelScheme, QueryScope, TimeRange

# What DCGM reports of a GPU's use. The first also covers MIG slices, the second is exported everywhere.
ENGINE_ACTIVE = "DCGM_FI_PROF_GR_ENGINE_ACTIVE"  # 0 to 1
UTILIZATION = "DCGM_FI_DEV_GPU_UTIL"  # percent
STORAGE = "container_fs_usage_bytes"
EXPORTED = "exported_"
CLAIM = "persistentvolumeclaim"
VOLUMES = {"used": "kubelet_volume_stats_used_bytes", "capacity": "kubelet_volume_stats_capacity_bytes"}
NODE_PRICES = ("node_cpu_hourly_cost", "node_ram_hourly_cost", "node_gpu_hourly_cost")  # of a core, a GiB, a GPU
INSTANCE_TYPES = ("node.kubernetes.io/instance-type", "beta.kubernetes.io/instance-type")
SPOT = {  # labels of nodes that may be taken away, with the value that says so
    "karpenter.sh/capacity-type": "spot",
    "eks.amazonaws.com/capacityType": "SPOT",
    "cloud.google.com/gke-spot": "true",
    "cloud.google.com/gke-preemptible": "true",
    "kubernetes.azure.com/scalesetpriority": "spot",
}

ALLOCATABLE = "kube_node_status_allocatable"
_TAINT = "kube_node_spec_taint"

_DEVICE = ("UUID", "gpu", "GPU_I_ID")


def gpus(scope: QueryScope, window: TimeRange, pods: Sequence[str]) -> str:
    """Mean and highest use of each GPU while it was a container's; ``stat`` is ``active`` or ``util`` with ``.mean`` or
    ``.peak`` behind it, and begins with ``exported_`` where the labels do."""
    parts = {}
    for prefix in ("", EXPORTED):
        names = [prefix + scope.usage.name(label).removeprefix(EXPORTED) for label in ("namespace", "pod", "container")]
        where = [*equalities(scope.extra_matchers), *among(names[0], scope.namespaces), *among(names[1], pods)]
        by = ", ".join((*names, *_DEVICE))
        for stat, metric in (("active", ENGINE_ACTIVE), ("util", UTILIZATION)):
            series = f"{selector(metric, where)}{window.range}"
            parts[f"{prefix}{stat}.mean"] = f"max by ({by}) (avg_over_time({series}))"
            parts[f"{prefix}{stat}.peak"] = f"max by ({by}) (max_over_time({series}))"
    return by_stat(**parts)


def storage(scope: QueryScope, window: TimeRange, pods: Sequence[str]) -> str:
    """The largest writable layer of each container start, in bytes (``stat`` is ``storage``)."""
    scheme = scope.usage
    key = scheme.names(("namespace", "pod", "container", "id"))
    inside = scope.of_pods(scheme, pods, scheme.match("container", "!=", ""), scheme.match("container", "!=", "POD"))
    peak = f"max_over_time({selector(STORAGE, inside)}{window.range})"
    return by_stat(storage=f"sum by ({key}) (max by ({key}, {scheme.name('device')}) ({peak}))")


def volumes(scope: QueryScope, window: TimeRange, claims: Sequence[str]) -> str:
    """The most bytes used of each volume (``stat`` is ``used``) and what it held then (``capacity``), by its claim."""
    scheme = scope.usage
    inside = scope.of(scheme, *among(scheme.name(CLAIM), claims))
    by = f"max by ({scheme.names(('namespace', CLAIM))})"
    return by_stat(
        **{stat: f"{by} (max_over_time({selector(name, inside)}{window.range}))" for stat, name in VOLUMES.items()}
    )


def node_label(key: str) -> str:
    """The label of ``kube_node_labels`` that carries the Kubernetes label ``key``."""
    return f"label_{pod_label(key)}"


def allocatable(matchers: Mapping[str, str], scheme: LabelScheme) -> str:
    """What nodes had allocatable in the last day, by ``resource``, in cores and bytes: the largest node (``stat`` is
    ``largest``), and all of them together when they were most and fewest (``most``, ``fewest``).

    Of nodes that have had the same taint for a day (``taint``, by ``node``, ``key``, ``value`` and ``effect``), what each
    has (``tainted``); the largest of all others (``open``) and their names (``name``, by ``node``). Taints that come and go
    are those of nodes that are not ready, cordoned or about to be removed.
    """
    node, resource = scheme.columns("node", "resource")
    series = selector(ALLOCATABLE, [*equalities(matchers), *among(resource, ("cpu", "memory", "ephemeral_storage"))])
    each = f"max by ({node}, {resource}) ({series})"  # two replicas of kube-state-metrics report the same nodes
    day = "[1d:1h]"
    by = f"{node}, key, value, effect"
    now = selector(_TAINT, [*equalities(matchers), *among("effect", ("NoSchedule", "NoExecute"))])
    taints = f"group by ({by}) ({now}) and on ({by}) ({now} offset 1d)"
    return by_stat(
        largest=f"max_over_time(max by ({resource}) ({each}){day})",
        most=f"max_over_time(sum by ({resource}) ({each}){day})",
        fewest=f"min_over_time(sum by ({resource}) ({each}){day})",
        taint=f"({taints})",
        tainted=f"({each} and on ({node}) ({taints}))",
        open=f"max by ({resource}) ({each} unless on ({node}) ({taints}))",
        name=f"group by ({node}) ({each} unless on ({node}) ({taints}))",
    )


def nodes(scope: QueryScope, window: TimeRange, names: Sequence[str]) -> str:
    """Instance and capacity types of these nodes as labels of series of value 1, and OpenCost's prices of them."""
    node = scope.state.name("node")
    by = ", ".join((node, *(node_label(key) for key in (*INSTANCE_TYPES, *SPOT))))
    labels, prices = (
        last_values(scope, window, metrics, [*equalities(scope.extra_matchers), *among(label, names)])
        for label, metrics in ((node, ("kube_node_labels",)), ("node", NODE_PRICES))
    )
    marked = "__name__, series"
    # ``or`` does not compare names: of a node without any of the labels, only what comes first is left.
    return f"max by ({marked}, node) ({prices}) or max by ({marked}, {by}) ({labels})"
