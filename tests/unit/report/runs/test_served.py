"""The newest runs as the operator serves them: bounded, and as good for a comparison as the records themselves."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from concertmaster.api.views.runs import RecentRuns
from concertmaster.core.analysis.workflow import analyze
from concertmaster.core.model import Outcome
from concertmaster.core.model.policy import Policy
from concertmaster.core.pipeline import analyze_workflow
from concertmaster.report import detail
from concertmaster.report import result as results
from concertmaster.report.runs.comparison import compared_views, comparison_view
from concertmaster.report.runs.served import PODS, SERVED, recent_runs
from concertmaster.report.runs.views import RunHistory, run_view
from tests.support.builders import NOW, container, daily, definition, run, step

STEPS = (step("extract"), step("train", ["extract"]), step("publish", ["train"]))


def seconds(i: int) -> dict[str, float]:
    return {"extract": 60.0, "train": 600.0 if i < 13 else 900.0, "publish": 30.0}


def test_the_newest_runs_and_the_typical_one_are_served() -> None:
    flow = definition(*STEPS)
    runs = daily(flow.graph, 14, seconds)
    served = RecentRuns.model_validate(recent_runs(analyze(flow, runs, now=NOW)))
    names = [r.run for r in served.runs]
    assert names[:SERVED] == [f"run-{i}" for i in reversed(range(14 - SERVED, 14))]
    assert served.typical in names
    assert [s[1] for s in served.series[-2:]] == [699.0, 999.0]
    assert served.series[-1][2] is Outcome.SUCCEEDED


def test_words_of_a_newer_operator_hide_no_runs() -> None:
    flow = definition(*STEPS)
    served = recent_runs(analyze(flow, daily(flow.graph, 14, seconds), now=NOW))
    served = json.loads(json.dumps(served))
    served["runs"][0] |= {"outcome": "Preempted", "source": "Replica"}
    served["runs"][0]["pods"][0]["outcome"] = "Preempted"
    served["series"][-1][2] = "Preempted"
    read = RecentRuns.model_validate(served)
    assert [r.outcome for r in read.runs[:2]] == [Outcome.UNKNOWN, Outcome.SUCCEEDED]
    assert (read.runs[0].pods[0].outcome, read.series[-1][2]) == (Outcome.UNKNOWN, Outcome.UNKNOWN)
    with pytest.raises(ValueError, match="outcome"):
        RecentRuns.model_validate(served | {"runs": [served["runs"][0] | {"outcome": 5}]})


def test_a_comparison_of_served_runs_is_the_one_of_their_records() -> None:
    flow = definition(*STEPS)
    runs = [
        run(
            flow.graph,
            seconds(i),
            number=i,
            start=NOW - 86400.0 * (2 - i),
            containers=lambda _, i=i: (container(image=f"x:{i}"),),
        )
        for i in (12, 13)
    ]
    history = RunHistory.of(flow, runs, Policy().pricing)
    exact = comparison_view(history, 0, 1)
    views = [run_view(history, i) for i in (0, 1)]
    again = compared_views(flow.key, *(v.model_validate_json(v.model_dump_json(exclude_none=True)) for v in views))
    assert again == exact
    assert again.extra_seconds == pytest.approx(300.0)
    assert [d.kind for d in again.steps[0].differences] == ["image"]


def test_a_wide_run_is_served_with_its_whole_critical_path() -> None:
    flow = definition(step("fan"), step("last", ["fan"]))
    wide = run(flow.graph, {"fan": 10.0, "last": 5.0})
    fan, last = wide.steps
    ends = [(fan.finished or 0.0) - (299 - i) / 100 for i in range(300)]
    pods = [replace(fan, item=f"{i}", pod=f"p{i}", finished=end) for i, end in enumerate(ends)]
    history = RunHistory.of(flow, [replace(wide, steps=(*pods, last))], Policy().pricing)
    view = run_view(history, 0, most_pods=PODS)
    assert len(view.pods) == PODS
    assert view.more_pods == 241
    assert [p.item for p in view.pods if p.critical] == ["299", None]


def test_a_document_that_grows_too_large_gives_up_its_oldest_runs_first(monkeypatch: pytest.MonkeyPatch) -> None:
    flow = definition(*STEPS)
    result = analyze_workflow(flow, daily(flow.graph, 30, seconds), Policy(), profile="p", now=NOW)
    recent = recent_runs(result.analysis)
    view = results.view(result)
    whole = len(detail.encode(detail.document(view, "p", None, recent)))
    monkeypatch.setattr(detail, "MAX_BYTES", whole - 1)
    less = detail.document(view, "p", None, recent)
    assert len(less["recent"]["runs"]) == len(recent["runs"]) - 1
    assert less["recent"]["runs"] == recent["runs"][:-1]
    assert less["recommendations"] == view["recommendations"]
    json.dumps(less)
