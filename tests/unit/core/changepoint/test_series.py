"""Series made ready together: each as it is alone, whatever the others lack."""

from __future__ import annotations

import numpy as np
import pytest

from concertmaster.core.changepoint.grouped import as_rows, in_groups
from concertmaster.core.changepoint.seasons import (
    Calendar,
    explained_by_hour,
    explained_by_weekend,
    without_seasons,
)
from concertmaster.core.changepoint.series import RunSeries, Series, prepare_many

DAY = 86400.0
N = 20
TIMES = [1.7e9 + DAY * k for k in range(N)]
VALUES = [60.0 + k for k in range(N)]
SIZES = [1e6 + k for k in range(N)]
TIDY = Series(TIMES, VALUES)


def _without(values: list[float], place: int, other: float | None) -> list[float | None]:
    return [*values[:place], other, *values[place + 1 :]]


@pytest.mark.parametrize(
    ("series", "indices"),
    [
        (TIDY, list(range(N))),
        (Series(TIMES, VALUES, SIZES), list(range(N))),
        (Series(TIMES[::-1], VALUES), list(range(N))[::-1]),
        (Series(TIMES, _without(VALUES, 3, None)), [k for k in range(N) if k != 3]),
        (Series(_without(TIMES, 4, float("inf")), VALUES), [k for k in range(N) if k != 4]),
        (Series(None, VALUES), list(range(N))),
        (Series(TIMES, _without(VALUES, 5, 0.0)), list(range(N))),
        (Series(TIMES, _without(VALUES, 5, -1.0)), [k for k in range(N) if k != 5]),
        (Series(TIMES, VALUES, _without(SIZES, 19, None)), list(range(N - 1))),
        (Series(TIMES, VALUES, [None] * N), list(range(N))),
    ],
)
def test_a_series_is_the_same_between_tidy_ones(series: Series, indices: list[int]) -> None:
    first, found, last = prepare_many([TIDY, series, TIDY])
    assert isinstance(found, RunSeries)
    assert found.indices.tolist() == indices
    assert repr(found) == repr(prepare_many([series])[0])
    assert repr(first) == repr(last) == repr(prepare_many([TIDY])[0])


@pytest.mark.parametrize(
    ("series", "reason"),
    [
        (Series(TIMES, VALUES[:-1]), "19 values, 20 times and 19 input sizes: one of each per run is needed"),
        (Series(TIMES, VALUES, SIZES[:-1]), "20 values, 20 times and 19 input sizes: one of each per run is needed"),
        (Series(TIMES[:11], VALUES[:11]), "11 of 12 values needed to tell a change"),
        (Series(TIMES, [*[None] * 10, *VALUES[10:]]), "10 of 12 values needed to tell a change"),
    ],
)
def test_a_series_that_cannot_be_used_says_why(series: Series, reason: str) -> None:
    assert prepare_many([TIDY, series])[1] == reason


def test_only_series_with_a_season_lose_one() -> None:
    rng = np.random.default_rng(1)
    times = 1_761_782_400.0 + np.arange(84) * DAY / 4
    quiet = [5.0 + 0.05 * rng.standard_normal(times.size) for _ in range(3)]
    daily = quiet[0] + 0.3 * np.sin(2 * np.pi * times / DAY)
    weekly = quiet[1] + 0.5 * ((times + 3 * DAY) // DAY % 7 >= 5)
    hours = explained_by_hour(Calendar(times), daily)
    weekends = explained_by_weekend(Calendar(times), weekly)
    assert hours is not None
    assert weekends is not None
    left = without_seasons(times, [quiet[0], daily, quiet[2], weekly])
    assert left[0] is quiet[0]
    assert left[2] is quiet[2]
    assert left[1].tolist() == (daily - hours).tolist()
    assert left[3].tolist() == (weekly - weekends).tolist()


def test_results_of_groups_come_in_the_order_of_their_items() -> None:
    groups: list[list[str]] = []

    def upper(words: list[str]) -> list[str]:
        groups.append(words)
        return [word.upper() for word in words]

    assert in_groups(["a", "bc", "d", "ef"], len, upper) == ["A", "BC", "D", "EF"]
    assert groups == [["a", "d"], ["bc", "ef"]]
    assert in_groups([], len, upper) == []


def test_rows_are_a_copy() -> None:
    values = np.arange(3.0)
    rows = as_rows([values, values])
    rows[0] = 7.0
    assert rows.tolist() == [[7.0, 7.0, 7.0], [0.0, 1.0, 2.0]]
    assert values.tolist() == [0.0, 1.0, 2.0]
