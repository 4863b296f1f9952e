"""The analysis of whole workflows with known truth."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from concertmaster.core.analysis.objectives import ObjectiveResult
from concertmaster.core.analysis.runs.coverage import runs_per_month
from concertmaster.core.analysis.score import UNSAMPLED, attainable
from concertmaster.core.analysis.workflow import analyze
from concertmaster.core.model import Outcome
from concertmaster.core.model.policy import AnalysisSettings, Objectives, Policy, Quantiles
from concertmaster.core.pipeline import analyze_workflow
from tests.support.builders import DAY, MI, NOW, container, daily, definition, run, step

DIAMOND = definition(
    step("extract"),
    step("transform", ["extract"], 1),
    step("lint", ["extract"], 2),
    step("load", ["transform", "lint"], 3),
)
SECONDS = {"extract": 60.0, "transform": 300.0, "lint": 30.0, "load": 45.0}


def test_makespan_and_step_figures_are_exact_on_constant_runs() -> None:
    analysis = analyze(DIAMOND, daily(DIAMOND.graph, 10, lambda _: SECONDS), now=NOW)
    assert analysis.makespan.p50 == pytest.approx(60 + 300 + 45 + 3 * 3)
    assert (analysis.succeeded, analysis.failed, analysis.unknown) == (10, 0, 0)
    assert analysis.success_rate == 1.0
    transform = analysis.step("transform")
    assert transform is not None
    assert (transform.duration.count, transform.duration.mean, transform.duration.variance) == (10, 300.0, 0.0)
    assert transform.path is not None
    assert transform.path.share == 1.0
    assert transform.path.drag == pytest.approx(300 - 30, abs=4)  # lint would take over after 30 seconds
    lint = analysis.step("lint")
    assert lint is not None
    assert lint.path is None or lint.path.drag == 0.0
    assert transform.marks.slow_outlier is True
    assert lint.marks.slow_outlier is False


def test_only_finished_runs_inside_the_window_count_and_the_newest_are_kept() -> None:
    runs = daily(DIAMOND.graph, 30, lambda i: {**SECONDS, "load": 10.0 + i})
    runs.append(replace(runs[-1], run="open", outcome=Outcome.RUNNING))
    runs.append(replace(runs[-1], run="future", outcome=Outcome.SUCCEEDED, start=NOW, end=NOW + 60))
    week = analyze(DIAMOND, runs, now=NOW, policy=Policy(analysis=AnalysisSettings(window_seconds=7 * DAY)))
    assert {r.run for r in week.runs} == {f"run-{i}" for i in range(23, 30)}
    few = analyze(DIAMOND, runs, now=NOW, policy=Policy(analysis=AnalysisSettings(window_seconds=30 * DAY, max_runs=5)))
    assert [r.run for r in few.runs] == [f"run-{i}" for i in range(25, 30)]


def test_unknown_ends_stay_outside_rates_and_durations() -> None:
    good = daily(DIAMOND.graph, 6, lambda _: SECONDS)
    unknown = run(DIAMOND.graph, {**SECONDS, "load": 9999.0}, number=99, outcome=Outcome.UNKNOWN)
    failed = run(DIAMOND.graph, SECONDS, number=98, outcome=Outcome.FAILED)
    analysis = analyze(DIAMOND, [*good, unknown, failed], now=NOW)
    assert (analysis.succeeded, analysis.failed, analysis.unknown) == (6, 1, 1)
    assert analysis.success_rate == pytest.approx(6 / 7)
    assert analysis.makespan.count == 6
    assert analysis.makespan.maximum == pytest.approx(414.0)


def test_nothing_observed_gives_unknowns_not_zeros() -> None:
    analysis = analyze(DIAMOND, [], now=NOW, policy=Policy(objectives=Objectives(duration=Quantiles(p95=60.0))))
    assert analysis.makespan.count == 0
    assert analysis.makespan.p50 is None
    assert analysis.success_rate is None
    assert analysis.score.total is None
    assert analysis.cost.per_run is None
    assert analysis.enough is False
    assert [o.name for o in analysis.objectives] == ["duration p95", "success", "step failure"]
    assert {o.verdict for o in analysis.objectives} == {ObjectiveResult.UNKNOWN}


@pytest.mark.parametrize(
    ("sampled", "judged"),
    [
        ({}, True),
        ({"cpu_seconds": None}, True),
        ({"memory_sampled_peak": None, "memory_kernel_peak": None}, True),
        ({"cpu_seconds": None, "memory_sampled_peak": None, "memory_kernel_peak": None}, False),
    ],
)
def test_without_a_usage_sample_of_any_container_there_is_no_score(sampled: dict[str, None], judged: bool) -> None:
    facts = [container(**sampled)]
    runs = daily(DIAMOND.graph, 12, lambda _: SECONDS, containers=lambda _: tuple(facts))
    analysis = analyze(DIAMOND, runs, now=NOW)
    assert (analysis.score.total is not None, analysis.unsampled) == (judged, not judged)
    assert attainable(analysis.score, 20, [0.1]).total is None or judged
    whys = [p.why for p in analysis.score.parts if p.name == "efficiency"]
    assert (whys == [UNSAMPLED]) is not judged


def test_steps_seen_but_not_declared_are_analysed_too() -> None:
    runs = daily(DIAMOND.graph, 6, lambda _: SECONDS)
    renamed = [
        replace(r, steps=tuple(replace(e, step="old") if e.step == "lint" else e for e in r.steps)) for r in runs
    ]
    analysis = analyze(DIAMOND, renamed, now=NOW)
    assert [s.step for s in analysis.steps] == ["extract", "transform", "lint", "load", "old"]


def test_objectives_have_verdict_and_margin() -> None:
    runs = [replace(r, extra={"tokens": 1000.0}) for r in daily(DIAMOND.graph, 10, lambda _: SECONDS)]
    wanted = Objectives(
        duration=Quantiles(p50=600.0, p95=300.0),
        queue_time=Quantiles(p95=60.0),
        min_success=0.95,
        max_step_failure=0.1,
        max_cost_per_run=100.0,
        min_throughput_per_hour=1.0,
        target_memory_utilization=0.5,
        budgets={"tokens": 900.0, "pages": 1.0},
    )
    verdicts = {o.name: o for o in analyze(DIAMOND, runs, now=NOW, policy=Policy(objectives=wanted)).objectives}
    assert verdicts["duration p50"].verdict is ObjectiveResult.MET
    assert verdicts["duration p50"].margin == pytest.approx(1 - 414 / 600)
    assert verdicts["duration p95"].verdict is ObjectiveResult.MISSED
    assert verdicts["duration p95"].margin == pytest.approx(1 - 414 / 300)
    assert verdicts["queue time p95"].verdict is ObjectiveResult.MET
    assert verdicts["success"].verdict is ObjectiveResult.MET
    assert verdicts["cost per run"].verdict is ObjectiveResult.MET
    assert verdicts["throughput per hour"].verdict is ObjectiveResult.MISSED
    assert verdicts["memory utilization"].verdict is ObjectiveResult.MET
    assert verdicts["tokens per run"].verdict is ObjectiveResult.MISSED
    assert verdicts["pages per run"].verdict is ObjectiveResult.UNKNOWN


def test_the_score_is_the_weighted_sum_of_its_printed_parts() -> None:
    rng = random.Random(3)
    runs = daily(DIAMOND.graph, 12, lambda _: {k: v * rng.lognormvariate(0, 0.1) for k, v in SECONDS.items()})
    score = analyze(DIAMOND, runs, now=NOW).score
    reported = [p for p in score.parts if p.value is not None]
    weighted = sum(p.weight * (p.value or 0.0) for p in reported) / sum(p.weight for p in reported)
    assert score.total == round(100 * weighted)
    assert len(reported) == 4
    worse = analyze(
        DIAMOND, [replace(r, outcome=Outcome.FAILED) if i % 3 == 0 else r for i, r in enumerate(runs)], now=NOW
    )
    assert worse.score.total is not None
    assert score.total is not None
    assert worse.score.total < score.total


def test_cost_counts_request_or_use_whichever_is_larger_and_splits_the_waste() -> None:
    one = definition(step("load"))
    runs = daily(one.graph, 5, lambda _: {"load": 3600.0 - 2.0}, containers=lambda _: (container(cpu_seconds=1800.0),))
    cost = analyze(one, runs, now=NOW).cost
    assert cost.per_run is not None
    cpu, memory = 0.031, 0.004
    assert cost.per_run.requested == pytest.approx(cpu + memory)
    assert cost.per_run.used == pytest.approx(cpu / 2 + memory * 600 / 1024)
    assert cost.per_run.wasted == pytest.approx(cost.per_run.requested - cost.per_run.used)
    assert cost.runs_per_month == pytest.approx(30.0)
    assert cost.per_month == pytest.approx(30.0 * cost.per_run.total)


@pytest.mark.parametrize(
    ("starts", "since", "monthly"),
    [
        ([0, 0, 0, 0, 0, 0], 3600, 180.0),  # six Jobs made at once: as if they came again tomorrow
        ([0, 1, 1, 2, 2, 2], 3600, 180.0),  # or nearly at once
        ([0, 0, 0, 0, 0, 0], 10 * DAY, 18.0),  # and never again
        ([0, 100, 200, 300], 400, 30 * DAY / 100),  # each begins when the one before it has ended
        ([0, 60, 120, 180], 240, 30 * DAY / 60),  # each begins before the one before it has ended
        ([0, 100, 200, 300], 10 * DAY, 12.0),  # tried out ten days ago, and never again
    ],
)
def test_runs_that_begin_together_are_one_batch(starts: list[float], since: float, monthly: float) -> None:
    graph = definition(step("load")).graph
    runs = [run(graph, {"load": 90.0}, number=i, start=NOW - since + at) for i, at in enumerate(starts)]
    assert runs_per_month(runs, NOW) == pytest.approx(monthly)
    assert runs_per_month(runs[:1], NOW) is None


def test_a_batch_of_runs_has_recommendations() -> None:
    one = definition(step("load"))
    large = container(cpu_request=2.0, cpu_seconds=30.0, cpu_peak_cores=0.02)
    runs = [
        run(one.graph, {"load": 600.0}, number=i, start=NOW - 3600, containers=lambda _: (large,)) for i in range(6)
    ]
    found = analyze_workflow(one, runs, Policy(), profile="p", now=NOW)
    assert "right-size" in {r.rule for r in found.recommendations if not r.minor}


def test_unsampled_and_ambiguous_rows_are_counted_not_used() -> None:
    one = definition(step("load"))
    facts = [container(memory_sampled_peak=None), container(memory_sampled_peak=9000 * MI, ambiguous=True), container()]
    runs = [
        run(one.graph, {"load": 60.0}, number=i, start=NOW - (6 - i) * DAY, containers=lambda _, i=i: (facts[i % 3],))
        for i in range(6)
    ]
    usage = analyze(one, runs, now=NOW).steps[0].containers[0]
    assert (usage.executions, usage.unsampled, usage.ambiguous) == (6, 2, 2)
    assert usage.coverage == pytest.approx(1 / 3)
    assert max(r.memory_peak or 0.0 for r in usage.runs) == 600 * MI


@pytest.mark.parametrize(("begun", "why", "lacking"), [(False, None, 0), (True, None, 17), (False, "Error", 17)])
def test_attempts_that_never_started_lack_no_samples(begun: bool, why: str | None, lacking: int) -> None:
    """Two attempts of each run fail, and the only one of the last, as when the node does not admit a pod (OutOfcpu)."""
    one = definition(step("load"))
    gone = container(cpu_seconds=None, memory_sampled_peak=None, memory_kernel_peak=None, samples=0, reason=why)
    runs = []
    for i in range(9):
        record = run(one.graph, {"load": 600.0}, number=i, start=NOW - (9 - i) * DAY)
        last = record.steps[0]
        fact = replace(gone, started=last.started if begun else None)
        failed = replace(last, outcome=Outcome.FAILED, reason="OutOfcpu", containers=(fact,))
        tried = (failed, replace(failed, attempt=2), replace(last, attempt=3)) if i < 8 else (failed,)
        runs.append(replace(record, steps=tried))
    usage = analyze(one, runs, now=NOW).steps[0].containers[0]
    assert (usage.executions, usage.unsampled) == (8 + lacking, lacking)
    assert usage.coverage == pytest.approx(8 / (8 + lacking))


@pytest.mark.parametrize(("tokens", "cost"), [(0.0, None), (50.0, 5.0)])
def test_a_step_costs_what_is_known_of_it(tokens: float, cost: float | None) -> None:
    """``lint`` has no requests and no samples; what it used of a priced metric is known. Costs are the mean of all runs."""
    bare = replace(
        container(cpu_seconds=None, memory_sampled_peak=None, memory_kernel_peak=None),
        cpu_request=None,
        memory_request=None,
    )
    prices = Policy(pricing=replace(Policy().pricing, units={"tokens": 0.1}))
    runs = daily(DIAMOND.graph, 10, lambda _: SECONDS, containers=lambda n: (bare if n == "lint" else container(),))
    runs = [
        replace(
            r,
            extra={"tokens": tokens},
            steps=tuple(replace(e, extra={"tokens": tokens}) if e.step == "lint" else e for e in r.steps),
        )
        for r in runs
    ]
    analysis = analyze(DIAMOND, runs, now=NOW, policy=prices)
    assert analysis.cost_by_step.get("lint") == (None if cost is None else pytest.approx(cost))
    assert analysis.cost_by_step.keys() >= {"extract", "transform", "load"}
    assert sum(analysis.cost_by_step.values()) == pytest.approx(sum(c.per_run for c in analysis.components))
    cheaper = analyze(DIAMOND, runs, now=NOW, policy=Policy(), figures=analysis.figures)
    assert "lint" not in cheaper.cost_by_step
    assert analysis.cost_by_step.get("lint") == (None if cost is None else pytest.approx(cost))
