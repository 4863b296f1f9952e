"""``budget.model``: another model for less, when the interval excludes zero and success is the same."""

from __future__ import annotations

import random
from dataclasses import replace

from concertmaster.core import pipeline
from concertmaster.core.model import MetricRole, Outcome, Recommendation, RunRecord
from concertmaster.core.model.enums import Per
from concertmaster.core.model.inputs import ExtraMetric
from concertmaster.core.model.metrics import MODEL, with_metrics
from concertmaster.core.model.policy import Policy
from tests.support.builders import NOW
from tests.support.core import scenario_builder as builder
from tests.support.core import scenarios

COST = ExtraMetric("llm-cost", "c", Per.STEP, "USD", MetricRole.COST)


def found(ratio: float, *, failures: int = 0, spread: float = 0.15, runs: int = 60) -> Recommendation | None:
    """Every other run asked model ``small``, which costs ``ratio`` of ``large`` and failed ``failures`` times."""
    chance = random.Random(5)
    scenario = builder.scenario(scenarios.etl(), runs, lambda _: {"extract": 60.0, "transform": 30.0, "load": 30.0})
    records = []
    for i, run in enumerate(scenario.runs):
        small = i % 2 == 1
        amount = (ratio if small else 1.0) * chance.lognormvariate(0.0, spread)
        key = f"transform{MODEL}{'small' if small else 'large'}"
        record = with_metrics(run, {COST: {run.run: {key: amount}}})
        records.append(_failed(record) if small and i // 2 < failures else record)
    policy = Policy(extra_metrics=(COST,))
    result = pipeline.analyze_workflow(scenario.definition, records, policy, profile="p", now=NOW)
    items = (*result.recommendations, *result.minor)
    return next((r for r in items if r.id == "budget.model.transform"), None)


def _failed(run: RunRecord) -> RunRecord:
    steps = tuple(replace(e, outcome=Outcome.FAILED) if e.step == "transform" else e for e in run.steps)
    return replace(run, steps=steps, outcome=Outcome.FAILED)


def test_a_model_that_costs_less_is_named_with_its_interval() -> None:
    item = found(0.6)
    assert item is not None
    assert item.action == "Change model of transform: large -> small"
    assert "the same step cost 35% less (27 to 42%) than on large at the same success rate" in item.because
    assert "in 21 executions against 21 (14d)" in item.because
    assert item.expected.startswith("27 to 42% less USD per execution")
    assert item.saving_per_month is not None
    assert item.saving_per_month.low > 0
    # how many of the runs to come use the large model is known from 42 runs, too: 38 to 62%
    low, high = item.saving_per_month.low, item.saving_per_month.high
    assert low < 0.73 * item.saving_per_month.likely
    assert high > 1.29 * item.saving_per_month.likely


def test_silence_without_a_certain_saving_or_with_more_failures() -> None:
    assert found(1.0) is None
    assert found(0.97, spread=0.6) is None
    assert found(0.6, failures=12) is None
    assert found(0.6, runs=8) is None


def test_amounts_add_up_over_models_and_the_largest_names_the_step() -> None:
    run = builder.scenario(scenarios.etl(), 1, lambda _: {"extract": 60.0, "transform": 30.0, "load": 30.0}).runs[0]
    reported = with_metrics(run, {COST: {run.run: {f"transform{MODEL}a": 1.0, f"transform{MODEL}b": 3.0, "load": 2.0}}})
    by = {e.step: e for e in reported.steps}
    assert (by["transform"].extra["llm-cost"], by["transform"].model) == (4.0, "b")
    assert (by["load"].extra["llm-cost"], by["load"].model) == (2.0, None)
    assert reported.extra["llm-cost"] == 6.0
