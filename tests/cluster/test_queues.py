"""Runs that wait in queues, on a real API server with the real Job controller: how long, whose queue, and what to do."""

from __future__ import annotations

import json
import shlex
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from concertmaster.cli import cli
from concertmaster.controller.discovery.config_maps import ConfigMaps
from concertmaster.core.analysis.shared.caches import cache_uses
from concertmaster.core.model import RunRecord, Source, WorkflowKey
from concertmaster.core.model.policy import Policy
from concertmaster.core.pipeline import analyze_workflow
from concertmaster.history import Store
from concertmaster.kube.access import AccessChecker
from concertmaster.kube.client import KubeClient
from concertmaster.report.result import first_status
from concertmaster.report.status.insights import sentences
from testbed.services.cluster import Cluster
from testbed.services.kinds import CRDS, any_content, install_kinds
from tests.support.builders import NOW
from tests.support.cluster.operator_bed import (
    DISCOVER_CRONJOBS,
    apply,
    cronjob,
    install_crds,
    operator,
    policy,
    settings,
    wait_for,
)
from tests.support.core.semaphore_scenario import waiting_scenario

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

HELD = 6.0  # seconds
LOW = {"materiality": {"runMinutesPerMonth": "0.001", "runPercent": "0.1", "moneyPerMonth": "0.01"}}


def jobs(cluster: Cluster, namespace: str, count: int) -> list[dict[str, Any]]:
    """Suspended Jobs of the CronJob ``train`` in the queue ``team``, as Kueue's webhook leaves them."""
    uid = cluster.get("cronjob", "train", "-n", namespace)["metadata"]["uid"]
    owner = {"apiVersion": "batch/v1", "kind": "CronJob", "name": "train", "uid": uid, "controller": True}
    pod = {"restartPolicy": "Never", "containers": [{"name": "main", "image": "example/etl:1", "command": ["work"]}]}
    template = {"metadata": {"annotations": {"sim/duration": "2"}}, "spec": pod}
    return [
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {
                "name": f"train-{i}",
                "namespace": namespace,
                "labels": {"kueue.x-k8s.io/queue-name": "team"},
                "ownerReferences": [owner],
            },
            "spec": {"suspend": True, "template": template},
        }
        for i in range(count)
    ]


def workload(namespace: str, job: dict[str, Any]) -> dict[str, Any]:
    """What Kueue keeps beside a Job, admitted just now."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    conditions = [
        {"type": kind, "status": "True", "reason": kind, "message": "", "lastTransitionTime": now}
        for kind in ("QuotaReserved", "Admitted")
    ]
    return {
        "apiVersion": "kueue.x-k8s.io/v1",
        "kind": "Workload",
        "metadata": {
            "name": f"job-{job['metadata']['name']}",
            "namespace": namespace,
            "labels": {"kueue.x-k8s.io/job-uid": job["metadata"]["uid"]},
        },
        "spec": {"queueName": "team"},
        "status": {"conditions": conditions, "admission": {"clusterQueue": "batch"}},
    }


def test_time_suspended_in_kueue_is_measured_and_a_recommendation(
    cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    install_kinds(cluster, CRDS, any_content("kueue.x-k8s.io", "v1", "Workload", "workloads"))
    kept = cronjob(namespace, "train")
    kept["spec"] |= {"successfulJobsHistoryLimit": 10, "suspend": False}
    kept["spec"]["schedule"] = f"0 {(datetime.now(UTC).hour + 12) % 24} * * *"
    apply(cluster, kept, policy(namespace, discover=DISCOVER_CRONJOBS, analysis=LOW))
    apply(cluster, *jobs(cluster, namespace, 6))
    there = cluster.get("jobs", "-n", namespace)["items"]
    apply(cluster, *({k: v for k, v in workload(namespace, j).items() if k != "status"} for j in there))
    time.sleep(HELD)
    apply(cluster, *(workload(namespace, j) for j in there))
    for job in there:
        name = job["metadata"]["name"]
        cluster.kubectl("patch", "job", name, "-n", namespace, "--type=merge", "-p", '{"spec":{"suspend":false}}')
        time.sleep(0.5)  # runs that start within one second have no rate, and without one nothing is worth a month
    cluster.kubectl("wait", "job", "--all", "-n", namespace, "--for=condition=Complete", "--timeout=120s")
    with operator(
        cluster, tmp_path, settings(tmp_path, {"default": cluster.endpoints["prometheus"]}, namespaces=[namespace])
    ):
        seen: dict[str, Any] = {}

        def analysed() -> dict[str, Any]:
            answer = cluster.run_kubectl("get", "wfp", "cronjob-train", "-n", namespace, "-o", "json")
            seen.update(json.loads(answer.stdout).get("status", {}) if answer.returncode == 0 else {})
            found = seen.get("recommendations") or ()
            return seen if any(r["id"] == "queue-time.suspended" for r in found) else {}

        try:
            status = wait_for("a recommendation on suspension", analysed)
        except AssertionError as error:
            error.add_note(f"the last status: {json.dumps(seen)}")
            raise
    with Store(str(tmp_path / "history.db")) as store:
        runs = [r for r in store.runs(WorkflowKey(namespace, "CronJob", "train")) if r.source is Source.LIVE]
    assert len(runs) == 6
    for run in runs:
        assert run.suspension is not None
        assert run.suspension.by == "ClusterQueue batch"
        assert HELD - 2.0 <= run.suspension.seconds <= HELD + 30.0
    found = next(r for r in status["recommendations"] if r["id"] == "queue-time.suspended")
    assert "ClusterQueue batch" in found["action"]
    assert "of the time from creation to end, in 6 runs" in found["because"]
    assert any("; not included: " in line and "suspended" in line for line in status["insights"]), status["insights"]


def grant(cluster: Cluster, namespace: str, *rules: dict[str, Any]) -> None:
    """Rights of ``viewer`` in the namespace, none but these."""
    group = "rbac.authorization.k8s.io"
    meta = {"name": "reader", "namespace": namespace}
    subject = {"kind": "User", "apiGroup": group, "name": "viewer@example.com"}
    binding = {"roleRef": {"apiGroup": group, "kind": "Role", "name": "reader"}, "subjects": [subject]}
    apply(cluster, {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": meta, "rules": list(rules)})
    apply(cluster, {"apiVersion": f"{group}/v1", "kind": "RoleBinding", "metadata": meta, **binding})


def config_maps(namespace: str, entries: int) -> list[dict[str, Any]]:
    """A semaphore of two places, and a cache as the Argo controller keeps it: half of its entries are of yesterday."""
    at = [time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - s)) for s in (90_000.0, 60.0)]
    stored = {
        f"k{i}": json.dumps({"nodeID": "n", "outputs": {}, "creationTimestamp": at[i % 2]}) for i in range(entries)
    }
    kind = {"apiVersion": "v1", "kind": "ConfigMap"}
    labels = {"workflows.argoproj.io/configmap-type": "Cache"}
    return [
        {**kind, "metadata": {"name": "limits", "namespace": namespace}, "data": {"db": "2"}},
        {**kind, "metadata": {"name": "etl-cache", "namespace": namespace, "labels": labels}, "data": stored},
    ]


def run_printed(cluster: Cluster, command: str) -> None:
    """A printed kubectl command, as it stands."""
    program, *arguments = shlex.split(command)
    assert program == "kubectl"
    cluster.kubectl(*arguments)


def asked(run: RunRecord, *, hit: bool) -> RunRecord:
    """The run, whose first step asked its cache."""
    return replace(run, steps=tuple(replace(e, cache_hit=hit) if e.step == "a" else e for e in run.steps))


def test_semaphores_and_caches_are_read_where_allowed_and_their_commands_work(cluster: Cluster, namespace: str) -> None:
    apply(cluster, *config_maps(namespace, 10))
    of = waiting_scenario(2)
    memoize = {"key": "x", "maxAge": "24h", "cache": {"configMap": {"name": "etl-cache"}}}
    of.manifest["metadata"]["namespace"] = namespace
    of.manifest["spec"]["templates"][1]["memoize"] = memoize
    definition = of.definition
    client = KubeClient.connect(cluster.kubeconfig("viewer@example.com"))
    grant(cluster, namespace)
    assert ConfigMaps(client, AccessChecker(client)).read([definition]) == {}

    grant(cluster, namespace, {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]})
    found = wait_for("the right", lambda: ConfigMaps(client, AccessChecker(client)).read([definition]))
    definition = replace(definition, config_maps=found[definition.key])
    runs = tuple(
        replace(
            r,
            workflow=definition.key,
            steps=tuple(replace(e, cache_hit=i % 2 == 0) if e.step == "a" else e for e in r.steps),
        )
        for i, r in enumerate(of.runs)
    )
    result = analyze_workflow(definition, runs, Policy(), profile="etl", now=NOW)
    item = next(r for r in result.recommendations if r.id == "queue-time.lock")
    assert item.action == "Raise semaphore db: 2 -> 4"
    run_printed(cluster, item.how)
    assert cluster.get("configmap", "limits", "-n", namespace)["data"] == {"db": "4"}

    use = result.insights.caches[0]
    line = next(s for s in sentences(result.insights, 20) if s.startswith("Cache etl-cache: "))
    assert "50% of 20 lookups hit" in line
    assert "10 entries, " in line
    aged = cache_uses(replace(result.analysis, now=time.time()))[0]
    assert (aged.stale, len(aged.content.entries if aged.content else ())) == (5, 10)
    _the_report_adds_caches_up(cluster, namespace, first_status(result))
    run_printed(cluster, use.invalidate)
    assert cluster.run_kubectl("get", "configmap", "etl-cache", "-n", namespace).returncode != 0


def _the_report_adds_caches_up(cluster: Cluster, namespace: str, status: dict[str, Any]) -> None:
    """Two profiles with this status, as the API server keeps it, share one cache."""
    install_crds(cluster)
    ref = {"apiVersion": "argoproj.io/v1alpha1", "kind": "WorkflowTemplate", "name": "etl"}
    for name in ("etl", "etl-late"):
        meta = {"name": name, "namespace": namespace}
        kind = {"apiVersion": "concertmaster.dev/v1alpha1", "kind": "WorkflowProfile"}
        apply(cluster, {**kind, "metadata": meta, "spec": {"workflowRef": ref}})
        patch = ("--subresource=status", "--type=merge", "-p", json.dumps({"status": status}))
        cluster.kubectl("-n", namespace, "patch", "wfp", name, *patch)
    words = ["report", "-n", namespace, "--kubeconfig", str(cluster.kubeconfig()), "--output", "md"]
    found = CliRunner().invoke(cli, words, catch_exceptions=False, standalone_mode=False).output
    assert "50% of 40 lookups hit, " in found
    assert found.count("| etl-cache | 20") == 2
