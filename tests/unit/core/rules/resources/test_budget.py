"""``budget``: ceilings on metrics and money, with the step that takes most and what of it looks avoidable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from concertmaster.core.model import Recommendation
from concertmaster.core.model.policy import Objectives
from tests.support.core import scenarios
from tests.support.core.scenario_builder import Work, scenario
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
    assert item.current.startswith("0.00385 USD")
    assert replace(base, objectives=Objectives(max_cost_per_run=1.0)).recommended("budget") == []


def test_a_budget_of_a_metric_named_cost_is_not_the_objective_on_money() -> None:
    """Both were called ``cost per run``, and one recommendation took the place of the other."""
    base = scenario(etl(), 20, lambda _: STEPS, objectives=Objectives(max_cost_per_run=0.002, budgets={"cost": 1.0}))
    made = replace(base, runs=tuple(replace(r, extra={"cost": 1.5}) for r in base.runs))
    items = {i.id: i for i in made.recommended("budget")}
    assert {n: i.objective for n, i in items.items()} == {
        "budget.cost": "cost per run",
        "budget.metric-cost": "metric-cost per run",
    }
    assert items["budget.metric-cost"].action.startswith("Bring cost below the budget of 1 per run")


@pytest.mark.parametrize("ceiling", [Objectives(budgets={"tokens": 1000.0}), Objectives(max_cost_per_run=0.002)])
def test_runs_before_a_clear_change_say_nothing_of_those_to_come(ceiling: Objectives) -> None:
    """Runs that cost 0.004 USD and 1500 tokens, and such that cost a quarter."""

    def made(over: Callable[[int], bool]) -> list[Recommendation]:
        def work(i: int) -> Work:
            part = 1.0 if over(i) else 0.25
            return {n: part * s for n, s in STEPS.items()}

        base = scenario(etl(), 40, work, objectives=ceiling)
        tokens = [1500.0 if over(i) else 375.0 for i in range(40)]
        runs = tuple(replace(r, extra={"tokens": t}) for r, t in zip(base.runs, tokens, strict=True))
        return replace(base, runs=runs).recommended("budget")

    assert made(lambda i: i < 25) == []
    (late,) = made(lambda i: i >= 25)
    (always,) = made(lambda _: True)
    assert "15 of the last 15 runs" in late.because
    assert "40 of 40 runs" in always.because


@pytest.mark.parametrize("expensive", [60, 118, 119])
def test_one_expensive_run_is_no_change_wherever_it_is(expensive: int) -> None:
    base = scenario(etl(), 120, lambda _: STEPS, every=7200.0, objectives=Objectives(budgets={"tokens": 1000.0}))
    extra = [{"tokens": 5000.0 if i == expensive else 500.0} for i in range(120)]
    runs = tuple(replace(r, extra=e) for r, e in zip(base.runs, extra, strict=True))
    assert replace(base, runs=runs).one("budget").because.startswith("1 of 120 runs")


def test_within_budget_unknown_metrics_and_no_budget_are_silent() -> None:
    base = scenarios.budget()
    for budgets in ({"tokens": 300_000.0}, {"calls": 1.0}, {}):
        assert replace(base, objectives=Objectives(budgets=budgets)).recommended("budget") == []
