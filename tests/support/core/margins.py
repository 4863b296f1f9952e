"""What a margin of an ``ExpectedLoss`` costs, worked out by itself instead of for all candidates at once."""

from __future__ import annotations

import math

from concertmaster.core.sizing.waste import FAILURE_PRICE, RETRY_FACTOR, ExpectedLoss


def failing(loss: ExpectedLoss, margin: float) -> float:
    """Expected failing attempts per run at a ``margin`` that no known run exceeds: the first ones, and retries."""
    level = math.log(margin) if loss.is_factor else margin
    retried = level + math.log(RETRY_FACTOR)
    if not loss.is_factor:
        retried = RETRY_FACTOR * (level + loss.typical) - loss.typical
    return _exceeded(loss, level) + _exceeded(loss, retried)


def cost(loss: ExpectedLoss, margin: float, price: float = FAILURE_PRICE) -> float:
    """The expected loss, byte-seconds per run, at this ``price`` of a failed attempt."""
    level = math.log(margin) if loss.is_factor else margin
    idle = margin * loss.reserved - loss.used
    return idle + _exceeded(loss, level) * loss.burn + price * failing(loss, margin)


def _exceeded(loss: ExpectedLoss, level: float) -> float:
    tail = loss.tail
    return (1.0 + (level - tail.largest) / tail.excess) ** -tail.shape / (tail.n + 1.0)
