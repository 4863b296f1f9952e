"""What if: answers of the served runs, quickly, and whatever a query holds."""

from __future__ import annotations

import json
from statistics import fmean

import pytest

from concertmaster.core.analysis.replay.gain import gain
from concertmaster.core.model import Outcome, RunRecord, StepExecution, WorkflowGraph
from concertmaster.core.model.policy import Policy
from concertmaster.core.pipeline import analyze_workflow
from concertmaster.report import detail
from concertmaster.report import result as results
from concertmaster.report.runs.served import recent_runs
from concertmaster.web.what_if import change_of
from concertmaster.web.workflow import WorkflowView
from tests.support.builders import DAY, NOW, definition, run_record, step
from tests.support.counting import all_calls
from tests.support.web.analysed import analysed

PROFILE, DOCUMENT = analysed()
VIEW = WorkflowView(PROFILE, DOCUMENT, "", (), NOW)


def test_half_a_step_on_the_critical_path_saves_half_of_it() -> None:
    change, found = VIEW.what_if({"scale.train": "0.5"})
    assert change.scales == {"train": 0.5}
    assert found.runs_used == 11
    assert found.saved_seconds is not None
    assert found.saved_seconds.likely == pytest.approx(451, abs=2)
    assert found.text == "7m31s (45%) shorter per run, 90% interval 7m09s to 7m52s, over the newest 11 runs."


def test_a_step_beside_the_critical_path_saves_nothing() -> None:
    assert VIEW.what_if({"scale.check": "0"})[1].text == "No difference over the newest 11 runs."
    slower = VIEW.what_if({"scale.check": "4", "pods": "1"})[1]
    assert slower.saved_seconds is not None
    assert slower.saved_seconds.likely < 0
    assert "longer per run" in slower.text


def test_an_answer_takes_some_thousand_calls() -> None:
    """Of functions, 11 ms in all: a person waits for it."""
    VIEW.what_if({})  # what all answers share is worked out once
    assert all_calls(lambda: VIEW.what_if({"scale.train": "0.5", "scale.extract": "0.9", "no-retries": "1"})) < 20_000


def test_one_run_has_no_interval() -> None:
    """It says nothing about how much runs differ."""
    succeeded = next(r for r in DOCUMENT["recent"]["runs"] if r["outcome"] == "Succeeded")
    one = WorkflowView(PROFILE, {**DOCUMENT, "recent": {**DOCUMENT["recent"], "runs": [succeeded]}}, "", (), NOW)
    found = one.what_if({"scale.train": "0.5"})[1]
    assert found.text.endswith(" shorter per run, over the newest run (one run only: no interval).")


@pytest.mark.parametrize("value", ["", "nan", "inf", "-5", "1e400", "x", "0x1", "999999999"])
def test_whatever_a_query_holds_is_bounded(value: str) -> None:
    change = change_of({"scale.train": value, "pods": value, "scale.unknown": "0.5"}, ["train"])
    assert set(change.scales) <= {"train"}
    assert all(0 <= f <= 4 for f in change.scales.values())
    assert 0 <= change.limit <= 1000
    VIEW.what_if({"scale.train": value, "pods": value})


LIMITED = [
    ({}, WorkflowGraph((step("a"), step("b"), step("c", ["a", "b"])), parallelism=1)),
    ({}, WorkflowGraph((step("a", daemon=True), step("b", ["a"]), step("c", ["b"])))),
    ({}, WorkflowGraph((step("a"), step("b", ["a"]), step("c", [], on_exit=True)))),
    ({"fan": 4}, WorkflowGraph((step("a"), step("b", ["a"], fan_out=True, parallelism=2), step("c", ["b"])))),
]


@pytest.mark.parametrize(("shape", "graph"), LIMITED, ids=["parallelism", "daemon", "exit handler", "fan-out"])
@pytest.mark.parametrize(
    "query", [{"scale.b": "0.5"}, {"scale.a": "3"}, {"pods": "8"}, {"scale.b": "0.1", "scale.c": "2"}]
)
def test_the_page_replays_what_the_whole_definition_says(
    shape: dict[str, int], graph: WorkflowGraph, query: dict[str, str]
) -> None:
    """As ``concertmaster what-if`` does, with the limits, handlers and daemons that edges alone do not have."""
    records = [played(graph, i, shape.get("fan", 1)) for i in range(10)]
    result = analyze_workflow(definition(*graph.steps, graph=graph), records, Policy(), profile="p", now=NOW)
    served = json.loads(json.dumps(detail.document(results.view(result), "p", None, recent_runs(result.analysis))))
    profile = {"metadata": {"name": "p", "namespace": "demo", "uid": "u"}, "spec": {}, "status": {}}
    change, found = WorkflowView(profile, served, "", (), NOW).what_if(query)
    wanted = gain(result.analysis.executed, change.whatif)
    assert wanted.seconds is not None
    assert found.saved_seconds is not None
    assert found.runs_used == wanted.runs_used == 10
    assert found.saved_seconds.likely == pytest.approx(wanted.seconds.likely, abs=0.5)
    assert found.mean_seconds == pytest.approx(fmean(r.replayed for r in result.analysis.executed), abs=0.5)


def played(graph: WorkflowGraph, number: int, fan: int) -> RunRecord:
    """A run under the limits of its graph, one pod after the other where that is what they say; ``fan`` items of b, two
    at a time."""
    start = NOW - (10 - number) * DAY
    at, executions, ends = start, [], dict[str, float]()
    for spec in graph.steps:
        for item in range(fan if spec.fan_out else 1):
            free = max([ends[d] for d in spec.depends_on], default=start)
            begun = (at if graph.parallelism == 1 or spec.on_exit else free) + 60.0 * (item // 2)
            end = begun + 60.0
            whole = StepExecution(
                step=spec.name, item=str(item) if spec.fan_out else None, pod=f"{number}-{spec.name}-{item}",
                uid=f"{number}-{spec.name}-{item}", ready=begun, created=begun, scheduled=begun, started=begun, finished=end,
                outcome=Outcome.SUCCEEDED, after=spec.depends_on,
            )  # fmt: skip
            executions.append(whole)
            at = max(at, end)
        ends[spec.name] = at if not spec.daemon else begun + 5.0
    return run_record(executions, run=f"run-{number}", start=start, end=at)


def test_an_older_operator_serves_edges_only() -> None:
    document = {**DOCUMENT, "recent": {k: v for k, v in DOCUMENT["recent"].items() if k != "graph"}}
    found = WorkflowView(PROFILE, document, "", (), NOW).what_if({"scale.train": "0.5"})[1]
    assert found.text == VIEW.what_if({"scale.train": "0.5"})[1].text


def test_without_runs_there_is_no_answer() -> None:
    empty = WorkflowView(PROFILE, {}, "not reached", (), NOW)
    found = empty.what_if({"scale.train": "0.5"})[1]
    assert found.runs_used == 0
    assert found.text.startswith("Not known")
