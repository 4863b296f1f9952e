"""Execution of the set: every workflow runs several times under the real controllers, is read, and is deleted."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import IO

from benchmarks.torture.again import Again
from benchmarks.torture.agent import playing
from benchmarks.torture.sets import NEWER, defined
from benchmarks.torture.sets import names as names
from benchmarks.torture.sets import runs_of as runs_of
from benchmarks.torture.truth import unix
from benchmarks.torture.workflows.argo_further import SCHEDULED
from benchmarks.torture.workflows.argo_mixed import NEEDED
from benchmarks.torture.workflows.parts import Object
from testbed.process import TestbedError
from testbed.services.cluster import Cluster
from testbed.services.controlplane import ControlPlane, Options
from testbed.services.engine_parts import require_namespace
from testbed.services.prometheus import PrometheusServer, scrapes_of

NAMESPACE = "torture"
SCRAPE_SECONDS = 2
# Bytes from which the controller packs a node table, and how: 3.7 has no choice.
PACKING = {"MAX_WORKFLOW_SIZE": "20000", "WORKFLOW_COMPRESSION_ALGORITHM": "zstd" if NEWER else "gzip"}
RUN_KINDS = {
    "Workflow": "workflows.argoproj.io",
    "PipelineRun": "pipelineruns.tekton.dev",
    "Job": "jobs.batch",
    "JobSet": "jobsets.jobset.x-k8s.io",
}
_SCHEDULES = "cronworkflows.argoproj.io"
_ALSO = (
    *("workflowtemplates.argoproj.io", "clusterworkflowtemplates.argoproj.io", _SCHEDULES),
    *("pipelines.tekton.dev", "tasks.tekton.dev", "taskruns.tekton.dev"),
)


@dataclass
class Play:
    """Final objects by kind and name, all pods that ever existed, and when each was ready and gone, by uid (unix
    seconds). ``ends``: runs by name as they had ended before each retry."""

    begun: float
    objects: dict[str, dict[str, Object]] = field(default_factory=dict)
    pods: dict[str, Object] = field(default_factory=dict)
    ready: dict[str, float] = field(default_factory=dict)
    gone: dict[str, float] = field(default_factory=dict)
    ended: float = 0.0
    ends: dict[str, list[Object]] = field(default_factory=dict)


@contextmanager
def bed() -> Iterator[tuple[Cluster, PrometheusServer]]:
    """A control plane with all engines and their full CRDs, and a Prometheus that scrapes it."""
    require_namespace()
    options = replace(Options.engines(full_crds=True), nodes=4, argo_settings=PACKING)
    with (
        ControlPlane(options) as control_plane,
        PrometheusServer(scrapes_of(control_plane.cluster, f"{SCRAPE_SECONDS}s")) as prometheus,
        playing(control_plane.cluster, NAMESPACE),
    ):
        yield control_plane.cluster, prometheus


def define(cluster: Cluster, *, large: bool = False) -> None:
    """Create the namespace and all definitions; ``large``: with large requests instead of small ones."""
    cluster.kubectl("create", "namespace", NAMESPACE)
    cluster.kubectl("wait", "--for=create", "serviceaccount/default", "-n", NAMESPACE, "--timeout=250s")
    cluster.apply(*NEEDED, *defined(large=large), namespace=NAMESPACE, validate=False)


def play(
    cluster: Cluster, waves: int, chosen: Sequence[str], say: Callable[[str], None], seconds: float = 900.0
) -> Play:
    """Run all workflows ``waves`` times, each wave after the previous one has ended. Runs that do not end are reported
    and skipped."""
    found = Play(time.time())
    define(cluster)
    with _watched(cluster, found):
        _waves(cluster, found, waves, chosen, say, seconds)
    found.ended = time.time()
    return found


def _waves(
    cluster: Cluster, found: Play, waves: int, chosen: Sequence[str], say: Callable[[str], None], seconds: float
) -> None:
    scheduled = [s["metadata"]["name"] for s in SCHEDULED if s["metadata"]["name"] in chosen]
    _suspend(cluster, scheduled, False)
    for number in range(waves):
        runs = list(runs_of(number, chosen))
        wave(cluster, found, runs, say, seconds)
        say(
            f"wave {number + 1} of {waves}: {len(runs)} runs, {len(found.pods)} pods, {time.time() - found.begun:.0f} s"
        )
    if scheduled:
        _until_ended(cluster, found, scheduled, waves, 60.0 * waves + seconds)
    deadline = time.time() + seconds
    while time.time() < deadline:  # a daemon may outlive its run
        _look(cluster, found, (*RUN_KINDS.values(), *_ALSO, "pods"))
        standing = [p for p in cluster.get("pods", "-n", NAMESPACE)["items"] if p["status"].get("phase") == "Running"]
        if not standing:
            break
        time.sleep(3)


def schedule_of(run: Object) -> str:
    """The CronWorkflow that started a run; empty if none did."""
    return str((run["metadata"].get("labels") or {}).get("workflows.argoproj.io/cron-workflow", ""))


def _until_ended(cluster: Cluster, found: Play, schedules: Sequence[str], runs: int, seconds: float) -> None:
    """Wait until each schedule has had its runs, let none start another, and wait for those that are under way."""

    def started(name: str) -> list[Object]:
        return [w for w in found.objects.get("Workflow", {}).values() if schedule_of(w) == name]

    deadline, stopped = time.time() + seconds, False
    while True:
        _look(cluster, found, (RUN_KINDS["Workflow"],))
        of_each = [started(name) for name in schedules]
        if time.time() > deadline or (stopped and all(over(w) for own in of_each for w in own)):
            return
        if not stopped and min(sum(map(over, own)) for own in of_each) >= runs:
            _suspend(cluster, schedules, True)
            stopped = True
        time.sleep(2)


def _suspend(cluster: Cluster, schedules: Sequence[str], suspended: bool) -> None:
    for name in schedules:
        patch = json.dumps({"spec": {"suspend": suspended}})
        cluster.kubectl("patch", _SCHEDULES, name, "-n", NAMESPACE, "--type=merge", "-p", patch)


def wave(
    cluster: Cluster, found: Play, runs: Sequence[Object], say: Callable[[str], None], seconds: float = 900.0
) -> None:
    """Start the runs and wait until all have ended; those that do not are reported and skipped."""
    if not runs:
        return
    cluster.apply(*runs, namespace=NAMESPACE, validate=False)
    expected = {(r["kind"], r["metadata"]["name"]) for r in runs}
    queued = [r for r in runs if r["spec"].get("suspend")]
    again = Again(cluster, NAMESPACE, runs)
    deadline = time.time() + seconds
    while True:
        _look(cluster, found, tuple(RUN_KINDS.values()))
        while queued:
            run = queued.pop()
            place = (RUN_KINDS[run["kind"]], run["metadata"]["name"], "-n", NAMESPACE)
            cluster.kubectl("patch", *place, "--type=merge", "-p", '{"spec": {"suspend": false}}')
        again.look(found.objects, over, lambda run: found.ends.setdefault(run["metadata"]["name"], []).append(run))
        ended = {(k, n) for k, things in found.objects.items() for n, o in things.items() if over(o)}
        still = {(k, n) for k, n in expected if (k, n) not in ended or again.left(n)}
        if not still:
            return
        if time.time() > deadline:
            say(f"not ended after {seconds:.0f} s: {sorted(n for _, n in still)}")
            return
        time.sleep(2)


@contextmanager
def _watched(cluster: Cluster, found: Play) -> Iterator[None]:
    """Watch all pods and keep the latest state of each, including those deleted before they could be listed."""
    arguments = ("get", "pods", "-n", NAMESPACE, "--watch", "--output-watch-events", "-o", "json")
    command = [str(cluster.kubectl_path), *arguments, f"--kubeconfig={cluster.kubeconfig()}"]

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    processes, over = [start()], threading.Event()

    def watch() -> None:
        while True:
            _record(processes[-1].stdout, found)
            processes[-1].wait()
            if over.is_set():
                return
            processes.append(start())  # a busy API server closes the watch of a slow reader

    reader = threading.Thread(target=watch, daemon=True)
    reader.start()
    try:
        yield
    finally:
        over.set()
        while reader.is_alive():
            processes[-1].terminate()
            reader.join(1.0)


def _record(stream: IO[str] | None, found: Play) -> None:
    for line in stream or ():  # an event each
        event = json.loads(line)
        _keep(found, event["object"])
        if event["type"] == "DELETED":
            found.gone[event["object"]["metadata"]["uid"]] = time.time()


def over(thing: Object) -> bool:
    """Whether a run has ended, by its engine's status."""
    status = thing.get("status") or {}
    if thing["kind"] == "Workflow":
        return bool(thing["metadata"].get("labels", {}).get("workflows.argoproj.io/completed") == "true")
    ends = {"Succeeded": ("True", "False"), "Complete": ("True",), "Completed": ("True",), "Failed": ("True",)}
    return any(c["status"] in ends.get(c["type"], ()) for c in status.get("conditions") or ())


def remove(cluster: Cluster, seconds: float = 120.0) -> None:
    """Delete all runs, and wait until their pods are gone."""
    for resource in (*RUN_KINDS.values(), "taskruns.tekton.dev", "pods"):
        cluster.kubectl("delete", resource, "--all", "-n", NAMESPACE, "--wait=false")
    deadline = time.time() + seconds
    while cluster.get("pods", "-n", NAMESPACE)["items"]:
        if time.time() > deadline:
            raise TestbedError(f"pods not gone after {seconds:.0f} s")
        time.sleep(1)


def _look(cluster: Cluster, found: Play, resources: Sequence[str]) -> None:
    for thing in cluster.get(",".join(resources), "-n", NAMESPACE)["items"]:
        if thing["kind"] == "Pod":
            _keep(found, thing)
        else:
            found.objects.setdefault(thing["kind"], {})[thing["metadata"]["name"]] = thing


def _keep(found: Play, pod: Object) -> None:
    """Keep the latest state of a pod, and its ready time, which is lost when it ends."""
    meta, status = pod["metadata"], pod.setdefault("status", {})  # there is none before the first write of it
    for condition in status.get("conditions") or ():
        since = unix(condition.get("lastTransitionTime"))
        if condition["type"] == "Ready" and condition["status"] == "True" and since is not None:
            found.ready[meta["uid"]] = min(since, found.ready.get(meta["uid"], since))
    known = found.pods.get(meta["uid"])
    if (
        known is not None and "deletionTimestamp" in known["metadata"]
    ):  # the first request, not the last with less grace
        meta |= {k: known["metadata"][k] for k in ("deletionTimestamp", "deletionGracePeriodSeconds")}
    if known is None or int(known["metadata"]["resourceVersion"]) <= int(meta["resourceVersion"]):
        found.pods[meta["uid"]] = pod
