"""How many killed runs a larger size is enough for: what they needed beyond their limit was not seen."""

from __future__ import annotations

import math
from statistics import NormalDist

import pytest

from concertmaster.core.sizing.killed import ended

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
