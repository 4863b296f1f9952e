"""Removes effects of the hour of the day and of weekends from runs before and after a change.

A change on a Friday evening is followed by a weekend, one in the morning by the busy hours. The seasons are those of
the runs before it alone, so that they cannot take up its effect. They are estimates: of a few days an hour is known no
better than from the few runs at that hour, and runs after a change that are all of that hour share its error
(``Deseasonalized.error``). A weekend of few runs may differ from other days without being clear enough to be removed:
that is an error, too."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from concertmaster.core import arrays as np
from concertmaster.core.arrays import Floats, Indices
from concertmaster.core.changepoint.seasons import DAY, Calendar, explained_by_hour, explained_by_weekend
from concertmaster.core.model import RunRecord
from concertmaster.core.stats.comparison import MIN_RUNS
from concertmaster.core.stats.least_squares import slope
from concertmaster.core.stats.modes import of_one_unit
from concertmaster.core.stats.robust import array_median, mad_sigma
from concertmaster.core.times import weekend

_MEDIANS = math.pi / 2.0  # variance of a median in units of that of a mean, under normal noise


@dataclass(frozen=True, slots=True)
class _Seasons:
    """What is explained of the logs of runs at ``times`` (ascending unix seconds): ``part``, all of shape (n,). ``hours``:
    the group of hours of each, and the variance of what is known of a group; ``weekly``: that of the effect of weekends, or
    the square of what is left of it, whichever is larger."""

    times: Floats
    weekends: Indices
    part: Floats
    hours: Indices
    hourly: Floats
    weekly: float

    def nearest(self, times: Sequence[float]) -> Indices:
        """For each time the position of the newest of the runs nearest in time of the day, on a day of its kind if any."""
        kinds = np.asarray([weekend(time) for time in times], dtype=np.intp)
        apart = np.abs(self.times % DAY - np.asarray(times, dtype=np.float64)[:, None] % DAY)
        apart = np.minimum(apart, DAY - apart) + DAY * (self.weekends != kinds[:, None])
        return np.asarray(len(self.times) - 1 - apart[:, ::-1].argmin(axis=1))

    def error(self, before: Sequence[float], after: Sequence[float]) -> float:
        """Standard error of the mean of what is removed from the logs ``after``, less that of those ``before`` (times)."""
        if not before or not after:
            return 0.0
        a, b = self.nearest(before), self.nearest(after)
        apart = [np.bincount(self.hours[at], minlength=self.hourly.size) / at.size for at in (a, b)]
        weekly = float(self.weekends[b].mean() - self.weekends[a].mean()) ** 2 * self.weekly
        return math.sqrt(float(np.square(apart[1] - apart[0]) @ self.hourly) + weekly)


def _seasons(
    before: Sequence[RunRecord], amounts: Mapping[str, float | None], sizes: Mapping[str, float] | None
) -> _Seasons | None:
    """Those of the positive amounts of runs in order of start; None where neither hours nor weekends explain anything, and
    the runs are all of one kind of days. What weekends differ by is judged at equal ``sizes``, if given."""
    known = [(r.start, amounts[r.run]) for r in before if r.start is not None and amounts[r.run]]
    times, logs = np.asarray([start for start, _ in known]), np.log(np.asarray([v for _, v in known], dtype=float))
    calendar = Calendar(times, level=True)
    hourly = explained_by_hour(calendar, logs)
    left = logs if hourly is None else logs - hourly
    weekly = explained_by_weekend(calendar, left)
    left = left if weekly is None else left - weekly
    part, weekends = logs - left, np.asarray([int(weekend(t)) for t in times.tolist()])
    both = 0 < int(weekends.sum()) < times.size
    if not (both or part.any()):
        return None
    noise, of = _MEDIANS * mad_sigma(left) ** 2, calendar.hours if hourly is not None else None
    return _Seasons(
        times, weekends, part,
        np.zeros(times.size, np.intp) if of is None else of.of,
        np.zeros(1) if of is None else noise / of.sizes,
        _between(_at_equal_size(left, before, amounts, sizes), weekends) if both else 0.0,
    )  # fmt: skip


def _at_equal_size(
    left: Floats, before: Sequence[RunRecord], amounts: Mapping[str, float | None], sizes: Mapping[str, float] | None
) -> Floats:
    """What input sizes of one unit leave of the logs ``left``, up to a constant, as in the comparison that follows."""
    if sizes is None:
        return left
    known = np.asarray([sizes[r.run] for r in before if r.start is not None and amounts[r.run]], dtype=float)
    if known.size < MIN_RUNS or not (known > 0.0).all() or not of_one_unit(np.log(known), left):
        return left
    logs = np.log(known)
    return np.asarray(left - slope(logs, left).value * logs)


def _between(left: Floats, weekends: Indices) -> float:
    """Variance of the difference between weekends and other days: of the medians, or the square of what they are apart where
    that is not clear enough to be removed."""
    inside, noise = int(weekends.sum()), _MEDIANS * mad_sigma(left) ** 2
    apart = array_median(left[weekends == 1]) - array_median(left[weekends == 0])
    return max(noise * (1.0 / inside + 1.0 / (left.size - inside)), apart**2)


@dataclass(frozen=True, slots=True)
class Deseasonalized:
    """Positive ``amounts`` by run (None: unknown) without what the hour of the day and weekends explain of those before a
    change, and these ``seasons``; None where they explain nothing."""

    amounts: dict[str, float | None]
    seasons: _Seasons | None

    def error(self, compared: Sequence[RunRecord], after: Sequence[RunRecord]) -> float:
        """Standard error of the log of the ratio of runs ``after`` to those ``compared`` (some of those before) that comes
        with what is removed, and with what is left of weekends; 0 where runs of both sides are alike in this."""
        if self.seasons is None:
            return 0.0
        return self.seasons.error(*([r.start for r in side if r.start is not None] for side in (compared, after)))


def deseasonalize(
    before: Sequence[RunRecord],
    after: Sequence[RunRecord],
    amounts: Mapping[str, float | None],
    sizes: Mapping[str, float] | None = None,
) -> Deseasonalized:
    """The positive ``amounts`` of runs before and after a change, in order of start, without seasons. ``sizes``: input sizes
    by run, without theirs, at which the amounts will be compared (None: whatever they are)."""
    freed, seasons = dict(amounts), _seasons(before, amounts, sizes)
    if seasons is None:
        return Deseasonalized(freed, None)
    known = [r.run for r in before if r.start is not None and amounts[r.run]]
    removed = dict(zip(known, seasons.part.tolist(), strict=True))
    dated = {r.run: r.start for r in after if r.start is not None}
    removed |= zip(dated, seasons.part[seasons.nearest(list(dated.values()))].tolist(), strict=True)
    for run, part in removed.items():
        amount = amounts[run]
        freed[run] = None if amount is None else amount * math.exp(-part)
    return Deseasonalized(freed, seasons)


def of_known_days(before: Sequence[RunRecord], after: Sequence[RunRecord]) -> tuple[RunRecord, ...]:
    """The runs after a change that began on a day (working day or weekend) of a kind on which some began before it: what the
    others would have taken is not known."""
    kinds = {weekend(r.start) for r in before if r.start is not None}
    return tuple(r for r in after if r.start is None or not kinds or weekend(r.start) in kinds)
