"""Commands as a person pastes them: kubectl with the plugin on the path, on the real API server."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from testbed.services.cluster import Cluster

_PRINTED = re.compile(r"(?:^|: +| {3})(kubectl .+)$")
_CHANGING = (" patch ", " edit ")
_CHECKING = "kubectl concertmaster doctor"  # fails where a check does: no operator runs beside these tests


def environment(cluster: Cluster, tools: Path, **more: str) -> dict[str, str]:
    """The environment of a person: the plugin in ``tools``, a kubeconfig, and an editor that changes nothing."""
    command = f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m concertmaster "$@"\n'
    (tools / "kubectl-concertmaster").write_text(command)
    (tools / "kubectl-concertmaster").chmod(0o755)
    path = os.pathsep.join([str(tools), str(cluster.kubectl_path.parent), os.environ["PATH"]])
    return os.environ | {"PATH": path, "KUBECONFIG": str(cluster.kubeconfig()), "KUBE_EDITOR": "true", **more}


def run(command: str, shell: dict[str, str]) -> str:
    """The output of a command that must succeed, or find what is wrong."""
    done = subprocess.run(["sh", "-c", command], env=shell, capture_output=True, text=True, timeout=120, check=False)
    right = done.returncode == 0 or (command.startswith(_CHECKING) and done.returncode == 1 and " FAIL " in done.stdout)
    assert right, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def printed(text: str) -> list[str]:
    """The commands in an output."""
    return [m.group(1) for m in (_PRINTED.search(line.strip()) for line in text.splitlines()) if m]


def all_run(start: Iterable[str], shell: dict[str, str]) -> dict[str, str]:
    """Run these commands, and what they print in turn; changes come last. Returns their outputs."""
    waiting = list(start)
    done: dict[str, str] = {}
    changes: dict[str, None] = {}
    while waiting:
        command = waiting.pop(0)
        if command in done or command in changes:
            continue
        if any(word in command for word in _CHANGING):
            changes[command] = None
            continue
        done[command] = run(command, shell)
        waiting += printed(done[command])
    return {**done, **{command: run(command, shell) for command in changes}}
