"""Comparison of runs before and after a change, adjusted for input size, with stated error rates.

Two forms share one test (``stats/shift.py``) on log durations: ``fixed`` is evaluated once, ``sequential`` may be evaluated
after every run.
"""

from __future__ import annotations

from concertmaster.core.stats.comparison.fixed import LEVEL, compare, compare_amounts, direction
from concertmaster.core.stats.comparison.result import MARGIN, UNDECIDED, CommonFactor, Comparison
from concertmaster.core.stats.comparison.sequential import (
    LAST_LEVEL,
    SEQUENTIAL_LEVEL,
    anytime_critical,
    watch,
)
from concertmaster.core.stats.comparison.sides import MIN_RUNS

__all__ = [
    "LAST_LEVEL",
    "LEVEL",
    "MARGIN",
    "MIN_RUNS",
    "SEQUENTIAL_LEVEL",
    "UNDECIDED",
    "CommonFactor",
    "Comparison",
    "anytime_critical",
    "compare",
    "compare_amounts",
    "direction",
    "watch",
]
