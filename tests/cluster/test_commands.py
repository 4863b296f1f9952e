"""Every command that is printed about a workflow runs as printed: pasted into a shell, on a real API server."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from concertmaster.report.result import first_status
from testbed.services.cluster import Cluster
from tests.support.cluster.operator_bed import apply, install_crds
from tests.support.core.cases import Case, cases
from tests.support.core.recommendation_history import lived

ARGO_CRDS = Path(__file__).resolve().parents[2] / "examples" / "demo" / "argo-crds.yaml"
PLACE = "demo"  # the statuses of the cases name it
PRINTED = re.compile(r"(?:^|: +| {3})(kubectl .+)$")


@pytest.fixture(scope="module")
def shell(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of a person: kubectl with the plugin on the path, a kubeconfig, an editor that changes nothing."""
    install_crds(cluster)
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(ARGO_CRDS))
    cluster.kubectl("wait", "--for=condition=Established", "crd/workflowtemplates.argoproj.io", "--timeout=30s")
    cluster.kubectl("create", "namespace", PLACE)
    tools = tmp_path_factory.mktemp("bin")
    command = f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m concertmaster "$@"\n'
    (tools / "kubectl-concertmaster").write_text(command)
    (tools / "kubectl-concertmaster").chmod(0o755)
    path = os.pathsep.join([str(tools), str(cluster.kubectl_path.parent), os.environ["PATH"]])
    yield os.environ | {"PATH": path, "KUBECONFIG": str(cluster.kubeconfig()), "KUBE_EDITOR": "true"}
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


def run(command: str, shell: dict[str, str]) -> str:
    """The output of a command that must succeed."""
    done = subprocess.run(["sh", "-c", command], env=shell, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def printed(text: str) -> list[str]:
    return [m.group(1) for m in (PRINTED.search(line.strip()) for line in text.splitlines()) if m]


def all_run(name: str, shell: dict[str, str]) -> list[str]:
    """Run everything that the surfaces print about a profile, and what that prints in turn; changes come last."""
    start = [
        f"kubectl describe wfp {name} -n {PLACE}",
        f"kubectl concertmaster describe {name} -n {PLACE}",
        f"kubectl concertmaster explain {name} -n {PLACE}",
        f"kubectl concertmaster top -n {PLACE}",
        f"kubectl concertmaster list -n {PLACE} -o wide",
    ]
    done: dict[str, None] = {}
    changes: dict[str, None] = {}
    while start:
        command = start.pop(0)
        if command in done or command in changes:
            continue
        if " patch " in command or " edit " in command:
            changes[command] = None
            continue
        done[command] = None
        start += printed(run(command, shell))
    for command in changes:
        run(command, shell)
    return [*done, *changes]


@pytest.mark.parametrize("case", cases(), ids=lambda c: c.name)
def test_every_command_runs_as_printed(case: Case, cluster: Cluster, shell: dict[str, str]) -> None:
    reported = first_status(case.analysed(), policy="OptimizationPolicy/team-data")
    put(cluster, case, reported)
    commands = all_run(case.name, shell)
    assert any("explain" in c for c in commands)
    changing = any(" patch " in c or " edit " in c or "--show-managed-fields" in c for c in commands)
    assert changing is bool(reported["recommendations"])


def test_commands_of_recommendations_with_a_past_run_as_printed(cluster: Cluster, shell: dict[str, str]) -> None:
    case = next(c for c in cases() if c.name == "over-requested")
    put(cluster, Case("lived", case.definition, case.runs), lived())
    assert any(" patch " in c for c in all_run("lived", shell))


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
    assert "IMPACT" in table[0].split()
    assert [line.split()[0] for line in table[1:]] == ["b", "a", "c"]
