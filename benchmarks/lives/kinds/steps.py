"""Lives in which the steps of a workflow change."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.lives.kinds.base import AFTER, Kind, Rng, limited, some_day, throttled
from benchmarks.lives.law import Flow, Step
from benchmarks.lives.life import write
from benchmarks.lives.truth import Plan, gone, never, recommended, unchanged

_CPU = "cpu-request.load"


def renamed(rng: Rng) -> Plan:
    """The throttled step gets another name."""
    flow, day = throttled(rng), some_day(rng)
    until = day + AFTER
    new = replace(flow.step("load"), name="publish")

    def rename(now: Flow) -> Flow:
        return replace(now, steps=tuple(new if s.name == "load" else s for s in now.steps))

    claims = (
        recommended(_CPU, 12.0, day),
        gone(_CPU, day, until),
        replace(recommended("cpu-request.publish", day, until), words="cpu-request of the new name is recommended"),
        never("degradation", day, until),
    )
    return Plan(flow, ((day, write(rename)),), until, claims)


def added(rng: Rng) -> Plan:
    """A step of three minutes is added at the end of a workflow with too low a limit on pods."""
    flow, day = limited(rng), some_day(rng)
    until = day + AFTER
    new = Step("notify", ("load",), seconds=180.0)
    claims = (unchanged("parallelism", day, until), *(never(f"degradation.{s.name}", day, until) for s in flow.steps))
    return Plan(flow, ((day, write(lambda now: replace(now, steps=(*now.steps, new)))),), until, claims)


def removed(rng: Rng) -> Plan:
    """The throttled step, the last one, is removed."""
    flow, day = throttled(rng), some_day(rng)
    until = day + AFTER
    claims = (recommended(_CPU, 12.0, day), gone(_CPU, day, until), never("degradation", day, until))
    return Plan(flow, ((day, write(lambda now: replace(now, steps=now.steps[:-1]))),), until, claims)


KINDS: tuple[Kind, ...] = (renamed, added, removed)
