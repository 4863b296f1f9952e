"""``objective-at-risk``: a date when a trend leads beyond a limit, and silence for what is safe or missed already."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from concertmaster.core.model import Outcome
from concertmaster.core.model.policy import Objectives, Quantiles
from tests.support.builders import DAY, NOW
from tests.support.core import scenarios
from tests.support.core.scenario_builder import Pod, noise, scenario
from tests.support.core.scenarios import etl


def test_gives_the_date_the_slope_and_the_step() -> None:
    item = scenarios.objective_at_risk().one("objective-at-risk")
    assert item.id == "objective-at-risk.duration-p50"
    found = re.search(r"will miss objective of \S+ on (\d{4}-\d\d-\d\d)$", item.action)
    assert found is not None
    due = datetime.fromisoformat(found[1]).replace(tzinfo=UTC).timestamp()
    # now 99 + 240 * 1.21 = 389 s, 7.1% a week: 7m00s in about 1.1 weeks
    assert (due - NOW) / DAY == pytest.approx(7.8, abs=3)
    assert "most of it from transform" in item.because
    assert item.current.startswith("duration p50 6m2")


def test_silence_without_a_trend_or_far_from_the_limit_or_beyond_it() -> None:
    base = scenarios.objective_at_risk()
    for limit in (3600.0, 300.0):
        assert (
            replace(base, objectives=Objectives(duration=Quantiles(p50=limit))).recommended("objective-at-risk") == []
        )
    value = noise(spread=0.05)
    flat = scenario(etl(), 42, lambda _: {"extract": value(60), "transform": value(240), "load": value(30)})
    assert replace(flat, objectives=Objectives(duration=Quantiles(p50=400.0))).recommended("objective-at-risk") == []
    assert replace(base, objectives=Objectives()).recommended("objective-at-risk") == []


def test_growth_that_passed_an_objective_which_the_window_still_meets_is_reported() -> None:
    """The median of the window is about 351 s, the level at its end 386 s."""
    passed = replace(scenarios.objective_at_risk(), objectives=Objectives(duration=Quantiles(p50=372.0)))
    item = passed.one("objective-at-risk")
    found = re.fullmatch(r"Stop growth of duration p50: missed objective of 6m12s on (\d{4}-\d\d-\d\d)", item.action)
    assert found is not None
    ago = NOW - datetime.fromisoformat(found[1]).replace(tzinfo=UTC).timestamp()
    assert 0 < ago / DAY < 7
    assert item.otherwise == "the objective is missed as older runs leave the window, which as a whole still meets it"
    assert item.objective == "duration p50"


def test_growth_that_passed_the_template_of_the_workflows_type_is_reported_too() -> None:
    passed = replace(scenarios.objective_at_risk(), objectives=Objectives(duration_by_type={"sequential": 372.0}))
    assert "missed objective of 6m12s" in passed.one("objective-at-risk").action


def test_success_that_falls_is_reported_before_the_window_shows_it() -> None:
    failing = {84, 93, 101, 110, 117}

    def work(i: int) -> dict[str, Pod | float]:
        return {"extract": 60.0, "transform": Pod(240, fails="Error" if i in failing else None), "load": 30.0}

    item = scenario(etl(), 120, work, every=DAY / 10, objectives=Objectives(min_success=0.95)).one("objective-at-risk")
    assert item.id == "objective-at-risk.success"
    assert "5 of the last 40 runs failed, 0 of the 80 before them (14d)" in item.because
    assert "still has 95.8%" in item.because


def test_steady_success_is_silent() -> None:
    def work(i: int) -> dict[str, Pod | float]:
        return {"extract": 60.0, "transform": Pod(240, fails="Error" if i % 30 == 7 else None), "load": 30.0}

    calm = scenario(etl(), 120, work, every=DAY / 10, objectives=Objectives(min_success=0.95))
    assert calm.recommended("objective-at-risk") == []


def test_runs_whose_outcome_nobody_knows_say_nothing_of_success() -> None:
    steady = scenario(etl(), 40, lambda _: {"extract": 60.0}, objectives=Objectives(min_success=0.95))
    unknown = replace(steady, runs=tuple(replace(r, outcome=Outcome.ENDED) for r in steady.runs))
    assert unknown.recommended("objective-at-risk") == []
