"""The fields of a template or Job that limit its time: which of them is in force, and how to change them."""

from __future__ import annotations

import re

from concertmaster.core.lifecycle import commands
from concertmaster.core.model import Edit, StepSpec
from concertmaster.core.rules.evidence import Evidence
from concertmaster.core.rules.resources.rows.sizing_units import shared
from concertmaster.core.times import parse_duration


def from_creation(evidence: Evidence, spec: StepSpec) -> bool:
    """Whether the time a pod is pending counts: ``activeDeadlineSeconds`` begins when its kubelet accepts it, the
    ``timeout`` of a template or task with its creation."""
    field = evidence.analysis.definition.engine.deadline_field
    return field is None or "timeout" in _applying(spec, field)


def _declared(spec: StepSpec, field: str) -> dict[str, float | None]:
    """The declared limits in seconds by field; None where one is only known at run time."""
    limits: dict[str, float | None] = {}
    for name in ("timeout", field):
        written = spec.declared.get(name)
        if written is not None:
            number = re.fullmatch(r"\d+(\.\d+)?", str(written).strip())
            limits[name] = float(number[0]) if number else parse_duration(str(written).strip())
    return limits


def _applying(spec: StepSpec, field: str) -> list[str]:
    """The fields that declare the limit in force, the shortest; empty where it comes from elsewhere (templateDefaults)."""
    return [name for name, value in _declared(spec, field).items() if value == spec.timeout_seconds]


def time_limit_edits(evidence: Evidence, spec: StepSpec, seconds: float, alone: bool = True) -> tuple[Edit, ...]:
    """The edits that limit a step to ``seconds``: of the shortest field, and of all that are shorter than that; none where a
    limit would stay in force that is not in the template.

    ``alone``: whether this step alone uses the template; a shared template is not patched, as other steps' times were not
    considered.
    """
    if spec.pointer is None or (alone and shared(evidence.analysis, spec)):
        return ()
    field = evidence.analysis.definition.engine.deadline_field
    if field is None:
        return ()
    applying = _applying(spec, field)
    if spec.timeout_seconds is not None and not applying:
        return ()  # it would stay in force
    shorter = [name for name, value in _declared(spec, field).items() if value is not None and value < seconds]
    edits = []
    for name in shorter or applying or [field]:
        literal = spec.declared.get(name)
        unit = "" if name == field else "s"
        proposed: object = f"{round(seconds)}{unit}" if unit or isinstance(literal, str) else round(seconds)
        edits.append(commands.field_edit(f"{spec.pointer}/{name}", literal, proposed))
    return tuple(edits)
