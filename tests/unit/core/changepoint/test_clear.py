"""Changes that are clear enough to act on."""

from __future__ import annotations

import pytest

from concertmaster.core.changepoint import ChangePoint, Direction
from concertmaster.core.changepoint.clear import direction_if_clear, last_clear


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
