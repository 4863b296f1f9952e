"""Where a series splits into stretches of one level each, or of one trend each when its values hang together.

Binary segmentation: the clearest split of the whole series first, then of both parts. Runs of a workflow are mostly
independent of one another; where they are not (slow drift, carried-over state), a plain test would see a change at
every turn. So the dependence is measured first, in a way that level changes hardly touch, and it raises the bar.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from concertmaster.core.changepoint.aligned import Aligned
from concertmaster.core.changepoint.lines import best_break
from concertmaster.core.changepoint.scores import best_split, best_splits, split_p_value
from concertmaster.core.stats.ranks import normal_scores, normal_scores_of_many
from concertmaster.core.stats.summary import Floats

MIN_SEGMENT = 6  # a level is judged from at least so many values
SIGNIFICANCE = 0.004  # at most one quiet series in 250 gets a change point
DRIFT = 0.5  # half of a deviation carries over to the next value: such a series drifts, it has no levels
TWO_VIEWS = 0.65  # the price of looking twice, see _level_split
HOPELESS = 0.3  # ranks that clear; the likelihood cannot make up for it
MOST_VALUES = 2000  # longer series are judged by medians of blocks


@dataclass(frozen=True, slots=True)
class Split:
    """First index of the new stretch, the probability of so clear a split without any change, and whether the
    stretches are lines (a drifting series) or levels."""

    index: int
    p_value: float
    drifting: bool = False


def splits(
    values: Floats,
    *,
    minimum: int = MIN_SEGMENT,
    significance: float = SIGNIFICANCE,
    most: int = MOST_VALUES,
    seen: FirstLook | None = None,
) -> list[Split]:
    """Change points of finite ``values`` (shape (n,)), ascending; none when n < 2 * minimum or all values are equal.

    ``seen``: the result of a first look at all of the values, where it was taken already.
    """
    n = values.size
    if n < 2 * minimum or values.min() == values.max():
        return []
    if n > most:
        return _long_series(values, minimum, significance, most)
    dependence = serial_dependence(values) if seen is None else seen.dependence
    drifting = dependence > DRIFT
    bar = math.sqrt((1.0 + dependence) / (1.0 - dependence))
    breaks: list[Split] = []
    todo = [(0, n)]
    while todo:
        start, end = todo.pop()
        if end - start < 2 * minimum:
            continue
        part = values[start:end]
        if drifting:
            index, p = best_break(part, minimum)
            significant = p < 0.5
        else:
            whole = seen.split if seen is not None and part.size == n else None
            index, p = _level_split(part, minimum, bar, significance, whole or best_split(part, minimum))
            significant = p < significance
        if significant:
            breaks.append(Split(start + index, p, drifting))
            todo += [(start, start + index), (start + index, end)]
    breaks.sort(key=lambda split: split.index)
    return breaks if drifting else _placed(values, breaks, minimum)


def _placed(values: Floats, breaks: list[Split], minimum: int) -> list[Split]:
    """Each split at its most likely place between its neighbours."""
    out: list[Split] = []
    for i, split in enumerate(breaks):
        start = out[-1].index if out else 0
        end = breaks[i + 1].index if i + 1 < len(breaks) else values.size
        place = start + Aligned(values[start:end], split.index - start).place(minimum)
        out.append(replace(split, index=place))
    return out


def _level_split(
    part: Floats, minimum: int, bar: float, significance: float, best: tuple[int, float]
) -> tuple[int, float]:
    """The ``best`` split into two levels, and how probable so clear a one is without any change.

    Two views of the same values are taken together: how far the ranks lie apart (p), and how much better the values fit
    together once the second part is shifted back (log likelihood ``gain``; a loss does not count, because a further
    change in the part spoils the fit). Looking twice has its price: of series without a change, simulated with
    normal, exponential, heavy-tailed, clustered and real noise and 12 to 160 values, at most about a share a has
    (p * exp(-gain / 2)) ** TWO_VIEWS below a, for a from 0.002 to 0.05. The fit is not asked where the ranks suffice.
    """
    index, z = best
    if z / bar <= _hopeless(part.size, minimum):
        return index, 1.0
    p = split_p_value(z / bar, part.size, minimum)
    if p**TWO_VIEWS < significance:
        return index, p**TWO_VIEWS
    gain = max(0.0, Aligned(part, index).gain()) / bar**2
    return index, math.exp(TWO_VIEWS * (math.log(p) - gain / 2.0))


@lru_cache(maxsize=256)
def _hopeless(n: int, minimum: int) -> float:
    """The clearest split of n values whose probability is above ``HOPELESS``. Most series have no change, and are compared
    with it instead of computing their own probability."""
    low, high = 0.0, math.sqrt(n)
    while high - low > 1e-9:
        middle = (low + high) / 2.0
        if split_p_value(middle, n, minimum) > HOPELESS:
            low = middle
        else:
            high = middle
    return low


@dataclass(frozen=True, slots=True)
class FirstLook:
    """What is asked first of every series: how much its values depend on each other, and its best split (index and
    clearness; see ``best_split``)."""

    dependence: float
    split: tuple[int, float]


def first_looks(values: Floats, minimum: int = MIN_SEGMENT) -> list[FirstLook]:
    """A first look at each row of ``values`` (shape (rows, n), n >= 2 * minimum)."""
    ranked = normal_scores_of_many(values)
    found = best_splits(values, ranked, minimum)
    return [FirstLook(_dependence(scores), split) for scores, split in zip(ranked, found, strict=True)]


def serial_dependence(values: Floats) -> float:
    """How much of a deviation carries over to the next value, 0 to 0.99; 0 unless it is beyond chance.

    Mean squared differences at distance two over those at distance one are 1 + phi for a first-order autoregression,
    and a few level changes hardly touch either (the idea of Chakar et al., Bernoulli 23(2), 2017); taken on normal
    scores, so that outliers do not count. The one-sided 95% margin of independent values, 1.645 * sqrt(2 / n), is
    taken off.
    """
    return _dependence(normal_scores(values)) if values.size >= 4 else 0.0


def _dependence(scores: Floats) -> float:
    near, far = scores[1:] - scores[:-1], scores[2:] - scores[:-2]
    one, two = float(near @ near) / near.size, float(far @ far) / far.size
    if one <= 0:
        return 0.0
    return min(0.99, max(0.0, two / one - 1.0 - 1.645 * math.sqrt(2.0 / scores.size)))


def _long_series(values: Floats, minimum: int, significance: float, most: int) -> list[Split]:
    """Split the medians of equal blocks, then find the place inside the two blocks around each split."""
    size = -(-values.size // most)
    blocks = values[: values.size // size * size].reshape(-1, size)
    breaks = []
    for split in splits(np.median(blocks, axis=1), minimum=minimum, significance=significance, most=most):
        start = max(0, (split.index - 1) * size)
        around = values[start : (split.index + 1) * size]
        inner = min(minimum, around.size // 2)
        index = split.index * size if split.drifting or inner < 1 else start + best_split(around, inner)[0]
        breaks.append(Split(index, split.p_value, split.drifting))
    return breaks
