"""Changes on a real API server: what is written, what is refused, what survives a kill, and who may approve."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from concertmaster.core.changes.plan import ChangeTarget, digest_of
from concertmaster.kube.objects import CHANGES
from testbed.services.cluster import Cluster
from testbed.services.prometheus import PrometheusServer
from tests.support.cluster.change_place import Place, config, govern, idle_etl
from tests.support.cluster.operator_bed import (
    ROOT,
    apply,
    condition,
    cronjob,
    operator,
    wait_for,
)

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

CONTAINER = "/spec/jobTemplate/spec/template/spec/containers/0"


@pytest.fixture
def prometheus(namespace: str, make_prometheus: Callable[..., PrometheusServer]) -> PrometheusServer:
    return idle_etl(namespace, make_prometheus)


@pytest.fixture
def place(bed: Cluster, namespace: str) -> Place:
    return Place(bed, namespace)


def test_an_automatic_change_is_made_once_and_an_editor_wins(
    place: Place, prometheus: PrometheusServer, tmp_path: Path
) -> None:
    apply(place.cluster, cronjob(place.namespace, "etl"))
    before = place.target()
    govern(place)
    with operator(place.cluster, tmp_path, config(place, prometheus, tmp_path)) as op:
        wait_for("the mark", lambda: place.the("Verifying")["status"]["plan"]["target"].get("fingerprint"))
        change = place.the("Verifying")
        assert condition(change, "Approved")["reason"] == "Automatic"
        assert condition(change, "Applied")["status"] == "True"
        assert "finalizers" not in change["metadata"]
        assert "ownerReferences" not in change["metadata"]
        after = place.target()
        assert after["metadata"]["generation"] == before["metadata"]["generation"] + 1
        assert after["metadata"].get("annotations") == before["metadata"].get("annotations")
        manager = next(m for m in after["metadata"]["managedFields"] if m["manager"] == "concertmaster")
        assert manager["operation"] == "Update"
        first = place.requests()
        assert first != {"cpu": "1", "memory": "2Gi"}
        op.next_cycles(2)
        assert place.requests() == first
        assert len(place.changes()) == 1
        found = place.cluster.get("opol", "team", "-n", place.namespace)
        assert found["status"]["changesInFlight"] == 1
        assert condition(found, "WriteAccess")["status"] == "True"

        undo = condition(change, "Applied")["message"].partition("manually: ")[2]
        assert undo.startswith("kubectl -n")
        place.cluster.kubectl(
            "-n", place.namespace, "patch", "cronjob", "etl", "--type=json", "-p", undo.split("-p ")[1][1:-1]
        )
        assert place.requests() == {"cpu": "1", "memory": "2Gi"}  # the printed command rolls it back
        ended = place.the("Conflict")
        assert "left as it is" in condition(ended, "Restored")["message"]
        events = place.cluster.get("events", "-n", place.namespace)["items"]
        assert {"ChangeApplied", "ChangeConflict"} <= {e["reason"] for e in events}


def test_approval_and_every_attack_on_it(place: Place, prometheus: PrometheusServer, tmp_path: Path) -> None:
    apply(place.cluster, cronjob(place.namespace, "etl"))
    govern(place, mode="Approve")
    with operator(place.cluster, tmp_path, config(place, prometheus, tmp_path)) as op:
        proposal = place.the("Proposed")
        name, spec = proposal["metadata"]["name"], proposal["spec"]
        assert (
            f"kubectl concertmaster approve -n {place.namespace} {name}" in condition(proposal, "Approved")["message"]
        )
        generation = place.generation()

        # The API server itself refuses to bend what was proposed.
        for path, value, words in (
            ("/spec/planDigest", "f" * 64, "planDigest is immutable"),
            ("/spec/profileRef/name", "other", "profileRef is immutable"),
            ("/spec/recommendation", "parallelism", "recommendation is immutable"),
        ):
            refused = place.patch(name, {"op": "replace", "path": path, "value": value})
            assert refused.returncode != 0
            assert words in refused.stderr

        # A plan bent in the status fits its digest no more.
        evil = json.dumps([{"op": "replace", "path": f"{CONTAINER}/image", "value": "evil"}])
        bent = place.patch(name, {"op": "replace", "path": "/status/plan/patch", "value": evil}, status=True)
        assert bent.returncode == 0, bent.stderr
        assert place.decide(name).returncode == 0

        # Nor may a plan be aimed at another object: the next proposal is turned to a second CronJob.
        apply(place.cluster, cronjob(place.namespace, "victim"))
        seen = {name}

        def repeated() -> dict[str, Any] | None:
            found = (c for c in place.changes() if c["metadata"]["name"] not in seen)
            return next((c for c in found if (c.get("status") or {}).get("phase") == "Proposed"), None)

        second = wait_for("the proposal to be made anew", repeated)
        victim = place.client.get(place.target_path.replace("/etl", "/victim"))
        aimed = place.patch(
            second["metadata"]["name"],
            {"op": "replace", "path": "/status/plan/target/name", "value": "victim"},
            {"op": "replace", "path": "/status/plan/target/uid", "value": victim["metadata"]["uid"]},
            status=True,
        )
        assert aimed.returncode == 0, aimed.stderr
        assert place.decide(second["metadata"]["name"]).returncode == 0

        # An object made by hand is nobody's plan.
        mine = {
            "apiVersion": CHANGES.api_version,
            "kind": "WorkflowChange",
            "metadata": {"name": "mine", "namespace": place.namespace},
            "spec": {**spec, "planDigest": "e" * 64, "decision": "Approve"},
        }
        apply(place.cluster, mine)
        wait_for(
            "all refused", lambda: sum((c.get("status") or {}).get("phase") == "Failed" for c in place.changes()) == 3
        )
        assert place.generation() == generation
        untouched = place.client.get(place.target_path.replace("/etl", "/victim"))
        assert untouched["metadata"]["resourceVersion"] == victim["metadata"]["resourceVersion"]

        # The real approval, which cannot be turned round.
        seen |= {c["metadata"]["name"] for c in place.changes() if c["status"]["phase"] == "Failed"}
        name = wait_for("a third proposal", repeated)["metadata"]["name"]
        assert place.decide(name, by="ana@example.com").returncode == 0
        reversed_ = place.patch(name, {"op": "replace", "path": "/spec/decision", "value": "Reject"})
        assert reversed_.returncode != 0
        assert "is immutable" in reversed_.stderr
        done = place.the("Verifying")
        assert done["metadata"]["name"] == name
        assert "ana@example.com" in condition(done, "Approved")["message"]
        assert place.generation() == generation + 1
        image = place.target()["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["image"]
        assert image == "example/etl:1"
        op.next_cycles(1)
        assert place.generation() == generation + 1


def test_only_the_operator_makes_changes_and_nobody_decides_in_another_persons_name(place: Place) -> None:
    text = (ROOT / "charts" / "concertmaster" / "templates" / "admissionpolicy.yaml").read_text()
    lines = [line for line in text.splitlines() if not line.lstrip().startswith(("{{-", "labels:"))]
    policy_name, user = f"approvals-{place.namespace}", f"system:serviceaccount:{place.namespace}:operator"
    body = "\n".join(lines).replace("{{ $name | quote }}", policy_name).replace("{{ $operator }}", user)
    apply(place.cluster, *yaml.safe_load_all(body.replace("{{ toJson . }}", f"[{place.namespace}]")))
    spec = {"profileRef": {"name": "etl"}, "recommendation": "cpu-request.job", "planDigest": "a" * 64}
    base = {"apiVersion": CHANGES.api_version, "kind": CHANGES.kind, "spec": spec}
    as_operator = (f"--as={user}", "--as-group=system:masters")
    try:
        names = iter(f"c{i}" for i in range(1000))

        def create(*who: str) -> tuple[str, Any]:
            name = next(names)
            made = json.dumps({**base, "metadata": {"name": name, "namespace": place.namespace}})
            return name, place.cluster.run_kubectl(*who, "create", "-f", "-", input=made)

        refused = wait_for("the policy to be in force", lambda: (r := create()[1]).returncode != 0 and r)
        assert "only the operator creates WorkflowChanges" in refused.stderr
        name, made = create(*as_operator)
        assert made.returncode == 0, made.stderr
        forged = {"op": "add", "path": "/status", "value": {"phase": "Verifying"}}
        bent = place.patch(name, forged, status=True)
        assert "only the operator writes the status of a WorkflowChange" in bent.stderr
        assert "must be your own user name" in place.decide(name, by="somebody-else").stderr
        who = json.loads(place.cluster.kubectl("auth", "whoami", "-o", "json"))["status"]["userInfo"]["username"]
        assert place.decide(name, by=who).returncode == 0
    finally:
        kinds = "validatingadmissionpolicybinding,validatingadmissionpolicy"
        place.cluster.run_kubectl("delete", kinds, policy_name)


def test_a_hand_made_change_is_not_rolled_back_on_its_word(
    place: Place, prometheus: PrometheusServer, tmp_path: Path
) -> None:
    """Without the admission policy: a self-consistent change in phase Verifying whose inverse asks for 500 cores."""
    apply(place.cluster, cronjob(place.namespace, "etl"))
    govern(place, mode="Approve")
    with operator(place.cluster, tmp_path, config(place, prometheus, tmp_path)) as op:
        real = place.the("Proposed")
        target = ChangeTarget.of(place.target() | {"apiVersion": "batch/v1", "kind": "CronJob"})
        pointer = f"{CONTAINER}/resources/requests/cpu"
        held, wanted = place.requests()["cpu"], "500"
        patch = [
            {"op": "test", "path": pointer, "value": wanted},
            {"op": "replace", "path": pointer, "value": held},
        ]
        inverse = [
            {"op": "test", "path": pointer, "value": held},
            {"op": "replace", "path": pointer, "value": wanted},
        ]
        spec = {k: real["spec"][k] for k in ("profileRef", "recommendation")}
        digest = digest_of(place.namespace, spec["profileRef"]["name"], spec["recommendation"], target, patch)
        meta = {"name": "forged", "namespace": place.namespace}
        forged = {
            "apiVersion": CHANGES.api_version,
            "kind": CHANGES.kind,
            "metadata": meta,
            "spec": {**spec, "planDigest": digest, "decision": "Reject", "decidedBy": "eve"},
        }
        status = {
            **real["status"],
            "phase": "Verifying",
            "plan": {**real["status"]["plan"], "patch": json.dumps(patch), "inverse": json.dumps(inverse)},
        }
        generation = place.generation()
        os.kill(op.process.pid, signal.SIGSTOP)  # object and status come at once
        try:
            apply(place.cluster, forged)
            bent = place.patch("forged", {"op": "add", "path": "/status", "value": status}, status=True)
            assert bent.returncode == 0, bent.stderr
        finally:
            os.kill(op.process.pid, signal.SIGCONT)

        def orphaned() -> dict[str, Any]:
            return condition(place.client.get(CHANGES.path(place.namespace, "forged")), "Orphaned")

        said = wait_for("the forgery to be left alone", lambda: orphaned().get("status") == "True" and orphaned())
        assert said["reason"] == "NotInJournal"
        op.next_cycles(2)
        assert (place.generation(), place.requests()["cpu"]) == (generation, held)


def kill_when(op: Any, seen: Callable[[], Any], what: str) -> None:
    wait_for(what, seen, pause=0.01)
    os.kill(op.process.pid, signal.SIGKILL)
    op.process.wait(timeout=10)


def test_killed_with_minus_nine_at_each_step_it_neither_writes_twice_nor_forgets(
    place: Place, prometheus: PrometheusServer, tmp_path: Path
) -> None:
    apply(place.cluster, cronjob(place.namespace, "etl"))
    generation = place.generation()
    govern(place)
    settings_ = config(place, prometheus, tmp_path)
    moments: list[tuple[str, Callable[[], Any]]] = [
        ("an object", lambda: place.changes()),
        ("a plan", lambda: any(c.get("status") for c in place.changes())),
        ("the write", lambda: place.generation() > generation),
        ("the verification", lambda: any((c.get("status") or {}).get("phase") == "Verifying" for c in place.changes())),
    ]
    for what, seen in moments:
        with operator(place.cluster, tmp_path, settings_) as op:
            kill_when(op, seen, what)
    with operator(place.cluster, tmp_path, settings_) as op:
        change = place.the("Verifying")
        op.next_cycles(2)
        assert place.generation() == generation + 1
        assert [c["metadata"]["uid"] for c in place.changes()] == [change["metadata"]["uid"]]
        place.client.delete(CHANGES.path(place.namespace, change["metadata"]["name"]), uid=change["metadata"]["uid"])
        kill_when(op, lambda: place.requests() == {"cpu": "1", "memory": "2Gi"}, "the change to be taken back")
    with operator(place.cluster, tmp_path, settings_) as op:
        op.next_cycles(3)
        assert place.generation() == generation + 2  # there and back, and no more


def run_cli(place: Place, *arguments: str) -> Any:
    """The command line as a person calls it."""
    return subprocess.run(
        [sys.executable, "-m", "concertmaster", *arguments, "--kubeconfig", str(place.cluster.kubeconfig())],
        env={**os.environ, "PYTHONPATH": str(ROOT / "operator")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_explain_shows_plan_and_checks_and_approve_decides_in_ones_own_name(
    place: Place, prometheus: PrometheusServer, tmp_path: Path
) -> None:
    apply(place.cluster, cronjob(place.namespace, "etl"))
    govern(place, mode="Approve", windows=[{"schedule": "0 0 1 1 *", "duration": "1m"}])
    with operator(place.cluster, tmp_path, config(place, prometheus, tmp_path)):
        change = place.the("Proposed")
        name, item = change["metadata"]["name"], change["spec"]["recommendation"]
        reported = run_cli(place, "explain", "-n", place.namespace, "cronjob-etl", item)
        assert reported.returncode == 0, reported.stderr
        plan = change["status"]["plan"]
        for part in ("patch", "inverse"):
            for operation in json.loads(plan[part]):
                assert json.dumps(operation) in reported.stdout
        assert "kustomization.yaml" in reported.stdout
        assert f"Change {name}: Proposed" in reported.stdout
        assert "blocked  mode              mode is Approve: it waits for a decision" in reported.stdout
        assert "blocked  window            the next window opens" in reported.stdout
        assert "passed   owner             nobody else owns the object" in reported.stdout
        decided = run_cli(place, "approve", "-n", place.namespace, name, "--yes")
        assert decided.returncode == 0, decided.stderr
        assert "CPU request" in decided.stdout or "memory request" in decided.stdout
        who = json.loads(place.cluster.kubectl("auth", "whoami", "-o", "json"))["status"]["userInfo"]["username"]
        found = wait_for("the decision", lambda: place.client.get(CHANGES.path(place.namespace, name)))
        assert (found["spec"]["decision"], found["spec"]["decidedBy"]) == ("Approve", who)
        again = run_cli(place, "approve", "-n", place.namespace, name, "--reject", "--yes")
        assert again.returncode == 1
        assert "was decided already: Approve" in again.stderr
        held = wait_for(
            "the window check",
            lambda: condition(place.client.get(CHANGES.path(place.namespace, name)), "Applied").get("message"),
        )
        assert "waits for window" in held
        assert place.requests() == {"cpu": "1", "memory": "2Gi"}
