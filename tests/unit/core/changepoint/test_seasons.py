"""Changes of level in series with a daily or a weekly season."""

from __future__ import annotations

import numpy as np
import pytest

from concertmaster.core.changepoint import Direction, detect
from concertmaster.core.changepoint.seasons import Calendar, explained_by_hour, explained_by_weekend

DAY = 86400.0
THURSDAY = 1_761_782_400.0  # 2025-10-30 00:00 UTC
SERIES = 20


def _series(
    seed: int, *, days: int = 14, a_day: int = 4, hours: float = 0.0, weekends: float = 0.0, noise: float = 0.05
) -> tuple[np.ndarray, np.ndarray]:
    """Times and logs of evenly spaced runs."""
    times = THURSDAY + np.arange(days * a_day) * DAY / a_day + 600.0
    off = (times + 3 * DAY) // DAY % 7 >= 5
    logs = 6.0 + hours * np.sin(2 * np.pi * (times % DAY) / DAY) + weekends * off
    return times, logs + noise * np.random.default_rng(seed).standard_normal(times.size)


def _found(times: np.ndarray, logs: np.ndarray) -> list[int]:
    return [p.index for p in detect(times, np.exp(logs)).points if p.direction is Direction.UP]


@pytest.mark.parametrize("a_day", [4, 24])
def test_a_change_of_level_is_found_beside_a_daily_season(a_day: int) -> None:
    near = 0
    for seed in range(SERIES):
        times, logs = _series(seed, a_day=a_day, hours=0.15)
        at = int(9.3 * a_day)
        logs[at:] += 0.18
        near += any(abs(i - at) <= 2 for i in _found(times, logs))
    assert near >= 0.9 * SERIES


def test_a_change_of_level_is_found_shortly_before_a_weekend_of_shorter_runs() -> None:
    near = 0
    for seed in range(SERIES):
        times, logs = _series(seed, weekends=-0.2)
        at = 8 * 4 + 2  # on the second Friday, at noon
        logs[at:] += 0.25
        near += any(abs(i - at) <= 2 for i in _found(times, logs))
    assert near >= 0.9 * SERIES


@pytest.mark.parametrize("weekends", [0.0, -0.35])
def test_a_change_of_level_on_a_weekend_is_one_change(weekends: float) -> None:
    """In two weeks that end on a weekend: the first is between days of different levels, the second has none after it."""
    alone = 0
    for seed in range(SERIES):
        times = THURSDAY + 4 * DAY + np.arange(84) * DAY / 6 + 600.0
        off = (times + 3 * DAY) // DAY % 7 >= 5
        logs = 6.0 + weekends * off + 0.02 * np.random.default_rng(seed).standard_normal(84)
        at = 33 + seed % 6
        logs[at:] += 0.34
        found = _found(times, logs)
        alone += len(found) == 1 and abs(found[0] - at) <= 2
    assert alone >= 0.9 * SERIES


@pytest.mark.parametrize(("hours", "weekends"), [(0.2, 0.0), (0.0, -0.2), (0.15, -0.2)])
def test_a_season_alone_is_no_change_of_level(hours: float, weekends: float) -> None:
    changed = 0
    for seed in range(SERIES):
        times, logs = _series(seed, hours=hours, weekends=weekends)
        changed += bool(detect(times, np.exp(logs)).points)
    assert changed <= 1


def test_the_season_of_the_day_is_told_from_a_change_of_level() -> None:
    times, logs = _series(1, hours=0.15, noise=0.02)
    season = 0.15 * np.sin(2 * np.pi * (times % DAY) / DAY)
    logs[30:] += 0.5
    found = explained_by_hour(Calendar(times), logs)
    assert found is not None
    assert np.abs(found - season).max() < 0.03


def test_the_effect_of_weekends_is_told_from_a_change_of_level_beside_one() -> None:
    times, logs = _series(2, weekends=-0.2, noise=0.02)
    logs[34:] += 0.3
    found = explained_by_weekend(Calendar(times), logs)
    assert found is not None
    off = (times + 3 * DAY) // DAY % 7 >= 5
    assert found[off] == pytest.approx(-0.2, abs=0.03)
    assert not found[~off].any()


@pytest.mark.parametrize("options", [{"a_day": 1}, {"days": 3}, {}], ids=["one run a day", "three days", "no season"])
def test_without_a_daily_season_or_enough_runs_nothing_is_taken_out(options: dict[str, int]) -> None:
    times, logs = _series(3, **options)
    assert explained_by_hour(Calendar(times), logs) is None
    assert explained_by_weekend(Calendar(times), logs) is None


def test_one_slow_weekend_is_not_taken_for_a_season() -> None:
    times, logs = _series(4, noise=0.02)
    logs[(times - THURSDAY) // DAY // 2 == 1] += 0.5
    assert explained_by_weekend(Calendar(times), logs) is None


def test_more_weekends_tell_a_smaller_effect() -> None:
    """One run a day that varies by a tenth, weekends a fifth shorter: of a few weekends the effect is not clear yet."""
    seen = {}
    for days in (28, 84, 168):
        cases = (_series(seed, days=days, a_day=1, noise=0.1, weekends=-0.2) for seed in range(SERIES))
        seen[days] = sum(explained_by_weekend(Calendar(t), logs) is not None for t, logs in cases)
    assert seen[28] < seen[84] <= seen[168]
    assert seen[84] >= 0.85 * SERIES
    cases = (_series(seed, days=84, a_day=1, noise=0.1) for seed in range(SERIES))
    assert not any(explained_by_weekend(Calendar(t), logs) is not None for t, logs in cases)


def test_weekends_that_differ_from_one_another_have_no_effect_in_common() -> None:
    found = 0
    for seed in range(SERIES):
        times, logs = _series(seed, days=84, noise=0.02)
        week = ((times + 3 * DAY) // DAY // 7).astype(int)
        logs += np.where(
            (times + 3 * DAY) // DAY % 7 >= 5, np.random.default_rng(seed).normal(0.0, 0.1, 20)[week - week[0]], 0
        )
        found += explained_by_weekend(Calendar(times), logs) is not None
    assert found <= 1


def test_series_without_times_of_day_are_left_as_they_are() -> None:
    _, logs = _series(5, hours=0.15)
    assert explained_by_hour(Calendar(np.arange(logs.size, dtype=float)), logs) is None
    assert explained_by_hour(Calendar(np.full(logs.size, np.nan)), logs) is None
    assert explained_by_weekend(Calendar(np.full(logs.size, np.nan)), logs) is None
