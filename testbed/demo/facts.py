"""Writes examples/facts/demo.jsonl.gz: the output of ``concertmaster record`` for the demo's history, at a fixed date.

The file is committed, so that ``analyze --facts`` works before anything is built. `python -m testbed.demo.facts`
regenerates it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from testbed.demo.history import DAYS, grid, pod_history
from testbed.series.openmetrics import render
from testbed.services.prometheus import PrometheusServer

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "examples" / "demo" / "data" / "wfinstances.json"
FILE = ROOT / "examples" / "facts" / "demo.jsonl.gz"
END = datetime(2026, 11, 16, 9, 0, tzinfo=UTC).timestamp()


def main() -> int:
    """Record the history that ended at END, with END as the current time."""
    server = PrometheusServer(progress=print)
    server.load_openmetrics(render(pod_history(END, DATA), grid(END)))
    FILE.parent.mkdir(parents=True, exist_ok=True)
    with server:
        command = ["record", str(FILE), "--prometheus", server.url, "--window", f"{DAYS}d"]
        command += [
            "--definitions",
            str(ROOT / "examples" / "demo"),
            "--until",
            datetime.fromtimestamp(END, UTC).isoformat(),
        ]
        return subprocess.run(
            [sys.executable, "-m", "concertmaster", *command],
            env=os.environ | {"PYTHONPATH": f"{ROOT / 'operator'}:{ROOT}"},
            check=False,
        ).returncode


if __name__ == "__main__":
    sys.exit(main())
