"""Changes that are clear enough to act on."""

from __future__ import annotations

import pytest

from concertmaster.core.changepoint import ChangePoint, Detection, Direction, Ramp
from concertmaster.core.changepoint.clear import direction_if_clear, last_clear, lasting_growth, lasting_increase
from concertmaster.core.units import DAY


def point(ratio: float, chance: float, low: float, high: float, index: int = 0) -> ChangePoint:
    direction = Direction.UP if ratio > 1 else Direction.DOWN
    return ChangePoint(index, float(index), ratio, low, high, direction, 1.0 - chance)


@pytest.mark.parametrize(
    ("change", "way"),
    [
        pytest.param(point(1.3, 1e-6, 1.2, 1.4), 1, id="up"),
        pytest.param(point(0.7, 1e-6, 0.6, 0.8), -1, id="down"),
        pytest.param(point(1.05, 1e-6, 1.04, 1.06), 0, id="small"),
        pytest.param(point(0.95, 1e-6, 0.94, 0.96), 0, id="small and down"),
        pytest.param(point(1.3, 1e-3, 1.05, 1.5), 0, id="may be chance"),
        pytest.param(point(1.3, 1e-3, 1.25, 1.35), 1, id="few runs that hardly vary"),
        pytest.param(point(0.7, 1e-3, 0.67, 0.73), -1, id="few runs that hardly vary, down"),
        pytest.param(point(0.7, 1e-3, 0.4, 0.9), 0, id="down, may be chance"),
    ],
)
def test_a_change_is_clear_if_it_is_significant_and_large(change: ChangePoint, way: int) -> None:
    assert direction_if_clear(change, 0.1) == way


def test_the_newest_clear_change_is_the_last() -> None:
    up, down, chance = point(1.5, 1e-6, 1.4, 1.6, 3), point(0.6, 1e-6, 0.5, 0.7, 9), point(1.2, 1e-2, 0.9, 1.3, 12)
    assert last_clear([up, down, chance], 0.1) is down
    assert last_clear([up, chance], 0.1) is up
    assert last_clear([chance], 0.1) is None


def test_a_level_of_a_day_is_not_the_last_where_levels_come_and_go() -> None:
    """Times are in seconds: nothing lasts two days before the last level does."""
    up, down = point(1.5, 1e-6, 1.4, 1.6, 3), point(0.6, 1e-6, 0.5, 0.7, 9)
    again, more = point(1.4, 1e-6, 1.3, 1.5, 12), point(1.3, 1e-6, 1.2, 1.4, 15)
    assert last_clear([up, down, again], 0.1, until=DAY) is None
    assert last_clear([up, down, again], 0.1, until=3 * DAY) is again
    assert last_clear([up, down], 0.1, until=DAY) is down  # a regression that ended
    assert last_clear([up, again, more], 0.1, until=DAY) is more  # growth, step by step


def test_a_level_that_came_and_went_twice_does_so_again() -> None:
    up, down = point(1.5, 1e-6, 1.4, 1.6, 3), point(0.6, 1e-6, 0.5, 0.7, 9)
    again, gone = point(1.5, 1e-6, 1.4, 1.6, 12), point(0.6, 1e-6, 0.5, 0.7, 15)
    assert last_clear([up, down, again, gone], 0.1) is None
    assert last_clear([down, again, gone, point(1.5, 1e-6, 1.4, 1.6, 18)], 0.1) is None
    assert last_clear([up, down, gone], 0.1) is gone  # a lower level after one that came and went once
    assert last_clear([up, down, again, point(0.95, 1e-6, 0.94, 0.96, 15)], 0.1) is again


def _growth(*more: ChangePoint, low: float = 1.2, confidence: float = 0.99) -> Detection:
    """Two pieces of 8% each, that a ramp of 25% explains, and what came after it."""
    pieces = point(1.08, 1e-2, 1.02, 1.14, 20), point(1.08, 1e-2, 1.02, 1.14, 40)
    ramp = Ramp(5, 50, 1.25, low, 1.25**2 / low, (0, 1), 5.0, 50.0, (0.0, 0.0), confidence)
    return Detection((*pieces, *more), None, True, ramps=(ramp,))


def test_growth_may_be_clear_as_a_whole_where_none_of_its_pieces_is() -> None:
    trend = _growth()
    assert lasting_increase(trend.points, 0.1) is None
    assert lasting_growth(trend, 0.1) == (trend.points[1], trend.ramps[0])


def test_growth_is_not_clear_if_its_interval_is_wide_and_its_pieces_may_be_chance() -> None:
    assert lasting_growth(_growth(low=1.1), 0.1) is None


def test_growth_may_be_clear_by_its_line_where_its_pieces_may_be_chance() -> None:
    trend = _growth(low=1.1, confidence=0.9999)
    assert lasting_growth(trend, 0.1) == (trend.points[1], trend.ramps[0])


def test_growth_that_is_over_is_none() -> None:
    assert lasting_growth(_growth(point(0.8, 1e-6, 0.75, 0.85, 60)), 0.1) is None


def test_a_step_after_growth_is_no_growth() -> None:
    assert lasting_growth(_growth(point(1.4, 1e-6, 1.35, 1.45, 60)), 0.1) is None
