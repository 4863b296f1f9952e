"""Series of single workflows: complete, honest about what is unknown, bounded, and text that Prometheus reads."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from concertmaster.controller.reporting.workflow_series import WorkflowSeries
from concertmaster.core.lifecycle.history import RecommendationHistory
from concertmaster.core.lifecycle.states import Observation, advance
from concertmaster.core.model import Outcome, WorkflowKey
from concertmaster.core.model.policy import MetricsSettings
from concertmaster.core.pipeline import AnalysisResult
from concertmaster.report import result as results
from concertmaster.report.workflow_series import FAMILIES, Sample, samples
from tests.support.core.cases import cases

KEY = WorkflowKey("data", "CronJob", "etl")
CASES = {c.name: c for c in cases()}


def of(result: AnalysisResult) -> dict[tuple[str, tuple[str, ...]], float]:
    memory = advance(RecommendationHistory(), Observation(result.analysis.now, results.current(result)))
    return {(s.family, s.labels): s.value for s in samples(result, memory)}


def parsed(series: WorkflowSeries) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    found = {}
    for family in text_string_to_metric_families(series.render()):
        for sample in family.samples:
            place = (sample.name.removeprefix("concertmaster_workflow_"), frozenset(sample.labels.items()))
            assert place not in found, "a series twice"
            found[place] = sample.value
    return found


def test_the_figures_are_those_of_the_analysis() -> None:
    result = CASES["regression"].analysed()
    analysis, found = result.analysis, of(result)
    assert found["duration_seconds", ("0.95",)] == analysis.makespan.p95
    assert found["score", ()] == analysis.score.total
    assert found["cost", ("USD",)] == analysis.cost.per_month
    assert found["degradation_ratio", ()] == analysis.trend.points[-1].ratio > 1.2
    assert found["change_timestamp_seconds", ()] == analysis.trend.points[-1].time
    assert found["saving_hours", ()] > 1
    assert sum(v for (family, _), v in found.items() if family == "open_recommendations") == len(result.recommendations)
    assert {f for f, _ in found} == set(FAMILIES)


@pytest.mark.parametrize(
    ("case", "met"),
    [
        ("healthy", {"duration p95": 1.0, "success": 1.0, "step failure": 1.0}),
        ("flaky", {"duration p95": 1.0, "success": 0.0, "step failure": 0.0}),
        (
            "oom",
            {"duration p95": 1.0, "success": 0.0},
        ),
    ],
)
def test_an_objective_is_met_or_missed_and_one_that_is_unknown_has_no_series(case: str, met: dict[str, float]) -> None:
    found = of(CASES[case].analysed())
    assert {labels[0]: value for (family, labels), value in found.items() if family == "objective_met"} == met


def test_failures_in_a_row_are_those_since_the_last_success() -> None:
    case = CASES["healthy"]
    *others, a, b, c = case.runs
    failed = replace(a, outcome=Outcome.FAILED), replace(b, outcome=Outcome.UNKNOWN), replace(c, outcome=Outcome.FAILED)
    assert of(replace(case, runs=(*others, *failed)).analysed())["consecutive_failures", ()] == 2
    assert of(case.analysed())["consecutive_failures", ()] == 0


def test_what_is_unknown_has_no_sample() -> None:
    families = {f for f, _ in of(CASES["no-metrics"].analysed())}
    assert not {f for f in families if "used" in f}
    assert "score" not in {f for f, _ in of(CASES["too-little-data"].analysed())}


def test_steps_are_as_many_as_the_policy_says_and_the_critical_ones_first() -> None:
    result = CASES["slow-step"].analysed()
    policy = replace(result.analysis.policy, metrics=MetricsSettings(True, 1))
    found = of(replace(result, analysis=replace(result.analysis, policy=policy)))
    steps = {labels[0] for (family, labels) in found if family.startswith("step_")}
    largest = max(result.analysis.steps, key=lambda s: s.path.seconds if s.path is not None else 0.0)
    assert steps == {largest.step}


def test_series_are_replaced_and_end_with_the_profile_or_the_policy() -> None:
    series = WorkflowSeries()
    assert series.render() == ""
    series.put("u", KEY, [Sample("score", 80.0), Sample("cost", 1.5, ("EUR",))])
    series.put("u", KEY, [Sample("score", 81.0)])
    series.late({"u": 2, "gone": 5})
    labels = frozenset({"namespace": "data", "kind": "CronJob", "workflow": "etl"}.items())
    assert parsed(series) == {("score", labels): 81.0, ("run_late", labels): 2.0, ("left_out", frozenset()): 0.0}
    series.put("u", KEY, [])
    assert series.render() == ""
    series.put("u", KEY, [Sample("score", 81.0)])
    series.keep_only([])
    assert series.render() == ""


def test_the_next_process_serves_the_same() -> None:
    series, after = WorkflowSeries(), WorkflowSeries()
    series.put("u", KEY, [Sample("score", 80.0), Sample("cost", 1.5, ("EUR",))])
    after.restore("u", KEY, series.lines("u"))
    assert after.render() == series.render()
    assert series.lines("other") == {}


def test_workflows_beyond_the_cap_are_left_out_and_counted() -> None:
    series = WorkflowSeries(most=3)
    for n in range(5):
        series.put(str(n), replace(KEY, name=f"w{n}"), [Sample("score", float(n))])
    series.put("0", replace(KEY, name="w0"), [Sample("score", 9.0)])  # who has a place keeps it
    found = parsed(series)
    assert sorted(v for (name, _), v in found.items() if name == "score") == [1.0, 2.0, 9.0]
    assert found["left_out", frozenset()] == 2.0
    series.keep_only(["3", "4"])
    series.put("3", replace(KEY, name="w3"), [Sample("score", 3.0)])
    found = parsed(series)
    assert [v for (name, _), v in found.items() if name == "score"] == [3.0]
    assert found["left_out", frozenset()] == 1.0


def test_by_default_five_thousand_workflows_have_series() -> None:
    series = WorkflowSeries()
    for n in range(5_001):
        series.put(str(n), replace(KEY, name=f"w{n}"), [Sample("score", 1.0)])
    text = series.render()
    assert text.count("concertmaster_workflow_score{") == 5_000
    assert "\nconcertmaster_workflow_left_out 1\n" in text


def test_a_namespace_with_fewer_workflows_gets_a_place_of_the_one_with_most() -> None:
    series = WorkflowSeries(most=3)
    for namespace in ("large", "small"):
        for n in range(3):
            key = replace(KEY, namespace=namespace, name=f"w{n}")
            series.put(f"{namespace}{n}", key, [Sample("score", float(n))])
    found = parsed(series)
    served = [(dict(labels)["namespace"], value) for (name, labels), value in found.items() if name == "score"]
    assert served == [("large", 0.0), ("large", 1.0), ("small", 0.0)]
    assert found["left_out", frozenset()] == 3.0


@pytest.mark.parametrize("name", ['a"b', "back\\slash", "line\nbreak", 'x"} 1\nevil_total 2', "ünïcode ✓"])
def test_names_cannot_leave_their_label(name: str) -> None:
    series = WorkflowSeries()
    series.put("u", KEY, [Sample("step_critical_share", 0.5, (name,))])
    (labels,) = (dict(labels) for (family, labels) in parsed(series) if family == "step_critical_share")
    assert labels["step"] == name
    assert "evil" not in [f.name for f in text_string_to_metric_families(series.render())]


def test_random_histories_of_puts_never_repeat_a_series() -> None:
    chance, series = random.Random(5), WorkflowSeries(most=5)
    for _ in range(300):
        uid = str(chance.randrange(12))
        values = [Sample(f, chance.random(), tuple("x" for _ in range(n))) for f, n in (("score", 0), ("cost", 1))]
        series.put(uid, replace(KEY, name=f"w{uid}"), values[: chance.randrange(3)])
        if chance.random() < 0.1:
            series.keep_only([str(n) for n in range(chance.randrange(12))])
        parsed(series)
