"""dcgm-exporter's series for the GPUs of a container, as scraped without `honor_labels`.

Names and labels follow dcgm-exporter 4 with its mapping of GPUs to pods: `exported_pod` is the pod that uses the GPU,
`pod` the exporter's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from testbed.series.lives import ContainerLife, PodLife
from testbed.series.naming import container_id, series

FAMILIES = {"DCGM_FI_DEV_GPU_UTIL": 100.0, "DCGM_FI_PROF_GR_ENGINE_ACTIVE": 1.0}  # value of a busy GPU


def of_container(name: str, pod: PodLife, container: ContainerLife, count: int) -> Iterator[tuple[str, Sequence[str]]]:
    """One series per GPU, with its values at `count` scrapes while the container runs."""
    for number, busy in enumerate(container.gpu_busy):
        labels = {
            "job": "dcgm-exporter",
            "instance": f"{pod.node}:9400",
            "namespace": "gpu-operator",
            "pod": f"dcgm-exporter-{pod.node}",
            "container": "exporter",
            "exported_namespace": pod.namespace,
            "exported_pod": pod.pod,
            "exported_container": container.name,
            "Hostname": pod.node,
            "UUID": f"GPU-{container_id(pod.uid, container.name)[:12]}-{number}",
            "gpu": str(number),
            "device": f"nvidia{number}",
            "modelName": "NVIDIA A100-SXM4-80GB",
        }
        yield series(name, **labels), [f"{FAMILIES[name] * busy:.4g}"] * count
