"""Live Jobs with their pods, as the API server returns them."""

from __future__ import annotations

from typing import Any

from tests.support.engines.argo_oracle import stamp


def pod(name: str, begin: float, end: float, code: int = 0, labels: dict[str, str] | None = None) -> dict[str, Any]:
    done = {
        "exitCode": code,
        "reason": "Completed" if code == 0 else "OOMKilled",
        "startedAt": stamp(begin + 3),
        "finishedAt": stamp(end),
    }
    meta = {"name": name, "namespace": "ops", "uid": f"uid-{name}", "creationTimestamp": stamp(begin)}
    return {
        "metadata": {**meta, "labels": labels or {}},
        "spec": {"nodeName": "n1"},
        "status": {
            "phase": "Succeeded" if code == 0 else "Failed",
            "startTime": stamp(begin + 2),
            "conditions": [{"type": "PodScheduled", "status": "True", "lastTransitionTime": stamp(begin + 1)}],
            "containerStatuses": [{"name": "dump", "image": "pg:16", "state": {"terminated": done}}],
        },
    }


def live_job(condition: str | None = "Complete", **status: Any) -> dict[str, Any]:
    conditions = [{"type": condition, "status": "True", "reason": "BackoffLimitExceeded"}] if condition else []
    owner = {"kind": "CronJob", "name": "backup"}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": "backup-29333333",
            "namespace": "ops",
            "creationTimestamp": stamp(0),
            "ownerReferences": [owner],
        },
        "status": {"startTime": stamp(1), "completionTime": stamp(60), "conditions": conditions, **status},
    }
