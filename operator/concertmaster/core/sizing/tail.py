"""How likely is a future peak above any level, told from the peaks seen so far.

The sample maximum alone cannot answer that: it says nothing about *how far* the next record will lie above it. The upper
order statistics do. Their excesses over a threshold are close to exponential for a wide class of distributions
(peaks over threshold: Pickands 1975; shape zero keeps one parameter, all a few dozen runs can support), and integrating
over the uncertainty of the scale gives a Pareto-type predictive tail, which is wide for few runs and narrows with more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# A peak read from samples, page-granular and rounded by the kernel's own counters, is known to about this share of itself.
# It also keeps a constant series from claiming that no larger peak is possible.
NOISE_SHARE = 0.005


@dataclass(frozen=True, slots=True)
class Tail:
    """Predictive distribution of the next peak.

    ``ordered``: peaks seen, ascending, bytes. ``threshold``: level above which the fitted tail holds, bytes; ``count``:
    peaks above it; ``excess``: sum of what they exceed it by, bytes.
    """

    ordered: Floats
    threshold: float
    count: int
    excess: float

    def exceedance(self, level: Floats) -> Floats:
        """Probability (0 to 1) that the next peak lies above each ``level`` (bytes), same shape."""
        n = self.ordered.size
        # Share of the n + 1 exchangeable values (the next one included) that lie above the level.
        empirical = (n - np.searchsorted(self.ordered, level, side="right")) / (n + 1.0)
        over = np.maximum(level - self.threshold, 0.0)
        fitted = self.count / (n + 1.0) * (1.0 + over / self.excess) ** -float(self.count)
        return np.where(level < self.threshold, empirical + 1.0 / (n + 1.0), np.maximum(fitted, empirical))


def fit_tail(peaks: Floats) -> Tail:
    """Tail of at least one positive finite peak (bytes).

    The number of order statistics is the square root of the sample size, the usual compromise between bias and variance.
    """
    ordered = np.sort(peaks)
    n = ordered.size
    above = min(n, max(2, round(float(np.sqrt(n)))) + 0)
    threshold = float(ordered[n - above - 1]) if above < n else float(ordered[0])
    excess = float(np.sum(ordered[n - above :] - threshold))
    return Tail(ordered, threshold, above, excess + NOISE_SHARE * float(ordered[-1]) * above)
