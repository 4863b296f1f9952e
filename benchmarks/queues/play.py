"""Execution of the set: its Jobs wait, are preempted and admitted again, while their Workloads are watched."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.queues.objects import NAMESPACE, Object, cronjobs, queues
from benchmarks.torture.truth import unix
from testbed.services.cluster import Cluster

PREEMPTED_AFTER = 8.0  # seconds for which a low Job runs


@dataclass
class Play:
    """Last states of Jobs and Workloads by name, and of pods by uid; ``admitted``: of each Workload the moments (unix
    seconds) at which Kueue said that it was (True) or was not (False)."""

    begun: float = field(default_factory=time.time)
    jobs: dict[str, Object] = field(default_factory=dict)
    workloads: dict[str, Object] = field(default_factory=dict)
    pods: dict[str, Object] = field(default_factory=dict)
    admitted: dict[str, dict[float, bool]] = field(default_factory=dict)


def play(cluster: Cluster, rounds: int, say: Callable[[str], None]) -> Play:
    """Run six Jobs that share a queue, two in part, one that is never admitted, and ``rounds`` preemptions."""
    cluster.kubectl("create", "namespace", NAMESPACE)
    cluster.kubectl("wait", "--for=create", "serviceaccount/default", "-n", NAMESPACE, "--timeout=120s")
    cluster.apply(*queues(), validate=False)
    cluster.kubectl("wait", "--for=condition=Active", "clusterqueue", "--all", "--timeout=120s")
    cluster.apply(*cronjobs(), validate=False)
    found = Play()
    side = [f"nightly-{i}" for i in range(6)] + ["partial-0", "partial-1"]
    for name in [*side, "never-0"]:
        _start(cluster, name)
    for number in range(rounds):
        low, high = f"low-{number}", f"high-{number}"
        _start(cluster, low)
        begun = time.time()
        _until(cluster, found, lambda begun=begun: time.time() - begun >= PREEMPTED_AFTER)  # type: ignore[misc]
        _start(cluster, high)
        _until(cluster, found, lambda names=(low, high): all(_over(found, n) for n in names))  # type: ignore[misc]
        say(f"round {number + 1} of {rounds}: {low} was preempted by {high}")
    _until(cluster, found, lambda: all(_over(found, name) for name in side))
    return found


def _start(cluster: Cluster, job: str) -> None:
    cluster.kubectl("create", "job", job, "--from", f"cronjob/{job.rpartition('-')[0]}", "-n", NAMESPACE)


def _over(found: Play, name: str) -> bool:
    conditions = (found.jobs.get(name) or {}).get("status", {}).get("conditions") or ()
    return any(c["type"] in ("Complete", "Failed") and c["status"] == "True" for c in conditions)


def _until(cluster: Cluster, found: Play, done: Callable[[], bool], seconds: float = 400.0) -> None:
    """Look at the objects until ``done``, at most for ``seconds``: what did not end has no row that is right."""
    deadline = time.time() + seconds
    while not done() and time.time() < deadline:
        for thing in cluster.get("jobs.batch,workloads.kueue.x-k8s.io,pods", "-n", NAMESPACE)["items"]:
            name = thing["metadata"]["name"]
            if thing["kind"] == "Pod":
                found.pods[thing["metadata"]["uid"]] = thing
            elif thing["kind"] == "Job":
                found.jobs[name] = thing
            else:
                found.workloads[name] = thing
                _note(found, name, thing)
        time.sleep(0.5)


def _note(found: Play, name: str, workload: Object) -> None:
    for condition in workload.get("status", {}).get("conditions") or ():
        at = unix(condition["lastTransitionTime"])
        if condition["type"] == "Admitted" and at is not None:
            found.admitted.setdefault(name, {})[at] = condition["status"] == "True"
