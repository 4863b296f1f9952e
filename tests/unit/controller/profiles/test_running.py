"""Runs in progress in the status: bounded, written when something has moved, reported once when late."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import pytest

from concertmaster.api.models.profile import WorkflowProfile
from concertmaster.controller.live.live_runs import LiveRunsReport
from concertmaster.core.analysis.running.forecast import RunForecast
from concertmaster.core.model import RunRecord, WorkflowKey
from concertmaster.history import HistoryUnavailable
from concertmaster.report.running import MAX_RUNS, document, late_sentence
from concertmaster.report.workflow_series import Sample
from tests.support.controller.harness import NOW, Bed
from tests.support.controller.in_progress import HOUR, KEY, ended, going


@pytest.fixture
def bed() -> Bed:
    made = Bed()
    made.cronjob()
    made.profile()
    made.history.runs_of["etl"] = [ended(n, 1800.0 + 10.0 * n) for n in range(20)][::-1]
    return made


def cycle(bed: Bed, *runs: RunRecord, seconds: float = 60.0) -> list[dict[str, Any]]:
    bed.live.seen = [LiveRunsReport(running={KEY: runs} if runs else {})]
    bed.run(seconds=seconds)
    found = bed.status().get("running", [])
    assert isinstance(found, list)
    return found


def test_a_run_in_progress_is_in_the_status_until_it_is_over(bed: Bed) -> None:
    cycle(bed)
    (entry,) = cycle(bed, going(600.0))
    assert (entry["name"], entry["late"], entry["step"]) == ("etl-now", False, "job")
    assert entry["startTime"] < entry["earliestEnd"] <= entry["expectedEnd"] <= entry["latestEnd"] < entry["deadline"]
    status = WorkflowProfile.parse({"metadata": {"name": "etl"}, "spec": {"workflowRef": {
        "apiVersion": "batch/v1", "kind": "CronJob", "name": "etl"}}, "status": bed.status()}).status  # fmt: skip
    assert status is not None and status.running[0].name == "etl-now"
    assert cycle(bed) == []


def test_nothing_is_written_while_the_forecast_stands(bed: Bed) -> None:
    cycle(bed)
    cycle(bed, going(600.0))
    bed.writes()
    analysed = len(bed.analyzer.requests)
    for _ in range(4):
        cycle(bed, going(600.0))
    assert [w for w in bed.writes() if "/workflowprofiles/" in w[1]] == []
    assert len(bed.analyzer.requests) == analysed, "runs in progress are no reason to analyze anew"


def test_a_late_run_is_reported_once_and_counted(bed: Bed) -> None:
    cycle(bed)
    uid = next(e.uid for e in bed.cache.snapshot().profiles)
    series = bed.outputs.series
    series.put(uid, KEY, [Sample("score", 80.0)])
    assert cycle(bed, going(600.0))[0]["late"] is False
    for _ in range(2):
        assert cycle(bed, going(4 * HOUR), going(60.0, "etl-next"))[0]["late"] is True
        assert 'concertmaster_workflow_run_late{namespace="demo",kind="CronJob",workflow="etl"} 1.0' in series.render()
    events = [o for p, o in bed.client.objects.items() if "/events/" in p and o.get("reason") == "RunLate"]
    assert len(events) == 1
    assert "run etl-now is expected to end" in str(events[0]["note"])
    cycle(bed)
    assert 'run_late{namespace="demo",kind="CronJob",workflow="etl"} 0.0' in series.render()


def test_a_run_that_waits_for_an_approval_is_not_late_where_earlier_ones_are_known_by_their_pods(bed: Bed) -> None:
    cycle(bed)
    run = going(4 * HOUR)
    assert cycle(bed, replace(run, steps=tuple(replace(e, step="gate", pod=None) for e in run.steps))) == []


def test_an_objective_is_the_deadline(bed: Bed) -> None:
    bed.policy(objectives={"duration": {"p95": "20m"}})
    cycle(bed)
    (entry,) = cycle(bed, going(600.0))
    assert entry["late"] is True  # it always takes half an hour
    assert entry["deadline"] < entry["expectedEnd"]


@pytest.mark.parametrize("queried", [False, True])
def test_the_forecast_follows_the_input_unless_a_query_says_the_others(bed: Bed, queried: bool) -> None:
    """What a query calls rows, the object of a run in progress may count in bytes."""
    rows = [ended(n, 600.0 + 60.0 * n) for n in range(20)]
    bed.history.runs_of["etl"] = [replace(r, input_size=10.0 + n) for n, r in enumerate(rows)][::-1]
    if queried:
        metric = {"name": "rows", "role": "InputSize", "query": "max by (run) (last_over_time(x[$window]))"}
        bed.policy(extraMetrics=[metric])
    cycle(bed)
    ends = [cycle(bed, replace(going(60.0), input_size=size))[0]["expectedEnd"] for size in (12.0, 100.0)]
    assert (ends[0] == ends[1]) is queried


def test_few_runs_or_no_history_give_no_forecast(bed: Bed) -> None:
    bed.history.runs_of["etl"] = [ended(n) for n in range(3)]
    cycle(bed)
    assert cycle(bed, going(600.0)) == []


def forecast(name: str, start: float, *, late: bool = False) -> RunForecast:
    deadline = start + 1000.0
    return RunForecast(name, start, start + 2000.0, start + 1900.0, start + 2100.0, deadline, float(late), "s" * 200)


def test_the_list_is_bounded_with_late_runs_first() -> None:
    found = document([forecast(f"r{n}", NOW + n, late=n % 4 == 3) for n in range(20)])
    assert [e["name"] for e in found] == ["r3", "r7", "r11", "r15", "r19"]
    assert len(found) == MAX_RUNS
    assert len(found[0]["step"]) == 63


def test_small_moves_of_a_forecast_are_none_in_the_status() -> None:
    one = forecast("r", NOW)
    assert document([one]) == document([replace(one, end=one.end + 3.0, low=one.low + 3.0, high=one.high - 3.0)])
    assert document([one]) != document([replace(one, end=one.end + 600.0)])


def test_the_sentence_names_run_end_deadline_and_step() -> None:
    entry = {"name": "r", "expectedEnd": "2026-11-21T10:30:00Z", "deadline": "2026-11-21T10:00:00Z", "step": "train"}
    assert late_sentence(entry) == (
        "run r is expected to end 2026-11-21T10:30:00Z (30m00s late); its deadline is 2026-11-21T10:00:00Z, held up by train"
    )


@pytest.mark.parametrize("error", [HistoryUnavailable("no answer"), ZeroDivisionError("of our own")])
def test_a_forecast_that_fails_leaves_the_last_one_and_the_other_workflows(
    bed: Bed, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    """A database that is away for a cycle must neither empty the status nor have a late run reported again; a fault of our
    own is in the log once, not in every cycle."""
    cycle(bed)
    before = cycle(bed, going(4 * HOUR))
    assert before[0]["late"] is True
    bed.writes()

    def failing(_key: WorkflowKey) -> float:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(bed.history, "recorded", failing)
        assert cycle(bed, going(4 * HOUR)) == before
        assert cycle(bed, going(4 * HOUR), seconds=0.0) == before
    assert cycle(bed, going(4 * HOUR)) == before
    traces = [r for r in caplog.records if r.levelno >= logging.ERROR]
    assert len(traces) == (0 if isinstance(error, HistoryUnavailable) else 1)
    assert [w for w in bed.writes() if "/workflowprofiles/" in w[1]] == []
