"""Plans where the engines' real CRDs stand and their controllers run: the next run has what was planned, and after the
inverse what was there before. A run that goes on keeps its own."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from concertmaster.core.model import Edit
from concertmaster.core.plan import plan
from concertmaster.kube.apply import Wrote, patch_object
from concertmaster.kube.client import KubeClient
from concertmaster.kube.objects import ObjectRef, Resource, target_resource
from testbed.cluster import Cluster
from testbed.controlplane import Options
from tests.cluster.test_apply import CASES
from tests.engines.conftest import bed
from tests.engines.scene import ended
from tests.unit.core.changes_world import advice

SPACE = "plans"
TASKS = Resource("tekton.dev/v1", "Task", "tasks")
SHARED = {"requests": {"cpu": "400m", "memory": "256Mi"}}
TASK_SPEC: dict[str, Any] = {
    "stepTemplate": {"computeResources": SHARED},
    "steps": [
        {"name": "fetch", "image": "sim/a:1", "command": ["a"], "computeResources": {"requests": {"cpu": "300m"}}},
        {"name": "build", "image": "sim/b:1", "command": ["b"]},
    ],
    "sidecars": [
        {"name": "db", "image": "sim/d:1", "command": ["d"], "computeResources": {"requests": {"cpu": "200m"}}}
    ],
}
ASKED = {
    "step-fetch": {"cpu": "300m", "memory": "256Mi"},
    "step-build": {"cpu": "400m", "memory": "256Mi"},
    "sidecar-db": {"cpu": "200m"},
}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Real CRDs with full schemas and the Tekton controller."""
    options = Options(controller_manager=True, scheduler=True, kwok=True, argo=True, tekton=True, full_crds=True)
    with bed(options) as found:
        found.kubectl("create", "namespace", SPACE)
        found.kubectl("wait", "--for=create", "serviceaccount/default", "-n", SPACE, "--timeout=30s")
        yield found


@pytest.fixture(scope="module")
def client(cluster: Cluster) -> KubeClient:
    return KubeClient.connect(cluster.kubeconfig())


def run(cluster: Cluster, name: str, pipeline: str) -> dict[str, dict[str, str]]:
    """Start a PipelineRun and wait for its end; requests of its pod by container."""
    spec = {"pipelineRef": {"name": pipeline}}
    cluster.apply(
        {"apiVersion": "tekton.dev/v1", "kind": "PipelineRun", "metadata": {"name": name}, "spec": spec},
        namespace=SPACE,
    )
    deadline = time.time() + 120
    while not ended(cluster.get(f"pipelinerun.tekton.dev/{name}", "-n", SPACE)):
        assert time.time() < deadline, f"{name} did not end"
        time.sleep(0.5)
    (pod,) = cluster.get("pods", "-n", SPACE, "-l", f"tekton.dev/pipelineRun={name}")["items"]
    return {c["name"]: c["resources"].get("requests", {}) for c in pod["spec"]["containers"]}


def applied(cluster: Cluster, kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    """The manifest of an object that was applied."""
    body = {"apiVersion": "tekton.dev/v1", "kind": kind, "metadata": {"name": name, "namespace": SPACE}, "spec": spec}
    cluster.apply(body, namespace=SPACE)
    return body


def kustomized(cluster: Cluster, tmp_path: Any, manifest: dict[str, Any], entry: str) -> dict[str, Any]:
    """What kustomize builds of the manifest in Git with the plan's entry."""
    (tmp_path / "object.yaml").write_text(yaml.safe_dump(manifest))
    (tmp_path / "kustomization.yaml").write_text(
        yaml.safe_dump({"resources": ["object.yaml"], "patches": [json.loads(entry)]})
    )
    found = yaml.safe_load(cluster.kubectl("kustomize", str(tmp_path)))
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("place", ["Task", "Pipeline"])
def test_the_next_run_has_what_was_planned_for_a_tekton_task(
    cluster: Cluster, client: KubeClient, tmp_path: Any, place: str
) -> None:
    """Steps, a step that leans on the stepTemplate, the stepTemplate, a sidecar; in a Task and embedded in a Pipeline."""
    name = place.lower()
    if place == "Task":
        manifest = applied(cluster, "Task", name, TASK_SPEC)
        applied(cluster, "Pipeline", name, {"tasks": [{"name": "work", "taskRef": {"name": name}}]})
        resource, at = TASKS, "/spec"
    else:
        manifest = applied(cluster, "Pipeline", name, {"tasks": [{"name": "work", "taskSpec": TASK_SPEC}]})
        found = target_resource("tekton.dev/v1", "Pipeline")
        assert found is not None
        resource, at = found, "/spec/tasks/0/taskSpec"
    raw = client.get(resource.path(SPACE, name))
    raw |= {"apiVersion": "tekton.dev/v1", "kind": place}
    ref = ObjectRef.of(resource, raw)
    assert run(cluster, f"{name}-1", name) == ASKED
    made = plan(
        advice(
            Edit(f"{at}/steps/0/computeResources/requests/cpu", "300m", "150m"),
            Edit(f"{at}/steps/1/computeResources/requests/cpu", None, "250m"),
            Edit(f"{at}/stepTemplate/computeResources/requests/memory", "256Mi", "192Mi"),
            Edit(f"{at}/sidecars/0/computeResources/requests/cpu", "200m", "100m"),
        ),
        raw,
        profile="p",
        namespace=SPACE,
    )
    operations = made.operations(raw["metadata"]["resourceVersion"])
    assert patch_object(client, ref, operations, dry_run=True).outcome is Wrote.TRIED
    wrote = patch_object(client, ref, operations)
    assert wrote.outcome is Wrote.DONE, wrote.message
    changed = client.get(ref.path)
    assert kustomized(cluster, tmp_path, manifest, made.kustomize)["spec"] == changed["spec"]
    assert run(cluster, f"{name}-2", name) == {
        "step-fetch": {"cpu": "150m", "memory": "192Mi"},
        "step-build": {"cpu": "250m", "memory": "192Mi"},
        "sidecar-db": {"cpu": "100m"},
    }
    assert patch_object(client, ref, operations).outcome is Wrote.CHANGED  # never twice
    back = patch_object(client, ref, made.inverse)
    assert back.outcome is Wrote.DONE, back.message
    assert client.get(ref.path)["spec"] == raw["spec"]
    assert run(cluster, f"{name}-3", name) == ASKED


@pytest.mark.parametrize("kind", CASES)
def test_full_schemas_take_every_plan_and_its_inverse(client: KubeClient, kind: str) -> None:
    """Every kind of target and of place (containerSet, script, template limits ...) where the server checks the fields."""
    api_version, spec, edits = CASES[kind]
    resource = TASKS if kind == "Task" else target_resource(api_version, kind)
    assert resource is not None
    space = SPACE if resource.namespaced else None
    meta = {"name": f"full-{kind.lower()}", **({"namespace": space} if space else {})}
    raw = client.create(resource.path(space), {"apiVersion": api_version, "kind": kind, "metadata": meta, "spec": spec})
    ref = ObjectRef.of(resource, raw)
    made = plan(advice(*edits), raw, profile="p", namespace=SPACE)
    wrote = patch_object(client, ref, made.operations(raw["metadata"]["resourceVersion"]))
    assert wrote.outcome is Wrote.DONE, wrote.message
    assert client.get(ref.path)["spec"] != raw["spec"]
    back = patch_object(client, ref, made.inverse)
    assert back.outcome is Wrote.DONE, back.message
    assert client.get(ref.path)["spec"] == raw["spec"]
