"""The operator as a process, on a real API server and a real Prometheus with two days of history."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from testbed.services.cluster import Cluster
from testbed.services.controlplane import ControlPlane
from testbed.services.prometheus import PrometheusServer
from tests.support.cluster.operator_bed import (
    DISCOVER_CRONJOBS,
    Operator,
    analysed,
    apply,
    condition,
    cronjob,
    get_object,
    history,
    hourly_runs,
    install_crds,
    operator,
    policy,
    profile,
    runs_of_cronjob,
    settings,
    wait_for,
    with_series,
)
from tests.support.cluster.operator_checks import assert_unsoiled, grant_reading

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]


@pytest.fixture
def prometheus(namespace: str, make_prometheus: Callable[..., PrometheusServer]) -> PrometheusServer:
    """Two days of an hourly CronJob ``etl`` in the test's namespace."""
    return make_prometheus(history=hourly_runs(namespace, "etl"))


def test_policies_become_recommendations_and_the_next_cycles_write_nothing(
    bed: Cluster, namespace: str, prometheus: PrometheusServer, tmp_path: Path
) -> None:
    apply(
        bed,
        cronjob(namespace, "etl", team="data"),
        policy(namespace, discover=DISCOVER_CRONJOBS, objectives={"duration": {"p95": "5m"}}),
    )
    before = get_object(bed, "cronjob", namespace, "etl")
    with operator(bed, tmp_path, settings(tmp_path, {"default": prometheus.url}, namespaces=[namespace])) as op:
        found = wait_for("recommendations", lambda: analysed(bed, namespace))
        status = found["status"]
        assert found["metadata"]["labels"]["team"] == "data"
        assert status["runs"]["observed"] == 30
        assert any(r["id"] == "right-size" for r in status["recommendations"])
        assert status["advice"]
        assert condition(found, "MetricsAvailable")["status"] == "True"
        assert condition(found, "TargetResolved")["reason"] == "Found"
        assert condition(found, "ObjectivesMet")["status"] == "False"
        assert {c["observedGeneration"] for c in status["conditions"]} == {found["metadata"]["generation"]}
        assert_unsoiled(found)

        owner = get_object(bed, "opol", namespace, "team")
        assert owner["status"]["matchedProfiles"] == 1
        assert owner["status"]["discoveredProfiles"] == 1
        assert condition(owner, "Ready")["status"] == "True"
        assert condition(owner, "WriteAccess")["reason"] == "NotNeeded"
        assert_unsoiled(owner)

        wait_for("a cycle with nothing to write", lambda: is_calm(op))
        writes, version = (
            op.api_writes(),
            get_object(bed, "wfp", namespace, "cronjob-etl")["metadata"]["resourceVersion"],
        )
        cycles = op.next_cycles(3)
        assert op.api_writes() == writes
        assert get_object(bed, "wfp", namespace, "cronjob-etl")["metadata"]["resourceVersion"] == version
        assert all(set(c["writes"]) <= {"unchanged"} for c in cycles)
        assert all(c["analyzed"] == 0 for c in cycles)
        assert all(c["queries"] <= 15 for c in cycles)

        assert op.get("/healthz") == (200, "ok\n")
        assert op.get("/readyz") == (200, "ok\n")
        assert op.metric('concertmaster_profiles{ready="True"}') == 1
        assert op.metric('concertmaster_source_up{source="default"}') == 1
        assert op.metric("concertmaster_last_success_timestamp_seconds") > time.time() - 60
        assert op.stop() < 15.0
        assert op.process.returncode == 0
    after = get_object(bed, "cronjob", namespace, "etl")
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    assert_unsoiled(after)


def is_calm(op: Operator) -> bool:
    """Whether the last cycle wrote nothing: a policy's status tells of recommendations in the cycle after that which wrote
    them, and these are seen while their own cycle goes on."""
    cycles = op.cycles()
    return bool(cycles) and not cycles[-1]["analyzed"] and set(cycles[-1]["writes"]) <= {"unchanged"}


@pytest.mark.parametrize("kept", [True, False], ids=["with its history", "without"])
def test_a_restarted_operator_says_the_same(
    bed: Cluster, namespace: str, prometheus: PrometheusServer, tmp_path: Path, kept: bool
) -> None:
    apply(bed, cronjob(namespace, "etl"), policy(namespace, discover=DISCOVER_CRONJOBS))
    config = settings(tmp_path, {"default": prometheus.url}, namespaces=[namespace])
    with operator(bed, tmp_path, config) as op:
        wait_for("recommendations", lambda: analysed(bed, namespace))
        wait_for("a cycle with nothing to write", lambda: is_calm(op))
        op.stop()
    before = get_object(bed, "wfp", namespace, "cronjob-etl")
    if not kept:
        (tmp_path / "history.db").unlink()
    with operator(bed, tmp_path, config) as op:
        wait_for("cycles of the new process", lambda: len(op.cycles()) >= 2)
        # Without its history it looked, and had nothing new to say; with it, nothing is analysed that has not changed.
        assert (sum(c["analyzed"] for c in op.cycles()) >= 1) is not kept
        assert all(set(c["writes"]) <= {"unchanged"} for c in op.cycles())
    assert (
        get_object(bed, "wfp", namespace, "cronjob-etl")["metadata"]["resourceVersion"]
        == before["metadata"]["resourceVersion"]
    )


def test_an_api_server_restart_is_survived(
    make_control_plane: Callable[..., ControlPlane], make_prometheus: Callable[..., PrometheusServer], tmp_path: Path
) -> None:
    plane = make_control_plane()
    cluster = plane.cluster
    install_crds(cluster)
    cluster.kubectl("create", "namespace", "demo")
    prometheus = make_prometheus(history=hourly_runs("demo", "etl"))
    apply(cluster, cronjob("demo", "etl"), policy("demo", discover=DISCOVER_CRONJOBS))
    with operator(cluster, tmp_path, settings(tmp_path, {"default": prometheus.url})) as op:
        wait_for("recommendations", lambda: analysed(cluster, "demo"))
        plane.stop_apiserver(hard=True)
        wait_for("a cycle that noticed", lambda: any(c["level"] == "warning" for c in op.cycles()))
        assert op.get("/healthz")[0] == 200  # a restart of the operator would not bring the API server back
        plane.start_apiserver()
        apply(cluster, cronjob("demo", "second"))
        wait_for("discovery after the restart", lambda: get_object(cluster, "wfp", "demo", "cronjob-second"))
        cluster.kubectl("delete", "wfp", "cronjob-second", "-n", "demo")
        cluster.kubectl("delete", "cronjob", "second", "-n", "demo")
        wait_for("calm", lambda: op.cycles()[-1]["level"] == "info" and op.cycles()[-1]["profiles"] == 1)
        assert analysed(cluster, "demo")["status"]["advice"]
        assert op.process.poll() is None
        assert not [line for line in op.read() if "urllib3" in line["logger"] or "Retrying" in line["msg"]]


def test_an_unknown_source_is_reported_and_cured(
    bed: Cluster, namespace: str, prometheus: PrometheusServer, tmp_path: Path
) -> None:
    apply(bed, cronjob(namespace, "etl"), policy(namespace, discover=DISCOVER_CRONJOBS, metricsSource="thanos"))
    with operator(bed, tmp_path, settings(tmp_path, {"default": prometheus.url}, namespaces=[namespace])) as op:
        found = wait_for(
            "the condition", lambda: condition(get_object(bed, "wfp", namespace, "cronjob-etl"), "MetricsAvailable")
        )
        assert (found["status"], found["reason"]) == ("False", "SourceUnknown")
        assert "thanos" in found["message"]
        assert "default" in found["message"]  # what there is instead
        owner = wait_for(
            "the policy's", lambda: condition(get_object(bed, "opol", namespace, "team"), "MetricsAvailable")
        )
        assert owner["reason"] == "SourceUnknown"
        apply(bed, policy(namespace, discover=DISCOVER_CRONJOBS))
        wait_for("recommendations", lambda: analysed(bed, namespace))

        def cured() -> bool:
            return condition(get_object(bed, "opol", namespace, "team"), "MetricsAvailable")["status"] == "True"

        wait_for("the policy's status, which is written after those of its profiles", cured)
        assert op.process.poll() is None


def test_a_target_may_come_late_and_go(
    bed: Cluster, namespace: str, prometheus: PrometheusServer, tmp_path: Path
) -> None:
    ref = {"apiVersion": "batch/v1", "kind": "CronJob", "name": "etl"}
    apply(bed, profile(namespace, "mine", workflowRef=ref))
    with operator(bed, tmp_path, settings(tmp_path, {"default": prometheus.url}, namespaces=[namespace])):
        found = wait_for(
            "the condition", lambda: condition(get_object(bed, "wfp", namespace, "mine"), "TargetResolved")
        )
        assert (found["status"], found["reason"]) == ("False", "NotFound")
        assert "create it" in found["message"]
        apply(bed, cronjob(namespace, "etl"))
        first = wait_for("recommendations", lambda: analysed(bed, namespace, "mine"))
        bed.kubectl("delete", "cronjob", "etl", "-n", namespace)

        def gone() -> dict[str, Any]:
            present = get_object(bed, "wfp", namespace, "mine")
            return present if condition(present, "TargetResolved").get("reason") == "NotFound" else {}

        kept = wait_for("the condition", gone)
        assert kept["status"]["advice"] == first["status"]["advice"]
        assert kept["status"]["recommendations"] == first["status"]["recommendations"]
        assert kept["status"]["dataUntil"]
        assert condition(kept, "Ready")["status"] == "False"
        events = bed.get("events", "-n", namespace, "--field-selector", "involvedObject.name=mine")["items"]
        assert any(e["reason"] == "NotFound" and e["type"] == "Warning" for e in events)


def test_prometheus_may_go_and_come_back(
    bed: Cluster, namespace: str, prometheus: PrometheusServer, tmp_path: Path
) -> None:
    apply(bed, cronjob(namespace, "etl"), policy(namespace, discover=DISCOVER_CRONJOBS))
    config = settings(tmp_path, {"default": prometheus.url}, namespaces=[namespace])
    config["sources"][0] |= {"timeoutSeconds": 2, "deadlineSeconds": 4}
    with operator(bed, tmp_path, config) as op:
        wait_for("recommendations", lambda: analysed(bed, namespace))
        op.next_cycles(2)  # what compares workflows is said when all of them were looked at
        first = get_object(bed, "wfp", namespace, "cronjob-etl")
        prometheus.stop()

        def stale() -> dict[str, Any]:
            present = get_object(bed, "wfp", namespace, "cronjob-etl")
            return present if condition(present, "MetricsAvailable").get("status") == "False" else {}

        kept = wait_for("the condition", stale)
        assert condition(kept, "MetricsAvailable")["reason"] == "SourceUnreachable"
        assert condition(kept, "Ready")["reason"] == "Stale"
        assert kept["status"]["advice"] == first["status"]["advice"]
        assert kept["status"]["score"] == first["status"]["score"]
        assert kept["status"]["dataUntil"] >= first["status"]["dataUntil"]
        assert op.get("/healthz")[0] == 200
        assert op.metric('concertmaster_source_up{source="default"}') == 0
        op.next_cycles(2)  # the cycle that found the outage writes policies and Events after the profile
        writes = op.api_writes()
        op.next_cycles(2)
        assert op.api_writes() == writes  # a lasting outage is written once
        prometheus.start()
        back = wait_for("recovery", lambda: analysed(bed, namespace))
        assert condition(back, "MetricsAvailable")["status"] == "True"
        assert back["status"]["advice"] == first["status"]["advice"]


def test_an_operator_started_without_prometheus_keeps_old_recommendations(
    bed: Cluster, namespace: str, prometheus: PrometheusServer, tmp_path: Path
) -> None:
    apply(bed, cronjob(namespace, "etl"), policy(namespace, discover=DISCOVER_CRONJOBS))
    config = settings(tmp_path, {"default": prometheus.url}, namespaces=[namespace])
    config["sources"][0] |= {"timeoutSeconds": 2, "deadlineSeconds": 4}
    with operator(bed, tmp_path, config) as op:
        first = wait_for("recommendations", lambda: analysed(bed, namespace))
        op.stop()
    (tmp_path / "history.db").unlink()
    prometheus.stop()
    with operator(bed, tmp_path, config):

        def stale() -> dict[str, Any]:
            present = get_object(bed, "wfp", namespace, "cronjob-etl")
            return present if condition(present, "Ready").get("reason") == "Stale" else {}

        kept = wait_for("the condition", stale)
        assert kept["status"]["advice"] == first["status"]["advice"]
        assert kept["status"]["dataUntil"] == first["status"]["dataUntil"]


def test_discovery_gives_way_and_withdraws_only_its_own(
    bed: Cluster, namespace: str, prometheus: PrometheusServer, tmp_path: Path
) -> None:
    ref = {"apiVersion": "batch/v1", "kind": "CronJob", "name": "etl"}
    apply(
        bed,
        cronjob(namespace, "etl", team="data"),
        cronjob(namespace, "other", team="data"),
        cronjob(namespace, "hidden", team="web"),
        profile(namespace, "handmade", workflowRef=ref),
        policy(namespace, discover=[{**DISCOVER_CRONJOBS[0], "selector": {"matchLabels": {"team": "data"}}}]),
    )

    def names() -> set[str]:
        return {p["metadata"]["name"] for p in bed.get("wfp", "-n", namespace)["items"]}

    with operator(bed, tmp_path, settings(tmp_path, {"default": prometheus.url}, namespaces=[namespace])) as op:
        wait_for("discovery", lambda: names() == {"handmade", "cronjob-other"})
        bed.kubectl("delete", "wfp", "handmade", "-n", namespace)
        wait_for("a profile instead", lambda: names() == {"cronjob-etl", "cronjob-other"})
        bed.kubectl("label", "cronjob", "other", "-n", namespace, "team=web", "--overwrite")
        wait_for("withdrawal", lambda: names() == {"cronjob-etl"})
        bed.kubectl("label", "cronjob", "etl", "-n", namespace, "tier=gold")
        wait_for(
            "the label",
            lambda: get_object(bed, "wfp", namespace, "cronjob-etl")["metadata"]["labels"].get("tier") == "gold",
        )
        bed.kubectl("label", "cronjob", "etl", "-n", namespace, "tier-")
        wait_for(
            "its removal", lambda: "tier" not in get_object(bed, "wfp", namespace, "cronjob-etl")["metadata"]["labels"]
        )
        bed.kubectl("patch", "opol", "team", "-n", namespace, "--type=merge", "-p", '{"spec":{"suspend":true}}')
        wait_for(
            "suspension",
            lambda: condition(get_object(bed, "opol", namespace, "team"), "Ready")["reason"] == "Suspended",
        )
        op.next_cycles(1)
        assert names() == {"cronjob-etl"}  # suspending stops discovery, it takes nothing away
        bed.kubectl("delete", "opol", "team", "-n", namespace)
        wait_for("withdrawal with the policy", lambda: names() == set())


def test_priority_and_namespace_decide_which_policy_is_in_force(
    bed: Cluster, namespace: str, prometheus: PrometheusServer, tmp_path: Path
) -> None:
    cluster_policy = {
        "apiVersion": "concertmaster.dev/v1alpha1",
        "kind": "ClusterOptimizationPolicy",
        "metadata": {"name": f"all-{namespace}"},
        "spec": {
            "priority": 1000,
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
            "discover": DISCOVER_CRONJOBS,
        },
    }
    apply(bed, cronjob(namespace, "etl"), cluster_policy)
    try:
        with operator(bed, tmp_path, settings(tmp_path, {"default": prometheus.url}, namespaces=[namespace])):
            wait_for(
                "the cluster policy",
                lambda: (
                    analysed(bed, namespace).get("status", {}).get("policy")
                    == f"ClusterOptimizationPolicy/all-{namespace}"
                ),
            )
            apply(bed, policy(namespace, "low", priority=1), policy(namespace, "high", priority=2))
            wait_for(
                "the namespace's policy",
                lambda: analysed(bed, namespace).get("status", {}).get("policy") == "OptimizationPolicy/high",
            )
            lost = wait_for(
                "the loser's status",
                lambda: (
                    (c := condition(get_object(bed, "opol", namespace, "low"), "Ready")).get("reason") == "NoMatches"
                    and c
                ),
            )
            assert "priority" in lost["message"]
    finally:
        bed.kubectl("delete", "copol", f"all-{namespace}")


def test_users_queries_stay_in_their_namespace_and_bad_ones_are_reported(
    bed: Cluster, namespace: str, make_prometheus: Callable[..., PrometheusServer], tmp_path: Path
) -> None:
    end = time.time() - 30.0
    text = history(*runs_of_cronjob(namespace, "etl", 5, end), end)
    for i in range(6):
        for place, seconds in ((namespace, 100.0), ("somebody-else", 9999.0)):
            start = end - 7200.0 - 3600.0 * i
            text = with_series(
                text, "my_step_seconds", {"namespace": place, "run": f"run-{i}"}, start, start + 600, seconds
            )
    prometheus = make_prometheus(history=text)
    good = {"name": "train", "durationQuery": "max by (run) (last_over_time(my_step_seconds[$window]))"}
    greedy = {
        "name": "train",
        "durationQuery": 'max by (run) (last_over_time(my_step_seconds{namespace="somebody-else"}[$window]))',
    }
    apply(bed, profile(namespace, "good", graph={"steps": [good]}))
    apply(bed, profile(namespace, "greedy", graph={"steps": [greedy]}))
    with operator(bed, tmp_path, settings(tmp_path, {"default": prometheus.url}, namespaces=[namespace])):
        found = wait_for("recommendations", lambda: analysed(bed, namespace, "good"))
        assert found["status"]["runs"]["observed"] == 6
        assert found["status"]["summary"]["p50"] == "1m40s"
        refused = wait_for(
            "the refusal",
            lambda: (
                (c := condition(get_object(bed, "wfp", namespace, "greedy"), "MetricsAvailable")).get("reason")
                == "QueryInvalid"
                and c
            ),
        )
        assert "somebody-else" in refused["message"] or "namespace" in refused["message"]
        assert "9999" not in json.dumps(get_object(bed, "wfp", namespace, "greedy"))


def test_rules_and_rights_a_policy_lacks_are_reported(
    bed: Cluster, namespace: str, prometheus: PrometheusServer, tmp_path: Path
) -> None:
    apply(
        bed,
        cronjob(namespace, "etl"),
        policy(
            namespace,
            discover=DISCOVER_CRONJOBS,
            rules=[{"name": "no-such-rule"}],
            apply={"mode": "Auto"},
        ),
    )
    grant_reading(bed, namespace)
    config = settings(tmp_path, {"default": prometheus.url}, namespaces=[namespace])
    with operator(bed, tmp_path, config, user="viewer@example.com"):
        denied = wait_for(
            "WriteAccess",
            lambda: (
                (c := condition(get_object(bed, "opol", namespace, "team"), "WriteAccess")).get("reason") == "Denied"
                and c
            ),
        )
        assert f"add {namespace} to apply.namespaces" in denied["message"]
        ready = condition(get_object(bed, "opol", namespace, "team"), "Ready")
        assert ready["reason"] == "UnknownRule"
        assert "no-such-rule" in ready["message"]
        assert condition(get_object(bed, "wfp", namespace, "cronjob-etl"), "Ready")["status"] == "True"


def test_without_rights_it_ends_and_says_which(bed: Cluster, namespace: str, tmp_path: Path) -> None:
    config = settings(tmp_path, {"default": "http://127.0.0.1:9"}, namespaces=[namespace])
    with operator(bed, tmp_path, config, user="ben@example.com") as op:
        assert op.process.wait(timeout=30) == 1
        last = [line for line in op.read() if line["level"] == "error"][-1]["msg"]
        assert f"list workflowprofiles.concertmaster.dev in namespace {namespace}" in last
        assert "rbac.create" in last


def test_it_waits_for_its_kinds_and_ends_when_they_do_not_come(
    make_control_plane: Callable[..., ControlPlane], tmp_path: Path
) -> None:
    cluster = make_control_plane().cluster
    config = settings(tmp_path, {"default": "http://127.0.0.1:9"})
    with operator(cluster, tmp_path, config, patience=2.0) as op:
        assert op.process.wait(timeout=40) == 1
        last = [line for line in op.read() if line["level"] == "error"][-1]["msg"]
        assert "kubectl apply --server-side -f crds/" in last
    with operator(cluster, tmp_path, config, patience=60.0) as op:
        wait_for("life while it waits", lambda: op.get("/healthz")[0] == 200)
        assert op.get("/readyz")[0] == 503
        install_crds(cluster)
        wait_for("readiness", lambda: op.get("/readyz")[0] == 200)
        assert op.stop() < 15.0


def test_a_taken_port_and_a_missing_cluster_are_explained(cluster: Cluster, tmp_path: Path) -> None:
    config = settings(tmp_path, {"default": "http://127.0.0.1:9"})
    with operator(cluster, tmp_path, config, patience=30.0) as first:
        wait_for("the port", lambda: first.get("/healthz")[0])
        with operator(cluster, tmp_path, config) as second:
            assert second.process.wait(timeout=30) == 1
            assert any("cannot listen on" in line["msg"] for line in second.read())
