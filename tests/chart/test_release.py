"""The chart's life on a real API server with the real Helm: install, upgrade, roll back, remove, and every toggle."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.services.cluster import KubectlError
from tests.support.chart.bed import CHART, Bed, HelmError, source
from tests.support.chart.release import LASTING, left_behind, newer_chart
from tests.support.chart.values import EVERYTHING
from tests.support.cluster.operator_bed import apply, cronjob, policy, profile, wait_for

pytestmark = pytest.mark.timeout(600)

URL = "http://127.0.0.1:9"
OURS = (
    "clusteroptimizationpolicies.concertmaster.dev",
    "optimizationpolicies.concertmaster.dev",
    "workflowchanges.concertmaster.dev",
    "workflowprofiles.concertmaster.dev",
)


@pytest.fixture
def place(bed: Bed, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of the test's own; the release ``cm`` in it is gone afterwards.

    The kinds stay and are taken over by the next release: an API server needs long to forget a kind, now and then minutes.
    """
    name = bed.namespace(f"chart-{abs(hash(request.node.name)) % 10**8}")
    yield name
    bed.remove("cm", name)
    bed.cluster.kubectl("delete", "namespace", name, "--wait=false")


def crds(bed: Bed) -> dict[str, Any]:
    """Our CustomResourceDefinitions by name."""
    found = bed.cluster.get("crd", "-l", "app.kubernetes.io/part-of=concertmaster")["items"]
    return {c["metadata"]["name"]: c for c in found}


def test_install_rollout_and_notes(bed: Bed, place: str) -> None:
    printed = bed.install("cm", place, {"podAnnotations": LASTING, "sources": [source(URL)]})
    notes = printed.partition("NOTES:")[2]
    assert notes.count("kubectl ") == 3
    bed.cluster.kubectl("-n", place, "rollout", "status", "deployment/cm-concertmaster", "--timeout=60s")
    assert sorted(crds(bed)) == list(OURS)
    # The second command of the notes works as it stands.
    manifest = notes.partition("<<'EOF'\n")[2].partition("   EOF")[0]
    bed.cluster.kubectl("apply", "-f", "-", input=manifest)
    assert bed.cluster.get("copol", "baseline")["spec"]["discover"][0]["kind"] == "CronJob"
    bed.cluster.kubectl("delete", "copol", "baseline")


def test_namespaced_install_and_its_notes(bed: Bed, place: str) -> None:
    printed = bed.install("cm", place, {"namespaces": [place], "sources": [source(URL)]})
    manifest = printed.partition("<<'EOF'\n")[2].partition("   EOF")[0]
    bed.cluster.kubectl("apply", "-f", "-", input=manifest)
    assert bed.cluster.get("opol", "baseline", "-n", place)["metadata"]["namespace"] == place


def test_upgrade_changes_the_kinds_and_rollback_changes_them_back(bed: Bed, place: str, tmp_path: Path) -> None:
    bed.install("cm", place, {"sources": [source(URL)]})
    ref = {"apiVersion": "batch/v1", "kind": "CronJob", "name": "etl"}
    apply(bed.cluster, profile(place, "kept", workflowRef=ref))
    future = profile(place, "future", workflowRef=ref, nextYear="soon")
    with pytest.raises(KubectlError, match="unknown field"):
        apply(bed.cluster, future)
    bed.helm("upgrade", "cm", str(newer_chart(tmp_path)), "-n", place, values={"sources": [source(URL)]})
    wait_for("the new field", lambda: "nextYear" in json.dumps(crds(bed)[OURS[3]]["spec"]))
    wait_for(
        "the new field to be served",
        lambda: bed.cluster.run_kubectl("apply", "-f", "-", input=json.dumps(future)).returncode == 0,
    )
    assert bed.cluster.get("wfp", "future", "-n", place)["spec"]["nextYear"] == "soon"
    bed.helm("rollback", "cm", "1", "-n", place)
    assert "nextYear" not in json.dumps(crds(bed)[OURS[3]]["spec"])
    names = {p["metadata"]["name"] for p in bed.cluster.get("wfp", "-n", place)["items"]}
    assert names == {"kept", "future"}, "a rollback must not lose resources"


def test_removal_keeps_the_resources_by_default(bed: Bed, place: str) -> None:
    bed.install("cm", place, {"sources": [source(URL)]})
    apply(bed.cluster, policy(place, "mine"))
    bed.remove("cm", place)
    assert sorted(crds(bed)) == list(OURS)
    assert bed.cluster.get("opol", "mine", "-n", place)
    wait_for("nothing else left", lambda: not left_behind(bed))
    # Installing again takes the kinds over, resources and all.
    bed.install("cm", place, {"sources": [source(URL)]})
    assert bed.cluster.get("opol", "mine", "-n", place)


def test_removal_takes_everything_when_asked(bed: Bed, place: str) -> None:
    bed.install("cm", place, {"crds": {"keep": False}, "sources": [source(URL)]})
    apply(bed.cluster, policy(place, "mine"))
    bed.remove("cm", place)
    wait_for("kinds gone", lambda: not crds(bed))
    wait_for("nothing else left", lambda: not left_behind(bed))


def test_keep_can_be_changed_before_the_removal(bed: Bed, place: str) -> None:
    bed.install("cm", place, {"sources": [source(URL)]})
    bed.helm("upgrade", "cm", str(CHART), "-n", place, "--reuse-values", "--set", "crds.keep=false")
    bed.remove("cm", place)
    wait_for("kinds gone", lambda: not crds(bed))


def test_kinds_installed_by_other_means_are_left_to_them(bed: Bed, place: str) -> None:
    bed.cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(CHART.parents[1] / "crds"))
    bed.install("cm", place, {"crds": {"enabled": False}, "sources": [source(URL)]})
    bed.remove("cm", place)
    assert sorted(crds(bed)) == list(OURS)


def test_everything_switched_on_is_accepted_by_the_api_server(bed: Bed, place: str) -> None:
    """Each toggle's objects are validated strictly by the API server and appear."""
    values = copy.deepcopy(EVERYTHING)
    values["apply"]["namespaces"] = [place]
    values.pop("priorityClassName")
    bed.install("cm", place, values)
    found = {name.partition("/")[0].partition(".")[0] for name in left_behind(bed)}
    assert found >= {
        "deployment",
        "configmap",
        "service",
        "serviceaccount",
        "persistentvolumeclaim",
        "role",
        "rolebinding",
        "clusterrole",
        "clusterrolebinding",
        "networkpolicy",
        "validatingadmissionpolicy",
        "validatingadmissionpolicybinding",
        "servicemonitor",
        "prometheusrule",
    }
    dashboards = bed.cluster.get("configmap", "cm-concertmaster-dashboards", "-n", place)["data"]
    assert {json.loads(text)["uid"] for text in dashboards.values()} == {
        "concertmaster-fleet",
        "concertmaster-workflow",
        "concertmaster-changes",
        "concertmaster-operator",
    }
    assert bed.cluster.get("configmap", "cm-more", "-n", place)["data"] == {"a": "b"}
    bed.remove("cm", place)
    left = bed.cluster.get("pvc", "cm-concertmaster-history", "-n", place)
    assert left["metadata"]["name"], "history.persistence.keep leaves the claim"


OWN_RIGHTS = {
    "clusterrole/cm-concertmaster",
    "clusterrolebinding/cm-concertmaster",
}
LEASE_RIGHTS = {"role/cm-concertmaster-lease", "rolebinding/cm-concertmaster-lease"}
TOGGLES: dict[str, tuple[dict[str, Any], set[str], set[str]]] = {
    "rights by other means": ({"rbac": {"create": False}}, set(), OWN_RIGHTS | LEASE_RIGHTS),
    "no roles for people": (
        {"rbac": {"userRoles": False}},
        set(),
        {f"clusterrole/cm-concertmaster-{who}" for who in ("view", "edit", "approve")}
        | {"role/cm-concertmaster-explain"},
    ),
    "account by other means": (
        {"serviceAccount": {"create": False, "name": "default"}},
        set(),
        {"serviceaccount/cm-concertmaster"},
    ),
    "claim": (
        {"history": {"persistence": {"enabled": True}}},
        {"persistentvolumeclaim/cm-concertmaster-history"},
        set(),
    ),
    "claim by other means": ({"history": {"persistence": {"enabled": True, "existingClaim": "mine"}}}, set(), set()),
    "service monitor": (
        {"metrics": {"serviceMonitor": {"enabled": True}}},
        {"servicemonitor/cm-concertmaster"},
        set(),
    ),
    "alerts": ({"metrics": {"prometheusRule": {"enabled": True}}}, {"prometheusrule/cm-concertmaster"}, set()),
    "dashboards": (
        {"metrics": {"dashboards": {"enabled": True}}},
        {"configmap/cm-concertmaster-dashboards"},
        set(),
    ),
    "network": ({"networkPolicy": {"enabled": True}}, {"networkpolicy/cm-concertmaster"}, set()),
    "approvals": (
        {"approvals": {"admissionPolicy": False}},
        set(),
        {
            "validatingadmissionpolicy/cm-concertmaster-approvals",
            "validatingadmissionpolicybinding/cm-concertmaster-approvals",
        },
    ),
    "changes": (
        {"apply": {"enabled": True, "namespaces": ["PLACE"]}},
        {
            "clusterrole/cm-concertmaster-apply",  # to list what else decides about new pods
            "clusterrolebinding/cm-concertmaster-apply",
            "role/cm-concertmaster-apply",
            "rolebinding/cm-concertmaster-apply",
        },
        set(),
    ),
    "trial pods": (
        {"apply": {"enabled": True, "namespaces": ["PLACE"], "trialPods": True}},
        {
            "role/cm-concertmaster-apply",
            "rolebinding/cm-concertmaster-apply",
            "validatingadmissionpolicy/cm-concertmaster-trial-pods",
            "validatingadmissionpolicybinding/cm-concertmaster-trial-pods",
        },
        set(),
    ),
    "listed namespaces": (
        {"namespaces": ["PLACE"]},
        {"role/cm-concertmaster", "rolebinding/cm-concertmaster"},
        OWN_RIGHTS,
    ),
}


READING: tuple[tuple[dict[str, Any], str], ...] = (
    ({"engines": {"argo": False}}, "workflowtemplates"),
    ({"engines": {"tekton": False}}, "pipelines"),
    ({"engines": {"cronJobs": False}}, "cronjobs"),
    ({"config": {"live": False}}, "pods"),
)


@pytest.mark.timeout(600)  # eighteen upgrades one after the other
def test_every_toggle_alone_adds_and_removes_its_own_objects_only(bed: Bed, place: str) -> None:
    """Installed once, upgraded to each toggle in turn; what the API server then has is compared with the default."""

    def present() -> set[str]:
        found = {name.partition("/")[0].partition(".")[0] + "/" + name.partition("/")[2] for name in left_behind(bed)}
        return {name for name in found if not name.startswith(("pod/", "lease/", "secret/"))}

    def upgraded(values: dict[str, Any], wanted: set[str]) -> set[str]:
        placed = json.loads(json.dumps(values).replace("PLACE", place))
        bed.helm(
            "upgrade", "cm", str(CHART), "-n", place, "--reset-values", values={"sources": [source(URL)], **placed}
        )
        deadline = time.monotonic() + 60.0  # a claim goes when the last pod that used it has gone
        while present() != wanted and time.monotonic() < deadline:
            time.sleep(0.5)
        return present()

    def read() -> set[str]:
        rules = bed.cluster.get("clusterrole", "cm-concertmaster")["rules"]
        return {resource for rule in rules for resource in rule["resources"]}

    # Claims of other tests' namespaces go when their last pod has gone; they must not count as the default's.
    wait_for("claims of other tests to go", lambda: not any(o.startswith("persistentvolumeclaim/") for o in present()))
    bed.install("cm", place, {"sources": [source(URL)]})
    default = present()
    for name, (values, added, removed) in TOGGLES.items():
        found = upgraded(values, default - removed | added)
        assert (found - default, default - found) == (added, removed), name
        if "existingClaim" in json.dumps(values):
            pod = bed.cluster.get("deployment", "cm-concertmaster", "-n", place)["spec"]["template"]["spec"]
            assert {"claimName": "mine"} in [v.get("persistentVolumeClaim") for v in pod["volumes"]]
    assert upgraded({}, default) == default
    assert read() >= {gone for _, gone in READING}
    for values, gone in READING:
        assert upgraded(values, default) == default
        assert gone not in read(), values


def test_the_pod_passes_restricted_pod_security(bed: Bed, place: str) -> None:
    """The namespace enforces the restricted profile; the pod appears nevertheless, and a plain one does not."""
    bed.cluster.kubectl("label", "namespace", place, "pod-security.kubernetes.io/enforce=restricted")
    values = {k: v for k, v in EVERYTHING.items() if k in ("sources", "history", "config", "extraEnv")}
    bed.install("cm", place, {**values, "podAnnotations": LASTING})
    selector = "app.kubernetes.io/instance=cm"
    wait_for("the pod", lambda: bed.cluster.get("pod", "-n", place, "-l", selector)["items"])
    plain = bed.cluster.run_kubectl("run", "plain", "-n", place, "--image=any")
    assert plain.returncode != 0 and "PodSecurity" in plain.stderr


def change(namespace: str, **decision: str) -> dict[str, Any]:
    """A WorkflowChange."""
    return {
        "apiVersion": "concertmaster.dev/v1alpha1",
        "kind": "WorkflowChange",
        "metadata": {"name": "c", "namespace": namespace},
        "spec": {
            "profileRef": {"name": "p"},
            "recommendation": "memory-request.a",
            "planDigest": "ab" * 32,
            **decision,
        },
    }


def test_only_the_operator_makes_changes_and_people_decide_in_their_own_name(bed: Bed, place: str) -> None:
    bed.install("cm", place, {"sources": [source(URL)]})
    cluster = bed.cluster
    operator = (f"--as=system:serviceaccount:{place}:cm-concertmaster", "--as-group=system:masters")
    made = json.dumps(change(place))

    def by_hand() -> str:
        answer = cluster.run_kubectl("create", "-f", "-", input=made)
        if answer.returncode == 0:  # admission policies take a moment until they are in force
            cluster.kubectl("delete", "wfc", "c", "-n", place)
        return answer.stderr

    wait_for("the policy in force", lambda: "only the operator creates WorkflowChanges" in by_hand())
    cluster.kubectl(*operator, "create", "-f", "-", input=made)
    phase = ("patch", "wfc", "c", "-n", place, "--subresource=status", "--type=merge", "-p")
    forged = cluster.run_kubectl(*phase, '{"status": {"phase": "Verifying"}}')
    assert "only the operator writes the status" in forged.stderr
    cluster.kubectl(*operator, *phase, '{"status": {"phase": "Proposed"}}')
    cluster.kubectl(
        "create", "rolebinding", "ana", "-n", place, "--clusterrole=cm-concertmaster-approve", "--user=ana@example.com"
    )
    ana = cluster.kubeconfig("ana@example.com")

    def decide(by: str) -> tuple[int, str]:
        patch = json.dumps({"spec": {"decision": "Approve", "decidedBy": by}})
        answer = cluster.run_kubectl("patch", "wfc", "c", "-n", place, "--type=merge", "-p", patch, kubeconfig=ana)
        return answer.returncode, answer.stderr

    code, text = decide("boss@example.com")
    assert code != 0
    assert "spec.decidedBy must be your own user name, ana@example.com" in text
    assert decide("ana@example.com")[0] == 0
    assert cluster.get("wfc", "c", "-n", place)["spec"]["decidedBy"] == "ana@example.com"
    # A later change of something else (labels, say) by another user is no decision.
    cluster.kubectl("label", "wfc", "c", "-n", place, "a=b")


def test_the_operator_creates_pods_as_dry_runs_only(bed: Bed, place: str) -> None:
    values = {"apply": {"enabled": True, "namespaces": [place], "trialPods": True}, "sources": [source(URL)]}
    bed.install("cm", place, values)
    operator = f"--as=system:serviceaccount:{place}:cm-concertmaster"
    create = ("run", "trial", "-n", place, "--image=example/a:1", operator)

    def refused() -> bool:
        answer = bed.cluster.run_kubectl(*create)
        if answer.returncode == 0:  # admission policies take a moment until they are in force
            bed.cluster.kubectl("delete", "pod", "trial", "-n", place, "--wait=false", "--force")
        return "the operator creates pods as dry runs only" in answer.stderr

    wait_for("the policy in force", refused)
    tried = bed.cluster.run_kubectl(*create, "--dry-run=server")
    assert tried.returncode == 0, tried.stderr
    bed.cluster.kubectl("run", "somebody-elses", "-n", place, "--image=example/a:1")


def test_people_get_the_rights_of_their_cluster_roles(bed: Bed, place: str) -> None:
    bed.install("cm", place, {"sources": [source(URL)]})
    cluster = bed.cluster
    for user, role in (("ana@example.com", "edit"), ("viewer@example.com", "view")):
        cluster.kubectl("create", "rolebinding", role, "-n", place, f"--clusterrole={role}", f"--user={user}")

    def may(user: str, verb: str, kind: str) -> bool:
        answer = cluster.run_kubectl("auth", "can-i", verb, kind, "-n", place, kubeconfig=cluster.kubeconfig(user))
        return answer.stdout.strip() == "yes"

    wait_for("aggregation", lambda: may("ana@example.com", "create", "workflowprofiles.concertmaster.dev"))
    assert may("viewer@example.com", "get", "workflowprofiles.concertmaster.dev")
    assert not may("viewer@example.com", "create", "workflowprofiles.concertmaster.dev")
    assert may("ana@example.com", "get", "workflowchanges.concertmaster.dev")
    assert not may("ana@example.com", "update", "workflowchanges.concertmaster.dev"), "editing is not approving"


def test_a_cluster_that_is_too_old_is_refused(bed: Bed) -> None:
    with pytest.raises(HelmError, match="kubeVersion"):
        bed.helm("template", "cm", str(CHART), "--kube-version", "1.29.3")


def test_two_releases_live_side_by_side(bed: Bed, place: str) -> None:
    """A second release leaves the kinds to the first, and neither touches the other's objects."""
    other = bed.namespace(f"{place}-b")
    apply(bed.cluster, cronjob(other, "etl"))
    bed.install("cm", place, {"namespaces": [place], "sources": [source(URL)]})
    bed.install(
        "second",
        other,
        {
            "namespaces": [other],
            "crds": {"enabled": False},
            "sources": [source(URL)],
        },
    )
    bed.remove("second", other)
    assert sorted(crds(bed)) == list(OURS)
    assert left_behind(bed)
    bed.cluster.kubectl("delete", "namespace", other, "--wait=false")


@pytest.mark.parametrize(
    ("first", "second", "overlap"),
    [
        ([], [], "all namespaces"),
        ([], ["PLACE"], "all namespaces"),
        (["PLACE", "default"], [], "PLACE"),  # the first that its rights name
        (["PLACE", "default"], ["kube-public", "default"], "default"),
        (["PLACE"], ["default"], None),
    ],
)
def test_a_release_that_would_write_against_another_is_not_installed(
    bed: Bed, place: str, first: list[str], second: list[str], overlap: str | None
) -> None:
    def values(namespaces: list[str]) -> dict[str, Any]:
        return {"sources": [source(URL)], "namespaces": [n.replace("PLACE", place) for n in namespaces]}

    def install_second() -> None:
        more = values(second) | {"fullnameOverride": "another", "crds": {"enabled": False}}
        bed.helm("install", "second", str(CHART), "-n", place, "--dry-run=server", values=more)

    bed.install("cm", place, values(first))
    if overlap is None:
        install_second()
    else:
        named = overlap.replace("PLACE", place)
        with pytest.raises(HelmError, match=f"release cm in namespace {place} looks after {named} already"):
            install_second()
    bed.helm("upgrade", "cm", str(CHART), "-n", place, values=values(first))  # no overlap with itself


@pytest.mark.parametrize(
    ("first", "second", "overlap"),
    [
        ([], [], "all namespaces"),
        ([], ["PLACE"], "all namespaces"),
        (["PLACE", "default"], ["default"], "default"),
        (["PLACE"], [], "PLACE"),
        (["PLACE"], ["default"], None),
    ],
)
def test_without_the_admission_policy_a_release_is_seen_by_its_rights(
    bed: Bed, place: str, first: list[str], second: list[str], overlap: str | None
) -> None:
    def values(namespaces: list[str]) -> dict[str, Any]:
        looked_after = [n.replace("PLACE", place) for n in namespaces]
        return {"sources": [source(URL)], "namespaces": looked_after, "approvals": {"admissionPolicy": False}}

    def install_second() -> None:
        more = values(second) | {"fullnameOverride": "another", "crds": {"enabled": False}}
        bed.helm("install", "second", str(CHART), "-n", place, "--dry-run=server", values=more)

    bed.install("cm", place, values(first))
    if overlap is None:
        install_second()
    else:
        with pytest.raises(
            HelmError, match=f"release cm in namespace {place} looks after {overlap.replace('PLACE', place)} already"
        ):
            install_second()
    bed.helm("upgrade", "cm", str(CHART), "-n", place, values=values(first))
