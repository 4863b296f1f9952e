"""Items of a fan-out that go through several steps on their own: edges, critical chain and replay follow the items."""

from __future__ import annotations

from dataclasses import replace

import pytest

from concertmaster.core.analysis.replay import WhatIf, critical_share, executed, replay, step_drag
from concertmaster.core.model import NameSegment, Outcome, RunRecord, Source, StepExecution, StepSpec, WorkflowGraph
from tests.support.builders import run_record
from tests.support.core.oracle_runs import BEGIN, KEY

FAN = NameSegment(".fan", None)
# Seconds of extract, clean and seal by item: the last item is slow in its first step only.
ITEMS = {"0:a": (10, 20, 5), "1:b": (15, 5, 5), "2:c": (100, 10, 5)}
LOAD = 30


def graph(*, declared: bool = True) -> WorkflowGraph:
    def path(name: str) -> tuple[NameSegment, ...]:
        return (FAN, NameSegment(f".{name}")) if declared else ()

    return WorkflowGraph(
        (
            StepSpec("fan.extract", fan_out=True, path=path("extract")),
            StepSpec("fan.clean", ("fan.extract",), fan_out=True, path=path("clean")),
            StepSpec("fan.seal", ("fan.clean",), fan_out=True, path=path("seal")),
            StepSpec("load", ("fan.seal",), path=(NameSegment(".load"),) if declared else ()),
        )
    )


def execution(step: str, item: str | None, begin: float, seconds: float) -> StepExecution:
    at = BEGIN + begin
    return StepExecution(step, item, created=at, scheduled=at, started=at, finished=at + seconds)


def run(items: dict[str, tuple[int, int, int]] = ITEMS, *, without: tuple[str, str] | None = None) -> RunRecord:
    """Each item goes its own way; ``load`` follows the last. ``without``: a (step, item) that did not run."""
    rows, last = [], 0.0
    for item, parts in items.items():
        now = 0.0
        for step, seconds in zip(("fan.extract", "fan.clean", "fan.seal"), parts, strict=True):
            if (step, item) != without:
                rows.append(execution(step, item, now, seconds))
                now += seconds
        last = max(last, now)
    rows.append(execution("load", None, last, LOAD))
    end = BEGIN + last + LOAD
    return run_record(rows, workflow=KEY, start=BEGIN, end=end, source=Source.LIVE)


@pytest.mark.parametrize("declared", [True, False])
def test_the_critical_chain_is_that_of_the_slowest_item(declared: bool) -> None:
    replayed = executed(run(), graph(declared=declared))
    chain = [(a.step, a.item) for a in replayed.critical]
    assert chain == [("fan.extract", "2:c"), ("fan.clean", "2:c"), ("fan.seal", "2:c"), ("load", None)]
    assert replayed.problems == ()
    assert replayed.replayed == replayed.makespan == 145


def test_every_step_of_the_chain_is_critical_and_its_drag_is_by_item() -> None:
    shares = critical_share([executed(run(), graph())], graph())
    assert {step: share.share for step, share in shares.items()} == dict.fromkeys(shares, 1.0)
    drag = step_drag(executed(run(), graph()))
    # Without extract the longest item takes 25 seconds instead of 115; without clean item c still takes 105.
    assert drag == {"fan.extract": 90.0, "fan.clean": 10.0, "fan.seal": 5.0, "load": 30.0}


def test_a_what_if_on_one_step_moves_each_item_by_its_own_time() -> None:
    replayed = executed(run(), graph())
    assert replay(replayed, WhatIf.scale_step("fan.extract", 0.5)) == 95.0
    assert replay(replayed, WhatIf.scale_step("fan.clean", 0.0)) == 135.0


def test_a_step_that_did_not_run_for_an_item_passes_on_what_it_waits_for() -> None:
    replayed = executed(run(without=("fan.clean", "2:c")), graph())
    assert [(a.step, a.item) for a in replayed.critical][:2] == [("fan.extract", "2:c"), ("fan.seal", "2:c")]
    assert replay(replayed, WhatIf.scale_step("fan.extract", 0.0)) == 55.0


def test_fan_outs_beside_each_other_stay_a_barrier_whatever_their_items_are_called() -> None:
    """Two loops over the same list: the second one waits for all of the first."""
    spec = WorkflowGraph(
        (
            StepSpec("first", fan_out=True, path=(NameSegment(".first", None),)),
            StepSpec("second", ("first",), fan_out=True, path=(NameSegment(".second", None),)),
        )
    )
    rows = [execution("first", i, 0, s) for i, s in (("0:a", 10), ("1:b", 60))]
    rows += [execution("second", i, 60, 20) for i in ("0:a", "1:b")]
    record = run_record(rows, workflow=KEY, start=BEGIN, end=BEGIN + 80, source=Source.LIVE)
    assert next((a.step, a.item) for a in executed(record, spec).critical) == ("first", "1:b")
    assert replay(executed(record, spec), WhatIf.scale_step("second", 2.0)) == 100.0


def test_nested_fan_outs_wait_for_the_items_they_share() -> None:
    """Inside each outer item an inner loop follows a step of that item: the inner pods wait for their outer item only."""
    outer = NameSegment(".fan", None)
    spec = WorkflowGraph(
        (
            StepSpec("fan.split", fan_out=True, path=(outer, NameSegment(".split"))),
            StepSpec("fan.part", ("fan.split",), fan_out=True, path=(outer, NameSegment(".part", None))),
            StepSpec("fan.join", ("fan.part",), fan_out=True, path=(outer, NameSegment(".join"))),
        )
    )
    rows = []
    for item, wait in (("0:a", 10), ("1:b", 80)):
        rows.append(execution("fan.split", item, 0, wait))
        rows += [execution("fan.part", f"{item} / {n}", wait, 20 + 10 * n) for n in range(2)]
        rows.append(execution("fan.join", item, wait + 30, 5))
    record = run_record(rows, workflow=KEY, start=BEGIN, end=BEGIN + 115, source=Source.LIVE)
    chain = [(a.step, a.item) for a in executed(record, spec).critical]
    assert chain == [("fan.split", "1:b"), ("fan.part", "1:b / 1"), ("fan.join", "1:b")]
    assert step_drag(executed(record, spec)) == {"fan.split": 70.0 + 10.0, "fan.part": 30.0, "fan.join": 5.0}


def test_an_item_of_unknown_name_follows_what_had_ended_when_it_began() -> None:
    """Where only the run's object knows the items, their names in history tell them apart and link nothing."""
    rows = [execution("list", None, 0, 5)]
    rows += [execution("fan.extract", f"#{n}", 5, seconds) for n, seconds in enumerate((10, 40))]
    rows += [execution("fan.clean", f"#{n + 7}", 6 + seconds, 20) for n, seconds in enumerate((10, 40))]
    rows.append(execution("load", None, 67, LOAD))
    spec = WorkflowGraph(
        (
            StepSpec("list", path=(NameSegment(".list"),)),
            StepSpec("fan.extract", ("list",), fan_out=True, path=(FAN, NameSegment(".extract"))),
            StepSpec("fan.clean", ("fan.extract",), fan_out=True, path=(FAN, NameSegment(".clean"))),
            StepSpec("load", ("fan.clean",), path=(NameSegment(".load"),)),
        )
    )
    replayed = executed(run_record(rows, workflow=KEY, start=BEGIN, end=BEGIN + 97, source=Source.LIVE), spec)
    chain = [(a.step, a.item) for a in replayed.critical]
    assert chain == [("list", None), ("fan.extract", "#1"), ("fan.clean", "#8"), ("load", None)]
    assert replayed.problems == ()


BLOCK = NameSegment(".block", (), True)
# one, two | one, two again | then z; the first round fails.
ROUNDS = WorkflowGraph(
    (
        StepSpec("a", path=(NameSegment(".a"),)),
        StepSpec("block.one", ("a",), path=(BLOCK, NameSegment(".one"))),
        StepSpec("block.two", ("block.one",), path=(BLOCK, NameSegment(".two"))),
        StepSpec("z", ("block.two",), path=(NameSegment(".z"),)),
    )
)


def test_rounds_of_a_template_that_is_retried_as_a_whole_follow_each_other() -> None:
    times = [("a", 0, 0, 10), ("block.one", 0, 10, 30), ("block.two", 0, 40, 5), ("block.one", 1, 45, 20)]
    times += [("block.two", 1, 65, 7), ("z", 0, 72, 10)]
    rows = [replace(execution(step, None, begin, seconds), attempt=n) for step, n, begin, seconds in times]
    made = executed(run_record(rows, workflow=KEY, start=BEGIN, end=BEGIN + 82, source=Source.LIVE), ROUNDS)
    assert made.problems == ()
    assert [(a.step, a.attempt) for a in made.critical] == [(step, n) for step, n, _, _ in times]
    assert made.replayed == made.makespan == 82
    assert step_drag(made) == {"a": 10.0, "block.one": 50.0, "block.two": 12.0, "z": 10.0}


WHOLE = NameSegment("", (), True)


def _retried_within(*times: tuple[str, int, float, float, bool], after: dict[int, str] | None = None) -> RunRecord:
    """Step, attempt, begin, seconds and success of each execution, and (live) what some waited for, by position."""
    rows = [
        replace(
            execution(step, None, begin, seconds),
            attempt=n,
            outcome=Outcome.SUCCEEDED if good else Outcome.FAILED,
            after=(after[i],) if after is not None and i in after else None,
        )
        for i, (step, n, begin, seconds, good) in enumerate(times)
    ]
    end = max(begin + seconds for _, _, begin, seconds, _ in times)
    return run_record(rows, workflow=KEY, start=BEGIN, end=BEGIN + end, source=Source.LIVE)


def test_rounds_with_retries_within_follow_each_other() -> None:
    """A retryStrategy in ``templateDefaults`` is one of each step and of the template around them."""
    steps = [
        StepSpec(n, after, path=(WHOLE, NameSegment(f".{n}", (), True))) for n, after in (("a", ()), ("b", ("a",)))
    ]
    times = [("a", 0, 0, 30, True), ("b", 0, 30, 10, False), ("b", 1, 45, 10, False)]
    times += [("a", 1, 56, 20, False), ("a", 2, 80, 25, True), ("b", 2, 105, 40, True)]
    made = executed(_retried_within(*times), WorkflowGraph(tuple(steps)))
    assert made.problems == ()
    assert [(a.step, a.attempt) for a in made.critical] == [(step, n) for step, n, *_ in times]
    assert made.replayed == made.makespan == 145
    assert step_drag(made) == {"a": 80.0, "b": 65.0}


def test_a_round_begins_when_the_slowest_of_the_one_before_has_ended() -> None:
    """``b`` fails the round at 20 s, ``a`` beside it runs for 60 s: nothing starts again before."""
    steps = [StepSpec(n, path=(WHOLE, NameSegment(f".{n}", (), True))) for n in "ab"]
    times = [("a", 0, 0, 60, True), ("b", 0, 0, 5, False), ("b", 1, 10, 10, False), ("a", 1, 60, 60, True)]
    times += [("b", 2, 60, 9, True)]
    made = executed(_retried_within(*times), WorkflowGraph(tuple(steps)))
    assert [(a.step, a.attempt) for a in made.critical] == [("a", 0), ("a", 1)]
    assert step_drag(made)["b"] == 0.0


@pytest.mark.parametrize("live", [False, True])
def test_retries_of_a_step_alone_are_no_round(live: bool) -> None:
    steps = [StepSpec(n, path=(WHOLE, NameSegment(f".{n}", (), True))) for n in "ab"]
    times = [("a", 0, 0, 20, False), ("b", 0, 0, 50, True), ("a", 1, 55, 20, True)]
    made = executed(_retried_within(*times, after={2: "a"} if live else None), WorkflowGraph(tuple(steps)))
    assert [(a.step, a.attempt) for a in made.critical] == [("a", 0), ("a", 1)]
    # Only its object knows that all of a round had failed, and not the step alone.
    again = executed(_retried_within(*times, after={2: "b"}), WorkflowGraph(tuple(steps)))
    assert [(a.step, a.attempt) for a in again.critical] == [("b", 0), ("a", 1)]


def test_rounds_inside_a_fan_out_are_those_of_their_item() -> None:
    block = NameSegment(".block", ("0:x", "1:y"), True)
    graph = WorkflowGraph(
        (
            StepSpec("block.one", fan_out=True, path=(block, NameSegment(".one"))),
            StepSpec("block.two", ("block.one",), fan_out=True, path=(block, NameSegment(".two"))),
        )
    )
    times = [("one", "0:x", 0, 0, 10), ("two", "0:x", 0, 10, 10), ("one", "1:y", 0, 0, 40), ("two", "1:y", 0, 40, 10)]
    times += [("one", "0:x", 1, 20, 10), ("two", "0:x", 1, 30, 60)]
    rows = [replace(execution(f"block.{step}", item, begin, s), attempt=n) for step, item, n, begin, s in times]
    made = executed(run_record(rows, workflow=KEY, start=BEGIN, end=BEGIN + 90, source=Source.LIVE), graph)
    chain = [(a.step, a.item, a.attempt) for a in made.critical]
    assert chain == [(f"block.{s}", "0:x", n) for n in (0, 1) for s in ("one", "two")]
    assert made.replayed == made.makespan == 90


def test_the_handler_of_a_fan_out_as_a_whole_follows_those_of_its_items() -> None:
    fan, whole = NameSegment(".fan", ("0:x", "1:y")), NameSegment(".fan", ("0:x", "1:y"), whole=True)
    graph = WorkflowGraph(
        (
            StepSpec("fan", fan_out=True, path=(fan,)),
            StepSpec("fan.onExit", ("fan",), fan_out=True, on_exit=True, path=(whole, NameSegment(".onExit"))),
        )
    )
    rows = (
        *(execution("fan", "0:x", 0, 10), execution("fan", "1:y", 0, 30), execution("fan.onExit", "0:x", 10, 50)),
        *(execution("fan.onExit", "1:y", 30, 5), execution("fan.onExit", None, 60, 7)),
    )
    made = executed(run_record(rows, workflow=KEY, start=BEGIN, end=BEGIN + 67, source=Source.LIVE), graph)
    chain = [(a.step, a.item) for a in made.critical]
    assert chain == [("fan", "0:x"), ("fan.onExit", "0:x"), ("fan.onExit", None)]
    assert made.replayed == made.makespan == 67
