"""The operator as a separate process, for end-to-end benchmarks."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from testbed.process import Process
from testbed.services.cluster import ADMIN, Cluster

ROOT = Path(__file__).resolve().parents[2]
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
    port: int,
    interval: float,
    more: str = "",
    *,
    user: str = ADMIN,
    environment: Mapping[str, str] | None = None,
) -> Process:
    """The operator's process, not started yet; history.db and operator.log are in ``directory``. ``more`` are
    additional lines of its settings, ``environment`` is what else the chart gives it."""
    config = directory / "concertmaster.yaml"
    config.write_text(
        f"interval: {interval:.0f}s\nhistoryPath: {directory / 'history.db'}\n"
        f"listen: {{address: 127.0.0.1, port: {port}}}\n{more}"
        f"sources:\n- {{name: default, url: '{source}', delaySeconds: 60}}\n"
    )
    env = IMAGE | DEPLOYED | {"PYTHONPATH": f"{ROOT / 'operator'}:{ROOT}", "KUBECONFIG": str(cluster.kubeconfig(user))}
    env |= environment or {}
    env |= _compiled(directory / "bytecode", env)
    return Process(
        "operator",
        [sys.executable, "-m", "concertmaster", "run", "--config", str(config)],
        log=directory / "operator.log",
        env=env,
    )


def _compiled(directory: Path, env: Mapping[str, str]) -> dict[str, str]:
    """Compile what the operator imports, as the image has it; the environment in which it is used."""
    prefix = {"PYTHONPYCACHEPREFIX": str(directory)}
    imports = "import concertmaster.cli.commands.run, concertmaster.controller.main, numpy"
    writing = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run([sys.executable, "-c", imports], env=writing | dict(env) | prefix, check=True, timeout=120)
    return prefix
