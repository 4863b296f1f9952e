"""One namespace with a CronJob ``etl`` whose changes a test follows on a real API server."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from concertmaster.kube.client import KubeClient
from concertmaster.kube.objects import CHANGES
from testbed.services.cluster import Cluster
from testbed.services.prometheus import PrometheusServer
from tests.support.cluster.operator_bed import (
    DISCOVER_CRONJOBS,
    apply,
    hourly_runs,
    policy,
    settings,
    wait_for,
)
from tests.support.resources import CRONJOB


class Place:
    """One namespace as a test looks at it, without kubectl's start-up time."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self.client = KubeClient.connect(cluster.kubeconfig())
        self.target_path = CRONJOB.path(namespace, "etl")

    def changes(self) -> list[dict[str, Any]]:
        return list(self.client.items(CHANGES.path(self.namespace)))

    def the(self, phase: str) -> dict[str, Any]:
        def find() -> dict[str, Any] | None:
            return next((c for c in self.changes() if (c.get("status") or {}).get("phase") == phase), None)

        found = wait_for(f"a change in phase {phase}", find, pause=0.1)
        assert isinstance(found, dict)
        return found

    def target(self) -> dict[str, Any]:
        return self.client.get(self.target_path)

    def requests(self) -> dict[str, str]:
        container = self.target()["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
        return dict(container["resources"]["requests"])

    def generation(self) -> int:
        return int(self.target()["metadata"]["generation"])

    def patch(self, name: str, *operations: dict[str, Any], status: bool = False) -> Any:
        more = ("--subresource=status",) if status else ()
        return self.cluster.run_kubectl(
            "-n", self.namespace, "patch", "wfc", name, "--type=json", "-p", json.dumps(operations), *more
        )

    def decide(self, name: str, decision: str = "Approve", by: str = "admin") -> Any:
        return self.patch(
            name,
            {"op": "add", "path": "/spec/decision", "value": decision},
            {"op": "add", "path": "/spec/decidedBy", "value": by},
        )


def config(place: Place, prometheus: PrometheusServer, tmp_path: Path) -> dict[str, Any]:
    return settings(tmp_path, {"default": prometheus.url}, namespaces=[place.namespace])


def govern(place: Place, **apply_: Any) -> None:
    apply(place.cluster, policy(place.namespace, discover=DISCOVER_CRONJOBS, apply={"mode": "Auto", **apply_}))


def idle_etl(namespace: str, make_prometheus: Callable[..., PrometheusServer]) -> PrometheusServer:
    """Two days of an hourly CronJob ``etl`` that uses a quarter of its core."""
    return make_prometheus(history=hourly_runs(namespace, "etl"))
