"""What extra metrics with a role bring: objectives, prices, caches, batches and rates."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from concertmaster.api.models.policy import OptimizationPolicy
from concertmaster.api.resolve import resolve
from concertmaster.core import pipeline
from concertmaster.core.analysis.objectives import ObjectiveAssessment, ObjectiveResult
from concertmaster.core.model import MetricRole, Recommendation
from concertmaster.core.model.enums import Per
from concertmaster.core.model.inputs import ExtraMetric
from concertmaster.core.model.policy import Objectives, Policy, Pricing
from concertmaster.report import result
from tests.support.builders import NOW
from tests.support.core import scenario_builder as builder
from tests.support.core import scenarios

TOKENS = ExtraMetric("tokens", "t", Per.STEP, "tokens", MetricRole.TOKENS)
ITEMS = ExtraMetric("pages", "p", Per.STEP, "pages", MetricRole.ITEMS)
HITS = ExtraMetric("hits", "h", Per.RUN, "percent", MetricRole.CACHE_HITS)
ERRORS = ExtraMetric("errors", "e", Per.STEP, None, MetricRole.ERRORS)
PRICED = Pricing(units={"tokens": 1e-5})


def analyzed(
    *metrics: ExtraMetric, overhead: float = 2000.0, hits: float = 40.0, **policy: object
) -> pipeline.AnalysisResult:
    """40 runs of an agent: each call takes ``overhead`` tokens and 100 for each page, and fails on a page in twenty."""
    chance = random.Random(3)

    def work(i: int) -> builder.Work:
        pages = float(chance.randint(5, 30))
        extra = {"tokens": overhead + 100.0 * pages, "pages": pages, "errors": 0.05 * pages}
        return {"extract": 60.0, "transform": builder.Pod(30.0, extra=extra), "load": 30.0}

    scenario = builder.scenario(scenarios.etl(), 40, work)
    sums = [
        {n: sum(e.extra.get(n, 0.0) for e in r.steps) for n in ("tokens", "pages", "errors")} for r in scenario.runs
    ]
    runs = [replace(r, extra={"hits": hits, **extra}) for r, extra in zip(scenario.runs, sums, strict=True)]
    settings = Policy(extra_metrics=metrics, pricing=PRICED, **policy)  # type: ignore[arg-type]
    return pipeline.analyze_workflow(scenario.definition, runs, settings, profile="p", now=NOW)


def item(found: pipeline.AnalysisResult, name: str) -> Recommendation | None:
    return next((r for r in (*found.recommendations, *found.minor) if r.id == name), None)


def objective(found: pipeline.AnalysisResult, name: str) -> ObjectiveAssessment:
    return next(o for o in found.analysis.objectives if o.name == name)


def test_cache_hits_meet_their_objective_or_are_to_be_raised() -> None:
    found = analyzed(HITS, TOKENS, objectives=Objectives(min_cache_hit=0.7))
    assert objective(found, "cache hits (hits)").verdict is ObjectiveResult.MISSED
    recommended = item(found, "budget.hits")
    assert recommended is not None and recommended.action == "Raise hits from 40% to 70%"
    assert recommended.saving_per_month is not None  # half of the lookups that miss, at the price of their tokens
    tokens = sum(r.extra["tokens"] for r in found.analysis.runs) / len(found.analysis.runs)
    assert recommended.saving_per_month.likely == pytest.approx(0.5 * tokens * 1e-5 * 90, rel=0.05)
    met = analyzed(HITS, TOKENS, hits=75.0, objectives=Objectives(min_cache_hit=0.7))
    assert objective(met, "cache hits (hits)").verdict is ObjectiveResult.MET
    assert item(met, "budget.hits") is None


def test_tokens_paid_per_call_are_shared_by_larger_batches() -> None:
    recommended = item(analyzed(TOKENS, ITEMS), "batch-small-steps.transform.tokens")
    assert recommended is not None and recommended.action == "Give transform twice the items per call"
    assert "each call takes 2,000 tokens whatever it works on and 100 for each" in recommended.because
    assert recommended.saving_per_month is not None and recommended.saving_per_month.likely > 0
    assert item(analyzed(TOKENS, ITEMS, overhead=100.0), "batch-small-steps.transform.tokens") is None
    assert item(analyzed(replace(TOKENS, role=None), ITEMS), "batch-small-steps.transform.tokens") is None


def test_errors_per_item_are_an_objective() -> None:
    found = objective(analyzed(ERRORS, ITEMS), "errors per item")
    assert (found.actual, found.verdict) == ("5.0%", ObjectiveResult.MET)


def test_items_give_rate_and_cost_of_one() -> None:
    (line,) = [s for s in result.view(analyzed(ITEMS, TOKENS))["insightSentences"] if "pages" in s]
    assert line.startswith("A run works on ") and " a second, " in line and "USD each (medians)" in line


def test_cost_needs_no_price_of_its_own() -> None:
    spec = {"extraMetrics": [{"name": "spent", "role": "Cost", "query": "sum by (run) (last_over_time(c[$window]))"}]}
    policy = resolve(
        None, OptimizationPolicy.model_validate({"metadata": {"name": "p", "namespace": "n"}, "spec": spec})
    )
    assert policy.pricing.units == {"spent": 1.0}
