"""``missing-requests``: containers that run without a CPU or memory request.

Without a request the scheduler packs blindly, the pod is the first to be evicted, and nothing can say what a run costs.
The proposed values are the sizes the sizing rules would choose; with too little data the rule says what is missing.
"""

from __future__ import annotations

from collections.abc import Iterator

from concertmaster.core import text
from concertmaster.core.analysis.usage import ContainerUsage
from concertmaster.core.analysis.workflow import StepAnalysis
from concertmaster.core.model import Category, Finding, Level
from concertmaster.core.rules.base import Evidence, Rule, container_id, resource_edits
from concertmaster.core.rules.resources.places import places
from concertmaster.core.rules.resources.sizes import cpu_size, memory_size
from concertmaster.core.sizing import MIB, MILLI, at_most, round_memory

_ROOM = 1.25  # largest first request, in largest peaks


def _finding(evidence: Evidence, step: StepAnalysis, container: ContainerUsage) -> Finding | None:
    missing = [
        name for name, value in (("cpu", container.cpu_request), ("memory", container.memory_request)) if value is None
    ]
    if not missing or not container.runs:
        return None
    options = evidence.analysis.options
    values: dict[tuple[str, str], str] = {}
    measured: list[str] = []
    if "memory" in missing:
        size = memory_size(container)
        if size.request is not None and size.largest_recent_peak is not None:
            # The cost model gives short steps much room, since it costs little; a first request need not.
            most = _ROOM * size.largest_recent_peak
            wanted = min(max(size.request, size.largest_recent_peak), most)
            request = at_most(round_memory(wanted) or wanted, container.memory_limit, MIB)
            values["requests", "memory"] = text.memory_quantity(request)
        if size.largest_recent_peak is not None:
            measured.append(f"memory peaks at {text.memory(size.largest_recent_peak)}")
    if "cpu" in missing:
        cpu = cpu_size(container, step)
        if cpu.request is not None:
            values["requests", "cpu"] = text.cpu_quantity(at_most(cpu.request, container.cpu_limit, MILLI))
        means = [r.mean_cores for r in container.runs if r.mean_cores is not None]
        if means:
            measured.append(f"CPU use averages {text.cores(sum(means) / len(means))}")
    if len(values) != len(missing):
        return None  # data-quality says what is missing; a made-up request would be worse than none
    proposed = ", ".join(f"{resource} {value}" for (_, resource), value in values.items())
    edits = resource_edits(step.spec, container, values)
    return Finding(
        step=step.step,
        about=container_id(step, container),
        action=f"Request {proposed} for {evidence.title(step.step)}, which requests no {' and no '.join(missing)}",
        because=f"{' and '.join(measured)} {evidence.runs(len(container.runs))} while nothing is reserved for it",
        otherwise="the pod can land on a full node, and is the first to be evicted or throttled when the node is short",
        current="not set",
        proposed=proposed,
        expected=(
            f"a guaranteed {proposed} for each pod; the reservation is what {len(container.runs)} measured runs needed"
        ),
        confidence=0.9 if len(container.runs) >= options.min_runs else 0.5,
        edits=edits,
        evidence=tuple(measured),
    )


def evaluate(evidence: Evidence) -> Iterator[Finding]:
    """One recommendation per container without a request, once enough runs were measured."""
    if not evidence.analysis.enough:
        return
    for place in places(evidence.analysis):
        finding = _finding(evidence, place.step, place.container)
        if finding is not None:
            yield place.described(finding)


RULE = Rule("missing-requests", evaluate, Category.RELIABILITY, Level.LOW, tie_break=6)
