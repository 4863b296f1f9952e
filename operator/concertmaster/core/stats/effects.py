"""Distribution-free effect size of the difference of two samples."""

from __future__ import annotations

from concertmaster.core import arrays as np
from concertmaster.core.arrays import Floats

LARGE = 0.474  # conventional bound of a large effect (Romano et al. 2006)


def cliffs_delta(a: Floats, b: Floats) -> float:
    """P(a > b) - P(a < b) for a random pair, -1 to 1 (Cliff 1993); 0 when a side is empty."""
    if a.size == 0 or b.size == 0:
        return 0.0
    ordered = np.sort(b)
    below = np.searchsorted(ordered, a, side="left").sum()
    above = (ordered.size - np.searchsorted(ordered, a, side="right")).sum()
    return float(below - above) / (a.size * b.size)
