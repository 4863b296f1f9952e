"""Live run objects: the workflow a run belongs to, whether it has finished, and which further objects its record needs.

An object usually names the template it was created from. Runs without a template are selected by name and labels in the
same way as their pods in the history, so that both sources yield the same workflow.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from concertmaster.core.model import EngineTraits, Outcome, RunRecord, WorkflowDefinition, WorkflowKey
from concertmaster.engines.base import PODS, RunKind
from concertmaster.engines.common.manifest import mapping
from concertmaster.engines.common.names import generated_base, pod_label
from concertmaster.engines.common.objects import KubeObject, mappings
from concertmaster.engines.common.pods import reduced_pod
from concertmaster.engines.common.runs import nearest, selects_run
from concertmaster.engines.live import LiveRun
from concertmaster.engines.registry import ENGINES, by_run, by_traits, run_kind

_MARK, _CONDITIONS = 80, 50  # limits of an end mark: characters per part, and number of conditions


@dataclass(frozen=True, slots=True)
class Children:
    """Objects that belong to a run and must be listed with it: their kind and a label selector in text form."""

    kind: str
    selector: str
    reduce: Callable[[dict[str, Any]], dict[str, Any]]
    """Reduces such an object to the fields that reading a run needs."""


def ended(raw: Mapping[str, Any]) -> bool:
    """Whether a run has finished, by its status alone. Never raises."""
    kind = run_kind(raw)
    return kind is not None and kind.ended(KubeObject.of(raw))


def _reduced(raw: dict[str, Any]) -> dict[str, Any]:
    """An object without the potentially large parts of its metadata."""
    meta = {k: v for k, v in raw["metadata"].items() if k not in ("managedFields", "annotations")}
    return {**raw, "metadata": meta}


def end_mark(raw: Mapping[str, Any]) -> str:
    """A mark that distinguishes one end of a run from another: a retried or resumed run (``argo retry``, a Job or
    PipelineRun) keeps its uid and ends again. Never raises."""
    status = raw.get("status")
    if not isinstance(status, Mapping):
        return ""
    conditions = status.get("conditions")
    moments = [
        f"{str(c.get('type'))[:_MARK]} {str(c.get('lastTransitionTime'))[:_MARK]}"
        for c in (conditions[:_CONDITIONS] if isinstance(conditions, list) else ())
        if isinstance(c, Mapping) and c.get("status") == "True" and c.get("lastTransitionTime")
    ]
    ends = [str(status.get(name))[:_MARK] for name in ("phase", "finishedAt", "completionTime", "endTime")]
    ends += [str(status["terminationTime"])[:_MARK]] if status.get("terminationTime") else []
    return "|".join((*ends, *sorted(moments)))


def children(raw: Mapping[str, Any]) -> Children | None:
    """What to list besides the object itself; None if the object is sufficient."""
    kind = run_kind(raw)
    if kind is None or kind.children is None:
        return None
    reduce = reduced_pod if kind.children is PODS else _reduced
    return Children(kind.children.kind, kind.child_selector(KubeObject.of(raw)), reduce)


class Claims:
    """Maps live objects to the observed workflows they are runs of."""

    def __init__(self, definitions: Iterable[WorkflowDefinition] = ()) -> None:
        self._by_key = {d.key: d for d in definitions}
        self._labelled = {
            (d.engine, d.key.namespace, d.pod_labels.value): d
            for d in self._by_key.values()
            if d.pod_labels is not None and d.pod_labels.value
        }
        self._selecting: dict[tuple[EngineTraits, str], list[WorkflowDefinition]] = {}
        for d in self._by_key.values():
            if d.graph.inferred:
                self._selecting.setdefault((d.engine, d.key.namespace), []).append(d)
        kinds = {kind.object.kind for engine in ENGINES for kind in engine.run_kinds}
        choosing = [d for d in self._by_key.values() if d.graph.inferred or d.key.kind in kinds]
        self._choosing: dict[str, set[WorkflowKey]] = {}
        for d in (*choosing, *self._labelled.values()):
            self._choosing.setdefault(d.key.namespace, set()).add(d.key)

    @property
    def keys(self) -> frozenset[WorkflowKey]:
        """Keys of all workflows."""
        return frozenset(self._by_key)

    @property
    def kinds(self) -> frozenset[str]:
        """Kinds of objects that can be runs of these workflows."""
        return frozenset(kind for d in self._by_key.values() for kind in _kinds(d))

    def of_kind(self, kind: str) -> list[WorkflowKey]:
        """The workflows whose runs can be objects of this kind."""
        return [d.key for d in self._by_key.values() if kind in _kinds(d)]

    def candidates(self, namespace: str, origins: frozenset[WorkflowKey]) -> frozenset[WorkflowKey]:
        """The observed workflows that a run created from ``origins`` can be of: those, and where one of them is not observed
        or there is none, workflows that select runs by names and labels of the object, which are not known yet."""
        named = origins & self._by_key.keys()
        if origins and named == origins:
            return named
        return named | self._choosing.get(namespace, frozenset())

    def of(self, raw: Mapping[str, Any]) -> WorkflowDefinition | None:
        """The workflow a live object is a run of; None if that workflow is not observed. Never raises."""
        claimed = (self._claimed(raw, engine.traits, kind) for engine, kind in by_run(raw))
        return next((definition for definition in claimed if definition is not None), None)

    def _claimed(self, raw: Mapping[str, Any], traits: EngineTraits, kind: RunKind) -> WorkflowDefinition | None:
        """The workflow of one engine that a live object is a run of."""
        key = kind.workflow_of(raw)
        named = self._by_key.get(key) if key is not None else None
        if key is not None and not traits.kinds:  # such workflows are profiles, known by a pod label
            return self._labelled.get((traits, key.namespace, key.name))
        if named is not None and kind.begins_elsewhere(raw, named):
            named = None
        return named if named is not None else self._selected(KubeObject.of(raw), traits, kind)

    def _selected(self, run: KubeObject, engine: EngineTraits, kind: RunKind) -> WorkflowDefinition | None:
        """The workflow that selects a run by name and labels; the longest name prefix wins."""
        name = kind.object.kind
        if _is_part(run, name):
            return None
        base = generated_base(run.name)
        origin = self._by_key.get(WorkflowKey(run.namespace, name, base)) if base else None
        if origin is not None:
            return origin
        selecting = self._selecting.get((engine, run.namespace), ())
        labels = _labels(run, kind, {term.key for d in selecting for term in d.run_selector}) if selecting else []
        return nearest(run.name, (d for d in selecting if any(selects_run(d, name, run.name, own) for own in labels)))


def end_alone(run: LiveRun) -> RunRecord | None:
    """A record of what is certain about a run whose steps cannot all be read: its times and its outcome. None while it
    is running.

    The record has no steps: these come from the metrics, as do the times of every run whose pods are known.
    """
    record = run.record
    if record.outcome is Outcome.RUNNING:
        return None
    start = run.started if run.started is not None else run.created
    end = run.finished if run.finished is not None else record.end
    return replace(record, start=start if start is not None else record.start, end=end, steps=())


def _kinds(definition: WorkflowDefinition) -> tuple[str, ...]:
    """Kinds of the runs of one workflow."""
    if definition.run_kind is not None:
        return (definition.run_kind,)
    engine = by_traits(definition.engine)
    return tuple(kind.object.kind for kind in engine.run_kinds) if engine is not None else ()


def _is_part(run: KubeObject, kind: str) -> bool:
    """Whether a run of another kind owns it: a Job of a JobSet is not a run of its own."""
    wholes = {k.object.kind for engine in ENGINES for k in engine.run_kinds if kind in k.parts}
    owners = mappings(run.meta.get("ownerReferences"), "ownerReferences", run.problems)
    return any(str(owner.get("kind")) in wholes for owner in owners)


def _labels(run: KubeObject, kind: RunKind, keys: Collection[str]) -> list[dict[str, str]]:
    """Labels with these ``keys``, all that is asked for, of the run, and those its spec gives to its pods: the history knows
    only pod labels. One of ten thousand templates may have thousands of labels, and all others those of the run."""
    read = {*keys, *map(pod_label, keys)}

    def asked(labels: Mapping[Any, Any]) -> dict[str, str]:
        return {str(k): str(v) for k, v in labels.items() if str(k) in read}

    label_sets = [asked(mapping(run.meta.get("labels"), "metadata.labels", run.problems))]
    for path in kind.pod_labels:
        several = [asked(labels) for labels in _at(run.spec, path)]
        if "*" not in path:  # labels that all pods have
            label_sets = [{**label_sets[0], **labels} for labels in several] or label_sets
        else:
            label_sets += [{**label_sets[0], **labels} for labels in several]
    return list({tuple(sorted(labels.items())): labels for labels in label_sets}.values())


def _at(value: object, path: Sequence[str]) -> list[Mapping[Any, Any]]:
    """Label maps at ``path``, where ``*`` stands for every entry of a list. Values of any other shape are skipped."""
    values = [value]
    for key in path:
        if key == "*":
            values = [entry for v in values if isinstance(v, list) for entry in v]
        else:
            values = [v.get(key) for v in values if isinstance(v, Mapping)]
    return [labels for labels in values if isinstance(labels, Mapping)]
