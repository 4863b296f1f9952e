"""``kubectl get``, ``describe`` and ``explain`` as they really look, pinned for ten typical workflows."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from concertmaster.cli import cli
from concertmaster.core.text import json_size
from concertmaster.report.result import first_status
from testbed.services.cluster import Cluster
from testbed.services.kinds import CRDS, install_kinds
from tests.support.core.cases import Case, cases
from tests.support.core.recommendation_history import lived
from tests.support.json_schema import violations

FILES = Path(__file__).parents[1] / "golden" / "files" / "kubectl"
SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "reference" / "list.schema.json").read_text())
VOLATILE = (
    (re.compile(r"(Creation Timestamp:|Last Transition Time:) +\S+"), r"\1  <time>"),
    (re.compile(r"(Resource Version:|UID:) +\S+"), r"\1  <id>"),
)


def scrub(text: str, namespace: str) -> str:
    """Times, ids and the test's namespace."""
    for pattern, by in VOLATILE:
        text = pattern.sub(by, text)
    return text.replace(namespace, "demo")


def check(name: str, text: str, update: bool) -> None:
    file = FILES / name
    if update:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    assert text == file.read_text(), f"{name} differs; look at the difference, then renew it with --update-golden"


def put(cluster: Cluster, namespace: str, name: str, status: dict[str, object], **spec: object) -> dict[str, object]:
    """A profile with that status, on the real API server."""
    manifest = {
        "apiVersion": "concertmaster.dev/v1alpha1",
        "kind": "WorkflowProfile",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "workflowRef": {"apiVersion": "argoproj.io/v1alpha1", "kind": "WorkflowTemplate", "name": "nightly-etl"},
            **spec,
        },
    }
    cluster.kubectl("apply", "-f", "-", input=json.dumps(manifest))
    patch = json.dumps({"status": status})
    cluster.kubectl("-n", namespace, "patch", "wfp", name, "--subresource=status", "--type=merge", "-p", patch)
    return status


def reported(case: Case) -> dict[str, object]:
    """The status of the case."""
    return first_status(case.analysed(), policy="OptimizationPolicy/team-data")


@pytest.fixture(scope="module")
def crds(cluster: Cluster) -> Cluster:
    install_kinds(cluster, CRDS)
    return cluster


@pytest.mark.parametrize("case", cases(), ids=lambda c: c.name)
def test_describe(case: Case, crds: Cluster, namespace: str, request: pytest.FixtureRequest) -> None:
    status = put(crds, namespace, case.name, reported(case))
    assert json_size(status) < 14 * 1024
    text = crds.kubectl("-n", namespace, "describe", "wfp", case.name)
    assert text.index("Advice:") < text.index("Recommendations:") if status["recommendations"] else True
    check(f"{case.name}.txt", scrub(text, namespace), request.config.getoption("--update-golden"))


def test_describe_and_explain_of_recommendations_with_a_past(
    crds: Cluster, namespace: str, request: pytest.FixtureRequest
) -> None:
    dismissal = {
        "expirationTime": "2025-12-01T00:00:00Z",
        "reason": "we watch it by hand",
        "recommendation": "timeout.load",
    }
    status = put(crds, namespace, "lived", lived(), dismissals=[dismissal])
    assert json_size(status) < 14 * 1024
    update = request.config.getoption("--update-golden")
    text = crds.kubectl("-n", namespace, "describe", "wfp", "lived")
    check("lived.txt", scrub(text, namespace), update)
    place = ["-n", namespace, "--kubeconfig", str(crds.kubeconfig())]
    for words in (["explain", "lived"], ["list"]):
        found = CliRunner().invoke(cli, [*words, *place], catch_exceptions=False, standalone_mode=False)
        shown = re.sub(r" {3,}", "   ", found.output) if words == ["list"] else found.output  # wide as the namespace
        check(f"lived-{words[0]}.txt", scrub(shown, namespace), update)


@pytest.mark.parametrize("case", cases(), ids=lambda c: c.name)
def test_the_plugin_describes_a_workflow_on_one_screen(
    case: Case, crds: Cluster, namespace: str, request: pytest.FixtureRequest
) -> None:
    put(crds, namespace, case.name, reported(case))
    text = plugin(crds, "describe", "wftmpl/nightly-etl", "-n", namespace)
    assert len(text.splitlines()) <= 40
    check(f"describe/{case.name}.txt", scrub(text, namespace), request.config.getoption("--update-golden"))


CONDITIONS = (
    ("Ready", "Analyzed", "30 runs in 14d analyzed, the last ended 2025-10-09T06:00:00Z"),
    ("MetricsAvailable", "Complete", "all queries to metrics source default succeeded"),
    ("TargetResolved", "Found", "WorkflowTemplate nightly-etl with 3 steps"),
)
CHANGES = (
    ("nightly-etl-0d1e", "parallelism", {"phase": "Completed", "verdict": "Improved"}),
    ("nightly-etl-3f9a", "memory-request.load", {"phase": "Verifying"}),
)


def test_conditions_and_changes_stand_on_the_same_screen(
    crds: Cluster, namespace: str, request: pytest.FixtureRequest
) -> None:
    conditions = [
        {
            "type": kind,
            "status": "True",
            "reason": reason,
            "message": text,
            "lastTransitionTime": "2025-10-09T06:00:00Z",
        }
        for kind, reason, text in CONDITIONS
    ]
    put(crds, namespace, "lived", {**lived(), "conditions": conditions})
    for name, recommendation, status in CHANGES:
        spec = {"profileRef": {"name": "lived"}, "recommendation": recommendation, "planDigest": "3f" * 32}
        change = {"apiVersion": "concertmaster.dev/v1alpha1", "kind": "WorkflowChange", "spec": spec,
                  "metadata": {"name": name, "namespace": namespace}}  # fmt: skip
        crds.kubectl("apply", "-f", "-", input=json.dumps(change))
        patch = ("--subresource=status", "--type=merge", "-p", json.dumps({"status": status}))
        crds.kubectl("-n", namespace, "patch", "wfc", name, *patch)
    text = plugin(crds, "describe", "lived", "-n", namespace)
    lines = text.splitlines()
    assert len(lines) <= 40
    blocks = ("ID ", "Steps", "CONDITION ", "CHANGE ")
    places = [next(n for n, line in enumerate(lines) if line.startswith(block)) for block in blocks]
    assert places == sorted(places) and places[0] >= 3, text
    assert lines[places[2] + 1 : places[2] + 4] == [line for line in lines if re.match("Ready|MetricsA|TargetR", line)]
    assert {line.split()[0] for line in lines[places[3] + 1 :]} == {name for name, *_ in CHANGES}
    shown = "\n".join([*lines[: places[3] + 1], *sorted(lines[places[3] + 1 :])]) + "\n"  # made in the same second
    check("describe/lived.txt", scrub(shown, namespace), request.config.getoption("--update-golden"))


def test_the_most_valuable_recommendations_of_all_workflows_come_first(
    crds: Cluster, namespace: str, request: pytest.FixtureRequest
) -> None:
    for case in cases():
        put(crds, namespace, case.name, reported(case))
    text = plugin(crds, "top", "-n", namespace)
    text = re.sub(r"\([^()]*; (--run-hour, --failed-run)\)", r"(the default; \1)", text)  # other tests' policies
    check("top.txt", re.sub(r" {3,}", "   ", scrub(text, namespace)), request.config.getoption("--update-golden"))
    top = json.loads(plugin(crds, "top", "-n", namespace, "-o", "json"))
    impacts = [profile_impact(crds, namespace, e["profile"]) for e in top["top"]]
    assert impacts == sorted(impacts, reverse=True)
    entries = json.loads(plugin(crds, "list", "-n", namespace, "-o", "json"))
    assert violations(entries, SCHEMA) == []
    assert {e["id"] for e in entries} >= {e["id"] for e in top["top"]}
    names = plugin(crds, "list", "-n", namespace, "-o", "name", "--category", "Reliability").split()
    assert names
    assert {n.rsplit("/", 1)[1] for n in names} == {e["id"] for e in entries if e["category"] == "Reliability"}


def profile_impact(cluster: Cluster, namespace: str, name: str) -> int:
    """The value a month in a profile's status: each case here has one recommendation that dominates it."""
    return int(cluster.kubectl("-n", namespace, "get", "wfp", name, "-o", "jsonpath={.status.summary.impact}"))


def plugin(cluster: Cluster, *words: str) -> str:
    """The output of ``kubectl concertmaster``."""
    place = ["--kubeconfig", str(cluster.kubeconfig())]
    return CliRunner().invoke(cli, [*words, *place], catch_exceptions=False, standalone_mode=False).output


def test_get(crds: Cluster, namespace: str, request: pytest.FixtureRequest) -> None:
    for case in cases():
        put(crds, namespace, case.name, reported(case))
    table = crds.kubectl("-n", namespace, "get", "wfp")
    table = re.sub(r" {2,}", "  ", re.sub(r"(?<!\w)\d{1,3}s(?=\s)", "<age>", table))
    check("get.txt", scrub(table, namespace), request.config.getoption("--update-golden"))


def test_explain(crds: Cluster, request: pytest.FixtureRequest) -> None:
    text = crds.kubectl("explain", "wfp.status") + crds.kubectl("explain", "wfp.status.recommendations")
    check("explain.txt", text, request.config.getoption("--update-golden"))
