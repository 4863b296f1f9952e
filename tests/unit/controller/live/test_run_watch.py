"""The watch of runs in its own thread: started, replaced, ended, and lost without harm."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from concertmaster.controller.live import run_watch as module
from concertmaster.controller.live.run_kinds import KINDS, ServedRunKind
from concertmaster.controller.live.run_watch import RunWatch, WatchPlan
from tests.support.waiting import until

ARGO, JOBS = (KINDS[0],), (KINDS[-1],)


@dataclass
class SnapshotBuilder:
    """A watch that does what the test says."""

    begun: list[tuple[ServedRunKind, ...]] = field(default_factory=list)
    ended: list[tuple[ServedRunKind, ...]] = field(default_factory=list)
    lost: list[BaseException] = field(default_factory=list)
    reads: list[int] = field(default_factory=list)
    more: int = 0
    fault: Exception | None = None
    read_fault: Exception | None = None
    arrive: bool = False
    threads: set[str] = field(default_factory=set)

    async def body(self, kinds: tuple[ServedRunKind, ...], arrived: Callable[[], None]) -> None:
        self.begun.append(kinds)
        self.threads.add(threading.current_thread().name)
        if self.arrive:
            arrived()
        try:
            if self.fault is not None:
                raise self.fault
            await asyncio.sleep(60)
        finally:
            self.ended.append(kinds)

    async def read(self) -> bool:
        self.reads.append(1)
        if self.read_fault is not None:
            raise self.read_fault
        self.more -= 1
        return self.more >= 0


@pytest.fixture
def stage() -> SnapshotBuilder:
    return SnapshotBuilder()


@pytest.fixture
def watch(stage: SnapshotBuilder, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunWatch]:
    monkeypatch.setattr(module, "_DEBOUNCE_SECONDS", 0.01)
    found = RunWatch(stage.body, stage.read, stage.lost.append)
    yield found
    assert found.stop(60.0)


def test_it_begins_with_the_first_kinds_and_goes_on_while_they_stay(stage: SnapshotBuilder, watch: RunWatch) -> None:
    watch.follow(WatchPlan())
    assert stage.begun == []
    for _ in range(3):
        watch.follow(WatchPlan(ARGO))
    until(lambda: stage.begun == [ARGO])
    assert stage.ended == []
    assert stage.threads == {"runs"}


def test_other_kinds_and_another_edition_replace_it(stage: SnapshotBuilder, watch: RunWatch) -> None:
    for wanted, count in ((WatchPlan(ARGO), 1), (WatchPlan(JOBS), 2), (WatchPlan(JOBS, 1), 3)):
        watch.follow(wanted)
        until(lambda count=count: len(stage.begun) == count)  # type: ignore[misc]
    assert stage.begun == [ARGO, JOBS, JOBS]
    assert stage.ended == [ARGO, JOBS]
    watch.follow(WatchPlan())
    assert stage.ended == [ARGO, JOBS, JOBS]
    assert stage.lost == []


def test_a_watch_that_ends_by_a_fault_is_reported_and_started_again(stage: SnapshotBuilder, watch: RunWatch) -> None:
    stage.fault = PermissionError("may not watch workflows")
    watch.follow(WatchPlan(ARGO))
    until(lambda: len(stage.lost) == 1)
    stage.fault = None
    until(lambda: not any(t.name == "runs" for t in threading.enumerate()))
    watch.follow(WatchPlan(ARGO))
    until(lambda: len(stage.begun) == 2)
    assert [str(e) for e in stage.lost] == ["may not watch workflows"]


def test_finished_runs_are_read_until_none_waits(stage: SnapshotBuilder, watch: RunWatch) -> None:
    stage.arrive, stage.more = True, 2
    watch.follow(WatchPlan(ARGO))
    until(lambda: len(stage.reads) == 3)


def test_a_fault_while_reading_leaves_the_watch_alone(stage: SnapshotBuilder, watch: RunWatch) -> None:
    stage.arrive, stage.read_fault = True, RuntimeError("the worker is gone")
    watch.follow(WatchPlan(ARGO))
    until(lambda: len(stage.lost) == 1)
    assert stage.ended == []


def test_stopping_is_quick_and_for_good(stage: SnapshotBuilder, watch: RunWatch) -> None:
    watch.follow(WatchPlan(ARGO))
    until(lambda: stage.begun == [ARGO])
    begun = time.monotonic()
    assert watch.stop(60.0)
    assert time.monotonic() - begun < 30.0
    watch.follow(WatchPlan(JOBS))
    assert stage.begun == [ARGO]


def test_a_watch_is_stopped_in_the_moment_in_which_it_ends_by_itself(
    stage: SnapshotBuilder, watch: RunWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed, go, run = threading.Event(), threading.Event(), asyncio.run

    def held(main: Any) -> None:
        try:
            run(main)
        finally:
            closed.set()
            assert go.wait(60.0)

    monkeypatch.setattr(module.asyncio, "run", held)
    stage.fault = OSError("the connection was lost")
    watch.follow(WatchPlan(ARGO))
    assert closed.wait(60.0)
    assert not watch.stop(0.0)
    go.set()
