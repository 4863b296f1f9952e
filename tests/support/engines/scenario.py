"""One execution for all engine tests: every workflow runs to its end under the real controllers, is read live, and is
deleted.

The tests then compare the final objects, the records made from them, and what Prometheus still contains after their
deletion.
"""

from __future__ import annotations

import json
import math
import subprocess
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from testbed.process import TestbedError
from testbed.services.cluster import Cluster
from tests.support.engines.argo_retry import retry
from tests.support.engines.times import unix

NAMESPACE = "engines"
WORKFLOWS = Path(__file__).with_name("workflows")
DEFINITIONS = ("argo-graphs", "argo-behaviour", "tekton")
RUNS = ("argo-runs", "argo-rounds", "tekton-runs", "jobs", "jobsets")
RETRIED = "mended-c2v9x"
SECOND_RUNS = "argo-second-runs"
# Runs that their user ends while the step ``long`` runs, with the field of their spec that says so.
STOPPED = {
    ("Workflow", "stopped-w5n8r"): {"shutdown": "Stop"},
    ("Workflow", "stopped-y2c6f"): {"shutdown": "Terminate"},
    ("PipelineRun", "cancelled-7wm2b"): {"status": "Cancelled"},
}
SEEN_FOR = 20.0  # seconds its pod runs before that: how long one was there is not known if it was between two steps
SCHEDULES = ("cronworkflow/every-minute", "cronworkflow/trigger-single", "cronjob/each-minute")

# Kinds read at the end; pods provide the times that neither engine reports.
KINDS = {
    "Workflow": "workflows.argoproj.io",
    "WorkflowTemplate": "workflowtemplates.argoproj.io",
    "ClusterWorkflowTemplate": "clusterworkflowtemplates.argoproj.io",
    "CronWorkflow": "cronworkflows.argoproj.io",
    "Pipeline": "pipelines.tekton.dev",
    "Task": "tasks.tekton.dev",
    "PipelineRun": "pipelineruns.tekton.dev",
    "TaskRun": "taskruns.tekton.dev",
    "Job": "jobs.batch",
    "CronJob": "cronjobs.batch",
    "JobSet": "jobsets.jobset.x-k8s.io",
    "Pod": "pods",
}
RUN_KINDS = ("Workflow", "PipelineRun", "Job", "JobSet")

Object = dict[str, Any]


def about(name: str) -> pytest.MarkDecorator:
    """Select the run of a test, for the fixture ``run``."""
    return pytest.mark.parametrize("run", [name], indirect=True)


def documents(name: str) -> list[Object]:
    """The objects of one file in `workflows/`."""
    return [d for d in yaml.safe_load_all((WORKFLOWS / f"{name}.yaml").read_text()) if d]


@dataclass
class Scenario:
    """Objects after the end of all runs, by kind and name; `begin` and `end` in unix seconds."""

    begin: float
    end: float = 0.0
    objects: dict[str, dict[str, Object]] = field(default_factory=dict)
    pods_ever: dict[str, Object] = field(default_factory=dict)  # by uid, including deleted ones
    full_schemas: bool | None = None  # whether the server knows all fields of Argo's objects
    failed: Object = field(default_factory=dict)  # the failed state of the run that was retried

    def of(self, kind: str, name: str) -> Object:
        """One object; raises KeyError that lists the available ones."""
        found = self.objects[kind]
        if name not in found:
            raise KeyError(f"no {kind} {name}; there are {', '.join(sorted(found))}")
        return found[name]

    def run_of(self, prefix: str, kind: str = "Workflow") -> Object:
        """The first run whose name starts with `prefix` and a hyphen."""
        names = sorted(n for n in self.objects[kind] if n.startswith(f"{prefix}-") or n == prefix)
        return self.of(kind, names[0] if names else prefix)

    def pods_of(self, kind: str, name: str) -> list[Object]:
        """Pods whose controller is that object."""
        return [
            pod
            for pod in self.pods_ever.values()
            if any((o["kind"], o["name"]) == (kind, name) for o in pod["metadata"].get("ownerReferences", ()))
        ]


def ended(thing: Object) -> bool:
    """Whether a Workflow, PipelineRun, Job or JobSet has finished."""
    status = thing.get("status") or {}
    if thing["kind"] == "Workflow":
        return thing["metadata"].get("labels", {}).get("workflows.argoproj.io/completed") == "true"
    wanted = {"Succeeded": ("True", "False"), "Complete": ("True",), "Completed": ("True",), "Failed": ("True",)}
    return any(c["status"] in wanted.get(c["type"], ()) for c in status.get("conditions") or ())


def succeeded(thing: Object) -> bool:
    """Whether a Workflow, PipelineRun or Job has succeeded."""
    status = thing.get("status") or {}
    good = [
        c for c in status.get("conditions") or () if c["type"] in ("Complete", "Succeeded") and c["status"] == "True"
    ]
    return status.get("phase") == "Succeeded" or bool(good)


def paste(cluster: Cluster, command: str) -> None:
    """Run a printed command in a shell; it must succeed."""
    kubectl = f"{cluster.kubectl_path} --kubeconfig={cluster.kubeconfig()} "
    words = ["sh", "-c", command.replace("kubectl ", kubectl, 1)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


def play(cluster: Cluster, *, seconds: float = 240.0, say: Callable[[str], None] = lambda _: None) -> Scenario:
    """Apply all objects, wait until all runs have ended, and read them. Raises TestbedError with the unfinished ones
    after `seconds`."""
    scenario = Scenario(begin=time.time(), full_schemas=_full_schemas(cluster))
    _prepare(cluster)
    for names in (DEFINITIONS, RUNS):
        cluster.apply(*(d for name in names for d in documents(name)), namespace=NAMESPACE)
    expected = {(d["kind"], d["metadata"]["name"]) for name in RUNS for d in documents(name) if d["kind"] in RUN_KINDS}
    second = documents(SECOND_RUNS)
    deadline = scenario.begin + seconds
    stopped: set[tuple[str, str]] = set()
    open_runs: list[str] = ["everything"]
    while open_runs:
        if time.time() > deadline:
            raise TestbedError(f"not ended after {seconds:.0f} s: {', '.join(open_runs)}")
        time.sleep(1.5)
        runs = _read(cluster, RUN_KINDS)
        scenario.pods_ever.update({p["metadata"]["uid"]: p for p in _read(cluster, ("Pod",))["Pod"].values()})
        for (kind, name), spec in STOPPED.items():
            pod = _running(scenario, f"{name}-long") if (kind, name) not in stopped else None
            if pod is not None:
                stopped.add((kind, name))
                _stop(cluster, kind, name, spec, pod)
        if second and all(ended(runs["Workflow"][_first_of(d)]) for d in second):
            cluster.apply(*second, namespace=NAMESPACE)
            expected |= {("Workflow", d["metadata"]["name"]) for d in second}
            second = []
            continue
        if not scenario.failed and ended(runs["Workflow"][RETRIED]):
            scenario.failed = runs["Workflow"][RETRIED]
            retry(cluster, scenario.failed, {"sim/exit-code": "0"})
            continue
        done = {(kind, name) for kind, things in runs.items() for name, thing in things.items() if ended(thing)}
        open_runs = [f"{kind} {name}" for kind, name in sorted(expected - done)]
        open_runs += [schedule for schedule in SCHEDULES if not _fired(schedule, done)]
        open_runs += [f"{d['kind']} {d['metadata']['name']}" for d in second]
        if not open_runs:
            expected |= _stop_schedules(cluster, runs)
            open_runs = [f"{kind} {name}" for kind, name in sorted(expected - done)]
        say(f"{time.time() - scenario.begin:.0f} s: open {open_runs}")
    _wait_for_pods(cluster, deadline)
    scenario.objects = _read(cluster, tuple(KINDS))
    scenario.pods_ever.update({p["metadata"]["uid"]: p for p in scenario.objects["Pod"].values()})
    scenario.end = time.time()
    return scenario


def play_some(cluster: Cluster, templates: Collection[str]) -> Scenario:
    """One run for each of the named Argo templates only; no other engine needs to be installed."""
    scenario = Scenario(begin=time.time(), full_schemas=_full_schemas(cluster))
    _prepare(cluster)
    declared = [
        d for name in DEFINITIONS for d in documents(name) if d["metadata"]["name"] in {*templates, "lock-limits"}
    ]
    runs = [d for d in documents("argo-runs") if d["spec"].get("workflowTemplateRef", {}).get("name") in templates]
    cluster.apply(*declared, namespace=NAMESPACE)
    cluster.apply(*runs, namespace=NAMESPACE)
    kinds = ("Workflow", "WorkflowTemplate", "Pod")
    while True:
        scenario.objects = _read(cluster, kinds)
        if all(ended(scenario.objects["Workflow"][d["metadata"]["name"]]) for d in runs):
            break
        if time.time() > scenario.begin + 120.0:
            raise TestbedError(f"not ended after 120 s: some of {', '.join(templates)}")
        time.sleep(1)
    scenario.pods_ever = {p["metadata"]["uid"]: p for p in scenario.objects["Pod"].values()}
    scenario.end = time.time()
    return scenario


def _full_schemas(cluster: Cluster) -> bool:
    """Whether the server has Argo's full CRDs. The minimal ones take any content."""
    (version,) = cluster.get("crd", "workflowtemplates.argoproj.io")["spec"]["versions"]
    return "properties" in version["schema"]["openAPIV3Schema"]["properties"]["spec"]


def _prepare(cluster: Cluster) -> None:
    cluster.kubectl("create", "namespace", NAMESPACE)
    cluster.kubectl("wait", "--for=create", "serviceaccount/default", "-n", NAMESPACE, "--timeout=240s")


def _first_of(second: Object) -> str:
    """The run that must finish before a second one is useful: the first of the same template."""
    template = second["spec"]["workflowTemplateRef"]["name"]
    return next(
        d["metadata"]["name"]
        for d in documents("argo-runs")
        if d["spec"].get("workflowTemplateRef", {}).get("name") == template
    )


def _running(scenario: Scenario, prefix: str) -> Object | None:
    """A pod whose name starts like that and that has run long enough for the metrics to know when it was last there."""
    for pod in scenario.pods_ever.values():
        since = unix(pod["status"].get("startTime")) or math.inf
        if pod["metadata"]["name"].startswith(prefix) and pod["status"].get("phase") == "Running":
            return pod if time.time() - since >= SEEN_FOR else None
    return None


def _stop(cluster: Cluster, kind: str, name: str, spec: Object, pod: Object) -> None:
    """End a run as its user does. Argo then asks the containers to terminate, which simulated ones cannot be asked: their
    node reports the exit code of the signal instead. Tekton deletes the pod."""
    change = ("-n", NAMESPACE, "--type=merge", "-p")
    cluster.kubectl("patch", KINDS[kind], name, *change, json.dumps({"spec": spec}))
    if kind != "Workflow":
        return
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    ended = [
        {
            **status,
            "ready": False,
            "state": {
                "terminated": {
                    "exitCode": 143,
                    "reason": "Error",
                    "startedAt": status["state"]["running"]["startedAt"],
                    "finishedAt": now,
                }
            },
        }
        for status in pod["status"]["containerStatuses"]
    ]
    status = {"phase": "Failed", "containerStatuses": ended}
    pod_name = pod["metadata"]["name"]
    cluster.kubectl("patch", "pod", pod_name, "--subresource=status", *change, json.dumps({"status": status}))


def _fired(schedule: str, done: set[tuple[str, str]]) -> bool:
    kind, name = schedule.split("/")
    run_kind = "Workflow" if kind == "cronworkflow" else "Job"
    return any(k == run_kind and n.startswith(f"{name}-") for k, n in done)


def _stop_schedules(cluster: Cluster, runs: dict[str, dict[str, Object]]) -> set[tuple[str, str]]:
    """Suspend all schedules; returns the runs they have started so far."""
    for schedule in SCHEDULES:
        cluster.kubectl("patch", schedule, "-n", NAMESPACE, "--type=merge", "-p", '{"spec": {"suspend": true}}')
    started = set()
    for schedule in SCHEDULES:
        kind, name = schedule.split("/")
        run_kind = "Workflow" if kind == "cronworkflow" else "Job"
        started |= {(run_kind, run) for run in _read(cluster, RUN_KINDS)[run_kind] if run.startswith(f"{name}-")}
    return started


def _read(cluster: Cluster, kinds: tuple[str, ...]) -> dict[str, dict[str, Object]]:
    """Objects by kind and name, including cluster-scoped kinds."""
    result: dict[str, dict[str, Object]] = {kind: {} for kind in kinds}
    for thing in _items(cluster, ",".join(KINDS[kind] for kind in kinds)):
        result[thing["kind"]][thing["metadata"]["name"]] = thing
    return result


def _items(cluster: Cluster, resources: str) -> Iterator[Object]:
    yield from cluster.get(resources, "-n", NAMESPACE)["items"]


def _wait_for_pods(cluster: Cluster, deadline: float) -> None:
    """Runs may end before their last pods do: a daemon, a pod past its deadline."""
    while open_pods := [p for p in _items(cluster, "pods") if p["status"].get("phase") in ("Pending", "Running")]:
        if time.time() > deadline:
            raise TestbedError(f"pods still running: {', '.join(p['metadata']['name'] for p in open_pods)}")
        time.sleep(1)


def remove(cluster: Cluster) -> None:
    """Delete all runs, and wait until their pods are gone."""
    kinds = ("cronworkflows.argoproj.io", "cronjobs.batch", "workflows.argoproj.io", "pipelineruns.tekton.dev")
    for resource in (*kinds, "jobsets.jobset.x-k8s.io", "taskruns.tekton.dev", "jobs.batch", "pods"):
        cluster.kubectl("delete", resource, "--all", "-n", NAMESPACE, "--wait=false")
    deadline = time.time() + 60.0
    while left := [p["metadata"]["name"] for p in _items(cluster, "pods")]:
        if time.time() > deadline:
            raise TestbedError(f"pods not gone after 60 s: {', '.join(left)}")
        time.sleep(1)
