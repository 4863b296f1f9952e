"""Run times by hour, weekday and day of the month, and runs that start at irregular times or are missing for days."""

from __future__ import annotations

import numpy as np

from benchmarks.series.law import DAY, FIRST, HOUR, Course, Draw, Law, Rng, Rows, Starts, every, log_normal

_MONTH = 30  # days


def _hours(rng: Rng, runs: Course) -> Rows:
    wave = 1.0 + 0.25 * np.sin(2.0 * np.pi * runs.times / DAY)
    return np.asarray(300.0 * runs.level * wave * log_normal(rng, runs.size, 0.08))


def _busy_hours(rng: Rng, runs: Course) -> Rows:
    hour = runs.times % DAY / HOUR
    return 300.0 * runs.level * np.where((hour >= 8) & (hour < 12), 1.6, 1.0) * log_normal(rng, runs.size, 0.08)


def _weekdays(rng: Rng, runs: Course) -> Rows:
    weekend = (runs.times - FIRST) % (7 * DAY) >= 5 * DAY
    return 300.0 * runs.level * np.where(weekend, 0.7, 1.0) * log_normal(rng, runs.size, 0.08)


def _mondays(rng: Rng, runs: Course) -> Rows:
    monday = (runs.times - FIRST) % (7 * DAY) < DAY
    return 300.0 * runs.level * np.where(monday, 1.5, 1.0) * log_normal(rng, runs.size, 0.08)


def _month_ends(rng: Rng, runs: Course) -> Rows:
    last = (runs.times - FIRST) // DAY % _MONTH >= _MONTH - 3
    return 300.0 * runs.level * np.where(last, 1.8, 1.0) * log_normal(rng, runs.size, 0.08)


def _plain(rng: Rng, runs: Course) -> Rows:
    return 300.0 * runs.level * log_normal(rng, runs.size, 0.1)


def _unread(rng: Rng, runs: Course) -> Rows:
    """A stretch of up to a quarter of the values was not read."""
    values = _plain(rng, runs)
    length = int(rng.integers(1, max(2, runs.size // 4)))
    first = int(rng.integers(0, runs.size - length + 1))
    if runs.size - length >= 12:
        values[first : first + length] = np.nan
    return values


def _paused(rng: Rng, n: int) -> Rows:
    """Every four hours, with a pause of one to nine days."""
    times = every(4 * HOUR)(rng, n)
    times[int(rng.integers(1, n)) :] += rng.uniform(1.0, 9.0) * DAY
    return times


def _bursts(rng: Rng, n: int) -> Rows:
    """Some minutes apart, and then again a day or so."""
    apart = np.where(rng.random(n) < 0.2, rng.exponential(DAY, n), rng.exponential(900.0, n))
    return np.asarray(FIRST + np.cumsum(apart))


def _season(name: str, what: str, draw: Draw, starts: Starts, flow: bool = False) -> Law:
    return Law(name, what, draw, 1.4, starts, alike=False, independent=False, slow_runs=True, flow=flow)


LAWS = (
    _season("hours", "a daily wave of a quarter, hourly", _hours, every(HOUR), flow=True),
    _season("busy hours", "60% more from 8 to 12, hourly", _busy_hours, every(HOUR), flow=True),
    _season("weekends", "30% less at weekends, every four hours", _weekdays, every(4 * HOUR), flow=True),
    _season("Mondays", "half as much again on Mondays, every six hours", _mondays, every(6 * HOUR), flow=True),
    _season("month ends", "80% more on the last three days of a month, twice a day", _month_ends, every(12 * HOUR)),
    Law("values missing", "up to a quarter in a row were not read", _unread, 1.3),
    Law("runs missing", "no runs for days, and as before then", _plain, 1.3, _paused),
    Law("irregular starts", "several runs within an hour, and then none for a day", _plain, 1.3, _bursts),
)
