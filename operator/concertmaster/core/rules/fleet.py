"""What a rule may know of the other workflows: when they ran and start next, and what they reserve meanwhile.

Only what two workflows can do to each other is here: taking the same nodes at the same time. Figures are means per run,
so that a fleet of thousands stays small.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from concertmaster.core.model import RunRecord, WorkflowDefinition, WorkflowKey

_GIB = 1024.0**3


@dataclass(frozen=True, slots=True)
class FleetRun:
    """One run: start and end (unix seconds), and the core-seconds and GiB-seconds its pods reserved."""

    start: float
    end: float
    core_seconds: float
    gib_seconds: float


@dataclass(frozen=True, slots=True)
class FleetMember:
    """One workflow. ``upcoming``: when its schedule starts it next (unix seconds, ascending), as far as it matters."""

    key: WorkflowKey
    runs: tuple[FleetRun, ...] = ()
    upcoming: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Fleet:
    """All workflows that share nodes with the one at hand, itself included."""

    members: tuple[FleetMember, ...] = ()

    def others(self, key: WorkflowKey) -> tuple[FleetMember, ...]:
        """Everybody else."""
        return tuple(m for m in self.members if m.key != key)


def member(definition: WorkflowDefinition, runs: Sequence[RunRecord], upcoming: Sequence[float] = ()) -> FleetMember:
    """A workflow as the others see it. Runs and pods of unknown times are left out; a pod without a request reserves
    what it was seen to use."""
    found = []
    for run in runs:
        if run.start is None or run.end is None:
            continue
        cores = memory = 0.0
        for execution in run.steps:
            seconds = execution.span
            if seconds is None:
                continue
            for container in (c for c in execution.containers if not c.init):
                cores += (
                    seconds * container.cpu_request
                    if container.cpu_request is not None
                    else (container.cpu_seconds or 0.0)
                )
                size = container.memory_request if container.memory_request is not None else container.memory_peak
                memory += seconds * (size or 0.0) / _GIB
        found.append(FleetRun(run.start, run.end, cores, memory))
    return FleetMember(definition.key, tuple(sorted(found, key=lambda r: r.start)), tuple(sorted(upcoming)))
