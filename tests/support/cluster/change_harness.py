"""The change loop with real components: API server, controllers, Prometheus and the operator."""

from __future__ import annotations

import random
import time
from typing import Any

from concertmaster.core.model.amounts import quantity
from concertmaster.kube.client import KubeClient
from concertmaster.kube.objects import CHANGES
from testbed.services.cluster import Cluster
from tests.support.cluster.operator_bed import (
    wait_for,
)
from tests.support.resources import CRONJOB

RUNS = 8

MORE = 4  # runs at a time, repeated until both changes have a verdict

LIVE_SECONDS = 480  # from the first run before a change to its verdict, on a busy machine

MOST = 28  # after the change; run times vary on a busy machine, so that a verification needs more of them


def cron_job(namespace: str, name: str, cpu: str, **job: Any) -> dict[str, Any]:
    """A CronJob whose schedule never starts a run."""
    container = {
        "name": "main",
        "image": "etl:1",
        "command": ["work"],
        "resources": {"requests": {"cpu": cpu, "memory": "64Mi"}},
    }
    pod = {"restartPolicy": "Never", "containers": [container]}
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "schedule": "0 0 1 1 *",
            "suspend": True,
            "successfulJobsHistoryLimit": 100,
            "jobTemplate": {"spec": {**job, "template": {"spec": pod}}},
        },
    }


class Harness:
    """Starts runs of CronJobs with simulated durations."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self.client = KubeClient.connect(cluster.kubeconfig())
        self.random = random.Random(7)
        self.number = 29_000_000
        self.seen: list[Any] = []

    def get(self, name: str) -> dict[str, Any]:
        return self.client.get(CRONJOB.path(self.namespace, name))

    def spec(self, name: str) -> dict[str, Any]:
        found = self.get(name)["spec"]["jobTemplate"]["spec"]
        assert isinstance(found, dict)
        return found

    def seconds(self, name: str) -> float:
        """Duration of a pod in seconds: the simulation model."""
        spec = self.spec(name)
        noise = self.random.uniform(0.95, 1.05)
        if name == "wide":
            return (4.0 + 0.7 * int(spec["parallelism"])) * noise
        cpu = quantity(spec["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"]) or 1.0
        return (10.0 if cpu >= 1.0 else 18.0) * noise  # needs a whole core, in bursts that no sample shows

    def start(self, name: str) -> None:
        """Start one run with the current template of the CronJob."""
        owner = self.get(name)
        self.number += 1
        spec = owner["spec"]["jobTemplate"]["spec"]
        notes = {"sim/duration": f"{self.seconds(name):.2f}", "sim/memory-peak": "58Mi", "sim/cpu": "200m"}
        template = {**spec["template"], "metadata": {"annotations": notes}}
        reference = {
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "name": name,
            "uid": owner["metadata"]["uid"],
            "controller": True,
        }
        job = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": f"{name}-{self.number}", "ownerReferences": [reference]},
            "spec": {**spec, "template": template},
        }
        self.client.create(f"/apis/batch/v1/namespaces/{self.namespace}/jobs", job)

    def play(self, names: list[str], count: int = RUNS) -> None:
        """Start ``count`` runs of each in sequence, and wait for their end."""
        for _ in range(count):
            for name in names:
                self.start(name)
            time.sleep(0.7)
        wait_for("the runs to end", self.idle, pause=1.0)

    def idle(self) -> bool:
        jobs = self.client.items(f"/apis/batch/v1/namespaces/{self.namespace}/jobs")
        return all((j.get("status") or {}).get("succeeded") == j["spec"]["completions"] for j in jobs)

    def change(self, name: str) -> dict[str, Any]:
        """The latest change of a workflow; empty if there is none."""
        found = [c for c in self.client.items(CHANGES.path(self.namespace)) if name in c["spec"]["profileRef"]["name"]]
        return max(found, key=lambda c: c["metadata"]["creationTimestamp"], default={})

    def proving(self, names: list[str]) -> list[str]:
        """Workflows whose change is not completed; ``seen`` keeps the state of all for the message of a failing
        test."""
        found = {name: self.change(name).get("status") or {} for name in names}
        self.seen = [
            (name, f.get("phase"), f.get("verdict"), [c["message"] for c in f.get("conditions") or ()])
            for name, f in found.items()
        ]
        return [name for name, f in found.items() if f.get("phase") != "Completed"]

    def verify(self, names: list[str]) -> None:
        """Start runs until every change has a verdict, at most MOST per workflow."""
        for _ in range(MOST // MORE):
            names = self.proving(names)
            if not names:
                return
            self.play(names, MORE)
        wait_for("the last verdicts", lambda: not self.proving(names), pause=1.0)

    def phase(self, name: str) -> str:
        return str((self.change(name).get("status") or {}).get("phase") or "")
