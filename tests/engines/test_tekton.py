"""Records of live PipelineRuns against the status their controller wrote, one test per construct."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from concertmaster.core.model import (
    InputSource,
    InputUnit,
    Outcome,
    RunRecord,
    Source,
    StepExecution,
    WorkflowDefinition,
    WorkflowKey,
)
from concertmaster.engines import run_kind
from concertmaster.engines.inputs import with_inputs
from concertmaster.engines.tekton.live import read_run, workflow_of
from tests.support.engines.expected import TEKTON, Row
from tests.support.engines.scenario import NAMESPACE, STOPPED, Object, Scenario, about
from tests.support.engines.times import near, unix

Definitions = Mapping[WorkflowKey, WorkflowDefinition]


class Run:
    """A record beside the objects it was made from. ``tries``: status of each attempt, by TaskRun and number."""

    def __init__(self, scenario: Scenario, definitions: Definitions, name: str) -> None:
        self.expected = TEKTON[name]
        self.object = scenario.run_of(name, "PipelineRun")
        self.name = self.object["metadata"]["name"]
        self.key = workflow_of(self.object) or WorkflowKey(NAMESPACE, "WorkflowProfile", name)
        self.task_runs = [
            t
            for t in scenario.objects["TaskRun"].values()
            if t["metadata"]["labels"]["tekton.dev/pipelineRun"] == self.name
        ]
        self.live = read_run(self.object, self.task_runs, self.key, definitions.get(self.key))
        self.tries: dict[str, Object] = {}
        for task_run in self.task_runs:
            status = task_run["status"]
            for attempt, one in enumerate((*status.get("retriesStatus", ()), status)):
                self.tries[f"{task_run['metadata']['name']}#{attempt}"] = one
        self.pods = {p["metadata"]["name"]: p for p in scenario.pods_ever.values()}

    @property
    def record(self) -> RunRecord:
        return self.live.record

    def step(self, name: str, item: str | None = None, attempt: int = 0) -> StepExecution:
        """One execution of the record."""
        return next(e for e in self.record.steps if (e.step, e.item, e.attempt) == (name, item, attempt))


def agree(run: Run) -> None:
    """Everything the statuses say is in the record, and nothing else."""
    record, status = run.record, run.object["status"]
    assert run.live.problems == ()
    assert run.live.complete
    assert (record.run, record.workflow, record.source) == (run.name, run.key, Source.LIVE)
    good = Outcome.SUCCEEDED if status["conditions"][0]["status"] == "True" else Outcome.FAILED
    assert record.outcome is (Outcome.UNKNOWN if ("PipelineRun", run.name) in STOPPED else good)
    found = {(e.step, e.item, e.attempt): e for e in record.steps}
    assert len(found) == len(record.steps)
    assert set(found) == {(row.step, row.item, row.attempt) for row in run.expected}
    for row in run.expected:
        e = found[row.step, row.item, row.attempt]
        assert e.outcome is Outcome(row.outcome), row
        if e.outcome is Outcome.SKIPPED:
            assert e.message == next(s["reason"] for s in status["skippedTasks"] if s["name"] == row.step), row
            assert (e.pod, e.created, e.finished) == (None, None, None), row
        else:
            same(e, row, run.tries[run.name + row.node], run)


def same(e: StepExecution, row: Row, tried: Object, run: Run) -> None:
    """One attempt against its status: edges, outcome, code and message exactly, times to the second."""
    assert e.after == row.after, row
    assert e.pod == tried["podName"], row
    assert near(e.created, unix(tried["startTime"])), row
    assert near(e.finished, unix(tried["completionTime"])), row
    assert e.message == " ".join(tried["conditions"][0]["message"].split()), row
    assert e.cache_hit is None, row
    ended = {s["container"]: s["terminated"] for s in tried["steps"]}
    assert {c.name for c in e.containers} == set(ended), row
    for container in e.containers:
        assert near(container.started, unix(ended[container.name]["startedAt"])), (row, container)
        assert near(container.finished, unix(ended[container.name]["finishedAt"])), (row, container)
    assert near(e.started, min(unix(s["startedAt"]) or 0.0 for s in ended.values())), row
    bad = [s["exitCode"] for s in ended.values() if s["exitCode"]]
    assert e.exit_code == (bad[0] if bad else 0), row
    waited = [run.tries[run.name + r.node]["completionTime"] for r in run.expected if r.step in row.after and r.node]
    ready = [unix(text) for text in waited or [run.object["status"]["startTime"]]]
    assert any(near(e.ready, moment) for moment in ready), row


@about("chain")
def test_order_and_results(run: Run, definitions: Definitions) -> None:
    specs = {s.name: s for s in definitions[run.key].graph.steps}
    assert specs["test"].ordering_only == ("build",)  # runAfter alone
    assert specs["report"].ordering_only == ()  # a result is used
    assert specs["ship"].ordering_only == ("test",)


@about("chain")
def test_steps_of_a_task_follow_one_another(run: Run) -> None:
    """The containers of the pod all started at once; the steps did not."""
    fetch, build = run.step("build").containers
    assert fetch.started is not None and fetch.finished is not None and build.started is not None
    assert near(build.started, fetch.finished)
    pod = run.pods[run.step("build").pod or ""]
    starts = {s["state"]["terminated"]["startedAt"] for s in pod["status"]["containerStatuses"]}
    assert len(starts) == 1


@about("chain")
def test_a_result_passed_on_to_a_task_is_its_input(run: Run) -> None:
    source, kind = InputSource(InputUnit.COUNT, "report", parameter="value"), run_kind(run.object)
    assert kind is not None
    record, problems = with_inputs(run.record, (source,), run.object, run.task_runs, kind.values)
    assert problems == ()
    assert {e.step: e.input_size for e in record.steps if e.input_size is not None} == {"report": 3.0}


@about("grid")
def test_a_matrix(run: Run, definitions: Definitions) -> None:
    spec = definitions[run.key].graph.step("each")
    assert spec is not None and (spec.fan_out, spec.width) == (True, 3)


@about("guarded")
def test_conditions_and_finally(run: Run) -> None:
    assert run.step("skipped").message == "When Expressions evaluated to false"
    ends = [e.finished for e in run.record.steps if e.step in ("first", "allowed", "behind") and e.finished is not None]
    assert run.step("sweep").ready == max(ends)


@about("included")
def test_a_matrix_that_is_extended_and_one_of_a_single_combination(run: Run, definitions: Definitions) -> None:
    """How many combinations an include adds depends on their values; a single one has no index."""
    specs = {s.name: (s.fan_out, s.width) for s in definitions[run.key].graph.steps}
    assert specs == {"build": (True, None), "only": (True, 2), "single": (True, 1), "sweep": (True, 2)}


@about("tolerant")
def test_a_task_whose_failure_is_ignored(run: Run) -> None:
    assert (run.step("shaky").reason, run.record.outcome) == ("FailureIgnored", Outcome.SUCCEEDED)


@about("bypassed")
def test_what_a_skipped_task_leaves_out(run: Run) -> None:
    """Only what uses its results: what runs after it has the order of the tasks before it."""
    said = {e.step: e.message for e in run.record.steps if e.outcome is Outcome.SKIPPED}
    assert said == {
        "skipped": "When Expressions evaluated to false",
        "uses": "Results were missing",
        "last": "Parent Tasks were skipped",
        "report": "Results were missing",
    }


@about("flaky")
def test_retries_of_a_task(run: Run) -> None:
    first, second = run.step("shaky"), run.step("shaky", None, 1)
    assert (first.reason, first.exit_code) == ("OOMKilled", 137)
    assert (second.reason, second.ready) == (None, first.finished)


@about("broken")
def test_a_failing_task_stops_the_rest_but_not_finally(run: Run) -> None:
    assert run.step("unreached").message == "PipelineRun was stopping"
    assert run.step("bad").exit_code == 4


@about("cancelled")
def test_a_run_that_its_user_cancelled(run: Run) -> None:
    """Neither the run nor the task it ended has failed, and the task after it has left nothing."""
    assert run.step("long").reason == "TaskRunCancelled"


@about("late")
def test_a_timeout(run: Run, definitions: Definitions) -> None:
    assert run.step("slow").reason == "TaskRunTimeout"
    spec = definitions[run.key].graph.step("slow")
    assert spec is not None and spec.timeout_seconds == 20.0


@about("embedded")
def test_a_pipeline_inside_its_run(run: Run) -> None:
    assert workflow_of(run.object) is None


def test_requests_of_a_pod_are_the_sum_over_its_steps(definitions: Definitions) -> None:
    """The scheduler sees one pod whose containers all count, although they run one after the other."""
    spec = definitions[WorkflowKey(NAMESPACE, "Pipeline", "chain")].graph.step("build")
    assert spec is not None
    assert sum(c.cpu_request or 0.0 for c in spec.containers) == pytest.approx(0.4)


def test_every_run_is_compared(scenario: Scenario) -> None:
    assert {scenario.run_of(name, "PipelineRun")["metadata"]["name"] for name in TEKTON} == set(
        scenario.objects["PipelineRun"]
    )
