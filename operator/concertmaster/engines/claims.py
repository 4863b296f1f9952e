"""Whose run a live object is, whether it is over, and what else has to be read to know it wholly.

The object says by itself which template it was made from; runs without one are picked by name and labels the way their
pods are in the history, so that both ways end at the same workflow.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from concertmaster.core.model import Engine, Outcome, PodFact, RunRecord, WorkflowDefinition, WorkflowKey
from concertmaster.engines.argo import pods as argo_pods
from concertmaster.engines.common.manifest import Problems, mapping, sequence
from concertmaster.engines.common.names import belongs_to, generated_base
from concertmaster.engines.common.placing import Context, Placed
from concertmaster.engines.common.selectors import matches
from concertmaster.engines.jobset.definition import LABELS as JOBSET_LABELS
from concertmaster.engines.live import LiveRun, RunObject
from concertmaster.engines.registry import ENGINES, by_engine, live_reader

_ENDED = {
    "Workflow": frozenset({("phase", "Succeeded"), ("phase", "Failed"), ("phase", "Error")}),
    "PipelineRun": frozenset({("Succeeded", "True"), ("Succeeded", "False")}),
    "Job": frozenset({("Complete", "True"), ("Failed", "True")}),
    "JobSet": frozenset({("Completed", "True"), ("Failed", "True")}),
}
# Where labels stand that the pods of a run will carry, besides the run's own.
_POD_LABELS = {
    "Workflow": ("podMetadata", "labels"),
    "Job": ("template", "metadata", "labels"),
}


@dataclass(frozen=True, slots=True)
class Children:
    """Objects that belong to a run and must be listed with it: their kind and a label selector as text."""

    kind: str
    selector: str


def ended(raw: Mapping[str, Any]) -> bool:
    """Whether a Workflow, PipelineRun, Job or JobSet is over, by its status alone. Never raises."""
    wanted = _ENDED.get(str(raw.get("kind")), frozenset())
    quiet = Problems()
    status = mapping(raw.get("status"), "status", quiet)
    rows = [mapping(c, "conditions[]", quiet) for c in sequence(status.get("conditions"), "conditions", quiet)]
    said = {(str(c.get("type")), str(c.get("status"))) for c in rows} if raw.get("kind") != "Workflow" else set()
    return bool(wanted & (said | {("phase", str(status.get("phase")))}))


def children(raw: Mapping[str, Any]) -> Children | None:
    """What to list besides the object itself; None when the object tells everything."""
    thing = RunObject.of(raw)
    if raw.get("kind") == "PipelineRun":
        return Children("TaskRun", f"tekton.dev/pipelineRun={thing.name}")
    if raw.get("kind") == "Job":
        selector = mapping(thing.spec.get("selector"), "spec.selector", thing.problems)
        labels = mapping(selector.get("matchLabels"), "matchLabels", thing.problems)
        terms = ",".join(f"{k}={v}" for k, v in sorted(labels.items()))
        return Children("Pod", terms or f"job-name={thing.name}")
    if raw.get("kind") == "JobSet":
        return Children("Pod", f"{JOBSET_LABELS[0]}={thing.name}")
    return None


class Claims:
    """The observed workflows, asked whose a run is."""

    def __init__(self, definitions: Iterable[WorkflowDefinition] = ()) -> None:
        self._by_key = {d.key: d for d in definitions}
        self._loose: dict[tuple[Engine, str], list[WorkflowDefinition]] = {}
        for d in self._by_key.values():
            if d.graph.inferred and (d.run_prefixes or d.run_selector):
                self._loose.setdefault((d.engine, d.key.namespace), []).append(d)

    @property
    def keys(self) -> frozenset[WorkflowKey]:
        """All workflows."""
        return frozenset(self._by_key)

    @property
    def kinds(self) -> frozenset[str]:
        """Kinds of objects that any of the workflows may have as its runs."""
        return frozenset(kind for d in self._by_key.values() for kind in _kinds(d))

    def of(self, raw: Mapping[str, Any]) -> WorkflowDefinition | None:
        """The workflow a live object is a run of; None when it is not observed. Never raises."""
        reader = live_reader(raw)
        if reader is None:
            return None
        key = reader.workflow_of(raw)
        found = self._by_key.get(key) if key is not None else None
        if found is not None:
            return found
        engine = next(row.engine for row in ENGINES if reader in row.live)
        return self._picked(raw, engine)

    def _picked(self, raw: Mapping[str, Any], engine: Engine) -> WorkflowDefinition | None:
        """By name and labels, the longest prefix first."""
        thing = RunObject.of(raw)
        kind = str(raw.get("kind"))
        if engine is Engine.JOB:
            if _owned_by_a_set(thing):  # its run is the JobSet, not this Job
                return None
            base = generated_base(thing.name)
            made = self._by_key.get(WorkflowKey(thing.namespace, kind, base)) if base else None
            if made is not None:
                return made
        labels = _labels(raw, thing)
        picked = [
            d
            for d in self._loose.get((engine, thing.namespace), ())
            if d.run_kind in (None, kind)
            and (not d.run_prefixes or belongs_to(thing.name, d.run_prefixes) is not None)
            and matches(d.run_selector, labels)
        ]
        return max(picked, key=lambda d: len(belongs_to(thing.name, d.run_prefixes) or ""), default=None)


def end_alone(run: LiveRun) -> RunRecord | None:
    """What is certain of a run whose steps cannot all be read: when it was and how it ended. None while it goes on.

    It has no steps: those come from the metrics, and so do its times wherever its pods are known.
    """
    record = run.record
    if record.outcome is Outcome.RUNNING:
        return None
    start = run.started if run.started is not None else run.created
    end = run.finished if run.finished is not None else record.end
    return replace(record, start=start if start is not None else record.start, end=end, steps=())


def as_in_history(record: RunRecord, definition: WorkflowDefinition) -> RunRecord:
    """``record`` with its steps called what the history calls them, so that runs of both kinds have the same steps.

    Only runs without a declared graph need it: pods alone show the template, a live Workflow also the task.
    """
    if definition.engine is not Engine.ARGO or not definition.graph.inferred:
        return record
    anyone = replace(definition, run_prefixes=(), run_selector=())
    facts = [
        PodFact(record.workflow.namespace, e.pod, str(i), owner_kind="Workflow", owner_name=record.run)
        for i, e in enumerate(record.steps)
        if e.pod is not None
    ]
    placed = [p for p in argo_pods.place(facts, [anyone], Context()) if isinstance(p, Placed)]
    names = {record.steps[int(p.execution.uid or 0)].step: p.execution.step for p in placed}
    steps = tuple(
        replace(
            e,
            step=names.get(e.step, e.step),
            after=tuple(dict.fromkeys(names.get(a, a) for a in e.after)) if e.after is not None else None,
        )
        for e in record.steps
    )
    return replace(record, steps=steps)


def _kinds(definition: WorkflowDefinition) -> tuple[str, ...]:
    """Kinds of the runs of one workflow. A Job or CronJob has Jobs only: nobody needs a right on JobSets for it."""
    if definition.run_kind is not None:
        return (definition.run_kind,)
    if definition.engine is Engine.JOB and not definition.graph.inferred:
        return ("JobSet",) if definition.key.kind == "JobSet" else ("Job",)
    row = by_engine(definition.engine)
    return tuple(reader.kind.rpartition("/")[2] for reader in row.live) if row is not None else ()


def _owned_by_a_set(thing: RunObject) -> bool:
    owners = sequence(thing.meta.get("ownerReferences"), "ownerReferences", thing.problems)
    return any(mapping(o, "ownerReferences[]", thing.problems).get("kind") == "JobSet" for o in owners)


def _labels(raw: Mapping[str, Any], thing: RunObject) -> dict[str, str]:
    """Labels of the run and those its pods get from its spec."""
    part: Mapping[str, Any] = thing.spec
    for key in _POD_LABELS.get(str(raw.get("kind")), ()):
        part = mapping(part.get(key), key, thing.problems)
    own = mapping(thing.meta.get("labels"), "metadata.labels", thing.problems)
    labels = {**own, **(part if part is not thing.spec else {})}
    return {str(k): str(v) for k, v in labels.items()}
