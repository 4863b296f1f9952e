"""Which changes are clear enough to act on: far fewer than those that are detected come about by chance."""

from __future__ import annotations

import math
from collections.abc import Sequence

from concertmaster.core.changepoint.model import ChangePoint

CHANCE = 0.0005
"""Highest p-value to report: nobody should investigate a chance finding."""
CLEAR = 6.0
"""Standard errors, for few runs: ranks of a dozen values cannot reach lower p-values."""


def is_clear(chance: float, ratio: float, low: float) -> bool:
    """Whether a change by the factor ``ratio`` > 1, with p-value ``chance`` and lower 95% bound ``low``, is significant."""
    width = math.log(ratio / low) if 0 < low < ratio else 0.0
    return chance < CHANCE or width <= 0 or 1.96 * math.log(ratio) / width >= CLEAR


def direction_if_clear(point: ChangePoint, least: float, compared: int = 1) -> int:
    """1 for an increase that is clear and at least ``least`` (a share), -1 for such a decrease (to one over 1 + ``least``),
    else 0. ``compared``: series that are looked at, any of which may change by chance."""
    size, bar, chance = math.log(point.ratio), math.log1p(least), compared * (1.0 - point.confidence)
    if size >= bar and is_clear(chance, point.ratio, point.low):
        return 1
    return -1 if size <= -bar and is_clear(chance, 1.0 / point.ratio, 1.0 / point.high) else 0


def last_clear(points: Sequence[ChangePoint], least: float, compared: int = 1) -> ChangePoint | None:
    """The newest of ``points`` that is clear and changed the level by ``least`` (a share) at least; None without any.
    ``compared``: as in ``direction_if_clear``."""
    return next((point for point in reversed(points) if direction_if_clear(point, least, compared)), None)
