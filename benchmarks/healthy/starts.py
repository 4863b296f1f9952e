"""When workflows start, in the window before the analysis (unix seconds)."""

from __future__ import annotations

import math

import numpy as np

from benchmarks.healthy.law import DAY, HOUR, WINDOW, Rng, Starts, weekday

_JITTER = 3.0  # seconds within which a controller starts a scheduled run
_NOON, _HALF_OF_WORK = 13.5, 3.0  # hours of the day: mean and standard deviation of pushes


def every(seconds: float, *, at: float = 0.0, weekdays: bool = False) -> Starts:
    """On a schedule: each time the seconds since midnight, less ``at``, are a multiple; ``weekdays``: Monday to Friday
    only."""

    def starts(rng: Rng, now: float) -> list[float]:
        first, last = (math.ceil((time - at) / seconds) for time in (now - WINDOW, now))
        due = [number * seconds + at for number in range(first, last)]
        return [t + float(rng.uniform(0.0, _JITTER)) for t in due if not (weekdays and weekday(t) >= 5)]

    return starts


def office(per_day: float, weekend: float = 1.5) -> Starts:
    """By people: so many on a mean working day and on a day of the weekend, mostly around noon."""

    def starts(rng: Rng, now: float) -> list[float]:
        found: list[float] = []
        for day in range(int((now - WINDOW) // DAY), int(now // DAY) + 1):
            count = rng.poisson(weekend if weekday(day * DAY) >= 5 else per_day)
            hours = np.clip(rng.normal(_NOON, _HALF_OF_WORK, count), 6.0, 22.0)
            found += [day * DAY + float(hour) * HOUR for hour in hours]
        return [t for t in found if now - WINDOW < t < now]

    return starts


def at_random(per_day: float) -> Starts:
    """By events that are independent of each other, so many on a mean day."""

    def starts(rng: Rng, now: float) -> list[float]:
        return _uniform(rng, now, int(rng.poisson(per_day * WINDOW / DAY)))

    return starts


def few(least: int, most: int) -> Starts:
    """A number of runs between the two, at random times."""

    def starts(rng: Rng, now: float) -> list[float]:
        return _uniform(rng, now, int(rng.integers(least, most + 1)))

    return starts


def paused(usual: Starts, before: float, after: float) -> Starts:
    """None between two ages in days: the schedule was suspended meanwhile."""

    def starts(rng: Rng, now: float) -> list[float]:
        return [t for t in usual(rng, now) if not after < (now - t) / DAY < before]

    return starts


def bursts(per_day: float, most: int, gap: float) -> Starts:
    """Events that come together: bursts of 1 to ``most``, ``gap`` seconds apart."""

    def starts(rng: Rng, now: float) -> list[float]:
        found: list[float] = []
        for begin in _uniform(rng, now, int(per_day * WINDOW / DAY)):
            found += [begin + number * gap for number in range(int(rng.integers(1, most + 1)))]
        return sorted(found)

    return starts


def with_backfill(usual: Starts, age: float) -> Starts:
    """Besides, 30 runs so many days ago, 40 seconds apart."""

    def starts(rng: Rng, now: float) -> list[float]:
        return sorted([*usual(rng, now), *(now - age * DAY + number * 40.0 for number in range(30))])

    return starts


def _uniform(rng: Rng, now: float, count: int) -> list[float]:
    return sorted(now - float(back) for back in rng.uniform(0.0, WINDOW, count))
