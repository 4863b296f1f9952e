"""Size of the daily rows of a fleet after 400 days, and the time to write and read them.

``python -m benchmarks.scale.history_size [--workflows 500] [--steps 5]`` writes the rows of that many workflows into a real
history file; the result is bytes per row, scaled to 10,000 workflows.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

from concertmaster.core.model import WorkflowKey
from concertmaster.core.model.daily import RUN, DailyRow
from concertmaster.history import Store
from concertmaster.history.daily.tables import KEEP_DAYS

RESULT = Path(__file__).resolve().parents[2] / "benchmarks" / "results" / "history.json"
FLEET = 10_000
TODAY = 20_400


def row(step: str, day: int, chance: random.Random) -> DailyRow:
    """A row with all fields set; amounts have as many digits as measured ones."""
    mean = 60.0 * chance.uniform(1.0, 60.0)
    until = (day + chance.random()) * 86_400.0
    return DailyRow(
        day,
        step,
        24,
        23,
        1,
        23,
        23 * mean,
        mean * chance.uniform(0.9, 1.0),
        mean * chance.uniform(1.1, 1.6),
        cost=chance.uniform(0.5, 60.0),
        wasted=chance.uniform(0.1, 20.0),
        queue=chance.uniform(1.0, 4000.0),
        metrics={"tokens": chance.uniform(1e3, 1e6)} if step == RUN else {},
        score=chance.randint(40, 99) if step == RUN else None,
        until=until,
    )


def lines(result: dict[str, Any]) -> list[str]:
    """The section of RESULTS.md. Times are in the result file: they are those of the machine that day."""
    return [
        "",
        "## Size of the daily rows (`make bench-history`)",
        "",
        f"A history file of {result['workflows']:,} workflows with {result['steps']} steps each after {KEEP_DAYS} days,"
        f" scaled to {FLEET:,} workflows. Measured {result['date']}.",
        "",
        "| bytes a row | rows of the fleet | size of the fleet's history |",
        "|---|---|---|",
        f"| {result['bytesPerRow']:g} | {result['rowsOf10000Workflows']:,} | {result['gibOf10000Workflows']:g} GiB |",
    ]


def main() -> None:
    """Write the rows, measure, print, and write the result file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workflows", type=int, default=500)
    parser.add_argument("--steps", type=int, default=5)
    options = parser.parse_args()
    chance = random.Random(7)
    steps = [RUN, *(f"transform-partition-{n}" for n in range(options.steps))]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "history.db"
        with Store(str(path)) as store:
            begun = perf_counter()
            keys = [
                WorkflowKey("team-data", "WorkflowTemplate", f"nightly-aggregate-{n}") for n in range(options.workflows)
            ]
            days = range(TODAY - KEEP_DAYS, TODAY)
            for key in keys:
                store.daily.record(key, [row(step, day, chance) for day in days for step in steps])
            wrote = perf_counter() - begun
            begun = perf_counter()
            last = [
                (key, [replace(r, count=25) for r in store.daily.rows(key, since=TODAY - 14, step=None)])
                for key in keys
            ]
            for key, rows in last:
                store.daily.record(key, rows)
            again = perf_counter() - begun
            begun = perf_counter()
            store.daily.rows(keys[0])
            read = perf_counter() - begun
            begun = perf_counter()
            store.daily.fleet(since=TODAY - 30)
            fleet = perf_counter() - begun
        rows_written = options.workflows * KEEP_DAYS * len(steps)
        size = path.stat().st_size
    result = {
        "date": datetime.now(UTC).date().isoformat(),
        "workflows": options.workflows,
        "steps": options.steps,
        "rows": rows_written,
        "bytesPerRow": round(size / rows_written, 1),
        "rowsOf10000Workflows": FLEET * KEEP_DAYS * len(steps),
        "gibOf10000Workflows": round(size / options.workflows * FLEET / 2**30, 2),
        "microsecondsPerRowWritten": round(1e6 * wrote / rows_written, 1),
        "millisecondsPerWorkflowAndAnalysis": round(1e3 * again / options.workflows, 2),
        "millisecondsToRead400Days": round(1e3 * read, 2),
        "secondsToRead30DaysOf10000Workflows": round(fleet * FLEET / options.workflows, 2),
    }
    print("\n".join(lines(result)))
    RESULT.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
