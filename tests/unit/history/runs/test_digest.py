"""What an analysis rests on: which rows change it, and when time alone does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from concertmaster.core.model import Outcome, StepSpec, WorkflowDefinition, WorkflowGraph
from concertmaster.engines.argo.traits import ARGO
from concertmaster.engines.outcomes import LOST_SECONDS, QUIET_SECONDS
from concertmaster.history import RunsDigest, Store
from tests.support.data.history_rows import KEY, ran
from tests.support.history_places import Place

TWO = WorkflowDefinition(KEY, ARGO, WorkflowGraph((StepSpec("a"), StepSpec("b", depends_on=("a",)))))
NOW = 1_000_000.0


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    with place.open() as found:
        found.add({KEY: {"r1": [ran("1", NOW - 500.0), ran("2", NOW - 480.0, "b")]}})
        yield found


def seen(store: Store, as_of: float = NOW, *, limit: int = 10) -> RunsDigest:
    return store.runs_digest(TWO, limit=limit, since=0.0, as_of=as_of)


def test_pods_of_a_run_that_is_going_on_change_nothing(store: Store) -> None:
    before = seen(store)
    assert before.due is None
    store.add({KEY: {"r2": [ran("3", NOW - 30.0)]}})
    assert seen(store) == replace(before, due=NOW - 20.0 + QUIET_SECONDS)
    store.add({KEY: {"r2": [ran("4", NOW - 15.0, "b")]}})
    after = seen(store)
    assert after.digest != before.digest
    assert after.due is None


def test_a_run_with_a_pod_too_few_is_due_when_it_is_no_longer_waited_for(store: Store) -> None:
    store.add({KEY: {"r2": [ran("3", NOW - 10.0)]}})
    waiting, later = seen(store), seen(store, NOW + QUIET_SECONDS)
    assert later == replace(waiting, due=NOW + LOST_SECONDS)
    assert [r.outcome for r in store.runs(KEY, definition=TWO, as_of=NOW + LOST_SECONDS - 1.0)][-1] is Outcome.RUNNING
    over = seen(store, NOW + LOST_SECONDS)
    assert over.digest != waiting.digest
    assert over.due is None
    assert [r.outcome for r in store.runs(KEY, definition=TWO, as_of=NOW + LOST_SECONDS)][-1] is Outcome.UNKNOWN


def test_it_is_the_same_when_hardly_anything_is_kept_of_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.add({KEY: {f"r{n}": [ran(f"{n}-a", NOW - 400.0), ran(f"{n}-b", NOW - 300.0, "b")] for n in range(2, 5)}})
    store.add({KEY: {"r5": [ran("5-a", NOW - 400.0), ran("5-b", NOW - 390.0, "b", outcome=Outcome.FAILED)]}})
    store.add({KEY: {"r6": [ran("6-a", NOW - 20.0)]}})
    at_once = seen(store)
    assert (at_once.runs, at_once.due) == (4, NOW - 380.0 + QUIET_SECONDS)
    monkeypatch.setattr("concertmaster.history.runs.digest._MAX_HELD", 2)
    assert seen(store) == at_once


def test_time_alone_changes_nothing_of_what_is_over(store: Store) -> None:
    assert {seen(store, NOW + days * 86_400.0).digest for days in range(4)} == {seen(store).digest}


def test_a_corrected_pod_of_a_finished_run_counts(store: Store) -> None:
    before = seen(store)
    store.add({KEY: {"r1": [replace(ran("2", NOW - 480.0, "b"), node="n7")]}})
    assert seen(store).digest != before.digest


def test_the_end_reported_by_the_engine_counts(store: Store) -> None:
    before = seen(store)
    (record,) = store.runs(KEY, definition=TWO, as_of=NOW)
    store.add({}, records=[replace(record, steps=(), outcome=Outcome.FAILED)])
    assert seen(store).digest != before.digest


def test_runs_beyond_the_limit_do_not_count_and_those_going_on_take_no_place(store: Store) -> None:
    before = seen(store, limit=1)
    store.add({KEY: {"r0": [ran("5", NOW - 5000.0), ran("6", NOW - 4900.0, "b")], "r2": [ran("3", NOW - 10.0)]}})
    assert seen(store, limit=1).digest == before.digest
    assert [r.run for r in store.runs(KEY, limit=1, definition=TWO, as_of=NOW)] == ["r1", "r2"]
    assert seen(store, limit=2).digest != before.digest


def test_a_workflow_without_history_has_none(store: Store) -> None:
    nobody = replace(KEY, name="nobody")
    assert store.runs_digest(replace(TWO, key=nobody), limit=5, since=0.0, as_of=NOW) == RunsDigest()


def test_it_tells_how_many_runs_are_fresh_and_which_failed_last(store: Store) -> None:
    before = seen(store)
    assert (before.runs, before.fresh, before.newest, before.failed) == (1, 1, NOW - 470.0, None)
    broken = replace(ran("4", NOW - 280.0, "b"), outcome=Outcome.FAILED)
    store.add({KEY: {"r2": [ran("3", NOW - 300.0), broken], "r3": [ran("5", NOW - 30.0)]}})
    found = store.runs_digest(TWO, limit=10, since=0.0, as_of=NOW + QUIET_SECONDS, after=before.newest)
    assert (found.runs, found.fresh, found.newest, found.failed) == (2, 1, NOW - 270.0, NOW - 270.0)
    later = store.runs_digest(TWO, limit=1, since=0.0, as_of=NOW + 2 * LOST_SECONDS, after=NOW)
    assert (later.runs, later.fresh, later.newest, later.failed) == (1, 0, NOW - 20.0, None)
