"""Laws of the level that a step needs, by day: growth of many forms, levels that last, weeks, leaks, and none of these."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float64]
Rng = np.random.Generator
Level = Callable[[Rows], Rows]
"""The level at these times, as a factor. Times are days since the midnight before the first run."""


@dataclass(frozen=True, slots=True)
class Span:
    """``days`` of the history, the first of which is this ``weekday`` (0: Monday); levels are also asked for as many days to
    come."""

    days: int
    weekday: int

    @property
    def all_days(self) -> int:
        """How many days have a level."""
        return 2 * self.days + 2


Draw = Callable[[Rng, Span], Level]


@dataclass(frozen=True, slots=True)
class Family:
    """``draw``: one of its laws. ``group``: what the families in it have in common."""

    name: str
    group: str
    what: str
    draw: Draw


def _days(factors: Rows) -> Level:
    """A level for each day."""
    return lambda t: np.asarray(factors[t.astype(int)])


def _none(rng: Rng, span: Span) -> Level:
    return np.ones_like


def _linear(rng: Rng, span: Span) -> Level:
    rate = rng.uniform(0.03, 0.15)
    return lambda t: 1.0 + rate * t


def _exponential(low: float, high: float) -> Draw:
    def draw(rng: Rng, span: Span) -> Level:
        rate = np.log1p(rng.uniform(low, high))
        return lambda t: np.exp(rate * t)

    return draw


def _logistic(rng: Rng, span: Span) -> Level:
    rise, middle, width = rng.uniform(0.5, 3.0), rng.uniform(0.2, 1.3) * span.days, rng.uniform(0.05, 0.2) * span.days
    return lambda t: 1.0 + rise / (1.0 + np.exp((middle - t) / width))


def _quadratic(rng: Rng, span: Span) -> Level:
    rise = rng.uniform(0.3, 2.0)
    return lambda t: 1.0 + rise * (t / span.days) ** 2


def _stopped(rng: Rng, span: Span) -> Level:
    rate, end = np.log1p(rng.uniform(0.03, 0.10)), rng.uniform(0.3, 0.8) * span.days
    return lambda t: np.exp(rate * np.minimum(t, end))


def _weekly(week: Rows, span: Span) -> Level:
    """A level for each weekday."""
    return lambda t: np.asarray(week[(t.astype(int) + span.weekday) % 7])


def _week(rng: Rng) -> Rows:
    """Levels of the weekdays where weekends are lighter."""
    return np.array([1.0] * 5 + [rng.uniform(0.4, 0.8)] * 2)


def _growing_week(rng: Rng, span: Span) -> Level:
    rate, week = np.log1p(rng.uniform(0.01, 0.06)), _weekly(_week(rng), span)
    return lambda t: np.exp(rate * t) * week(t)


def _weekdays(rng: Rng, span: Span) -> Level:
    return _weekly(np.exp(rng.normal(0.0, 0.3, 7)), span)


def _weekends(rng: Rng, span: Span) -> Level:
    return _weekly(_week(rng), span)


def _lasting(rng: Rng, span: Span) -> Level:
    """Each day stays on the level of the day before, or starts another one."""
    new = rng.random(span.all_days) < 1.0 / rng.uniform(2.0, 6.0)
    return _days(np.exp(rng.normal(0.0, rng.uniform(0.1, 0.5), new.size))[np.cumsum(new)])


def _two_levels(rng: Rng, span: Span) -> Level:
    changes = rng.random(span.all_days) < 1.0 / rng.uniform(2.0, 5.0)
    return _days(np.where(np.cumsum(changes) % 2 == rng.integers(2), 1.0, rng.uniform(1.3, 3.0)))


def _joining(rng: Rng, span: Span) -> Level:
    joined = rng.random(span.all_days) < 1.0 / rng.uniform(2.0, 6.0)
    return _days(np.asarray(np.cumprod(1.0 + joined * rng.uniform(0.05, 0.3, joined.size)), dtype=np.float64))


def _wandering(rng: Rng, span: Span) -> Level:
    return _days(np.exp(np.cumsum(rng.normal(0.0, rng.uniform(0.02, 0.08), span.all_days))))


def _once(low: float, high: float) -> Draw:
    def draw(rng: Rng, span: Span) -> Level:
        at, factor = rng.uniform(0.1, 0.95) * span.days, rng.uniform(low, high)
        return lambda t: np.where(t < at, 1.0, factor)

    return draw


def _leak(rng: Rng, span: Span) -> Level:
    rate, every, first = rng.uniform(0.05, 0.3), rng.uniform(2.0, 9.0), rng.uniform(0.0, 9.0)
    return lambda t: 1.0 + rate * ((t + first) % every)


def _heavy_days(rng: Rng, span: Span) -> Level:
    heavy = rng.random(span.all_days) < rng.uniform(0.05, 0.3)
    return _days(np.where(heavy, rng.uniform(1.3, 3.0), 1.0))


def _alike_days(rng: Rng, span: Span) -> Level:
    return _days(np.exp(rng.normal(0.0, rng.uniform(0.05, 0.3), span.all_days)))


FAMILIES = (
    Family("nothing changes", "steady", "noise only", _none),
    Family("light weekends", "steady", "weekends need 40 to 80% of other days", _weekends),
    Family("weekdays", "steady", "a level of its own for each weekday", _weekdays),
    Family("days differ", "steady", "a level of its own for each day, by 5 to 30%", _alike_days),
    Family("heavy days", "steady", "1.3 to 3 times as much on 5 to 30% of the days", _heavy_days),
    Family("leak", "steady", "5 to 30% more a day, until a restart every 2 to 9 days", _leak),
    Family("growth that stopped", "steady", "3 to 10% more a day, until a third to four fifths of the history", _stopped),
    Family("linear", "growth", "3 to 15% of the first level more a day", _linear),
    Family("exponential, slow", "growth", "0.5 to 3% more a day", _exponential(0.005, 0.03)),
    Family("exponential", "growth", "3 to 10% more a day", _exponential(0.03, 0.10)),
    Family("quadratic", "growth", "30 to 200% more within the history, by the square of time", _quadratic),
    Family("logistic", "growth", "1.5 to 4 times as much in the end, steepest at 0.2 to 1.3 of the history", _logistic),
    Family("growth and weekends", "growth", "1 to 6% more a day, and light weekends", _growing_week),
    Family("one step up", "levels", "1.5 to 2.5 times as much since some day", _once(1.5, 2.5)),
    Family("one step down", "levels", "40 to 70% since some day", _once(0.4, 0.7)),
    Family("two levels", "levels", "two levels, 2 to 5 days each", _two_levels),
    Family("levels that last", "levels", "another level every 2 to 6 days", _lasting),
    Family("joining", "levels", "5 to 30% more for good every 2 to 6 days", _joining),
    Family("wandering", "levels", "2 to 8% more or less than the day before", _wandering),
)  # fmt: skip
GROUPS = tuple(dict.fromkeys(family.group for family in FAMILIES))
