"""The parts of a series explained by the hour of the day and by weekends, unaffected by changes of the level.

Runs that take longer at noon than at night look like values that carry over to the next: without this, a series of several
runs a day seems to drift, and a change of its level stays unseen. A weekend hides a change that begins shortly before it.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from concertmaster.core.stats.quantiles import beta_cdf
from concertmaster.core.stats.robust import mad_sigma
from concertmaster.core.stats.summary import Floats

DAY = 86400.0
HOUR = 3600.0
WEEK = 7 * DAY
SATURDAY = 2.0 * DAY  # seconds from the start of a week of unix time, a Thursday
MIN_DAYS = 5  # days with several runs: a change of level touches the hours of one of them
MIN_A_DAY = 2.0  # runs
WIDTHS = (1, 2, 3, 4, 6)  # hours that count as one; the narrowest with enough runs is taken
MIN_AT_HOUR = 7.0  # runs; few take up the noise as well, and changes of level look clearer than they are
SIGNIFICANCE = 0.001
ROUNDS = 4  # of the median polish
MIN_WEEKENDS = 2
CLEAR = 4.0  # standard errors of the effect of a weekend


def explained_by_hour(times: Floats, logs: Floats) -> Floats | None:
    """The part of ``logs`` (logs of the values at ``times``, unix seconds, both of shape (n,)) explained by the hour of the
    day in UTC; shape (n,).

    A median polish (Tukey 1977) of days and hours: the days take up levels, growth and weekends. None when there are too few
    runs a day or days, or when the hours do not differ significantly (analysis of variance within days).
    """
    if (
        logs.size < MIN_DAYS * MIN_A_DAY
        or not np.all(np.isfinite(times))
        or times[-1] - times[0] < (MIN_DAYS - 1) * DAY
    ):
        return None
    days = _groups(times // DAY)
    slots = (_groups(times % DAY // (width * HOUR)) for width in WIDTHS)
    hours = next((groups for groups in slots if logs.size >= MIN_AT_HOUR * groups[1]), None)
    if hours is None or hours[1] < 2 or logs.size < MIN_A_DAY * days[1] or not _differ(logs, days, hours):
        return None
    left, effect = logs, np.zeros(hours[1])
    for _ in range(ROUNDS):
        left = left - _medians(left, days)[days[0]]
        step = _medians(left, hours)
        left = left - step[hours[0]]
        effect = effect + step
    explained = effect[hours[0]]
    return explained - float(np.median(explained))


def explained_by_weekend(times: Floats, logs: Floats) -> Floats | None:
    """The part of ``logs`` (as in ``explained_by_hour``) explained by Saturdays and Sundays in UTC; shape (n,).

    Each weekend is compared with the mean of the two days before and the two days after it, so that growth cancels. A
    change of level nearby does not: the weekends between days that are most alike decide, and all must agree in direction.
    None with fewer than two weekends, or when the effect is not significant.
    """
    if not np.all(np.isfinite(times)) or times.size == 0 or times[-1] - times[0] < WEEK + 2 * DAY:
        return None
    since = times - SATURDAY
    effects, apart, errors, noise = [], [], [], []
    for week in np.unique(since // WEEK):
        days = (since - week * WEEK) // DAY
        inside, *beside = parts = [logs[(days >= low) & (days < low + 2)] for low in (0, -2, 2)]
        beside = [part for part in beside if part.size]
        if not inside.size or not beside:
            continue
        levels = [float(np.median(part)) for part in beside]
        effects.append(float(np.median(inside)) - sum(levels) / len(levels))
        apart.append(abs(levels[1] - levels[0]) if len(levels) == 2 else math.inf)
        errors.append(1.0 / inside.size + sum(1.0 / part.size for part in beside) / len(beside) ** 2)
        noise += [part - np.median(part) for part in parts if part.size]
    if len(effects) < MIN_WEEKENDS or len({e > 0 for e in effects}) > 1:
        return None
    alike = np.argsort(apart)[: (len(effects) + 1) // 2]
    effect = float(np.median(np.asarray(effects)[alike]))
    if abs(effect) < CLEAR * mad_sigma(np.concatenate(noise)) * math.sqrt(float(np.mean(np.asarray(errors)[alike]))):
        return None
    return np.where(since % WEEK < 2 * DAY, effect, 0.0)


_Groups = tuple[NDArray[np.intp], int]
"""Group of each value, and the number of groups."""


def _groups(keys: Floats) -> _Groups:
    values, places = np.unique(keys, return_inverse=True)
    return places.astype(np.intp), int(values.size)


def _medians(values: Floats, groups: _Groups) -> Floats:
    """The median of each group."""
    order = np.lexsort((values, groups[0]))
    counts = np.bincount(groups[0], minlength=groups[1])
    ends = np.cumsum(counts)
    starts = ends - counts
    ordered = values[order]
    middle: Floats = (ordered[starts + (counts - 1) // 2] + ordered[starts + counts // 2]) / 2.0
    return middle


def _differ(logs: Floats, days: _Groups, hours: _Groups) -> bool:
    """Whether hours differ more than runs at one hour: an F test within days."""
    within = logs - _means(logs, days)[days[0]]
    means = _means(within, hours)[hours[0]]
    between, free = hours[1] - 1, logs.size - days[1] - hours[1] + 1
    if free < 1:
        return False
    explained, left = float(means @ means), float(np.sum((within - means) ** 2))
    return explained > 0.0 and beta_cdf(left / (left + explained), free / 2.0, between / 2.0) < SIGNIFICANCE


def _means(values: Floats, groups: _Groups) -> Floats:
    counts = np.bincount(groups[0], minlength=groups[1])
    means: Floats = np.bincount(groups[0], weights=values, minlength=groups[1]) / counts
    return means
