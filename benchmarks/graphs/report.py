"""The section of benchmarks/RESULTS.md on planted problems in graphs of any shape."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.advice.fresh import by_rule, share_that_holds
from benchmarks.graphs.plant import ENOUGH

RESULT = Path(__file__).parents[1] / "results" / "graphs.json"
_COUNTS = ("found", "small", "unseen", "missed")


def lines(result: Mapping[str, Any]) -> list[str]:
    """The latest result of `make bench-graphs`, as lines of the page."""
    *kinds, whole = result["kinds"]
    planted = whole["cases"] - whole["nothing"]
    different = sum(row["nothing"] == 0 for row in kinds)
    touched = sum(sum(row["wrong"].values()) for row in kinds if row["nothing"])
    fresh = result["fresh_runs"]
    share, intervals = share_that_holds(result["rules"])
    return [
        "",
        "## Problems in graphs of any shape (`make bench-graphs`)",
        "",
        f"{planted:,} planted problems of {different} kinds over {result['seeds']} seeds, from a generator that"
        " shares nothing with the one above: chains, diamonds, layers and fan-outs, graphs inside fan-outs,"
        " steps of some runs only, log-normal times that follow the input, 10 to 200 runs in two weeks, and pairs of"
        f" problems. {_found(whole)}. Small: the true effect is below what is published, or a minor item names the problem;"
        f" unseen: the window has no two failures, or fewer than {ENOUGH} runs with the step or on one side of its change."
        f" The true effect is that on fresh runs, {fresh['times']} times as many as were read and at least {fresh['least']}:"
        " once with the problem, and once after exactly what is recommended."
        f" {whole['nothing']} workflows without a problem, or with one that is over, have {touched} recommendations.",
        "",
        f"Of {intervals:,} published intervals {share:.1f}% hold it (promised: 90%), without any tolerance, those that are"
        " said to be upper bounds (*at most*) not counted. Likely / true: median. Wrong: recommendations that answer neither"
        " the problem nor one that is acceptable beside it.",
        "",
        "| kind | cases | found | small | unseen | missed | intervals | hold | smaller, larger | likely / true | wrong |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
        *(_line(row) for row in (*kinds, whole)),
        "",
        "By rule:",
        "",
        *by_rule(result["rules"]),
    ]


def _found(row: Mapping[str, Any]) -> str:
    """How many problems are found of those that are there to be found."""
    due = row["found"] + row["missed"]
    share = f" ({row['found'] / due:.1%})" if due else ""
    return f"{row['found']:,} of {due:,} that are material and in the window are found, by rule and step{share}"


def _line(row: Mapping[str, Any]) -> str:
    held = "-" if row["held"] is None else f"{row['held']:.0f}%"
    sides = f"{row['smaller']}, {row['larger']}" if row["intervals"] else "-"
    ratio = "-" if row["ratio"] is None else f"{row['ratio']:.2f}"
    wrong = ", ".join(f"{rule} {count}" for rule, count in row["wrong"].items()) or "0"
    counts = [row["cases"], *("-" if row["nothing"] == row["cases"] else row[c] for c in _COUNTS), row["intervals"]]
    return f"| {row['kind']} | {' | '.join(str(c) for c in counts)} | {held} | {sides} | {ratio} | {wrong} |"
