"""Removes effects of the hour of the day and of weekends from runs before and after a change.

A change on a Friday evening is followed by a weekend, one in the morning by the busy hours. The seasons are those of the
runs before it alone, so that they cannot take up its effect.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from concertmaster.core import arrays as np
from concertmaster.core.arrays import Floats
from concertmaster.core.changepoint.seasons import DAY, without_seasons
from concertmaster.core.model import RunRecord
from concertmaster.core.times import weekend


def even(
    before: Sequence[RunRecord], after: Sequence[RunRecord], was: Sequence[float | None], now: Sequence[float | None]
) -> tuple[list[float | None], list[float | None]]:
    """Positive amounts of the runs (None: unknown) before (``was``) and after (``now``) a change, without what the hour of
    the day and weekends explain of those before. Runs are in order of start."""
    known = [i for i, (r, v) in enumerate(zip(before, was, strict=True)) if r.start is not None and v]
    times, logs = np.asarray([before[i].start for i in known]), np.log(np.asarray([was[i] for i in known], dtype=float))
    part = logs - without_seasons(times, [logs], level=True)[0]
    if not part.any():
        return [*was], [*now]
    freed = [*was]
    for i, amount in zip(known, np.exp(logs - part).tolist(), strict=True):
        freed[i] = amount
    weekends = np.asarray([weekend(t) for t in times.tolist()])
    return freed, [
        amount * math.exp(-_at(run.start, times, weekends, part))
        if amount is not None and run.start is not None
        else amount
        for run, amount in zip(after, now, strict=True)
    ]


def _at(time: float, times: Floats, weekends: Floats, part: Floats) -> float:
    """What is explained of a run at that time: as of the newest of those nearest in time of the day, on a day of its kind
    if there is any."""
    apart = np.abs(times - time) % DAY
    apart = np.minimum(apart, DAY - apart) + DAY * (weekends != weekend(time))
    return float(part[len(part) - 1 - int(np.argmin(apart[::-1]))])
