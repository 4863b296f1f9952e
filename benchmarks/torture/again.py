"""Runs that people stop or retry while the set is played: failed Workflows are retried, Jobs suspended and resumed."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterable

from benchmarks.torture.workflows.argo_retried import RETRIES
from benchmarks.torture.workflows.jobs import PAUSED
from benchmarks.torture.workflows.parts import Object
from testbed.install.build import ensure
from testbed.install.components import ARGO_RETRY
from testbed.process import TestbedError
from testbed.services.cluster import Cluster
from testbed.services.controlplane import argo_version

IDLE = 8.0  # seconds between the end of an attempt and the next, at least
_WORKED = 6.0  # seconds that pods of a Job run before it is suspended, at least
_JOBS = "jobs.batch"


class Again:
    """What is still to be done to the runs of one wave."""

    def __init__(self, cluster: Cluster, namespace: str, runs: Iterable[Object]) -> None:
        self._cluster, self._namespace = cluster, namespace
        names = [(r["metadata"]["name"], r["metadata"]["name"].rpartition("-r")[0]) for r in runs]
        self._retries = {name: list(RETRIES[workflow]) for name, workflow in names if workflow in RETRIES}
        self._pauses = {name: False for name, workflow in names if workflow in PAUSED}  # by run: whether it pauses
        self._since: dict[str, float] = {}

    def left(self, name: str) -> bool:
        """Whether a run that is over or suspended will go on."""
        return name in self._pauses or bool(self._retries.get(name))

    def look(
        self, objects: dict[str, dict[str, Object]], over: Callable[[Object], bool], keep: Callable[[Object], None]
    ) -> None:
        """Retry, suspend and resume what is due; ``keep`` gets the state of a run before each retry."""
        for name, left in self._retries.items():
            run = objects.get("Workflow", {}).get(name)
            if left and run is not None and over(run) and self._waited(name, IDLE):
                keep(run)
                del objects["Workflow"][name]  # what is read next is the run that goes on
                self._retry(name, left.pop(0))
        for name, paused in list(self._pauses.items()):
            job = objects.get("Job", {}).get(name)
            status = (job or {}).get("status") or {}
            if not paused and status.get("ready") and self._waited(name, _WORKED):
                self._suspend(name, True)
                self._pauses[name] = True
            elif paused and not status.get("active") and _is_suspended(status) and self._waited(name, IDLE):
                self._suspend(name, False)
                del self._pauses[name]

    def _waited(self, name: str, seconds: float) -> bool:
        """Whether a run has been seen as it is for so long; if so, its time begins anew."""
        waited = time.monotonic() - self._since.setdefault(name, time.monotonic()) >= seconds
        if waited:
            del self._since[name]
        return waited

    def _retry(self, name: str, parameters: Iterable[str]) -> None:
        tool = ARGO_RETRY[argo_version()]
        command = [ensure([tool], lambda _: None)[tool], self._cluster.kubeconfig(), self._namespace, name, *parameters]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            raise TestbedError(f"{name} cannot be retried: {done.stderr.strip()}")

    def _suspend(self, name: str, suspended: bool) -> None:
        patch = json.dumps({"spec": {"suspend": suspended}})
        self._cluster.kubectl("patch", _JOBS, name, "-n", self._namespace, "--type=merge", "-p", patch)


def _is_suspended(status: Object) -> bool:
    return any(c["type"] == "Suspended" and c["status"] == "True" for c in status.get("conditions") or ())
