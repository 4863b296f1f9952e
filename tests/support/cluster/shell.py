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
LIMIT = 240.0  # seconds for one command
_PRESENT = (
    "kubectl get namespaces",
    "kubectl get wfp,wfc,opol,copol -A -o wide",
    "kubectl get workflowtemplates.argoproj.io,cronjobs -A",
    "kubectl get events -A --sort-by=.lastTimestamp | tail -n 20",
)
_CHECKING = "kubectl concertmaster doctor"  # fails where a check does: no operator runs beside these tests


def environment(cluster: Cluster, tools: Path, **more: str) -> dict[str, str]:
    """The environment of a person: the plugin in ``tools``, a kubeconfig, and an editor that changes nothing."""
    command = f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m concertmaster "$@"\n'
    (tools / "kubectl-concertmaster").write_text(command)
    (tools / "kubectl-concertmaster").chmod(0o755)
    path = os.pathsep.join([str(tools), str(cluster.kubectl_path.parent), os.environ["PATH"]])
    own = {
        "PATH": path,
        "KUBECONFIG": str(cluster.kubeconfig()),
        "KUBECACHEDIR": str(tools / "cache"),  # the default one is keyed by address and outlives the cluster
        "KUBE_EDITOR": "true",
    }
    return os.environ | own | more


def run(command: str, shell: dict[str, str]) -> str:
    """The output of a command that must succeed, or find what is wrong. A failure shows what the cluster had."""
    status, out, errors = _done(command, shell)
    right = status == 0 or (command.startswith(_CHECKING) and status == 1 and " FAIL " in out)
    assert right, f"{command}: {_shown(status, out, errors)}\n{_present(shell)}"
    return out


def _done(command: str, shell: dict[str, str]) -> tuple[int | None, str, str]:
    """Exit status, none where it did not end in time, and both outputs."""
    words = ["sh", "-c", command]
    try:
        done = subprocess.run(words, env=shell, capture_output=True, timeout=LIMIT, check=False)
        found: tuple[int | None, bytes | None, bytes | None] = (done.returncode, done.stdout, done.stderr)
    except subprocess.TimeoutExpired as late:
        found = (None, late.stdout, late.stderr)
    return found[0], (found[1] or b"").decode(errors="replace"), (found[2] or b"").decode(errors="replace")


def _shown(status: int | None, out: str, errors: str) -> str:
    ended = f"not done after {LIMIT:.0f} s" if status is None else f"exit status {status}"
    return f"{ended}\n--- stdout\n{out}\n--- stderr\n{errors}"


def _present(shell: dict[str, str]) -> str:
    """What the cluster has of all that the commands speak of; other tests may have objects there, too."""
    parts = []
    for command in _PRESENT:
        _, out, errors = _done(command, shell)
        parts.append(f"--- {command}\n{out}{errors}")
    return "\n".join(parts)


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
