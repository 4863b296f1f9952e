"""The operator as a separate process, for end-to-end benchmarks."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from testbed.services.cluster import ADMIN, Cluster
from testbed.services.operator import OperatorProcess, operator_settings

# What memory depends on in the environment of the image, and of the container in the chart.
IMAGE = {
    "PYTHONMALLOC": "malloc",
    "PYTHONNODEBUGRANGES": "1",
    "FROZENLIST_NO_EXTENSIONS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
DEPLOYED = {"PYTHONOPTIMIZE": "2"}


def operator(
    cluster: Cluster,
    directory: Path,
    source: str,
    interval: float,
    *,
    user: str = ADMIN,
    environment: Mapping[str, str] | None = None,
    **more: Any,
) -> OperatorProcess:
    """The operator's process, not started yet; history.db and operator.log are in ``directory``. ``more`` are further
    settings, ``environment`` is what else the chart gives it."""
    settings = operator_settings(directory / "history.db", source, delay=60, interval=f"{interval:.0f}s", **more)
    env = IMAGE | DEPLOYED | dict(environment or {})
    process = OperatorProcess(directory, settings, cluster.kubeconfig(user), environment=env)
    process.env |= _compiled(directory / "bytecode", process.env)
    return process


def _compiled(directory: Path, env: Mapping[str, str]) -> dict[str, str]:
    """Compile what the operator imports, as the image has it; the environment in which it is used."""
    prefix = {"PYTHONPYCACHEPREFIX": str(directory)}
    imports = "import concertmaster.cli.commands.run, concertmaster.controller.main, numpy"
    writing = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run([sys.executable, "-c", imports], env=writing | dict(env) | prefix, check=True, timeout=120)
    return prefix
