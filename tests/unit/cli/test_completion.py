"""Shell completion, of the command and as kubectl asks a plugin for it."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from concertmaster.cli import cli


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
