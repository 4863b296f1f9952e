"""The store: idempotent, merging, bounded, and honest about what changed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from concertmaster.core.model import ContainerFact, Outcome, RunRecord, Source, StepExecution, WorkflowKey
from concertmaster.history import Store, left_out
from concertmaster.history.runs import reader
from tests.support.builders import run_record
from tests.support.core.run_graphs import DIAMOND
from tests.support.data.encoded_executions import EXECUTIONS
from tests.support.data.history_rows import KEY, ran
from tests.support.history_places import File, Place
from tests.support.history_stats import stats

OTHER = WorkflowKey("data", "CronJob", "backup")
DAY = 86_400.0


def test_what_is_added_comes_back_as_runs(store: Store) -> None:
    added = store.add({KEY: {"r1": [ran("1"), ran("2", 20.0, "b")], "r2": [ran("3", 100.0)]}})
    assert (added, stats(store).pods) == ({KEY}, 3)
    found = store.runs(KEY)
    assert [(r.run, r.start, r.end, len(r.steps), r.source) for r in found] == [
        ("r1", 0.0, 30.0, 2, Source.HISTORY),
        ("r2", 100.0, 110.0, 1, Source.HISTORY),
    ]
    assert store.keys() == [KEY]


def test_of_a_workflow_of_many_executions_the_newest_runs_are_read(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or 200 runs of 2,000 steps would take more memory than the operator has, and the recommendations of everybody."""
    monkeypatch.setattr(reader, "MAX_EXECUTIONS", 10)
    store.add({KEY: {f"r{n}": [ran(f"{n}-{i}", 100.0 * n, f"s{i}") for i in range(4)] for n in range(6)}})
    found = store.runs(KEY, limit=50)
    assert [r.run for r in found] == ["r3", "r4", "r5"]
    assert left_out(6, found) == (
        "only the newest 3 of 6 runs are analyzed: they have 12 step executions, and one analysis holds no more; to choose "
        "the runs, set spec.analysis.maxRuns or spec.analysis.window",
    )
    assert left_out(3, found) == ()


def test_when_runs_began_is_known_of_several_workflows_at_once(store: Store) -> None:
    store.add(
        {KEY: {"r1": [ran("1", 50.0), ran("2", 20.0, "b")], "r2": [ran("3", 100.0)]}, OTHER: {"o": [ran("4", 7.0)]}}
    )
    unknown = WorkflowKey("data", "CronJob", "new")
    begun = store.begun([KEY, OTHER, unknown])
    assert {key: sorted(of) for key, of in begun.items()} == {KEY: [20.0, 100.0], OTHER: [7.0], unknown: []}


def test_what_an_object_said_of_one_run_is_found_by_name(store: Store) -> None:
    said = live(ran("1"))
    store.add({KEY: {"r2": [ran("2")]}}, records=[said])
    assert store.live_record(KEY, said.run) == said
    assert store.live_record(KEY, "r2") is None
    assert store.live_record(OTHER, said.run) is None


def test_runs_that_ended_after_a_moment_are_counted_once_each(store: Store) -> None:
    store.add({KEY: {"r1": [ran("1"), ran("2", 20.0, "b")], "r2": [ran("3", 100.0)]}}, records=[live(end=30.0)])
    assert [store.number_after(KEY, moment) for moment in (0.0, 29.0, 30.0, 109.0, 110.0)] == [2, 2, 1, 1, 0]
    assert store.number_after(OTHER, 0.0) == 0


def test_adding_again_changes_nothing(store: Store) -> None:
    rows = {KEY: {"r1": [ran("1", containers=(ContainerFact("wait"), ContainerFact("main", cpu_seconds=1.0)))]}}
    store.add(rows)
    assert store.add(rows) == frozenset()


def test_later_observations_are_merged_by_maximum(store: Store) -> None:
    early = ran(
        "1", containers=(ContainerFact("main", cpu_seconds=5.0, memory_sampled_peak=9.0),), outcome=Outcome.UNKNOWN
    )
    late = ran("1", containers=(ContainerFact("main", cpu_seconds=8.0, memory_sampled_peak=7.0),))
    store.add({KEY: {"r1": [early]}})
    assert store.add({KEY: {"r1": [late]}}) == {KEY}
    assert store.add({KEY: {"r1": [early]}}) == frozenset()
    (step,) = store.runs(KEY)[0].steps
    assert step.outcome is Outcome.SUCCEEDED
    assert (step.containers[0].cpu_seconds, step.containers[0].memory_sampled_peak) == (8.0, 9.0)


def test_a_pod_that_turns_out_to_be_of_another_workflow_moves(store: Store) -> None:
    store.add({KEY: {"r1": [ran("1")]}})
    added = store.add({OTHER: {"r9": [ran("1")]}})
    assert added == {KEY, OTHER}
    assert store.runs(KEY) == []
    assert [r.run for r in store.runs(OTHER)] == ["r9"]


def test_limit_and_since_choose_the_newest_runs(store: Store) -> None:
    store.add({KEY: {f"r{n}": [ran(str(n), n * DAY)] for n in range(10)}})
    assert [r.run for r in store.runs(KEY, limit=3)] == ["r7", "r8", "r9"]
    assert [r.run for r in store.runs(KEY, since=8 * DAY)] == ["r8", "r9"]
    assert [r.run for r in store.runs(KEY, limit=1, since=8 * DAY)] == ["r9"]
    assert store.runs(KEY, limit=0) == []
    assert store.runs(OTHER) == []


def test_a_definition_gives_ready_times_and_outcomes(store: Store) -> None:
    store.add({DIAMOND.key: {"r": [ran("1", 0.0, "a"), ran("2", 20.0, "b"), ran("3", 25.0, "c")]}})
    (partial,) = store.runs(DIAMOND.key, definition=DIAMOND, as_of=40.0)
    assert partial.outcome is Outcome.RUNNING
    store.add({DIAMOND.key: {"r": [ran("4", 40.0, "d")]}})
    (complete,) = store.runs(DIAMOND.key, definition=DIAMOND, as_of=60.0)
    assert complete.outcome is Outcome.SUCCEEDED
    assert [e.ready for e in complete.steps] == [0.0, 10.0, 10.0, 35.0]


def test_a_watermark_is_of_one_shard_and_moves(store: Store) -> None:
    assert store.watermark("default", "data") is None
    store.set_watermark("default", "data", 100.0)
    assert store.watermark("default", "data") == 100.0
    assert store.watermark("default", "other") is None
    store.set_watermark("default", "data", 150.0)
    assert store.watermark("default", "data") == 150.0


def test_watermarks_are_dropped_by_source_and_shard(store: Store) -> None:
    store.set_watermarks("default", {"data": 1.0, "past:a": -2.0, "past:b": -3.0})
    store.set_watermark("other", "past:a", 4.0)
    assert store.watermark_sources() == ["default", "other"]
    store.drop_watermarks("default", ["past:a", "never there"])
    store.drop_watermarks("default", [])
    assert store.watermarks("default") == {"data": 1.0, "past:b": -3.0}
    assert store.watermarks("other") == {"past:a": 4.0}
    store.drop_watermarks("other", ["past:a"])
    assert store.watermark_sources() == ["default"]


def test_a_write_that_fails_leaves_nothing_of_it(store: Store) -> None:
    class Unwritable:
        uid = "2"
        created = scheduled = started = finished = None

    with pytest.raises((AttributeError, TypeError)):
        store.add({KEY: {"r1": [ran("1"), Unwritable()]}})  # type: ignore[list-item]
    assert store.runs(KEY) == []


def test_adding_names_the_workflows_it_changed(store: Store) -> None:
    assert store.add({KEY: {"r1": [ran("1")]}}) == {KEY}
    assert store.add({KEY: {"r1": [ran("1")]}, OTHER: {"r1": [ran("2")]}}) == {OTHER}


def test_everything_survives_reopening(place: Place) -> None:
    with place.open() as first:
        first.add({KEY: {"r1": [ran("1")]}})
        first.set_watermark("s", "x", 5.0)
        runs = first.runs(KEY)
    with place.open() as second:
        assert (second.runs(KEY), second.watermark("s", "x")) == (runs, 5.0)
        assert second.recovered is None


def test_pruning_keeps_the_newest_runs_and_nothing_too_old(store: Store, place: Place) -> None:
    store.add({KEY: {f"r{n}": [ran(str(n), n * DAY)] for n in range(10)}, OTHER: {"x": [ran("x", 0.0)]}})
    assert store.prune(max_runs=4, before=-1.0) == 6
    assert [r.run for r in store.runs(KEY)] == ["r6", "r7", "r8", "r9"]
    assert store.prune(max_runs={KEY: 9}, before=7.5 * DAY + place.stays) == 3
    assert [r.run for r in store.runs(KEY)] == ["r8", "r9"]
    assert store.runs(OTHER) == []


def test_pruning_reaches_old_pods_of_a_name_still_in_use(store: Store, place: Place) -> None:
    store.add({KEY: {"load": [ran(str(n), n * DAY) for n in range(30)]}})
    store.prune(max_runs=200, before=20 * DAY + place.stays)
    assert stats(store).pods == 17  # a week of slack, so that no run is cut in two


def test_forgetting_a_workflow(store: Store) -> None:
    store.add({KEY: {"r1": [ran("1")]}, OTHER: {"r1": [ran("2")]}})
    store.note_definitions({KEY: "f1"}, 5.0)
    assert store.forget(KEY) == 1
    assert store.forget(KEY) == 0
    assert store.keys() == [OTHER]
    assert stats(store).pods == 1


def test_runs_carry_the_fingerprint_in_force_when_they_started(store: Store) -> None:
    store.add({KEY: {f"r{n}": [ran(str(n), float(n))] for n in (0, 100, 200, 300, 400)}})
    for at, mark in ((50.0, "f1"), (150.0, "f1"), (250.0, "f2"), (350.0, "f2")):
        store.note_definitions({KEY: mark}, at)
    assert {r.run: r.fingerprint for r in store.runs(KEY)} == {
        "r0": None,  # before anybody looked
        "r100": "f1",
        "r200": None,  # changed at an unknown moment in between
        "r300": "f2",
        "r400": None,
    }


def live(*steps: StepExecution, run: str = "r1", start: float = 0.0, end: float = 50.0) -> RunRecord:
    return run_record(steps, workflow=KEY, run=run, start=start, end=end, source=Source.LIVE, fingerprint="f9")


def test_a_live_record_is_joined_with_what_the_metrics_saw(make_place: Callable[[], Place]) -> None:
    reported = StepExecution("train", item="0:x", attempt=1, pod="pod-1", created=0.0, started=0.0, finished=12.0,
                         outcome=Outcome.FAILED, reason="OOMKilled", cache_hit=False)  # fmt: skip
    cached = StepExecution("load", created=12.0, finished=12.0, outcome=Outcome.CACHED, cache_hit=True)
    seen = ran(
        "1", 1.0, "template:x", node="n1", containers=(ContainerFact("main", cpu_seconds=3.0),), outcome=Outcome.FAILED
    )
    for order in ("facts first", "record first"):
        with make_place().open() as fresh:
            if order == "facts first":
                fresh.add({KEY: {"r1": [seen]}})
            fresh.add({}, records=[live(reported, cached)])
            fresh.add({KEY: {"r1": [seen]}})
            (record,) = fresh.runs(KEY)
            assert (record.source, record.outcome, record.fingerprint, len(record.steps)) == (
                Source.LIVE,
                Outcome.SUCCEEDED,
                "f9",
                2,
            )
            train, load = record.steps
            assert (train.step, train.item, train.attempt, train.outcome, train.reason) == (
                "train",
                "0:x",
                1,
                Outcome.FAILED,
                "OOMKilled",
            )
            assert (train.uid, train.node, train.created, train.started, train.finished) == ("1", "n1", 1.0, 2.0, 11.0)
            assert train.containers[0].cpu_seconds == 3.0
            assert load.cache_hit


@pytest.mark.parametrize(
    ("outcome", "known", "end"),
    [(Outcome.UNKNOWN, None, 11.0), (Outcome.UNKNOWN, 9.0, 9.0), (Outcome.RUNNING, None, None)],
    ids=["nobody saw its end", "its engine did", "it may still run"],
)
def test_a_pod_that_vanished_ends_when_it_was_last_seen(
    store: Store, outcome: Outcome, known: float | None, end: float | None
) -> None:
    """A Job that exceeds its deadline deletes its pods while they run: no object ever shows their end."""
    reported = StepExecution("job", pod="pod-1", created=0.0, finished=known, outcome=outcome)
    store.add({KEY: {"r1": [ran("1", 1.0, "job", outcome=Outcome.UNKNOWN)]}}, records=[live(reported)])
    (record,) = store.runs(KEY)
    assert [e.finished for e in record.steps] == [end]


@pytest.mark.parametrize(("pod", "earliest"), [(7.0, 7.0), (9.0, 8.0), (None, 8.0)])
def test_a_daemon_serves_from_the_first_moment_that_anybody_saw(
    store: Store, pod: float | None, earliest: float
) -> None:
    """The controller sees the pod's condition a little later; a condition that was lost and met again is later still."""
    reported = StepExecution(
        "db", pod="pod-1", created=0.0, serving=8.0, finished=8.0, outcome=Outcome.SUCCEEDED, after=()
    )
    store.add({KEY: {"r1": [ran("1", 1.0, "db", serving=pod)]}}, records=[live(reported)])
    (record,) = store.runs(KEY)
    (db,) = record.steps
    assert (db.serving, db.started, db.finished, db.outcome) == (earliest, 2.0, 11.0, Outcome.SUCCEEDED)


def test_a_live_record_reported_twice_changes_nothing(store: Store) -> None:
    assert store.add({}, records=[live(ran("1"))]) == {KEY}
    assert store.add({}, records=[live(ran("1"))]) == frozenset()
    assert stats(store).records == 1


def test_an_earlier_run_of_the_same_name_stays_beside_the_live_one(store: Store) -> None:
    store.add(
        {KEY: {"r1": [ran("1", 0.0), ran("2", 10 * DAY)]}},
        records=[live(ran("2", 10 * DAY), start=10 * DAY, end=10 * DAY + 10)],
    )
    assert [(r.run, r.source) for r in store.runs(KEY)] == [
        ("r1", Source.HISTORY),
        (f"r1@{int(10 * DAY)}", Source.LIVE),
    ]


def test_a_run_that_is_read_late_does_not_replace_the_later_one_of_its_name(store: Store) -> None:
    """Deleted and made anew while the TaskRuns of the first could not be listed."""
    first = replace(live(ran("1", 0.0), end=10.0), created=0.0)
    later = replace(live(ran("2", DAY), start=DAY, end=DAY + 10.0), created=DAY, outcome=Outcome.FAILED)
    store.add({}, records=[later])
    assert store.add({}, records=[first]) == frozenset()
    assert store.live_record(KEY, "r1") == later
    again = replace(later, outcome=Outcome.SUCCEEDED)
    store.add({}, records=[again])
    assert store.live_record(KEY, "r1") == again


def test_rows_that_cannot_be_read_are_left_out_and_stay(place: Place) -> None:
    with place.open() as store:
        store.add({KEY: {"r1": [ran("1"), ran("2", 20.0)], "r2": [ran("3", 99.0)]}})
    zero = "x'00'" if isinstance(place, File) else "'\\x00'"
    place.raw(f"UPDATE executions SET body = {zero} WHERE run = 'r1'")
    with place.open() as store:
        assert [len(r.steps) for r in store.runs(KEY)] == [1]
        for _ in range(2):
            store.add({KEY: {"r1": [ran("1"), ran("2", 20.0)]}})  # come again with the next overlap of windows
        assert [len(r.steps) for r in store.runs(KEY)] == [2, 1]
        assert stats(store).pods == 5, "with the two that cannot be read"
        store.prune(max_runs=0, before=0.0)
        assert stats(store).pods == 0


def test_a_file_gives_back_the_room_of_what_was_deleted(tmp_path: Path) -> None:
    with Store(str(tmp_path / "history.db")) as store:
        store.add({KEY: {f"r{n}": [ran(f"{n}-{i}", 100.0 * n) for i in range(20)] for n in range(1500)}})
        full = stats(store).bytes
        store.prune(max_runs=150, before=0.0)
        assert stats(store).bytes < 0.4 * full
        store.forget(KEY)
        assert stats(store).bytes < 0.2 * full


def test_threads_share_a_store(store: Store) -> None:
    def work(number: int) -> None:
        for n in range(20):
            store.add({KEY: {f"r{number}": [ran(f"{number}-{n}", n * 1.0)]}})
            store.runs(KEY, limit=2)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert stats(store).pods == 80


@given(st.lists(st.lists(EXECUTIONS, max_size=5), max_size=4), st.integers(1, 3))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_batches_in_any_repetition_give_the_same_history(
    make_place: Callable[[], Place], batches: list[list[StepExecution]], times: int
) -> None:
    with make_place().open() as once, make_place().open() as often:
        for batch in batches:
            once.add({KEY: {"r": batch}})
            for _ in range(times):
                often.add({KEY: {"r": batch}})
        assert often.runs(KEY) == once.runs(KEY)
        assert stats(once).pods == len({e.uid for batch in batches for e in batch})
