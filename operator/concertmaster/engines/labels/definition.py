"""Definitions from profiles with ``podLabels``, whose workflows are described by pod labels alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from concertmaster.core.model import (
    EngineTraits,
    LabelRequirement,
    PodLabels,
    StepSpec,
    WorkflowDefinition,
    WorkflowGraph,
)
from concertmaster.engines.common.manifest import Problems, fingerprint, mapping, text
from concertmaster.engines.common.objects import KubeObject, named, texts
from concertmaster.engines.common.ordering import ordered_steps
from concertmaster.engines.labels.preset import Preset
from concertmaster.engines.labels.presets import ALL, BY_NAME, PLAIN

KIND = "WorkflowProfile"
TRAITS: Mapping[str, EngineTraits] = {
    preset.name: EngineTraits(
        name=preset.title,
        remedies=preset.remedies,
        one_memory_size=preset.one_memory_size,
        retries=preset.retries,
        concurrency=preset.concurrency,
        tests_changes=preset.tests_changes,
        work_suffix=preset.work_suffix,
    )
    for preset in (*ALL, PLAIN)
}


def preset_of(labels: PodLabels) -> Preset:
    """The preset that reads the given labels."""
    return BY_NAME.get(labels.preset or "", PLAIN)


def read_labels(declared: Mapping[str, Any], problems: Problems) -> PodLabels | None:
    """The label keys of a profile or policy, completed by its preset; None if they are insufficient."""
    given = {
        key: text(declared.get(key), f"spec.podLabels.{key}", problems) or ""
        for key in ("preset", "workflow", "run", "step", "attempt", "item", "value")
    }
    if given["preset"] and given["preset"] not in BY_NAME:
        problems.add(f"spec.podLabels.preset is {given['preset']!r}; known are {', '.join(BY_NAME)}")
        return None
    if not given["preset"] and not (given["workflow"] and given["run"]):
        problems.add("spec.podLabels needs preset, or the labels workflow and run")
        return None
    own = PodLabels(
        given["workflow"],
        given["run"],
        given["step"] or None,
        given["attempt"] or None,
        given["item"] or None,
        value=given["value"],
    )
    return BY_NAME[given["preset"]].labels(own) if given["preset"] else own


def define(raw: Mapping[str, Any]) -> WorkflowDefinition:
    """The definition of a profile with ``podLabels``. Never raises, whatever the object contains."""
    obj = KubeObject.of(raw)
    problems = obj.problems
    declared = mapping(obj.spec.get("podLabels"), "spec.podLabels", problems)
    labels = read_labels(declared, problems)
    if labels is not None and not labels.value:
        problems.add("spec.podLabels.value is missing: it names the workflow")
    preset = preset_of(labels) if labels is not None else PLAIN
    steps = _steps(declared, labels, problems)
    return WorkflowDefinition(
        key=obj.key(KIND),
        engine=TRAITS[preset.name],
        graph=WorkflowGraph(steps=steps or preset.known_steps, inferred=not steps, problems=problems.all()),
        fingerprint=fingerprint([declared]),
        labels=obj.labels,
        run_label=preset.finder(labels) if labels is not None else None,
        pod_labels=labels,
    )


def _steps(declared: Mapping[str, Any], labels: PodLabels | None, problems: Problems) -> tuple[StepSpec, ...]:
    """Declared steps in order; empty if the graph is to be inferred."""
    steps: dict[str, StepSpec] = {}
    for name, _, where, row in named(declared.get("steps"), "spec.podLabels.steps", "steps", problems):
        before = texts(row.get("dependsOn"), f"{where}.dependsOn", problems)
        # A run may have any number of pods of this step.
        term = (LabelRequirement(labels.run, "Exists"),) if labels is not None else ()
        steps[name] = StepSpec(name, depends_on=before, selector=term)
    known = {spec.name: spec for spec in (preset_of(labels).known_steps if labels is not None else ())}
    return tuple(
        replace(s, daemon=known[s.name].daemon, creates=known[s.name].creates) if s.name in known else s
        for s in ordered_steps(steps, problems)
    )
