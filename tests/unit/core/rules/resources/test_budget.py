"""``budget``: ceilings on metrics and money, with the step that takes most and what of it looks avoidable."""

from __future__ import annotations

from dataclasses import replace

import pytest

from concertmaster.core.model.policy import Objectives
from tests.support.core import scenarios
from tests.support.core.scenario_builder import scenario
from tests.support.core.scenarios import STEPS, etl


def test_counts_the_runs_over_budget_and_names_the_step() -> None:
    item = scenarios.budget().one("budget")
    assert item.id == "budget.tokens"
    assert item.step == "draft"
    assert "14 of 42 runs used more (14d): median 150,000 tokens, largest 250,000 tokens" in item.because
    assert "draft takes 67% of it (50% on inputs seen before)" in item.because
    assert "16,667 tokens less per run on average" in item.expected
    assert item.saving_per_month is not None
    assert item.saving_per_month.likely == pytest.approx(50_000 / 3 * 2e-6 * 90, rel=0.01)


def test_money_per_run() -> None:
    # A core and a GiB for 400 s cost about 0.004 USD.
    base = scenario(etl(), 20, lambda _: STEPS, objectives=Objectives(max_cost_per_run=0.002))
    item = base.one("budget")
    assert item.id == "budget.cost"
    assert "20 of 20 runs cost more" in item.because
    assert item.current.startswith("0.0039 USD")
    assert replace(base, objectives=Objectives(max_cost_per_run=1.0)).recommended("budget") == []


def test_within_budget_unknown_metrics_and_no_budget_are_silent() -> None:
    base = scenarios.budget()
    for budgets in ({"tokens": 300_000.0}, {"calls": 1.0}, {}):
        assert replace(base, objectives=Objectives(budgets=budgets)).recommended("budget") == []
