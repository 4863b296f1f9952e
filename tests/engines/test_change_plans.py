"""Plans where the engines' real CRDs stand and their controllers run: the next run has what was planned, and after the
inverse what was there before. A run that goes on keeps its own. One change is made by the whole operator."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from concertmaster.core.changes.plan import plan
from concertmaster.core.model import Edit
from concertmaster.engines import PATCHABLE
from concertmaster.kube.apply import PatchOutcome, patch_object
from concertmaster.kube.client import KubeClient
from concertmaster.kube.objects import CHANGES, ObjectRef
from testbed.install.components import ARGO_V4
from testbed.services.cluster import Cluster
from testbed.services.controlplane import Options, argo_version
from testbed.services.prometheus import PrometheusServer
from tests.engines.conftest import bed
from tests.support.cluster.apply_cases import CASES
from tests.support.cluster.operator_bed import (
    apply,
    condition,
    history,
    install_crds,
    operator,
    policy,
    runs_of_cronjob,
    settings,
    wait_for,
)
from tests.support.core.change_samples import recommended
from tests.support.core.scenarios import SCENARIOS
from tests.support.engines.scenario import ended
from tests.support.resources import known_resource

SPACE = "plans"
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
        found.kubectl("wait", "--for=create", "serviceaccount/default", "-n", SPACE, "--timeout=240s")
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


def manifest_of(kind: str, name: str, spec: dict[str, Any], **labels: str) -> dict[str, Any]:
    """An object of Tekton's."""
    meta = {"name": name, "namespace": SPACE, "labels": labels}
    return {"apiVersion": "tekton.dev/v1", "kind": kind, "metadata": meta, "spec": spec}


def applied(cluster: Cluster, kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    """The manifest of an object that was applied."""
    body = manifest_of(kind, name, spec)
    cluster.apply(body, namespace=SPACE)
    return body


def written(value: Any) -> Any:
    """A value without the empty ones that Tekton's webhook adds to what was applied."""
    if isinstance(value, list):
        return [written(v) for v in value]
    if not isinstance(value, dict):
        return value
    return {k: written(v) for k, v in value.items() if v is not None and v != {}}


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
        holder, at = name, "/spec"
    else:
        manifest = applied(cluster, "Pipeline", name, {"tasks": [{"name": "work", "taskSpec": TASK_SPEC}]})
        holder, at = None, "/spec/tasks/0/taskSpec"
    resource = known_resource("tekton.dev/v1", place)
    raw = client.get(resource.path(SPACE, name))
    raw |= {"apiVersion": "tekton.dev/v1", "kind": place}
    ref = ObjectRef.of(resource, raw)
    assert run(cluster, f"{name}-1", name) == ASKED
    made = plan(
        recommended(
            Edit(f"{at}/steps/0/computeResources/requests/cpu", "300m", "150m", holder),
            Edit(f"{at}/steps/1/computeResources/requests/cpu", None, "250m", holder),
            Edit(f"{at}/stepTemplate/computeResources/requests/memory", "256Mi", "192Mi", holder),
            Edit(f"{at}/sidecars/0/computeResources/requests/cpu", "200m", "100m", holder),
        ),
        raw,
        PATCHABLE,
        profile="p",
        namespace=SPACE,
    )
    operations = made.operations(raw["metadata"]["resourceVersion"])
    assert patch_object(client, ref, operations, dry_run=True).outcome is PatchOutcome.TRIED
    wrote = patch_object(client, ref, operations)
    assert wrote.outcome is PatchOutcome.DONE, wrote.message
    changed = client.get(ref.path)
    assert kustomized(cluster, tmp_path, manifest, made.kustomize)["spec"] == written(changed["spec"])
    assert run(cluster, f"{name}-2", name) == {
        "step-fetch": {"cpu": "150m", "memory": "192Mi"},
        "step-build": {"cpu": "250m", "memory": "192Mi"},
        "sidecar-db": {"cpu": "100m"},
    }
    assert patch_object(client, ref, operations).outcome is PatchOutcome.CHANGED  # never twice
    back = patch_object(client, ref, made.inverse)
    assert back.outcome is PatchOutcome.DONE, back.message
    assert client.get(ref.path)["spec"] == raw["spec"]
    assert run(cluster, f"{name}-3", name) == ASKED


def history_of(pipeline: str, end: float) -> list[str]:
    """Two days of hourly runs of a Pipeline's only task ``work``, which uses a quarter of its core."""
    pods = []
    for i, pod in enumerate(runs_of_cronjob(SPACE, pipeline, 30, end)[0]):
        name = f"{pipeline}-{i:05d}-work"
        containers = [replace(c, name="step-work") for c in pod.containers]
        pods.append(replace(pod, pod=f"{name}-pod", owner_kind="TaskRun", owner_name=name, containers=containers))
    return history(pods, [], end)


def test_an_operator_changes_the_task_of_a_pipeline_which_others_may_share(
    cluster: Cluster, client: KubeClient, make_prometheus: Callable[..., PrometheusServer], tmp_path: Path
) -> None:
    """Auto waits while another Pipeline runs the Task; then it changes the Task, the next run has it, and the restore
    gives it back."""
    install_crds(cluster)
    step = {"name": "work", "image": "sim/a:1", "command": ["a"]}
    step["computeResources"] = {"requests": {"cpu": "1", "memory": "2Gi"}}
    calls = {"tasks": [{"name": "work", "taskRef": {"name": "unit"}}]}
    apply(
        cluster,
        manifest_of("Task", "unit", {"steps": [step]}),
        manifest_of("Pipeline", "refs", calls, team="data"),
        manifest_of("Pipeline", "nightly", calls),
    )
    discover = [{"apiVersion": "tekton.dev/v1", "kind": "Pipeline", "selector": {"matchLabels": {"team": "data"}}}]
    apply(cluster, policy(SPACE, discover=discover, apply={"mode": "Auto"}))
    tasks = known_resource("tekton.dev/v1", "Task")
    before = client.get(tasks.path(SPACE, "unit"))["spec"]
    prometheus = make_prometheus(history=history_of("refs", time.time() - 30.0))

    def change(phase: str) -> dict[str, Any]:
        rows = lambda: [c for c in client.items(CHANGES.path(SPACE)) if (c.get("status") or {}).get("phase") == phase]  # noqa: E731
        return dict(wait_for(f"a change in phase {phase}", lambda: next(iter(rows()), None)))

    config = settings(tmp_path, {"default": prometheus.url}, namespaces=[SPACE])
    with operator(cluster, tmp_path, config):
        waiting = change("Proposed")
        assert "1 other Pipeline (nightly) runs Task unit too" in condition(waiting, "Approved")["message"]
        assert client.get(tasks.path(SPACE, "unit"))["spec"] == before
        cluster.kubectl("delete", "pipelines.tekton.dev/nightly", "-n", SPACE)
        made = change("Verifying")
        assert made["status"]["plan"]["target"]["kind"] == "Task"
        after = client.get(tasks.path(SPACE, "unit"))["spec"]["steps"][0]["computeResources"]["requests"]
        assert after != {"cpu": "1", "memory": "2Gi"}
        assert run(cluster, "refs-live1", "refs") == {"step-work": after}
        cluster.kubectl(
            "patch", "wfc", made["metadata"]["name"], "-n", SPACE, "--type=merge",
            "-p", '{"spec": {"decision": "Reject", "decidedBy": "admin"}}',
        )  # fmt: skip
        assert change("Completed")["status"]["restored"] is True
    assert client.get(tasks.path(SPACE, "unit"))["spec"] == before
    assert run(cluster, "refs-live2", "refs") == {"step-work": {"cpu": "1", "memory": "2Gi"}}


@pytest.mark.parametrize("kind", CASES)
def test_full_schemas_take_every_plan_and_its_inverse(client: KubeClient, kind: str) -> None:
    """Every kind of target and of place (containerSet, script, template limits ...) where the server checks the fields."""
    api_version, spec, edits = CASES[kind]
    resource = known_resource(api_version, kind)
    space = SPACE if resource.namespaced else None
    meta = {"name": f"full-{kind.lower()}", **({"namespace": space} if space else {})}
    raw = client.create(resource.path(space), {"apiVersion": api_version, "kind": kind, "metadata": meta, "spec": spec})
    ref = ObjectRef.of(resource, raw)
    holder = meta["name"] if kind == "Task" else None
    edits = [replace(e, holder=holder) for e in edits]
    made = plan(recommended(*edits), raw, PATCHABLE, profile="p", namespace=SPACE)
    wrote = patch_object(client, ref, made.operations(raw["metadata"]["resourceVersion"]))
    assert wrote.outcome is PatchOutcome.DONE, wrote.message
    assert client.get(ref.path)["spec"] != raw["spec"]
    back = patch_object(client, ref, made.inverse)
    assert back.outcome is PatchOutcome.DONE, back.message
    assert client.get(ref.path)["spec"] == raw["spec"]


def test_the_cache_that_is_recommended_runs_on_inputs_of_every_kind(cluster: Cluster) -> None:
    """Argo takes letters, digits and dashes for a key: with a raw URL in it every run of the patched workflow failed."""
    body: dict[str, Any] = {
        "name": "model",
        "inputs": {"parameters": [{"name": "day"}]},
        "metadata": {"annotations": {"sim/duration": "1", "sim/outputs": '{"model": "m"}'}},
        "outputs": {"parameters": [{"name": "model", "valueFrom": {"path": "/tmp/model"}}]},
        "container": {"image": "sim/model:1", "command": ["model"]},
    }
    (edit,) = SCENARIOS["cache-step"]().one("cache-step").edits
    body["memoize"] = json.loads(edit.proposed or "")
    if argo_version() == ARGO_V4:  # as the recommendation says
        del body["memoize"]["cache"]["configMap"]["key"]
    ends = {}
    for number, day in enumerate(("https://a.example/b c_d?e=1", "https://a.example/b c_d?e=1", "2026-11-20 x/y")):
        name = f"cached-{number}"
        spec = {
            "entrypoint": "model",
            "arguments": {"parameters": [{"name": "day", "value": day}]},
            "templates": [body],
        }
        meta = {"name": name, "namespace": SPACE}
        cluster.apply({"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": meta, "spec": spec})
        deadline = time.time() + 90
        while (status := cluster.get(f"workflow/{name}", "-n", SPACE).get("status") or {}).get("phase") in (
            None, "", "Pending", "Running",
        ):  # fmt: skip
            assert time.time() < deadline, f"{name} did not end"
            time.sleep(0.5)
        (node,) = (n for n in status["nodes"].values() if n["templateName"] == "model")
        ends[name] = (status["phase"], (node.get("memoizationStatus") or {}).get("hit"), status.get("message"))
    assert ends == {
        "cached-0": ("Succeeded", False, None),
        "cached-1": ("Succeeded", True, None),
        "cached-2": ("Succeeded", False, None),
    }
