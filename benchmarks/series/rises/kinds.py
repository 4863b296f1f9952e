"""Workflows that become slower, and workflows that do not although something else happens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from benchmarks.series.law import HOUR, Rng, Rows
from benchmarks.series.rises.law import SPAN, Plan, Rise, Usual

_EVERY = (2.0, 4.0, 8.0, 12.0)  # hours: 168, 84, 42, 28 runs in two weeks
FREQUENT = 0.5 * HOUR  # of two weeks the newest 200 runs are four days
_EDGE = 2.5  # days at least from the begin or the end to a step


def _steady(_: Rng) -> Plan:
    return Plan(np.ones_like)


def _growth(begin: Callable[[Rng], float], end: Callable[[Rng, float], float]) -> Callable[[Rng], Plan]:
    """Growth by 20 to 120%, by the same share or the same seconds each day."""

    def plan(rng: Rng) -> Plan:
        first = begin(rng)
        last, total, linear = end(rng, first), rng.uniform(1.2, 2.2), rng.random() < 0.5

        def level(t: Rows) -> Rows:
            share = np.clip((t - first) / (last - first), 0.0, 1.0)
            return np.asarray(1.0 + (total - 1.0) * share if linear else total**share)

        return Plan(level, growth=(first, last))

    return plan


def _later(rng: Rng) -> float:
    return float(rng.uniform(0.25, 0.6)) * SPAN


_all_along = _growth(lambda _: 0.0, lambda _, __: SPAN)
_ending = _growth(lambda _: 0.0, lambda rng, _: float(rng.uniform(0.4, 0.75)) * SPAN)
_beginning = _growth(_later, lambda _, __: SPAN)
_within = _growth(
    lambda rng: float(rng.uniform(0.15, 0.4)) * SPAN, lambda rng, first: first + rng.uniform(0.25, 0.45) * SPAN
)


def _places(rng: Rng, number: int) -> tuple[float, ...]:
    """Days, at least two and a half apart."""
    free = np.sort(rng.uniform(0.0, SPAN - (number + 1) * _EDGE, number))
    return tuple(float(x) for x in free + _EDGE * (1.0 + np.arange(number)))


def _stepped(places: tuple[float, ...], factors: tuple[float, ...]) -> Callable[[Rows], Rows]:
    def level(t: Rows) -> Rows:
        out = np.ones_like(t)
        for place, factor in zip(places, factors, strict=True):
            out = out * np.where(t >= place, factor, 1.0)
        return out

    return level


def _steps(number: int, low: float, high: float) -> Callable[[Rng], Plan]:
    def plan(rng: Rng) -> Plan:
        places = _places(rng, number)
        return Plan(_stepped(places, tuple(float(f) for f in rng.uniform(low, high, number))), places)

    return plan


_one, _two = _steps(1, 1.2, 2.2), _steps(2, 1.15, 1.6)


def _three(rng: Rng) -> Plan:
    """Of the same size, at equal distances: the staircase that is most like growth."""
    factor = float(rng.uniform(1.12, 1.3))
    places = (0.25 * SPAN, 0.5 * SPAN, 0.75 * SPAN)
    return Plan(_stepped(places, (factor,) * 3), places)


def _beside_growth(rng: Rng) -> Plan:
    step, total = _one(rng), float(rng.uniform(1.1, 1.4))
    return Plan(lambda t: step.level(t) * total ** (t / SPAN), step.steps, (0.0, SPAN))


def _undone(share: float) -> Callable[[Rng], Plan]:
    """A step of which this share, on logarithms, is reverted later."""

    def plan(rng: Rng) -> Plan:
        places, factor = _places(rng, 2), float(rng.uniform(1.3, 2.2))
        return Plan(_stepped(places, (factor, factor**-share)), places[:1] if share < 1.0 else ())

    return plan


def _dip(rng: Rng) -> Plan:
    """Faster for two to four days, as in a holiday."""
    first, factor = float(rng.uniform(5.0, 7.0)), float(rng.uniform(0.5, 0.8))
    return Plan(_stepped((first, first + float(rng.uniform(2.0, 4.0))), (factor, 1.0 / factor)))


def _often(rng: Rng) -> Plan:
    """A step five to eleven days before the end of the span."""
    place = float(rng.uniform(SPAN - 11.0, SPAN - 5.0))
    return Plan(_stepped((place,), (float(rng.uniform(1.25, 1.6)),)), (place,))


def _usual(rng: Rng) -> Usual:
    weekend = float(rng.uniform(0.75, 1.3)) if rng.random() < 1 / 3 else 1.0
    return Usual(HOUR * float(rng.choice(_EVERY)), float(rng.uniform(0.03, 0.2)), weekend=weekend)


def _weekends(rng: Rng) -> Usual:
    return replace(_usual(rng), weekend=float(rng.uniform(1.3, 1.7)))


def _tails(rng: Rng) -> Usual:
    return replace(_usual(rng), slow=0.1)


def _days(rng: Rng) -> Usual:
    """What the day brings (data, other tenants) is common to all runs of it."""
    return Usual(
        HOUR * float(rng.choice((1.0, 2.0))), float(rng.uniform(0.03, 0.1)), of_days=float(rng.uniform(0.06, 0.15))
    )


def _inputs(rng: Rng) -> Usual:
    return replace(_usual(rng), inputs=float(rng.uniform(1.5, 3.0)))


def _recent(rng: Rng) -> Plan:
    """A step three to nine nights before the end of the span."""
    place = SPAN - int(rng.integers(3, 10)) - 0.5
    return Plan(_stepped((place,), (float(rng.uniform(1.3, 2.0)),)), (place,))


def _nightly(rng: Rng) -> Usual:
    return Usual(24.0 * HOUR, float(rng.uniform(0.03, 0.12)), slow=0.05 if rng.random() < 1 / 3 else 0.0)


def _frequent(rng: Rng) -> Usual:
    return Usual(FREQUENT, 0.15, of_days=0.03)


def _frequent_by_hour(rng: Rng) -> Usual:
    return Usual(FREQUENT, 0.15, of_days=0.05, weekend=float(rng.uniform(0.7, 1.0)), hours=0.3)


def _frequent_inputs(rng: Rng) -> Usual:
    return Usual(FREQUENT, 0.15, of_days=0.03, inputs=1.0 + 1e-9)


def _frequent_larger(rng: Rng) -> Usual:
    return Usual(FREQUENT, 0.15, of_days=0.03, inputs=float(rng.uniform(1.5, 3.0)))


_EARLIER = 7.0  # days of rows before the window

KINDS = (
    Rise("steady", "nothing changes", _steady, _usual, rises=False),
    Rise("weekends", "weekends take 30 to 70% longer", _steady, _weekends, rises=False),
    Rise("tails", "a tenth of the runs is many times as long", _steady, _tails, rises=False),
    Rise("days differ", "days differ by 6 to 15% at random", _steady, _days, rises=False),
    Rise("inputs", "known inputs grow by half to threefold", _steady, _inputs, rises=False),
    Rise("dip", "faster for two to four days", _dip, _usual, rises=False),
    Rise("undone", "a step that is reverted", _undone(1.0), _usual, rises=False),
    Rise("growth", "20 to 120% all along", _all_along, _usual),
    Rise("growth that ends", "the same until a day", _ending, _usual),
    Rise("growth that begins", "the same from a day on", _beginning, _usual),
    Rise("growth within", "the same between two days", _within, _usual),
    Rise("one step", "20 to 120%", _one, _usual),
    Rise("two steps", "15 to 60% each", _two, _usual),
    Rise("three steps", "three alike, at equal distances, 12 to 30% each", _three, _usual),
    Rise("step in growth", "one, beside growth by 10 to 40%", _beside_growth, _usual),
    Rise("partly undone", "one, of which two fifths are reverted", _undone(0.4), _usual),
    Rise("step, weekends", "one, where weekends take 30 to 70% longer", _one, _weekends),
    Rise("step, tails", "one, where a tenth of the runs is many times as long", _one, _tails),
    Rise("step, days differ", "one, where days differ by 6 to 15% at random", _one, _days),
    Rise("step, inputs", "one, where known inputs grow", _one, _inputs),
    Rise("nightly steady", "one run a day", _steady, _nightly, rises=False, before=_EARLIER),
    Rise("nightly step", "the same, 30 to 100% for three to nine nights", _recent, _nightly, before=_EARLIER),
    Rise("frequent steady", "a run each half hour", _steady, _frequent, rises=False, before=_EARLIER),
    Rise("frequent by hour", "the same, by hour and weekend", _steady, _frequent_by_hour, rises=False, before=_EARLIER),
    Rise(
        "frequent, larger inputs",
        "the same, known inputs grow",
        _steady,
        _frequent_larger,
        rises=False,
        before=_EARLIER,
    ),
    Rise("frequent step", "25 to 60% since 5 to 11 days", _often, _frequent, before=_EARLIER),
    Rise("frequent step by hour", "the same, by hour and weekend", _often, _frequent_by_hour, before=_EARLIER),
    Rise("frequent step, inputs", "the same, known inputs that vary", _often, _frequent_inputs, before=_EARLIER),
    Rise("frequent growth", "20 to 120% in two weeks", _all_along, _frequent, before=_EARLIER),
)
BY_NAME = {kind.name: kind for kind in KINDS}
