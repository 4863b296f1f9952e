"""What runs before a change differ by between times is no effect of it: neither an earlier change of their level, nor days
that differ."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from concertmaster.core.changes.plan import Aim
from concertmaster.core.changes.verification.before_after import BeforeAfter, foresee
from concertmaster.core.changes.verification.between_times import BetweenTimes
from concertmaster.core.changes.verification.power import POWER
from concertmaster.core.changes.verification.verify import verify
from concertmaster.core.model.enums import Verdict
from concertmaster.core.model.policy import VerifySettings
from tests.support.builders import DAY
from tests.support.core.verification_runs import HOUR, run

APPLIED = 1_767_744_000.0  # 2026-01-07 00:00 UTC, a Wednesday
SETTINGS = VerifySettings()
CALLED = (Verdict.WORSE, Verdict.IMPROVED)


def life(
    every: float, factor: Callable[[float], float], *, effect: float = 1.0, after: int = 30, seed: int = 1
) -> BeforeAfter:
    """Runs of ten minutes times ``factor`` for 14 days, and times ``effect`` after APPLIED."""
    rng = np.random.default_rng(seed)
    begins = [APPLIED + every * (k + 0.5) for k in range(-round(14 * DAY / every), after)]
    took = [600.0 * factor(t) * float(np.exp(0.07 * rng.standard_normal())) for t in begins]
    rows = [run(i, t, s * (effect if t > APPLIED else 1.0)) for i, (t, s) in enumerate(zip(begins, took, strict=True))]
    before = [r for r in rows if (r.start or 0.0) < APPLIED]
    return BeforeAfter(tuple(before), tuple(rows[len(before) :]), after)


def level(days: float, ratio: float) -> Callable[[float], float]:
    """Another level for so many days before the change, and since."""
    return lambda time: ratio if time > APPLIED - days * DAY else 1.0


def differing_days(seed: int) -> Callable[[float], float]:
    """Days that differ by 10%, as by their data."""
    return lambda time: float(np.exp(0.1 * np.random.default_rng((seed, int(time // DAY))).standard_normal()))


@pytest.mark.parametrize(("days", "ratio"), [(3.0, 1.3), (3.0, 0.75), (5.0, 1.2)])
def test_an_earlier_change_of_the_level_is_no_effect(days: float, ratio: float) -> None:
    lives = [life(4 * HOUR, level(days, ratio), after=looked, seed=s) for s in range(10) for looked in (8, 16, 30)]
    assert sum(verify(Aim.FASTER, rows, SETTINGS, age=DAY).verdict in CALLED for rows in lives) <= 2


def test_what_follows_an_earlier_change_of_the_level_is_found() -> None:
    for effect, verdict in ((0.8, Verdict.IMPROVED), (1.2, Verdict.WORSE)):
        lives = [life(4 * HOUR, level(3.0, 1.3), effect=effect, seed=s) for s in range(10)]
        found = [verify(Aim.FASTER, rows, SETTINGS, age=DAY) for rows in lives]
        assert sum(f.verdict is verdict for f in found) >= 9
        measured = [f.measured for f in found if f.measured is not None]
        assert sum(m.low <= effect - 1.0 <= m.high for m in measured) >= 8


def test_two_bad_days_that_are_over_hide_no_slowdown() -> None:
    """Their runs were of the level around them, whose stretches then differed by them: each verdict was Inconclusive."""

    def bad(time: float) -> float:
        return 1.4 if APPLIED - 6 * DAY < time < APPLIED - 4 * DAY else 1.0

    lives = [life(4 * HOUR, bad, effect=1.2, seed=s) for s in range(10)]
    assert sum(verify(Aim.FASTER, rows, SETTINGS, age=DAY).verdict is Verdict.WORSE for rows in lives) >= 9
    outlooks = [foresee(rows.before, 30) for rows in lives]
    assert sum(found is not None and found.enough for found in outlooks) >= 9
    harmless = [life(4 * HOUR, bad, after=looked, seed=s) for s in range(10) for looked in (8, 16, 30)]
    assert sum(verify(Aim.FASTER, rows, SETTINGS, age=DAY).verdict in CALLED for rows in harmless) <= 2


def test_days_that_differ_are_no_effect() -> None:
    lives = [life(HOUR, differing_days(s), after=looked, seed=s) for s in range(12) for looked in (8, 16, 30)]
    assert sum(verify(Aim.FASTER, rows, SETTINGS, age=DAY).verdict in CALLED for rows in lives) <= 2


def test_days_that_differ_are_a_reason_to_ask() -> None:
    alike = foresee(life(HOUR, lambda _: 1.0).before, 30)
    assert alike is not None and alike.enough
    found = [foresee(life(HOUR, differing_days(seed), seed=seed).before, 30) for seed in range(8)]
    warned = [warning for each in found if each is not None and (warning := each.warns()) is not None]
    assert len(warned) >= 6
    assert all("those that follow each other are alike" in warning for warning in warned)


@pytest.mark.parametrize("seed", range(12))
def test_a_warning_does_not_contradict_the_power(seed: int) -> None:
    """A thousand runs of many days are compared less well than thirty of one day, which the level just before shows."""
    factor = differing_days(seed)
    found = foresee(life(HOUR / 6, lambda time: factor(time) ** 0.5, seed=seed).before[-600:], 30)
    assert found is not None
    assert found.enough is (found.warns() is None) is (found.power >= POWER)
    assert found.enough or found.needed is None or found.needed > found.most


def errors(days: float, each: int = 24) -> list[float]:
    """Those of 30 runs against 60 before them, by the logs of 14 days of ``each`` runs that differ by ``days`` and 0.1."""
    found = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        logs = np.repeat(days * rng.standard_normal(14), each) + 0.1 * rng.standard_normal(14 * each)
        found.append(BetweenTimes(logs).error(60, 30))
    return found


def test_independent_runs_have_no_further_error() -> None:
    assert sum(error > 0.0 for error in errors(0.0)) <= 6


def test_the_error_is_that_of_days() -> None:
    true = 0.1 * math.sqrt(1.0 / 1.25 + 1.0 / 2.5)  # of 30 hourly runs, and 60
    assert true * 0.7 < float(np.median(errors(0.1))) < true * 1.5


@pytest.mark.parametrize(("before", "after", "known"), [(0, 5, 40), (5, 0, 40), (3, 2, 5), (60, 30, 0), (60, 30, 1)])
def test_too_few_runs_show_none(before: int, after: int, known: int) -> None:
    assert BetweenTimes(np.arange(known) % 2 - 0.5).error(before, after) == 0.0


@pytest.mark.parametrize("known", range(6))
@pytest.mark.parametrize("sizes", [(1.0,), (1.0, 2.0)])
def test_any_number_of_runs_before_a_change_is_read(known: int, sizes: tuple[float, ...]) -> None:
    amounts = [600.0 + 7.0 * n for n in range(known)]
    inputs = [sizes[n % len(sizes)] for n in range(known)]
    assert BetweenTimes.of([(amounts, inputs), ([], [])]).error(known, 3) == 0.0
    rows = life(4 * HOUR, lambda _: 1.0, after=3)
    few = BeforeAfter(rows.before[len(rows.before) - known :], rows.after, rows.begun)
    assert (foresee(few.before, 30) is None) is (known < 3)
    assert verify(Aim.FASTER, few, SETTINGS, age=DAY).baseline_runs == known


def test_equal_runs_have_none() -> None:
    assert BetweenTimes(np.zeros(100)).error(60, 30) == 0.0
