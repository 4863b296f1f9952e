"""JobSets, live and rebuilt, against the status their controller wrote, one test per construct."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from concertmaster.core.model import Outcome, RunRecord, Source, WorkflowDefinition, WorkflowKey
from concertmaster.engines import Claims, assign, define
from concertmaster.engines.jobset.live import read_run
from concertmaster.prometheus.collect.reading import Collection
from tests.support.builders import build_runs
from tests.support.engines.scenario import NAMESPACE, Object, Scenario, about
from tests.support.engines.times import created, finished, near, scheduled, started, unix

Definitions = Mapping[WorkflowKey, WorkflowDefinition]
KEY = WorkflowKey(NAMESPACE, "WorkflowProfile", "training")
LABEL = "jobset.sigs.k8s.io/"


class Run:
    """Both records of a JobSet beside the objects they were made from."""

    def __init__(self, scenario: Scenario, definitions: Definitions, name: str) -> None:
        self.object = scenario.of("JobSet", f"training-{name}")
        self.name = self.object["metadata"]["name"]
        self.definition = definitions[KEY]
        own = define(self.object)
        assert own is not None
        self.declared = own.graph
        self.pods_ever = {u: p for u, p in scenario.pods_ever.items() if self.labels(p).get("jobset-name") == self.name}
        present = [p for p in scenario.objects["Pod"].values() if p["metadata"]["uid"] in self.pods_ever]
        self.present = {p["metadata"]["uid"]: p for p in present}
        self.jobs = {n: j for n, j in scenario.objects["Job"].items() if self.labels(j).get("jobset-name") == self.name}
        self.live = read_run(self.object, present, KEY, self.definition)

    @staticmethod
    def labels(thing: Object) -> dict[str, str]:
        return {k.removeprefix(LABEL): v for k, v in thing["metadata"].get("labels", {}).items() if k.startswith(LABEL)}

    @property
    def record(self) -> RunRecord:
        return self.live.record

    def condition(self) -> Object:
        """The condition that ended the set."""
        return next(c for c in self.object["status"]["conditions"] if c["status"] == "True")


def agree(run: Run) -> None:
    """Everything the status of the set says is in the record, and every pod that is still there."""
    record, status = run.record, run.object["status"]
    assert Claims([run.definition]).of(run.object) is run.definition
    assert (record.run, record.workflow, record.source) == (run.name, KEY, Source.LIVE)
    wanted = Outcome.SUCCEEDED if status["terminalState"] == "Completed" else Outcome.FAILED
    assert record.outcome is wanted
    assert run.live.reason == (run.condition()["reason"] if wanted is Outcome.FAILED else None)
    assert near(run.live.finished, unix(run.condition()["lastTransitionTime"]), 0.0)
    assert near(run.live.started, unix(run.object["metadata"]["creationTimestamp"]), 0.0)
    assert {s.name for s in run.declared.steps} == {row["name"] for row in status["replicatedJobsStatus"]}
    for row in status["replicatedJobsStatus"]:
        assert ended_jobs(run, row["name"]) == (row["succeeded"], row["failed"]), row
    assert {e.uid for e in record.steps} == set(run.present)
    for e in record.steps:
        pod = run.present[e.uid or ""]
        labels = run.labels(pod)
        index = pod["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"]
        assert (e.step, e.item) == (labels["replicatedjob-name"], f"{labels['job-index']} / {index}")
        assert (e.pod, e.node) == (pod["metadata"]["name"], pod["spec"]["nodeName"])
        assert e.outcome.value == pod["status"]["phase"]
        state = pod["status"]["containerStatuses"][0]["state"]["terminated"]
        assert e.exit_code == state["exitCode"]
        times = (e.created, e.scheduled, e.started, e.finished)
        truth = (created(pod), scheduled(pod), started(pod), finished(pod))
        assert all(near(a, b, 0.0) for a, b in zip(times, truth, strict=True)), e
        spec = run.declared.step(e.step)
        assert spec is not None and e.after == ((e.step,) if e.attempt else spec.depends_on)


def ended_jobs(run: Run, step: str) -> tuple[int, int]:
    """How many Jobs of a step succeeded and failed, by the pods in the record."""
    outcomes: dict[str, set[Outcome]] = {}
    for e in run.record.steps:
        if e.step == step:
            outcomes.setdefault((e.item or "").split(" / ")[0], set()).add(e.outcome)
    failed = sum(Outcome.FAILED in found for found in outcomes.values())
    return len(outcomes) - failed, failed


@pytest.fixture(scope="module")
def rebuilt(history: Collection, definitions: Definitions) -> dict[str, RunRecord]:
    """Every run of a JobSet as the metrics tell it, by its name."""
    placed = assign(history.facts, definitions.values(), job_owners=history.job_owners)
    return {
        record.run: record
        for name, executions in placed.executions[KEY].items()
        for record in build_runs(KEY, name, executions, definitions[KEY])
    }


@about("staged")
def test_replicated_jobs_wait_for_those_they_depend_on(run: Run) -> None:
    assert (run.live.complete, run.live.problems) == (True, ())
    assert [(s.name, s.depends_on, s.width) for s in run.declared.steps] == [
        ("load", (), None),
        ("workers", ("load",), 4),
        ("report", ("workers",), None),
    ]
    for e in run.record.steps:
        awaited = [j for j in run.jobs.values() if run.labels(j)["replicatedjob-name"] in (e.after or ())]
        before = [unix(j["status"]["completionTime"]) for j in awaited]
        truth = max((t for t in before if t is not None), default=unix(run.object["metadata"]["creationTimestamp"]))
        # The controller notices the end of a Job a moment after its last pod's.
        assert e.ready is not None and truth is not None and -1.0 <= truth - e.ready <= 5.0, e


@about("ready")
def test_a_driver_that_only_has_to_be_ready(run: Run) -> None:
    """The workers start once the driver is ready and work beside it: its end is the set's, so it is work and no daemon."""
    assert (run.live.complete, run.live.problems) == (True, ())
    (driver,) = (e for e in run.record.steps if e.step == "driver")
    workers = [e for e in run.record.steps if e.step == "workers"]
    assert len(workers) == 2
    for e in workers:
        assert e.after == ()
        assert near(e.ready, driver.started)
        assert e.created is not None and driver.finished is not None and e.created < driver.finished


@about("cut")
def test_pods_that_the_end_of_the_set_deletes(run: Run, rebuilt: Mapping[str, RunRecord]) -> None:
    """Only the object knows that the set succeeded; only the metrics know how long the workers ran."""
    assert (run.live.complete, run.record.outcome) == (False, Outcome.SUCCEEDED)
    assert run.live.problems == (
        "pods of JobSet training-cut are gone (workers): they are only known from the metrics",
    )
    assert {e.step for e in run.record.steps} == {"driver"}
    record = rebuilt[run.name]
    (worker,) = (e for e in record.steps if e.step == "workers")
    assert (worker.outcome, record.outcome) == (Outcome.UNKNOWN, Outcome.UNKNOWN)
    assert near(worker.finished, run.live.finished, 17.0)  # looked for every 15 s


@about("restarted")
def test_restarts_of_the_whole_set(run: Run, rebuilt: Mapping[str, RunRecord]) -> None:
    """The object knows the last attempt only and says so; the metrics know both, as attempts of one run."""
    assert not run.live.complete
    assert run.live.problems == (
        "JobSet training-restarted was restarted (restarts: 1): earlier attempts are only known from the metrics",
    )
    record = rebuilt[run.name]
    assert [name for name in rebuilt if name.startswith(run.name)] == [run.name]
    assert {(e.step, e.attempt) for e in record.steps} == {(s, n) for s in ("steady", "shaky") for n in (0, 1)}
    assert max(e.attempt for e in record.steps) == run.object["status"]["restarts"]
    assert record.outcome is Outcome.FAILED
    assert {e.uid: e.attempt for e in record.steps} == {
        uid: int(run.labels(pod)["restart-attempt"]) for uid, pod in run.pods_ever.items()
    }


@about("refused")
def test_a_rule_of_the_failure_policy_ends_the_set(run: Run) -> None:
    assert (run.live.complete, run.live.problems) == (True, ())
    assert (run.live.reason, run.object["status"]["restarts"]) == ("FailJobSetFailurePolicyAction", 0)
    assert [e.exit_code for e in run.record.steps] == [42]


@pytest.mark.parametrize("name", ["staged", "ready", "restarted", "refused"])
def test_job_sets_are_rebuilt_from_the_metrics(
    name: str, scenario: Scenario, definitions: Definitions, rebuilt: Mapping[str, RunRecord]
) -> None:
    run = Run(scenario, definitions, name)
    record = rebuilt[run.name]
    live = {e.uid: e for e in run.record.steps}
    assert record.source is Source.HISTORY and record.outcome is run.record.outcome
    assert {e.uid for e in record.steps} == set(run.pods_ever) and set(live) <= set(run.pods_ever)
    for e in record.steps:
        assert (e.after, e.exit_code) == (None, None)
        other = live.get(e.uid)
        if other is None:  # of an attempt before
            assert e.attempt < run.object["status"]["restarts"]
            continue
        assert (e.step, e.item, e.outcome) == (other.step, other.item, other.outcome)
        assert near(e.created, other.created) and near(e.started, other.started) and near(e.finished, other.finished)


def test_every_set_is_compared(scenario: Scenario, rebuilt: Mapping[str, RunRecord]) -> None:
    assert set(rebuilt) == set(scenario.objects["JobSet"])
