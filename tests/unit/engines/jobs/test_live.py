"""Live records of Jobs from the Job and its pods, and the dispatch over engines."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings

from concertmaster.core.model import Outcome, Source, WorkflowKey
from concertmaster.engines import run_kind
from concertmaster.engines.jobs.live import read_run, workflow_of
from tests.support.engines.argo_oracle import stamp
from tests.support.engines.job_objects import job
from tests.support.engines.json_values import JSON
from tests.support.engines.live_jobs import live_job, pod

KEY = WorkflowKey("ops", "CronJob", "backup")


def test_attempts_times_and_exit_codes() -> None:
    found = read_run(live_job(succeeded=1, failed=1), [pod("b", 30, 50), pod("a", 2, 20, code=137)], KEY, job())
    record = found.record
    assert [(e.pod, e.attempt, e.outcome, e.reason, e.exit_code, e.ready) for e in record.steps] == [
        ("a", 0, Outcome.FAILED, "OOMKilled", 137, 1.0),
        ("b", 1, Outcome.SUCCEEDED, None, 0, 20.0),
    ]
    assert [e.after for e in record.steps] == [(), (record.steps[0].step,)], "an attempt waits for the one before it"
    first = record.steps[0]
    assert (first.uid, first.node, first.created, first.scheduled, first.started, first.finished) == (
        "uid-a",
        "n1",
        2,
        3,
        5,
        20,
    )
    assert (record.outcome, record.start, record.end, record.source) == (Outcome.SUCCEEDED, 2.0, 50.0, Source.LIVE)
    assert found.complete


def test_indexes_tell_items_apart() -> None:
    index = "batch.kubernetes.io/job-completion-index"
    d = job(completions=2, parallelism=2, completionMode="Indexed")
    found = read_run(live_job(), [pod("x", 2, 9, labels={index: "0"}), pod("y", 2, 8, labels={index: "1"})], KEY, d)
    assert {(e.item, e.attempt) for e in found.record.steps} == {("0", 0), ("1", 0)}


GONE = "pods of Job backup-29333333 are gone{}: they are only known from the metrics"


@pytest.mark.parametrize(("ttl", "why"), [(None, ""), (300, ""), (0, " (ttlSecondsAfterFinished: 0)"), ("x", "")])
def test_pods_that_are_gone_are_named_and_make_the_record_incomplete(ttl: object, why: str) -> None:
    """With the setting that has them deleted at once, where there is one."""
    for raw, left in ((live_job(succeeded=2), [pod("a", 2, 9)]), (live_job(), [])):
        raw["spec"] = {"ttlSecondsAfterFinished": ttl}
        found = read_run(raw, left, KEY)
        assert (found.complete, found.problems[-1]) == (False, GONE.format(why))
    assert read_run(live_job(None), [], KEY).problems == ()


def test_the_creation_of_an_object_that_was_restored_after_its_run_is_not_that_of_the_run() -> None:
    object_of_run, work = live_job(succeeded=1), [pod("a", 2, 20)]
    assert read_run(object_of_run, work, KEY, job()).record.created == 0.0
    object_of_run["metadata"]["creationTimestamp"] = stamp(86400)
    assert read_run(object_of_run, work, KEY, job()).record.created is None


def test_a_pod_that_the_end_of_its_job_deletes_ends_with_it() -> None:
    """The deadline deletes what works; the Job fails once the last of its pods is gone."""
    killed = pod("b", 2, 9)
    killed["status"] |= {"phase": "Running", "containerStatuses": [{"name": "dump", "state": {"running": {}}}]}
    indexes = {"a": "0", "b": "1"}
    for own in (ended := pod("a", 2, 9), killed):
        own["metadata"]["labels"] = {"batch.kubernetes.io/job-completion-index": indexes[own["metadata"]["name"]]}
    raw = live_job("Failed", succeeded=1, failed=1)
    raw["status"]["conditions"][0] |= {"reason": "DeadlineExceeded", "lastTransitionTime": stamp(60)}
    definition = job(completions=2, parallelism=2, completionMode="Indexed")
    record = read_run(raw, [ended, killed], KEY, definition).record
    assert {(e.item, e.finished, e.outcome) for e in record.steps} == {
        ("0", 9.0, Outcome.SUCCEEDED),
        ("1", 60.0, Outcome.UNKNOWN),
    }
    assert (record.start, record.end, record.outcome) == (2.0, 60.0, Outcome.FAILED)
    working = read_run(live_job(None), [killed], KEY, definition).record
    assert [e.finished for e in working.steps] == [None]


def test_a_failed_and_a_running_job() -> None:
    failed = read_run(live_job("Failed", failed=1), [pod("a", 2, 9, code=1)], KEY)
    assert failed.record.outcome is Outcome.FAILED
    assert (failed.problems, failed.reason) == ((), "BackoffLimitExceeded")
    running = read_run(live_job(None), [pod("a", 2, 9)], KEY)
    assert (running.record.outcome, running.complete) == (Outcome.RUNNING, False)


def test_whose_run_it_is() -> None:
    assert workflow_of(live_job()) == KEY
    assert str(workflow_of({"metadata": {"name": "j", "namespace": "n"}})) == "Job/n/j"
    assert workflow_of({}) is None


@pytest.mark.parametrize(
    ("api_version", "kind", "known"),
    [
        ("argoproj.io/v1alpha1", "Workflow", True),
        ("tekton.dev/v1", "PipelineRun", True),
        ("batch/v1", "Job", True),
        ("v1", "Pod", False),
    ],
)
def test_live_objects_are_read_by_kind(api_version: str, kind: str, known: bool) -> None:
    raw = {"apiVersion": api_version, "kind": kind, "metadata": {"name": "x"}}
    reader = run_kind(raw)
    assert (reader is not None) is known
    if reader is not None:
        found = reader.read(raw, [], KEY, None)
        assert (found.record.outcome, found.complete, found.record.steps) == (Outcome.RUNNING, False, ())


@given(JSON, JSON)
@settings(max_examples=100, deadline=None)
def test_any_object_gives_a_record(a: Any, b: Any) -> None:
    pods: list[Any] = [
        {"metadata": a, "spec": b, "status": a},
        {"status": {"conditions": a, "containerStatuses": b, "phase": "Failed"}},
    ]
    for status in (a, {"conditions": b}):
        assert read_run({"metadata": a, "status": status}, pods, KEY).record.workflow == KEY
        workflow_of({"metadata": b})
