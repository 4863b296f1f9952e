"""Objectives say where they are going, by the type of workflow where that is wished; the score weighs as configured."""

from __future__ import annotations

from dataclasses import replace

import pytest

from concertmaster.api.models.policy import OptimizationPolicy
from concertmaster.api.resolve import resolve
from concertmaster.core.analysis.objectives import (
    ObjectiveAssessment,
    ObjectiveResult,
    Trend,
    with_template,
)
from concertmaster.core.analysis.pattern import WorkflowType, workflow_type
from concertmaster.core.analysis.score import Score, ScorePart, attainable
from concertmaster.core.analysis.workflow import analyze
from concertmaster.core.model import Outcome, RunRecord, WorkflowGraph
from concertmaster.core.model.policy import AnalysisSettings, Objectives, Policy, Quantiles
from concertmaster.core.pipeline import analyze_workflow
from concertmaster.core.rules import Evidence
from concertmaster.report.result import first_status
from concertmaster.report.status.document import objective_line
from tests.support.builders import DAY, NOW, container, definition, run, step

CHAIN = definition(step("a"), step("b", ["a"], 1))
ALL = Objectives(
    duration=Quantiles(p95=600.0),
    queue_time=Quantiles(p95=60.0),
    min_success=0.95,
    max_step_failure=0.1,
    max_cost_per_run=1.0,
    min_throughput_per_hour=0.01,
    target_cpu_utilization=0.5,
    target_memory_utilization=0.5,
    budgets={"tokens": 1000.0},
)


def runs(count: int = 20, growth: float = 1.0, failing_from: int = 99, every: float = DAY / 4) -> list[RunRecord]:
    """Runs whose newer half is ``growth`` times the older one in time, wait, CPU and tokens."""
    made = []
    for i in range(count):
        factor = (growth if i >= count // 2 else 1.0) * (1 + 0.01 * (i % 3))
        facts = (container(cpu_seconds=50.0 * factor**2, memory_sampled_peak=3e8 * factor),)
        start = NOW - (count - i) * (every if i < count // 2 else every / growth)
        outcome = Outcome.FAILED if i >= failing_from else Outcome.SUCCEEDED
        seconds = {"a": 100 * factor, "b": 100 * factor}
        one = run(CHAIN.graph, seconds, number=i, start=start, wait=20 * factor, outcome=outcome,
                  containers=lambda _, f=facts: f)  # fmt: skip
        if i >= failing_from:
            one = replace(one, steps=(replace(one.steps[0], outcome=Outcome.FAILED), *one.steps[1:]))
        made.append(replace(one, extra={"tokens": 500 * factor}))
    return made


def verdicts(of: list[RunRecord], wanted: Objectives = ALL) -> dict[str, ObjectiveAssessment]:
    found = analyze(CHAIN, of, now=NOW, policy=Policy(objectives=wanted)).objectives
    return {v.name.partition(" (")[0]: v for v in found}


def test_every_objective_has_verdict_margin_and_trend() -> None:
    steady = verdicts(runs())
    assert len(steady) == 9
    assert {name: v.trend for name, v in steady.items()} == dict.fromkeys(steady, Trend.STEADY)
    assert all(v.margin is not None for v in steady.values())


def test_large_amounts_are_written_in_full() -> None:
    many = [replace(r, extra={"tokens": 1_234_567.0}) for r in runs()]
    found = verdicts(many, replace(ALL, budgets={"tokens": 2e6}, min_throughput_per_hour=1200.0))
    assert (found["tokens per run"].actual, found["tokens per run"].target) == ("1234567", "2000000")
    assert found["throughput per hour"].target == "1200"


def test_money_has_its_currency() -> None:
    cost = verdicts(runs())["cost per run"]
    assert cost.actual.endswith(" USD")
    assert cost.target == "1 USD"


def test_growth_is_worse_where_less_is_wanted_and_better_where_more_is() -> None:
    grown = {name: v.trend for name, v in verdicts(runs(growth=1.4)).items()}
    for name in ("duration p95", "queue time p95", "cost per run", "tokens per run"):
        assert grown[name] is Trend.DEGRADING, name
    for name in ("CPU utilization", "memory utilization"):
        assert grown[name] is Trend.IMPROVING, name


def test_failures_of_late_are_a_trend_and_chance_is_none() -> None:
    failing = verdicts(runs(failing_from=13))
    assert failing["success"].trend is Trend.DEGRADING
    assert failing["step failure"].trend is Trend.DEGRADING
    assert verdicts(runs(failing_from=19))["success"].trend is Trend.STEADY


@pytest.mark.parametrize(
    ("failed", "of", "verdict", "actual"),
    [
        (0, 7, ObjectiveResult.MET, "0.0%"),
        (1, 7, ObjectiveResult.UNKNOWN, "14.3% of 7 attempts, too few to tell"),
        (2, 14, ObjectiveResult.UNKNOWN, "14.3% of 14 attempts, too few to tell"),
        (3, 14, ObjectiveResult.MISSED, "21.4%"),
        (9, 56, ObjectiveResult.MISSED, "16.1%"),
    ],
)
def test_failures_of_a_step_that_chance_explains_miss_no_objective(
    failed: int, of: int, verdict: ObjectiveResult, actual: str
) -> None:
    found = verdicts(runs(of, failing_from=of - failed))["step failure"]
    assert (found.verdict, found.actual) == (verdict, actual)
    assert found.line.startswith(f"{verdict}, {actual} (target <= 10.0%)")


def test_a_step_that_fails_beyond_chance_is_named_before_one_that_failed_once() -> None:
    of = runs(20, failing_from=12)  # 8 of 20 attempts of a failed
    rare = [replace(r, steps=tuple(e for e in r.steps if e.step == "a" or r is of[-1])) for r in of]
    last = rare[-1]
    b_failed = tuple(replace(e, outcome=Outcome.FAILED) if e.step == "b" else e for e in last.steps)
    found = analyze(
        CHAIN, [*rare[:-1], replace(last, steps=b_failed)], now=NOW, policy=Policy(objectives=ALL)
    ).objectives
    assert [(v.name, v.actual) for v in found if v.name.startswith("step")] == [("step failure (a)", "40.0%")]


def test_no_step_is_named_as_the_worst_where_none_failed() -> None:
    found = analyze(CHAIN, runs(20), now=NOW, policy=Policy(objectives=ALL)).objectives
    assert [(v.name, v.actual) for v in found if v.name.startswith("step")] == [("step failure", "0.0%")]


def test_too_little_data_is_unknown() -> None:
    assert verdicts(runs(4))["duration p95"].trend is Trend.UNKNOWN
    assert verdicts(runs(4))["success"].trend is Trend.UNKNOWN
    assert verdicts([])["success"].verdict is ObjectiveResult.UNKNOWN


def test_the_line_in_the_status() -> None:
    found = ObjectiveAssessment("duration p95", "10m00s", "12m00s", ObjectiveResult.MISSED, -0.2, Trend.DEGRADING)
    assert objective_line(found) == "duration p95: Missed, 12m00s (target <= 10m00s), degrading"
    young = replace(found, trend=Trend.UNKNOWN)
    assert objective_line(young) == "duration p95: Missed, 12m00s (target <= 10m00s), trend unknown"
    none = replace(young, actual="unknown", verdict=ObjectiveResult.UNKNOWN)
    assert objective_line(none) == "duration p95: Unknown, no data (target <= 10m00s)"


@pytest.mark.parametrize(
    ("graph", "wanted"),
    [
        (WorkflowGraph((step("a"), step("b", ["a"]), step("c", ["b"]))), WorkflowType.SEQUENTIAL),
        (WorkflowGraph((step("a"),)), WorkflowType.SEQUENTIAL),
        (WorkflowGraph(()), WorkflowType.SEQUENTIAL),
        (WorkflowGraph((step("a"), step("b", ["a"]), step("c", ["a"]))), WorkflowType.PARALLEL),
        (WorkflowGraph((step("a", fan_out=True, width=4),)), WorkflowType.PARALLEL),
        (WorkflowGraph((step("a", fan_out=True, width=1),)), WorkflowType.SEQUENTIAL),
        (WorkflowGraph((step("a"), step("b", ["a"], conditional=True))), WorkflowType.CONDITIONAL),
        (WorkflowGraph((step("a"), step("tell", on_exit=True))), WorkflowType.SEQUENTIAL),
    ],
)
def test_the_type_is_seen_in_the_graph(graph: WorkflowGraph, wanted: WorkflowType) -> None:
    assert workflow_type(graph) is wanted


def policy(**objectives: object) -> OptimizationPolicy:
    return OptimizationPolicy.model_validate(
        {"metadata": {"name": "p", "namespace": "demo"}, "spec": {"objectives": objectives}}
    )


def test_templates_are_off_until_asked_for_and_give_way_to_any_duration_of_the_owner() -> None:
    chain = CHAIN.graph
    fork = WorkflowGraph((step("a"), step("b", ["a"]), step("c", ["a"])))

    def p50(graph: WorkflowGraph, **objectives: object) -> float | None:
        return with_template(resolve(None, policy(**objectives)).objectives, graph).duration.p50

    assert p50(chain) is None
    assert p50(chain, durationByType={}) == 30.0
    assert p50(fork, durationByType={}) == 15.0
    assert p50(fork, durationByType={"parallel": "45s"}) == 45.0
    assert p50(fork, durationByType={}, duration={"p95": "10m"}) is None
    found = analyze_workflow(CHAIN, runs(), resolve(None, policy(durationByType={})), profile="p", now=NOW)
    names = [o.name for o in found.analysis.objectives]
    assert "duration p50 (template for sequential workflows)" in names


def test_weights_are_settings() -> None:
    made = OptimizationPolicy.model_validate(
        {"metadata": {"name": "p", "namespace": "demo"},
         "spec": {"analysis": {"scoreWeights": {"success": 100, "stability": 0, "efficiency": 0, "waiting": 0,
                                              "objectives": 0, "speed": 0}}}}
    )  # fmt: skip
    of = runs(failing_from=18)
    usual = analyze_workflow(CHAIN, of, resolve(None, None), profile="p", now=NOW).analysis.score
    own = analyze_workflow(CHAIN, of, resolve(None, made), profile="p", now=NOW).analysis.score
    assert {p.name: p.weight for p in usual.parts} == {
        "success": 40, "stability": 20, "efficiency": 25, "waiting": 15, "objectives": 20, "speed": 20,
    }  # fmt: skip
    assert {p.name for p in own.parts if p.weight} == {"success"}
    assert own.total == 75  # 90% of 95%: a quarter of the way to none
    assert AnalysisSettings().score_weights["success"] == 40


def test_missed_objectives_lower_the_score_and_those_of_other_parts_do_not_count_twice() -> None:
    def part(**objectives: object) -> tuple[float | None, str]:
        result = analyze_workflow(CHAIN, runs(), resolve(None, policy(**objectives)), profile="p", now=NOW)
        return next((p.value, p.why) for p in result.analysis.score.parts if p.name == "objectives")

    assert part(minSuccessPercent="99", targetUtilizationPercent={"cpu": "90"})[0] is None
    assert part(duration={"p50": "1h"}) == (1.0, "3 of 3 objectives met")
    slow = part(duration={"p50": "1h", "p95": "1m"})  # missed by more than half
    assert slow == (0.5, "3 of 4 objectives met; missed: duration p95")


def test_a_budget_is_not_taken_for_an_objective_that_its_metric_is_named_like() -> None:
    names = ("success", "duration", "cost")
    of = [replace(run, extra=dict.fromkeys(names, 5.0)) for run in runs()]
    found = analyze(CHAIN, of, now=NOW, policy=Policy(objectives=Objectives(budgets=dict.fromkeys(names, 2.0))))
    assert next(part.value for part in found.score.parts if part.name == "objectives") == 0.0
    evidence = Evidence(found, "p")
    assert not evidence.misses_duration and not evidence.misses_success
    assert "cost per run" not in {o.kind for o in found.objectives}


def test_the_score_counts_the_objectives_that_the_status_lists() -> None:
    """Success and failures of steps are other parts of the score, and objectives all the same."""
    found = analyze_workflow(CHAIN, runs(), resolve(None, policy(duration={"p95": "1m"})), profile="p", now=NOW)
    lines = first_status(found)["objectives"]
    met = sum(": Met, " in line for line in lines)
    (part,) = [line for line in first_status(found)["scoreParts"] if line.startswith("objectives: ")]
    assert part == f"objectives: -20, {met} of {len(lines)} objectives met; missed: duration p95"
    assert met == len(lines) - 1 > 0


def test_run_time_that_recommendations_would_save_lowers_the_score() -> None:
    base = Score(90, (ScorePart("success", 40, 0.9, "90% of 20 runs"),))
    assert attainable(base, 20, []).total == 90
    slow = attainable(base, 20, [0.3, 0.2])
    assert (slow.total, slow.parts[-1].why) == (72, "recommendations shorten runs by 44%")
    assert attainable(base, 20, [0.8]).total == 70
    assert attainable(Score(None, ()), 20, [0.3]).total is None


def test_every_quantile_of_the_queue_time_is_an_objective() -> None:
    wanted = resolve(None, policy(queueTime={"p50": "10s", "p95": "1m", "p99": "2m"})).objectives
    found = {n: v for n, v in verdicts(runs(), wanted).items() if n.startswith("queue time")}
    assert {n: (v.target, v.verdict) for n, v in found.items()} == {
        "queue time p50": ("10s", ObjectiveResult.MISSED),  # the pods of these runs wait 20 seconds
        "queue time p95": ("1m00s", ObjectiveResult.MET),
        "queue time p99": ("2m00s", ObjectiveResult.MET),
    }


def test_a_target_utilization_is_an_objective_where_it_is_set_and_the_score_has_one_in_any_case() -> None:
    def efficiency(**target: str) -> float | None:
        resolved = resolve(None, policy(targetUtilizationPercent=target))
        score = analyze(CHAIN, runs(), now=NOW, policy=resolved).score
        return next(p.value for p in score.parts if p.name == "efficiency")

    assert {n for n in verdicts(runs(), resolve(None, None).objectives) if "utilization" in n} == set()
    assert efficiency() == efficiency(cpu="70", memory="75")
    assert (efficiency(cpu="100", memory="100") or 0.0) < (efficiency() or 0.0) < 1.0


@pytest.mark.parametrize("other", [Outcome.CACHED, Outcome.SKIPPED])
def test_a_cache_that_begins_to_hit_is_no_failing_step(other: Outcome) -> None:
    of = runs()
    cached = [replace(r, steps=tuple(replace(e, outcome=other) for e in r.steps)) for r in of[10:]]
    found = verdicts([*of[:10], *cached])["step failure"]
    assert found.trend in (Trend.STEADY, Trend.UNKNOWN)


def test_waiting_that_begins_is_a_trend() -> None:
    waits = [0.0] * 17 + [30.0] * 23
    of = [run(CHAIN.graph, {"a": 100.0, "b": 100.0}, number=i, start=NOW - (40 - i) * DAY / 4, wait=w)
          for i, w in enumerate(waits)]  # fmt: skip
    assert verdicts(of)["queue time p95"].trend is Trend.DEGRADING
