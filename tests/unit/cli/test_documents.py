"""Commands that are printed speak to the cluster, the namespace and the operator that were given."""

from __future__ import annotations

import re
from typing import Any

import click
import pytest
from click.testing import CliRunner

from concertmaster.cli import cli, profiles
from concertmaster.cli.documents import say
from concertmaster.cli.errors import UserError
from concertmaster.kube.objects import CHANGES, PROFILES
from concertmaster.kube.operator_service import OperatorService
from tests.support.controller.fakes import MemoryClient

PLACE = ["--context", "prod eu", "--kubeconfig", "/tmp/k"]
GIVEN = "--context 'prod eu'"


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the commands connect to, on a cluster with a profile."""
    client, connected = MemoryClient(), list[Any]()
    patch = """kubectl -n demo patch cronjob etl --type=json -p '[{"op": "test"}]'"""
    rows = [("right-size", patch), ("bottleneck.load", "kubectl concertmaster explain -n demo etl bottleneck.load")]
    items = [
        {"id": i, "action": f"do {i}", "category": "Cost", "severity": "Low", "state": "Active", "how": how,
         "impact": "2 USD a month", "confidence": "90", "proposed": "1", "because": "of this", "expected": "this"}
        for i, how in rows
    ]  # fmt: skip
    advice = ["2 minor items: kubectl concertmaster explain etl -n demo --all"]
    ref = {"apiVersion": "batch/v1", "kind": "CronJob", "name": "etl"}
    client.put(PROFILES, "demo", "etl", spec={"workflowRef": ref}, status={
        "advice": advice, "minor": 2, "recommendations": items, "moreRecommendations": 3,
        "summary": {"target": "CronJob/etl"}})  # fmt: skip
    client.put(CHANGES, "demo", "etl-1", spec={"profileRef": {"name": "etl"}, "recommendation": "right-size"})
    monkeypatch.setattr(profiles, "connect", lambda *place: connected.append(place) or client)
    monkeypatch.setattr(OperatorService, "document", lambda *_: ({}, "nobody is there"))
    return connected


@pytest.mark.parametrize(
    "words",
    [
        ["top", "-n", "demo", "--limit", "1"],
        ["top", "-n", "demo", "--limit", "1", "-o", "wide"],
        ["list", "-n", "demo", "-o", "wide"],
        ["describe", "etl", "-n", "demo"],
        ["explain", "etl", "-n", "demo", "--operator", "here/it"],
    ],
    ids=" ".join,
)
def test_printed_commands_repeat_the_cluster_and_the_namespace(words: list[str], opened: list[Any]) -> None:
    result = CliRunner().invoke(cli, [*words, *PLACE])
    assert result.exit_code == 0, result.output
    assert {(str(k), c) for k, c, *_ in opened} == {("/tmp/k", "prod eu")}
    commands = re.findall(r"kubectl .*", result.output)
    assert bool(commands) is (words[0] != "list")
    for command in commands:
        assert GIVEN in command, command
        assert "-n demo" in command, command
        assert ("--operator here/it" in command) is ("--operator" in words and " concertmaster " in command), command
    if words[0] == "explain":
        assert any(" what-if " in c for c in commands) and any(" patch " in c for c in commands)
    plain = CliRunner().invoke(cli, words)
    assert not re.search(r"kubectl .*--context", plain.output)


def test_wide_lists_have_workflow_confidence_effort_and_risk(opened: list[Any]) -> None:
    for command in ("top", "list"):
        table = CliRunner().invoke(cli, [command, "-n", "demo", "-o", "wide"]).output
        narrow = CliRunner().invoke(cli, [command, "-n", "demo"]).output
        header = next(line for line in table.splitlines() if "NAMESPACE" in line).split()
        assert {"WORKFLOW", "CONFIDENCE", "EFFORT", "RISK"} <= set(header)
        assert len(header) > len(next(line for line in narrow.splitlines() if "NAMESPACE" in line).split())


def test_without_the_operator_what_the_status_leaves_out_is_counted(opened: list[Any]) -> None:
    whole, one = (CliRunner().invoke(cli, ["explain", "etl", *i, "-n", "demo"]).stderr for i in ([], ["right-size"]))
    assert whole == (
        "Showing only what the status contains; 3 more recommendations not shown: no details from the operator"
        " (nobody is there).\n"
    )
    assert one == "Showing only what the status contains: no details from the operator (nobody is there).\n"


def test_a_command_in_an_error_repeats_them_too(opened: list[Any]) -> None:
    result = CliRunner().invoke(cli, ["explain", "none", "-n", "demo", *PLACE])
    assert isinstance(result.exception, UserError)
    assert f"kubectl {GIVEN} get wfp -A lists them" in str(result.exception)


def test_only_commands_are_completed() -> None:
    @click.command()
    @click.option("--context")
    def command(context: str | None) -> None:
        say("your kubectl is old; see kubectl-concertmaster: kubectl get nodes")

    assert CliRunner().invoke(command, ["--context", "c"]).output == (
        "your kubectl is old; see kubectl-concertmaster: kubectl --context c get nodes\n"
    )


def test_a_sentence_with_a_command_is_not_wrapped(opened: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    long = "a-workflow-with-a-very-long-name-as-they-are-generated-by-some-engine-of-a-cluster-x7k2p"
    client = MemoryClient()
    command = f"kubectl concertmaster explain {long} -n demo --all"
    client.put(PROFILES, "demo", long, status={"advice": [f"2 minor items, 0.12 USD a month in total: {command}"]})
    monkeypatch.setattr(profiles, "connect", lambda *_: client)
    assert command in CliRunner().invoke(cli, ["describe", long, "-n", "demo"]).output
