"""What is published and how severe it is: by absolute amounts a month, with a lower threshold for what stands already."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concertmaster.core.analysis.workflow import Analysis, analyze
from concertmaster.core.fleet.materiality import assess, impact, value
from concertmaster.core.fleet.ranking import Headline, ranked, totals
from concertmaster.core.model import Category, Impact, Interval, Outcome, Recommendation, Severity
from concertmaster.core.model.policy import AnalysisSettings, Materiality, Objectives, Policy, Pricing, Quantiles
from concertmaster.core.rules import rank
from tests.support.builders import DAY, NOW, daily, definition, recommendation, step

CHAIN = definition(step("extract"), step("load", ["extract"], 1))


def analysis(policy: Policy | None = None) -> Analysis:
    """One run of ten minutes a day: 30 runs and 5 hours a month."""
    return analyze(CHAIN, daily(CHAIN.graph, 14, lambda _: {"extract": 300, "load": 300}), now=NOW, policy=policy)


def item(**promises: object) -> Recommendation:
    return recommendation("r.s", **{"category": Category.COST, "confidence": 0.9, **promises})


def around(likely: float, low: float | None = None) -> Interval:
    return Interval(0.8 * likely if low is None else low, likely, 1.2 * likely)


def faster(seconds: float, low: float | None = None) -> Recommendation:
    return item(gain_seconds=around(seconds, low), gain_share=around(seconds / 600, None if low is None else low / 600))


def test_an_effect_a_month_has_the_error_of_the_run_rate() -> None:
    """Twenty to 45 runs a month instead of 30; what may be nothing in a run may be nothing in a month, and is no loss."""
    known = analysis()
    unsure = replace(known, cost=replace(known.cost, rate=Interval(20.0, 30.0, 45.0)))
    made = item(gain_seconds=around(120), failures_avoided=around(0.1, low=0.0), saving_per_month=around(3.0))
    by_run, by_month = impact(made, known), impact(made, unsure)
    for measure in ("run_minutes", "failed_runs", "money"):
        exact, wide = getattr(by_run, measure), getattr(by_month, measure)
        assert wide.likely == pytest.approx(exact.likely)
        assert 1.4 < wide.high / wide.likely < 1.7
        assert wide.low < exact.low if exact.low else wide.low == 0.0


@pytest.mark.parametrize(
    ("made", "minor"),
    [
        (faster(120), False),  # a fifth of the run, 60 minutes a month
        (faster(20), True),  # 3% of the run, 10 minutes a month
        (item(gain_seconds=around(120), gain_share=around(0.04)), True),  # an hour a month, but 4% of the run
        (faster(50), True),  # 8% of the run, but 25 minutes a month
        (faster(120, low=-1), True),  # may be nothing
        (item(saving_per_month=around(1.5)), False),
        (item(saving_per_month=around(1.5, low=0.0)), True),
        (item(saving_per_month=around(0.001)), True),
        (item(failures_avoided=around(0.1)), False),  # 3 of 30 runs
        (item(failures_avoided=around(0.02)), True),
        (item(), True),
        (item(objective="cost per run"), False),
        (item(urgent=True), False),
    ],
)
def test_small_or_uncertain_effects_are_minor(made: Recommendation, minor: bool) -> None:
    assessed = assess(made, analysis())
    assert assessed.minor is minor
    assert (assessed.severity is Severity.INFO) is minor


def test_a_tenth_of_the_workflows_cost_is_material_from_a_tenth_of_the_threshold_in_money_on() -> None:
    cost = analysis().cost.per_month
    assert cost is not None
    for money, least in ((cost, 0.1), (2.5 * cost, 0.25)):
        of = analysis(Policy(analysis=AnalysisSettings(materiality=Materiality(money=money))))
        assert not assess(item(saving_per_month=around((least + 0.01) * cost)), of).minor
        assert assess(item(saving_per_month=around((least - 0.01) * cost)), of).minor


def test_a_gain_that_reaches_a_missed_objective_is_material_however_small_it_is() -> None:
    missed = analysis(Policy(objectives=Objectives(duration=Quantiles(p95=590.0))))
    assert not assess(faster(25), missed).minor
    assert assess(faster(25), missed).severity is Severity.MEDIUM
    assert assess(faster(5), missed).minor


def test_a_shorter_run_closes_no_gap_of_a_budget_whose_metric_is_named_duration() -> None:
    missed = analysis(Policy(objectives=Objectives(duration=Quantiles(p95=590.0))))
    budget = [replace(o, name="duration per run") for o in missed.objectives]
    assert assess(faster(25), replace(missed, objectives=tuple(budget))).minor


def test_time_before_a_run_closes_no_gap_of_its_duration() -> None:
    missed = analysis(Policy(objectives=Objectives(duration=Quantiles(p95=590.0))))
    suspended = replace(faster(25), id="queue-time.suspended", rule="queue-time")
    assert assess(suspended, missed).minor
    assert not assess(replace(suspended, id="queue-time"), missed).minor


def test_fewer_failures_that_reach_a_missed_success_objective_are_material_however_rare_the_runs_are() -> None:
    """A weekly workflow that fails once in seven runs has less than one failed run a month."""
    weekly = [
        replace(r, outcome=Outcome.FAILED if i == 3 else r.outcome, start=NOW - (7 - i) * 7 * DAY, end=None)
        for i, r in enumerate(daily(CHAIN.graph, 7, lambda _: {"extract": 300, "load": 300}))
    ]
    runs = [replace(r, end=(r.start or 0.0) + 600.0) for r in weekly]
    of = analyze(CHAIN, runs, now=NOW, policy=Policy(analysis=AnalysisSettings(window_seconds=60 * DAY)))
    enough = assess(item(failures_avoided=around(1 / 7)), of)
    assert enough.impact.failed_runs is not None
    assert enough.impact.failed_runs.likely < 1.0
    assert (enough.minor, enough.severity) == (False, Severity.MEDIUM)
    assert assess(item(failures_avoided=around(0.05)), of).minor, "success would still be below its objective"
    assert assess(item(failures_avoided=around(1 / 7, low=0.0)), of).minor


def test_a_saving_that_reaches_a_missed_cost_objective_is_material_however_small_it_is() -> None:
    cost = analysis().cost
    assert cost.per_run is not None
    assert cost.per_month is not None
    missed = analysis(Policy(objectives=Objectives(max_cost_per_run=0.95 * cost.per_run.total)))
    assert not assess(item(saving_per_month=around(0.06 * cost.per_month)), missed).minor
    assert assess(item(saving_per_month=around(0.04 * cost.per_month)), missed).minor


def test_what_stands_already_leaves_later_than_it_came() -> None:
    assert assess(faster(50), analysis()).minor
    assert not assess(faster(50), analysis(), published=True).minor
    assert assess(faster(30), analysis(), published=True).minor


def test_thresholds_of_zero_publish_everything_that_promises_something() -> None:
    everything = Policy(analysis=AnalysisSettings(materiality=Materiality(0.0, 0.0, 0.0, 0.0, 0.0)))
    assert not assess(faster(1), analysis(everything)).minor


@pytest.mark.parametrize(
    ("made", "severity"),
    [
        (faster(120), Severity.LOW),  # an hour a month
        (item(saving_per_month=around(19.0)), Severity.LOW),
        (item(saving_per_month=around(20.0)), Severity.MEDIUM),
        (item(saving_per_month=around(99.0)), Severity.MEDIUM),
        (item(saving_per_month=around(100.0)), Severity.HIGH),
        (item(saving_per_month=around(999.0)), Severity.HIGH),
        (item(failures_avoided=around(0.5)), Severity.HIGH),  # 15 runs
        (item(saving_per_month=around(1000.0)), Severity.CRITICAL),
        (item(severity=Severity.CRITICAL), Severity.CRITICAL),
    ],
)
def test_severity_is_the_absolute_value(made: Recommendation, severity: Severity) -> None:
    assert assess(made, analysis()).severity is severity


@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_the_scale_adds_time_failures_and_money(minutes: float, failed: float) -> None:
    at = Impact(Interval(0, minutes, minutes), Interval(0, failed, failed), Interval(0, 3, 3))
    assert value(at, Pricing(run_hour=6.0, failed_run=2.0)) == pytest.approx(3 + minutes / 10 + 2 * failed)


def test_broken_predictions_cost_rank() -> None:
    dear, cheap = (
        replace(assess(item(saving_per_month=around(v)), analysis()), rule=r, id=r) for v, r in ((9.0, "a"), (5.0, "b"))
    )
    assert [r.id for r in rank([cheap, dear], Pricing())] == ["a", "b"]
    assert [r.id for r in rank([cheap, dear], Pricing(), trust=lambda rule: 0.1 if rule == "a" else 1.0)] == ["b", "a"]


def headline(profile: str, identifier: str, **impact: Interval) -> Headline:
    return Headline("demo", profile, "x/y", identifier, "act", Impact(**impact), "Low", "Low", "Low", currency="USD")


def test_ranking_is_by_value_and_never_flickers() -> None:
    rows = [
        headline("a", "right-size", money=around(5.0)),
        headline("b", "cache-step.x", run_minutes=around(600.0)),  # 10 hours: 25
        headline("c", "retry-policy.x", failed_runs=around(1.0)),
        headline("b", "right-size", money=around(5.0)),
    ]
    order = [(h.profile, h.id) for h in ranked(rows, Pricing())]
    assert order == [("b", "cache-step.x"), ("c", "retry-policy.x"), ("a", "right-size"), ("b", "right-size")]
    assert [(h.profile, h.id) for h in ranked(rows[::-1], Pricing())] == order


def test_two_ways_to_shorten_one_step_do_not_add_up() -> None:
    rows = [
        headline("a", "cache-step.x", run_minutes=around(600.0)),
        headline("a", "cpu-request.x", run_minutes=around(300.0), money=around(2.0)),
        headline("b", "right-size", money=around(5.0)),
    ]
    total = totals(rows)
    assert (total.recommendations, total.workflows, total.run_hours, total.money) == (3, 2, 10.0, {"USD": 7.0})
