"""The operator itself reads semaphores and caches where the chart's right is given, and says what is in them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.services.cluster import Cluster
from testbed.services.kinds import ARGO_CRDS, ARGO_WORKFLOW, CRDS, install_kinds
from tests.support.cluster.live_cluster import ARGO
from tests.support.cluster.operator_bed import apply, operator, policy, settings, wait_for
from tests.support.cluster.operator_checks import grant_reading
from tests.support.core.semaphore_scenario import waiting_scenario
from tests.support.engines.argo_oracle import stamp

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

RUNS = 12
EVERY = 3600.0
MEMOIZE = {"key": "x", "maxAge": "24h", "cache": {"configMap": {"name": "etl-cache"}}}
VIEWER = "viewer@example.com"


def grant(cluster: Cluster, namespace: str, name: str, *rules: dict[str, Any]) -> None:
    """Further rights of the viewer in the namespace."""
    group = "rbac.authorization.k8s.io"
    meta = {"name": name, "namespace": namespace}
    subject = {"kind": "User", "apiGroup": group, "name": VIEWER}
    ref = {"roleRef": {"apiGroup": group, "kind": "Role", "name": name}, "subjects": [subject]}
    apply(
        cluster,
        {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": meta, "rules": list(rules)},
        {"apiVersion": f"{group}/v1", "kind": "RoleBinding", "metadata": meta, **ref},
    )


def workflows(namespace: str, end: float) -> Iterator[dict[str, Any]]:
    """The finished runs as Argo leaves them: two of four steps wait for a place, every other run finds ``a`` cached."""
    of = waiting_scenario(2, RUNS)
    after = {"a": "bcde", **dict.fromkeys("bcde", "z"), "z": ""}
    for i, record in enumerate(of.runs):
        run = f"nightly-etl-{i:05d}"
        begun = end - (RUNS - i) * EVERY
        nodes = {}
        for e in record.steps:
            assert e.created is not None
            assert e.finished is not None
            assert record.start is not None
            start, finish = (begun + t - record.start for t in (e.created, e.finished))
            hit = e.step == "a" and i % 2 == 0
            node = {
                "id": f"{run}-{e.step}",
                "name": f"{run}.{e.step}",
                "displayName": e.step,
                "type": "Pod",
                "phase": "Succeeded",
                "templateName": e.step,
                "templateScope": "namespaced/nightly-etl",
                "boundaryID": run,
                "startedAt": stamp(finish if hit else start),
                "finishedAt": stamp(finish),
                "children": [f"{run}-{n}" for n in after[e.step]],
            }
            if e.step == "a":
                node["memoizationStatus"] = {"hit": hit, "key": "x", "cacheName": "etl-cache"}
            nodes[node["id"]] = node
        last = max(str(n["finishedAt"]) for n in nodes.values())
        nodes[run] = {
            "id": run,
            "name": run,
            "displayName": run,
            "type": "DAG",
            "phase": "Succeeded",
            "templateName": "main",
            "startedAt": stamp(begun),
            "finishedAt": last,
            "children": [f"{run}-a"],
        }
        yield {
            "apiVersion": ARGO,
            "kind": "Workflow",
            "metadata": {
                "name": run,
                "namespace": namespace,
                "labels": {"workflows.argoproj.io/completed": "true"},
            },
            "spec": {"workflowTemplateRef": {"name": "nightly-etl"}},
            "status": {"phase": "Succeeded", "startedAt": stamp(begun), "finishedAt": last, "nodes": nodes},
        }


def config_maps(namespace: str) -> list[dict[str, Any]]:
    """A semaphore of two places, and a cache as the Argo controller keeps it: half of its entries are of the day before."""
    at = [time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - s)) for s in (90_000.0, 60.0)]
    stored = {f"k{i}": json.dumps({"nodeID": "n", "outputs": {}, "creationTimestamp": at[i % 2]}) for i in range(10)}
    kind = {"apiVersion": "v1", "kind": "ConfigMap"}
    labels = {"workflows.argoproj.io/configmap-type": "Cache"}
    return [
        {**kind, "metadata": {"name": "limits", "namespace": namespace}, "data": {"db": "2"}},
        {**kind, "metadata": {"name": "etl-cache", "namespace": namespace, "labels": labels}, "data": stored},
    ]


def test_the_operator_says_what_semaphores_and_caches_hold_where_it_may_read_them(
    cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    install_kinds(cluster, CRDS, ARGO_CRDS, ARGO_WORKFLOW)
    template = dict(waiting_scenario(2).manifest)
    template["metadata"] = {"name": "nightly-etl", "namespace": namespace}
    next(t for t in template["spec"]["templates"] if t["name"] == "a")["memoize"] = MEMOIZE
    discover = [{"apiVersion": ARGO, "kind": "WorkflowTemplate"}]
    end = float(int(time.time() - 60.0))
    apply(cluster, template, *config_maps(namespace), policy(namespace, discover=discover), *workflows(namespace, end))
    grant_reading(cluster, namespace)
    reading = ["get", "list", "watch"]
    grant(
        cluster,
        namespace,
        "argo",
        {"apiGroups": ["argoproj.io"], "resources": ["*"], "verbs": reading},
        {"apiGroups": [""], "resources": ["pods"], "verbs": reading},
    )
    config = settings(tmp_path, {"default": cluster.endpoints["prometheus"]}, namespaces=[namespace])

    def shown() -> tuple[str, str]:
        """What the status says of the cache and of the semaphore."""
        answer = cluster.run_kubectl("get", "wfp", "-n", namespace, "-o", "json")
        found = json.loads(answer.stdout)["items"] if answer.returncode == 0 else []
        status = next((p.get("status") or {} for p in found), {})
        cache = next((line for line in status.get("insights", ()) if line.startswith("Cache etl-cache: ")), "")
        lock = next((r["action"] for r in status.get("recommendations", ()) if r["id"] == "queue-time.lock"), "")
        return cache, lock

    with operator(cluster, tmp_path, config, user=VIEWER):
        cache, lock = wait_for("what the runs alone tell", lambda: s if all(s := shown()) else None)
        assert "50% of 12 lookups hit" in cache
        assert "entries" not in cache
        assert lock.startswith("Hold lock db for less time")
    grant(cluster, namespace, "caches", {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]})
    with operator(cluster, tmp_path, config, user=VIEWER):
        cache, lock = wait_for("what the ConfigMaps hold", lambda: s if "entries" in (s := shown())[0] else None)
    assert "10 entries, 0.1% of 1Mi; 5 older than maxAge" in cache
    assert f"kubectl delete configmap etl-cache -n {namespace}" in cache
    assert lock == "Raise semaphore db: 2 -> 4"
