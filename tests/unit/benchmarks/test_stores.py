"""The failing metrics sources of the chaos campaign: each fault must be the one that its row names."""

from __future__ import annotations

import re

from benchmarks.chaos.bed import DAYS, RUNS, STEPS
from benchmarks.chaos.stores import LONG, LOST, MISSING, ended_by, resets, without
from benchmarks.scale.fleet_workflows import DAY, lives
from testbed.series.lives import Grid
from testbed.series.openmetrics import render

END = 1_790_000_000.0


def test_two_weeks_are_missing_and_runs_are_on_both_sides() -> None:
    past = list(lives(3, STEPS, LONG, END, LONG))
    older, newer = without(past, END)
    assert MISSING[0] - MISSING[1] == 14
    runs = [
        sorted({pod.owner_name for pod in pods if pod.owner_name.startswith("w000-")}) for pods in (past, older, newer)
    ]
    assert len(runs[0]) == LONG
    assert len(runs[0]) - len(runs[1]) - len(runs[2]) == LOST
    assert runs[1] and runs[2]
    gone = [pod for pod in past if pod not in older and pod not in newer]
    assert all(END - MISSING[0] * DAY < pod.created and (pod.finished or END) < END - MISSING[1] * DAY for pod in gone)


def test_counters_begin_anew_within_the_life_of_a_container() -> None:
    past = list(lives(2, STEPS, RUNS, END, DAYS))
    text = "".join(resets(render(past, Grid(END - DAYS * DAY, END))))
    falls: dict[str, bool] = {}
    last: dict[str, float] = {}
    for series, value in re.findall(r"^(container_cpu_usage_seconds_total\{.*\}) (\S+) \S+$", text, re.MULTILINE):
        falls[series] = falls.get(series, False) or float(value) < last.get(series, 0.0)
        last[series] = float(value)
    assert len(falls) >= 2 * STEPS * (RUNS - 1)
    assert sum(falls.values()) > len(falls) / 2


def test_runs_that_ended_are_counted_whoever_saw_them() -> None:
    past = list(lives(3, STEPS, RUNS, END, DAYS))
    assert ended_by(past, END - DAYS * DAY) == {}
    assert ended_by(past, END - 3_601.0) == dict.fromkeys(("w000", "w001", "w002"), RUNS - 1)
    assert ended_by(past, END) == dict.fromkeys(("w000", "w001", "w002"), RUNS)
