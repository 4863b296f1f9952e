"""How many killed runs a larger size is enough for: what they needed beyond their limit was not seen."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest

from concertmaster.core.sizing.oom_kills import ended, exceeding, raised

NORMAL = NormalDist()


@pytest.mark.parametrize("spread", [0.05, 0.2, 0.5, 1.0])
@pytest.mark.parametrize("killed", [0.02, 0.15, 0.7])
def test_needs_with_a_log_normal_distribution_are_held(spread: float, killed: float) -> None:
    """Of median 1: the limit is that which the share killed exceed, and the usual peak the median of those below."""
    died = math.exp(spread * NORMAL.inv_cdf(1.0 - killed))
    usual = math.exp(spread * NORMAL.inv_cdf((1.0 - killed) / 2.0))
    beyond = 1.0 - NORMAL.cdf(math.log(1.5 * died) / spread)
    found = ended(killed, usual, died, 1.5 * died)
    assert found.likely == pytest.approx(1.0 - beyond / killed)
    assert found.low < found.likely <= found.high == 1.0


def test_the_low_end_is_a_tail_that_falls_no_faster_beyond_the_limit() -> None:
    """Of the runs above the median of the others, 60 to 20%, a third exceeds the limit, half as much again."""
    found = ended(0.2, 2.0, 3.0, 4.5)
    assert found.low == pytest.approx(1.0 - 1.0 / 3.0)


@pytest.mark.parametrize(("killed", "usual"), [(1.0, None), (0.3, 4.0)])
def test_without_smaller_runs_half_need_more_than_twice_the_limit(killed: float, usual: float | None) -> None:
    """At the low end seven in ten: that something is gained is certain, how much is not."""
    found = ended(killed, usual, 2.0, 4.0)
    assert (found.low, found.high) == pytest.approx((1.0 - math.sqrt(0.5), 1.0))
    assert found.likely == pytest.approx(0.5)


@pytest.mark.parametrize(("spread", "times"), [(0.05, 1.5), (0.3, 2.0), (0.6, 3.0), (2.0, 3.0)])
def test_a_size_is_raised_until_few_runs_exceed_it(spread: float, times: float) -> None:
    """Of a log-normal distribution that 12% exceed the limit with; three times it is the most."""
    killed = 0.12
    usual = 4.0 * math.exp(spread * (NORMAL.inv_cdf((1.0 - killed) / 2.0) - NORMAL.inv_cdf(1.0 - killed)))
    size = raised(killed, usual, 4.0, 0.01)
    assert size == times * 4.0
    assert (exceeding(killed, usual, 4.0, size) <= 0.01) == (spread < 2.0)


def test_the_failure_bound_is_kept_after_kills_in_a_heavy_tail() -> None:
    """Pareto distributions of index 3 to 5, of which one run in twelve exceeds the limit: shares of later runs above the
    size after 20 to 80 runs. One and a half times the limit leaves 1.7%."""
    rng = np.random.default_rng(7)
    above, before = [], []
    for _ in range(400):
        index, runs = float(rng.uniform(3.0, 5.0)), int(rng.integers(20, 81))
        limit = 12.0 ** (1.0 / index)
        needs = (1.0 - rng.random(runs)) ** (-1.0 / index)
        killed = int((needs > limit).sum())
        if killed:
            usual = float(np.median(needs[needs <= limit]))
            above.append(raised((killed + 1) / (runs + 1), usual, limit, 0.01) ** -index)
            before.append((1.5 * limit) ** -index)
    assert float(np.mean(above)) < 0.01 < 0.016 < float(np.mean(before))


@pytest.mark.parametrize(("killed", "usual", "size"), [(0.3, 4.0, 6.0), (0.3, None, 6.0), (1.0, None, 12.0)])
def test_half_as_much_again_where_the_other_runs_tell_nothing(killed: float, usual: float | None, size: float) -> None:
    """Where there is none, all is lost with too little."""
    assert raised(killed, usual, 4.0, 0.01) == size
