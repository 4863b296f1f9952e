"""The section of benchmarks/RESULTS.md on requests, limits and usage."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.advice.fresh import by_rule, share_that_holds

RESULT = Path(__file__).parents[1] / "results" / "resources.json"
_COUNTS = ("found", "small", "unseen", "missed")


def lines(result: Mapping[str, Any]) -> list[str]:
    """The latest result of `make bench-resources`, as lines of the page."""
    *kinds, every = result["kinds"]
    nothing = [row for row in kinds if row["nothing"] == row["cases"]]
    share, intervals = share_that_holds(result["rules"])
    due = every["found"] + every["missed"]
    set_there = any(str(row["kind"]).endswith("-elsewhere") for row in kinds)
    elsewhere = " pods with other requests and limits than declared," if set_there else ""
    found = f" ({every['found'] / due:.1%})" if due else ""
    return [
        "",
        "## Requests, limits and usage (`make bench-resources`)",
        "",
        f"{every['cases']:,} workflows of {len(kinds)} kinds over {result['seeds']} seeds: requests raised or lowered within"
        " the window, limits, sidecars and steps added or removed, Guaranteed pods with bursts, init containers and native"
        f" sidecars, pod-level resources, LimitRange and ResourceQuota, bounds of the policy,{elsewhere} retries after OOM"
        " kills, heavy tails, missing samples, GPUs, ephemeral storage and volumes. Each recommendation is written into the"
        " object and"
        f" later runs are simulated with it. {every['found']:,} of {due:,} problems that are material and in the window are"
        f" found, by rule and container{found}; {sum(row['cases_wrong'] for row in nothing)} of"
        f" {sum(row['cases'] for row in nothing)} workflows without any have a recommendation.",
        "",
        f"{every['cases_wrong']} of {every['cases']:,} workflows have a recommendation that is wrong: it answers nothing"
        " that is planted (needless), more than 1% of later attempts need more memory, GPUs or disk than it leaves (memory"
        " of steps of four hours and more: 0.5%), CPU requests are below the mean use, runs take 5% longer than it says, the"
        " volume is full within four weeks, or the API server rejects it. Where a recommendation says what to check first,"
        " or how many runs probably need more, it promises no share of attempts. Lack of memory: mean share of later"
        f" attempts that need more than the proposed size, those included. Of {intervals:,} published intervals {share:.1f}%"
        " hold the effect on later runs (promised: 90%).",
        "",
        "| kind | cases | found | small | unseen | missed | recommendations | lack of memory | intervals | hold"
        " | likely / true | wrong |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
        *(_line(row) for row in (*kinds, every)),
        "",
        "By rule:",
        "",
        *by_rule(result["rules"]),
    ]


def _line(row: Mapping[str, Any]) -> str:
    counts = [row["cases"], *("-" if row["nothing"] == row["cases"] else row[c] for c in _COUNTS), row["items"]]
    short = "-" if row["short"] is None else f"{row['short']:.2f}%"
    held = "-" if row["held"] is None else f"{row['held']:.0f}%"
    ratio = "-" if row["ratio"] is None else f"{row['ratio']:.2f}"
    wrong = ", ".join(f"{why} {count}" for why, count in row["wrong"].items()) or "0"
    cells = [*map(str, counts), short, str(row["intervals"]), held, ratio, wrong]
    return f"| {row['kind']} | {' | '.join(cells)} |"
