"""What the chart grants for changes is enough for the whole loop, and nothing is asked for beyond it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from testbed.series.lives import PodLife
from testbed.series.runs import fnv32a
from testbed.services.prometheus import PrometheusServer
from tests.support.chart.bed import Bed, deployed, source
from tests.support.chart.rights import ARGO, DISCOVER, used
from tests.support.cluster.operator_bed import apply, cronjob, history, policy, runs_of_cronjob, wait_for

pytestmark = pytest.mark.timeout(600)

FAST = {"interval": "10s", "limits": {"backfill": "2d"}}
SMALLER = {"bounds": {"maxStepPercent": 20}}  # gives other plans
CRONJOBS = [{"apiVersion": "batch/v1", "kind": "CronJob"}]
WORK = {
    "image": "example/etl:1",
    "command": ["work"],
    "resources": {"requests": {"cpu": "1", "memory": "2Gi"}},
}
DAG = {
    "entrypoint": "main",
    "templates": [
        {"name": "main", "dag": {"tasks": [{"name": "work", "template": "work"}]}},
        {"name": "work", "container": WORK},
    ],
}


@pytest.fixture
def place(bed: Bed, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of the test's own with the release's objects removed afterwards."""
    name = bed.namespace(f"changes-{abs(hash(request.node.name)) % 10**8}")
    yield name
    bed.remove("cm", name)
    bed.cluster.run_kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def prometheus(place: str, make_prometheus: Callable[..., PrometheusServer]) -> PrometheusServer:
    """Two days of the hourly CronJob ``etl``."""
    end = time.time() - 30.0
    return make_prometheus(history=history(*runs_of_cronjob(place, "etl", 30, end), end))


def phases(bed: Bed, place: str) -> list[str]:
    """The phases of all changes."""
    found: list[dict[str, Any]] = bed.cluster.get("wfc", "-n", place)["items"]
    return sorted(str((c.get("status") or {}).get("phase")) for c in found)


def reject_all(bed: Bed, place: str) -> None:
    """A person rejects every plan; ended changes are left alone, since they may be pruned meanwhile."""
    who = json.loads(bed.cluster.kubectl("auth", "whoami", "-o", "json"))["status"]["userInfo"]["username"]
    for change in bed.cluster.get("wfc", "-n", place)["items"]:
        if (change.get("status") or {}).get("phase", "Proposed") != "Proposed":
            continue
        name = change["metadata"]["name"]
        decision = json.dumps({"spec": {"decision": "Reject", "decidedBy": who}})
        bed.cluster.kubectl("patch", "wfc", name, "-n", place, "--type=merge", "-p", decision)


def test_the_granted_rights_carry_the_loop(bed: Bed, place: str, prometheus: PrometheusServer, tmp_path: Path) -> None:
    values = {
        "sources": [source(prometheus.url)],
        "config": FAST,
        "apply": {"enabled": True, "namespaces": [place]},
    }
    bed.install("cm", place, values)
    rules = {"mode": "Approve", "changeHistoryLimit": 1}
    apply(bed.cluster, cronjob(place, "etl"), policy(place, "team", discover=CRONJOBS, apply=rules))
    with deployed(bed, "cm", place, tmp_path) as op:
        wait_for("a proposal", lambda: phases(bed, place) == ["Proposed"])
        reject_all(bed, place)
        wait_for("its end", lambda: phases(bed, place) == ["Completed"])
        apply(bed.cluster, policy(place, "team", discover=CRONJOBS, apply=rules | SMALLER))
        wait_for("another proposal", lambda: "Proposed" in phases(bed, place))
        reject_all(bed, place)
        wait_for("the older one to be pruned", lambda: phases(bed, place) == ["Completed"])
        bed.cluster.kubectl("delete", "wfc", "--all", "-n", place)
        apply(bed.cluster, policy(place, "team", discover=CRONJOBS, apply={"mode": "Auto"}))
        wait_for("a change under verification", lambda: "Verifying" in phases(bed, place))
        bed.cluster.kubectl("delete", "wfc", "--all", "-n", place)
        resources = "{.spec.jobTemplate.spec.template.spec.containers[0].resources.requests}"
        wait_for(
            "it to be taken back",
            lambda: (
                bed.cluster.kubectl("get", "cronjob", "etl", "-n", place, "-o", f"jsonpath={resources}")
                == '{"cpu":"1","memory":"2Gi"}'
            ),
        )
        assert op.process.poll() is None
    rights, denied = used(bed, place)
    # a namespace another test is deleting refuses new objects whatever the rights are
    assert {d for d in denied if "/namespaces/" not in d or f"/namespaces/{place}/" in d} == set()
    assert {
        ("concertmaster.dev", "workflowchanges", "create"),
        ("concertmaster.dev", "workflowchanges", "delete"),
        ("concertmaster.dev", "workflowchanges", "get"),
        ("concertmaster.dev", "workflowchanges/status", "patch"),
        ("batch", "cronjobs", "get"),
        ("batch", "cronjobs", "patch"),
        ("", "limitranges", "list"),
        ("", "resourcequotas", "list"),
        ("autoscaling", "horizontalpodautoscalers", "list"),
        ("autoscaling.k8s.io", "verticalpodautoscalers", "list"),
        ("keda.sh", "scaledobjects", "list"),
    } <= rights


def definitions(place: str) -> list[dict[str, Any]]:
    """One workflow of every kind of two engines that may be changed; each runs one container that asks for too much."""
    meta = {"namespace": place}
    step = {"name": "work", "image": WORK["image"], "computeResources": WORK["resources"]}
    return [
        {"apiVersion": ARGO, "kind": "WorkflowTemplate", "metadata": {**meta, "name": "tmpl"}, "spec": DAG},
        {
            "apiVersion": ARGO,
            "kind": "CronWorkflow",
            "metadata": {**meta, "name": "cron"},
            "spec": {"schedule": "0 * * * *", "workflowSpec": DAG},
        },
        {
            "apiVersion": "tekton.dev/v1",
            "kind": "Pipeline",
            "metadata": {**meta, "name": "pipe"},
            "spec": {"tasks": [{"name": "work", "taskSpec": {"steps": [step]}}]},
        },
        {
            "apiVersion": "tekton.dev/v1",
            "kind": "Task",
            "metadata": {**meta, "name": "unit"},
            "spec": {"steps": [step]},
        },
        {
            "apiVersion": "tekton.dev/v1",
            "kind": "Pipeline",
            "metadata": {**meta, "name": "refs"},
            "spec": {"tasks": [{"name": "work", "taskRef": {"name": "unit"}}]},
        },
    ]


def runs(place: str, end: float) -> Iterator[PodLife]:
    """Their runs over two days: the pods of the hourly CronJob, with the names and owners of the engines."""
    for i, pod in enumerate(runs_of_cronjob(place, "etl", 30, end)[0]):
        (container,) = pod.containers
        letters = "bcdfghjklmnpqrstvwxz2456789"
        suffix = "".join(letters[(i * 7 + k * (3 + i // 27)) % len(letters)] for k in range(5))  # no name twice
        for run in (f"tmpl-{suffix}", f"cron-{int(pod.created)}", f"pipe-{suffix}", f"refs-{suffix}"):
            tekton = run.startswith(("pipe", "refs"))
            yield replace(
                pod,
                pod=f"{run}-work-pod" if tekton else f"{run}-work-{fnv32a(f'{run}.work')}",
                uid=f"uid-{place}-{run}",
                owner_kind="TaskRun" if tekton else "Workflow",
                owner_name=f"{run}-work" if tekton else run,
                containers=[replace(container, name="step-work" if tekton else "main")],
            )


def test_every_right_to_change_is_used_and_enough(
    bed: Bed, place: str, make_prometheus: Callable[..., PrometheusServer], tmp_path: Path
) -> None:
    """One workflow of every kind is changed; what the Role of the namespace grants is then all used."""
    end = time.time() - 30.0
    jobs = runs_of_cronjob(place, "etl", 30, end)
    prometheus = make_prometheus(history=history([*jobs[0], *runs(place, end)], jobs[1], end))
    values = {"sources": [source(prometheus.url)], "config": FAST, "apply": {"enabled": True, "namespaces": [place]}}
    bed.install("cm", place, values)
    wanted = [d for d in DISCOVER if d["kind"] != "ClusterWorkflowTemplate"]
    wanted.append({"apiVersion": ARGO, "kind": "CronWorkflow"})
    rules = {"mode": "Approve", "changeHistoryLimit": 1}
    apply(bed.cluster, *definitions(place), cronjob(place, "etl"), policy(place, "team", discover=wanted, apply=rules))
    (role,) = [r for r in bed.cluster.get("role", "-n", place)["items"] if r["metadata"]["name"].endswith("-apply")]
    granted = {(g, r, v) for x in role["rules"] for g in x["apiGroups"] for r in x["resources"] for v in x["verbs"]}
    with deployed(bed, "cm", place, tmp_path):
        wait_for("proposals for all five", lambda: len(phases(bed, place)) >= 5)
        reject_all(bed, place)
        wait_for("their end", lambda: "Proposed" not in phases(bed, place))
        apply(bed.cluster, policy(place, "team", discover=wanted, apply=rules | SMALLER))
        wait_for("other proposals", lambda: phases(bed, place).count("Proposed") >= 5)
        reject_all(bed, place)
        delete = ("concertmaster.dev", "workflowchanges", "delete")
        wait_for("finished ones to be pruned", lambda: delete in used(bed, place)[0])
        bed.cluster.kubectl("delete", "wfc", "--all", "-n", place)
        apply(bed.cluster, policy(place, "team", discover=wanted, apply={"mode": "Auto", "changeHistoryLimit": 1}))
        limit = time.monotonic() + 120.0
        while granted - used(bed, place)[0] and time.monotonic() < limit:
            time.sleep(1.0)
        reported = {c["metadata"]["name"]: c.get("status") for c in bed.cluster.get("wfc", "-n", place)["items"]}
    rights, denied = used(bed, place)
    assert granted - rights == set(), reported
    assert {d for d in denied if "/namespaces/" not in d or f"/namespaces/{place}/" in d} == set()
