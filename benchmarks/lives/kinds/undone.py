"""Lives in which an implementation is reverted, or comes together with something else."""

from __future__ import annotations

from benchmarks.lives.kinds.base import AFTER, Kind, Rng, limited, some_day
from benchmarks.lives.law import Effect, at_day
from benchmarks.lives.life import apply, revert, write
from benchmarks.lives.truth import Plan, implemented, recommended, unchanged, undone, unmeasurable

_LIMIT = "parallelism"
_MINUTES = 1.0 / 144.0  # ten of them, in days


def reverted(rng: Rng) -> Plan:
    """The limit on pods is raised as recommended, and restored five days later."""
    flow, day = limited(rng), some_day(rng)
    back = day + 5.0
    until = back + AFTER
    claims = (implemented(_LIMIT, day, back), undone(_LIMIT, day, back, until))
    return Plan(flow, ((day, apply(_LIMIT)), (back, revert)), until, claims, ((_LIMIT, day),))


def reverted_by_gitops(rng: Rng) -> Plan:
    """The limit on pods is raised with kubectl, and restored by the GitOps controller within minutes."""
    flow, day = limited(rng), some_day(rng)
    until = day + AFTER
    claims = (recommended(_LIMIT, 12.0, day), unchanged(_LIMIT, day, until))
    return Plan(flow, ((day, apply(_LIMIT)), (day + _MINUTES, revert)), until, claims)


def reverted_then_committed(rng: Rng) -> Plan:
    """The same, and three days later it is committed to Git."""
    flow, day = limited(rng), some_day(rng)
    later = day + 3.0
    until = later + AFTER
    events = ((day, apply(_LIMIT)), (day + _MINUTES, revert), (later, apply(_LIMIT)))
    claims = (unchanged(_LIMIT, day, later), implemented(_LIMIT, later, until))
    return Plan(flow, events, until, claims, ((_LIMIT, later),))


def released_together_slower(rng: Rng) -> Plan:
    """The limit on pods is raised in the commit of a release that makes another step two and a half times as long."""
    return _released(rng, 2.5)


def released_together_faster(rng: Rng) -> Plan:
    """The limit on pods is raised in the commit of a release that makes another step half as long."""
    return _released(rng, 0.5)


def _released(rng: Rng, factor: float) -> Plan:
    day = some_day(rng)
    flow = limited(rng).under(Effect(at_day(day), step="load", factor=factor))
    until = day + AFTER
    event = apply(_LIMIT, also=lambda now: now.having("load", image="2"))
    return Plan(flow, ((day, event),), until, (recommended(_LIMIT, 12.0, day), unmeasurable(_LIMIT, day, until)))


def released_later(rng: Rng) -> Plan:
    """Two days after the limit on pods was raised, a release makes another step half as long again."""
    day = some_day(rng)
    later = day + 2.0
    flow = limited(rng).under(Effect(at_day(later), step="load", factor=1.5))
    until = later + AFTER
    event = write(lambda now: now.having("load", image="2"))
    claims = (implemented(_LIMIT, day, until, ended=True),)
    return Plan(flow, ((day, apply(_LIMIT)), (later, event)), until, claims, ((_LIMIT, day),))


def timeout_changed_meanwhile(rng: Rng) -> Plan:
    """A day after the limit on pods was raised, the timeout of a step is raised too, which changes nothing in the runs."""
    flow, day = limited(rng), some_day(rng)
    until = day + AFTER
    event = write(lambda now: now.having("extract", timeout=12 * 3600.0))
    claims = (implemented(_LIMIT, day, until, ended=True),)
    return Plan(flow, ((day, apply(_LIMIT)), (day + 1.0, event)), until, claims, ((_LIMIT, day),))


KINDS: tuple[Kind, ...] = (
    reverted,
    reverted_by_gitops,
    reverted_then_committed,
    released_together_slower,
    released_together_faster,
    released_later,
    timeout_changed_meanwhile,
)
