"""The kubelet's series of persistent volumes, which exist while a pod that mounts one is running."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from testbed.series.lives import KUBELET_JOB, PodLife
from testbed.series.naming import series

FAMILIES = ("kubelet_volume_stats_used_bytes", "kubelet_volume_stats_capacity_bytes")


def of_claims(family: str, pods: Sequence[PodLife]) -> Iterator[tuple[str, list[tuple[float, float, float]]]]:
    """The series of a family with the spans (from, to, value) of each: pods that mount the same claim follow each
    other."""
    place = FAMILIES.index(family)
    spans: dict[str, list[tuple[float, float, float]]] = {}
    for pod in pods:
        for claim, amounts in pod.volumes.items():
            if pod.started is not None and pod.finished is not None:
                labels = {"namespace": pod.namespace, "persistentvolumeclaim": claim, "metrics_path": "/metrics"}
                name = series(family, job=KUBELET_JOB, instance=f"{pod.node}:10250", node=pod.node, **labels)
                spans.setdefault(name, []).append((pod.started, pod.finished, amounts[place]))
    for name, mounted in spans.items():
        yield name, sorted(mounted)
