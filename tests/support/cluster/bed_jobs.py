"""Jobs for the tests of the test bed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from testbed.services.cluster import Cluster


def unix(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp.replace("Z", "+00:00")).timestamp()


def job(name: str, annotations: dict[str, str], **spec: Any) -> dict[str, Any]:
    """A Job with one container `main`; `resources`, `restart` and fields of the Job may be given."""
    container = {"name": "main", "image": "app:1", "command": ["work"], "resources": spec.pop("resources", {})}
    pod = {"restartPolicy": spec.pop("restart", "Never"), "containers": [container]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"template": {"metadata": {"annotations": annotations}, "spec": pod}, **spec},
    }


def pods_of(cluster: Cluster, namespace: str, name: str) -> list[dict[str, Any]]:
    return list(cluster.get("pods", "-n", namespace, "-l", f"batch.kubernetes.io/job-name={name}")["items"])
