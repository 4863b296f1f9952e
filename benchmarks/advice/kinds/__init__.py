"""The kinds of planted problems, by what they are about."""

import numpy as np

from benchmarks.advice.kinds import cost, hidden, platform, reliability, speed
from benchmarks.advice.plant import Plant, base

KINDS = (*cost.KINDS, *reliability.KINDS, *speed.KINDS, *platform.KINDS, *hidden.KINDS)


def planted(seed: int, index: int) -> Plant:
    """The problem of that kind in the fleet of this seed."""
    rng = np.random.default_rng((seed, index))
    return KINDS[index](rng, base(rng, f"planted-{index}"))


__all__ = ["KINDS", "planted"]
