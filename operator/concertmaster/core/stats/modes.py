"""Separate modes of a sample, and the gaps between them."""

from __future__ import annotations

import math
from itertools import pairwise

from concertmaster.core import arrays as np
from concertmaster.core.arrays import Floats
from concertmaster.core.stats.robust import array_median, quantiles

GRID = 512
_MIN_GAP = math.log(1000.0)  # between the sizes of two units; what real inputs rarely leave empty
_MIN_SLOWDOWN = math.log(2.0)  # what runs above the gap take longer at least if their inputs are larger indeed
_MIN_MODE_SIZE = 3  # runs on either side: one odd size is no unit
DEPTH = 0.3  # a gap has less than this share of the density of the lower of its two neighbouring modes
MIN_BANDWIDTH = 0.02  # in logs: values within 2% of each other count as equal


def gaps(values: Floats) -> list[float]:
    """Values at the bottom of the gaps between modes of positive ``values`` (seconds, shape (n,)), ascending.

    Minima of a Gaussian kernel density of the logs (bandwidth by Silverman's rule of thumb, 1986, never below the
    resolution of the values, a second at most). Empty with fewer than eight values or a single mode. Zeros count as the
    smallest positive value.
    """
    positive = values[values > 0]
    if positive.size < 8:
        return []
    logs = np.log(np.maximum(values, positive.min()))
    bandwidth = _bandwidth(logs, values)
    logs.sort()
    grid, density = _density(logs, bandwidth)
    inner = density[1:-1]
    peaks = np.flatnonzero((inner >= density[:-2]) & (inner > density[2:])) + 1
    bottoms = []
    for left, right in pairwise(peaks):
        bottom = int(left + np.argmin(density[left : right + 1]))
        lower_mode = min(float(density[:bottom].max()), float(density[bottom:].max()))
        if density[bottom] < DEPTH * lower_mode:
            bottoms.append(math.exp(float(grid[bottom])))
    return bottoms


def _bandwidth(logs: Floats, values: Floats) -> float:
    low, middle, high = quantiles(logs, (0.25, 0.5, 0.75))
    spread = min(float(logs.std()), (high - low) / 1.34 or math.inf)
    ordered = np.sort(values)
    apart = ordered[1:] - ordered[:-1]
    apart = apart[apart > 0.0]
    resolution = min(1.0, float(apart.min())) / math.exp(middle) if apart.size else 0.0
    silverman = float(0.9 * spread * logs.size**-0.2)
    return max(silverman, 0.6 * min(resolution, 1.0), MIN_BANDWIDTH)


def _density(logs: Floats, bandwidth: float) -> tuple[Floats, Floats]:
    """Grid and unnormalised density of ascending ``logs`` over all but the most extreme 0.1% on both sides."""
    low, high = quantiles(logs, (0.001, 0.999))
    edges = np.linspace(low - 4.0 * bandwidth, high + 4.0 * bandwidth, GRID + 1)
    below = logs.searchsorted(edges, side="left")
    below[-1] = logs.searchsorted(edges[-1], side="right")
    counts = (below[1:] - below[:-1]).astype(np.float64)  # np.histogram of sorted values
    width = float(edges[1] - edges[0])
    reach = min(max(1, math.ceil(4.0 * bandwidth / width)), GRID // 2 - 1)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) * width / bandwidth) ** 2)
    return (edges[:-1] + edges[1:]) / 2.0, np.convolve(counts, kernel, "same")


def of_one_unit(sizes: Floats, logs: Floats) -> bool:
    """Whether ``sizes`` (logs of input sizes, shape (n,)) can explain ``logs`` (logs of the times of the same runs): not
    where they form two groups a thousandfold apart, as bytes and megabytes do, and the times do not follow."""
    if sizes.size < 2 * _MIN_MODE_SIZE or np.ptp(sizes) < _MIN_GAP:
        return True
    ordered = np.sort(sizes)
    between = np.diff(ordered)
    at = int(np.argmax(between))
    if between[at] < _MIN_GAP or not _MIN_MODE_SIZE <= at + 1 <= sizes.size - _MIN_MODE_SIZE:
        return True
    large = sizes > ordered[at]
    return array_median(logs[large]) - array_median(logs[~large]) >= _MIN_SLOWDOWN
