"""The section of benchmarks/RESULTS.md on planted problems."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.advice.score import BOUND, TOLERANCE

RESULT = Path(__file__).parents[1] / "results" / "advice.json"

_MEASURES = (
    ("recall", "right rule, step, number and interval", ">= 95%"),
    ("precision", "published recommendations that are right", ">= 95%"),
    ("healthy_with_items", "healthy workflows with an item", "<= 1%"),
    ("top_five_in_seven", "true five most valuable within the first seven", "100%"),
)


def lines(result: dict[str, Any]) -> list[str]:
    """The latest result of `make bench-advice`, as lines of the page."""
    out = [
        "",
        "## Planted problems and healthy workflows (`make bench-advice`)",
        "",
        f"{result['planted']} planted problems of {result['kinds']} kinds and {result['healthy']} healthy workflows over"
        f" {result['seeds']} seeds, from a generator with laws of its own.",
        "",
        "| measure | | target | measured |",
        "|---|---|---|---|",
    ]
    out += [f"| {name} | {what} | {target} | {100 * result[name]:.1f}% |" for name, what, target in _MEASURES]
    weeks = result.get("weeks")
    if weeks:
        out += [
            "",
            f"{weeks['workflows']} workflows followed for two weeks, analysed once a day: {weeks['flickers']} of"
            f" {weeks['recommendation_weeks']:.0f} recommendations a week appeared and vanished or vanished and came back"
            f" (target: at most 1 in 200); {weeks['moves']} proposed amounts moved, {weeks['small_moves']} of them by less"
            " than 20% (target: none). Recommendations of the first analysis count too; problems that need other workflows"
            " beside them are left out.",
        ]
    rows = result["kinds_table"].values()
    numbers, intervals = (sum(row[c] is not None for row in rows) for c in ("number", "interval"))
    out += [
        "",
        f"A number that is proposed or stated is compared for {numbers} kinds and the interval of the impact for"
        f' {intervals}; "-": this kind has none to compare. An interval is right when the true effect lies within it or'
        f" at most {TOLERANCE:.0%} outside; where the effect is said to be an upper bound, the true one need only reach"
        f" {BOUND:.0%} of the likely value. Without either, {result['inside']:.1%} of {result['intervals']} published"
        f" intervals hold the true effect (promised: 90%); their median width is {result['width']:.0%} of the likely value."
        " Of the"
        f" {result['published']} published recommendations {result['beside']} are acceptable ones beside the planted"
        " problem's own; their numbers are not compared.",
        "",
        "| kind | planted | found | right step | right number | interval | without tolerance | width, % | wrong beside it |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for kind, row in result["kinds_table"].items():
        width = row["width"]
        cells = [row[c] for c in ("planted", "found", "step", "number", "interval", "inside")]
        cells += [None if width is None else round(100 * width, 1), row["wrong"]]
        out.append(f"| {kind} | " + " | ".join("-" if c is None else str(c) for c in cells) + " |")
    return out


def plain(result: dict[str, Any]) -> str:
    """The same as plain text for a terminal."""
    head = [f"{name}: {100 * result[name]:.1f}% ({what}, {target})" for name, what, target in _MEASURES]
    head.append(f"intervals that hold without tolerance: {100 * result['inside']:.1f}%, median width {result['width']}")
    weak = [f"{k}: {row}" for k, row in result["kinds_table"].items() if _weak(row)]
    rest = [f"on healthy workflows: {result['healthy_items']}", f"wrong: {result['wrong']}"]
    return "\n".join([*head, *weak, *rest])


def _weak(row: dict[str, float | None]) -> bool:
    counts = [row[c] for c in ("found", "step", "number", "interval")]
    return bool(row["wrong"]) or any(c is not None and c < (row["planted"] or 0) for c in counts)
