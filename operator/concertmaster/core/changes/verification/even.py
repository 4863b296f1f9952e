"""Removes effects of the hour of the day and of weekends from runs before and after a change.

A change on a Friday evening is followed by a weekend, one in the morning by the busy hours. The seasons are those of the
runs before it alone, so that they cannot take up its effect.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from concertmaster.core import arrays as np
from concertmaster.core.arrays import Floats
from concertmaster.core.changepoint.seasons import DAY, without_seasons
from concertmaster.core.model import RunRecord
from concertmaster.core.times import weekend


def even(
    before: Sequence[RunRecord], after: Sequence[RunRecord], amounts: Mapping[str, float | None]
) -> dict[str, float | None]:
    """Positive ``amounts`` by run (None: unknown) without what the hour of the day and weekends explain of the runs before.
    Runs are in order of start."""
    known = [(r.run, r.start, amounts[r.run]) for r in before if r.start is not None and amounts[r.run]]
    times, logs = np.asarray([start for _, start, _ in known]), np.log(np.asarray([v for *_, v in known], dtype=float))
    part = logs - without_seasons(times, [logs], level=True)[0]
    if not part.any():
        return dict(amounts)
    weekends = np.asarray([weekend(t) for t in times.tolist()])
    freed = dict(amounts) | dict(zip([run for run, *_ in known], np.exp(logs - part).tolist(), strict=True))
    for run in after:
        amount = amounts[run.run]
        if amount is not None and run.start is not None:
            freed[run.run] = amount * math.exp(-_at(run.start, times, weekends, part))
    return freed


def _at(time: float, times: Floats, weekends: Floats, part: Floats) -> float:
    """What is explained of a run at that time: as of the newest of those nearest in time of the day, on a day of its kind
    if there is any."""
    apart = np.abs(times - time) % DAY
    apart = np.minimum(apart, DAY - apart) + DAY * (weekends != weekend(time))
    return float(part[len(part) - 1 - int(np.argmin(apart[::-1]))])
