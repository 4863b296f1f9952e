"""When runs in progress end: from where they are, never in the past, and late before the deadline passes."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concertmaster.core.analysis.running.forecast import MIN_RUNS, deadline_seconds, forecast_run
from concertmaster.core.analysis.running.timeline import NEWEST, Progress, Timeline, comparable, progress, timelines
from concertmaster.core.model import Outcome, RunRecord, Source, StepExecution
from concertmaster.core.model.policy import Objectives, Quantiles
from tests.support.builders import run_record
from tests.support.data.history_rows import KEY

START = 1e6


def timeline(load: float = 100.0, train: float = 300.0, publish: float = 50.0) -> Timeline:
    began = {"load": 0.0, "train": load, "publish": load + train}
    ended = {"load": load, "train": load + train, "publish": load + train + publish}
    return Timeline(load + train + publish, began, ended)


def usual(seed: int = 1, count: int = 30) -> list[Timeline]:
    chance = random.Random(seed)
    return [timeline(*(m * chance.uniform(0.9, 1.1) for m in (100.0, 300.0, 50.0))) for _ in range(count)]


def at(now: float, under_way: dict[str, float], over: dict[str, float] | None = None) -> Progress:
    return Progress("r", START, START + now, under_way, over or {})


def test_the_end_follows_from_the_step_under_way() -> None:
    """A load that took 200 s instead of 100 s moves the end by 100 s."""
    normal = forecast_run(at(150.0, {"train": 100.0}, {"load": 100.0}), usual(), None)
    late = forecast_run(at(250.0, {"train": 200.0}, {"load": 200.0}), usual(), None)
    assert normal is not None and late is not None
    assert normal.end - START == pytest.approx(450.0, rel=0.05)
    assert late.end - normal.end == pytest.approx(100.0, abs=1.0)
    assert normal.low < normal.end < normal.high
    assert (normal.by, normal.deadline, normal.risk, normal.late) == ("train", None, 0.0, False)


def test_a_run_is_late_before_its_deadline_passes() -> None:
    found = forecast_run(at(350.0, {"train": 300.0}, {"load": 300.0}), usual(), 500.0)
    assert found is not None
    assert found.deadline == START + 500.0
    assert found.late and found.risk > 0.9


def test_a_step_that_is_slower_than_ever_is_not_expected_to_end_now() -> None:
    found = forecast_run(at(700.0, {"train": 100.0}, {"load": 100.0}), usual(), None)
    assert found is not None
    assert found.end - START == pytest.approx(100.0 + 600.0 * 1.25 + 50.0, rel=0.03)
    assert found.by == "train"


def test_the_end_of_a_step_that_is_slower_than_ever_is_uncertain() -> None:
    """Nine in ten of an exponential rest with a median of a quarter: up to 1.1 times as long as it took so far."""
    found = forecast_run(at(700.0, {"train": 100.0}, {"load": 100.0}), usual(), None)
    assert found is not None
    assert found.low - START < 700.0 + 50.0 + 0.05 * 600.0
    assert found.high - START == pytest.approx(100.0 + 600.0 * 2.1 + 50.0, rel=0.1)


@pytest.mark.parametrize("count", [20, 60])
def test_the_interval_holds_nine_in_ten_of_further_runs(count: int) -> None:
    chance, held = random.Random(3), 0
    for _ in range(400):
        *earlier, further = (chance.lognormvariate(6.0, 0.4) for _ in range(count + 1))
        found = forecast_run(at(0.0, {}), [Timeline(seconds, {}, {}) for seconds in earlier], None)
        assert found is not None
        held += found.low <= START + further <= found.high
    assert 0.88 <= held / 400 <= 0.93


def test_the_slowest_of_parallel_branches_decides() -> None:
    earlier = [Timeline(400.0 + n, {"a": 0.0, "b": 0.0}, {"a": 100.0 + n, "b": 390.0 + n}) for n in range(10)]
    found = forecast_run(at(50.0, {"a": 0.0, "b": 0.0}), earlier, None)
    stuck = forecast_run(at(600.0, {"a": 0.0}, {"b": 395.0}), earlier, None)
    assert found is not None and stuck is not None
    assert found.end - START == pytest.approx(404.5, abs=1.0)
    assert (stuck.by, stuck.end > stuck.start + 600.0) == ("a", True)


def test_a_slow_step_counts_only_as_far_as_the_run_waits_for_it() -> None:
    """Clean takes 600 s instead of 300 s beside train, which takes 900 s: nothing changes."""
    one = Timeline(
        1000.0, {"load": 0.0, "clean": 40.0, "train": 40.0, "publish": 950.0},
        {"load": 30.0, "clean": 340.0, "train": 940.0, "publish": 1000.0},
    )  # fmt: skip
    for after in (None, {"clean": ["load"], "train": ["load"], "publish": ["clean", "train"]}):
        found = forecast_run(at(640.0, {"clean": 40.0, "train": 40.0}, {"load": 30.0}), [one] * 10, 1100.0, after)
        assert found is not None
        assert (found.end - START, found.by, found.late) == (1000.0, "train", False)


def test_a_step_that_is_skipped_is_not_waited_for() -> None:
    found = forecast_run(
        replace(at(150.0, {"train": 100.0}, {"load": 100.0}), skipped=frozenset({"publish"})), usual(), None
    )
    assert found is not None
    assert found.end - START == pytest.approx(400.0, rel=0.05)


def test_between_two_steps_the_last_one_that_ended_tells() -> None:
    found = forecast_run(at(210.0, {}, {"load": 200.0}), usual(), None)
    assert found is not None
    assert found.end - START == pytest.approx(550.0, rel=0.05)


def test_without_steps_the_time_so_far_tells() -> None:
    found = forecast_run(at(10.0, {}), usual(), 500.0)
    beyond = forecast_run(at(900.0, {}), usual(), 500.0)
    assert found is not None and beyond is not None
    assert found.end - START == pytest.approx(450.0, rel=0.05)
    assert not found.late
    assert beyond.end > START + 900.0
    assert beyond.risk == 1.0


def test_a_step_nobody_has_seen_before_leaves_the_run_as_a_whole() -> None:
    found = forecast_run(at(100.0, {"new": 0.0}), usual(), None)
    assert found is not None
    assert (found.by, found.end - START) == ("", pytest.approx(450.0, rel=0.05))


def test_three_of_three_are_no_certainty() -> None:
    """Of thirty runs three were slow: a fourth that is as slow is not called late on their word alone."""
    earlier = [*usual(count=27), *(timeline(train=900.0) for _ in range(3))]
    found = forecast_run(at(500.0, {"train": 100.0}, {"load": 100.0}), earlier, 700.0)
    assert found is not None
    assert (found.risk, found.late) == (0.75, False)


@pytest.mark.parametrize("count", [6, 8, 12, 30])
def test_the_interval_holds_nine_of_ten_ends_however_few_runs_are_known(count: int) -> None:
    """The shortest and the longest of eight runs enclose seven of nine further ones."""
    held = []
    for seed in range(300):
        *known, run = usual(seed, count + 1)
        found = forecast_run(at(10.0, {"load": 0.0}), known, None)
        assert found is not None
        held.append(found.low <= START + run.seconds <= found.high)
    assert sum(held) / len(held) >= 0.86


def test_few_runs_say_nothing() -> None:
    assert forecast_run(at(10.0, {}), usual(count=MIN_RUNS - 1), 500.0) is None
    assert deadline_seconds(Objectives(), usual(count=MIN_RUNS - 1)) is None


def test_the_deadline_is_the_objective_else_well_beyond_what_is_usual() -> None:
    earlier = usual()
    assert deadline_seconds(Objectives(duration=Quantiles(p50=300.0, p95=500.0, p99=900.0)), earlier) == 500.0
    assert deadline_seconds(Objectives(duration=Quantiles(p50=300.0)), []) == 300.0
    usual_end = deadline_seconds(Objectives(), earlier)
    assert usual_end is not None and 1.4 * 450 < usual_end < 1.6 * 500


def record(*steps: StepExecution, outcome: Outcome = Outcome.SUCCEEDED, end: float | None = 60.0) -> RunRecord:
    return run_record(
        steps, workflow=KEY, run="r", start=START, end=None if end is None else START + end, outcome=outcome
    )


def execution(step: str, began: float, ended: float | None = None, item: str | None = None) -> StepExecution:
    finished = None if ended is None else START + ended
    outcome = Outcome.RUNNING if ended is None else Outcome.SUCCEEDED
    return StepExecution(step, item=item, pod=step, created=START + began, finished=finished, outcome=outcome)


def test_courses_are_those_of_the_newest_succeeded_runs() -> None:
    good = record(execution("a", 0.0, 20.0), execution("b", 20.0, 50.0), execution("b", 21.0, 60.0, "1"))
    failed = record(execution("a", 0.0, 20.0), outcome=Outcome.FAILED)
    assert timelines([failed, good]) == [Timeline(60.0, {"a": 0.0, "b": 20.0}, {"a": 20.0, "b": 60.0})]
    assert len(timelines([good] * (NEWEST + 5))) == NEWEST


@pytest.mark.parametrize("waited", [600.0, 7200.0])
def test_a_run_that_waits_for_an_approval_before_its_first_pod_is_not_late(waited: float) -> None:
    """The step without a pod counts in earlier runs as it does in the one in progress."""
    own = execution("work", 7200.0, 7800.0)
    gate = replace(execution("gate", 0.0, 7200.0), pod=None)
    earlier = timelines([replace(record(gate, own, end=7800.0), start=own.created, source=Source.LIVE)] * 20)
    assert earlier[0] == Timeline(7800.0, {"gate": 0.0, "work": 7200.0}, {"gate": 7200.0, "work": 7800.0})
    waiting = replace(gate, finished=None, outcome=Outcome.RUNNING)
    now = progress(record(waiting, outcome=Outcome.RUNNING, end=None), START + waited)
    found = forecast_run(now, earlier, deadline_seconds(Objectives(), earlier)) if now is not None else None
    assert found is not None and not found.late
    assert found.end >= START + 7800.0


def test_an_approval_is_no_time_of_a_run_where_earlier_ones_are_known_by_their_pods() -> None:
    """They began with their first pod: the run would be late for what it waited."""
    earlier = timelines([record(execution("work", 0.0, 600.0), end=600.0)] * 20)
    gate = replace(execution("gate", 0.0, None), pod=None, outcome=Outcome.RUNNING)
    skipped = replace(execution("other", 0.0, 0.0), pod=None, outcome=Outcome.SKIPPED)
    waiting = record(gate, skipped, outcome=Outcome.RUNNING, end=None)
    assert progress(comparable(waiting, earlier, MIN_RUNS), START + 3600.0) is None
    going = record(
        replace(gate, finished=START + 7200.0),
        skipped,
        execution("work", 7200.0, None),
        outcome=Outcome.RUNNING,
        end=None,
    )
    found = progress(comparable(going, earlier, MIN_RUNS), START + 7500.0)
    assert found == Progress("r", START + 7200.0, START + 7500.0, {"work": 0.0}, {}, frozenset({"other"}))
    known = [*earlier, *[replace(earlier[0], began={"gate": 0.0}, ended={"gate": 7200.0})] * MIN_RUNS]
    assert comparable(going, known, MIN_RUNS) is going


def test_progress_tells_steps_under_way_from_those_that_are_over() -> None:
    run = record(
        execution("a", 0.0, 20.0), execution("b", 20.0, 30.0, "0"), execution("b", 20.0, None, "1"),
        outcome=Outcome.RUNNING, end=None,
    )  # fmt: skip
    found = progress(run, START + 45.0)
    assert found == Progress("r", START, START + 45.0, {"b": 20.0}, {"a": 20.0})
    assert progress(run, START - 10.0) is None
    assert progress(replace(run, start=None, steps=()), START) is None


@given(
    st.integers(0, 10_000),
    st.floats(0.0, 5_000.0),
    st.dictionaries(st.sampled_from(["load", "train", "publish", "x"]), st.floats(0.0, 5_000.0)),
    st.dictionaries(st.sampled_from(["load", "train", "publish", "x"]), st.floats(0.0, 5_000.0)),
)
def test_whatever_a_run_does_its_end_is_to_come_and_the_interval_is_one(
    seed: int, now: float, under_way: dict[str, float], over: dict[str, float]
) -> None:
    began = {s: t for s, t in under_way.items() if t <= now}
    ended = {s: t for s, t in over.items() if t <= now and s not in began}
    found = forecast_run(at(now, began, ended), usual(seed, 12), 500.0)
    assert found is not None
    assert found.low <= found.end <= found.high
    assert found.end >= START + now - 1e-6
    assert 0.0 <= found.risk <= 1.0


def test_runs_before_a_clear_change_do_not_predict_the_next_one() -> None:
    """A release that makes a step 1.6 times as long; with fewer runs since, all runs count."""
    chance = random.Random(3)
    lengths = [600.0 * (1.6 if n >= 50 else 1.0) * chance.uniform(0.9, 1.1) for n in range(60)]
    runs = [in_turn(n, seconds) for n, seconds in enumerate(lengths)]
    since = timelines(runs)
    assert [c.seconds for c in since] == pytest.approx(lengths[50:])
    assert len(timelines(runs[:55])) == 55
    found = forecast_run(at(100.0, {"work": 0.0}), since, None)
    assert found is not None and found.end - START == pytest.approx(960.0, rel=0.1)


def test_longer_runs_of_larger_inputs_are_no_change() -> None:
    chance = random.Random(4)
    sizes = [(2.0 if n >= 50 else 1.0) * chance.uniform(0.5, 2.0) for n in range(60)]
    runs = [replace(in_turn(n, 600.0 * size), input_size=size) for n, size in enumerate(sizes)]
    assert len(timelines(runs)) == 60


def in_turn(n: int, seconds: float) -> RunRecord:
    """The run of that number, one an hour."""
    began = 3600.0 * n
    return replace(record(execution("work", began, began + seconds), end=began + seconds), start=START + began)
