"""Nested scores as a table of benchmarks/RESULTS.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.nested import calibration

RESULT = Path(__file__).resolve().parents[1] / "results" / "nested.json"
# A larger gap indicates too many choices for the data.
MOST_GAP = 1.2


def lines(result: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """Both sections: scores, and predictions if tested."""
    return scored(result["scores"]) + (calibration.lines(result["promises"]) if result["promises"] else [])


def scored(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The section of scores, one row per measure."""
    out = [
        "",
        "## Accuracy on families left out (`make bench`)",
        "",
        "Constants are chosen on all families (workflow, job, system) but one and scored on that one; the interval (90%)"
        " is over families. *Shipped* and *best* are scored on everything at once. A nested score more than a fifth above"
        " the best means too many choices for the data. Smaller is better; figures are means over families, simulated ones"
        " included, so they are not those of the table above. All that was tried: docs/design/accuracy-log.md.",
        "",
        "| measure | unit | families | variants | shipped | best | nested [interval] | nested / best |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        nested, best = row["nested"], row["best"]
        gap = nested[0] / best[0] if best[0] > 0 else 1.0
        low, high = row["interval"]
        note = " (too many choices)" if gap > MOST_GAP else ""
        out.append(
            f"| {row['name']} | {row['unit']} | {row['families']} | {row['variants']} | {_pair(row['shipped'])}"
            f" | {_pair(best)} | {_pair(nested)} [{low:.3g} {high:.3g}] | {gap:.2f}{note} |"
        )
    return out


def _pair(figures: Sequence[float]) -> str:
    return f"{figures[0]:.3g} @ {figures[1]:.3g}"
