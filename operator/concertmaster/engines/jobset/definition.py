"""JobSet: several Jobs started together or one after the other, each of so many replicas.

A JobSet object is a run; what makes several of them one workflow is the beginning of their names (a runSelector) or the
name they were generated from.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from concertmaster.core.model import (
    Engine,
    PodFact,
    StepExecution,
    StepSpec,
    WorkflowDefinition,
    WorkflowGraph,
    WorkflowKey,
)
from concertmaster.core.model.amounts import digits
from concertmaster.engines.common.executions import execution
from concertmaster.engines.common.manifest import (
    Problems,
    fingerprint,
    flag,
    managed_by,
    mapping,
    sequence,
    text,
    whole,
)
from concertmaster.engines.common.names import belongs_to, generated_base
from concertmaster.engines.common.ordering import ordered_steps
from concertmaster.engines.common.placing import ITEM_JOIN
from concertmaster.engines.common.selectors import label_value, matches
from concertmaster.engines.jobs.definition import index_of, job_step

LABELS = tuple(
    f"jobset.sigs.k8s.io/{name}" for name in ("jobset-name", "replicatedjob-name", "job-index", "restart-attempt")
)
"""Labels of pods that tell set, step, replica and attempt."""
_SET, _JOB, _INDEX, _ATTEMPT = LABELS


def define(raw: Mapping[str, Any]) -> WorkflowDefinition:
    """The definition a JobSet declares: one step per replicated Job. Never raises for what the object contains."""
    problems = Problems()
    meta = mapping(raw.get("metadata"), "metadata", problems)
    spec = mapping(raw.get("spec"), "spec", problems)
    name = text(meta.get("name"), "metadata.name", problems) or ""
    return WorkflowDefinition(
        key=WorkflowKey(text(meta.get("namespace"), "metadata.namespace", problems) or "default", "JobSet", name),
        engine=Engine.JOB,
        graph=WorkflowGraph(steps=_steps(spec, problems), problems=problems.all()),
        fingerprint=fingerprint([{k: v for k, v in spec.items() if k not in ("suspend", "ttlSecondsAfterFinished")}]),
        labels={k: str(v) for k, v in mapping(meta.get("labels"), "metadata.labels", problems).items()},
        suspended=flag(spec.get("suspend")),
        managed_by=managed_by(meta),
        run_prefixes=(name,) if name else (),
    )


def _steps(spec: Mapping[str, Any], problems: Problems) -> tuple[StepSpec, ...]:
    policy = mapping(spec.get("startupPolicy"), "spec.startupPolicy", problems)
    in_order = policy.get("startupPolicyOrder") == "InOrder"
    steps: dict[str, StepSpec] = {}
    awaited_ready: set[str] = set()
    for i, raw in enumerate(sequence(spec.get("replicatedJobs"), "spec.replicatedJobs", problems)):
        where = f"spec.replicatedJobs[{i}]"
        row = mapping(raw, where, problems)
        name = text(row.get("name"), f"{where}.name", problems)
        if name is None:
            problems.add(f"{where} has no name: it is ignored")
            continue
        after: list[str] = list(steps)[-1:] if in_order else []
        awaited_ready.update(after)  # in order means: the next one starts when this one is ready, not when it has ended
        for raw_dependency in sequence(row.get("dependsOn"), f"{where}.dependsOn", problems):
            dependency = mapping(raw_dependency, f"{where}.dependsOn", problems)
            other = text(dependency.get("name"), f"{where}.dependsOn.name", problems)
            if other is not None:
                after.append(other)
                if dependency.get("status") == "Ready":
                    awaited_ready.add(other)
        template = mapping(row.get("template"), f"{where}.template", problems)
        job = mapping(template.get("spec"), f"{where}.template.spec", problems)
        at = f"/spec/replicatedJobs/{i}/template/spec"
        step = job_step(job, problems, at=at, patchable=False, name=name, depends_on=tuple(dict.fromkeys(after)))
        replicas = whole(row.get("replicas"), f"{where}.replicas", problems)
        count = 1 if replicas is None else replicas
        inner = step.width if step.fan_out else 1
        width = None if inner is None else inner * count
        steps[name] = replace(
            step, fan_out=step.fan_out or count != 1, width=width if step.fan_out or count != 1 else None
        )
    steps = {n: replace(s, daemon=n in awaited_ready) for n, s in steps.items()}
    return ordered_steps(steps, problems)


def replicas(spec: Mapping[str, Any], problems: Problems) -> dict[str, int]:
    """How many Jobs each step has."""
    rows = [mapping(raw, "replicatedJobs[]", problems) for raw in sequence(spec.get("replicatedJobs"), "", problems)]
    found = {text(r.get("name"), "name", problems): whole(r.get("replicas"), "replicas", problems) for r in rows}
    return {name: 1 if count is None else count for name, count in found.items() if name is not None}


def set_of(fact: PodFact, owner: tuple[str, str] | None) -> str | None:
    """Name of the JobSet a Job's pod belongs to, None when it belongs to none."""
    labelled = label_value(fact.labels, _SET)
    if labelled is not None:
        return labelled
    return owner[1] if owner is not None and owner[0] == "JobSet" else None


def choose(fact: PodFact, name: str, candidates: Sequence[WorkflowDefinition]) -> WorkflowDefinition | None:
    """The workflow of the JobSet ``name``: its own object, the one it was generated from, or a runSelector."""
    own = [d for d in candidates if d.key.kind == "JobSet" and d.key.name in (name, generated_base(name))]
    if own:
        return max(own, key=lambda d: len(d.key.name))
    picked = [
        d
        for d in candidates
        if d.graph.inferred
        and d.run_kind in (None, "JobSet")
        and (d.run_prefixes or d.run_selector)
        and (not d.run_prefixes or belongs_to(name, d.run_prefixes) is not None)
        and matches(d.run_selector, fact.labels)
    ]
    return max(picked, key=lambda d: len(belongs_to(name, d.run_prefixes) or ""), default=None)


def set_execution(fact: PodFact, name: str, definition: WorkflowDefinition) -> StepExecution:
    """One pod of a JobSet: the replicated Job is the step; its index and the completion index are the item.

    The set's restarts are attempts of all its steps; only a label tells them.
    """
    step, replica = label_value(fact.labels, _JOB), label_value(fact.labels, _INDEX)
    found = re.fullmatch(rf"{re.escape(name)}-(.+)-(\d+)", fact.owner_name or "")
    if found is not None:
        step, replica = step or found.group(1), replica or found.group(2)
    step = step or fact.owner_name or name
    spec = definition.graph.step(step) or StepSpec(step, indexed=True)
    parts = [p for p in (replica, index_of(fact, spec)) if p is not None]
    sidecars = {c.name for c in spec.containers if c.sidecar}
    restarts = label_value(fact.labels, _ATTEMPT) or "0"
    attempt = digits(restarts) or 0
    return execution(fact, step, ITEM_JOIN.join(parts) or None, attempt, beside=sidecars)
