"""``make bench BENCH_DATA=directory``: accuracy against public data, and the speed of the analysis, as one table.

Accuracy comes from the scorers that live beside the data (score_all.py), run on what product code says through
benchmarks/adapters.py with default settings. The data stay where they are; only figures are written here.
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

from benchmarks import campaigns, fleet, loop, moved
from benchmarks.speed import measure

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "analysis.json"
PAGE = ROOT / "benchmarks" / "RESULTS.md"


def _commit() -> str:
    found = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    dirty = subprocess.run(
        ["git", "status", "--porcelain", "--", "operator", "benchmarks/*.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return (found.stdout.strip() or "unknown") + (" with uncommitted changes" if dirty.stdout.strip() else "")


def score(data: Path, part: str, only: list[str], timeout: float) -> dict[str, Any]:
    """The scorers' JSON. Raises SystemExit with what to do when there is nothing to score."""
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


def page(result: dict[str, Any]) -> str:
    """The result as Markdown."""
    about = result["about"]
    lines = [
        "# Results",
        "",
        f"Written by `make bench` at commit {about['commit']} on {about['date']}, Python {about['python']}, numpy"
        f" {about['numpy']}. Default settings only. Cells read value [90 % interval] @ side figure; a peer counts only if it"
        " keeps the limits of the target; * marks a peer's recorded figure.",
        "",
        f"## Accuracy ({result['accuracy']['set']} part of each set)",
        "",
        "| | measure | ours | best peer | ours / peer | must | goal | |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in result["accuracy"]["rows"]:
        ratio = "" if row["ratio"] is None else f"{row['ratio']:.3f}"
        lines.append(
            f"| {row['id']} | {row['measure']} | {row['cell']} | {row['peer_cell']} | {ratio} | {row['must']}"
            f" | {row['goal']} | {row['verdict']} |"
        )
    lines += [
        "",
        "The targets are set for parts of the sets that are held back; on the parts used here they are only a yardstick.",
        "",
        "## Speed (median of repeated calls on this machine)",
        "",
        "| what | goal | measured |",
        "|---|---|---|",
    ]
    lines += [f"| {s['what']} | {s['goal_ms']:g} ms | {s['median_ms']:.2f} ms |" for s in result["speed"]]
    return "\n".join([*lines, *fleet.lines(fleet.rows()), *_campaigns()]) + "\n"


def _campaigns() -> list[str]:
    """What the last `make bench-changes` measured, as lines of the page."""
    parts = [part for part in (campaigns, moved, loop) if part.RESULT.is_file()]
    return [line for part in parts for line in part.lines(json.loads(part.RESULT.read_text()))]


def main() -> int:
    """Score, time, write the JSON and the page."""
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
        "speed": measure(),
    }
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")
    PAGE.write_text(page(result))
    print(f"\nwritten: {RESULTS.relative_to(ROOT)}, {PAGE.relative_to(ROOT)}")
    for row in result["speed"]:
        print(f"  {row['what']}: {row['median_ms']:.2f} ms (goal {row['goal_ms']:g} ms)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
