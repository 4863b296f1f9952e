"""The section of benchmarks/RESULTS.md on clusters of limited capacity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

RESULT = Path(__file__).parents[1] / "results" / "clusters.json"
_VERDICTS = ("inside", "smaller", "larger", "plain", "wrong")


def lines(result: Mapping[str, Any]) -> list[str]:
    """The latest result of `make bench-clusters`, as lines of the page."""
    planted, healthy, seeds = result["planted"], result["healthy"], result["seeds"]
    whole, calm = planted[-1], healthy[-1]
    demand = result["demand"]
    return [
        "",
        "## Scheduling on clusters of limited capacity (`make bench-clusters`)",
        "",
        f"{len(planted) - 1} kinds of problems and {len(healthy) - 1} kinds of workflows without one, {seeds} histories"
        " each. In each, some workflows share a cluster for two weeks in a discrete-event simulation: nodes of given cores,"
        " an autoscaler, spot nodes, priorities, quotas, mutexes and semaphores, limits, and schedules in time zones with"
        " policies. Each workflow is analysed with the others as its fleet. Every recommendation on scheduling is then"
        " followed in the simulation of the time after, with the same work, and what it changes is compared with what was"
        " promised. Where the remedy is left open (more nodes, a lock held for less time), the whole cause is removed.",
        "",
        f"{_found(whole)}. Of {_judged(whole)} recommendations for these sites that promise an amount, or no change of the"
        f" run time, {_inside(whole)} hold it (promised: 90%); {whole['wrong']} are wrong: runs take longer, or nothing"
        " changes. Plain: there is an effect, and no amount was promised. Costly: other workflows lose more time than this"
        " one gains. Small: the effect is below what is published, or (of starts and failures) a minor item names it.",
        "",
        "| kind | what goes on | found | small | missed | inside | smaller | larger | plain | wrong | costly |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
        *(_planted(row) for row in planted),
        "",
        "By recommendation, in all histories; those that are said to be upper bounds (*at most*) apart. Likely / true:"
        " median.",
        "",
        "| recommendation | | followed | inside | smaller | larger | plain | wrong | costly | likely / true |",
        "|---|---|---|---|---|---|---|---|---|---|",
        *(_rule(row) for row in result["rules"]),
        "",
        f"Workflows without a problem: {calm['items']} of {calm['histories']} histories have a recommendation on scheduling,"
        f" {calm['wrong_histories']} a wrong one. Others are on the runs themselves, which vary or fail now and then.",
        "",
        "| kind | what goes on | with one | of which wrong | by rule | others |",
        "|---|---|---|---|---|---|",
        *(_healthy(row, seeds) for row in healthy[:-1]),
        "",
        f"Demand of the next 72 hours: of {demand['hours']:,} hours with demand, {_share(demand['within'], demand['hours'])}"
        f" stay within the forecast 90th percentile; in {_share(demand['absent'], demand['hours'])} none was expected."
        f" Forecast / seen core-hours: {demand['ratio']:.2f} (median of the histories), 90% of them {demand['low']:.2f} to"
        f" {demand['high']:.2f}.",
    ]


def _found(row: Mapping[str, Any]) -> str:
    due = row["found"] + row["missed"]
    return f"{row['found']} of {due} problems that are material are found ({_share(row['found'], due)})"


def _judged(row: Mapping[str, Any]) -> int:
    return sum(int(row[v]) for v in _VERDICTS if v != "plain")


def _inside(row: Mapping[str, Any]) -> str:
    return _share(row["inside"], _judged(row))


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "-"


def _planted(row: Mapping[str, Any]) -> str:
    counts = [row[c] for c in ("found", "small", "missed", *_VERDICTS, "costly")]
    return f"| {row['kind']} | {row['what']} | {' | '.join(map(str, counts))} |"


def _rule(row: Mapping[str, Any]) -> str:
    ratio = "-" if row["ratio"] is None else f"{row['ratio']:.2f}"
    counts = [row[c] for c in ("followed", *_VERDICTS, "costly")]
    return f"| {row['id']} | {'at most' if row['at_most'] else ''} | {' | '.join(map(str, counts))} | {ratio} |"


def _healthy(row: Mapping[str, Any], seeds: int) -> str:
    cells = [
        row["kind"],
        row["what"],
        f"{row['items']} of {seeds}",
        row["wrong_histories"],
        _names(row["rules"]),
        _names(row["others"]),
    ]
    return f"| {' | '.join(map(str, cells))} |"


def _names(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "-"


def plain(result: Mapping[str, Any]) -> str:
    """The figures for a terminal."""
    rows: Sequence[str] = [line for line in lines(result) if line.startswith(("|", "Demand"))]
    return "\n".join(rows)
