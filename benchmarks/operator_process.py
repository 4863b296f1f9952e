"""The operator as a process of its own, as the benches of the whole run it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from testbed.cluster import Cluster
from testbed.process import Process

ROOT = Path(__file__).resolve().parents[1]


def operator(cluster: Cluster, directory: Path, source: str, port: int, interval: float, more: str = "") -> Process:
    """Not started yet; history.db and operator.log are in ``directory``. ``more`` are further lines of its settings."""
    config = directory / "concertmaster.yaml"
    config.write_text(
        f"interval: {interval:.0f}s\nhistoryPath: {directory / 'history.db'}\n"
        f"listen: {{address: 127.0.0.1, port: {port}}}\n{more}"
        f"sources:\n- {{name: default, url: '{source}', delaySeconds: 5}}\n"
    )
    return Process(
        "operator",
        [sys.executable, "-m", "concertmaster", "run", "--config", str(config)],
        log=directory / "operator.log",
        env=os.environ | {"PYTHONPATH": f"{ROOT / 'operator'}:{ROOT}", "KUBECONFIG": str(cluster.kubeconfig())},
    )
