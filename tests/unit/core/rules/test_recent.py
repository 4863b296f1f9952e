"""What is counted beside a gain is counted in the runs that the gain is replayed on: those since the last clear change."""

from __future__ import annotations

from dataclasses import replace

import pytest

from concertmaster.core.model import Outcome, RunRecord
from concertmaster.core.units import DAY
from tests.support.core.scenario_builder import Pod, argo, noise, scenario, task
from tests.support.core.scenarios import SCENARIOS

_SINCE = 12  # of 42 runs, one every eight hours


def _stretched(run: RunRecord, factor: float) -> RunRecord:
    """The run with all its times that many times as long after its start."""

    def at(time: float | None) -> float | None:
        return None if time is None or run.start is None else run.start + factor * (time - run.start)

    times = ("ready", "created", "scheduled", "started", "finished")
    steps = tuple(replace(e, **{name: at(getattr(e, name)) for name in times}) for e in run.steps)
    return replace(run, end=at(run.end), steps=steps)


@pytest.mark.parametrize(
    "rule", ["parallelism", "straggler", "parallel-steps", "overlap-stages", "queue-time", "batch-small-steps"]
)
def test_only_runs_since_the_last_clear_change_are_counted(rule: str) -> None:
    made = SCENARIOS[rule]()
    steady, count = made.one(rule).because, len(made.runs)
    assert f"{count} runs" in steady
    assert "14d" in steady
    runs = tuple(_stretched(r, 2.0 if i >= count - _SINCE else 1.0) for i, r in enumerate(made.runs))
    later = replace(made, runs=runs)
    since, changed = len(later.analysis().recent), later.one(rule).because
    assert since == pytest.approx(_SINCE, abs=1)
    assert f"{since} runs" in changed
    assert "4d" in changed
    assert "14d" not in changed


def test_a_run_that_hung_does_not_lengthen_the_time_since_the_change() -> None:
    """It began long before the change, and was ended after it."""
    made = SCENARIOS["straggler"]()
    runs = [_stretched(r, 2.0 if i >= len(made.runs) - _SINCE else 1.0) for i, r in enumerate(made.runs)]
    hung = replace(runs[-_SINCE // 2], run="hung", start=runs[1].start, outcome=Outcome.FAILED, steps=())
    of = replace(made, runs=(*runs, hung))
    assert f"{len(of.analysis().recent)} runs, 4d)" in of.one("straggler").because


BESIDE = argo(task("load"), task("export"))


def test_a_step_that_the_makespan_does_not_show_changes_what_is_recent() -> None:
    """It is half as long as the one beside it, and then longer than its half."""
    value = noise()
    made = scenario(
        BESIDE, 60, lambda i: {"load": value(400), "export": [value(20)] * 9 + [value(200 if i < 30 else 320)]}
    )
    assert len(made.analysis().recent) == 30


def test_all_runs_count_where_a_level_comes_back() -> None:
    """Two days of each five, of two weeks with twelve runs a day."""
    value = noise()
    made = scenario(
        BESIDE,
        168,
        lambda i: {"load": value(600 if i // 12 in {3, 4, 8, 9} else 300), "export": value(100)},
        every=DAY / 12,
    )
    assert len(made.analysis().recent) == 168


def test_of_two_changes_the_last_with_enough_runs_counts() -> None:
    value = noise()
    fails = Pod(150, fails="Error")
    made = scenario(
        BESIDE,
        60,
        lambda i: {
            "load": value(600 if i < 25 else 300),
            "export": value(100 if i < 52 else 150) if i < 52 or i % 2 else fails,
        },
    )
    assert len(made.analysis().recent) == 31
