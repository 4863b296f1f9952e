"""What is likely gained where a replay only tells what the whole cause is worth: an upper bound.

Nobody removes all waiting, and how much of it a remedy removes is not in the metrics. The bound is the high end of the
interval, never its likely value: that takes half of the cause for removed, a quarter where what to change is not known
either. The low end takes a tenth. Ranking, severity and totals use the likely value.
"""

from __future__ import annotations

from concertmaster.core.model import Interval

HALF = 0.5  # of the cause is likely removed by a remedy that is known
QUARTER = 0.25  # where the cause has still to be found
_LEAST = 0.1


def attainable(bound: tuple[Interval, Interval], part: float = HALF) -> tuple[Interval, Interval]:
    """Share and seconds of the gain, from what removing all of the cause would gain; ``part``: likely removed (0 to 1)."""
    share, seconds = (Interval(_LEAST * b.low, part * b.likely, b.high) for b in bound)
    return share, seconds
