"""``make bench-retention``: the cost of deleting the runs of a day and of reading those of a workflow, and that of deleting
daily rows, in a SQLite file and in a PostgreSQL server with its own defaults.

Workflows of ten steps with ten runs a day are stored for three weeks, and what is older than a week deleted every day; then
this goes on for a fourth week, which is measured. CPU is that of the database: of this process for SQLite, of the server's
processes for PostgreSQL, which vacuums after each day on demand, as autovacuum has done by then.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import psycopg

from benchmarks.scale.figures import cpu
from benchmarks.scale.shards.bed import DATABASE
from concertmaster.core.model import Outcome, StepExecution, WorkflowKey
from concertmaster.core.model.daily import RUN, DailyRow
from concertmaster.history import CacheFile, DatabaseAddress, Store, open_server
from concertmaster.history.daily.tables import KEEP_DAYS
from testbed.process import TemporaryDirectory
from testbed.services.postgres import PostgresServer
from tests.support.builders import NOW, container
from tests.support.history_stats import stats

RESULT = Path(__file__).resolve().parents[2] / "benchmarks" / "results" / "retention.json"
STEPS, RUNS = 10, 10
DAYS = 7  # that runs are kept, and that are measured
DAY = 86_400.0
BEGIN = NOW // (DAYS * DAY) * DAYS * DAY
_DAILY = DailyRow(0, RUN, 10, 10, 0, 10, 1234.5, 120.0, 150.0, cost=1.25, wasted=0.25, queue=12.0)
_FILLED = 3 * DAYS  # with which PostgreSQL drops a week in each week
_AT_ONCE = 300  # workflows of which runs are stored in one call
_ALL = 10**6  # runs: only their age counts
_READ = 100  # workflows
_RECORDED = 8 * 7  # days of daily rows, of which the older half is deleted day by day


def pods(workflow: int, run: str, start: float, chance: random.Random) -> list[StepExecution]:
    """The pods of one run."""
    made = []
    for step in range(STEPS):
        begun = start + 90.0 * step
        inside = replace(
            container(),
            started=begun + 3.0,
            finished=begun + 80.0,
            cpu_seconds=chance.uniform(10.0, 50.0),
            cpu_sampled_seconds=70.0,
            memory_sampled_peak=chance.uniform(1e8, 9e8),
        )
        made.append(
            StepExecution(
                step=f"s{step}",
                pod=f"w{workflow}-{run}-s{step}",
                uid=str(uuid.UUID(int=chance.getrandbits(128))),
                ready=begun,
                created=begun,
                scheduled=begun + 1.0,
                started=begun + 3.0,
                finished=begun + 80.0 + chance.random(),
                outcome=Outcome.SUCCEEDED,
                containers=(inside,),
            )
        )
    return made


@dataclass
class Clock:
    """The time of the days that are stored."""

    now: float = BEGIN

    def __call__(self) -> float:
        return self.now


def measure(
    store: Store, clock: Clock, spent: Callable[[], float], workflows: int, vacuum: Callable[[], None]
) -> dict[str, Any]:
    """Figures of one store. ``spent``: CPU seconds of the database so far."""
    chance = random.Random(1)
    keys = [WorkflowKey(f"team-{w // 100}", "WorkflowTemplate", f"w{w}") for w in range(workflows)]

    def a_day(day: int) -> None:
        clock.now = BEGIN + day * DAY + 0.999 * DAY
        for number in range(RUNS):
            run, start = f"{day}-{number}", BEGIN + day * DAY + number * DAY / RUNS
            for first in range(0, workflows, _AT_ONCE):
                group = range(first, min(first + _AT_ONCE, workflows))
                store.add({keys[w]: {f"w{w}-{run}": pods(w, run, start + w, chance)} for w in group})

    def tidy(day: int) -> None:
        store.prune(max_runs=_ALL, before=BEGIN + (day - DAYS) * DAY)
        vacuum()

    for day in range(_FILLED):
        tidy(day)
        a_day(day)
    full, deleted, seconds, stored = stats(store), 0.0, 0.0, 0.0
    for day in range(_FILLED, _FILLED + DAYS):
        before, begun = spent(), perf_counter()
        tidy(day)
        deleted, seconds, before = deleted + spent() - before, seconds + perf_counter() - begun, spent()
        a_day(day)
        stored += spent() - before
    after, made = stats(store), workflows * STEPS * RUNS * DAYS
    gone = full.pods + made - after.pods
    return {
        "pods_deleted": gone,
        **measure_reading(store, spent, keys),
        "delete_cpu_s_per_million": round(1e6 * deleted / gone, 1),
        "delete_s_per_million": round(1e6 * seconds / gone, 1),
        "store_cpu_s_per_million": round(1e6 * stored / made, 1),
        "bytes_per_pod_before": round(full.bytes / full.pods),
        "bytes_per_pod_after": round(after.bytes / after.pods),
    } | measure_days(store, spent, keys, vacuum)


def measure_reading(store: Store, spent: Callable[[], float], keys: Sequence[WorkflowKey]) -> dict[str, Any]:
    """Figures of reading the runs of a workflow."""
    some = keys[:_READ]
    before, begun = spent(), perf_counter()
    for key in some:
        store.runs(key, limit=RUNS * DAYS)
    return {
        "read_ms_per_workflow": round(1e3 * (perf_counter() - begun) / len(some), 1),
        "read_cpu_ms_per_workflow": round(1e3 * (spent() - before) / len(some), 2),
    }


def measure_days(
    store: Store, spent: Callable[[], float], keys: Sequence[WorkflowKey], vacuum: Callable[[], None]
) -> dict[str, Any]:
    """Figures of the daily rows of workflows; a day is written after the other, as in an operator."""
    steps = [RUN, *(f"s{step}" for step in range(STEPS))]
    first, full, before = int(NOW / DAY), stats(store).bytes, spent()
    for day in range(first, first + _RECORDED):
        for key in keys:
            store.daily.record(key, [replace(_DAILY, day=day, step=step, until=day * DAY) for step in steps])
    written, size, before = spent() - before, stats(store).bytes - full, spent()
    for day in range(first + 1, first + _RECORDED // 2 + 1):
        store.daily.prune(day + KEEP_DAYS)
    vacuum()
    rows = len(keys) * len(steps) * _RECORDED
    return {
        "bytes_per_daily_row": round(size / rows),
        "write_cpu_s_per_million_daily_rows": round(1e6 * written / rows, 1),
        "delete_cpu_s_per_million_daily_rows": round(1e6 * (spent() - before) / (rows / 2), 1),
    }


def lines_of_days(result: dict[str, Any]) -> list[str]:
    """The table of daily rows."""
    rows = [
        f"| {name} | {r['delete_cpu_s_per_million_daily_rows']:g} s | {r['write_cpu_s_per_million_daily_rows']:g} s"
        f" | {r['bytes_per_daily_row']} |"
        for name, r in result["stores"].items()
    ]
    return [
        "",
        f"Daily rows of the same workflows, of the run and of each of its {STEPS} steps, written for {_RECORDED} days; the"
        " older half is deleted, a day after the other:",
        "",
        "| store | CPU to delete a million rows | CPU to write a million | bytes a row |",
        "|---|---|---|---|",
        *rows,
    ]


def lines_of_reading(result: dict[str, Any]) -> list[str]:
    """The table of reading with copies beside the operator."""
    rows = [
        f"| {name} | {r['read_ms_per_workflow']:g} ms | {r['read_cpu_ms_per_workflow']:g} ms |"
        for name, r in result["reading"].items()
    ]
    return [
        "",
        f"The {RUNS * DAYS} newest runs of a workflow read from PostgreSQL, with all that is put together of them"
        " (`history.cacheSize`):",
        "",
        "| cache | time | CPU of the server |",
        "|---|---|---|",
        *rows,
    ]


def lines(result: dict[str, Any]) -> list[str]:
    """The section of RESULTS.md."""
    rows = [
        f"| {name} | {r['delete_cpu_s_per_million']:g} s | {r['delete_s_per_million']:g} s"
        f" | {r['store_cpu_s_per_million']:g} s | {r['bytes_per_pod_before']} | {r['bytes_per_pod_after']}"
        f" | {r['read_ms_per_workflow']:g} ms |"
        for name, r in result["stores"].items()
    ]
    return [
        "",
        "## Deleting and reading runs (`make bench-retention`)",
        "",
        f"{result['workflows']:,} workflows of {STEPS} steps, {RUNS} runs a day; what is older than {DAYS} days is"
        f" deleted every day and the next one stored, for {DAYS} days. Measured"
        f" {result['date']}, load of the machine {result['load']}.",
        "",
        "| store | CPU to delete a million pods | time | CPU to store a million | bytes a pod before | after"
        f" | to read {RUNS * DAYS} runs |",
        "|---|---|---|---|---|---|---|",
        *rows,
        *lines_of_reading(result),
        *lines_of_days(result),
    ]


def main() -> None:
    """Measure both stores, print, and write the result file."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale.retention", description=__doc__)
    parser.add_argument("--workflows", type=int, default=200)
    workflows = parser.parse_args().workflows
    found: dict[str, Any] = {}
    with TemporaryDirectory("concertmaster-bench-") as directory, Store(str(directory / "history.db")) as store:
        found["SQLite"] = measure(store, Clock(), process_time, workflows, lambda: None)
    server = PostgresServer(**DATABASE)
    server.start()
    try:
        address, clock = DatabaseAddress(server.url, "concertmaster", str(server.password_file)), Clock()
        with (
            open_server(address, clock=clock) as store,
            psycopg.connect(server.url, password=server.password, autocommit=True) as db,
        ):

            def vacuum() -> None:
                db.execute("VACUUM")

            def spent() -> float:
                return cpu(server.processes())

            found["PostgreSQL"] = measure(store, clock, spent, workflows, vacuum)
            keys = store.keys()
            reading = {"none": measure_reading(store, spent, keys)}
        with (
            TemporaryDirectory("concertmaster-bench-") as directory,
            open_server(replace(address, cache=CacheFile(str(directory / "rows.cache"), 2**30))) as store,
        ):
            reading["empty"] = measure_reading(store, spent, keys)
            reading["filled"] = measure_reading(store, spent, keys)
    finally:
        server.close()
    result = {
        "date": datetime.now(UTC).date().isoformat(),
        "load": round(os.getloadavg()[1], 1),
        "workflows": workflows,
        "stores": found,
        "reading": reading,
    }
    print("\n".join(lines(result)))
    RESULT.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
