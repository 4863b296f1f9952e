"""Status, rows of the fleet, series and JSON show one and the same figure: whoever reads it has it from one analysis."""

from __future__ import annotations

from dataclasses import replace

import pytest

from concertmaster.core.fleet.ranking import totals
from concertmaster.core.lifecycle.history import RecommendationHistory
from concertmaster.core.lifecycle.states import Observation, advance
from concertmaster.core.model.policy import Policy
from concertmaster.core.pipeline import AnalysisResult, analyze_workflow
from concertmaster.report import result as results
from concertmaster.report.view import View, number
from concertmaster.report.workflow_series import samples
from concertmaster.report.workflows import top
from concertmaster.report.workflows.rows import workflow_row
from tests.support.builders import NOW
from tests.support.core.cases import Case, cases
from tests.support.core.scenario_builder import argo, scenario, task

DIGITS = 0.005  # three significant digits, as texts of a status have them


def profile(result: AnalysisResult) -> View:
    """A profile with the status of this analysis."""
    return {"metadata": {"namespace": "data", "name": "etl"}, "spec": {}, "status": results.first_status(result)}


def series(result: AnalysisResult) -> dict[str, float]:
    """The series without labels, and those of money."""
    memory = advance(RecommendationHistory(), Observation(result.analysis.now, results.current(result)))
    return {s.family: s.value for s in samples(result, memory) if len(s.labels) < 2}


@pytest.mark.parametrize("case", cases(), ids=lambda c: c.name)
def test_cost_rate_and_worth_are_the_same_everywhere(case: Case) -> None:
    result = case.analysed()
    row, found, view = workflow_row(profile(result)), series(result), results.view(result)["cost"]
    cost = result.analysis.cost
    for of_row, family, shown, figure in (
        (row.cost_per_month, "cost", view["perMonth"], cost.per_month),
        (row.runs_per_month, "runs_per_month", view["runsPerMonth"], cost.runs_per_month),
    ):
        assert found.get(family) == figure
        assert shown == pytest.approx(figure, rel=1e-5)
        assert of_row == pytest.approx(figure, abs=1e-4)
    worth = totals(list(top.headlines(profile(result))))
    assert found["saving"] == pytest.approx(sum(worth.money.values()), rel=DIGITS, abs=1e-3)
    assert found["saving_hours"] == pytest.approx(worth.run_hours, rel=DIGITS, abs=1e-3)


def test_runs_that_began_together_have_one_rate() -> None:
    """Their starts say nothing about the next: eight runs at once are eight a day, not eight an hour."""
    made = scenario(argo(task("a")), 8, lambda _: {"a": 1800.0}, every=5.0)
    batch = analyze_workflow(made.definition, made.runs, Policy(), profile="etl", now=NOW + 7200.0)
    rate = batch.analysis.cost.runs_per_month
    assert rate is not None and rate < 400
    assert workflow_row(profile(batch)).runs_per_month == pytest.approx(rate, abs=1e-4)


def test_time_that_two_recommendations_would_both_save_counts_once() -> None:
    result = next(c for c in cases() if c.name == "regression").analysed()
    (item,) = [r for r in result.recommendations if r.id == "degradation.transform"]
    both = replace(result, recommendations=(item, replace(item, id="split-long-step.transform")))
    hours = totals(list(top.headlines(profile(both)))).run_hours
    assert series(both)["saving_hours"] == pytest.approx(hours, rel=DIGITS)
    assert series(both)["saving_hours"] == series(replace(result, recommendations=(item,)))["saving_hours"]


def test_a_figure_keeps_its_type_whoever_asked_for_it_before() -> None:
    """JSON has 2 and 2.0."""
    for value in (2.0, 2, 2.0, True):
        assert type(number(value)) is type(round(value, 5))
    assert (number(float("nan")), number(None), number(0), number(-0.0)) == (None, None, 0.0, 0.0)
    assert (number(2 / 3), number(2 / 3, 2)) == (0.666667, 0.67)
