"""A pod that is resized in place while it runs, on a real API server: the sizes that count are those in effect."""

from __future__ import annotations

import json
from typing import Any

import pytest

from concertmaster.core.model import ContainerFact, Outcome, RunRecord, Source, StepExecution, WorkflowKey
from concertmaster.engines.common.executions import execution
from concertmaster.engines.common.manifest import Problems
from concertmaster.engines.common.pods import read_pod, reduced_pod
from concertmaster.history.live_rows import join
from testbed.services.cluster import Cluster
from tests.support.cluster.operator_bed import apply

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

MI = 1024.0**2


def report(cluster: Cluster, namespace: str, resources: dict[str, Any]) -> None:
    """Write the resources in effect to the pod's status, as a kubelet does."""
    (status,) = cluster.get("pod", "train", "-n", namespace)["status"]["containerStatuses"]
    patch = json.dumps({"status": {"containerStatuses": [{**status, "resources": resources}]}})
    cluster.kubectl("patch", "pod", "train", "-n", namespace, "--subresource=status", "--type=merge", "-p", patch)


def test_sizes_are_those_in_effect_after_a_resize(cluster: Cluster, namespace: str) -> None:
    sizes = {"requests": {"cpu": "1", "memory": "256Mi"}, "limits": {"cpu": "2", "memory": "512Mi"}}
    container = {"name": "main", "image": "example/etl:1", "command": ["work"], "resources": sizes}
    spec = {"restartPolicy": "Never", "containers": [container]}
    meta = {"name": "train", "namespace": namespace, "annotations": {"sim/duration": "1000"}}
    apply(cluster, {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec})
    cluster.kubectl("wait", "pod/train", "-n", namespace, "--for=jsonpath={.status.phase}=Running", "--timeout=60s")
    report(cluster, namespace, sizes)  # the API server takes a resize where the kubelet reports resources
    asked = {"requests": {"cpu": "1500m", "memory": "384Mi"}, "limits": {"cpu": "2", "memory": "512Mi"}}
    resize = json.dumps({"spec": {"containers": [{"name": "main", "resources": asked}]}})
    cluster.kubectl("patch", "pod", "train", "-n", namespace, "--subresource=resize", "-p", resize)
    assert cluster.get("pod", "train", "-n", namespace)["spec"]["containers"][0]["resources"] == asked
    # What a kubelet does that could give the CPU and not yet the memory.
    report(cluster, namespace, {**sizes, "requests": {"cpu": "1500m", "memory": "256Mi"}})
    fact, _ = read_pod(reduced_pod(cluster.get("pod", "train", "-n", namespace)), Problems())
    (found,) = fact.containers
    assert (found.cpu_request, found.memory_request) == (1.5, 256 * MI)
    assert (found.cpu_limit, found.memory_limit) == (2.0, 512 * MI)

    key = WorkflowKey(namespace, "Job", "train")
    live = RunRecord(key, "train", fact.created, None, Outcome.RUNNING, Source.LIVE, (execution(fact, "main"),))
    metrics = ContainerFact("main", cpu_request=1.5, memory_request=384 * MI, memory_sampled_peak=200 * MI)
    seen = StepExecution("main", pod="train", created=fact.created, containers=(metrics,))
    (joined,) = join(live, [seen]).steps[0].containers
    assert (joined.memory_request, joined.memory_sampled_peak) == (256 * MI, 200 * MI)
