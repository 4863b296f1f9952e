"""The part of a series explained by its input sizes, unaffected by changes of the step itself."""

from __future__ import annotations

import math

from concertmaster.core import arrays as np
from concertmaster.core.arrays import Floats
from concertmaster.core.stats.modes import of_one_unit
from concertmaster.core.stats.quantiles import normal_quantile

MIN_VALUES = 12
NEIGHBOURS = 4  # runs compared with each other; a level change touches only the few that straddle it
SIGNIFICANCE = 0.01
STARTS = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)  # start-up as a share of the work on the median input
MAX_SPREAD_LEFT = 0.95  # a larger start-up must reduce the spread of the runs to this share


def explained_by(inputs: Floats, logs: Floats) -> Floats | None:
    """The part of ``logs`` (logs of the values, in order of time) explained by ``inputs`` (positive sizes, shape (n,)),
    relative to the median input; shape (n,).

    Start-up may dominate small runs: of several amounts of it, the one with the least spread between runs is chosen. The
    exponent is a weighted Theil-Sen slope (Sen 1968; weights as in Scholz 1978) over pairs of neighbouring runs only. None
    when input sizes are unknown for some value, do not vary, are not of one unit, or have no significant effect (ranks
    within blocks of neighbours).
    """
    if inputs.size != logs.size or logs.size < MIN_VALUES or not np.all(np.isfinite(inputs) & (inputs > 0)):
        return None
    sizes = np.log(inputs)
    if not of_one_unit(sizes, logs) or not _related(logs, sizes):
        return None
    up = np.concatenate([logs[lag:] - logs[:-lag] for lag in range(1, NEIGHBOURS + 1)])
    middle = float(np.median(inputs))
    best: tuple[float, Floats] | None = None
    for start in (share * middle for share in STARTS):
        sizes = np.log(inputs + start)
        right = np.concatenate([sizes[lag:] - sizes[:-lag] for lag in range(1, NEIGHBOURS + 1)])
        apart = np.abs(right) > 1e-9
        if apart.sum() < MIN_VALUES:
            continue
        slopes, weights = up[apart] / right[apart], np.abs(right[apart])
        order = np.argsort(slopes)
        heaviness = np.cumsum(weights[order])
        exponent = float(slopes[order][np.searchsorted(heaviness, heaviness[-1] / 2.0)])
        left = float(np.std(logs - exponent * sizes))
        if best is None or left < best[0] * MAX_SPREAD_LEFT:
            best = left, exponent * (sizes - float(np.median(sizes)))
    return best[1] if best is not None else None


def _related(logs: Floats, sizes: Floats) -> bool:
    """Whether values increase, or decrease, with inputs: ranks of the values against the sizes within blocks of neighbours,
    where any order is equally likely without a relation (aligned ranks: Hajek, Sidak, Sen, Theory of Rank Tests, 1999,
    chapter 4). Pairs instead of blocks have little power where most inputs are equal, and none with 14 runs."""
    blocks = (-1, NEIGHBOURS)
    whole = logs.size // NEIGHBOURS * NEIGHBOURS
    values, right = logs[:whole].reshape(blocks), sizes[:whole].reshape(blocks)
    ranks = np.sign(values[:, :, None] - values[:, None, :]).sum(axis=2)
    right = right - right.mean(axis=1, keepdims=True)
    together = float(np.sum(right * ranks))
    spread = math.sqrt(float(np.sum(np.square(right).sum(axis=1) * np.square(ranks).sum(axis=1))) / (NEIGHBOURS - 1))
    return spread > 0.0 and abs(together) > -normal_quantile(SIGNIFICANCE / 2.0) * spread
