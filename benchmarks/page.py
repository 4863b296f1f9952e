"""``python -m benchmarks.page``: regenerate benchmarks/RESULTS.md from the latest results of all benchmarks.

Each benchmark only writes its own file in benchmarks/results, and needs to know neither the page nor its other parts.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.accuracy import late_runs, speed, through
from benchmarks.accuracy.run import RESULTS
from benchmarks.advice import fresh
from benchmarks.advice import report as advice
from benchmarks.changes import campaigns, loop, moved
from benchmarks.chaos import report as chaos
from benchmarks.clusters import report as clusters
from benchmarks.days import report as days
from benchmarks.gaps import report as gaps
from benchmarks.graphs import report as graphs
from benchmarks.healthy import report as healthy
from benchmarks.lives import report as lives
from benchmarks.nested import report as nested
from benchmarks.resources import report as resources
from benchmarks.scale import analyze, fleet_table, history_size, idle, krr, looks, pages, quiet, retention
from benchmarks.scale.shards import table as shards
from benchmarks.series import report as series
from benchmarks.series.rises import report as rises
from benchmarks.torture import tables as torture

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "benchmarks" / "RESULTS.md"
_PARTS = (
    shards,
    through,
    looks,
    late_runs,
    idle,
    quiet,
    history_size,
    retention,
    pages,
    analyze,
    krr,
    campaigns,
    moved,
    loop,
    advice,
    fresh,
    gaps,
    healthy,
    graphs,
    clusters,
    resources,
    days,
    series,
    rises,
    lives,
    chaos,
    torture,
)


def page(result: dict[str, Any]) -> str:
    """The page as Markdown."""
    about = result["about"]
    lines = [
        "# Results",
        "",
        f"Written by `make bench` at commit {about['commit']} on {about['date']}, Python {about['python']}, numpy"
        f" {about['numpy']}. Default settings only. Cells read value [90% interval] @ what is limited beside it (failed"
        " attempts, p90, clean share); a peer counts only if it keeps the limits of the target; * marks a peer's recorded"
        " figure. GBh: gigabytes times hours that attempts had allocated and did not use, and all of failed ones. APE, MAPE:"
        " absolute percentage error and its mean. Clean share: series without a change in which none is found. Memory sizes"
        " are those of the method; what `right-size` proposes has headroom besides ([both](../docs/methods/sizing.md)).",
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
        *_section(nested),
        *_section(speed),
        *fleet_table.lines(fleet_table.rows()),
        *(line for part in _PARTS for line in _section(part)),
    ]
    return "\n".join(lines) + "\n"


def _section(part: Any) -> list[str]:
    """The section of a benchmark with a result file of its own; nothing before its first run."""
    return list(part.lines(json.loads(part.RESULT.read_text()))) if part.RESULT.is_file() else []


def main() -> int:
    """Write the page; exit status 1 if there is no result of ``make bench`` yet."""
    if not RESULTS.is_file():
        print(f"{RESULTS.relative_to(ROOT)} is missing: run `make bench BENCH_DATA=directory` first", file=sys.stderr)
        return 1
    PAGE.write_text(page(json.loads(RESULTS.read_text())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
