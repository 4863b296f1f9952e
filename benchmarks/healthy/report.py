"""The section of benchmarks/RESULTS.md on healthy workflows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

RESULT = Path(__file__).parents[1] / "results" / "healthy.json"


def lines(result: dict[str, Any]) -> list[str]:
    """The latest result, as lines of the page."""
    rows, seeds = result["rows"], result["seeds"]
    wrong, avoidable, true = (_percent(result[name], result["histories"]) for name in ("wrong", "avoidable", "true"))
    return [
        "",
        "## Healthy workflows of many kinds (`make bench-healthy`)",
        "",
        f"{result['kinds']} kinds of workflows that are as they should be, {seeds} histories of two weeks each"
        f" ({result['histories']:,} histories with {result['runs']:,} runs), by a law that shares nothing with that of the"
        " planted problems. Each is analysed once, as new to the operator, at a random time of a fortnight."
        f" {wrong} of the histories have a recommendation that is wrong. In {avoidable} the metrics could have ruled it"
        " out; in the others they do not show why (the size of an input, say)."
        f" {true} have one that is right, though nobody need follow it. Kinds without any are not listed.",
        "",
        "Wrong:",
        "",
        *_table([row for row in rows if not row["true"] and not row["hidden"]], seeds),
        "",
        "Wrong for a reason that no metric shows:",
        "",
        *_table([row for row in rows if row["hidden"] and not row["true"]], seeds, "hidden", "what no metric shows"),
        "",
        "Right, but small, or for the owner to judge:",
        "",
        *_table([row for row in rows if row["true"]], seeds, "true", "why it is right"),
    ]


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}%" if whole else "-"


def _table(rows: Sequence[dict[str, Any]], seeds: int, reason: str = "", title: str = "") -> list[str]:
    """A table with the column ``reason`` under that title, if there is one."""
    if not rows:
        return ["None."]
    head = ["rule", "kind", "what goes on", "histories", *([title] if title else [])]
    return [
        f"| {' | '.join(head)} |",
        "|" + "---|" * len(head),
        *(
            f"| {row['rule']} | {row['kind']} | {row['what']} | {row['histories']} of {seeds} |"
            f"{f' {row[reason]} |' if reason else ''}"
            for row in rows
        ),
    ]


def plain(result: dict[str, Any]) -> str:
    """The figures as plain text for a terminal, with an example of each."""
    counts = ", ".join(f"{result[name]} {name}" for name in ("wrong", "avoidable", "true"))
    head = f"{result['histories']} histories of {result['kinds']} kinds: {counts}"
    rows = [
        f"{row['histories']:4d} {row['rule']} {row['kind']}{_mark(row)}, first in seed {row['seed']}: {row['example'][:200]}"
        for row in result["rows"]
    ]
    return "\n".join([head, *rows])


def _mark(row: dict[str, Any]) -> str:
    return " (true)" if row["true"] else " (hidden)" if row["hidden"] else ""
