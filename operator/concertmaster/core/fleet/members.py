"""One workflow as others see it: when its runs were and will be, and what they reserve."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from concertmaster.core import arrays as np
from concertmaster.core.analysis.pod_level import with_pods
from concertmaster.core.analysis.runs.figures import RunFigures
from concertmaster.core.analysis.runs.starts import by_schedule
from concertmaster.core.arrays import Floats
from concertmaster.core.changes.admission.nodes import UNKNOWN_NODES, Nodes
from concertmaster.core.fleet.demand import PastRun
from concertmaster.core.model import RunRecord, WorkflowDefinition, WorkflowKey
from concertmaster.core.schedules.scheduler import late_within
from concertmaster.core.schedules.timetable import Timetable, timetable_of
from concertmaster.core.units import DAY, GIB

_FORTNIGHT = 14 * DAY


@dataclass(frozen=True, slots=True, eq=False)
class FleetMember:
    """One workflow. ``runs``, shape (runs, 4): start and end (unix seconds), core-seconds and GiB-seconds reserved, oldest
    first. ``timetable``: of its schedule (None: it has none, or it is suspended); ``late``: see ``Workload``; ``suspended``:
    whether the schedule that starts it is; ``taints``: of the nodes that most of its pods ran on."""

    key: WorkflowKey
    runs: Floats
    timetable: Timetable | None = None
    late: float | None = None
    suspended: bool = False
    taints: frozenset[str] = frozenset()

    def starts_soon(self, now: float) -> int:
        """Scheduled starts in the two weeks after ``now`` (unix seconds)."""
        return len(self.timetable.starts(now, now + _FORTNIGHT)) if self.timetable is not None else 0


def name_of(key: WorkflowKey) -> str:
    """Name of a workflow in a forecast."""
    return f"{key.namespace}/{key.name}"


def _taints(runs: Sequence[RunRecord], nodes: Nodes) -> frozenset[str]:
    """Taints of the nodes that most of its pods ran on."""
    ran = [e.node for run in runs for e in run.steps if e.node is not None]
    tainted = Counter([nodes.tainted[node].taints for node in ran if node in nodes.tainted])
    taints, pods = max(tainted.items(), key=lambda kv: kv[1], default=(frozenset(), 0))
    return taints if 2 * pods > len(ran) else frozenset()


def member(
    definition: WorkflowDefinition, runs: Sequence[RunRecord], figures: RunFigures, nodes: Nodes = UNKNOWN_NODES
) -> FleetMember:
    """A workflow as a fleet member. Runs and pods with unknown times are left out; a pod without a request counts with its
    observed use."""
    pasts = figures.of_each(_past, with_pods(definition, runs)[1])
    rows = np.array(sorted(past for past in pasts if past is not None), dtype=np.float64).reshape(-1, 4)
    suspended = definition.suspended and by_schedule(definition, runs)
    taints = _taints(runs, nodes) if nodes.tainted else frozenset()
    return FleetMember(definition.key, rows, timetable_of(definition), late_within(definition), suspended, taints)


def _past(run: RunRecord) -> PastRun | None:
    if run.start is None or run.end is None:
        return None
    cores = memory = 0.0
    for execution in run.steps:
        seconds = execution.held
        if seconds is None:
            continue
        # Core-seconds and GiB-seconds: of the largest init container, and of the others together. As in core/reserved, which
        # would take three times as long for the runs of thousands of workflows.
        first = own = (0.0, 0.0)
        for container in execution.containers:
            request, size = container.cpu_request, container.memory_request
            if container.init:
                first = max(first[0], seconds * (request or 0.0)), max(first[1], seconds * (size or 0.0) / GIB)
                continue
            used = seconds * request if request is not None else (container.cpu_seconds or 0.0)
            size = size if size is not None else container.memory_peak
            own = own[0] + used, own[1] + seconds * (size or 0.0) / GIB
        more = execution.overhead or (0.0, 0.0)
        cores += max(first[0], own[0]) + seconds * more[0]
        memory += max(first[1], own[1]) + seconds * more[1] / GIB
    return PastRun(run.start, run.end, cores, memory)
