"""A recommendation states one interval, whichever line of the status one reads; what is measured later gets a wider one."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from concertmaster.core.lifecycle.history import RecommendationHistory, RelativeEffect
from concertmaster.core.lifecycle.implementation import Field
from concertmaster.core.lifecycle.states import Observation, advance
from concertmaster.core.model import Interval
from concertmaster.core.pipeline import AnalysisResult
from concertmaster.report import impact
from concertmaster.report.result import current, first_status
from tests.support.builders import NOW
from tests.support.core.cases import Case, cases

_PROMISED = re.compile(r"(Duration|Cost) ([-+0-9.]+)% \(([-+0-9.]+) to ([-+0-9.]+)%\)")


def _promising() -> list[Case]:
    return [c for c in cases() if c.name in ("over-requested", "limit-too-low", "regression")]


def _whole(result: AnalysisResult, measure: str) -> float:
    """What a promised share is a share of: a month's cost, or 1."""
    return (result.monthly_cost or 0.0) if measure == "Cost" else 1.0


@pytest.mark.parametrize("case", _promising(), ids=lambda c: c.name)
def test_promised_expected_and_impact_of_a_recommendation_have_the_same_interval(case: Case) -> None:
    result = case.analysed()
    (entry,), (item,) = first_status(result)["recommendations"], result.recommendations
    found = _PROMISED.fullmatch(entry["promised"])
    assert found is not None
    stated = item.gain_share if found[1] == "Duration" else item.saving_per_month
    assert stated is not None
    whole = _whole(result, found[1])
    likely, most, least = (-float(v) / 100.0 * whole for v in found.groups()[1:])
    assert [least, likely, most] == pytest.approx([stated.low, stated.likely, stated.high], abs=0.0006 * whole)
    worth = impact.parse(entry["impact"])
    shown = worth.run_minutes or worth.money
    assert shown is not None
    assert _relative(shown) == pytest.approx(_relative(Interval(least, likely, most)), abs=0.15)


def _relative(interval: Interval) -> list[float]:
    return [interval.low / interval.likely, interval.high / interval.likely]


@pytest.mark.parametrize("case", _promising(), ids=lambda c: c.name)
def test_what_was_applied_is_promised_within_the_variation_of_later_runs(case: Case) -> None:
    (item,) = current(case.analysed())
    given = replace(item, fields=(Field("/spec/parallelism", "1", "2"),))
    history = advance(RecommendationHistory(), Observation(NOW, [given]))

    def promised(spread: float) -> RelativeEffect:
        done = Observation(NOW + 1, [], target={"spec": {"parallelism": 2}}, spread=lambda: spread)
        (outcome,) = advance(history, done).outcomes
        return outcome.promised

    assert promised(0.05).likely == item.promised.likely
    assert _width(promised(0.05)) > _width(promised(0.01)) > _width(item.promised)


def _width(effect: RelativeEffect) -> float:
    assert effect.low is not None
    assert effect.high is not None
    return effect.high - effect.low
