"""Difference of values under a condition from the others, where values of one group (a run) have a common effect."""

from __future__ import annotations

import math
from typing import NamedTuple

from concertmaster.core import arrays as np
from concertmaster.core.arrays import Flags, Floats, Indices
from concertmaster.core.stats.quantiles import student_quantile, student_tail

_MIN_PAIRS = 3  # pairs required to estimate a spread


def grouped_medians(groups: Indices, values: Floats) -> Floats:
    """Median of the values (shape (n,), finite) of each group, by its number; NaN for one without any."""
    counts = np.bincount(groups)
    ordered, first, some = values[np.lexsort((values, groups))], np.cumsum(counts) - counts, counts > 0
    medians = np.full(counts.size, np.nan)
    medians[some] = (ordered[(first + (counts - 1) // 2)[some]] + ordered[(first + counts // 2)[some]]) / 2.0
    return medians


def within_groups(groups: Indices, values: Floats) -> Floats:
    """The values (shape (n,), finite) without the mean of their group."""
    means = np.bincount(groups, values) / np.maximum(np.bincount(groups), 1)
    return np.asarray(values - means[groups])


class GroupedShift(NamedTuple):
    """``shift``: difference of the values under the condition from the others; ``off``: from there to the ends of its 90%
    interval. ``p_value``: one-sided."""

    shift: float
    off: float
    p_value: float


def grouped_shift(groups: Indices, under: Flags, values: Floats) -> GroupedShift | None:
    """Compares the values (shape (n,)) of each group that has some ``under`` the condition and some not, by their means:
    what the group has in common falls out. None with fewer than three such groups. The others are left out: where groups
    under the condition differ by themselves (larger inputs, busier hours), comparing groups takes that for its effect."""
    pairs = grouped_differences(groups, under, values)
    pairs = pairs[np.isfinite(pairs)]
    if pairs.size < _MIN_PAIRS:
        return None
    shift, error = float(pairs.mean()), math.sqrt(max(float(pairs.var(ddof=1)) / pairs.size, 1e-12))
    degrees = pairs.size - 1.0
    return GroupedShift(shift, error * student_quantile(0.95, degrees), student_tail(shift / error, degrees))


def grouped_differences(groups: Indices, under: Flags, values: Floats) -> Floats:
    """Mean of the values (shape (n,)) of each group ``under`` the condition less that of its others, by its number; NaN
    for a group without either."""
    one, other = np.bincount(groups, under), np.bincount(groups, ~under)
    both = (one > 0) & (other > 0)
    sums, rest = np.bincount(groups, values * under), np.bincount(groups, values * ~under)
    found = np.full(both.size, np.nan)
    found[both] = sums[both] / one[both] - rest[both] / other[both]
    return found


def grouped_shifts(groups: Indices, of: Indices, values: Floats) -> Floats:
    """The shift of ``grouped_shift`` under each of several conditions, by its number; NaN where that is None. ``of``: the
    condition that each value (shape (n,)) is under. It takes the time of one sort, however many conditions there are."""
    width = int(groups.max()) + 1
    pairs, pair = np.unique(of * width + groups, return_inverse=True)
    condition, group = np.divmod(pairs, width)
    one, sums = np.bincount(pair), np.bincount(pair, values)
    other, rest = np.bincount(groups)[group] - one, np.bincount(groups, values)[group] - sums
    both = other > 0
    apart = sums[both] / one[both] - rest[both] / other[both]
    count = np.bincount(condition[both], minlength=int(of.max()) + 1)
    shifts: Floats = np.bincount(condition[both], apart, minlength=count.size) / np.maximum(count, 1)
    shifts[count < _MIN_PAIRS] = np.nan
    return shifts
