"""Segmentation of a series into stretches of one level each, or of one slope each when its values are correlated.

Binary segmentation: the most significant split of the whole series first, then of both parts; where no split is significant,
the stretch inside that differs most from both of its sides (``arcs``). Runs of a workflow are mostly
independent; where they are not (slow drift, carried-over state), a plain test would detect changes everywhere. The
dependence is therefore estimated first, in a way that is robust to level changes, and raises the threshold.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from concertmaster.core import arrays as np
from concertmaster.core.arrays import Floats
from concertmaster.core.changepoint.aligned import Aligned
from concertmaster.core.changepoint.arcs import Arc, arc_p_value, best_arcs
from concertmaster.core.changepoint.scores import MIN_SEGMENT, best_split, best_splits, split_p_value
from concertmaster.core.changepoint.slope_changes import best_break
from concertmaster.core.stats.ranks import normal_scores, normal_scores_of_many

SIGNIFICANCE = 0.004  # of each test: fewer than one in a hundred series without change get a change point
DRIFT = 0.5  # autocorrelation from which a series drifts and has no levels
TWO_VIEWS = 0.65  # exponent that corrects for combining two tests, see _level_split
INSIGNIFICANT_P = 0.3  # p-value of the rank test above which the likelihood cannot make up for it
CLEAR = 5.0  # standard errors with which a split of so many values, and of fewer, is significant by the ranks alone


@dataclass(frozen=True, slots=True)
class Split:
    """First index of the new stretch, the p-value of the split, and whether the stretches are lines (a drifting series)
    or levels."""

    index: int
    p_value: float
    drifting: bool = False


def splits(values: Floats, first: FirstTests) -> list[Split]:
    """Change points of finite ``values`` (shape (n,), n >= 2 * MIN_SEGMENT), ascending. ``first``: the result of
    ``first_tests`` for all of them."""
    n = values.size
    drifting = first.dependence > DRIFT
    bar = _bar(first.dependence)
    breaks: list[Split] = []
    todo = [(0, n)]
    while todo:
        start, end = todo.pop()
        if end - start < 2 * MIN_SEGMENT:
            continue
        part = values[start:end]
        if drifting:
            index, p = best_break(part)
            significant = p < 0.5
        else:
            index, p = _level_split(part, bar, first.split if part.size == n else best_split(part))
            significant = p < SIGNIFICANCE
        if significant:
            breaks.append(Split(start + index, p, drifting))
            todo += [(start, start + index), (start + index, end)]
        elif not drifting and part.size >= 3 * MIN_SEGMENT:
            arc = (first.arc if part.size == n else None) or best_arcs(normal_scores(part)[None, :])[0]
            if arc.z / bar > _clear_arc(part.size, SIGNIFICANCE):
                p = arc_p_value(arc.z / bar, part.size)
                ends = [start, start + arc.first, start + arc.last, end]
                breaks += [Split(at, p) for at in ends[1:-1]]
                todo += pairwise(ends)
    breaks.sort(key=lambda split: split.index)
    return breaks if drifting else _placed(values, breaks)


def _bar(dependence: float) -> float:
    """The factor by which a change must be more significant than among independent values."""
    return math.sqrt((1.0 + dependence) / (1.0 - dependence))


def _placed(values: Floats, breaks: list[Split]) -> list[Split]:
    """Each split at its most likely position between its neighbours."""
    out: list[Split] = []
    for i, split in enumerate(breaks):
        start = out[-1].index if out else 0
        end = breaks[i + 1].index if i + 1 < len(breaks) else values.size
        place = start + Aligned(values[start:end], split.index - start).place()
        out.append(replace(split, index=place))
    return out


def _level_split(part: Floats, bar: float, best: tuple[int, float]) -> tuple[int, float]:
    """The ``best`` split into two levels, and its p-value.

    Two tests of the same values are combined: the distance of the ranks (p), and the improvement of the fit once the second
    part is shifted back (log likelihood ``gain``; a loss is ignored, because a further change in the part degrades the
    fit). Combining them needs a correction: of series without change, simulated with normal, exponential, heavy-tailed,
    clustered and real noise and 12 to 160 values, at most about a share a has (p * exp(-gain / 2)) ** TWO_VIEWS below a, for
    a from 0.002 to 0.05. The fit is not computed where the ranks suffice.
    """
    index, z = best
    if z / bar <= _insignificant_split(part.size):
        return index, 1.0
    p = split_p_value(z / bar, part.size)
    if p**TWO_VIEWS < SIGNIFICANCE:
        return index, p**TWO_VIEWS
    gain = max(0.0, Aligned(part, index).gain()) / bar**2
    return index, math.exp(TWO_VIEWS * (math.log(p) - gain / 2.0))


@lru_cache(maxsize=256)
def _insignificant_split(n: int) -> float:
    """The most significant split of n values with a probability above ``INSIGNIFICANT_P``. Most series have no change
    and are compared with it instead of computing their own probability."""
    return _most_with(lambda z: split_p_value(z, n) > INSIGNIFICANT_P, n)


@lru_cache(maxsize=256)
def _clear_arc(n: int, significance: float) -> float:
    """The most significant stretch inside n values with a probability of ``significance`` and more."""
    return _most_with(lambda z: arc_p_value(z, n) >= significance, n)


def _most_with(holds: Callable[[float], bool], n: int) -> float:
    """The largest z of n scores for which it holds."""
    low, high = 0.0, math.sqrt(n)
    while high - low > 1e-9:
        middle = (low + high) / 2.0
        if holds(middle):
            low = middle
        else:
            high = middle
    return low


class FirstTests(NamedTuple):
    """First tests of a series: serial dependence of its values, its best split (index and z; see ``best_split``), and its
    best stretch (None where it is not needed: beside a clear split, and in a drifting series)."""

    dependence: float
    split: tuple[int, float]
    arc: Arc | None


def first_tests(values: Floats) -> list[FirstTests]:
    """``FirstTests`` of each row of ``values`` (shape (rows, n), n >= 2 * MIN_SEGMENT)."""
    ranked = normal_scores_of_many(values)
    best, dependences = best_splits(values, ranked), _dependences(ranked)
    rows = list(zip(dependences, best, strict=True))
    unclear = [
        row for row, (dependence, (_, z)) in enumerate(rows) if dependence <= DRIFT and z <= CLEAR * _bar(dependence)
    ]
    arcs = dict(zip(unclear, best_arcs(ranked[unclear]), strict=True))
    return [FirstTests(dependence, split, arcs.get(row)) for row, (dependence, split) in enumerate(rows)]


def serial_dependence(values: Floats) -> float:
    """Share of a deviation that carries over to the next value, 0 to 0.99; 0 unless significant.

    Mean squared differences at lag two divided by those at lag one are 1 + phi for a first-order autoregression, and level
    changes hardly affect either (the idea of Chakar et al., Bernoulli 23(2), 2017); computed on normal scores, so that
    outliers do not count. The one-sided 95% margin for independent values, 1.645 * sqrt(2 / n), is subtracted.
    """
    return _dependences(normal_scores(values)[None, :])[0] if values.size >= 4 else 0.0


def _dependences(scores: Floats) -> list[float]:
    """``serial_dependence`` of each row of normal scores (shape (rows, n), n >= 4)."""
    n = scores.shape[1]
    near, far = scores[:, 1:] - scores[:, :-1], scores[:, 2:] - scores[:, :-2]
    one, two = np.vecdot(near, near) / (n - 1), np.vecdot(far, far) / (n - 2)
    margin = 1.645 * math.sqrt(2.0 / n)
    return [
        min(0.99, max(0.0, b / a - 1.0 - margin)) if a > 0 else 0.0
        for a, b in zip(one.tolist(), two.tolist(), strict=True)
    ]
