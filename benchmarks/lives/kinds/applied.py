"""Lives in which somebody follows a recommendation."""

from __future__ import annotations

import math
from dataclasses import replace

from benchmarks.lives.kinds.base import AFTER, Kind, Rng, limited, oversized, plain, seasonal, some_day, throttled
from benchmarks.lives.law import MI, Flow
from benchmarks.lives.life import apply, write
from benchmarks.lives.truth import Plan, gone, implemented, recommended

_LIMIT, _CPU = "parallelism", "cpu-request.load"


def _applied(flow: Flow, id_: str, day: float) -> Plan:
    until = day + AFTER
    claims = (recommended(id_, 12.0, day), implemented(id_, day, until))
    return Plan(flow, ((day, apply(id_)),), until, claims, ((id_, day),))


def limit_on_pods(rng: Rng) -> Plan:
    """The limit on pods is raised as recommended."""
    return _applied(limited(rng), _LIMIT, some_day(rng))


def limit_on_pods_with_seasons(rng: Rng) -> Plan:
    """The same where hours and weekends differ."""
    return _applied(seasonal(limited(rng), rng), _LIMIT, some_day(rng))


def cpu_limit(rng: Rng) -> Plan:
    """The CPU limit of a throttled step is raised as recommended."""
    return _applied(throttled(rng), _CPU, some_day(rng))


def cpu_limit_removed(rng: Rng) -> Plan:
    """The CPU limit of a throttled step is removed instead of raised."""
    flow, day = throttled(rng), some_day(rng)
    until = day + AFTER
    claims = (recommended(_CPU, 12.0, day), implemented(_CPU, day, until))
    event = write(lambda now: now.having("load", cpu_limit=None))
    return Plan(flow, ((day, event),), until, claims, ((_CPU, day),))


def in_part(rng: Rng) -> Plan:
    """The limit on pods is raised half of the way."""
    flow, day = limited(rng), some_day(rng)
    until = day + AFTER
    claims = (recommended(_LIMIT, 12.0, day), implemented(_LIMIT, day, until, rest=True))
    return Plan(flow, ((day, apply(_LIMIT, 0.5)),), until, claims, ((_LIMIT, day),))


def sizes(rng: Rng) -> Plan:
    """Requests far above the use are lowered as recommended."""
    return _applied(oversized(rng), "right-size", some_day(rng))


def sizes_with_seasons(rng: Rng) -> Plan:
    """The same where hours and weekends differ."""
    return _applied(seasonal(oversized(rng), rng), "right-size", some_day(rng))


def two_at_once(rng: Rng) -> Plan:
    """The limit on pods and the CPU limit of a step are raised as recommended, in one commit."""
    day = some_day(rng)
    flow = replace(throttled(rng), parallelism=2)
    until = day + AFTER
    claims = (implemented(_LIMIT, day, until), implemented(_CPU, day, until))
    return Plan(flow, ((day, apply(_LIMIT)), (day, apply(_CPU))), until, claims)


def two_in_turn(rng: Rng) -> Plan:
    """The CPU limit is raised as recommended four days after the limit on pods."""
    day = some_day(rng)
    flow = replace(throttled(rng), parallelism=2)
    later = day + 4.0
    until = later + AFTER
    claims = (implemented(_LIMIT, day, day + AFTER), implemented(_CPU, later, until))
    return Plan(flow, ((day, apply(_LIMIT)), (later, apply(_CPU))), until, claims, ((_LIMIT, day), (_CPU, later)))


def memory_raised(rng: Rng) -> Plan:
    """A memory limit that one run in ten exceeds is raised by half."""
    day = some_day(rng)
    limit = math.exp(1.28 * 0.1) * 400 * MI
    flow = plain(rng).having("load", memory_spread=0.1, memory_limit=limit, memory_request=limit)
    event = write(lambda now: now.having("load", memory_limit=1.5 * limit, memory_request=1.5 * limit))
    until = day + AFTER + 8.0
    claims = (recommended("memory-request.load", 12.0, day), gone("memory-request.load", day, until))
    return Plan(flow, ((day, event),), until, claims)


KINDS: tuple[Kind, ...] = (
    limit_on_pods,
    limit_on_pods_with_seasons,
    cpu_limit,
    cpu_limit_removed,
    in_part,
    sizes,
    sizes_with_seasons,
    two_at_once,
    two_in_turn,
    memory_raised,
)
