"""Where a series splits into stretches of one level each."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from concertmaster.core.stats.ranks import midranks
from concertmaster.core.stats.summary import Floats

MIN_SEGMENT = 6  # a level is judged from at least so many values
SIGNIFICANCE = 0.01


@dataclass(frozen=True, slots=True)
class Split:
    """First index of the new level, and the probability of so clear a split without any change."""

    index: int
    p_value: float


def splits(values: Floats, *, minimum: int = MIN_SEGMENT, alpha: float = SIGNIFICANCE) -> list[Split]:
    """Change points of finite ``values`` (shape (n,)), ascending."""
    found: list[Split] = []
    todo = [(0, int(values.size))]
    while todo:
        start, end = todo.pop()
        n = end - start
        if n < 2 * minimum:
            continue
        ranks = midranks(values[start:end])
        k = np.arange(minimum, n - minimum + 1)
        below = np.cumsum(ranks)[k - 1]
        spread = float(ranks.var())
        if spread <= 0:
            continue
        z = np.abs(below - k * (n + 1) / 2) / np.sqrt(spread * k * (n - k) / (n - 1))
        best = int(np.argmax(z))
        p = math.erfc(float(z[best]) / math.sqrt(2)) * k.size
        if p < alpha:
            found.append(Split(start + int(k[best]), p))
            todo += [(start, start + int(k[best])), (start + int(k[best]), end)]
    return sorted(found, key=lambda split: split.index)
