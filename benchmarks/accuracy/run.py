"""``make bench BENCH_DATA=directory``: accuracy on public data.

Accuracy is computed by the scorers next to the data (score_all.py), from the output of product code with default
settings, through benchmarks/adapters.py. The data are not copied; only figures are written here.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "analysis.json"


def _commit() -> str:
    found = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    dirty = subprocess.run(
        ["git", "status", "--porcelain", "--", "operator", "benchmarks/**/*.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return (found.stdout.strip() or "unknown") + (" with uncommitted changes" if dirty.stdout.strip() else "")


def score(data: Path, part: str, only: list[str], timeout: float) -> dict[str, Any]:
    """The JSON of the scorers. Raises SystemExit with instructions if the scorers are missing or fail."""
    scorer = data / "score_all.py"
    if not scorer.is_file():
        raise SystemExit(
            f"{data} holds no score_all.py: give BENCH_DATA=directory with the data sets and their scorers"
        )
    out = RESULTS.with_name("scores.json")
    command = [sys.executable, str(scorer), "--adapters", str(ROOT / "benchmarks" / "adapters.py"), "--set", part]
    command += ["--json", str(out), "--timeout", str(timeout), *(["--only", *only] if only else [])]
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'operator'}:{ROOT}"}
    status = subprocess.run(command, env=environment, check=False).returncode
    if status != 0 or not out.is_file():
        raise SystemExit(f"the scorers ended with status {status}")
    found: dict[str, Any] = json.loads(out.read_text())
    out.unlink()
    return found


def main() -> int:
    """Score and write the JSON; ``python -m benchmarks.page`` adds it to the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="directory with the data sets and score_all.py")
    parser.add_argument("--set", default="dev", choices=["dev", "heldout"])
    parser.add_argument("--only", nargs="+", default=[], help="names of data sets")
    parser.add_argument("--timeout", type=float, default=300, help="seconds per scorer")
    options = parser.parse_args()
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    accuracy = score(options.data.resolve(), options.set, options.only, options.timeout)
    result: dict[str, Any] = {
        "about": {
            "commit": _commit(),
            "date": datetime.now(UTC).strftime("%Y-%m-%d"),
            "python": platform.python_version(),
            "numpy": version("numpy"),
            "machine": f"{os.cpu_count()} cores, {platform.machine()}",
        },
        "accuracy": accuracy,
    }
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")
    print(f"\nwritten: {RESULTS.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
