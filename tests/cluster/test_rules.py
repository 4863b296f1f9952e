"""The commands of rules on the real API server: each does what its recommendation says, and none overwrites a foreign
change."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from concertmaster.cli import cli
from concertmaster.core.analysis.insights import insights
from concertmaster.core.model import Recommendation
from concertmaster.core.pipeline import AnalysisResult
from concertmaster.report.result import first_status
from testbed.services.cluster import Cluster
from testbed.services.kinds import ARGO_CRDS, install_kinds
from tests.support.cluster.operator_bed import apply, install_crds
from tests.support.core.scenario_builder import Pod, Scenario, noise, scenario
from tests.support.core.scenarios import LOOK, PATCHES, SCENARIOS, STEPS, etl, measured, resources


@pytest.fixture(scope="module")
def argo(cluster: Cluster) -> Cluster:
    """The shared cluster with Argo's kinds."""
    install_kinds(cluster, ARGO_CRDS)
    return cluster


def paste(cluster: Cluster, namespace: str, command: str) -> Any:
    """Run a command as a person would, in the test's namespace."""
    words = shlex.split(command.replace("kubectl -n demo ", f"kubectl -n {namespace} ", 1))
    assert words[0] == "kubectl"
    return cluster.run_kubectl(*words[1:])


def at(stored: Any, pointer: str) -> Any:
    """The value a JSON pointer names, None where nothing is."""
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        stored = stored[int(key)] if isinstance(stored, list) else (stored or {}).get(key)
    return stored


def proposed(item: Recommendation, pointer: str) -> Any:
    """What an edit writes: quantities as text, everything else as the JSON it is."""
    text = next(e.proposed for e in item.edits if e.pointer == pointer)
    return text if "/resources/" in pointer else json.loads(text or "null")


def patching(rule: str) -> tuple[Scenario, Recommendation]:
    scenario = SCENARIOS[rule]()
    return scenario, next(r for r in scenario.recommended(rule) if r.edits)


def get(cluster: Cluster, namespace: str, scenario: Scenario) -> Any:
    manifest = scenario.manifest
    name = manifest["metadata"]["name"]
    return json.loads(cluster.kubectl("-n", namespace, "get", manifest["kind"].lower(), name, "-o", "json"))


def create(cluster: Cluster, namespace: str, scenario: Scenario) -> None:
    manifest = {**scenario.manifest, "metadata": {"name": scenario.manifest["metadata"]["name"]}}
    cluster.kubectl("-n", namespace, "create", "-f", "-", input=json.dumps(manifest))


@pytest.mark.parametrize("rule", PATCHES)
def test_the_pasted_command_sets_the_proposed_value(argo: Cluster, namespace: str, rule: str) -> None:
    scenario, item = patching(rule)
    create(argo, namespace, scenario)
    answer = paste(argo, namespace, item.how)
    assert answer.returncode == 0, answer.stderr
    stored = get(argo, namespace, scenario)
    for edit in item.edits:
        assert at(stored, edit.pointer) == proposed(item, edit.pointer)


def test_a_quantity_that_was_written_as_a_number_is_tested_as_one(argo: Cluster, namespace: str) -> None:
    """A custom resource keeps ``cpu: 2`` as it was written; a command that tests "2" fails on it."""
    made, value = etl(transform=resources(requests={"cpu": 2, "memory": "1Gi"})), noise()
    idle = measured(cpu_request=2.0, cpu_seconds=30.0, cpu_sampled_seconds=100.0)
    of = scenario(
        made,
        42,
        lambda _: {n: Pod(value(s), containers=idle if n == "transform" else measured()) for n, s in STEPS.items()},
    )
    item = of.one("right-size")
    create(argo, namespace, of)
    answer = paste(argo, namespace, item.how)
    assert answer.returncode == 0, answer.stderr
    stored = get(argo, namespace, of)
    for edit in item.edits:
        assert at(stored, edit.pointer) == proposed(item, edit.pointer)


@pytest.mark.parametrize("rule", PATCHES)
def test_a_second_paste_after_a_foreign_change_fails(argo: Cluster, namespace: str, rule: str) -> None:
    scenario, item = patching(rule)
    create(argo, namespace, scenario)
    assert paste(argo, namespace, item.how).returncode == 0
    edit = item.edits[0]
    foreign: Any = proposed(item, edit.pointer)
    foreign = {"number": 7} if isinstance(foreign, dict) else [] if isinstance(foreign, list) else foreign
    if isinstance(foreign, int):
        foreign = foreign + 1
    elif isinstance(foreign, str):
        foreign = "3Gi" if edit.pointer.endswith("memory") else "3"
    change = json.dumps([{"op": "replace", "path": edit.pointer, "value": foreign}])
    kind, name = scenario.manifest["kind"].lower(), scenario.manifest["metadata"]["name"]
    if not edit.pointer.endswith("/schedule"):  # any other schedule than what was proposed: the API server reads it
        argo.kubectl("-n", namespace, "patch", kind, name, "--type=json", "-p", change)
    before = get(argo, namespace, scenario)["spec"]
    answer = paste(argo, namespace, item.how)
    assert answer.returncode != 0
    assert get(argo, namespace, scenario)["spec"] == before


@pytest.mark.parametrize("rule", PATCHES)
def test_the_kustomize_form_makes_the_same_change(cluster: Cluster, tmp_path: Path, rule: str) -> None:
    scenario, item = patching(rule)
    manifest = {**scenario.manifest, "metadata": {"name": scenario.manifest["metadata"]["name"]}}
    (tmp_path / "workflow.json").write_text(json.dumps(manifest))
    assert item.kustomize is not None
    (tmp_path / "kustomization.yaml").write_text(f"resources: [workflow.json]\n{item.kustomize}")
    built = yaml.safe_load(cluster.kubectl("kustomize", str(tmp_path)))
    for edit in item.edits:
        assert at(built, edit.pointer) == proposed(item, edit.pointer)


@pytest.mark.parametrize("rule", sorted((LOOK & set(SCENARIOS)) - {"data-quality"}))  # doctor has tests of its own
def test_a_recommendation_to_look_at_something_names_the_plugin_and_that_answers(
    argo: Cluster, namespace: str, rule: str
) -> None:
    install_crds(argo)
    scenario = SCENARIOS[rule]()
    found = scenario.recommended(rule)
    create(argo, namespace, scenario)
    key = scenario.definition.key
    ref = {"apiVersion": scenario.manifest["apiVersion"], "kind": key.kind, "name": key.name}
    meta = {"name": "wfp", "namespace": namespace}
    apply(argo, {"apiVersion": "concertmaster.dev/v1alpha1", "kind": "WorkflowProfile", "metadata": meta,
                 "spec": {"workflowRef": ref}})  # fmt: skip
    analysis = scenario.analysis()
    status = first_status(AnalysisResult("wfp", analysis, insights(analysis), tuple(found)))
    argo.kubectl("-n", namespace, "patch", "wfp", "wfp", "--subresource=status", "--type=merge", "-p",
                 json.dumps({"status": status}))  # fmt: skip
    for item in found:
        assert not item.edits
        words = shlex.split(item.how.replace(" -n demo ", f" -n {namespace} "))
        assert words[:3] == ["kubectl", "concertmaster", "explain"]
        answer = CliRunner().invoke(
            cli, [*words[2:], "--kubeconfig", str(argo.kubeconfig()), "--operator", "none/none"]
        )
        assert answer.exit_code == 0, answer.output
        text = " ".join(answer.output.split())
        assert f"({item.id})" in text
        assert "Do:" in text
        assert item.how not in answer.output  # no circle: it says what else to do
