"""Every command that is printed about a workflow runs as printed: pasted into a shell, on a real API server."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from concertmaster.report.result import first_status
from testbed.services.cluster import Cluster
from testbed.services.kinds import ARGO_CRDS, CRDS, install_kinds
from tests.support.cluster.operator_bed import apply
from tests.support.cluster.shell import all_run, environment, run
from tests.support.core.cases import Case, cases
from tests.support.core.recommendation_history import lived

PLACE = "demo"  # the statuses of the cases name it

# A test runs a dozen commands one after the other, each with a limit of its own.
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def shell(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of a person, in a cluster with Argo's kinds and a namespace."""
    install_kinds(cluster, CRDS, ARGO_CRDS)
    cluster.kubectl("create", "namespace", PLACE)
    yield environment(cluster, tmp_path_factory.mktemp("bin"))
    cluster.kubectl("delete", "namespace", PLACE, "--wait=false")


def put(cluster: Cluster, case: Case, reported: dict[str, object], **spec: object) -> None:
    """The workflow of a case and its profile, as its operator left them."""
    steps = case.definition.graph.steps
    tasks = [{"name": s.name, "template": s.template, "dependencies": list(s.depends_on)} for s in steps]
    templates = [
        {"name": s.template, "container": {"image": "x", "resources": dict(s.containers[0].resources)}} for s in steps
    ]
    meta = {"name": case.definition.key.name, "namespace": PLACE}
    workflow = {"entrypoint": "main", "templates": [{"name": "main", "dag": {"tasks": tasks}}, *templates]}
    ref = {"apiVersion": "argoproj.io/v1alpha1", "kind": "WorkflowTemplate", "name": meta["name"]}
    cluster.kubectl("-n", PLACE, "delete", "workflowtemplate,wfp", "--all")
    apply(cluster, {"apiVersion": ref["apiVersion"], "kind": ref["kind"], "metadata": meta, "spec": workflow})
    apply(cluster, {"apiVersion": "concertmaster.dev/v1alpha1", "kind": "WorkflowProfile",
                    "metadata": {"name": case.name, "namespace": PLACE},
                    "spec": {"workflowRef": ref, **spec}})  # fmt: skip
    patch = json.dumps({"status": reported})
    cluster.kubectl("-n", PLACE, "patch", "wfp", case.name, "--subresource=status", "--type=merge", "-p", patch)


def surfaces(name: str) -> list[str]:
    """Everything that speaks of a profile."""
    return [
        f"kubectl describe wfp {name} -n {PLACE}",
        f"kubectl concertmaster describe {name} -n {PLACE}",
        f"kubectl concertmaster explain {name} -n {PLACE}",
        f"kubectl concertmaster top -n {PLACE}",
        f"kubectl concertmaster list -n {PLACE} -o wide",
    ]


@pytest.mark.parametrize("case", cases(), ids=lambda c: c.name)
def test_every_command_runs_as_printed(case: Case, cluster: Cluster, shell: dict[str, str]) -> None:
    reported = first_status(case.analysed(), policy="OptimizationPolicy/team-data")
    put(cluster, case, reported)
    commands = all_run(surfaces(case.name), shell)
    assert any("explain" in c for c in commands)
    changing = any(" patch " in c or " edit " in c or "--show-managed-fields" in c for c in commands)
    assert changing is bool(reported["recommendations"])


def test_commands_of_recommendations_with_a_past_run_as_printed(cluster: Cluster, shell: dict[str, str]) -> None:
    case = next(c for c in cases() if c.name == "over-requested")
    put(cluster, Case("lived", case.definition, case.runs), lived())
    assert any(" patch " in c for c in all_run(surfaces("lived"), shell))


def test_profiles_are_sorted_by_impact_as_a_number(cluster: Cluster, shell: dict[str, str]) -> None:
    cluster.kubectl("-n", PLACE, "delete", "wfp", "--all")
    ref = {"apiVersion": "argoproj.io/v1alpha1", "kind": "WorkflowTemplate", "name": "etl"}
    for name, impact in (("a", 40), ("b", 5), ("c", 300)):
        meta = {"name": name, "namespace": PLACE}
        apply(cluster, {"apiVersion": "concertmaster.dev/v1alpha1", "kind": "WorkflowProfile", "metadata": meta,
                        "spec": {"workflowRef": ref}})  # fmt: skip
        patch = json.dumps({"status": {"summary": {"impact": impact, "target": "WorkflowTemplate/etl"}}})
        cluster.kubectl("-n", PLACE, "patch", "wfp", name, "--subresource=status", "--type=merge", "-p", patch)
    table = run(f"kubectl get wfp -n {PLACE} --sort-by=.status.summary.impact", shell).splitlines()
    assert "IMPACT/MONTH" in table[0].split()
    assert [line.split()[0] for line in table[1:]] == ["b", "a", "c"]


def test_a_bulk_dismissal_reaches_what_has_the_label_and_is_worth_less_and_nothing_else(
    cluster: Cluster, shell: dict[str, str]
) -> None:
    cluster.kubectl("-n", PLACE, "delete", "wfp", "--all")
    ref = {"apiVersion": "argoproj.io/v1alpha1", "kind": "WorkflowTemplate", "name": "etl"}
    worth = {"right-size": "0.4 USD a month", "timeout.load": "12 USD a month"}
    words = dict.fromkeys(("because", "current", "expected", "how", "proposed"), "x")
    levels = {"category": "Cost", "effort": "Low", "risk": "Low", "severity": "Low", "state": "Active"}
    reported = [{"id": i, "action": f"do {i}", "impact": w, **words, **levels} for i, w in worth.items()]
    for name, labels in (("a", {"team": "data"}), ("b", {"team": "web"}), ("c", {})):
        apply(cluster, {"apiVersion": "concertmaster.dev/v1alpha1", "kind": "WorkflowProfile",
                        "metadata": {"name": name, "namespace": PLACE, "labels": labels},
                        "spec": {"workflowRef": ref}})  # fmt: skip
        patch = json.dumps({"status": {"recommendations": reported}})
        cluster.kubectl("-n", PLACE, "patch", "wfp", name, "--subresource=status", "--type=merge", "-p", patch)

    def dismissed() -> dict[str, set[str]]:
        found = json.loads(cluster.kubectl("-n", PLACE, "get", "wfp", "-o", "json"))["items"]
        return {p["metadata"]["name"]: {d["recommendation"] for d in p["spec"].get("dismissals", ())} for p in found}

    dismiss = f"kubectl concertmaster dismiss -n {PLACE} -l team=data --reason replaced -y"
    run(f"{dismiss} --below 1usd", shell)
    assert dismissed() == {"a": {"right-size"}, "b": set(), "c": set()}
    run(f"{dismiss} --all", shell)
    assert dismissed() == {"a": set(worth), "b": set(), "c": set()}
