"""``degradation``: a level that went up and stays, distinguished from the hour, the day of the week and accident."""

from __future__ import annotations

import pytest

from concertmaster.core.times import weekend
from tests.support.builders import DAY, NOW
from tests.support.core import scenarios
from tests.support.core.rules_world import Work, argo, noise, scene, task
from tests.support.core.scenarios import etl


def test_a_step_that_became_slower_is_named_with_its_time() -> None:
    item = scenarios.degradation().one("degradation")
    assert item.id == "degradation.transform"
    assert item.gain_seconds is not None
    assert item.gain_seconds.likely == pytest.approx(120, rel=0.1)


def test_working_days_after_a_weekend_are_no_degradation() -> None:
    """Every six hours from a Saturday to a Thursday."""
    value, every, count = noise(spread=0.03), DAY / 4, 22

    def work(i: int) -> Work:
        busy = not weekend(NOW - (count - i) * every)
        return {"extract": value(60), "transform": value(450 if busy else 300), "load": value(30)}

    week = scene(etl(), count, work, every=every)
    assert week.analysis().trend.points, "the case must tempt the rule"
    assert week.recommended("degradation") == []


@pytest.mark.parametrize("seed", [1048, 1902])
def test_a_change_that_chance_brings_about_is_silent(seed: int) -> None:
    """One in 400 series without a change shows one that is significant by itself: nobody is sent after it."""
    value = noise(seed, spread=0.4)
    steady = scene(argo(task("a")), 42, lambda _: {"a": value(300)})
    assert steady.analysis().trend.points, "the case must tempt the rule"
    assert steady.recommended("degradation") == []
