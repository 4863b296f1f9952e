"""The gates a change must pass, one file each, all asked every time: a person sees every reason at once."""

from __future__ import annotations

from concertmaster.core.changes.checks import (
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
    shared_task,
    step,
    suspended,
    window,
    write_access,
)
from concertmaster.core.changes.checks.base import (
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
from concertmaster.core.changes.plan import Plan

__all__ = [
    "GATES",
    "NAMES",
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

_IN_ORDER = (
    suspended,
    mode,
    kind,
    risk,
    bounds,
    step,
    least_change,
    data,
    owner,
    controllers,
    shared_task,
    namespace_limits,
    pod_spec_patch,
    write_access,
    secure,
    cooldown,
    in_flight,
    window,
)
GATES: tuple[Gate, ...] = tuple(gate.check for gate in _IN_ORDER)
NAMES: tuple[str, ...] = tuple(gate.NAME for gate in _IN_ORDER)


def judge(plan: Plan, situation: Situation) -> tuple[Verdict, ...]:
    """What every gate says, in their order."""
    return tuple(gate(plan, situation) for gate in GATES)
