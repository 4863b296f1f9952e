"""Definitions from Tekton Pipelines.

Edges are those of the Tekton controller: ``runAfter`` and references to another task's results, also in an embedded task
spec, to which the controller propagates them. Tasks under ``finally`` run in parallel once all others have ended. The steps
of a Task run in sequence in one pod, which requests the sum over them; therefore the container of every step is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from concertmaster.core.model import ContainerSpec, StepSpec, WorkflowDefinition, WorkflowGraph
from concertmaster.core.model.engines import POD_BY_POD, QUEUE_LABEL
from concertmaster.engines.common.bounds import MAX_EDGES, MAX_STEPS, possible_width
from concertmaster.engines.common.manifest import (
    Problems,
    Resolve,
    Unreadable,
    container,
    container_rows,
    fingerprint,
    mapping,
    pointer,
    seconds,
    sequence,
    text,
    whole,
)
from concertmaster.engines.common.objects import KubeObject, mappings, named, texts
from concertmaster.engines.common.ordering import ordered_steps
from concertmaster.engines.tekton.references import bound, propagated, references
from concertmaster.engines.tekton.resolvers import resolver_params
from concertmaster.engines.tekton.traits import TEKTON


def define(raw: Mapping[str, Any], resolve: Resolve | None = None) -> WorkflowDefinition:
    """The definition that a Pipeline declares. Never raises, whatever the object contains."""
    obj = KubeObject.of(raw)
    spec, problems = obj.spec, obj.problems
    reader = TaskReader(resolve, problems)
    steps = pipeline_steps(spec, reader)
    return WorkflowDefinition(
        key=obj.key("Pipeline"),
        engine=TEKTON,
        graph=WorkflowGraph(steps=steps, problems=problems.all()),
        fingerprint=fingerprint([spec, sorted(reader.foreign.items())]),
        labels=obj.labels,
        notes=tuple(reader.notes),
        run_prefixes=obj.prefixes,
        # Pods inherit the labels of their Pipeline.
        declared={QUEUE_LABEL: obj.labels[QUEUE_LABEL], POD_BY_POD: True} if obj.queue else {},
    )


def pipeline_steps(spec: Mapping[str, Any], reader: TaskReader) -> tuple[StepSpec, ...]:
    """Steps of a pipeline spec in topological order, those under ``finally`` last."""
    tasks = reader.tasks(spec, "tasks", ())
    body = ordered_steps(tasks, reader.problems)
    ends = tuple(s.name for s in body)
    last = reader.tasks(spec, "finally", ends, most=min(MAX_STEPS - len(ends), MAX_EDGES // max(1, len(ends))))
    return (*body, *(s for s in last.values() if s.name not in tasks))


_Work = tuple[str | None, tuple[ContainerSpec, ...], bool]
"""Name of a Task, its containers, and whether it has no pod (custom tasks, child pipelines)."""


class _Row(NamedTuple):
    """A pipeline task, its place for messages, and what it runs."""

    task: Mapping[str, Any]
    where: str
    work: _Work


class TaskReader:
    """Reads pipeline tasks, and caches the Tasks they refer to."""

    def __init__(self, resolve: Resolve | None, problems: Problems) -> None:
        self.problems = problems
        self.foreign: dict[str, Mapping[str, Any]] = {}
        self.notes: dict[str, None] = {}
        self._resolve = resolve
        self._containers: dict[str, tuple[ContainerSpec, ...]] = {}  # by Task: many tasks may run the same

    def tasks(
        self, spec: Mapping[str, Any], section: str, behind: tuple[str, ...], *, most: int = MAX_STEPS
    ) -> dict[str, StepSpec]:
        """Steps of ``spec.tasks``, or of ``spec.finally`` (which depends on all steps ``behind``), by name; at most so
        many."""
        listed = sequence(spec.get(section), f"spec.{section}", self.problems)
        if len(listed) > most:
            self.problems.add(f"spec.{section} has more than {most:,} tasks: the rest is left out")
        rows = {
            name: _Row(row, where, self._work(row, where, pointer("spec", section, i)))
            for name, i, where, row in named(listed[:most], f"spec.{section}", "tasks", self.problems)
        }
        bindings = {name: bound(r.task, self._spec(r.task)) for name, r in rows.items()}
        return {name: self._step(name, r, behind, bindings) for name, r in rows.items()}

    def _spec(self, row: Mapping[str, Any]) -> object:
        """The spec of the Task that a pipeline task embeds, or refers to by name; None if it is not known."""
        ref = row.get("taskRef")
        named = f"{ref.get('kind') or 'Task'} {ref.get('name')}" if isinstance(ref, Mapping) else ""
        return row.get("taskSpec") or self.foreign.get(named)

    def _step(
        self,
        name: str,
        read: _Row,
        behind: tuple[str, ...],
        bindings: Mapping[str, frozenset[str]],
    ) -> StepSpec:
        row, where, (template, containers, podless) = read
        on_exit = bool(behind)
        after = texts(row.get("runAfter"), f"{where}.runAfter", self.problems)
        results, artifacts = propagated(row)
        reads = {*references(row), *results.intersection(bindings)} - {name}
        data = reads | artifacts
        data |= {n for n in after if bindings.get(n, frozenset()) & bindings.get(name, frozenset())}
        depends_on = behind if on_exit else tuple(dict.fromkeys((*after, *sorted(reads))))
        width, fan_out = _matrix(row, where, self.problems)
        limit = text(row.get("timeout"), f"{where}.timeout", self.problems)
        timeout = seconds(limit, f"{where}.timeout", self.problems)
        retries = whole(row.get("retries"), f"{where}.retries", self.problems)
        return StepSpec(
            name=name,
            depends_on=depends_on,
            template=template,
            fan_out=fan_out,
            width=width,
            ordering_only=() if on_exit else tuple(d for d in depends_on if d not in data),
            containers=containers,
            # Without one, the default of the cluster applies (60 minutes, unless its config-defaults say otherwise).
            has_timeout=timeout != 0,
            timeout_seconds=timeout or None,
            retry_limit=retries or 0,
            memoized=False,
            on_exit=on_exit,
            tolerated=name if row.get("onError") == "continue" else None,
            conditional=bool(row.get("when") or row.get("conditions")),
            waits=podless,
        )

    def _work(self, row: Mapping[str, Any], where: str, at: str) -> _Work:
        if row.get("taskSpec") is not None:
            spec = mapping(row["taskSpec"], f"{where}.taskSpec", self.problems)
            if spec.get("apiVersion") and spec.get("kind") not in (None, "Task"):
                return str(spec.get("kind")), (), True
            return None, task_containers(spec, f"{where}.taskSpec", self.problems, f"{at}/taskSpec"), False
        if row.get("pipelineRef") is not None or row.get("pipelineSpec") is not None:
            self.notes.setdefault(f"Task {row.get('name')} runs a pipeline of its own: its steps are not looked into.")
            return None, (), True
        ref = mapping(row.get("taskRef"), f"{where}.taskRef", self.problems)
        kind = text(ref.get("kind"), f"{where}.taskRef.kind", self.problems) or "Task"
        name = text(ref.get("name"), f"{where}.taskRef.name", self.problems)
        if kind not in ("Task", "ClusterTask") or _custom(ref):
            return name, (), True
        if ref.get("resolver") or ref.get("bundle") or name is None:
            if ref.get("resolver") or ref.get("bundle"):
                resolver = text(ref.get("resolver"), f"{where}.taskRef.resolver", self.problems) or "bundles"
                self.notes.setdefault(
                    f"Task {row.get('name')} is fetched by resolver {resolver}: change its resources at its source."
                )
            else:
                self.problems.add(f"{where} has neither taskRef nor taskSpec")
            return name, (), False
        try:
            task = self._resolve(kind, name) if self._resolve is not None else None
        except Unreadable as error:
            self.notes.setdefault(
                f"Task {row.get('name')} runs {kind} {name}, which cannot be read, so that only runs tell its sizes: {error}"
            )
            return name, (), False
        if task is None:
            self.problems.add(f"{where} refers to {kind} {name!r}, which cannot be found")
            return name, (), False
        own = kind == "Task"
        if not own:
            self.notes.setdefault(f"Task {row.get('name')} runs {kind} {name}: change its resources there.")
        called = f"{kind} {name}"
        if called not in self._containers:
            spec = self.foreign[called] = mapping(mapping(task, name, self.problems).get("spec"), called, self.problems)
            self._containers[called] = task_containers(
                spec, called, self.problems, pointer("spec") if own else None, name if own else None
            )
        return name, self._containers[called], False


def tasks_of(raw: Mapping[str, Any], namespace: str | None = None) -> frozenset[str]:
    """Names of the Tasks in its own namespace that a Pipeline refers to, including embedded pipelines. A name with
    ``$(`` is only known at run time and may be any. With ``namespace``, its namespace, also those that the cluster resolver
    fetches from there."""
    ignored = Problems()
    names: set[str] = set()
    specs = [raw.get("spec")]
    while specs:
        spec = mapping(specs.pop(), "spec", ignored)
        for task in (task for part in ("tasks", "finally") for task in mappings(spec.get(part), part, ignored)):
            specs.append(task.get("pipelineSpec"))
            ref = mapping(task.get("taskRef"), "taskRef", ignored)
            remote = ref.get("resolver") or ref.get("bundle") or _custom(ref)
            if ref.get("name") and (ref.get("kind") or "Task") == "Task" and not remote:
                names.add(str(ref["name"]))
            elif namespace is not None and ref.get("resolver") == "cluster":
                names |= _fetched(sequence(ref.get("params"), "params", ignored), namespace)
    return frozenset(names)


def _fetched(params: Sequence[Any], namespace: str) -> set[str]:
    """The Task that the cluster resolver fetches with ``params``, if it is, or may be, in the namespace ``namespace``: kind
    and namespace have defaults, and all parameters may only be known at run time."""
    given = resolver_params(params)
    kind, space = given.get("kind") or "task", given.get("namespace") or namespace
    here = all("$(" in value or value == expected for value, expected in ((kind, "task"), (space, namespace)))
    return {given["name"]} if here and given.get("name") else set()


def _custom(ref: Mapping[str, Any]) -> bool:
    """Whether a reference is to a custom task: Tekton treats every reference with apiVersion and kind as one, even of
    kind Task (its issue 6457)."""
    return bool(ref.get("apiVersion") and ref.get("kind"))


def task_containers(
    spec: Mapping[str, Any], where: str, problems: Problems, at: str | None, holder: str | None = None
) -> tuple[ContainerSpec, ...]:
    """Containers of a task spec: steps as "step-<name>" (numbered if unnamed), then sidecars. ``at`` is the JSON
    pointer of the spec in the Task ``holder`` or (None) in the Pipeline; None if it cannot be patched."""
    default = mapping(spec.get("stepTemplate"), f"{where}.stepTemplate", problems)
    shared = mapping(default.get("computeResources", default.get("resources")), f"{where}.stepTemplate", problems)
    out = []
    for section, prefix, sidecar in (("steps", "step", False), ("sidecars", "sidecar", True)):
        for i, raw in enumerate(container_rows(spec.get(section), f"{where}.{section}", problems)):
            row = mapping(raw, f"{where}.{section}[{i}]", problems)
            name = text(row.get("name"), f"{where}.{section}[{i}].name", problems)
            # The name of the field in v1beta1 is "resources".
            field = "resources" if "computeResources" not in row and "resources" in row else "computeResources"
            declared = container(
                row,
                f"{where}.{section}[{i}]",
                problems,
                at=None if at is None else f"{at}/{section}/{i}",
                resources_field=field,
                defaults=None if sidecar else {"image": default.get("image"), field: shared},
            )
            name = f"{prefix}-{name}" if name else f"{prefix}-unnamed-{i}"
            out.append(replace(declared, name=name, sidecar=sidecar, holder=holder))
    return tuple(out)


def _matrix(row: Mapping[str, Any], where: str, problems: Problems) -> tuple[int | None, bool]:
    """Width of a matrix (None if only known at run time), and whether there is a matrix."""
    if row.get("matrix") is None:
        return None, False
    spec = mapping(row["matrix"], f"{where}.matrix", problems)
    params = [*mappings(spec.get("params"), f"{where}.matrix.params", problems)]
    width = 1
    for param in params:
        value = param.get("value")
        if not isinstance(value, list) or any(isinstance(v, str) and "[*]" in v for v in value):
            return None, True
        width *= len(value)  # without any value the task is skipped
        if possible_width(width) is None:
            return None, True
    includes = sequence(spec.get("include"), f"{where}.matrix.include", problems)
    if not params:
        return len(includes) or None, True
    if includes:  # an include adds or extends a combination, depending on all values
        return None, True
    return width, True
