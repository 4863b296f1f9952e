"""JobSet objects."""

from __future__ import annotations

from typing import Any

from concertmaster.core.model import PodFact


def replicated(name: str, *after: str, replicas: int = 1, status: str = "Complete", **job: Any) -> dict[str, Any]:
    pod = {"spec": {"containers": [{"name": "main", "resources": {"requests": {"cpu": "4"}}}]}}
    return {
        "name": name,
        "replicas": replicas,
        "dependsOn": [{"name": a, "status": status} for a in after],
        "template": {"spec": {"template": pod, "completionMode": "Indexed", **job}},
    }


def pod(
    owner: str, uid: str, at: float = 0.0, labels: dict[str, str] | None = None, phase: str = "Succeeded"
) -> PodFact:
    return PodFact("ml", f"{owner}-0-x7k2z", uid, owner_kind="Job", owner_name=owner, labels=labels or {},
                   created=at, started=at, finished=at + 10, phase=phase)  # fmt: skip


def labels(step: str, index: int, completion: int) -> dict[str, str]:
    return {
        "jobset_sigs_k8s_io_jobset_name": "train",
        "jobset_sigs_k8s_io_replicatedjob_name": step,
        "jobset_sigs_k8s_io_job_index": str(index),
        "batch_kubernetes_io_job_completion_index": str(completion),
    }
