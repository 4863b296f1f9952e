"""Plans on the real API server, kind by kind: written, rolled back to the very same object, and refused as they should."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from concertmaster.core.changes.plan import plan
from concertmaster.core.model import Edit
from concertmaster.engines import PATCHABLE
from concertmaster.kube.apply import PatchOutcome, WriteResult, as_planned, patch_object
from concertmaster.kube.client import KubeClient
from concertmaster.kube.objects import ObjectRef
from testbed.services.cluster import Cluster
from testbed.services.controlplane import ControlPlane, Options
from testbed.services.kinds import ARGO_CRDS, any_content, install_kinds
from tests.support.cluster.apply_cases import CASES, CRON
from tests.support.cluster.operator_bed import wait_for
from tests.support.core.change_samples import recommended
from tests.support.resources import known_resource

pytestmark = pytest.mark.cluster

_ADMISSION = "admissionregistration.k8s.io/v1beta1"
_LEAST = """[JSONPatch{op: "replace", path: "/spec/jobTemplate/spec/template/spec/containers/0/resources/requests/cpu",
value: "300m"}]"""
MUTATING: list[dict[str, Any]] = [
    {
        "apiVersion": _ADMISSION,
        "kind": "MutatingAdmissionPolicy",
        "metadata": {"name": "least"},
        "spec": {
            "reinvocationPolicy": "Never",
            "failurePolicy": "Fail",
            "matchConstraints": {
                "resourceRules": [
                    {"apiGroups": ["batch"], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["cronjobs"]}
                ]
            },
            "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": _LEAST}}],
        },
    },
    {
        "apiVersion": _ADMISSION,
        "kind": "MutatingAdmissionPolicyBinding",
        "metadata": {"name": "least"},
        "spec": {"policyName": "least"},
    },
]


@pytest.fixture(scope="module")
def client(cluster: Cluster) -> KubeClient:
    """A client of the shared cluster, with the engines' kinds installed."""
    tekton = [any_content("tekton.dev", "v1", k, p) for k, p in (("Pipeline", "pipelines"), ("Task", "tasks"))]
    install_kinds(cluster, ARGO_CRDS, *tekton)
    return KubeClient.connect(cluster.kubeconfig())


def made(client: KubeClient, namespace: str, kind: str) -> tuple[ObjectRef, dict[str, Any], list[Edit]]:
    """The object of one case as the API server stores it."""
    api_version, spec, edits = CASES[kind]
    resource = known_resource(api_version, kind)
    place = namespace if resource.namespaced else None
    meta = {"name": f"apply-{namespace}"[:50].rstrip("-"), **({"namespace": place} if place else {})}
    body = {"apiVersion": api_version, "kind": kind, "metadata": meta, "spec": spec}
    raw = client.create(resource.path(place), body)
    holder = str(meta["name"]) if kind == "Task" else None
    return ObjectRef.of(resource, raw), raw, [replace(e, holder=holder) for e in edits]


@pytest.mark.parametrize("kind", CASES)
def test_a_plan_is_written_and_taken_back_to_the_very_same_object(
    client: KubeClient, namespace: str, kind: str
) -> None:
    ref, raw, edits = made(client, namespace, kind)
    found = plan(recommended(*edits), raw, PATCHABLE, profile="p", namespace=namespace)
    operations = found.operations(raw["metadata"]["resourceVersion"])
    tried = patch_object(client, ref, operations, dry_run=True)
    assert as_planned(tried, raw, operations).outcome is PatchOutcome.TRIED, tried
    assert client.get(ref.path)["spec"] == raw["spec"]
    wrote = patch_object(client, ref, operations)
    assert wrote.outcome is PatchOutcome.DONE, wrote.message
    changed = client.get(ref.path)
    assert changed["spec"] != raw["spec"]
    assert changed["metadata"].get("annotations") == raw["metadata"].get("annotations")
    again = patch_object(client, ref, operations)
    assert again.outcome is PatchOutcome.CHANGED, again.message  # never twice
    back = patch_object(client, ref, found.inverse)
    assert back.outcome is PatchOutcome.DONE, back.message
    assert client.get(ref.path)["spec"] == raw["spec"]
    client.delete(ref.path, uid=ref.uid)


def test_what_the_server_says_is_distinguished(client: KubeClient, namespace: str) -> None:
    ref, raw, edits = made(client, namespace, "CronJob")
    found = plan(recommended(*edits), raw, PATCHABLE, profile="p", namespace=namespace)
    stale = patch_object(client, ref, found.operations("1"))
    assert stale.outcome is PatchOutcome.CHANGED, stale.message
    moved = [{"op": "test", "path": "/spec/jobTemplate/spec/template/spec/containers/0/name", "value": "other"}]
    assert patch_object(client, ref, [*moved, *found.patch]).outcome is PatchOutcome.CHANGED
    wrong = [{"op": "add", "path": f"{CRON.removesuffix('/requests')}/requests", "value": {"cpu": "1e3Mi"}}]
    refused = patch_object(client, ref, wrong, dry_run=True)
    assert refused.outcome is PatchOutcome.REFUSED, refused.message
    unknown = [{"op": "add", "path": "/spec/nonsense", "value": 1}]
    assert patch_object(client, ref, unknown, dry_run=True).outcome is PatchOutcome.REFUSED
    client.delete(ref.path, uid=ref.uid)
    assert patch_object(client, ref, found.patch).outcome is PatchOutcome.GONE


def test_a_plan_that_a_mutating_policy_makes_another_of_is_refused(
    make_control_plane: Callable[[Options], ControlPlane],
) -> None:
    """The policy gives every CronJob 300m of CPU."""
    gates = (
        "--feature-gates=MutatingAdmissionPolicy=true",
        "--runtime-config=admissionregistration.k8s.io/v1beta1=true",
    )
    cluster = make_control_plane(Options(apiserver_args=gates)).cluster
    client = KubeClient.connect(cluster.kubeconfig())
    ref, raw, _ = made(client, "default", "CronJob")
    found = plan(recommended(Edit(f"{CRON}/cpu", None, "250m")), raw, PATCHABLE, profile="p", namespace="default")
    operations = found.operations(raw["metadata"]["resourceVersion"])
    assert as_planned(patch_object(client, ref, operations, dry_run=True), raw, operations).outcome is (
        PatchOutcome.TRIED
    )
    cluster.kubectl("apply", "-f", "-", input="\n---\n".join(map(json.dumps, MUTATING)))

    def refused() -> WriteResult | None:
        tried = as_planned(patch_object(client, ref, operations, dry_run=True), raw, operations)
        return tried if tried.outcome is PatchOutcome.REFUSED else None

    found_out = wait_for("a mutating policy in effect", refused)
    assert f'admission would store "300m" at {CRON}/cpu' in found_out.message
