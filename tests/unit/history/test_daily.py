"""Daily rows: exact sums, idempotent, small, and still there when the runs are gone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from concertmaster.core.analysis.daily.rows import combine, daily_rows
from concertmaster.core.analysis.runs.figures import RunFigures
from concertmaster.core.model import Outcome, RunRecord, WorkflowKey
from concertmaster.core.model.daily import RUN, Baseline, DailyPeaks, DailyRow, RecommendationOutcome
from concertmaster.core.model.policy import Pricing
from concertmaster.core.units import DAY
from concertmaster.history import Store
from concertmaster.history.daily.tables import DailyTables
from tests.support.builders import container, run_record
from tests.support.data.history_rows import KEY, ran
from tests.support.history_places import Place

PRICES = Pricing()


def run_on(day: float, number: int = 0, seconds: float = 100.0, outcome: Outcome = Outcome.SUCCEEDED) -> RunRecord:
    """A run of one step that begins some minutes into the day."""
    at = day * DAY + 600.0 * (number + 1)
    main = container(cpu_request=1.0, cpu_seconds=seconds / 2)
    step = ran(f"{day}-{number}", at, scheduled=at + 5, started=at + 10, finished=at + seconds, outcome=outcome,
               containers=(main,), extra={"tokens": 7.0})  # fmt: skip
    return replace(
        run_record((step,), workflow=KEY, run=f"r{day}-{number}", start=at, end=at + seconds, outcome=outcome),
        extra={"tokens": 7.0},
    )


def rows_of(
    runs: list[RunRecord], covered: float = 0.0, recorded: float = 0.0, score: int | None = 80
) -> list[DailyRow]:
    return daily_rows(
        runs, PRICES, RunFigures(), covered=covered, recorded=recorded, until=30 * DAY, score=score, complete=None
    )


def test_rows_are_written_in_a_few_calls_however_many_steps_there_are(store: Store) -> None:
    calls: list[str] = []

    class Counted:
        """The connection, with a note of each call."""

        def __getattr__(self, name: str) -> Any:
            calls.append(name)
            return getattr(store._db, name)

    class Engine:
        """The engine with that connection."""

        db = Counted()

        def __getattr__(self, name: str) -> Any:
            return getattr(store._engine, name)

    tables = DailyTables(Engine())  # type: ignore[arg-type]
    numbers = []
    for count in (3, 40, 40):
        calls.clear()
        steps = ("", *(f"s{i}" for i in range(count)))
        rows = [DailyRow(20, step, len(numbers) + 1, 1, 0, metrics={"tokens": 1.0}, whole=True) for step in steps]
        assert tables.record(KEY, rows) == count + 1
        numbers.append(len(calls))
    assert max(numbers) < 14
    assert {row.step for row in store.daily.rows(KEY, step=None)} == set(steps)
    assert store.daily.rows(KEY, step="s39")[0].metrics == {"tokens": 1.0}


def test_a_day_keeps_the_longest_steps_whatever_names_they_have_in_each_run(store: Store) -> None:
    for part in range(5):
        counted = DailyRow(3, RUN, 1, 1, 0, until=part + 1.0, whole=False, largest={"seconds": 1.0})
        steps = [replace(counted, step=f"s{part}-{i}", seconds=100.0 * part + i) for i in range(60)]
        store.daily.record(KEY, [counted, *steps])
    runs, *kept = store.daily.rows(KEY, step=None)
    assert runs.count == 5
    longest = {*(f"s4-{i}" for i in range(60)), *(f"s3-{i}" for i in range(20, 60))}
    assert {row.step for row in kept} == longest
    assert store.daily.largest(KEY, since=0).amounts.keys() == {(step, "seconds") for step in (RUN, *longest)}


def test_a_row_that_is_added_to_keeps_ten_metrics_however_often_they_are_renamed(store: Store) -> None:
    for part in range(5):
        metrics = {f"m{part}{i}": 1.0 for i in range(4)}
        store.daily.record(KEY, [DailyRow(3, RUN, 1, 1, 0, until=part + 1.0, whole=False, metrics=metrics)])
    (row,) = store.daily.rows(KEY)
    assert (row.count, len(row.metrics)) == (5, 10)


def test_rows_can_be_read_without_amounts(store: Store) -> None:
    rows = [
        DailyRow(20, step, 3, 3, 0, 3, 30.0, 10.0, metrics={"tokens": 1.0}, largest={"seconds": 12.0})
        for step in (RUN, "a")
    ]
    store.daily.record(KEY, rows)
    found = store.daily.rows(KEY, step=None, amounts=False)
    assert found == [replace(row, metrics={}, largest={}) for row in rows]


def test_a_day_has_a_row_of_its_runs_and_one_of_each_step(store: Store) -> None:
    runs = [run_on(3, 0), run_on(3, 1, 200.0), run_on(3, 2, 50.0, Outcome.FAILED), run_on(4)]
    assert store.daily.record(KEY, rows_of(runs)) == 4
    day, other = store.daily.rows(KEY)
    assert (day.day, day.count, day.succeeded, day.failed, day.timed) == (3, 3, 2, 1, 2)
    assert (day.seconds, day.p50, day.mean, day.success) == (300.0, 150.0, 150.0, 2 / 3)
    assert day.queue == 15.0
    assert day.metrics == {"tokens": 21.0}
    assert day.cost is not None and day.wasted is not None and 0 < day.wasted < day.cost
    assert day.until == runs[2].end
    assert (other.day, other.count) == (4, 1)
    (step, _) = store.daily.rows(KEY, step="a")
    assert (step.step, step.count, step.seconds, step.queue, step.metrics) == ("a", 3, 280.0, 15.0, {"tokens": 21.0})
    assert len(store.daily.rows(KEY, step=None)) == 4
    assert store.daily.rows(KEY, since=4) == [other]
    assert store.daily.rows(KEY, step="b") == []


def test_recording_again_writes_nothing(store: Store) -> None:
    rows = rows_of([run_on(3), run_on(3, 1), run_on(29)])
    store.daily.record(KEY, rows)
    assert store.daily.record(KEY, rows) == 0


def test_a_day_that_is_seen_as_a_whole_again_is_replaced_and_its_score_stays(store: Store) -> None:
    early = daily_rows(
        [run_on(3)], PRICES, RunFigures(), covered=0.0, until=3.5 * DAY, score=70, complete=None, recorded=0.0
    )
    store.daily.record(KEY, early)
    store.daily.record(KEY, rows_of([run_on(3), run_on(3, 1)]))
    (row,) = store.daily.rows(KEY)
    assert (row.count, row.score) == (2, 70)


def test_a_day_with_more_runs_than_are_kept_is_counted_as_runs_arrive(store: Store) -> None:
    """Of 90 runs of a day the newest 20 are at hand whenever 10 new ones have ended."""
    runs = [run_on(3, n, 100.0 + n) for n in range(90)]
    for end in range(10, 91, 10):
        at_hand = runs[max(0, end - 20) : end]
        covered = (at_hand[0].end or 0.0) if end > 20 else 0.0
        store.daily.record(KEY, rows_of(at_hand, covered, store.daily.recorded(KEY)))
    (row,) = store.daily.rows(KEY)
    assert (row.count, row.succeeded, row.metrics) == (90, 90, {"tokens": 630.0})
    assert row.seconds == sum(100.0 + n for n in range(90))
    assert row.p50 == pytest.approx(144.5, rel=0.03)
    assert row.p95 == pytest.approx(184.5, rel=0.03)
    (step,) = store.daily.rows(KEY, step="a")
    assert step.count == 90


def test_the_largest_amounts_of_a_day_stay_while_its_runs_come_and_go(store: Store) -> None:
    def row(step: str, until: float, **largest: float) -> DailyRow:
        return DailyRow(3, step, 1, 1, 0, metrics={"largest": 7.0}, largest=largest, until=until, whole=False)

    store.daily.record(KEY, [row("a", 1.0, memory=200.0, cpu=1.0), row("b", 1.0)])
    store.daily.record(KEY, [row("a", 2.0, memory=3000.0), row("b", 2.0, memory=5.0)])
    store.daily.record(KEY, [row("a", 3.0, memory=100.0, cpu=2.0), row(RUN, 3.0, seconds=60.0)])
    known = {
        (RUN, "seconds"): {3: 60.0},
        ("a", "memory"): {3: 3000.0},
        ("a", "cpu"): {3: 2.0},
        ("b", "memory"): {3: 5.0},
    }
    assert store.daily.largest(KEY, since=3) == DailyPeaks(known)
    assert store.daily.largest(KEY, since=4) == DailyPeaks()
    assert store.daily.rows(KEY, step="a")[0].metrics == {"largest": 21.0}
    assert store.daily.largest(WorkflowKey("data", "WorkflowTemplate", "other"), since=0) == DailyPeaks()
    store.daily.record(KEY, [replace(row("a", 5 * DAY, memory=300.0), day=4)], since=4, exceptional_since=4)
    assert store.daily.largest(KEY, since=0) == DailyPeaks({("a", "memory"): {4: 300.0}})
    assert store.daily.rows(KEY, step="a")[0].metrics == {"largest": 21.0}


def test_of_days_before_the_window_exceptional_amounts_stay(store: Store) -> None:
    """And releases, of which each counts."""
    by_day = {2: 900.0, 3: 400.0, 4: 300.0, 5: 280.0, 6: 200.0}
    for day, amount in by_day.items():
        largest = {"memory/main": amount, "released/memory/main": day / 10}
        row = DailyRow(day, "a", 1, 1, 0, largest=largest, until=day * DAY)
        store.daily.record(KEY, [row], since=5, exceptional_since=3)
    known = store.daily.largest(KEY, since=0)
    assert known.of(["a"], "memory/main") == {3: 400.0, 5: 280.0, 6: 200.0}
    assert set(known.of(["a"], "released/memory/main")) == {3, 4, 5, 6}


def test_a_profile_that_analyzes_all_runs_leaves_the_largest_amounts_that_another_one_needs(store: Store) -> None:
    row = DailyRow(3, "a", 200, 200, 0, largest={"memory/main": 5.0}, until=1.0)
    store.daily.record(KEY, [row])
    store.daily.record(KEY, [replace(row, count=288, largest={}, until=2.0)])
    assert store.daily.rows(KEY, step="a") == [replace(row, count=288, until=2.0)]
    store.daily.record(KEY, [replace(row, largest={"memory/main": 3.0}, until=3.0)])
    assert store.daily.largest(KEY, since=0) == DailyPeaks({("a", "memory/main"): {3: 3.0}})


def test_amounts_that_a_later_version_stored_are_nobodys_metrics(store: Store, place: Place) -> None:
    row = DailyRow(3, "a", 1, 1, 0, metrics={"tokens": 7.0}, largest={"memory/main": 5.0}, until=1.0)
    store.daily.record(KEY, [row])
    place.raw("INSERT INTO daily_metrics SELECT workflow, step, day, 'other/x', 1.0 FROM daily")
    assert store.daily.rows(KEY, step="a") == [row]
    store.daily.record(KEY, [replace(row, count=2)])
    assert store.daily.rows(KEY, step="a") == [replace(row, count=2)]


def test_rows_stay_when_the_runs_are_pruned_and_when_the_profile_is_gone(store: Store, place: Place) -> None:
    store.add({KEY: {"r1": [ran("1", 3 * DAY)]}})
    store.note_definitions({KEY: "f"}, 1.0)
    store.daily.record(KEY, rows_of(store.runs(KEY)))
    store.prune(max_runs=200, before=20 * DAY + place.stays)
    assert store.runs(KEY) == []
    assert [r.day for r in store.daily.rows(KEY)] == [3]
    store.forget(KEY)
    assert store.keys() == []
    assert [r.day for r in store.daily.rows(KEY)] == [3]
    assert store.daily.fleet() == {KEY: store.daily.rows(KEY)}


def test_rows_are_deleted_after_400_days_and_a_workflow_with_nothing_left(place: Place, store: Store) -> None:
    """PostgreSQL deletes four weeks at once."""
    early, late = 3, 28 + 1
    store.daily.record(KEY, rows_of([run_on(early), run_on(late)]))
    store.daily.prune(early + 400)
    assert [r.day for r in store.daily.rows(KEY)] == [early, late]
    store.daily.prune(28 + 400)
    assert [r.day for r in store.daily.rows(KEY, step=None)] == [late, late]
    assert place.raw("SELECT count(*) FROM daily_metrics") == [(2,)]
    store.daily.prune(2 * 28 + 400)
    assert place.raw("SELECT count(*) FROM workflows") == [(0,)]


def test_a_file_deletes_rows_to_the_day(tmp_path: Path) -> None:
    with Store(str(tmp_path / "history.db")) as store:
        keys = [WorkflowKey("jobs", "CronJob", f"w{n}") for n in range(250)]
        for key in keys:
            store.daily.record(key, [DailyRow(day, step, 1, 1, 0) for day in (3, 4) for step in ("", "a")])
        store.daily.prune(4 + 400)
        assert {r.day for key in keys for r in store.daily.rows(key, step=None)} == {4}
        assert sum(len(store.daily.rows(key, step=None)) for key in keys) == 2 * len(keys)


def test_old_rows_are_looked_for_once_a_day(tmp_path: Path) -> None:
    with Store(str(tmp_path / "history.db")) as store:
        store.daily.prune(4 + 400)
        store.daily.record(KEY, [DailyRow(3, "", 1, 1, 0)])
        store.daily.prune(4 + 400)
        assert [r.day for r in store.daily.rows(KEY)] == [3]
        store.daily.prune(5 + 400)
        assert store.daily.rows(KEY) == []


def test_steps_of_which_no_row_is_left_are_forgotten(place: Place, store: Store) -> None:
    """Names of a graph that changes with each run would stay for ever. Numbers of those that are left stay theirs."""
    days = (3, ""), (3, "old"), (3, "stays"), (29, ""), (29, "stays")
    store.daily.record(KEY, [DailyRow(day, step, 1, 1, 0) for day, step in days])
    store.daily.prune(28 + 400, lambda _: False)
    assert len(place.raw("SELECT name FROM step_names")) == 2  # another shard may be about to use them
    store.daily.prune(29 + 400)
    assert place.raw("SELECT name FROM step_names") == [("stays",)]
    store.daily.record(KEY, [DailyRow(30, step, 2, 2, 0) for step in ("new", "old")])
    found = {(r.day, r.step): r.count for r in store.daily.rows(KEY, step=None)}
    assert found == {(29, ""): 1, (29, "stays"): 1, (30, "new"): 2, (30, "old"): 2}


def test_figures_beyond_what_a_database_holds_are_bounded(store: Store) -> None:
    """One workflow whose queries give nonsense would end the writing of the rows of all others."""
    row = DailyRow(3, "", 1, 1, 0, 1, 1e18, 1e18, 1e18, cost=1e18, wasted=1e18, queue=1e18, metrics={"bytes": 1e18})
    assert [store.daily.record(KEY, [row]) for _ in range(2)] == [1, 0]
    (stored,) = store.daily.rows(KEY)
    assert stored.p50 == stored.seconds == stored.queue == 2**53 / 1e3
    assert stored.cost == stored.wasted == 2**53 / 1e6
    assert stored.metrics == {"bytes": 1e18}


def test_the_first_baseline_stays(store: Store) -> None:
    assert store.daily.baseline(KEY) is None
    first = Baseline(5.0, 12, 100.0, 200.0, 0.9, 0.25, 77)
    store.daily.record(KEY, [], baseline=first)
    store.daily.record(KEY, [], baseline=Baseline(9.0, 30))
    assert store.daily.baseline(KEY) == first


def test_adoption_keeps_what_a_later_state_does_not_repeat(store: Store) -> None:
    store.daily.record(KEY, [], adoptions=[RecommendationOutcome("timeout.a", "Active", 5.0, 5.0, 12.5, 30.0)])
    done = RecommendationOutcome("timeout.a", "Implemented", 9.0, 8.0, by="kubectl", verdict="Improved", measured=-0.2)
    store.daily.record(KEY, [], adoptions=[done])
    assert store.daily.adoptions(KEY) == [replace(done, first=5.0, money=12.5, minutes=30.0)]


def test_adoptions_of_one_workflow_are_bounded(store: Store) -> None:
    for n in range(5):
        store.daily.record(KEY, [], adoptions=[RecommendationOutcome(f"r{n}.{m}", "Active", n, n) for m in range(100)])
    assert len(store.daily.adoptions(KEY)) == 200


def test_a_row_takes_less_than_300_bytes(tmp_path: Path) -> None:
    """With everything a row can hold, 200 workflows of 4 steps over 30 days, on the disk after a checkpoint."""
    path = tmp_path / "history.db"
    with Store(str(path)) as store:
        template = rows_of([run_on(3, n, 3600.0 + 7.77 * n) for n in range(24)])
        whole, step = template
        for w in range(200):
            key = WorkflowKey("team-data-platform", "WorkflowTemplate", f"nightly-aggregation-{w}")
            days = [replace(whole, day=day) for day in range(30)]
            days += [replace(step, step=f"aggregate-partition-{s}", day=day) for s in range(4) for day in range(30)]
            store.daily.record(key, days)
    number = 200 * 30 * 5
    assert path.stat().st_size / number < 300


def test_unknown_amounts_stay_unknown(store: Store) -> None:
    bare = replace(run_on(3), steps=(ran("1", 3 * DAY),), extra={})
    store.daily.record(KEY, rows_of([bare]))
    (row,) = store.daily.rows(KEY)
    assert (row.cost, row.wasted, row.queue, row.metrics) == (None, None, None, {})


def test_running_runs_and_those_to_come_are_not_counted() -> None:
    going = replace(run_on(3), outcome=Outcome.RUNNING)
    assert rows_of([going, run_on(31)]) == []


def test_combining_adds_runs_up() -> None:
    a, b = (DailyRow(d, RUN, n, n, 0, n, 10.0 * n, p, p, cost=1.0) for d, n, p in ((1, 1, 10.0), (2, 3, 20.0)))
    both = combine([b, a])
    assert both is not None
    assert (both.day, both.count, both.p50, both.cost, both.seconds) == (1, 4, 20.0, 2.0, 40.0)
    assert combine([]) is None
