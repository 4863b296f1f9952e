"""Earlier runs on the input of the run in progress: stretched where the past says so, and left alone where it does not."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concertmaster.core.analysis.running.by_input import MAX_STRETCH, adjusted, exponent
from concertmaster.core.analysis.running.forecast import deadline_seconds, forecast_run
from concertmaster.core.analysis.running.timeline import RUN, Progress, Timeline, progress, timelines
from concertmaster.core.model import Outcome, StepExecution
from concertmaster.core.model.policy import Objectives
from tests.support.builders import run_record

START = 1e6


def timeline(size: float | None, train: float, load: float = 100.0) -> Timeline:
    began = {"load": 0.0, "train": load + 10.0, "publish": load + train + 20.0}
    ended = {"load": load, "train": load + 10.0 + train, "publish": load + train + 70.0}
    return Timeline(ended["publish"] + 5.0, began, ended, {RUN: size} if size is not None else {})


def past(seed: int = 1, count: int = 30, noise: float = 0.05) -> list[Timeline]:
    """``train`` takes 300 s for an input of 1 GB and grows in proportion, the other steps do not."""
    chance = random.Random(seed)
    sizes = [chance.uniform(0.5e9, 2e9) for _ in range(count)]
    return [timeline(s, 300.0 * s / 1e9 * chance.uniform(1 - noise, 1 + noise)) for s in sizes]


def at(size: float | None, now: float = 60.0) -> Progress:
    return Progress("r", START, START + now, {"load": 0.0}, {}, inputs={RUN: size} if size is not None else {})


def test_a_run_on_ten_times_the_data_is_expected_to_take_longer_from_its_start_on() -> None:
    known = past()
    for size, seconds in ((1e9, 475.0), (10e9, 3175.0), (0.1e9, 205.0)):
        found = forecast_run(at(size), adjusted(at(size), known, None), None)
        assert found is not None
        assert found.end - START == pytest.approx(seconds, rel=0.08)
    unknown = forecast_run(at(None), adjusted(at(None), known, None), None)
    assert unknown is not None
    assert unknown.end - START < 800.0


def test_it_is_late_by_its_objective_and_not_by_what_is_usual_for_less() -> None:
    known = adjusted(at(10e9), past(), None)
    usual = deadline_seconds(Objectives(), known)
    assert usual is not None
    found, held = forecast_run(at(10e9), known, usual), forecast_run(at(10e9), known, 1800.0)
    assert found is not None and held is not None
    assert not found.late
    assert held.late, "an objective of half an hour is missed, and that is known a minute after the start"


def test_a_step_that_the_size_tells_nothing_of_stays() -> None:
    known = past()
    for before, after in zip(known, adjusted(at(5e9), known, None), strict=True):
        assert after.ended["load"] == before.ended["load"]
        assert after.ended["publish"] - after.began["publish"] == pytest.approx(50.0)
        assert after.began["train"] == before.began["train"], "pauses are as before"
        assert after.seconds - after.ended["publish"] == pytest.approx(5.0)


@pytest.mark.parametrize(
    "known",
    [past(count=7), [timeline(1e9, 300.0 + i) for i in range(30)], [timeline(None, 300.0 + i) for i in range(30)],
     [timeline(1e9 * (1 + i % 5), 300.0 + 50.0 * (i * 7 % 11)) for i in range(30)]],
    ids=["few runs", "one size", "unknown sizes", "size without effect"],
)  # fmt: skip
def test_without_a_relation_nothing_is_changed(known: list[Timeline]) -> None:
    assert adjusted(at(9e9), known, None) == known


def test_the_size_of_a_step_of_its_own_comes_first() -> None:
    known = [Timeline(c.seconds, c.began, c.ended, {RUN: 1e9, "train": c.inputs[RUN]}) for c in past()]
    place = Progress("r", START, START + 150.0, {"train": 110.0}, {"load": 100.0}, inputs={"train": 4e9, RUN: 1e9})
    found = forecast_run(place, adjusted(place, known, None), None)
    assert found is not None
    assert found.end - START == pytest.approx(100 + 10 + 1200 + 10 + 50 + 5, rel=0.08)


def test_runs_without_steps_are_stretched_as_a_whole() -> None:
    known = [Timeline(c.seconds, {}, {}, c.inputs) for c in past()]
    place = Progress("r", START, START + 10.0, {}, {}, inputs={RUN: 4e9})
    found = forecast_run(place, adjusted(place, known, None), None)
    assert found is not None
    assert found.end - START > 1000.0


def test_sizes_are_taken_from_records() -> None:
    steps = (
        StepExecution("load", created=START, finished=START + 50.0, outcome=Outcome.SUCCEEDED, input_size=5.0),
        StepExecution("fan", item="0", created=START, finished=START + 50.0, outcome=Outcome.SUCCEEDED, input_size=7.0),
    )
    ended = run_record(steps, start=START, end=START + 60.0)
    assert timelines([ended])[0].inputs == {RUN: 12.0, "load": 5.0}
    going = progress(run_record(steps, start=START, outcome=Outcome.RUNNING), START + 20.0)
    assert going is not None
    assert going.inputs == {"load": 5.0}, "what its steps have worked on so far is not the whole"
    reported = progress(run_record(steps, start=START, outcome=Outcome.RUNNING, input_size=40.0), START + 20.0)
    assert reported is not None
    assert reported.inputs == {RUN: 40.0, "load": 5.0}


def test_the_exponent_is_that_of_the_law() -> None:
    chance = random.Random(3)
    sizes = [chance.lognormvariate(0, 1) for _ in range(60)]
    for power in (0.5, 1.0, 1.5):
        assert exponent(sizes, [100 * s**power * chance.lognormvariate(0, 0.1) for s in sizes]) == pytest.approx(
            power, abs=0.1
        )
    assert exponent(sizes, [100 * s**-1 for s in sizes]) == 0.0
    assert exponent(sizes, [100 * s**5 for s in sizes]) == 2.0


@given(
    st.lists(st.tuples(st.floats(1e-3, 1e15), st.floats(0.1, 1e5)), min_size=5, max_size=30),
    st.floats(0.0, 1e300, allow_nan=False),
)
def test_whatever_sizes_are_the_course_stays_one(pairs: list[tuple[float, float]], now: float) -> None:
    known = [timeline(size, train) for size, train in pairs]
    for before, after in zip(known, adjusted(at(now), known, None), strict=True):
        assert all(after.began[s] <= after.ended[s] for s in after.ended)
        assert max(after.ended.values()) <= after.seconds + 1e-6
        assert after.seconds <= before.seconds * MAX_STRETCH * 1.001
