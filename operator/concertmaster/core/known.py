"""Sums and shares of figures of which some are unknown: unknown is left out, and never counts as zero."""

from __future__ import annotations

import math
from collections.abc import Iterable


def total(values: Iterable[float | None]) -> float | None:
    """The sum of what is known; None when nothing is."""
    known = [v for v in values if v is not None]
    return math.fsum(known) if known else None


def largest(values: Iterable[float | None]) -> float | None:
    """The largest of what is known; None when nothing is."""
    return max((v for v in values if v is not None), default=None)


def success_rate(succeeded: int, failed: int) -> float | None:
    """Share (0 to 1) that succeeded of those with a known outcome; None when no outcome is known."""
    known = succeeded + failed
    return succeeded / known if known else None
