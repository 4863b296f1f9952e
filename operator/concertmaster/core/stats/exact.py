"""Exact tests of small counts."""

from __future__ import annotations

import numpy as np


def fisher(good_before: int, bad_before: int, good_now: int, bad_now: int) -> float | None:
    """Two-sided p-value of Fisher's exact test that both success rates are the same; None when one side is empty."""
    before, now = good_before + bad_before, good_now + bad_now
    if not before or not now:
        return None
    good, bad = good_before + good_now, bad_before + bad_now
    first, last = max(0, before - bad), min(good, before)
    # Logarithms of the hypergeometric weights from one to the next: factorials of large fleets have no end.
    k = np.arange(first, last, dtype=np.float64)
    steps = np.log((good - k) * (before - k)) - np.log((k + 1) * (bad - before + k + 1))
    logs = np.concatenate([[0.0], np.cumsum(steps)])
    weights = np.exp(logs - logs.max())
    seen = weights[good_before - first]
    return float(min(1.0, weights[weights <= seen * (1 + 1e-9)].sum() / weights.sum()))
