"""What forecasts say of an objective that is met today: whether it will be missed, and when; by laws of growth whose
future is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from benchmarks.series.law import DAY, FIRST, HOUR, Rng, Rows, generator, log_normal
from benchmarks.series.laws.dependent import carried
from benchmarks.series.tally import Key, Tally
from concertmaster.core.changepoint import OutlookState, outlook

COUNTS = (28, 56, 168)  # runs
WINDOW = 14 * DAY
_FUTURE = 60 * DAY  # an objective that is not missed until then never is
_LEAST, _MOST = 0.03, 0.15  # distance of the objective from the present level, as a share


@dataclass(frozen=True, slots=True)
class Growth:
    """``level``: a typical run time as a factor, at a time as a share of the window (1: now, more: later). ``noise`` of as
    many runs at these times, as factors. ``whole``: measured in whole seconds; ``since``: the share of the window at which
    the present growth began: a date is not due further ahead than growth has been observed."""

    name: str
    what: str
    level: Callable[[Rows], Rows]
    noise: Callable[[Rng, Rows], Rows]
    whole: bool = False
    since: float = 0.0


def judge(law: Growth, seed: int) -> Tally:
    """An objective somewhat above the present level."""
    tally = Tally()
    for n in COUNTS:
        rng = generator(law.name, seed, n)
        times = FIRST + WINDOW * (np.arange(n) + rng.uniform(0.0, 0.5, n)) / n
        now = FIRST + WINDOW + HOUR
        seconds = 30.0 * law.level((times - FIRST) / WINDOW) * law.noise(rng, times)
        values = np.round(seconds) if law.whole else seconds
        future = np.linspace(now, now + _FUTURE, 2000)
        levels = 30.0 * law.level((future - FIRST) / WINDOW) * _usual(law)
        limit = float(levels[0]) * (1.0 + float(rng.uniform(_LEAST, _MOST)))
        missed = np.flatnonzero(levels > limit)
        found = outlook(times, values, limit, now=now)
        said = found.state is OutlookState.AT_RISK
        if not missed.size:
            tally.add(Key(law.name, "never", str(n)), said)
            continue
        due = float(future[missed[0]])
        if due - now <= (1.0 - law.since) * WINDOW:
            tally.add(Key(law.name, "said", str(n)), said or found.state is OutlookState.MISSED)
        if said and found.at is not None:
            tally.add(Key(law.name, "date", str(n)), found.at.low <= due <= found.at.high)
    return tally


@cache
def _usual(law: Growth) -> float:
    """The median of the noise over eight weeks, which hours and weekends are part of."""
    times = FIRST + 4.0 * WINDOW * np.arange(20_000) / 20_000
    return float(np.median(law.noise(generator(law.name, 0), times)))


def _by(total: float) -> Callable[[Rows], Rows]:
    """Steady growth to this factor over the window, and on."""
    return lambda t: np.asarray(total**t)


def _until(total: float, end: float) -> Callable[[Rows], Rows]:
    """The same until a share of the window."""
    return lambda t: np.asarray(total ** (np.minimum(t, end) / end))


def _stepped(total: float, at: float) -> Callable[[Rows], Rows]:
    return lambda t: np.where(t >= at, total, 1.0)


def _saturating(total: float) -> Callable[[Rows], Rows]:
    return lambda t: np.asarray(1.0 + (total - 1.0) * (1.0 - np.exp(-4.0 * t)))


def _from(total: float, start: float) -> Callable[[Rows], Rows]:
    """Growth that begins at a share of the window."""
    return lambda t: np.asarray(total ** np.maximum(0.0, t - start))


def _after_step(total: float, step: float, at: float) -> Callable[[Rows], Rows]:
    return lambda t: np.asarray(np.where(t >= at, step, 1.0) * total**t)


def _normal(spread: float) -> Callable[[Rng, Rows], Rows]:
    return lambda rng, times: log_normal(rng, times.size, spread)


def _dependent(rng: Rng, times: Rows) -> Rows:
    return np.asarray(np.exp(0.08 * carried(rng, times.size, 0.7)))


def _hourly(rng: Rng, times: Rows) -> Rows:
    return np.asarray((1.0 + 0.2 * np.sin(2.0 * np.pi * times / DAY)) * log_normal(rng, times.size, 0.05))


def _weekly(rng: Rng, times: Rows) -> Rows:
    weekend = (times - FIRST) % (7 * DAY) >= 5 * DAY
    return np.asarray(np.where(weekend, 0.8, 1.0) * log_normal(rng, times.size, 0.05))


def _hanging(rng: Rng, times: Rows) -> Rows:
    slow = np.where(rng.random(times.size) < 0.05, 8.0, 1.0)
    return np.asarray(slow * log_normal(rng, times.size, 0.06))


def _spreading(rng: Rng, times: Rows) -> Rows:
    return np.asarray(np.exp(np.linspace(0.03, 0.15, times.size) * rng.standard_normal(times.size)))


KINDS = (
    Growth("forecast: steady", "nothing changes", _by(1.0), _normal(0.08)),
    Growth("forecast: steady, whole seconds", "about 30 s in whole seconds", _by(1.0), _normal(0.03), whole=True),
    Growth("forecast: steady, AR 0.7", "deviations carry over", _by(1.0), _dependent),
    Growth("forecast: steady, hours", "a daily wave", _by(1.0), _hourly),
    Growth("forecast: steady, weekends", "shorter at weekends", _by(1.0), _weekly),
    Growth("forecast: steady, some hang", "one run in twenty takes eight times as long", _by(1.0), _hanging),
    Growth("forecast: spread grows", "the level does not", _by(1.0), _spreading),
    Growth("forecast: step", "a step of a fifth at two thirds of the window", _stepped(1.2, 0.66), _normal(0.06)),
    Growth("forecast: recent step", "a step of a tenth in the last tenth", _stepped(1.1, 0.9), _normal(0.06)),
    Growth("forecast: small step", "a step of 6% half way", _stepped(1.06, 0.5), _normal(0.06)),
    Growth("forecast: growth that stops", "by 30% until half way", _until(1.3, 0.5), _normal(0.06)),
    Growth("forecast: growth that stopped lately", "by 30%, the last fifth is steady", _until(1.3, 0.8), _normal(0.06)),
    Growth("forecast: saturating", "by 30%, ever more slowly, to a limit", _saturating(1.3), _normal(0.06)),
    Growth("forecast: growth", "by 30%, and on", _by(1.3), _normal(0.06)),
    Growth("forecast: slow growth", "by 12%, and on", _by(1.12), _normal(0.06)),
    Growth("forecast: growth, AR 0.7", "by 30%, deviations carry over", _by(1.3), _dependent),
    Growth("forecast: growth, hours", "by 30%, with a daily wave", _by(1.3), _hourly),
    Growth("forecast: growth, weekends", "by 30%, shorter at weekends", _by(1.3), _weekly),
    Growth("forecast: growth, some hang", "by 30%, one run in twenty takes eight times as long", _by(1.3), _hanging),
    Growth(
        "forecast: growth, whole seconds", "by 30% from 30 s, in whole seconds", _by(1.3), _normal(0.03), whole=True
    ),
    Growth(
        "forecast: growth begins",
        "steady until half way, then by 30% in a window",
        _from(1.3, 0.5),
        _normal(0.04),
        since=0.5,
    ),
    Growth(
        "forecast: growth and a step", "by 30%, with a step of 30% half way", _after_step(1.2, 1.3, 0.5), _normal(0.05)
    ),
)
