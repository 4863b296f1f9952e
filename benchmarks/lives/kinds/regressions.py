"""Lives in which something becomes worse, and perhaps better again."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.lives.kinds.base import AFTER, Kind, Rng, plain, seasonal, some_day
from benchmarks.lives.law import MI, Effect, Flow, at_day
from benchmarks.lives.life import write
from benchmarks.lives.truth import Claim, Plan, gone, never, recommended

_SLOWER = "degradation.load"
_FACTOR = 1.6
_PERSISTS = 8.0  # days for which a regression that stays is new


def _slower(flow: Flow, *spans: tuple[float, float]) -> Flow:
    return flow.under(*(Effect(at_day(a), at_day(b), "load", factor=_FACTOR) for a, b in spans))


def _followed(flow: Flow, until: float, *claims: Claim) -> Plan:
    return Plan(flow, (), until, claims)


def slower_for_good(rng: Rng) -> Plan:
    """A step takes 1.6 times as long from one day on."""
    day = some_day(rng)
    until = day + _PERSISTS
    flow = _slower(plain(rng), (day, day + 99.0))
    return _followed(flow, until, never("degradation", 12.0, day), recommended(_SLOWER, day, until))


def slower_for_good_with_seasons(rng: Rng) -> Plan:
    """The same where hours and weekends differ."""
    day = some_day(rng)
    until = day + _PERSISTS
    flow = seasonal(_slower(plain(rng), (day, day + 99.0)), rng)
    return _followed(flow, until, never("degradation", 12.0, day), recommended(_SLOWER, day, until))


def slower_for_days(rng: Rng) -> Plan:
    """A step takes 1.6 times as long for five days, and then as long as before."""
    day = some_day(rng)
    back = day + 5.0
    until = back + AFTER
    flow = _slower(plain(rng), (day, back))
    return _followed(flow, until, recommended(_SLOWER, day, back), gone("degradation", back, until))


def slower_again(rng: Rng) -> Plan:
    """The same, and after six days it takes 1.6 times as long once more, for good."""
    day = some_day(rng)
    back = day + 5.0
    again = back + 6.0
    until = again + _PERSISTS
    flow = _slower(plain(rng), (day, back), (again, again + 99.0))
    returned = replace(recommended(_SLOWER, again, until), words="degradation that returns is recommended")
    return _followed(flow, until, recommended(_SLOWER, day, back), gone("degradation", back, again), returned)


def slower_by_a_release(rng: Rng) -> Plan:
    """A release makes a step 1.6 times as long; four days later it is rolled back."""
    day = some_day(rng)
    back = day + 4.0
    until = back + AFTER
    events = (
        (day, write(lambda now: now.having("load", image="2"))),
        (back, write(lambda now: now.having("load", image="1"))),
    )
    flow = _slower(plain(rng), (day, back))
    return Plan(flow, events, until, (recommended(_SLOWER, day, back), gone("degradation", back, until)))


def inputs_grow(rng: Rng) -> Plan:
    """Inputs, whose sizes are known, are 1.5 times as large from one day on."""
    day = some_day(rng)
    until = day + AFTER
    grown = replace(plain(rng), inputs_known=True, input_spread=0.2).under(Effect(at_day(day), inputs=1.5))
    return _followed(grown, until, never("degradation", 12.0, until))


def failing_for_days(rng: Rng) -> Plan:
    """A step fails in a quarter of the runs for five days, and then no more."""
    day = some_day(rng)
    back = day + 5.0
    until = back + AFTER
    flow = plain(rng).under(Effect(at_day(day), at_day(back), "load", fails=0.25))
    failing = Claim("failures are reported", day, back, lambda seen: any(map(seen.active, _FAILURES)))
    fixed = Claim("failures are gone", back, until, lambda seen: not any(map(seen.active, _FAILURES)))
    return _followed(flow, until, failing, fixed)


_FAILURES = ("failing-step", "retry-policy")


def memory_grows(rng: Rng) -> Plan:
    """A step's memory grows by a third within one release, and is killed in most runs; four days later it is fixed."""
    day = some_day(rng)
    back = day + 4.0
    until = back + AFTER
    limit = 500 * MI
    flow = plain(rng).having("load", memory_limit=limit, memory_request=limit)
    flow = flow.under(Effect(at_day(day), at_day(back), "load", memory=1.33))
    id_ = "memory-request.load"
    return _followed(flow, until, recommended(id_, day, back), gone(id_, back, until))


KINDS: tuple[Kind, ...] = (
    slower_for_good,
    slower_for_good_with_seasons,
    slower_for_days,
    slower_again,
    slower_by_a_release,
    inputs_grow,
    failing_for_days,
    memory_grows,
)
