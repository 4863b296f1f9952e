"""Records that tell only how a run ended: joined with the pods of that run, never with those of another."""

from __future__ import annotations

from dataclasses import replace

import pytest

from concertmaster.core.model import Outcome, RunRecord, Source, StepExecution, Suspension, WorkflowKey
from concertmaster.engines.define import define
from concertmaster.history import Store
from concertmaster.history.live_rows import join
from tests.support.builders import container, run_record
from tests.support.data.history_rows import ran
from tests.support.history_places import Place
from tests.support.history_stats import stats

KEY = WorkflowKey("ops", "CronJob", "backup")
LOST = ran("1", 10.0, outcome=Outcome.UNKNOWN, finished=None)


def end(outcome: Outcome = Outcome.FAILED, source: Source = Source.LIVE, start: float | None = 9.0,
        until: float | None = 60.0, run: str = "r1") -> RunRecord:  # fmt: skip
    return run_record(workflow=KEY, run=run, start=start, end=until, outcome=outcome, source=source)


def runs(*records: RunRecord, pods: dict[str, list[StepExecution]] | None = None) -> list[RunRecord]:
    """What comes back, whichever comes first."""
    with Store(":memory:") as store:
        store.add({KEY: pods or {}}, records=records)
        found = store.runs(KEY)
    with Store(":memory:") as store:
        for record in records:
            store.add({}, records=[record])
        store.add({KEY: pods or {}})
        assert store.runs(KEY) == found
    return found


def outcomes(found: list[RunRecord]) -> list[tuple[str, Outcome, int]]:
    return [(r.run, r.outcome, len(r.steps)) for r in found]


@pytest.mark.parametrize("source", list(Source))
@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.SUCCEEDED])
def test_pods_that_do_not_tell_the_outcome_get_it_from_the_object(outcome: Outcome, source: Source) -> None:
    (found,) = runs(end(outcome, source), pods={"r1": [LOST]})
    assert (found.outcome, found.source, found.start) == (outcome, Source.HISTORY, 10.0)
    assert found.steps[0].outcome is Outcome.UNKNOWN


@pytest.mark.parametrize("source", list(Source))
def test_a_pod_that_was_deleted_between_two_kills_failed_by_them(source: Source) -> None:
    """Its Job has used up its backoffLimit. Of one that succeeded, or whose pods were seen to fail, this says nothing."""
    killed = replace(LOST, containers=(container(restarted_after_oom=15.0),))
    (found,) = runs(end(source=source), pods={"r1": [killed]})
    assert (found.steps[0].outcome, found.steps[0].reason) == (Outcome.FAILED, "OOMKilled")
    (fine,) = runs(end(Outcome.SUCCEEDED, source), pods={"r1": [killed]})
    assert fine.steps[0].outcome is Outcome.UNKNOWN
    beside = replace(ran("1", 10.0, outcome=Outcome.FAILED), pod="b", uid="b")
    (other,) = runs(end(source=source), pods={"r1": [killed, beside]})
    assert sorted(e.outcome for e in other.steps) == [Outcome.FAILED, Outcome.UNKNOWN]


def test_pods_that_tell_the_outcome_yield_to_the_engine_and_not_to_the_metrics() -> None:
    pods = {"r1": [ran("1", 10.0)]}
    assert outcomes(runs(end(source=Source.HISTORY), pods=pods)) == [("r1", Outcome.SUCCEEDED, 1)]
    assert outcomes(runs(end(source=Source.LIVE), pods=pods)) == [("r1", Outcome.FAILED, 1)]


def test_a_job_that_completed_although_pods_failed_succeeded() -> None:
    """By its success policy. A start after the completion is that of another Job of the name."""
    pods = {"r1": [ran("1", 10.0, outcome=Outcome.FAILED)]}
    done = end(Outcome.SUCCEEDED, Source.HISTORY)
    assert outcomes(runs(done, pods=pods)) == [("r1", Outcome.SUCCEEDED, 1)]
    for other in (replace(done, end=5.0), replace(done, end=None)):
        assert outcomes(runs(other, pods=pods)) == [("r1", Outcome.FAILED, 1)]


@pytest.mark.parametrize("finished", [None, 400.0], ids=["still running", "deleted later"])
def test_a_pod_that_outlives_its_run_counts_until_its_end(finished: float | None) -> None:
    """As of a Ray cluster that is kept, or deleted after its TTL."""
    kept = replace(LOST, finished=finished)
    (found,) = runs(end(Outcome.SUCCEEDED), pods={"r1": [kept]})
    assert (found.end, found.steps[0].finished) == (60.0, 60.0)
    before = replace(ran("2", 10.0), finished=50.0)
    (both,) = runs(end(Outcome.SUCCEEDED), pods={"r1": [kept, before]})
    assert [e.finished for e in both.steps] == [60.0, 50.0]
    (by_metrics,) = runs(end(Outcome.SUCCEEDED, Source.HISTORY), pods={"r1": [kept]})
    assert by_metrics.steps[0].finished == finished


def test_times_are_those_of_the_pods() -> None:
    (found,) = runs(end(Outcome.SUCCEEDED), pods={"r1": [ran("1", 10.0)]})
    assert (found.start, found.end) == (10.0, 20.0)


@pytest.mark.parametrize("late", [0.0, 1.0])
@pytest.mark.parametrize("pause", [30.0, 3600.0])
def test_the_pause_of_a_job_that_was_suspended_is_no_time_of_its_run(pause: float, late: float) -> None:
    """A Job that is resumed starts anew, or is said to, a second after its first pod was made: what was deleted before took
    its time, the pause none."""
    cut, whole = ran("1", 10.0, outcome=Outcome.UNKNOWN), replace(ran("2", 20.0 + pause), attempt=1)
    resumed = end(Outcome.SUCCEEDED, Source.HISTORY, start=20.0 + pause + late, until=30.0 + pause)
    (found,) = runs(resumed, pods={"r1": [cut, whole]})
    assert (found.outcome, found.makespan, found.end, len(found.steps)) == (Outcome.SUCCEEDED, 20.0, 30.0 + pause, 2)
    (found,) = runs(end(Outcome.SUCCEEDED, Source.HISTORY), pods={"r1": [cut, whole]})
    assert found.makespan == 20.0 + pause, "of a Job that started before its pods"


WHOLE = replace(ran("2", 30.0), ready=9.0, after=())
"""The pod that a Job counts: it began at 9."""


@pytest.mark.parametrize("outcome", [Outcome.UNKNOWN, Outcome.FAILED])
def test_a_pod_that_was_deleted_and_replaced_is_part_of_its_run(outcome: Outcome) -> None:
    """As from a node that is drained, where a podFailurePolicy ignores disruptions: only the metrics still know it."""
    job = replace(end(Outcome.SUCCEEDED, until=40.0), start=30.0, created=8.0, steps=(WHOLE,))
    (found,) = runs(job, pods={"r1": [ran("1", 10.0, outcome=outcome), ran("2", 30.0)]})
    assert (found.start, found.makespan, found.outcome) == (10.0, 30.0, Outcome.SUCCEEDED)
    assert [e.outcome for e in found.steps] == [outcome, Outcome.SUCCEEDED]


def test_a_pod_that_a_suspension_deleted_is_part_of_its_run_and_the_suspension_is_not() -> None:
    """As Kueue preempts a Job: it goes on with another pod, from the start that its object then has."""
    again = replace(WHOLE, ready=29.0)
    job = replace(end(Outcome.SUCCEEDED, until=40.0), start=30.0, created=8.0, steps=(again,))
    (found,) = runs(job, pods={"r1": [ran("1", 10.0, outcome=Outcome.UNKNOWN), ran("2", 30.0)]})
    assert (found.end, found.makespan, found.outcome) == (40.0, 21.0, Outcome.SUCCEEDED)  # 9 s of pause
    assert [e.pod for e in found.steps] == ["pod-1", "pod-2"]


@pytest.mark.parametrize("ready", [59.0, 8.0])
def test_of_a_run_that_was_evicted_twice_neither_suspension_is_run_time(ready: float) -> None:
    """The start of a Job is when it was last resumed, that of a JobSet is its creation."""
    held = Suspension(2.0 + 10.0 + 10.0, "ClusterQueue batch", 2, 60.0)
    own = replace(ran("3", 60.0), ready=ready, after=())
    job = replace(end(Outcome.SUCCEEDED, until=70.0), start=60.0, created=8.0, steps=(own,), suspension=held)
    cut = [ran(uid, at, outcome=Outcome.UNKNOWN, finished=at + 15.0) for uid, at in (("1", 10.0), ("2", 35.0))]
    (found,) = runs(job, pods={"r1": [*cut, ran("3", 60.0)]})
    assert (found.makespan, found.end, found.suspension) == (40.0, 70.0, held)
    drained = replace(job, suspension=replace(held, evictions=1))
    (found,) = runs(drained, pods={"r1": [*cut, ran("3", 60.0)]})
    assert found.makespan == 50.0, "one of the pods was replaced without an eviction"


def test_a_run_with_pods_that_its_object_forgot_keeps_what_only_the_object_knows() -> None:
    """Also of a pod that the metrics lack."""
    own = replace(WHOLE, ready=29.0, exit_code=3, input_size=5e9, outcome=Outcome.FAILED)
    job = replace(end(until=40.0), start=30.0, created=8.0, steps=(own,))
    lost = ran("1", 10.0, outcome=Outcome.UNKNOWN)
    for pods in ([lost], [lost, ran("2", 30.0, outcome=Outcome.FAILED)]):
        (found,) = runs(job, pods={"r1": pods})
        assert [(e.pod, e.exit_code) for e in found.steps] == [("pod-1", None), ("pod-2", 3)]
        assert (found.created, found.input_total, found.outcome) == (8.0, 5e9, Outcome.FAILED)


def test_a_failed_job_of_the_same_name_before_is_no_part_of_a_run_that_was_suspended() -> None:
    again, made = replace(WHOLE, ready=5029.0, created=5030.0, started=5031.0, finished=5040.0), 5008.0
    job = replace(end(Outcome.SUCCEEDED, until=5040.0), start=5030.0, created=made, steps=(again,))
    rows = [ran("0", 10.0, outcome=Outcome.FAILED), ran("1", 5010.0, outcome=Outcome.UNKNOWN), ran("2", 5030.0)]
    first, second = runs(job, pods={"r1": rows})
    assert ([e.pod for e in first.steps], first.outcome) == (["pod-0"], Outcome.FAILED)
    assert ([e.pod for e in second.steps], second.makespan) == (["pod-1", "pod-2"], 21.0)


def test_pods_that_a_retry_replaced_are_not_of_the_run() -> None:
    """``argo retry`` makes the pods of failed steps again, the first of them under its name."""
    definition = define(
        {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "WorkflowTemplate",
            "metadata": {"name": "etl", "namespace": "ops"},
            "spec": {"entrypoint": "a", "templates": [{"name": "a", "retryStrategy": {"limit": 1}, "container": {}}]},
        }
    )
    assert definition is not None
    own = replace(ran("3", 500.0), pod="pod-1", ready=500.0, after=(), exit_code=0)
    job = replace(end(Outcome.SUCCEEDED, until=510.0), workflow=definition.key, start=500.0, created=8.0, steps=(own,))
    failed = [ran(uid, at, outcome=Outcome.FAILED) for uid, at in (("1", 10.0), ("2", 25.0))]
    with Store(":memory:") as store:
        store.add({definition.key: {"r1": [*failed, replace(own, exit_code=None)]}}, records=[job])
        (found,) = store.runs(definition.key, definition=definition)
    assert [(e.uid, e.exit_code) for e in found.steps] == [("3", 0)]
    assert (found.source, found.makespan) == (Source.LIVE, 10.0)


@pytest.mark.parametrize(
    ("own", "other"),
    [
        (WHOLE, ran("1", 9.0)),  # the Job would have counted it
        (WHOLE, ran("1", 6.0, outcome=Outcome.UNKNOWN)),  # before the Job was created
        (
            replace(WHOLE, ready=29.0),
            ran("1", 10.0, outcome=Outcome.UNKNOWN, finished=None),
        ),  # suspended at an unknown time
        (WHOLE, ran("1", 45.0, outcome=Outcome.UNKNOWN)),  # of a Job of the same name after it
        (replace(WHOLE, after=("load",)), ran("1", 10.0, outcome=Outcome.UNKNOWN)),  # its edges would be lost
    ],
)
def test_other_pods_of_the_name_leave_a_run_as_its_object_has_it(own: StepExecution, other: StepExecution) -> None:
    job = replace(end(Outcome.SUCCEEDED, until=40.0), start=30.0, created=8.0, steps=(own,))
    found = runs(job, pods={"r1": [other, ran("2", 30.0)]})
    assert [e.after for r in found if r.source is Source.LIVE for e in r.steps] == [own.after]


def test_only_a_failed_run_is_reported_without_any_pod() -> None:
    assert outcomes(runs(end(Outcome.FAILED))) == [("r1", Outcome.FAILED, 0)]
    assert runs(end(Outcome.SUCCEEDED)) == []


def test_a_name_used_again_is_not_mistaken() -> None:
    day = 86_400.0
    earlier, later = ran("1", 10.0), ran("2", day + 10.0, outcome=Outcome.UNKNOWN, finished=None)
    found = runs(end(start=day, until=day + 60.0), pods={"r1": [earlier, later]})
    assert [r.outcome for r in found][-1] is Outcome.FAILED
    found = runs(end(start=day, until=day + 60.0), pods={"r1": [earlier]})
    assert outcomes(found) == [("r1", Outcome.SUCCEEDED, 1), ("r1@86400", Outcome.FAILED, 0)]


def test_the_end_alone_never_replaces_the_steps_of_the_same_run(store: Store) -> None:
    whole = replace(end(Outcome.SUCCEEDED), steps=(ran("1", 10.0),))
    store.add({}, records=[whole])
    for worse in (end(source=Source.HISTORY), end(source=Source.LIVE)):
        assert store.add({}, records=[worse]) == frozenset()
    assert outcomes(store.runs(KEY)) == [("r1", Outcome.SUCCEEDED, 1)]
    store.add({}, records=[end(start=9e5, until=9.1e5)])  # a later run of that name
    assert store.runs(KEY)[-1].outcome is Outcome.FAILED


def test_steps_replace_an_end_and_the_engine_the_metrics(store: Store) -> None:
    store.add({}, records=[end(Outcome.SUCCEEDED, Source.HISTORY)])
    store.add({}, records=[end(Outcome.FAILED, Source.LIVE)])
    assert store.add({}, records=[end(Outcome.SUCCEEDED, Source.HISTORY)]) == frozenset()
    assert outcomes(store.runs(KEY)) == [("r1", Outcome.FAILED, 0)]
    store.add({}, records=[replace(end(Outcome.SUCCEEDED), steps=(ran("1", 10.0),))])
    assert outcomes(store.runs(KEY)) == [("r1", Outcome.SUCCEEDED, 1)]


def test_an_end_without_a_time_of_its_own_is_forgotten_with_its_age(store: Store, place: Place) -> None:
    store.add({}, records=[end(until=None, source=Source.HISTORY)])
    store.prune(max_runs=10, before=1e6 + place.stays)
    assert stats(store).records == 0


@pytest.mark.parametrize(
    ("names", "killed"),
    [
        (["main", "wait"], "main"),
        (["work", "log-shipper"], "work"),  # the other one is a sidecar
        (["work"], "work"),
        (["one", "other"], None),  # nothing tells which
    ],
)
def test_what_an_engine_says_of_memory_is_about_the_container_that_works(names: list[str], killed: str | None) -> None:
    """Its pod was deleted before the metrics showed why it ended."""
    inside = tuple(container(name=name, reason=None, sidecar=name == "log-shipper") for name in names)
    seen = StepExecution("load", pod="p", created=10.0, finished=15.0, reason="Vanished", containers=inside)
    known = replace(seen, outcome=Outcome.FAILED, reason="OOMKilled", containers=())
    live = run_record([known], run="r1", start=10.0, end=20.0, outcome=Outcome.FAILED, source=Source.LIVE)
    (e,) = join(live, [seen]).steps
    assert [c.name for c in e.containers if c.reason == "OOMKilled"] == ([killed] if killed else [])
    (of_error,) = join(replace(live, steps=(replace(known, reason="Error"),)), [seen]).steps
    assert all(c.reason is None for c in of_error.containers)


def test_how_a_run_got_its_definition_is_kept_where_the_end_is_all_that_was_read_live() -> None:
    (found,) = runs(replace(end(), fetched="resolver git"), pods={"r1": [LOST]})
    assert found.fetched == "resolver git"
