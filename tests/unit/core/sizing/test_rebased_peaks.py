"""Runs before a visible change of level: what they say about the runs since."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from concertmaster.core.arrays import Floats
from concertmaster.core.sizing import MemoryUse, memory_requests
from concertmaster.core.sizing.rebased_peaks import RebasedFigures, changes, moved

DAY = 86400.0
MONDAY = 4 * DAY  # of 1970, 00:00 UTC


@pytest.mark.parametrize(
    ("versions", "first"),
    [
        ("aaaa", []),
        ("aaabbb", [3]),
        ("aaabbbcc", [3, 6]),
        ("aaabbbaac", [8]),  # rolled back: it may come back again
        ("abababab", []),  # a branch decides
        ("??aa?bb", [5]),  # unknown is what ran before; what ran at first is not known
        ("??????", []),
    ],
)
def test_what_runs_on_both_sides_is_no_change(versions: str, first: list[int]) -> None:
    assert changes([None if v == "?" else v for v in versions]) == first


def test_a_run_with_two_images_belongs_to_both() -> None:
    assert changes(["a", "a b", "b", "c"]) == [3]


def noise(count: int, spread: float, seed: int) -> list[float]:
    """Factors that vary log-normally."""
    return [float(v) for v in np.exp(spread * np.random.default_rng(seed).normal(size=count))]


def after(
    before: Sequence[float], since: Sequence[float], hours: float = 8.0, begin: float = MONDAY, **more: object
) -> RebasedFigures | None:
    """The values at the level since, of runs so many hours apart."""
    times = [begin + hours * 3600.0 * i for i in range(len(before) + len(since))]
    return moved([*before, *since], [len(before)], times, **more)  # type: ignore[arg-type]


def test_runs_before_are_moved_to_the_level_since() -> None:
    found = after([4.0 * v for v in noise(30, 0.05, 1)], noise(6, 0.05, 2))
    assert found is not None
    assert (found.first, found.counted) == (30, 0)
    assert found.factor == pytest.approx(0.25, rel=0.1)
    assert 1.0 < found.values[:30].max() < 2.0  # their spread in bytes, which a smaller level may not reduce


def test_a_level_that_rises_is_moved_up() -> None:
    found = after(noise(30, 0.05, 1), [3.0 * v for v in noise(5, 0.05, 2)])
    assert found is not None
    assert np.median(found.values[:30]) == pytest.approx(3.0, rel=0.1)


def test_rare_large_runs_count_until_the_runs_since_show_otherwise() -> None:
    """Every tenth needs three times as much. Ten runs since do not show that it has ended, even a hundred of one day do not;
    so many of two weeks do."""
    before = [4.0 * v * (3.0 if i % 10 == 5 else 1.0) for i, v in enumerate(noise(40, 0.05, 1))]
    for runs, hours, largest in ((10, 8.0, 9.0), (100, 0.25, 9.0), (100, 3.0, 0.0)):
        found = after(before, noise(runs, 0.05, 2), hours)
        assert found is not None
        assert max(found.values[found.counted : 40], default=0.0) >= largest
        assert (found.counted == 40) is (largest == 0.0)


def test_light_weekends_are_no_lower_level() -> None:
    """The release came on a Saturday; earlier weekends say as much, or there is none to compare with."""
    for days, clear in ((5, False), (12, False)):
        times = [MONDAY + DAY * 5 - 8 * 3600.0 * (days * 3 - i) for i in range(days * 3 + 6)]
        light = [(t // DAY + 3) % 7 >= 5 for t in times]
        values = [v * (1.0 if w else 4.0) for v, w in zip(noise(len(times), 0.05, 3), light, strict=True)]
        assert (moved(values, [days * 3], times) is not None) is clear


def test_half_a_day_shows_no_lower_level() -> None:
    before, since = [4.0 * v for v in noise(30, 0.05, 1)], noise(12, 0.05, 2)
    assert after(before, since, 1.0) is None
    assert after(before, since, 3.0) is not None


@pytest.mark.parametrize(("runs", "day"), [(20, 0.0), (18, 1.0), (21, 6.5)])
def test_a_lower_level_that_was_found_stays_when_the_weekend_comes(runs: int, day: float) -> None:
    """Of eight runs since, four of them of a weekend, neither kind of days has five."""
    before, since = [4.0 * v for v in noise(runs, 0.05, 1)], noise(16, 0.05, 2)
    found = [after(before, since[:until], 12.0, MONDAY + day * DAY) is not None for until in range(5, 17)]
    assert found == sorted(found)


def test_smaller_inputs_are_no_release() -> None:
    """Memory follows the input, which is smaller since the image came."""
    inputs = [1e9 * v for v in noise(30, 0.3, 4)] + [2.5e8 * v for v in noise(8, 0.3, 5)]
    peaks = [x * v for x, v in zip(inputs, noise(38, 0.03, 6), strict=True)]
    assert after(peaks[:30], peaks[30:]) is not None
    assert after(peaks[:30], peaks[30:], inputs=inputs) is None


def test_of_a_step_with_two_modes_few_releases_look_like_a_change() -> None:
    """Half of the runs need three times as much; a release that changes nothing is tested after every run."""
    rng, found = np.random.default_rng(7), 0
    for _ in range(200):
        values = [float(v) for v in rng.choice([1.0, 3.0], 50) * np.exp(0.05 * rng.normal(size=50))]
        found += any(after(values[:30], values[30:until]) is not None for until in range(35, 50))
    assert found <= 6


@pytest.mark.parametrize("value", [0.0, 1e-300, 1e300, math.inf, math.nan])
def test_values_of_no_sense_do_no_harm(value: float) -> None:
    for before, since in (([value] * 10, [value] * 10), ([value] * 10, [1.0] * 10), ([1.0] * 10, [value] * 10)):
        found = after(before, since)
        assert found is None or (np.isfinite(found.values).all() and math.isfinite(found.factor))
    found = after([*noise(20, 0.05, 1), value], [3.0 * v for v in noise(8, 0.05, 2)])
    assert found is None or found.values[20] == pytest.approx(0.0, abs=1e-6)
    assert after([1.0] * 2, [1.0] * 40) is None


@pytest.mark.parametrize("kind", ["none", "share", "amount", "steady", "rare"])
def test_the_bound_on_failures_holds_after_a_release(kind: str) -> None:
    """Later runs that need more than the size, by 5 to 40 runs of the new image: it changes nothing; it needs a share of the
    memory, or less by an amount, or always the same; or less but for rare large runs that none showed before."""
    above = [share for seed in range(40) for share in _above(kind, np.random.default_rng((3, seed)))]
    assert 100.0 * sum(above) / len(above) <= 1.0


def _above(kind: str, rng: np.random.Generator) -> list[float]:
    spread, often, heavy = (
        float(rng.choice([0.02, 0.1, 0.3])),
        float(rng.choice([0.0, 0.1])),
        float(rng.uniform(1.5, 3.0)),
    )
    less = float(rng.choice([0.25, 0.5]))

    def old(count: int) -> Floats:
        return np.exp(spread * rng.normal(size=count)) * np.where(rng.random(count) < often, heavy, 1.0) * 2.0**31

    def new(count: int) -> Floats:
        if kind == "amount":
            return np.maximum(old(count) - 2.0**30, 2.0**27)
        if kind == "steady":
            return less * 2.0**31 * np.exp(0.02 * rng.normal(size=count))
        own = old(count) * (1.0 if kind == "none" else less)
        return own * np.where(rng.random(count) < 0.05, 2.0, 1.0) if kind == "rare" else own

    before, since, later = old(40), new(40), new(2000)
    asked, found = 2.0 * float(before.max()), []
    for runs in (5, 8, 14, 25, 40):
        peaks = np.concatenate([before, since[:runs]])
        times = MONDAY + DAY / 3 * np.arange(peaks.size)
        change = moved(peaks.tolist(), [40], times.tolist())
        uses = [peaks] if change is None else [change.values[change.counted :], peaks[40:], peaks]
        sizes = memory_requests([MemoryUse(u, np.full(u.size, 600.0), current_request=asked) for u in uses])
        own = [size.request for size in sizes]
        found.append(float(np.mean(later > (own[0] if change is None else min(own[2], max(own[:2]))))))
    return found
