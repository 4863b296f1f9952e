"""Lives in which nothing happens that a recommendation should follow."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.lives.kinds.base import Kind, Rng, limited, seasonal, some_day, throttled
from benchmarks.lives.law import Effect, Flow, at_day
from benchmarks.lives.life import Event, write
from benchmarks.lives.truth import Plan, never, unchanged

_UNTIL = 33.0


def _calm(flow: Flow, *ids: str) -> Plan:
    return Plan(flow, (), _UNTIL, (*(unchanged(i, 12.0, _UNTIL) for i in ids), never("degradation", 12.0, _UNTIL)))


def steady(rng: Rng) -> Plan:
    """Two recommendations that nobody follows."""
    return _calm(replace(throttled(rng), parallelism=2), "parallelism", "cpu-request.load")


def with_seasons(rng: Rng) -> Plan:
    """The same where hours and weekends differ."""
    return _calm(seasonal(replace(throttled(rng), parallelism=2), rng), "parallelism", "cpu-request.load")


def outage(rng: Rng) -> Plan:
    """No run starts for three days."""
    day = some_day(rng)
    return _calm(replace(limited(rng), paused=((at_day(day), at_day(day + 3.0)),)), "parallelism")


def slow_for_hours(rng: Rng) -> Plan:
    """All work takes twice as long for half a day."""
    day = some_day(rng)
    return _calm(limited(rng).under(Effect(at_day(day), at_day(day + 0.5), factor=2.0)), "parallelism")


def releases(rng: Rng) -> Plan:
    """A new image every third day, each as good as the last."""
    plan = _calm(limited(rng), "parallelism")

    def release(number: int) -> tuple[float, Event]:
        return 13.0 + 3.0 * number, write(lambda now: now.having("load", image=str(2 + number)))

    return replace(plan, events=tuple(release(n) for n in range(6)))


KINDS: tuple[Kind, ...] = (steady, with_seasons, outage, slow_for_hours, releases)
