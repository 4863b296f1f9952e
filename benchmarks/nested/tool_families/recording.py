"""What is recorded of the peaks, and the requests set by the authors of workflows."""

from __future__ import annotations

import numpy as np

from benchmarks.nested.choose import Rows
from benchmarks.nested.tool_families.draws import GB, GIB, MIB, Draws

# Bytes: the smallest peak of a process that does anything, and the largest that fits on a machine.
LEAST, MOST = 1.5e6, 1.15e11
PAGE = 4096
# Requests as people write them, in bytes: resource labels of published pipelines, powers of two, multiples of 4 GB, round
# decimal numbers.
WRITTEN: dict[str, Rows] = {
    "labels": np.array([1, 6, 12, 36, 72, 200]) * GB,
    "binary labels": np.array([0.5, 1, 2, 6, 12, 36, 72, 200]) * GIB,
    "powers of two": np.exp2(np.arange(-6, 10)) * GIB,
    "fours": np.r_[np.arange(4, 132, 4), np.arange(144, 400, 16), 400, 480, 500] * GB,
    "decimals": np.r_[
        [0.02, 0.05, 0.1, 0.2, 0.25, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 4, 5, 8, 10, 15, 16, 20, 25, 30, 40, 50, 60, 64],
        [80, 100, 120, 128, 150, 180, 200, 250, 256, 300, 350, 400, 500],
    ]
    * GB,
}
# Probability of each of them.
POPULARITY = (0.25, 0.2, 0.25, 0.12, 0.18)
# Largest request in bytes: usually, and where authors aim far beyond it.
LARGEST, LARGEST_ROUNDED = 2.2e11, 4e11


def recorded(draws: Draws, peaks: Rows, seconds: Rows, *, stable: bool) -> Rows:
    """Recorded peaks in bytes, shape (n,), of ``peaks`` in bytes and run times in ``seconds``.

    Peaks are scaled down to fit on a machine, then rounded to pages or to the digits a report prints. Unless the family
    is ``stable``, short runs may be recorded below their peak.
    """
    rng, n = draws.rng, draws.n
    largest = peaks.max()
    if largest > MOST:
        peaks = peaks * (MOST / largest) * draws.uniform(0.3, 1.0)
    if not stable and draws.happens(0.1):
        missed = (seconds < draws.log_uniform(10.0, 120.0)) & draws.each_happens(draws.uniform(0.05, 0.4))
        peaks = np.where(missed, peaks * rng.uniform(0.4, 0.98, n), peaks)
    peaks = np.where(peaks < LEAST, LEAST * (1 + 0.3 * rng.random(n)), peaks)
    if draws.happens(0.12):
        # Values read from a report: "5.3 GB", "212.4 MB".
        unit = np.where(peaks >= GIB, GIB, MIB)
        return np.asarray(np.maximum(np.round(peaks / unit, 1) * unit, LEAST))
    return np.asarray(np.maximum(np.round(peaks / PAGE) * PAGE, LEAST))


def request(rng: np.random.Generator, largest: float) -> float:
    """The request set by the authors, in bytes, for a ``largest`` peak in bytes: in 5% of the steps too small, otherwise
    1.05 to 32 times that peak, almost always a size that people write."""
    if rng.random() < 0.05:
        return _too_small(rng, largest)
    target = _headroom(rng) * largest
    for style in rng.choice(list(WRITTEN), len(WRITTEN), replace=False, p=POPULARITY):
        sizes = WRITTEN[style]
        sizes = sizes[(sizes >= 1.05 * largest) & (sizes <= min(32 * largest, LARGEST))]
        if not sizes.size:
            continue
        above, below = sizes[sizes >= target], sizes[sizes < target]
        # People round up, unless the next size is far too large.
        chosen = above[0] if above.size else sizes[-1]
        if chosen > 2.5 * target and below.size:
            chosen = below[-1]
        if 0.4 <= chosen / target <= 2.5:
            return float(chosen)
    # Rare: no such size is close, so that the request is rounded to one or two digits.
    unit = 10.0 ** np.floor(np.log10(target)) / 2
    return float(max(np.ceil(min(target, LARGEST_ROUNDED) / unit), np.ceil(1.05 * largest / unit)) * unit)


def _too_small(rng: np.random.Generator, largest: float) -> float:
    """A request of 70% to 95% of the largest peak."""
    least, most = 0.7 * largest, 0.95 * largest
    fitting = np.concatenate([sizes[(sizes >= least) & (sizes <= most)] for sizes in WRITTEN.values()])
    if fitting.size:
        return float(rng.choice(fitting))
    unit = 10.0 ** np.floor(np.log10(largest)) / 20
    return float(np.clip(np.round(rng.uniform(0.72, 0.93) * largest / unit) * unit, least, most))


def _headroom(rng: np.random.Generator) -> float:
    """Ratio of the request that authors aim at to the largest peak: log-normal around 2.1, within 1.05 and 27."""
    while True:
        ratio = np.exp(rng.normal(np.log(2.1), 1.0))
        if 1.05 <= ratio <= 27:
            return float(ratio)
