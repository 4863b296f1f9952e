"""Peaks before a visible change of a step (another image, another template), as they would have been since.

A sample maximum holds for runs that could have come in any order. An image that needs a quarter of the memory ends that, and
for as long as the window has runs of the old one they would set the size. Their level is out of date, but not what they say
about rare large runs: of few runs of a new image it is the only evidence. So they are moved to the new level, and count
until the new runs differ in that, too.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, islice, pairwise
from typing import NamedTuple

from concertmaster.core import arrays as np
from concertmaster.core.arrays import Flags, Floats
from concertmaster.core.stats.exact import all_within
from concertmaster.core.stats.quantiles import normal_cdf
from concertmaster.core.stats.ranks import midranks
from concertmaster.core.stats.robust import array_median
from concertmaster.core.times import weekend
from concertmaster.core.units import DAY, WEEK

# Fewest runs before a change and since, and where less is needed since.
MIN_EACH_SIDE, MIN_RUNS_LOWER = 3, 5
# Fewest runs since, of weekends and other days together.
MIN_RUNS = 8
# Runs before a change, of which fewer may be the last ones in the window, and least runs of the week since.
FEW, MIN_RUNS_WEEK = 6, 10
# Difference of the shares of runs on weekends, up to which those before a change and since can be compared as they are.
ALIKE = 0.25
# One-sided significance of a change of level: a release that changes nothing is tested after every run since.
CLEAR = 0.002
# Smallest relative difference of levels that counts.
MIN_CHANGE = 0.1
# Chance of so few large runs since a change below which large runs before it say nothing any more.
UNLIKE = 0.01
# Times the median from which a run before a change is of another kind than most, which the change may not concern.
RARE = 1.5
_MIN_VALUE, _MAX_VALUE = 1e-9, 2.0**60  # below any unit, and above any figure
_STRAIGHT = 1.5  # largest power of the input that is taken out
_MIN_KNOWN_INPUTS = 6  # runs with known input for that


@dataclass(frozen=True, slots=True)
class RebasedFigures:
    """Figures of all runs, those before ``first``, the first run since the change, moved to the level since it.

    ``counted``: the position from which they are evidence: 0, or ``first`` where the runs since it are of another shape.
    ``factor``: the new level over the old one.
    """

    first: int
    values: Floats
    counted: int
    factor: float


class _Change(NamedTuple):
    """``usual``: the level before (bytes); ``factor``: that since over it."""

    usual: float
    factor: float


def moved(
    values: Sequence[float], starts: Sequence[int], times: Sequence[float], inputs: Sequence[float] | None = None
) -> RebasedFigures | None:
    """The ``values`` (memory peaks in bytes or cores, oldest first) after the newest clear change of level at one of
    ``starts``, the first runs after visible changes (ascending); None without one.

    ``times``: unix seconds. ``inputs``: sizes, NaN where unknown.
    """
    own = np.maximum(np.array(values, dtype=np.float64), _MIN_VALUE)
    if not (own <= _MAX_VALUE).all():
        return None
    explained = _explained(np.log(own), inputs, starts)
    level = np.log(own) - explained
    weekends = [weekend(time) for time in times]
    kinds, on_weekends = np.array(weekends), list(accumulate(weekends, initial=0))
    found, counted = None, 0
    for start in starts:
        end = _end(start, starts, times)
        seconds, week = times[end - 1] - times[start], times[-1] - times[start] >= WEEK
        old, new = ((on_weekends[b] - on_weekends[a]) / (b - a) for a, b in ((counted, start), (start, end)))
        differ = abs(new - old) > ALIKE and seconds < WEEK
        change = _clear(level, kinds if differ else None, counted, start, end, week=week)
        if change is not None and (change.factor > 1.0 or seconds >= DAY):
            own, alike = _at_level(own, explained, counted, start, len(values) if week else end, change, week)
            level, counted = np.log(own) - explained, counted if alike else start
            found = RebasedFigures(start, own, counted, change.factor)
    return found


def _end(start: int, starts: Sequence[int], times: Sequence[float]) -> int:
    """Where the runs since ``start`` end: at a later change, if they are enough for a level until then."""
    later = islice(starts, bisect_left(starts, start + MIN_RUNS_LOWER), None)
    enough = (at for at in later if times[at - 1] - times[start] >= DAY)
    return next(enough, len(times))


def changes(versions: Sequence[str | None]) -> list[int]:
    """Positions of the first runs with versions of which no run before has any.

    Several versions in a run are separated by spaces; None is unknown, and then what it was before. What ran both before and
    after something else is one version with all in between: it may come back, or a branch decides which of them runs.
    """
    if len(set(versions)) < 2:
        return []
    sets: list[frozenset[str]] = []
    for version in versions:
        sets.append(frozenset(version.split()) if version else sets[-1] if sets else frozenset())
    last = {name: at for at, names in enumerate(sets) for name in names}
    until, starts = -1, []
    for at, names in enumerate(sets):
        if at > max(0, until) and names and sets[at - 1]:
            starts.append(at)
        until = max([until, *(last[name] for name in names)])
    return starts


def _explained(logs: Floats, inputs: Sequence[float] | None, starts: Sequence[int]) -> Floats:
    """The part of the logarithms that differences of input explain, by the least-squares power within versions."""
    if inputs is None:
        return np.zeros(logs.size)
    given = np.array(inputs, dtype=np.float64)
    known = np.isfinite(given) & (given > 0.0)
    if np.count_nonzero(known) < _MIN_KNOWN_INPUTS:
        return np.zeros(logs.size)
    x = np.where(known, np.log(np.where(known, given, 1.0)), np.nan)
    x = np.where(known, x - np.mean(x[known]), 0.0)
    over = along = 0.0
    for start, end in pairwise([0, *starts, logs.size]):
        part = known[start:end]
        if np.count_nonzero(part) > 1:
            dx = x[start:end][part] - np.mean(x[start:end][part])
            over, along = over + float(dx @ dx), along + float(dx @ logs[start:end][part])
    power = min(_STRAIGHT, max(0.0, along / over)) if over > 0.0 else 0.0
    return np.asarray(power * x)


def _clear(level: Floats, weekends: Flags | None, counted: int, start: int, end: int, *, week: bool) -> _Change | None:
    """The change of the ``level`` (logs) at ``start``, None unless it is clear: by rank, and more than between any two
    stretches of the same number of runs, so that work that alternates does not look like it. That less is needed since must
    show beside the usual difference of ``weekends``; in few runs on days of one kind, whichever are most since; None: on
    any.

    The last runs of an old image in the window are too few for that, and would set the size once more before they leave it.
    After a ``week`` without any run like them the change is clear, as it would be in a window a few runs shorter."""
    before, since = level[counted:start], level[start:end]
    if weekends is not None and array_median(since) < array_median(before):
        old_ends, new_ends = weekends[counted:start], weekends[start:end]
        if since.size >= MIN_RUNS and min(np.count_nonzero(old_ends), np.count_nonzero(~old_ends)) >= MIN_EACH_SIDE:
            apart = array_median(before[old_ends]) - array_median(before[~old_ends])
            before, since = before - apart * old_ends, since - apart * new_ends
        else:
            kind = bool(2 * np.count_nonzero(new_ends) > end - start)
            before, since = before[old_ends == kind], since[new_ends == kind]
    last = week and 0 < before.size < FEW and since.size >= MIN_RUNS_WEEK and before.min() > since.max()
    if min(before.size, since.size) < MIN_EACH_SIDE and not last:
        return None
    old, new = array_median(before), array_median(since)
    if new < old and since.size < MIN_RUNS_LOWER:
        return None
    if abs(new - old) < math.log1p(MIN_CHANGE) or not (last or _rank_chance(before, since) < CLEAR):
        return None
    stretch = min(since.size, before.size)
    was, now = (np.median(np.lib.stride_tricks.sliding_window_view(s, stretch), axis=-1) for s in (before, since))
    beyond = now.max() < was.min() if new < old else now.min() > was.max()
    return _Change(math.exp(old), math.exp(new - old)) if beyond else None


def _rank_chance(before: Floats, since: Floats) -> float:
    """One-sided chance of ranks so far apart: exact where all since are beyond all before, else Wilcoxon's rank sum by its
    normal approximation with continuity correction."""
    m, n = before.size, since.size
    if since.max() < before.min() or since.min() > before.max():
        return 1.0 / math.comb(m + n, n)
    ranks = midranks(np.concatenate([before, since]))
    off = abs(float(np.add.reduce(ranks[m:])) - n * (m + n + 1) / 2.0) - 0.5
    deviation = math.sqrt(float(np.var(ranks)) * m * n / (m + n - 1.0))
    return 1.0 - normal_cdf(off / deviation) if deviation > 0.0 else 1.0


def _at_level(
    own: Floats, explained: Floats, counted: int, start: int, end: int, change: _Change, week: bool
) -> tuple[Floats, bool]:
    """All peaks with those before ``start`` moved to the level since, and whether their largest are like those since.

    What a release adds or frees may be an amount or a share: the larger of both counts, then the share alone, if chance
    hardly has so few of the largest among the runs since.
    """
    before, usual = own[:start], change.usual
    share, amount = change.factor * before, before - (1.0 - change.factor) * usual
    largest = float((np.log(own[start:end]) - explained[start:end]).max())
    either, made = np.maximum(share, amount), own.copy()
    for candidate in (np.where(before > RARE * usual, np.maximum(before, either), either), either, share):
        made[:start] = np.where(before > _MIN_VALUE, np.maximum(candidate, _MIN_VALUE), before)
        above = int((np.log(made[counted:start]) - explained[counted:start] > largest).sum())
        if not week or all_within(start - counted, above, end - counted) >= UNLIKE:
            return made, True
    return made, False
