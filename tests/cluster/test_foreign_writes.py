"""What others do to a workflow on a real API server while the operator changes it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from concertmaster.core.times import format_time
from concertmaster.kube.apply import last_write
from testbed.services.cluster import Cluster
from testbed.services.prometheus import PrometheusServer
from tests.support.cluster.change_place import Place, config, govern, idle_etl
from tests.support.cluster.operator_bed import (
    apply,
    condition,
    cronjob,
    install_crds,
    operator,
    wait_for,
)

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

POD = "/spec/jobTemplate/spec/template/spec"


@pytest.fixture
def place(cluster: Cluster, namespace: str) -> Place:
    install_crds(cluster)
    apply(cluster, cronjob(namespace, "etl"))
    return Place(cluster, namespace)


@pytest.fixture
def prometheus(namespace: str, make_prometheus: Callable[..., PrometheusServer]) -> PrometheusServer:
    return idle_etl(namespace, make_prometheus)


def verifying(place: Place) -> dict[str, Any]:
    """The change, once the changed definition is known."""
    wait_for("the fingerprint", lambda: place.the("Verifying")["status"]["plan"]["target"].get("fingerprint"))
    return place.the("Verifying")


def patched(place: Place, *operations: dict[str, Any]) -> None:
    place.cluster.kubectl("-n", place.namespace, "patch", "cronjob", "etl", "--type=json", "-p", json.dumps(operations))


def applied_by_another(place: Place, cpu: str) -> None:
    """Somebody declares the request by server-side apply."""
    document = cronjob(place.namespace, "etl")
    container = document["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
    container["resources"]["requests"] = {**place.requests(), "cpu": cpu}
    place.cluster.kubectl(
        "apply", "--server-side", "--force-conflicts", "--field-manager=team", "-f", "-", input=json.dumps(document)
    )


def now_text() -> str:
    return format_time(time.time())


def scaled(place: Place, cpu: str) -> None:
    path = f"{POD}/containers/0/resources/requests/cpu"
    patched(place, {"op": "replace", "path": path, "value": cpu})


@contextmanager
def read_only(place: Place) -> Iterator[Callable[[], None]]:
    """An admission policy that denies every update of a CronJob of the namespace, until the yielded function is called."""
    name, group = f"freeze-{place.namespace}"[:63], "admissionregistration.k8s.io/v1"
    rule = {"apiGroups": ["batch"], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["cronjobs"]}
    spec = {
        "matchConstraints": {"resourceRules": [rule]},
        "validations": [{"expression": "false", "message": "no changes this week"}],
    }
    labels = {"matchLabels": {"kubernetes.io/metadata.name": place.namespace}}
    binding = {"policyName": name, "validationActions": ["Deny"], "matchResources": {"namespaceSelector": labels}}
    policy = {"apiVersion": group, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name}}
    bound = {**policy, "kind": "ValidatingAdmissionPolicyBinding"}
    apply(place.cluster, {**policy, "spec": spec}, {**bound, "spec": binding})
    trial = ("-n", place.namespace, "annotate", "cronjob", "etl", "a=b", "--overwrite", "--dry-run=server")
    wait_for("the policy to be in force", lambda: place.cluster.run_kubectl(*trial).returncode != 0)

    def lift() -> None:
        for kind in ("validatingadmissionpolicybinding", "validatingadmissionpolicy"):
            place.cluster.run_kubectl("delete", kind, name, "--ignore-not-found")

    try:
        yield lift
    finally:
        lift()


@pytest.mark.parametrize("write", [scaled, applied_by_another])
def test_a_request_that_somebody_else_sets_meanwhile_is_theirs(
    place: Place, prometheus: PrometheusServer, tmp_path: Path, write: Callable[[Place, str], None]
) -> None:
    govern(place, cooldown="0s")
    with operator(place.cluster, tmp_path, config(place, prometheus, tmp_path)) as op:
        verifying(place)
        write(place, "777m")
        ended = place.the("Conflict")
        text = condition(ended, "Restored")["message"]
        assert text.startswith("somebody else changed what this change had set; it is left as it is")
        op.next_cycles(2)
        assert place.requests()["cpu"] == "777m"


def test_a_field_that_somebody_removes_ends_the_verification_although_no_date_says_when(
    place: Place, prometheus: PrometheusServer, tmp_path: Path
) -> None:
    patched(place, {"op": "add", "path": f"{POD}/containers/0/env", "value": [{"name": "A", "value": "b"}]})
    govern(place)
    with operator(place.cluster, tmp_path, config(place, prometheus, tmp_path)) as op:
        verifying(place)
        before = last_write(place.target()["metadata"]["managedFields"])
        patched(place, {"op": "remove", "path": f"{POD}/containers/0/env"})
        assert last_write(place.target()["metadata"]["managedFields"]) == before
        ended = place.the("Completed")
        assert "the workflow was changed otherwise meanwhile" in condition(ended, "Verified")["message"]
        assert ended["status"]["verdict"] == "Inconclusive"
        op.next_cycles(1)


def test_a_pipeline_that_applies_its_manifest_after_a_change_was_kept_has_its_values_left(
    place: Place, prometheus: PrometheusServer, tmp_path: Path
) -> None:
    """The verdict is written by the test: it would take hours."""
    manifest = json.dumps(cronjob(place.namespace, "etl"))
    place.cluster.kubectl("apply", "-f", "-", input=manifest)
    govern(place, cooldown="0s")
    with operator(place.cluster, tmp_path, config(place, prometheus, tmp_path)) as op:
        change = verifying(place)
        assert "written; kubectl apply of its present manifest may change" in condition(change, "Applied")["message"]
        conditions = [
            *(c for c in change["status"]["conditions"] if c["type"] != "Verified"),
            *(
                {"type": kind, "status": state, "reason": reason, "message": "-", "lastTransitionTime": now_text()}
                for kind, state, reason in (("Verified", "True", "Improved"), ("Restored", "False", "Kept"))
            ),
        ]
        kept = {**change["status"], "phase": "Completed", "verdict": "Improved", "conditions": conditions}
        name = change["metadata"]["name"]
        assert place.patch(name, {"op": "replace", "path": "/status", "value": kept}, status=True).returncode == 0
        op.next_cycles(2)
        assert condition(place.the("Completed"), "Restored")["reason"] == "Kept"
        place.cluster.kubectl("apply", "-f", "-", input=manifest)
        ended = place.the("Conflict")
        assert "(kubectl-client-side-apply) changed what this change had set" in condition(ended, "Restored")["message"]
        assert ended["status"]["verdict"] == "Improved"
        op.next_cycles(2)
        assert place.requests() == {"cpu": "1", "memory": "2Gi"}


def test_a_workflow_that_admission_makes_read_only_is_changed_when_it_is_no_more(
    place: Place, prometheus: PrometheusServer, tmp_path: Path
) -> None:
    govern(place)
    with read_only(place) as lift, operator(place.cluster, tmp_path, config(place, prometheus, tmp_path)):
        held = wait_for(
            "the denial", lambda: next((c for c in place.changes() if condition(c, "Applied")), None), pause=0.5
        )
        assert condition(held, "Applied")["reason"] == "Denied"
        text = condition(held, "Applied")["message"]
        assert "no changes this week" in text and "it is tried again at least every 15m" in text
        assert "approve" not in condition(held, "Approved")["message"]
        assert place.requests() == {"cpu": "1", "memory": "2Gi"}
        lift()
        wait_for("the change", lambda: place.the("Verifying"), seconds=120.0)


def test_a_rollback_that_admission_denies_says_so_and_is_made_when_it_is_allowed(
    place: Place, prometheus: PrometheusServer, tmp_path: Path
) -> None:
    govern(place)
    with operator(place.cluster, tmp_path, config(place, prometheus, tmp_path)):
        name = verifying(place)["metadata"]["name"]
        with read_only(place) as lift:
            assert place.decide(name, "Reject").returncode == 0

            def refused() -> str:
                return str(condition(place.the("Verifying"), "Restored").get("message") or "")

            text = wait_for("the refusal", lambda: "no changes this week" in (said := refused()) and said, pause=0.5)
            assert text.startswith(
                "about to be rolled back: rejected by admin; not yet, because the API server refuses it"
            )
            assert f"kubectl -n {place.namespace} patch cronjob etl" in text
            lift()
            place.the("Completed")
        assert place.requests() == {"cpu": "1", "memory": "2Gi"}


def test_a_rollback_waits_while_a_quota_that_somebody_lowered_would_refuse_its_pods(
    place: Place, prometheus: PrometheusServer, tmp_path: Path
) -> None:
    """Written, it would keep every later run from being created."""
    govern(place)
    with operator(place.cluster, tmp_path, config(place, prometheus, tmp_path)) as op:
        change, lower = verifying(place)["metadata"]["name"], place.requests()
        quota = {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "team", "namespace": place.namespace},
        }
        apply(place.cluster, {**quota, "spec": {"hard": {"requests.cpu": "900m"}}})
        wait_for("the quota", lambda: place.cluster.get("resourcequota", "team", "-n", place.namespace).get("status"))
        assert place.decide(change, "Reject").returncode == 0

        def refused() -> str:
            return str(condition(place.the("Verifying"), "Restored").get("message") or "")

        text = wait_for("the refusal", lambda: "no pod would be created" in (said := refused()) and said, pause=0.5)
        assert text.startswith("about to be rolled back: rejected by admin; not yet") and "team" in text
        op.next_cycles(2)
        assert place.requests() == lower
        place.cluster.kubectl("-n", place.namespace, "delete", "resourcequota", "team")
        place.the("Completed")
        assert place.requests() == {"cpu": "1", "memory": "2Gi"}


def test_in_a_namespace_that_is_being_deleted_nothing_is_changed_and_no_cycle_fails(
    place: Place, prometheus: PrometheusServer, tmp_path: Path
) -> None:
    patch = json.dumps({"metadata": {"finalizers": ["example.com/hold"]}})
    hold = ("-n", place.namespace, "patch", "cronjob", "etl", "--type=merge", "-p")
    place.cluster.kubectl(*hold, patch)
    govern(place)
    with operator(place.cluster, tmp_path, config(place, prometheus, tmp_path)) as op:
        verifying(place)
        place.cluster.kubectl("delete", "namespace", place.namespace, "--wait=false")
        wait_for("the changes to go", lambda: not place.changes())
        op.next_cycles(2)
        assert place.target()["metadata"]["deletionTimestamp"]
        assert [line["problems"] for line in op.cycles() if line.get("problems")] == []
        place.cluster.kubectl(*hold, json.dumps({"metadata": {"finalizers": None}}))
