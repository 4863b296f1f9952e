"""Shell completion, of the command and as kubectl asks a plugin for it."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from concertmaster.cli import cli, profiles
from concertmaster.kube.objects import CHANGES, PROFILES
from tests.support.controller.fakes import MemoryClient


def candidates(*words: str) -> list[str]:
    result = CliRunner().invoke(cli, ["completion", "--candidates", "--", *words])
    assert result.exit_code == 0, result.output
    *found, directive = result.output.splitlines()
    assert directive == ":4"
    return [line.partition("\t")[0] for line in found]


def test_commands_options_and_values_are_completed() -> None:
    assert candidates("li") == ["list"]
    assert {"top", "describe", "explain", "approve"} <= set(candidates(""))
    assert candidates("list", "--sort") == ["--sort-by"]
    assert candidates("list", "--sort-by", "i") == ["impact", "id"]


def test_without_a_cluster_no_name_is_offered_and_nothing_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nonexistent")
    assert candidates("explain", "night") == []


def test_names_ids_and_changes_of_the_cluster_are_completed(monkeypatch: pytest.MonkeyPatch) -> None:
    client = MemoryClient()
    shown = [{"id": i, "state": "Active"} for i in ("right-size", "retry-policy.load", "timeout")]
    client.put(PROFILES, "demo", "nightly-etl", status={"recommendations": shown})
    client.put(PROFILES, "demo", "report", status={"recommendations": [{"id": "straggler.scan", "state": "Active"}]})
    client.put(PROFILES, "other", "nightly-copy")
    client.put(CHANGES, "demo", "etl-1")
    client.put(CHANGES, "demo", "etl-2", spec={"decision": "Approve"})
    monkeypatch.setattr(profiles, "connect", lambda *_: client)
    assert candidates("describe", "-n", "demo", "night") == ["nightly-etl"]
    assert candidates("runs", "-n", "demo", "night") == ["nightly-etl"]
    assert candidates("what-if", "-n", "other", "") == ["nightly-copy"]
    assert candidates("compare", "-n", "other", "latest", "typical", "--workflow", "") == ["nightly-copy"]
    assert candidates("explain", "-n", "demo", "nightly-etl", "r") == ["right-size", "retry-policy.load"]
    assert candidates("approve", "-n", "demo", "") == ["etl-1"]


def test_ids_are_completed_for_a_workflow_by_its_kind_and_name(monkeypatch: pytest.MonkeyPatch) -> None:
    client = MemoryClient()
    status = {"recommendations": [{"id": "timeout", "state": "Active"}], "summary": {"target": "WorkflowTemplate/etl"}}
    client.put(PROFILES, "demo", "wftmpl-etl", status=status)
    client.put(PROFILES, "demo", "cronjob-etl", status={"summary": {"target": "CronJob/etl"}})
    monkeypatch.setattr(profiles, "connect", lambda *_: client)
    assert candidates("explain", "-n", "demo", "wftmpl/e") == ["wftmpl/etl"]
    assert candidates("explain", "-n", "demo", "wftmpl/etl", "") == ["timeout"]
    assert candidates("explain", "-n", "demo", "WorkflowTemplate/etl", "t") == ["timeout"]
    assert candidates("explain", "-n", "demo", "job/etl", "") == []


def test_names_are_completed_whatever_stands_before_them(monkeypatch: pytest.MonkeyPatch) -> None:
    client = MemoryClient()
    for number in range(500):
        client.put(PROFILES, "demo", f"nightly-{number:03}")
    client.put(PROFILES, "demo", "report", status={"recommendations": [{"id": "timeout", "state": "Active"}]})
    monkeypatch.setattr(profiles, "connect", lambda *_: client)
    assert candidates("describe", "-n", "demo", "rep") == ["report"]
    assert candidates("explain", "-n", "demo", "report", "") == ["timeout"]
    assert len(candidates("describe", "-n", "demo", "")) == 200


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_has_a_script(shell: str) -> None:
    assert "_CONCERTMASTER_COMPLETE" in CliRunner().invoke(cli, ["completion", shell]).output


def test_the_script_for_kubectl_calls_the_plugin() -> None:
    script = CliRunner().invoke(cli, ["completion", "kubectl"]).output
    assert script.startswith("#!/bin/sh")
    assert 'exec kubectl-concertmaster completion --candidates -- "$@"' in script


def test_another_shell_is_refused() -> None:
    result = CliRunner().invoke(cli, ["completion", "csh"])
    assert result.exit_code == 2
    assert "bash, zsh, fish or kubectl" in result.output
