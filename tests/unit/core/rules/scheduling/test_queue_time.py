"""``queue-time``: waiting for nodes and starting pods, when they are on the critical path and worth a line."""

from __future__ import annotations

from dataclasses import replace

import pytest

from concertmaster.core.model import RunRecord, StepExecution
from tests.support.core import scenarios
from tests.support.core.rules_world import Pod, argo, noise, scene, task


def test_says_how_much_where_and_what_it_asks_of_a_node() -> None:
    item = scenarios.queue_time().one("queue-time")
    assert item.id == "queue-time"
    assert "32% of the run time, 3m0" in item.because
    assert "at transform, whose pods ask for 1 core and 1Gi" in item.because
    assert item.gain_seconds is not None
    assert item.gain_seconds.likely == pytest.approx(182, rel=0.05)


def test_slow_starts_are_told_apart() -> None:
    value = noise()
    of = argo(task("a"), task("b", "a"))
    item = scene(of, 20, lambda _: {"a": Pod(value(60), startup=90.0), "b": value(60)}).one("queue-time")
    assert item.id == "queue-time.start"
    assert "Start a faster" in item.action


def test_the_hour_is_named_when_it_stands_out() -> None:
    value = noise()
    of = argo(task("a"))
    waits = scene(of, 42, lambda i: {"a": Pod(value(200), wait=300.0 if i % 3 == 0 else 40.0)})
    hour = int(waits.runs[0].start % 86400 // 3600)  # type: ignore[operator]
    assert f"most of it at {hour:02d}:00 UTC" in waits.one("queue-time").because


def test_waiting_beside_a_longer_step_is_silent() -> None:
    value = noise()
    of = argo(task("a"), task("train"))
    assert scene(of, 20, lambda _: {"a": Pod(value(60), wait=200.0), "train": value(2000)}).advice("queue-time") == []
    calm = argo(task("a"))
    assert scene(calm, 20, lambda _: {"a": value(600)}).advice("queue-time") == []


def test_steps_that_take_turns_at_a_lock_wait_for_it() -> None:
    value = noise()
    lock = {"synchronization": {"mutex": {"name": "db"}}}
    of = argo(task("a"), task("b", "a"), task("c", "a"), task("d", "b", "c"), templates={"b": lock, "c": lock})
    turns = scene(of, 20, lambda _: {"a": value(60), "b": value(300), "c": value(300), "d": value(60)})

    def delayed(run: RunRecord) -> RunRecord:
        by = {e.step: e for e in run.steps}
        late = (by["b"].finished or 0.0) - (by["c"].created or 0.0)
        rows = [_later(e, late) if e.step in "cd" else e for e in run.steps]
        return replace(run, steps=tuple(rows), end=(run.end or 0.0) + late)

    assert turns.advice("queue-time") == []
    item = replace(turns, runs=tuple(delayed(r) for r in turns.runs)).one("queue-time")
    assert item.id == "queue-time.lock"
    assert "waiting for db on the critical path" in item.because
    assert item.gain_seconds is not None
    assert item.gain_seconds.likely == pytest.approx(303, rel=0.05)


def _later(e: StepExecution, seconds: float) -> StepExecution:
    """The execution, all of it so much later; what it depends on is done at the same time as before."""
    moved = {name: (getattr(e, name) or 0.0) + seconds for name in ("created", "scheduled", "started", "finished")}
    return replace(e, **moved, ready=e.ready if e.step == "c" else (e.ready or 0.0) + seconds)
