"""The kinds of planted problems, by what they are about."""

from dataclasses import replace

import numpy as np

from benchmarks.advice.kinds import cost, hidden, platform, reliability, speed
from benchmarks.advice.plant import Plant, base

# A plant is drawn by the place of its kind: new kinds come last, so that the others stay as they are.
KINDS = (
    *cost.KINDS,
    *reliability.KINDS,
    *speed.KINDS,
    *platform.KINDS,
    *hidden.KINDS,
    reliability.flaky_but_retried,
)


def planted(seed: int, index: int, *, variation: float = 1.0, every: float | None = None) -> Plant:
    """The problem of that kind in the fleet of this seed, unless its own law says otherwise with run times that vary
    ``variation`` times as much, and runs ``every`` so many seconds."""
    rng = np.random.default_rng((seed, index))
    flow = base(rng, f"planted-{index}")
    steps = tuple(replace(step, cv=variation * step.cv) for step in flow.steps)
    return KINDS[index](rng, replace(flow, noise=variation * flow.noise, steps=steps, every=every or flow.every))


__all__ = ["KINDS", "planted"]
