"""Jobs and the facts of their pods."""

from __future__ import annotations

from typing import Any

from concertmaster.core.model import PodFact, WorkflowDefinition
from concertmaster.engines import define

POD_SPEC = {
    "containers": [{"name": "dump", "image": "pg:16", "resources": {"requests": {"cpu": "1"}}}],
    "initContainers": [{"name": "proxy", "restartPolicy": "Always"}, {"name": "prep"}],
}


def job(kind: str = "CronJob", name: str = "backup", **spec: Any) -> WorkflowDefinition:
    inner = {"template": {"spec": POD_SPEC}, **spec}
    outer = (
        {"schedule": "0 1 * * *", "timeZone": "Etc/UTC", "jobTemplate": {"spec": inner}} if kind == "CronJob" else inner
    )
    meta = {"name": name, "namespace": "ops"}
    found = define({"apiVersion": "batch/v1", "kind": kind, "metadata": meta, "spec": outer})
    assert found is not None
    return found


def pod(
    owner: str, uid: str, at: float = 0.0, seconds: float = 10.0, phase: str | None = "Succeeded", **fields: Any
) -> PodFact:
    return PodFact("ops", fields.pop("pod", f"{owner}-x7k2z"), uid, owner_kind="Job", owner_name=owner, created=at,
                   started=at, finished=at + seconds, phase=phase, **fields)  # fmt: skip
