"""Marks of an axis: round, few, and never beyond the end."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concertmaster.web.charts.axis import marks


@pytest.mark.parametrize(
    ("end", "labels"),
    [
        (1796.0, ["0", "5m00s", "10m00s", "15m00s", "20m00s", "25m00s"]),
        (57.0, ["0", "10s", "20s", "30s", "40s", "50s"]),
        (4 * 3600.0, ["0", "1h00m", "2h00m", "3h00m", "4h00m"]),
    ],
)
def test_people_can_count_by_them(end: float, labels: list[str]) -> None:
    assert [label for _, label in marks(end)] == labels


@given(st.floats(1e-3, 1e8), st.integers(2, 10))
def test_they_are_few_even_and_within_the_axis(end: float, most: int) -> None:
    found = [at for at, _ in marks(end, most)]
    assert found[0] == 0.0
    assert 1 <= len(found) <= most + 1
    assert found[-1] <= end * (1 + 1e-6)
    steps = {round(b - a, 6) for a, b in pairwise(found)}
    assert len(steps) <= 1
