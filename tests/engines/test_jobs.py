"""Jobs, live and rebuilt, against what their controller wrote: history alone is enough for runs, indexes, attempts."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from concertmaster.core.model import InputSource, JobFact, Outcome, RunRecord, Source, WorkflowDefinition, WorkflowKey
from concertmaster.engines import assign, run_kind
from concertmaster.engines.inputs import with_inputs
from concertmaster.engines.jobs.live import read_run, workflow_of
from concertmaster.prometheus.collect.reading import Collection
from tests.support.builders import build_runs
from tests.support.engines.scenario import NAMESPACE, Object, Scenario
from tests.support.engines.times import created, finished, near, started, unix

Definitions = Mapping[WorkflowKey, WorkflowDefinition]


@pytest.fixture(scope="module")
def records(history: Collection, definitions: Definitions) -> dict[str, RunRecord]:
    """Every rebuilt run of a Job by its name."""
    placed = assign(history.facts, definitions.values(), job_owners=history.job_owners)
    return {
        record.run: record
        for key, runs in placed.executions.items()
        if key.kind in ("Job", "CronJob")
        for run, executions in runs.items()
        for record in build_runs(key, run, executions, definitions[key])
    }


def agree(scenario: Scenario, record: RunRecord, definition: WorkflowDefinition) -> Object:
    """The Job of a rebuilt record, once that and the one of the live object have been compared with it."""
    job = scenario.of("Job", record.run)
    assert (workflow_of(job), record.source) == (record.workflow, Source.HISTORY)
    live = read_run(job, scenario.pods_of("Job", record.run), record.workflow, definition)
    assert live.complete and live.record.source is Source.LIVE
    reported = {e.uid or e.pod: e for e in live.record.steps}
    assert live.record.outcome is record.outcome
    same_pods(scenario, live.record, job)
    same_pods(scenario, record, job)
    for e in record.steps:
        other = reported[e.uid if e.uid in reported else e.pod]
        assert (e.step, e.item, e.attempt, e.outcome) == (other.step, other.item, other.attempt, other.outcome)
        assert other.exit_code == exit_code(scenario.pods_ever[e.uid or ""])
        assert other.after == (() if e.attempt == 0 else ("job",))
        assert (e.after, e.exit_code) == (None, None)
    return job


def same_pods(scenario: Scenario, record: RunRecord, job: Object) -> None:
    """Frame, outcome and the times of each pod."""
    pods = {p["metadata"]["name"]: p for p in scenario.pods_of("Job", record.run)}
    assert {e.pod for e in record.steps} == set(pods)
    for e in record.steps:
        pod = pods[e.pod or ""]
        assert e.uid == pod["metadata"]["uid"]
        assert near(e.created, created(pod)) and near(e.finished, finished(pod)), e
        assert near(e.started, started(pod)), e
        assert e.step == "job"
    status = job["status"]
    assert near(record.start, unix(status["startTime"]))
    done = {c["type"] for c in status["conditions"] if c["status"] == "True"}
    assert record.outcome is (Outcome.SUCCEEDED if "Complete" in done else Outcome.FAILED)


def exit_code(pod: Object) -> int:
    """The first exit code that is not zero."""
    codes = [s["state"]["terminated"]["exitCode"] for s in pod["status"]["containerStatuses"]]
    return next((code for code in codes if code), 0)


def test_completions_in_waves(scenario: Scenario, records: Mapping[str, RunRecord], definitions: Definitions) -> None:
    record = records["waves"]
    agree(scenario, record, definitions[record.workflow])
    spec = definitions[record.workflow].graph.steps[0]
    assert (spec.width, spec.parallelism, len(record.steps)) == (6, 2, 6)
    spans = [(e.created or 0.0, e.finished or 0.0) for e in record.steps]
    assert max(sum(a <= t < b for a, b in spans) for t, _ in spans) == 2


@pytest.mark.parametrize(
    ("source", "size"),
    [
        (InputSource(env="INPUT_BYTES"), 2.0 * 2**30),
        (InputSource(annotation="example.com/rows"), 12),
        (InputSource(json_path=".metadata.annotations['example.com/rows']"), 12),
    ],
)
def test_environment_annotations_and_paths_of_a_job_are_its_input(
    scenario: Scenario,
    records: Mapping[str, RunRecord],
    definitions: Definitions,
    source: InputSource,
    size: float,
) -> None:
    job, pods, key = scenario.of("Job", "waves"), scenario.pods_of("Job", "waves"), records["waves"].workflow
    kind = run_kind(job)
    assert kind is not None
    live = read_run(job, pods, key, definitions[key]).record
    record, problems = with_inputs(live, (source,), job, pods, kind.values)
    assert problems == ()
    assert (record.input_size, {e.input_size for e in record.steps}) == (size, {size})


def test_indexed_jobs(scenario: Scenario, records: Mapping[str, RunRecord], definitions: Definitions) -> None:
    record = records["indexed"]
    agree(scenario, record, definitions[record.workflow])
    assert sorted(e.item or "" for e in record.steps) == ["0", "1", "2", "3"]


def test_retries_of_an_index(scenario: Scenario, records: Mapping[str, RunRecord], definitions: Definitions) -> None:
    record = records["indexed-retry"]
    agree(scenario, record, definitions[record.workflow])
    found = sorted((e.item, e.attempt, str(e.outcome)) for e in record.steps)
    assert found == [(i, n, "Failed" if n == 0 else "Succeeded") for i in ("0", "1") for n in (0, 1)]
    for index in ("0", "1"):  # the controller's own back-off is about ten seconds
        first, second = sorted((e for e in record.steps if e.item == index), key=lambda e: e.attempt)
        assert second.created is not None and first.finished is not None
        assert second.created - first.finished > 5


def test_the_back_off_limit(scenario: Scenario, records: Mapping[str, RunRecord], definitions: Definitions) -> None:
    job = agree(scenario, records["backoff"], definitions[records["backoff"].workflow])
    assert [(e.attempt, str(e.outcome)) for e in records["backoff"].steps] == [(0, "Failed"), (1, "Failed")]
    live = read_run(job, scenario.pods_of("Job", "backoff"), records["backoff"].workflow)
    assert (live.problems, live.reason) == ((), "BackoffLimitExceeded")


def test_a_pod_failure_policy(scenario: Scenario, records: Mapping[str, RunRecord], definitions: Definitions) -> None:
    agree(scenario, records["fail-fast"], definitions[records["fail-fast"].workflow])
    assert [e.attempt for e in records["fail-fast"].steps] == [0]
    assert records["fail-fast"].outcome is Outcome.FAILED


def test_restarts_in_place(scenario: Scenario, records: Mapping[str, RunRecord], definitions: Definitions) -> None:
    """One pod, one execution: it lasts from the first start to the last end, and its outcome is the last one's."""
    record = records["restarting"]
    agree(scenario, record, definitions[record.workflow])
    assert len(record.steps) == 1
    pod = scenario.pods_of("Job", "restarting")[0]
    assert pod["status"]["containerStatuses"][0]["restartCount"] == 1
    assert record.steps[0].duration is not None and record.steps[0].duration >= 12.0


def test_a_schedule(scenario: Scenario, records: Mapping[str, RunRecord], definitions: Definitions) -> None:
    key = WorkflowKey(NAMESPACE, "CronJob", "each-minute")
    found = [r for r in records.values() if r.workflow == key]
    assert found and definitions[key].schedule == "* * * * *"
    for record in found:
        agree(scenario, record, definitions[record.workflow])


def test_jobs_in_the_metrics(scenario: Scenario, history: Collection) -> None:
    for name, job in scenario.objects["Job"].items():
        fact = job_fact(history, name)
        status = job["status"]
        owners = job["metadata"].get("ownerReferences", [])
        assert (fact.owner_kind, fact.owner_name) == (
            (owners[0]["kind"], owners[0]["name"]) if owners else (None, None)
        )
        assert fact.succeeded is any(c["type"] == "Complete" and c["status"] == "True" for c in status["conditions"])
        assert near(fact.started, unix(status["startTime"]))
        assert near(fact.finished, unix(status.get("completionTime")))
        assert fact.parallelism == job["spec"]["parallelism"]


def job_fact(history: Collection, name: str) -> JobFact:
    """The Job as the metrics tell it."""
    return next(fact for fact in history.jobs if fact.name == name)
