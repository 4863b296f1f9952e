"""The gates a change must pass, one file each, all asked every time: a person sees every reason at once."""

from __future__ import annotations

from concertmaster.core.gates import (
    bounds,
    controllers,
    cooldown,
    data,
    in_flight,
    kind,
    least_change,
    mode,
    namespace_limits,
    owner,
    pod_spec_patch,
    risk,
    secure,
    step,
    suspended,
    window,
    write_access,
)
from concertmaster.core.gates.base import (
    Bounds,
    Facts,
    Gate,
    Past,
    Quota,
    Range,
    Rights,
    Situation,
    Verdict,
    Window,
    blocking,
)
from concertmaster.core.plan import Plan

__all__ = [
    "GATES",
    "Bounds",
    "Facts",
    "Gate",
    "Past",
    "Quota",
    "Range",
    "Rights",
    "Situation",
    "Verdict",
    "Window",
    "blocking",
    "judge",
]

GATES: tuple[Gate, ...] = (
    suspended.check,
    mode.check,
    kind.check,
    risk.check,
    bounds.check,
    step.check,
    least_change.check,
    data.check,
    owner.check,
    controllers.check,
    namespace_limits.check,
    pod_spec_patch.check,
    write_access.check,
    secure.check,
    cooldown.check,
    in_flight.check,
    window.check,
)


def judge(plan: Plan, situation: Situation) -> tuple[Verdict, ...]:
    """What every gate says, in their order."""
    return tuple(gate(plan, situation) for gate in GATES)
