"""A run that failed and was retried: read again, one run, and the idle time between the attempts is not run time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from concertmaster.core.model import Outcome, RunRecord, Source, StepExecution
from concertmaster.history.live_rows import join
from concertmaster.history.store import Store
from tests.support.builders import KEY, run_record

T0 = 1_760_000_000.0
HOUR = 3600.0


def pod(step: str, begin: float, seconds: float, outcome: Outcome = Outcome.SUCCEEDED) -> StepExecution:
    at = T0 + begin
    return StepExecution(
        step, pod=f"{step}-{begin}", created=at, scheduled=at, started=at, finished=at + seconds, outcome=outcome
    )


def record(outcome: Outcome, *steps: StepExecution) -> RunRecord:
    begin = min(e.created or 0.0 for e in steps)
    end = max(e.finished or 0.0 for e in steps)
    return run_record(steps, run="etl-1", start=begin, end=end, outcome=outcome, source=Source.LIVE)


EXTRACT = pod("extract", 0, 60)
FAILED = record(Outcome.FAILED, EXTRACT, pod("load", 60, 40, Outcome.FAILED))
RETRIED = record(Outcome.SUCCEEDED, EXTRACT, pod("load", 100 + 2 * HOUR, 50))


def the_run(store: Store) -> RunRecord:
    (found,) = store.runs(KEY)
    return found


def test_its_time_is_that_of_the_attempts_and_its_end_is_the_last(store: Store) -> None:
    store.add({}, records=[FAILED])
    assert the_run(store).outcome is Outcome.FAILED
    store.add({}, records=[RETRIED])
    run = the_run(store)
    assert run.outcome is Outcome.SUCCEEDED
    assert run.makespan == 100 + 50
    assert run.end == T0 + 100 + 2 * HOUR + 50
    assert [e.duration for e in run.steps] == [60, 50]


def test_a_run_that_was_stopped_and_then_retried_has_a_pause_too(store: Store) -> None:
    stopped = record(Outcome.UNKNOWN, EXTRACT, pod("load", 60, 40, Outcome.UNKNOWN))
    for one in (stopped, RETRIED):
        store.add({}, records=[one])
    assert the_run(store).makespan == 100 + 50


def test_the_same_end_reported_again_keeps_its_pause(store: Store) -> None:
    store.add({}, records=[FAILED])
    store.add({}, records=[RETRIED])
    assert not store.add({}, records=[RETRIED])
    assert the_run(store).makespan == 150


def test_a_second_retry_adds_its_own_pause(store: Store) -> None:
    again = record(Outcome.FAILED, EXTRACT, pod("load", 100 + 2 * HOUR, 50, Outcome.FAILED))
    last = record(Outcome.SUCCEEDED, EXTRACT, pod("load", 10 * HOUR, 30))
    for one in (FAILED, again, last):
        store.add({}, records=[one])
    assert the_run(store).makespan == 100 + 50 + 30


@pytest.mark.parametrize("first", [True, False])
def test_a_time_suspended_and_a_retry_are_two_pauses(store: Store, first: bool) -> None:
    """That of the retry took the place of a time in which the retried run was suspended, which only its record has."""
    suspended = (EXTRACT.finished or 0.0, T0 + 4060.0) if first else (T0 + 2 * HOUR + 150, T0 + 5 * HOUR)
    load, tell = pod("load", 100 + 2 * HOUR, 50), pod("tell", 5 * HOUR, 20)
    before = record(Outcome.FAILED, EXTRACT, pod("load", 4060 if first else 60, 40, Outcome.FAILED))
    after = replace(record(Outcome.SUCCEEDED, EXTRACT, load, tell), pauses=(suspended,))
    store.add({}, records=[replace(before, pauses=(suspended,) if first else ())])
    store.add({}, records=[after])
    assert the_run(store).makespan == 100 + 50 + 20 + (3 * HOUR - 150 if first else 0.0)


def test_a_run_read_once_more_with_all_its_steps_has_no_pause(store: Store) -> None:
    store.add({}, records=[record(Outcome.SUCCEEDED, EXTRACT)])
    store.add({}, records=[record(Outcome.SUCCEEDED, EXTRACT, pod("load", 400, 50))])
    assert the_run(store).makespan == 450


def test_the_pod_made_again_under_its_name_is_joined(store: Store) -> None:
    """Argo names a pod after its node: of a retried node there are two of one name, and the last is the node's."""
    lived = [
        replace(e, pod="etl-1-load-123", uid=uid) for e, uid in ((FAILED.steps[1], "one"), (RETRIED.steps[1], "two"))
    ]
    live = replace(RETRIED, steps=(EXTRACT, replace(RETRIED.steps[1], pod="etl-1-load-123")))
    for order in (lived, lived[::-1]):
        joined = join(live, order)
        assert [(e.uid, e.outcome) for e in joined.steps] == [(None, Outcome.SUCCEEDED), ("two", Outcome.SUCCEEDED)]
        assert joined.end == RETRIED.end


BORN = T0 - 5.0


@pytest.mark.parametrize("gap", [20.0, 110.0, 2 * HOUR])
@pytest.mark.parametrize("names", [("load-a", "load-b"), ("load", "load")])  # of Jobs, and of TaskRuns
def test_an_object_made_again_under_its_name_leaves_the_failure_of_the_first(
    store: Store, gap: float, names: tuple[str, str]
) -> None:
    first = replace(pod("load", 0, 10, Outcome.FAILED), pod=names[0], uid="one")
    second = replace(pod("load", gap, 10), pod=names[1], uid="two")
    for e, outcome, born in ((first, Outcome.FAILED, BORN), (second, Outcome.SUCCEEDED, T0 + gap - 3.0)):
        store.add({}, records=[replace(record(outcome, e), created=born)])
        store.add({KEY: {"etl-1": (e,)}})
    assert [(r.outcome, r.makespan) for r in store.runs(KEY)] == [(Outcome.FAILED, 10), (Outcome.SUCCEEDED, 10)]


@pytest.mark.parametrize("pause", [20.0, 110.0, 2 * HOUR])
def test_what_a_run_did_before_it_was_stopped_is_no_run_of_its_own(store: Store, pause: float) -> None:
    """A suspended Job loses its pods, a retried Workflow those of the failed steps: its object is the same."""
    lost = replace(pod("load", 0, 10, Outcome.UNKNOWN), uid="lost")
    store.add({KEY: {"etl-1": (lost,)}})
    again = replace(pod("load", pause, 50), uid="again")
    store.add({}, records=[replace(record(Outcome.SUCCEEDED, again), created=BORN)])
    store.add({KEY: {"etl-1": (again,)}})
    run = the_run(store)
    assert (run.outcome, run.makespan, run.created) == (Outcome.SUCCEEDED, 50, BORN)
