"""Difference of values under a condition from the others, where values of one group (a run) have a common effect."""

from __future__ import annotations

import math
from typing import NamedTuple

from concertmaster.core import arrays as np
from concertmaster.core.arrays import Flags, Floats, Indices
from concertmaster.core.stats.quantiles import student_tail

_LEAST = 3  # pairs required to estimate a spread


class GroupedShift(NamedTuple):
    """``shift``: difference of the values under the condition from the others. ``p_value``: one-sided."""

    shift: float
    p_value: float


def grouped_shift(groups: Indices, under: Flags, values: Floats) -> GroupedShift | None:
    """Compares the values (shape (n,)) of each group that has some ``under`` the condition and some not, by their means:
    what the group has in common falls out. None with fewer than three such groups. The others are left out: where groups
    under the condition differ by themselves (larger inputs, busier hours), comparing groups takes that for its effect."""
    one, other = np.bincount(groups, under), np.bincount(groups, ~under)
    both = (one > 0) & (other > 0)
    if both.sum() < _LEAST:
        return None
    sums, rest = np.bincount(groups, values * under), np.bincount(groups, values * ~under)
    pairs = sums[both] / one[both] - rest[both] / other[both]
    shift, error = float(pairs.mean()), math.sqrt(max(float(pairs.var(ddof=1)) / pairs.size, 1e-12))
    return GroupedShift(shift, student_tail(shift / error, pairs.size - 1.0))
