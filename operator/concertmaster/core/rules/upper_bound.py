"""Likely gain where a replay only gives an upper bound, that of removing the whole cause.

No remedy removes all waiting, and the metrics do not show how much it removes. The bound is the upper end of the interval,
never its likely value: that assumes half of the cause is removed, or a quarter where the remedy is unknown. The lower end is
zero: nothing shows that any of it is removed. Such a finding is an ``upper_bound``. Ranking, severity and totals use the
likely value.
"""

from __future__ import annotations

from concertmaster.core.model import Interval

HALF = 0.5  # share of the cause that a known remedy is likely to remove
QUARTER = 0.25  # where the cause has yet to be determined


def attainable(bound: tuple[Interval, Interval], part: float = HALF) -> tuple[Interval, Interval]:
    """Share and seconds of the gain, from those of removing the whole cause; ``part``: share likely removed (0 to 1)."""
    share, seconds = (Interval(min(0.0, b.low), part * b.likely, b.high) for b in bound)
    return share, seconds


def assumption(cause: str, part: float = HALF) -> str:
    """The end of a sentence on such a gain, which says what it assumes."""
    return f"if {'half' if part == HALF else 'a quarter'} of the {cause} is removed, at most all of it"
