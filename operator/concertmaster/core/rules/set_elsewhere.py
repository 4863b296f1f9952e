"""What recommendations say of requests and limits that pods do not have from their definition."""

from __future__ import annotations

from concertmaster.core import text
from concertmaster.core.analysis.runs.overrides import Override
from concertmaster.core.analysis.steps.step import StepAnalysis
from concertmaster.core.analysis.usage import ContainerUsage
from concertmaster.core.model.amounts import same_amount
from concertmaster.core.rules.base import ELSEWHERE, container_title
from concertmaster.core.rules.evidence import Evidence


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
    found = [other for section in sections if (other := container.overridden(section, resource)) is not None]
    if not found:
        return ""
    kind = _kind(evidence, step, container)
    unless = f", unless the {kind} was edited since" if any(other.edited for other in found) else ""
    return f"; it is set {ELSEWHERE} {kind}: change it there{unless}"


def set_elsewhere(evidence: Evidence, step: StepAnalysis, container: ContainerUsage, resource: str) -> tuple[str, ...]:
    """What the definition declares of a resource, what pods have instead, and what may set it; empty where they have what
    is declared."""
    lines, of = [], f"{resource} of {container_title(evidence, step, container)}"
    default = _default(evidence, step, container, resource)
    if resource in container.declared_runs:
        lines.append(f"{of}: sized by the pods with what is declared; some are given something else")
    if default is not None:
        lines.append(f"{of}: {_amount(resource, default)} is the default of a LimitRange")
    for section, what in (("requests", "request"), ("limits", "limit")):
        found = container.overrides.get((section, resource))
        if found is None or (found.declared is None and (default is not None or section == "limits")):
            continue
        have, declared = _amount(resource, found.have), found.declared
        runs, by = text.count(found.runs, "run"), _by(evidence, step, container, found)
        had = f"but pods had {'up to ' if found.varies else ''}{have} in the newest {runs}: {by}"
        if declared is not None:
            kind = _kind(evidence, step, container)
            lines.append(f"{of}: the {kind} declares a {what} of {_amount(resource, declared)}, {had}")
        else:
            lines.append(f"{of}: no {what} is declared, {had}")
    return tuple(lines)


def _default(evidence: Evidence, step: StepAnalysis, container: ContainerUsage, resource: str) -> float | None:
    """The present request, where none is declared and a LimitRange gives it."""
    own, name = step.declared(container), f"{resource}_request"
    have, default = getattr(container, name, None), evidence.capacity.defaults(resource)[0]
    if own is None or getattr(own, name, None) is not None or have is None or default is None:
        return None
    return default if same_amount(have, default) else None


def _kind(evidence: Evidence, step: StepAnalysis, container: ContainerUsage) -> str:
    """The kind of the object that declares the container."""
    own = step.declared(container)
    return evidence.analysis.definition.key.kind if own is None or own.holder is None else "Task"


def _by(evidence: Evidence, step: StepAnalysis, container: ContainerUsage, found: Override) -> str:
    """What sets it, or what may where that is not known."""
    own = step.declared(container)
    if own is not None and own.set_by is not None:
        return f"{own.set_by} sets it"
    may = [*evidence.analysis.definition.engine.sets_resources, "a mutating webhook or policy"]
    first = "the definition was edited since, or something else" if found.edited else "something else"
    if found.declared is not None:
        return f"{first} sets it, such as {', '.join(may)}, or a VerticalPodAutoscaler"
    some = f"{first} sets it, such as a LimitRange, {', '.join(may)}, or a VerticalPodAutoscaler"
    return f"{some}; where that replaces what is declared, the command has no effect"


def _amount(resource: str, value: float) -> str:
    """A value as a manifest has it."""
    return f"{value:g}" if resource == "gpu" else text.resource_amount(resource, value)
