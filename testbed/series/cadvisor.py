"""cAdvisor's series of a container over its lifetime, as the kubelet serves them.

`testbed.pods.exporter` computes the same families for running pods; here they are derived from the totals of a finished pod.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise

from testbed.series.lives import CADVISOR_PATH, KUBELET_JOB, ContainerLife, PodLife
from testbed.series.naming import container_cgroup, container_id, pod_cgroup

CFS_PERIOD_SECONDS = 0.1
_DEFAULT_CURVE = ((0.0, 0.1), (0.2, 1.0), (1.0, 1.0))

# Values at the given shares (0 to 1) of the container's lifetime; None if the series does not exist.
Values = Callable[[ContainerLife, Sequence[float]], list[str] | None]


def working_set(container: ContainerLife, share: float) -> float:
    """Working set in bytes after `share` (0 to 1) of the container's lifetime."""
    curve = container.memory_curve or [(at, level * container.memory_peak) for at, level in _DEFAULT_CURVE]
    if share <= curve[0][0]:
        return curve[0][1]
    for (left, low), (right, high) in pairwise(curve):
        if share <= right:
            return low + (high - low) * (share - left) / (right - left) if right > left else high
    return curve[-1][1]


def _growing(total: Callable[[ContainerLife], float], digits: int = 0) -> Values:
    """A counter that grows linearly to its total."""

    def values(container: ContainerLife, shares: Sequence[float]) -> list[str] | None:
        end = total(container)
        return [f"{end * share:.{digits}f}" for share in shares]

    return values


def _limited(values: Values) -> Values:
    """Throttling counters exist only for containers with a CPU limit."""
    return lambda container, shares: values(container, shares) if container.cpu_limit is not None else None


def _life(container: ContainerLife) -> float:
    return (container.finished or 0.0) - (container.started or 0.0)


def _working_set(container: ContainerLife, shares: Sequence[float]) -> list[str]:
    return [f"{working_set(container, share):.0f}" for share in shares]


def _max_usage(container: ContainerLife, shares: Sequence[float]) -> list[str]:
    """The kernel's maximum so far: it includes the page cache, so the peak of the working set is scaled to
    `memory_max`."""
    top = container.memory_peak if container.memory_max is None else container.memory_max
    factor = top / container.memory_peak if container.memory_peak else 1.0
    # The kernel records every peak, scrapes do not: the curve may have peaked before the first one.
    points = container.memory_curve or [(at, level * container.memory_peak) for at, level in _DEFAULT_CURVE]
    peaks = accumulate(
        (max([working_set(container, share), *(size for at, size in points if at <= share)]) for share in shares), max
    )
    return [f"{peak * factor:.0f}" for peak in peaks]


def _oom_events(container: ContainerLife, shares: Sequence[float]) -> list[str]:
    return [str(container.oom_events if share >= 0.9 else 0) for share in shares]


def _constant(value: Callable[[ContainerLife], float]) -> Values:
    return lambda container, shares: [f"{value(container):.15g}"] * len(shares)


def _writable_layer(container: ContainerLife, shares: Sequence[float]) -> list[str] | None:
    """Grows linearly. Only some versions of containerd report it: without a peak there is no series."""
    return [f"{container.storage_peak * share:.0f}" for share in shares] if container.storage_peak else None


# Sample name -> (OpenMetrics type, extra labels, values).
CONTAINER_FAMILIES: dict[str, tuple[str, dict[str, str], Values]] = {
    "container_cpu_cfs_periods_total": ("counter", {}, _limited(_growing(lambda c: _life(c) / CFS_PERIOD_SECONDS))),
    "container_cpu_cfs_throttled_periods_total": (
        "counter",
        {},
        _limited(_growing(lambda c: _life(c) / CFS_PERIOD_SECONDS * c.throttled_share)),
    ),
    "container_cpu_cfs_throttled_seconds_total": ("counter", {}, _limited(_growing(lambda c: c.throttled_seconds, 3))),
    "container_cpu_usage_seconds_total": ("counter", {"cpu": "total"}, _growing(lambda c: c.cpu_seconds, 3)),
    "container_fs_reads_bytes_total": ("counter", {"device": "/dev/vda"}, _growing(lambda c: c.fs_read_bytes)),
    "container_fs_writes_bytes_total": ("counter", {"device": "/dev/vda"}, _growing(lambda c: c.fs_write_bytes)),
    "container_fs_usage_bytes": ("gauge", {"device": "/dev/vda"}, _writable_layer),
    "container_memory_max_usage_bytes": ("gauge", {}, _max_usage),
    "container_memory_working_set_bytes": ("gauge", {}, _working_set),
    "container_oom_events_total": ("counter", {}, _oom_events),
    "container_spec_memory_limit_bytes": ("gauge", {}, _constant(lambda c: c.memory_limit or 0)),
    "container_start_time_seconds": ("gauge", {}, _constant(lambda c: float(int(c.started or 0)))),
}

# Pod level, container="": network counters belong to the sandbox.
POD_FAMILIES: dict[str, Callable[[PodLife], float]] = {
    "container_network_receive_bytes_total": lambda pod: pod.network_receive_bytes,
    "container_network_transmit_bytes_total": lambda pod: pod.network_transmit_bytes,
}


def _target(pod: PodLife) -> dict[str, str]:
    return {"job": KUBELET_JOB, "metrics_path": CADVISOR_PATH, "instance": f"{pod.node}:10250", "node": pod.node}


def container_labels(pod: PodLife, container: ContainerLife) -> dict[str, str]:
    """Labels of a container's series as scraped from its node's kubelet."""
    return {
        "namespace": pod.namespace,
        "pod": pod.pod,
        "container": container.name,
        "image": container.image,
        "id": container_cgroup(pod.uid, container.name),
        "name": container_id(pod.uid, container.name),
        **_target(pod),
    }


def pod_labels(pod: PodLife) -> dict[str, str]:
    """Labels of the pod's network series."""
    return {
        "namespace": pod.namespace,
        "pod": pod.pod,
        "image": "pause:3.10",
        "id": f"{pod_cgroup(pod.uid)}/cri-containerd-{container_id(pod.uid, '')}.scope",
        "name": container_id(pod.uid, ""),
        "interface": "eth0",
        **_target(pod),
    }
