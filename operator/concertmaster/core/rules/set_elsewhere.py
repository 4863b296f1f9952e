"""What recommendations say of requests and limits that pods do not have from their definition."""

from __future__ import annotations

import math

from concertmaster.core import text
from concertmaster.core.analysis.steps.step import StepAnalysis
from concertmaster.core.analysis.usage import ContainerUsage
from concertmaster.core.rules.base import Evidence, container_title

_TOLERANCE = 1e-3  # relative difference of amounts that are equal but for rounding


def declared_beside(container: ContainerUsage, resource: str) -> str:
    """`` (1Gi is declared)`` after the request that pods have instead; empty where they have the declared one, or none is
    declared."""
    found = container.overridden("requests", resource)
    return "" if found is None or found.declared is None else f" ({_amount(resource, found.declared)} is declared)"


def change_there(
    evidence: Evidence, step: StepAnalysis, container: ContainerUsage, resource: str, *sections: str
) -> str:
    """``; it is set elsewhere than in the WorkflowTemplate: change it there``, of what a recommendation sets in the
    ``sections``; empty where the definition has an effect."""
    if all(container.overridden(section, resource) is None for section in sections):
        return ""
    return f"; it is set elsewhere than in the {_kind(evidence, step, container)}: change it there"


def set_elsewhere(evidence: Evidence, step: StepAnalysis, container: ContainerUsage, resource: str) -> tuple[str, ...]:
    """What the definition declares of a resource, what pods have instead, and what may set it; empty where they have what
    is declared."""
    default = evidence.capacity.defaults(resource)[0]
    lines, of = [], f"{resource} of {container_title(evidence, step, container)}"
    for section, what in (("requests", "request"), ("limits", "limit")):
        found = container.overrides.get((section, resource))
        if found is None or (section == "limits" and found.declared is None):
            continue
        have, declared = _amount(resource, found.have), found.declared
        runs, by = text.count(found.runs, "run"), _by(evidence, step, container, declared)
        had = f"but pods had {'up to ' if found.varies else ''}{have} in the newest {runs}: {by}"
        if declared is not None:
            kind = _kind(evidence, step, container)
            lines.append(f"{of}: the {kind} declares a {what} of {_amount(resource, declared)}, {had}")
        elif default is not None and math.isclose(found.have, default, rel_tol=_TOLERANCE):
            lines.append(f"{of}: {have} is the default of a LimitRange")
        else:
            lines.append(f"{of}: no {what} is declared, {had}")
    return tuple(lines)


def _kind(evidence: Evidence, step: StepAnalysis, container: ContainerUsage) -> str:
    """The kind of the object that declares the container."""
    declared = step.spec.sized if step.spec is not None else ()
    holder = next((c.holder for c in declared if c.name == container.name), None)
    return evidence.analysis.definition.key.kind if holder is None else "Task"


def _by(evidence: Evidence, step: StepAnalysis, container: ContainerUsage, declared: float | None) -> str:
    """What sets it, or what may where that is not known."""
    specs = step.spec.sized if step.spec is not None else ()
    if (known := next((c.set_by for c in specs if c.name == container.name), None)) is not None:
        return f"{known} sets it"
    may = [*evidence.analysis.definition.engine.sets_resources, "a mutating webhook or policy"]
    if declared is not None:
        return f"something else sets it, such as {', '.join(may)}, or a VerticalPodAutoscaler"
    some = f"something else sets it, such as a LimitRange, {', '.join(may)}, or a VerticalPodAutoscaler"
    return f"{some}; where that replaces what is declared, the command has no effect"


def _amount(resource: str, value: float) -> str:
    """A value as a manifest has it."""
    if resource == "gpu":
        return f"{value:g}"
    return text.cpu(value) if resource == "cpu" else text.memory_quantity(value)
