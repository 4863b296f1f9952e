"""RayJobs under KubeRay's operator: what their objects and their pods in the metrics say, against the status it wrote."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import yaml

from concertmaster.core.model import Outcome, RunRecord, WorkflowDefinition
from concertmaster.engines import Claims, assign, define, ended, run_kind
from concertmaster.engines.rayjob.traits import remedies
from concertmaster.history import Store
from concertmaster.prometheus.client import PrometheusClient
from concertmaster.prometheus.collect.reading import Collection, collect
from concertmaster.settings import MetricsSource
from testbed.pytest_plugin import require_binaries
from testbed.services.controlplane import ControlPlane, Options
from testbed.services.kuberay import COMPONENT, Attempt, kuberay
from testbed.services.prometheus import PrometheusServer, scrapes_of
from tests.support.engines.times import near, unix

Object = dict[str, Any]
NAMESPACE = "ml"
TTL = 15
PLANS = {"retried": (Attempt(4, "FAILED"), Attempt(6)), "stopped": (Attempt(4, "STOPPED"),), "submitted": (Attempt(5),)}
OUTCOMES = {"kept": Outcome.SUCCEEDED, "submitted": Outcome.SUCCEEDED, "retried": Outcome.SUCCEEDED,
            "stopped": Outcome.UNKNOWN}  # fmt: skip


def cluster() -> Object:
    def pod(name: str, cpu: str) -> Object:
        return {"spec": {"containers": [{"name": name, "image": "ray:2", "resources": {"requests": {"cpu": cpu}}}]}}

    workers = {"groupName": "gpu", "replicas": 2, "rayStartParams": {}, "template": pod("ray-worker", "1500m")}
    head = {"rayStartParams": {}, "template": pod("ray-head", "1")}
    return {"rayVersion": "2.52.0", "headGroupSpec": head, "workerGroupSpecs": [workers]}


def ray_job(name: str, mode: str, **spec: Any) -> Object:
    meta = {"name": name, "namespace": NAMESPACE}
    own = {"submissionMode": mode, "rayClusterSpec": cluster(), "shutdownAfterJobFinishes": True, **spec}
    return {"apiVersion": "ray.io/v1", "kind": "RayJob", "metadata": meta, "spec": {"entrypoint": "true", **own}}


def pasted() -> Object:
    """The submitter's template as it is printed, with the image that it asks for."""
    text = remedies({("submitter", "ray-job-submitter"): {"requests.cpu": "100m", "limits.memory": "256Mi"}}) or ""
    template: Object = yaml.safe_load(text)["spec"]["submitterPodTemplate"]
    template["spec"]["containers"][0]["image"] = "ray:2"
    return {**template, "metadata": {"annotations": {"sim/duration": "6"}}}


@dataclass
class Played:
    """The RayJobs at their end, all pods that were ever seen, by name, and what Prometheus knows of them."""

    jobs: dict[str, Object] = field(default_factory=dict)
    pods: dict[str, Object] = field(default_factory=dict)
    history: Collection | None = None


@pytest.fixture(scope="module")
def played() -> Played:
    options = replace(Options.everything(), exporter=False)
    require_binaries([*options.binaries(), "prometheus", "promtool", COMPONENT])
    service = {"apiVersion": "ray.io/v1", "kind": "RayService", "metadata": {"name": "serve", "namespace": NAMESPACE},
               "spec": {"serveConfigV2": "applications: []", "rayClusterConfig": cluster()}}  # fmt: skip
    found, begin = Played(), time.time()
    with ControlPlane(options) as bed, PrometheusServer(scrapes_of(bed.cluster, "1s")) as prometheus:
        with kuberay(bed.cluster, PLANS):
            bed.cluster.kubectl("create", "namespace", NAMESPACE)
            bed.cluster.apply(
                service,
                ray_job("kept", "HTTPMode", ttlSecondsAfterFinished=TTL),
                ray_job("submitted", "K8sJobMode", submitterPodTemplate=pasted()),
                ray_job("retried", "HTTPMode", backoffLimit=1),
                ray_job("stopped", "HTTPMode"),
                validate=False,
            )
            for pods in _watched(bed, found):
                if len(found.jobs) == len(OUTCOMES) and all(map(ended, found.jobs.values())) and not pods:
                    break
        prometheus.wait_for_scrapes()
        source = MetricsSource.model_validate({"name": "default", "url": prometheus.url, "scrapeInterval": "1s"})
        until = time.time()
        keys = ("ray.io/cluster", "ray.io/group", "ray.io/serve")
        client = PrometheusClient(source)
        now = until + source.delay_seconds
        found.history = collect(client, namespaces=[NAMESPACE], since=begin, until=until, now=now, label_keys=keys)
    return found


def _watched(bed: ControlPlane, found: Played) -> Iterator[list[str]]:
    """The pods of Ray clusters of RayJobs that are there, at each look; raises AssertionError after five minutes."""
    end = time.monotonic() + 300
    while time.monotonic() < end:
        pods = {o["metadata"]["name"]: o for o in bed.cluster.get("pods", "-n", NAMESPACE)["items"]}
        found.pods.update(pods)
        found.jobs = {o["metadata"]["name"]: o for o in bed.cluster.get("rayjobs", "-n", NAMESPACE)["items"]}
        labels = [(name, pod["metadata"]["labels"]) for name, pod in pods.items()]
        yield [name for name, own in labels if "ray.io/cluster" in own and "ray.io/serve" not in own]
        time.sleep(0.5)
    raise AssertionError({name: job.get("status") for name, job in found.jobs.items()})


def workflow(name: str, way: str) -> WorkflowDefinition:
    selector = {"apiVersion": "ray.io/v1", "kind": "RayJob", "namePrefix": name}
    spec = {"podLabels": {"preset": "kuberay", "value": name}} if way == "preset" else {"runSelector": selector}
    meta = {"name": f"{way}-{name}", "namespace": NAMESPACE}
    profile = {"apiVersion": "concertmaster.dev/v1alpha1", "kind": "WorkflowProfile", "metadata": meta, "spec": spec}
    definition = define(profile)
    assert definition is not None
    return definition


@pytest.fixture(scope="module", params=["preset", "selector"])
def runs(played: Played, request: pytest.FixtureRequest) -> dict[str, RunRecord]:
    """The run of each RayJob, from its object and its pods."""
    definitions = {name: workflow(name, request.param) for name in played.jobs}
    claims, found = Claims(definitions.values()), {}
    assert played.history is not None
    placed = assign(played.history.facts, definitions.values(), job_owners=played.history.job_owners)
    with Store(":memory:") as store:
        for name, raw in played.jobs.items():
            kind, definition = run_kind(raw), definitions[name]
            assert kind is not None and claims.of(raw) is definition
            record = kind.read(raw, (), definition.key, None).record
            store.add({definition.key: placed.executions[definition.key]}, records=[record])
            (found[name],) = store.runs(definition.key, definition=definition)
    return found


def test_pods_carry_the_labels_that_are_read_and_no_name_of_a_rayjob(played: Played) -> None:
    of_clusters = {
        name: pod["metadata"]["labels"] for name, pod in played.pods.items() if "-head-" in name or "-worker-" in name
    }
    assert len(of_clusters) == 18  # of six clusters
    for name, labels in of_clusters.items():
        assert name.startswith(labels["ray.io/cluster"])
        assert labels["ray.io/group"] == ("headgroup" if "-head-" in name else "gpu")
        assert ("ray.io/serve" in labels) is name.startswith("serve-")
        assert not any(key.startswith("ray.io/originated-from") for key in labels)


def test_runs_have_the_outcome_and_the_times_of_their_object(played: Played, runs: dict[str, RunRecord]) -> None:
    assert {name: run.outcome for name, run in runs.items()} == OUTCOMES
    for name, run in runs.items():
        status = played.jobs[name]["status"]
        pods = [pod for pod in played.pods.values() if pod["metadata"]["name"].startswith(f"{name}-")]
        assert {e.pod for e in run.steps} == {pod["metadata"]["name"] for pod in pods}
        assert near(run.start, min(unix(pod["metadata"]["creationTimestamp"]) or 0.0 for pod in pods))
        assert near(run.end, unix(status["endTime"]), 5.0) and (run.end or 0.0) <= (unix(status["endTime"]) or 0.0)
    assert played.history is not None
    last = max(f.last_seen or 0.0 for f in played.history.facts if f.pod.startswith("kept-"))
    assert last > (runs["kept"].end or 0.0) + TTL / 2  # its cluster was there


def test_steps_are_groups_of_pods_and_retries_their_attempts(runs: dict[str, RunRecord]) -> None:
    for name, run in runs.items():
        steps = {"head", "gpu"} | ({"submitter"} if name == "submitted" else set())
        assert {e.step for e in run.steps} == steps
        tries = {0, 1} if name == "retried" else {0}
        assert {(e.item, e.attempt) for e in run.steps if e.step == "gpu"} == {(i, t) for i in "01" for t in tries}
        assert {(e.item, e.attempt) for e in run.steps if e.step == "head"} == {(None, t) for t in tries}


def test_ray_has_as_many_cpus_as_its_container_asks_for_rounded_up(played: Played) -> None:
    workers = [pod for name, pod in played.pods.items() if "-worker-" in name]
    assert all("--num-cpus=2 " in pod["spec"]["containers"][0]["args"][0] for pod in workers)
