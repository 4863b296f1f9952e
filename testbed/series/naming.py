"""Formats of ids and labels in kubelet, cAdvisor and kube-state-metrics, shared by history writer and exporter."""

from __future__ import annotations

import hashlib
import re


def container_id(uid: str, container: str, restarts: int = 0) -> str:
    """The runtime's id of a container: 64 hex digits, different ones after each restart."""
    return hashlib.sha256(f"{uid}/{container}/{restarts}".encode()).hexdigest()


def pod_cgroup(uid: str) -> str:
    """cAdvisor's `id` of a pod with the systemd cgroup driver, which replaces dashes of the uid by underscores."""
    return f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{uid.replace('-', '_')}.slice"


def container_cgroup(uid: str, container: str, restarts: int = 0) -> str:
    """cAdvisor's `id` of one container."""
    return f"{pod_cgroup(uid)}/cri-containerd-{container_id(uid, container, restarts)}.scope"


def label_name(key: str, prefix: str = "label") -> str:
    """kube-state-metrics' name of a Kubernetes label: `tekton.dev/pipelineRun` becomes
    `label_tekton_dev_pipeline_run`."""
    clean = re.sub(r"[^a-zA-Z0-9_]", "_", key)
    snake = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", clean).lower()
    return f"{prefix}_{snake}"


def escape(value: str) -> str:
    """A label value escaped for the quotes of the exposition formats."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def series(name: str, /, **labels: str) -> str:
    """`name{label="value",...}`; empty values are omitted, as Prometheus treats them like missing ones."""
    inner = ",".join(f'{key}="{escape(value)}"' for key, value in labels.items() if value != "")
    return f"{name}{{{inner}}}"
