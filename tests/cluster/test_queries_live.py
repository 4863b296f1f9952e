"""The bulk queries on series scraped from a real kube-state-metrics: staleness markers, restarts, real labels.

Container usage comes from the test bed's exporter and is simulated; everything else is real.
"""

from __future__ import annotations

import json
import time

import pytest

from concertmaster.core.model import PodFact
from concertmaster.prometheus.client import PrometheusClient
from concertmaster.prometheus.collect import source_traits
from concertmaster.prometheus.collect.reading import Collection, CollectOptions, collect
from concertmaster.settings import MetricsSource
from testbed.series.lives import KUBELET_JOB
from testbed.services.cluster import Cluster
from tests.support.cluster.bed_jobs import job, pods_of, unix
from tests.support.waiting import until


@pytest.fixture
def client(cluster: Cluster) -> PrometheusClient:
    return PrometheusClient(
        MetricsSource.model_validate({"name": "default", "url": cluster.endpoints["prometheus"], "delaySeconds": 0})
    )


def look(client: PrometheusClient, namespace: str, since: float) -> Collection:
    now = time.time()
    return collect(
        client,
        namespaces=[namespace],
        since=since,
        until=now,
        now=now,
        label_keys=("batch.kubernetes.io/job-name",),
        options=CollectOptions(),
    )


def collected(client: PrometheusClient, namespace: str, since: float, count: int) -> dict[str, PodFact]:
    """Facts by Job, as soon as there are ``count`` pods."""
    found = until(lambda: facts if len(facts := look(client, namespace, since).facts) >= count else None, seconds=60)
    return {fact.owner_name or "": fact for fact in found}


def test_jobs_of_a_real_cluster(cluster: Cluster, namespace: str, client: PrometheusClient) -> None:
    since = time.time() - 5
    resources = {"requests": {"cpu": "250m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}}
    work = {"sim/duration": "12", "sim/cpu": "500m", "sim/memory-peak": "100Mi"}
    too_much = {**work, "sim/memory-peak": "300Mi"}
    cluster.apply(
        job("fine", work, resources=resources),
        job("oom", too_much, resources=resources, backoffLimit=0),
        job("busy", {"sim/duration": "600"}),
        namespace=namespace,
    )
    facts = collected(client, namespace, since, 2)
    assert sorted(facts) == ["fine", "oom"]
    (pod,) = pods_of(cluster, namespace, "fine")
    fine, oom = facts["fine"], facts["oom"]
    assert (fine.uid, fine.pod, fine.node) == (pod["metadata"]["uid"], pod["metadata"]["name"], pod["spec"]["nodeName"])
    assert fine.created == unix(pod["metadata"]["creationTimestamp"])
    assert fine.started == unix(pod["status"]["startTime"])
    state = pod["status"]["containerStatuses"][0]["state"]["terminated"]
    (inside,) = fine.containers
    assert (fine.finished, inside.started) == (unix(state["finishedAt"]), unix(state["startedAt"]))
    assert (fine.phase, inside.reason, fine.labels) == ("Succeeded", None, {"batch_kubernetes_io_job_name": "fine"})
    assert (inside.cpu_request, inside.cpu_limit, inside.memory_request, inside.memory_limit) == (
        0.25,
        None,
        64 * 2**20,
        128 * 2**20,
    )
    assert inside.image == "app:1"
    assert inside.cpu_seconds is not None and 3 <= inside.cpu_seconds <= 6.1
    assert inside.memory_sampled_peak == pytest.approx(100 * 2**20, rel=0.1)
    assert inside.samples and not inside.ambiguous
    assert (oom.phase, oom.containers[0].reason) == ("Failed", "OOMKilled")


def test_kills_that_a_restart_in_the_pod_makes_good(cluster: Cluster, namespace: str, client: PrometheusClient) -> None:
    """Of a container, and of an init container, whose status the simulated kubelet does not restart: it is written here."""
    since = time.time() - 5
    killed = {"sim/exit-code": "137", "sim/reason": "OOMKilled", "sim/fail-until": "1", "sim/duration": "8"}
    first = job("first", {"sim/duration": "15"})
    first["spec"]["template"]["spec"]["initContainers"] = [{"name": "fetch", "image": "git:1"}]
    cluster.apply(job("rescued", killed, restart="OnFailure"), first, namespace=namespace)
    (pod,) = until(lambda: [p for p in pods_of(cluster, namespace, "first") if p["status"].get("phase") == "Running"])
    (status,) = pod["status"]["initContainerStatuses"]
    ended = status["state"]["terminated"] | {"reason": "OOMKilled", "exitCode": 137}
    patch = {"status": {"initContainerStatuses": [status | {"restartCount": 1, "lastState": {"terminated": ended}}]}}
    name = pod["metadata"]["name"]
    cluster.kubectl(
        "patch", "pod", name, "-n", namespace, "--subresource=status", "--type=merge", "-p", json.dumps(patch)
    )
    facts = collected(client, namespace, since, 2)
    (state,) = pods_of(cluster, namespace, "rescued")[0]["status"]["containerStatuses"]
    (rescued,) = facts["rescued"].containers
    assert (facts["rescued"].phase, rescued.reason, rescued.oom_killed) == ("Succeeded", None, True)
    assert rescued.started is not None and rescued.restarted_after_oom is not None
    assert rescued.started == unix(state["lastState"]["terminated"]["startedAt"])
    assert rescued.restarted_after_oom == unix(state["state"]["terminated"]["startedAt"])
    init = {c.name: (c.init, c.oom_killed) for c in facts["first"].containers}
    assert init == {"fetch": (True, True), "main": (False, False)}


def test_prometheus_says_how_often_it_scrapes_containers(cluster: Cluster, client: PrometheusClient) -> None:
    listed = [t for t in client.targets() if t["labels"]["job"] == KUBELET_JOB]
    source_traits.learn_interval(client, time.time())
    assert listed and {t["scrapeInterval"] for t in listed} == {f"{client.scrape_interval:.0f}s"}


def test_a_pod_deleted_while_it_runs_vanishes(cluster: Cluster, namespace: str, client: PrometheusClient) -> None:
    since = time.time() - 5
    cluster.apply(job("short", {"sim/duration": "600"}), namespace=namespace)
    until(lambda: [pod for pod in pods_of(cluster, namespace, "short") if pod["status"].get("phase") == "Running"])
    # Its last sample is looked for every five seconds of its life, and a loaded machine scrapes it late.
    seen = f'count_over_time(kube_pod_info{{namespace="{namespace}"}}[1m])'
    until(lambda: max(client.instant(seen, time.time()).values, default=0.0) >= 5)
    assert look(client, namespace, since).facts == ()
    deleted = time.time()
    cluster.kubectl("delete", "job", "short", "-n", namespace, "--grace-period=0", "--force")
    fact = collected(client, namespace, since, 1)["short"]
    assert (fact.vanished, fact.phase, fact.finished) == (True, None, None)
    assert fact.last_seen is not None and deleted - 10 <= fact.last_seen <= deleted + 10
