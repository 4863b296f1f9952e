"""Overheads learnt from other runs, and forecasts of unseen ones, on engines whose overhead is known."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from concertmaster.core.analysis.replay import executed
from concertmaster.core.analysis.replay.forecast import forecast, step_durations
from concertmaster.core.analysis.replay.overhead import interval, non_negative_fit, overhead_terms, predict, shape
from concertmaster.core.analysis.replay.smooth import smooth
from concertmaster.core.analysis.replay.work import Work, depth, list_schedule, work_of
from concertmaster.core.model import StepSpec, WorkflowGraph
from tests.support.core.oracle_runs import Engine

NAN = math.nan


def fork(width: int, seconds: float = 30.0, workflow: str = "w", **changes: object) -> Work:
    """One task, then ``width`` side by side, then one; the engine adds 40 s, 15 s a level and 2 s a task."""
    parents = [[], *([0] for _ in range(width)), list(range(1, width + 1))]
    durations = [seconds] * (width + 2)
    inputs = [NAN, *[seconds * 1e7] * width, NAN]
    steps = ["head", *["body"] * width, "tail"]
    makespan = 3 * seconds + 40 + 3 * 15 + 2 * (width + 2)
    work = Work(workflow, "engine", steps, parents, durations, inputs, 1, 0, makespan)
    return replace(work, **changes)  # type: ignore[arg-type]


RUNS = [fork(w, s) for w, s in ((3, 20), (5, 30), (8, 25), (12, 40), (20, 22), (30, 35))]


def test_list_schedule_on_few_slots() -> None:
    fan: list[list[int]] = [[], [], [], []]
    assert list_schedule([4, 3, 2, 1], fan, 2) == 5
    assert list_schedule([4, 3, 2, 1], fan, 1) == 10
    assert list_schedule([4, 3, 2, 1], fan, 0) == 4
    assert list_schedule([4, NAN, 2, -1], fan, 1) == 6
    assert list_schedule([], [], 3) == 0
    assert math.isnan(list_schedule([1, 1], [[1], [0]], 1))
    assert depth([[], [0], [1]]) == 3
    assert depth([]) == 0


def test_the_engine_terms_are_recovered() -> None:
    a, b, c = overhead_terms([shape(w) for w in RUNS], "w")
    assert a + 3 * b == pytest.approx(40 + 3 * 15)  # all runs have three levels: the two cannot be distinguished
    assert c == pytest.approx(2)


def test_one_odd_run_does_not_bend_the_engine_terms() -> None:
    shapes = [shape(w) for w in RUNS]
    shapes[2] = replace(shapes[2], makespan=10 * shapes[2].makespan)
    a, b, c = overhead_terms(shapes, "w")
    assert a + 3 * b == pytest.approx(85, rel=0.1)
    assert c == pytest.approx(2, rel=0.1)


def test_a_run_of_a_known_workflow_is_predicted_with_its_overhead() -> None:
    target = fork(16, 28)
    found = predict(shape(replace(target, makespan=NAN)), [shape(w) for w in RUNS])
    assert found is not None
    assert found.likely == pytest.approx(target.makespan, rel=0.03)
    assert found.low < target.makespan < found.high


def test_the_runs_own_makespan_is_never_used() -> None:
    target = shape(fork(16, 28))
    others = [shape(w) for w in RUNS]
    assert predict(target, others) == predict(replace(target, makespan=1e9), others)


def test_a_new_workflow_falls_back_on_its_engine_and_is_less_sure() -> None:
    target = fork(16, 28, "new", makespan=NAN)
    found = predict(shape(target), [shape(w) for w in RUNS])
    known = predict(shape(replace(target, workflow="w")), [shape(w) for w in RUNS])
    assert found is not None and known is not None
    assert found.likely == pytest.approx(fork(16, 28).makespan, rel=0.05)
    assert found.high / found.low > 2 * known.high / known.low


def test_an_engine_never_seen_has_no_overhead() -> None:
    found = predict(shape(fork(4, 25, engine="other")), [shape(w) for w in RUNS])
    assert found is not None and found.likely == pytest.approx(75)


def test_a_forecast_needs_no_durations() -> None:
    target = replace(fork(16, 28), durations=[NAN] * 18, makespan=NAN)
    found = forecast(target, RUNS)
    assert found is not None
    assert found.likely == pytest.approx(fork(16, 28).makespan, rel=0.1)


def test_with_two_runs_the_forecast_replays_known_steps() -> None:
    target = replace(fork(16, 28), durations=[NAN] * 18, makespan=NAN)
    found = forecast(target, [fork(6, 28), fork(9, 28)])
    assert found is not None
    assert found.likely == pytest.approx(fork(16, 28).makespan, rel=0.1)


def test_the_forecast_ignores_one_run_that_went_wrong() -> None:
    target = replace(fork(16, 28), durations=[NAN] * 18, makespan=NAN)
    odd = [*RUNS[:3], replace(RUNS[3], makespan=20 * RUNS[3].makespan), *RUNS[4:]]
    plain, found = forecast(target, RUNS), forecast(target, odd)
    assert plain is not None and found is not None
    assert found.likely == pytest.approx(plain.likely, rel=0.35)


def test_without_data_nothing_is_predicted() -> None:
    assert forecast(fork(4), []) is None
    assert forecast(replace(fork(4), steps=[], parents=[], durations=[], inputs=[]), RUNS) is None
    cycle = replace(fork(1), parents=[[2], [0], [1]])
    assert predict(shape(cycle), [shape(w) for w in RUNS]) is None


@pytest.mark.parametrize("bad", [NAN, math.inf, 0.0, -5.0])
def test_runs_with_a_bad_makespan_are_left_out(bad: float) -> None:
    target = replace(fork(16, 28), makespan=NAN)
    poisoned = [*RUNS, fork(7, makespan=bad)]
    assert forecast(target, poisoned) == forecast(target, RUNS)
    assert predict(shape(target), [shape(w) for w in poisoned]) == predict(shape(target), [shape(w) for w in RUNS])


def test_durations_of_known_and_unknown_steps() -> None:
    known = [fork(2, 10), fork(2, 20)]
    target = replace(fork(1), steps=["head", "new", "tail"])
    assert step_durations(target, known) == [15, 15, 15]
    assert step_durations(target, []) == [0, 0, 0]


def test_tasks_of_an_unknown_step_are_not_as_unlike_as_other_steps() -> None:
    known = replace(fork(1), durations=[10.0, 30.0, 500.0])
    target = replace(fork(3), steps=["head", "new", "new", "new", "tail"])
    assert step_durations(target, [known]) == [10, 180, 180, 180, 500]


@pytest.mark.parametrize("count", [1, 2])
def test_a_fan_out_of_unlike_items_is_expected_to_end_with_its_longest(count: int) -> None:
    items = [30.0, 60.0, 90.0, 1500.0]
    known = replace(fork(4), durations=[10.0, *items, 10.0], makespan=1530.0)
    target = replace(known, durations=[NAN] * 6, makespan=NAN)
    assert step_durations(target, [known]) == [10.0, *items, 10.0]
    found = forecast(target, [known] * count)
    assert found is not None and found.likely == pytest.approx(1530.0, rel=0.02)


def test_the_smoother_follows_a_power_law_and_knows_where_it_guesses() -> None:
    x = [[math.log(n / 40)] for n in (10, 20, 40, 80, 160)]
    y = [0.8 * row[0] for row in x]
    inside, outside = smooth(x, y, [math.log(30 / 40)], 1.0), smooth(x, y, [math.log(40)], 1.0)
    assert inside.mean == pytest.approx(0.8 * math.log(30 / 40), abs=0.02)
    assert outside.mean > smooth(x, y, [math.log(160 / 40)], 1.0).mean
    assert outside.deviation > 2 * inside.deviation


def test_the_runs_say_how_far_they_deviate_from_a_power_law() -> None:
    """Beyond the largest run, straight ones are carried on, and bent ones are doubted."""
    x = [[math.log(n / 40)] for n in (10, 14, 20, 28, 40, 56, 80, 112, 160)]
    straight, bent = ([0.5 * row[0] + by * math.sin(2.5 * row[0]) for row in x] for by in (0.0, 0.2))
    sure, doubtful = (smooth(x, y, [math.log(240 / 40)], 1.0) for y in (straight, bent))
    assert sure.mean == pytest.approx(0.5 * math.log(240 / 40), abs=0.04)
    assert doubtful.deviation > 1.2 * sure.deviation


def test_the_smoother_without_data_is_the_prior() -> None:
    for points, values in (([], []), ([[NAN]], [1.0]), ([[1.0]], [math.inf])):
        nothing = smooth(points, values, [1.0], 0.5)
        assert nothing.mean == 0 and nothing.deviation > 0.5


def test_non_negative_fit_drops_what_would_be_negative() -> None:
    a = np.array([[1.0, 1.0], [1.0, 2.0], [1.0, 3.0]])
    assert non_negative_fit(a, np.array([3.0, 2.0, 1.0])) == pytest.approx([2.0, 0.0])
    assert non_negative_fit(a, np.array([3.0, 5.0, 7.0])) == pytest.approx([1.0, 2.0])
    assert non_negative_fit(a, -np.ones(3)) == pytest.approx([0.0, 0.0])


def test_an_executed_run_as_work() -> None:
    graph = WorkflowGraph(
        (StepSpec("a"), StepSpec("b", ("a",), fan_out=True), StepSpec("c", ("b",)), StepSpec("d", ("c",)))
    )
    base = Engine(graph, {"a": [5], "b": [7, 8], "c": [], "d": [9]}, fails={"d": 1})
    record = base.run()
    work = work_of(executed(record, graph), record, "Argo")
    assert list(work.steps) == ["a", "b", "b", "d"]
    assert list(work.parents) == [(), (0,), (0,), (1, 2)]
    assert list(work.durations) == [5, 7, 8, 18]
    assert work.makespan == record.makespan
    assert list_schedule(work.durations, work.parents, 0) == 5 + 8 + 18


@pytest.mark.parametrize(("runs", "reported", "student"), [(3, 1, 2.920), (6, 1, 2.015), (14, 4, 1.812), (3, 4, 2.920)])
def test_intervals_are_as_wide_as_students(runs: int, reported: int, student: float) -> None:
    found = interval(math.log(100.0), 0.1, runs, reported)
    assert found is not None
    assert math.log(found.high / 100.0) == pytest.approx(0.1 * student, rel=0.06)
    assert found.low * found.high == pytest.approx(100.0**2)


def test_an_interval_that_rests_on_no_run_is_that_of_the_prior() -> None:
    found = interval(0.0, 0.2, 0)
    assert found is not None
    assert math.log(found.high) == pytest.approx(0.2 * 1.645)
