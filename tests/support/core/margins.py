"""What a margin of an ``ExpectedLoss`` costs, worked out by itself instead of for all candidates at once."""

from __future__ import annotations

import math

import numpy as np

from concertmaster.core.sizing.waste import FAILURE_PRICE, RETRY_FACTOR, ExpectedLoss


def failing(loss: ExpectedLoss, margin: float) -> float:
    """Expected failing attempts per run: the first ones, and retries."""
    level = math.log(margin) if loss.is_factor else margin
    retried = level + math.log(RETRY_FACTOR)
    if not loss.is_factor:
        retried = RETRY_FACTOR * (level + loss.typical) - loss.typical
    return loss.tail.exceedance(level) + loss.tail.exceedance(retried)


def cost(loss: ExpectedLoss, margin: float, price: float = FAILURE_PRICE) -> float:
    """The expected loss, byte-seconds per run, at this ``price`` of a failed attempt."""
    level = math.log(margin) if loss.is_factor else margin
    idle = float(np.maximum(margin - loss.margins, 0.0) @ loss.held) / loss.margins.size
    return idle + loss.tail.exceedance(level) * loss.burn + price * failing(loss, margin)
