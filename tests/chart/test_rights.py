"""The rights the chart grants are the rights the operator uses: nothing missing, nothing unused.

The operator runs with the ServiceAccount's token through everything it can do, and the API server's audit log is compared
with the rules of the roles.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from concertmaster.engines import ENGINES
from concertmaster.engines.labels.live import RUN_KINDS
from concertmaster.engines.labels.presets import ALL as PRESETS
from testbed.services.prometheus import PrometheusServer
from tests.support.chart.bed import Bed, deployed, source
from tests.support.chart.rights import ARGO, DISCOVER, Triple, used
from tests.support.cluster.operator_bed import (
    Operator,
    apply,
    condition,
    cronjob,
    history,
    policy,
    profile,
    runs_of_cronjob,
    wait_for,
)

pytestmark = pytest.mark.timeout(600)

BY_LABELS = {"podLabels": {"preset": "airflow"}}  # nobody exports these labels here: pods are watched for them
FAST = {"interval": "10s", "limits": {"backfill": "2d"}}


@pytest.fixture
def prometheus(place: str, make_prometheus: Callable[..., PrometheusServer]) -> PrometheusServer:
    """Two days of the hourly CronJob ``etl``."""
    end = time.time() - 30.0
    return make_prometheus(history=history(*runs_of_cronjob(place, "etl", 30, end), end))


def granted(bed: Bed, release: str, namespaces: list[str]) -> set[Triple]:
    """Every right bound to the release's ServiceAccount."""
    cluster = bed.cluster
    label = f"app.kubernetes.io/instance={release}"
    roles = []
    for kind, places in (("role", [["-n", n] for n in namespaces]), ("clusterrole", [[]])):
        for place in places:
            bound = {b["roleRef"]["name"] for b in cluster.get(f"{kind}binding", *place, "-l", label)["items"]}
            found = cluster.get(kind, *place, "-l", label)["items"]
            roles += [r for r in found if r["metadata"]["name"] in bound]  # the others are for people
    return {
        (group, resource, verb)
        for role in roles
        for rule in role["rules"] or ()
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def refuse_status(bed: Bed, kinds: list[str]) -> None:
    """Let the API server refuse statuses of objects labelled ``refuse``, as an older schema would."""
    bed.cluster.apply(
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": "refuse-status"},
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": {
                    "resourceRules": [
                        {
                            "apiGroups": ["concertmaster.dev"],
                            "apiVersions": ["*"],
                            "operations": ["UPDATE"],
                            "resources": [f"{kind}/status" for kind in kinds],
                        }
                    ]
                },
                "validations": [
                    {
                        "expression": "!has(object.metadata.labels) || !('refuse' in object.metadata.labels)",
                        "message": "refused for the test",
                        "reason": "Invalid",
                    }
                ],
            },
        },
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": "refuse-status"},
            "spec": {"policyName": "refuse-status", "validationActions": ["Deny"]},
        },
    )


def targets(place: str) -> list[dict[str, Any]]:
    """One object of every kind of workflow."""
    container = {"name": "main", "image": "example/a:1", "command": ["a"]}
    lock = {"semaphores": [{"configMapKeyRef": {"name": "limits", "key": "db"}}]}
    spec = {"entrypoint": "main", "templates": [{"name": "main", "container": container, "synchronization": lock}]}
    meta = {"name": "one", "namespace": place}
    etl = cronjob(place, "etl", team="data")
    etl["spec"]["jobTemplate"]["metadata"] = {"labels": {"kueue.x-k8s.io/queue-name": "team"}}
    return [
        etl,
        cronjob(place, "brief"),
        {"apiVersion": ARGO, "kind": "WorkflowTemplate", "metadata": meta, "spec": spec},
        {"apiVersion": ARGO, "kind": "ClusterWorkflowTemplate", "metadata": {"name": f"{place}-all"}, "spec": spec},
        {
            "apiVersion": ARGO,
            "kind": "CronWorkflow",
            "metadata": meta,
            "spec": {"schedule": "0 * * * *", "workflowSpec": {"workflowTemplateRef": {"name": "one"}}},
        },
        {
            "apiVersion": "tekton.dev/v1",
            "kind": "Pipeline",
            "metadata": meta,
            "spec": {"tasks": [{"name": "a", "taskSpec": {"steps": [{"name": "s", "image": "example/a:1"}]}}]},
        },
    ]


def finished_runs(place: str) -> list[dict[str, Any]]:
    """One finished run of every kind of run, whose parts lie in objects of their own where the engine does it so."""
    when = time.time()
    at = lambda back: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(when - back))  # noqa: E731
    succeeded = [{"type": "Succeeded", "status": "True", "reason": "Succeeded"}]
    labels = {"tekton.dev/pipeline": "one", "tekton.dev/pipelineRun": "one-run", "tekton.dev/pipelineTask": "a"}
    return [
        {
            "apiVersion": ARGO,
            "kind": "Workflow",
            "metadata": {
                "name": "one-run",
                "namespace": place,
                "labels": {
                    "workflows.argoproj.io/completed": "true",
                    "workflows.argoproj.io/workflow-template": "one",
                },
            },
            "spec": {"workflowTemplateRef": {"name": "one"}},
            "status": {"phase": "Succeeded", "startedAt": at(60), "finishedAt": at(5), "nodes": {}},
        },
        {
            "apiVersion": "tekton.dev/v1",
            "kind": "PipelineRun",
            "metadata": {"name": "one-run", "namespace": place, "labels": {"tekton.dev/pipeline": "one"}},
            "spec": {"pipelineRef": {"name": "one"}},
            "status": {
                "startTime": at(60),
                "completionTime": at(5),
                "conditions": succeeded,
                "childReferences": [
                    {"apiVersion": "tekton.dev/v1", "kind": "TaskRun", "name": "one-run-a", "pipelineTaskName": "a"}
                ],
            },
        },
        {
            "apiVersion": "tekton.dev/v1",
            "kind": "TaskRun",
            "metadata": {"name": "one-run-a", "namespace": place, "labels": labels},
            "spec": {},
            "status": {
                "startTime": at(60),
                "completionTime": at(5),
                "conditions": succeeded,
                "podName": "one-run-a-pod",
            },
        },
    ]


def cluster_policy(name: str, labels: dict[str, str], **spec: Any) -> dict[str, Any]:
    """A ClusterOptimizationPolicy."""
    return {
        "apiVersion": "concertmaster.dev/v1alpha1",
        "kind": "ClusterOptimizationPolicy",
        "metadata": {"name": name, "labels": labels},
        "spec": spec,
    }


def with_recommendations(bed: Bed, place: str) -> bool:
    """Whether the CronJob's profile has its analysis."""
    found = bed.cluster.run_kubectl("get", "wfp", "cronjob-etl", "-n", place, "-o", "json")
    return found.returncode == 0 and condition(json.loads(found.stdout), "Ready").get("reason") == "Analyzed"


def live_through_everything(bed: Bed, place: str, op: Operator, *, cluster_wide: bool) -> None:
    """Discovery of every kind, recommendations, Events, relabelling, withdrawal, refused statuses of every kind."""
    cluster = bed.cluster
    wait_for("recommendations", lambda: with_recommendations(bed, place))
    cluster.kubectl("label", "cronjob", "etl", "-n", place, "team=ml", "--overwrite")
    cluster.kubectl("delete", "cronjob", "brief", "-n", place)
    cluster.apply(*finished_runs(place))
    cluster.kubectl("create", "job", "--from=cronjob/etl", "etl-now", "-n", place)
    ref = {"apiVersion": "batch/v1", "kind": "CronJob", "name": "nowhere"}
    lost = profile(place, "lost", workflowRef=ref)
    selectors = [
        {"apiVersion": run.object.api_version, "kind": run.object.kind, "namePrefix": "train-"}
        for engine in ENGINES
        for run in engine.run_kinds
        if engine.traits.kinds and not any(kind.short for kind in engine.traits.kinds)  # nothing of it was discovered
    ]
    labelled = [p.name for p in PRESETS if p.name in RUN_KINDS]
    selecting = [profile(place, f"selected-{s['kind'].lower()}", runSelector=s) for s in selectors]
    selecting += [profile(place, f"labelled-{n}", podLabels={"preset": n, "value": "train"}) for n in labelled]
    refused = [profile(place, "refused", workflowRef=ref), policy(place, "refused")]
    for obj in refused:
        obj["metadata"]["labels"] = {"refuse": "1"}
    if cluster_wide:
        refused.append(cluster_policy(f"refused-{place}", {"refuse": "1"}))
    apply(cluster, lost, *selecting, *refused)

    def relabelled() -> bool:
        found = cluster.get("wfp", "cronjob-etl", "-n", place)["metadata"]["labels"]
        return bool(found.get("team") == "ml")

    wait_for("the label", relabelled)
    names = lambda: {p["metadata"]["name"] for p in cluster.get("wfp", "-n", place)["items"]}  # noqa: E731
    wait_for("withdrawal", lambda: "cronjob-brief" not in names())
    reasons = lambda: {e["reason"] for e in cluster.get("events", "-n", place)["items"]}  # noqa: E731
    wait_for("an Event about the missing target", lambda: "NotFound" in reasons() or len(reasons()) > 0)

    def problems() -> str:
        return json.dumps([line.get("problems") for line in op.cycles()])

    for obj in refused:
        where = f"{place}/refused" if "namespace" in obj["metadata"] else obj["metadata"]["name"]
        wait_for(f"{obj['kind']} refused", lambda where=where, kind=obj["kind"]: f"{kind} {where}: " in problems())
    cluster.kubectl("wait", "job/etl-now", "-n", place, "--for=condition=Complete", "--timeout=60s")

    def read() -> set[str]:
        return {c.resource for c in bed.audit.calls(place, "cm-concertmaster")}

    wait_for("the parts of live runs to be read", lambda: {"pods", "taskruns"} <= read())
    op.next_cycles(1)


def test_rights_of_the_whole_cluster_are_all_used_and_enough(
    bed: Bed, place: str, prometheus: PrometheusServer, tmp_path: Path
) -> None:
    chosen = {"reads": {"kueueWorkloads": True, "argoConfigMaps": True}}
    bed.install("cm", place, {"sources": [source(prometheus.url)], "config": FAST, **chosen})
    refuse_status(bed, ["workflowprofiles", "optimizationpolicies", "clusteroptimizationpolicies"])
    here = {"matchLabels": {"kubernetes.io/metadata.name": place}}
    wide = cluster_policy("all", {}, discover=[*DISCOVER, BY_LABELS], namespaceSelector=here)
    apply(bed.cluster, *targets(place), wide, policy(place, "team"))
    with deployed(bed, "cm", place, tmp_path) as op:
        live_through_everything(bed, place, op, cluster_wide=True)
        assert op.stop() < 15.0
    rights, denied = used(bed, place)
    assert denied == set()
    assert rights == granted(bed, "cm", [place])


def test_rights_in_listed_namespaces_are_all_used_and_enough(
    bed: Bed, place: str, prometheus: PrometheusServer, tmp_path: Path
) -> None:
    """What lies outside the namespaces is not even asked for: a denial in every cycle would be an alert for ever."""
    bed.install("cm", place, {"namespaces": [place], "sources": [source(prometheus.url)], "config": FAST})
    refuse_status(bed, ["workflowprofiles", "optimizationpolicies"])
    wanted = [d for d in DISCOVER if d["kind"] != "ClusterWorkflowTemplate"]
    apply(bed.cluster, *targets(place), policy(place, "team", discover=[*wanted, BY_LABELS]))
    with deployed(bed, "cm", place, tmp_path) as op:
        live_through_everything(bed, place, op, cluster_wide=False)
    rights, denied = used(bed, place)
    assert denied == set()
    assert rights == granted(bed, "cm", [place])


def test_an_engine_switched_off_is_reported_in_the_profile(
    bed: Bed, place: str, prometheus: PrometheusServer, tmp_path: Path
) -> None:
    values = {"engines": {"tekton": False}, "sources": [source(prometheus.url)], "config": FAST}
    bed.install("cm", place, values)
    ref = {"apiVersion": "tekton.dev/v1", "kind": "Pipeline", "name": "one"}
    apply(bed.cluster, *targets(place), profile(place, "pipe", workflowRef=ref))
    with deployed(bed, "cm", place, tmp_path):
        found = wait_for(
            "the condition",
            lambda: condition(bed.cluster.get("wfp", "pipe", "-n", place), "TargetResolved"),
        )
    assert found["status"] != "True"
    assert "may not list pipelines.tekton.dev" in found["message"]


def write_access(bed: Bed, place: str) -> dict[str, Any]:
    """The policy's condition."""
    return condition(bed.cluster.get("opol", "team", "-n", place), "WriteAccess")


def test_write_access_follows_the_chart(bed: Bed, place: str, prometheus: PrometheusServer, tmp_path: Path) -> None:
    """Denied with the Helm values to change; exactly these grant it, without a restart."""
    values = {"sources": [source(prometheus.url)], "config": FAST}
    bed.install("cm", place, values)
    discover = [{"apiVersion": "batch/v1", "kind": "CronJob"}]
    apply(bed.cluster, *targets(place), policy(place, "team", discover=discover, apply={"mode": "Auto"}))
    with deployed(bed, "cm", place, tmp_path) as op:
        wait_for("denied", lambda: write_access(bed, place).get("reason") == "Denied")
        message = write_access(bed, place)["message"]
        assert f"Set apply.enabled to true and add {place} to apply.namespaces" in message
        before = bed.cluster.get("cronjob", "etl", "-n", place)["metadata"]["resourceVersion"]
        op.next_cycles(1)
        assert bed.cluster.get("cronjob", "etl", "-n", place)["metadata"]["resourceVersion"] == before
    bed.helm("upgrade", "cm", str(Path(__file__).parents[2] / "charts/concertmaster"), "-n", place,
             "--reuse-values", "--set", f"apply.enabled=true,apply.namespaces={{{place}}}")  # fmt: skip
    with deployed(bed, "cm", place, tmp_path):
        wait_for("granted", lambda: write_access(bed, place).get("reason") == "Granted")


def test_a_second_replica_stands_still(bed: Bed, place: str, prometheus: PrometheusServer, tmp_path: Path) -> None:
    bed.install("cm", place, {"sources": [source(prometheus.url)], "config": FAST})
    apply(bed.cluster, *targets(place), policy(place, "team", discover=[{"apiVersion": "batch/v1", "kind": "CronJob"}]))
    for part in ("a", "b"):
        (tmp_path / part).mkdir()
    with (
        deployed(bed, "cm", place, tmp_path / "a", pod="cm-a") as first,
    ):
        wait_for("the first works", lambda: first.get("/readyz")[0] == 200)
        with deployed(bed, "cm", place, tmp_path / "b", pod="cm-b") as second:
            line = wait_for(
                "the second to say so",
                lambda: [x for x in second.read() if "standby: cm-a holds the lease" in x["msg"]],
            )
            assert len(line) == 1
            first.next_cycles(1)
            assert second.get("/healthz")[0] == 200
            assert second.get("/readyz")[0] == 503
            assert second.cycles() == []
            assert (first.metric("concertmaster_active"), second.metric("concertmaster_active")) == (1, 0)
            first.stop()
            wait_for("the second takes over", lambda: second.metric("concertmaster_active") == 1, 20)
            wait_for("the second works", lambda: second.get("/readyz")[0] == 200)
