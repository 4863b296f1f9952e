"""The engines' controllers in the test bed: manifests without a network, and no start outside a network namespace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from testbed import netns
from testbed.install import manifests
from testbed.pods import kwok
from testbed.process import TestbedError
from testbed.services import engine_parts
from testbed.services.controlplane import ControlPlane, Options


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A Go module with manifests in place of the real ones; the list has one entry for each time it was asked for."""
    monkeypatch.setenv("CONCERTMASTER_TESTBED_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "module"
    files: dict[str, list[dict[str, Any]]] = {
        "manifests/base/crds/minimal/argoproj.io_workflows.yaml": [crd("workflows", preserve=True)],
        "manifests/base/crds/minimal/kustomization.yaml": [{"kind": "Kustomization"}],
        "manifests/base/crds/full/argoproj.io_workflows.yaml": [crd("workflows")],
        "config/300-crds/300-task.yaml": [crd("tasks", conversion=conversion())],
        "config/config-defaults.yaml": [config("config-defaults", {"_example": "long"})],
        "config/config-observability.yaml": [config("config-observability", {"_example": "long", "other": "kept"})],
        "config/config-leader-election-webhook.yaml": [config("config-leader-election-webhook", {})],
        "config/components/crd/bases/jobset.x-k8s.io_jobsets.yaml": [crd("jobsets")],
        "config/components/webhook/manifests.yaml": [webhooks("mutating", "/mutate-jobset", "/mutate--v1-pod")],
        "config/500-webhooks.yaml": [{"kind": "Secret"}, webhooks("validating", "/")],
    }
    for name, objects in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump_all(objects))
        path.chmod(0o444)
    asked: list[str] = []

    def source(component: object, name: str) -> Path:
        asked.append(name)
        return root

    monkeypatch.setattr(manifests, "module_source", source)
    return asked


def crd(name: str, *, conversion: dict[str, Any] | None = None, preserve: bool = False) -> dict[str, Any]:
    spec: dict[str, Any] = {"names": {"plural": name}, "preserve": preserve}
    if conversion is not None:
        spec["conversion"] = conversion
    return {"kind": "CustomResourceDefinition", "metadata": {"name": name}, "spec": spec}


def conversion() -> dict[str, Any]:
    return {"strategy": "Webhook", "webhook": {"clientConfig": {"service": {"name": "tekton-pipelines-webhook"}}}}


def webhooks(name: str, *paths: str) -> dict[str, Any]:
    rows = [{"name": path, "clientConfig": {"service": {"name": "webhook-service", "path": path}}} for path in paths]
    return {"kind": "MutatingWebhookConfiguration", "metadata": {"name": name}, "webhooks": rows}


def config(name: str, data: dict[str, str]) -> dict[str, Any]:
    return {"kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def test_manifests_are_fetched_once(module: list[str]) -> None:
    first = manifests.fetch("argo-workflow-controller")
    assert manifests.fetch("argo-workflow-controller") == first
    assert module == ["github.com/argoproj/argo-workflows/v3"]
    assert not list(first.parent.glob(".*"))


def test_minimal_and_full_crds(module: list[str]) -> None:
    assert [c["spec"]["preserve"] for c in manifests.argo_crds()] == [True]
    assert [c["spec"]["preserve"] for c in manifests.argo_crds(full=True)] == [False]


def test_tekton_works_without_its_webhook(module: list[str]) -> None:
    assert [c["spec"]["conversion"] for c in manifests.tekton_crds()] == [{"strategy": "None"}]
    made = {o["metadata"]["name"]: o.get("data") for o in manifests.tekton_configuration()}
    assert made == {
        manifests.TEKTON_NAMESPACE: None,
        "config-defaults": {},
        "config-observability": {"other": "kept", "metrics-protocol": "prometheus"},
    }


def test_the_api_server_finds_tektons_webhook_on_the_loopback_interface(module: list[str]) -> None:
    service, secret, configuration = manifests.tekton_webhooks(4711)
    assert service["spec"] == {"type": "ExternalName", "externalName": "localhost"}
    assert secret == {"kind": "Secret"}
    assert [w["clientConfig"]["service"]["port"] for w in configuration["webhooks"]] == [4711]
    (tasks,) = manifests.tekton_crds(4711)
    assert tasks["spec"]["conversion"]["strategy"] == "Webhook"
    assert tasks["spec"]["conversion"]["webhook"]["clientConfig"]["service"]["port"] == 4711
    names = [o["metadata"]["name"] for o in manifests.tekton_configuration(webhook=True)]
    assert "config-leader-election-webhook" in names


def test_the_newest_engines_are_asked_for_by_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    assert {"tekton-webhook", "jobset-controller-newest"} & set(Options.engines().binaries()) == set()
    monkeypatch.setenv("CONCERTMASTER_TESTBED_ENGINES", "newest")
    names = set(Options.engines().binaries())
    assert {"tekton-controller", "tekton-webhook", "jobset-controller-newest"} <= names
    assert "jobset-controller" not in names
    assert "tekton-webhook" not in Options.everything().binaries()
    monkeypatch.setenv("CONCERTMASTER_TESTBED_ENGINES", "v9")
    with pytest.raises(TestbedError, match="'v9'; only newest is known"):
        Options.engines()


def test_jobset_webhooks_are_reached_without_a_service(module: list[str], tmp_path: Path) -> None:
    authority = tmp_path / "ca.crt"
    authority.write_text("certificate")
    (found,) = manifests.jobset_webhooks("https://127.0.0.1:1", authority)
    of_sets, of_pods = found["webhooks"]
    assert of_sets["clientConfig"] == {"url": "https://127.0.0.1:1/mutate-jobset", "caBundle": "Y2VydGlmaWNhdGU="}
    assert "objectSelector" not in of_sets
    assert of_pods["objectSelector"]["matchExpressions"][0]["key"] == "jobset.sigs.k8s.io/jobset-name"
    assert [c["metadata"]["name"] for c in manifests.jobset_crds()] == ["jobsets"]


def test_a_component_without_manifests_is_named() -> None:
    with pytest.raises(ValueError, match="etcd has no manifests"):
        manifests.fetch("etcd")
    assert not manifests.has_manifests("etcd")


def test_controllers_do_not_start_outside_a_network_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their ports are fixed: outside they would be reachable, and clash."""
    monkeypatch.delenv(netns.MARK, raising=False)
    with pytest.raises(TestbedError, match=r"python -m testbed netns -- pytest tests/engines"):
        ControlPlane(Options.engines()).start()
    monkeypatch.setenv(netns.MARK, "1")
    engine_parts.require_namespace()


def test_the_engines_options_ask_for_both_controllers() -> None:
    names = Options.engines().binaries()
    controllers = {"argo-workflow-controller", "tekton-controller", "jobset-controller"}
    assert controllers <= set(names)
    assert not controllers & set(Options.everything().binaries())


def test_stages_of_the_engines_stand_beside_the_others(tmp_path: Path) -> None:
    kwok.write_stages(tmp_path / "stages.yaml", kwok.SOURCE, kwok.ENGINES_SOURCE)
    names = [stage["metadata"]["name"] for stage in yaml.safe_load_all((tmp_path / "stages.yaml").read_text())]
    assert len(set(names)) == len(names)
    assert {"pod-start", "tekton-release", "tekton-step", "argo-outputs"} <= set(names)
    kwok.write_stages(tmp_path / "plain.yaml")
    plain = [stage["metadata"]["name"] for stage in yaml.safe_load_all((tmp_path / "plain.yaml").read_text())]
    assert set(names) - set(plain) == {"tekton-release", "tekton-step", "argo-outputs"}
