"""What a test of printed commands shows when one of them fails: all that is needed to find out why."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.cluster import shell


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A kubectl that lists what it is asked for, and fails or hangs where it should change something."""
    script = """#!/bin/sh
case "$1" in
  get) echo "found $2" ;;
  hang) echo begun; exec sleep 60 ;;
  *) echo "patching"; echo "conflict" >&2; exit 3 ;;
esac
"""
    (tmp_path / "kubectl").write_text(script)
    (tmp_path / "kubectl").chmod(0o755)
    return os.environ | {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}


def test_a_failure_shows_both_outputs_and_what_the_cluster_has(environment: dict[str, str]) -> None:
    assert shell.run("kubectl get pods", environment) == "found pods\n"
    with pytest.raises(
        AssertionError, match=r"(?s)exit status 3\n.*patching\n.*conflict\n.*found namespaces\n.*found wfp"
    ):
        shell.run("kubectl patch wfp a", environment)


def test_so_does_a_command_that_does_not_end(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shell, "LIMIT", 5.0)
    with pytest.raises(AssertionError, match=r"(?s)kubectl hang: not done after 5 s\n.*begun\n.*found namespaces"):
        shell.run("kubectl hang", environment)
