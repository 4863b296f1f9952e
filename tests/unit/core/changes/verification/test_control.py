"""What all workflows share is taken out of a verification, and nothing is where they share nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from concertmaster.core.changes.plan import Aim
from concertmaster.core.changes.verification.before_after import BeforeAfter
from concertmaster.core.changes.verification.control_group import common_factor
from concertmaster.core.changes.verification.surroundings import Surroundings
from concertmaster.core.changes.verification.verify import verify
from concertmaster.core.model.enums import Verdict
from concertmaster.core.model.policy import VerifySettings
from concertmaster.core.stats.comparison import CommonFactor, compare
from tests.support.builders import DAY, NOW
from tests.support.core.verification_runs import noisy, series

SETTINGS = VerifySettings()


def both(before: Sequence[float], after: Sequence[float]) -> BeforeAfter:
    return BeforeAfter(tuple(series(before, NOW - 100 * DAY)), tuple(series(after, NOW, first=len(before))))


def others(count: int, factor: float, *, seed: int = 1, spread: float = 0.1, runs: int = 15) -> list[BeforeAfter]:
    """Workflows of different lengths whose runs all take ``factor`` times as long after."""
    means = [100.0 + 50 * i for i in range(count)]
    return [
        both(noisy(seed + 2 * i, 30, mean, spread), noisy(seed + 2 * i + 1, runs, mean * factor, spread))
        for i, mean in enumerate(means)
    ]


@pytest.mark.parametrize("factor", [0.8, 1.25])
def test_a_shift_that_all_others_share_is_found(factor: float) -> None:
    found = common_factor(others(9, factor))
    assert found is not None
    assert found.workflows == 9
    assert found.low < factor < found.high
    assert found.ratio == pytest.approx(factor, rel=0.05)


def test_others_that_stay_as_they_were_or_move_hardly_or_apart_are_no_common_shift() -> None:
    assert common_factor(others(9, 1.0)) is None
    assert common_factor(others(9, 1.03, spread=0.005)) is None
    apart = [s for i, f in enumerate((0.5, 0.7, 0.9, 1.1, 1.4, 1.9)) for s in others(1, f, seed=100 * i)]
    assert common_factor(apart) is None


def test_too_few_workflows_or_runs_tell_nothing() -> None:
    assert common_factor(others(4, 0.5)) is None
    assert common_factor(others(9, 0.5, runs=2)) is None
    assert common_factor([]) is None


def test_a_few_that_went_astray_move_nothing() -> None:
    found = common_factor([*others(12, 0.8), *others(2, 6.0, seed=500)])
    assert found is not None
    assert found.ratio == pytest.approx(0.8, rel=0.06)


def test_larger_inputs_elsewhere_are_no_common_shift() -> None:
    rng = np.random.default_rng(5)
    rows = []
    for _ in range(8):
        sizes = np.exp(0.3 * rng.standard_normal(30))
        before = [
            r
            for j, size in enumerate(sizes)
            for r in series([100.0 * size], NOW - (60 - j) * 3600.0, first=j, size=1000.0 * size)
        ]
        after = series(list(np.full(10, 150.0)), NOW, first=100, size=1500.0)
        rows.append(BeforeAfter(tuple(before), tuple(after)))
    assert common_factor(rows) is None


def test_what_is_common_leaves_the_comparison_and_its_doubt_stays_in_it() -> None:
    before, after = noisy(1, 30, 600.0), noisy(2, 15, 480.0)
    plain = compare(before, after)
    assert plain.verdict is Verdict.IMPROVED
    freed = compare(before, after, common=CommonFactor(9, 0.8, 0.75, 0.85))
    assert freed.verdict is not Verdict.IMPROVED
    assert (freed.low, freed.ratio, freed.high) == pytest.approx(
        (plain.low / 0.85, plain.ratio / 0.8, plain.high / 0.75)
    )
    assert "9 other workflows take 20% shorter meanwhile, which is taken out" in freed.reason


def test_a_slowdown_hidden_behind_a_faster_cluster_is_seen() -> None:
    """0.96 of the time where everybody else takes 0.8 of it: the change costs a fifth."""
    rows = both(noisy(1, 30, 600.0, 0.05), noisy(2, 20, 600.0 * 0.8 * 1.2, 0.05))
    assert verify(Aim.CHEAPER, rows, SETTINGS, age=DAY).verdict is Verdict.IMPROVED
    around = Surroundings(common=common_factor(others(9, 0.8, spread=0.05)))
    found = verify(Aim.CHEAPER, rows, SETTINGS, age=DAY, around=around)
    assert (found.verdict, found.restore) == (Verdict.WORSE, True)
    assert "taken out" in found.reason


def test_a_slower_cluster_is_not_blamed_on_the_change() -> None:
    """Also not by the rule for the very first runs."""
    for factor, runs in ((1.3, 20), (1.9, 3)):
        rows = both(noisy(1, 30, 600.0, 0.05), noisy(2, runs, 600.0 * factor, 0.05))
        assert verify(Aim.CHEAPER, rows, SETTINGS, age=DAY).verdict is Verdict.WORSE
        around = Surroundings(common=common_factor(others(9, factor, spread=0.05)))
        assert verify(Aim.CHEAPER, rows, SETTINGS, age=DAY, around=around).verdict is not Verdict.WORSE


def test_the_measured_effect_is_the_change_s_own() -> None:
    rows = both(noisy(1, 30, 600.0, 0.05), noisy(2, 20, 600.0 * 0.8 * 0.7, 0.05))
    around = Surroundings(common=common_factor(others(9, 0.8, spread=0.05)))
    found = verify(Aim.FASTER, rows, SETTINGS, age=DAY, around=around)
    assert found.measured is not None
    assert found.measured.likely == pytest.approx(-0.3, abs=0.04)
    assert found.measured.low < found.measured.likely < found.measured.high


def test_a_quiet_cluster_is_rarely_taken_for_a_moved_one() -> None:
    """Of 100 quiet clusters: only the surely common shifts count, and they are small."""
    false = [found for i in range(100) if (found := common_factor(others(8, 1.0, seed=1000 * i, runs=8))) is not None]
    assert len(false) <= 5
    assert all(abs(math.log(f.ratio)) < 0.1 for f in false)
