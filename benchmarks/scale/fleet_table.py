"""The rows of ``make bench-fleet`` in the form of docs/operations.md and benchmarks/RESULTS.md."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RESULT = Path(__file__).resolve().parents[1] / "results" / "fleet.json"
STEADY = 5  # cycles measured after the backfill


def rows() -> list[dict[str, Any]]:
    """All measured rows, smallest first."""
    return list(json.loads(RESULT.read_text())["rows"]) if RESULT.is_file() else []


def sizing(found: list[dict[str, Any]]) -> list[str]:
    """The rows as the table of docs/operations.md."""
    lines = [
        "| N workflows x R runs (pods) | All have recommendations; past read | Steady cycle: time, CPU |"
        " Queries, samples read | API requests | Memory: after, peak | History |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in found:
        steady = row["steady"]
        lines.append(
            f"| {row['workflows']} x {row['runs']} ({row['pods']:,}) | {row['advice_s']} s; {row['whole_s']} s"
            f" | {steady['seconds']} s, {steady['cpu_s']} s | {steady['queries']:.0f}, {steady['samples']:,.0f}"
            f" | {steady['requests']:.0f} | {row['rss_mib']}, {row['peak_rss_mib']} MiB | {row['history_mib']} MiB |"
        )
    return lines


def lines(found: list[dict[str, Any]]) -> list[str]:
    """The section of benchmarks/RESULTS.md."""
    if not found:
        return []
    largest = max(row["status_bytes"]["largest"] for row in found)
    load = f"{min(row['load'] for row in found)} to {max(row['load'] for row in found)}"
    sizes = ", ".join(f"{row['workflows']} x {row['steps']} steps x {row['runs']} runs" for row in found)
    return [
        "",
        f"## One operator, many workflows ({sizes}; `make bench-fleet`)",
        "",
        *sizing(found),
        "",
        f"Steady figures are means of {STEADY} cycles, one a minute; of up to 200 workflows each"
        " ends a run an hour, of more one in 2.4 hours. The largest"
        f" status of a profile has {largest:,} bytes.{_parts(found)}{_restarts(found)}{_kept(found)} Two cores shared"
        f" with other work (load of 15 minutes {load}), so times are upper bounds.",
    ]


def _restarts(found: list[dict[str, Any]]) -> str:
    """How long a start on an existing history takes, where measured."""
    texts = [
        f"{row['workflows']} workflows: {row['restart']['seconds']:.0f} s with {row['restart']['analyzed']:.0f} analyses of"
        f" runs that had ended meanwhile, {row['restart']['cpu_s']:.0f} s of CPU"
        for row in found
        if "restart" in row
    ]
    return f" Started anew on its history, the first cycle was over after: {'; '.join(texts)}." if texts else ""


def _kept(found: list[dict[str, Any]]) -> str:
    """Figures with the runs of two weeks in the history, where measured."""
    texts = []
    for row in found:
        if (kept := row.get("kept")) is not None:
            steady = kept["steady"]
            texts.append(
                f"With {kept['runs']} runs of each of {row['workflows']} workflows in the history ({kept['pods']:,} pods,"
                f" {kept['history_mib']:,.0f} MiB) a cycle of {steady['analyzed']:g} analyses, each the first one of its"
                f" workflow with all of them, takes {steady['seconds']:g} s (longest {steady['longest_s']:g}),"
                f" {steady['cpu_s']:g} s of the operator's CPU and {kept['rss_mib']} MiB."
            )
            if (again := kept.get("again")) is not None:
                few, each = kept["few"], 1000 * again["cpu_s"] / again["analyzed"]
                texts[-1] += (
                    f" Analysing all of them again takes {each:.0f} ms of CPU each, with all else that the operator does"
                    f" meanwhile; a cycle after that, of {few['analyzed']:g} analyses, takes {few['seconds']:g} s and"
                    f" {few['cpu_s']:g} s of CPU."
                )
    return "".join(f" {text}" for text in texts)


def _parts(found: list[dict[str, Any]]) -> str:
    """CPU seconds of Prometheus and the API server, where measured."""
    rows = [row for row in found if "store_cpu_s" in row["cold"]]
    texts = []
    for row in rows:
        cold, steady = row["cold"], row["steady"]
        texts.append(
            f"{row['workflows']} workflows: Prometheus {cold['store_cpu_s']} s and API server {cold['api_cpu_s']} s"
            f" beside the operator's {cold['cpu_s']} s until the past was read, {steady['store_cpu_s']} s and"
            f" {steady['api_cpu_s']} s beside {steady['cpu_s']} s in a steady cycle (load {row['load']}, {row['date']})"
        )
    return f" CPU of all parts: {'; '.join(texts)}." if texts else ""
