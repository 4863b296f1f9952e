"""A run that failed and was retried: read again, one run, and the idle time between the attempts is not run time."""

from __future__ import annotations

from dataclasses import replace

from concertmaster.core.model import Outcome, RunRecord, Source, StepExecution
from concertmaster.history.rebuild import join
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


def test_the_same_end_reported_again_keeps_its_pause(store: Store) -> None:
    store.add({}, records=[FAILED])
    store.add({}, records=[RETRIED])
    assert not store.add({}, records=[RETRIED]).workflows
    assert the_run(store).makespan == 150


def test_a_second_retry_adds_its_own_pause(store: Store) -> None:
    again = record(Outcome.FAILED, EXTRACT, pod("load", 100 + 2 * HOUR, 50, Outcome.FAILED))
    last = record(Outcome.SUCCEEDED, EXTRACT, pod("load", 10 * HOUR, 30))
    for one in (FAILED, again, last):
        store.add({}, records=[one])
    assert the_run(store).makespan == 100 + 50 + 30


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
