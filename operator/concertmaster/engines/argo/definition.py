"""Definitions from WorkflowTemplate, ClusterWorkflowTemplate and CronWorkflow objects.

The graph is the one the spec declares; the part of it that a run took is known from its pods or its status. A
CronWorkflow that only starts a WorkflowTemplate is a trigger of that template, not a workflow of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from concertmaster.core.model import WorkflowDefinition, WorkflowGraph, WorkflowKey
from concertmaster.core.model.engines import POD_BY_POD, QUEUE_LABEL
from concertmaster.core.schedules.starts import MAX_SCHEDULES
from concertmaster.engines.argo.config_maps import CONFIG_MAP, CONTROLLER, read_locks, workflow_defaults
from concertmaster.engines.argo.expansion.expand import Expansion
from concertmaster.engines.argo.expansion.templates import Templates, resources_patched
from concertmaster.engines.argo.traits import ARGO, template_kind
from concertmaster.engines.base import Trigger
from concertmaster.engines.common.manifest import (
    Problems,
    Resolve,
    Unreadable,
    fingerprint,
    flag,
    mapping,
    sequence,
    text,
    whole,
)
from concertmaster.engines.common.objects import KubeObject, objects_in, texts
from concertmaster.engines.overlay import UNPATCHED, merged, unpatched

_DEPTH = 50
# Fields about visibility and retention of a run, not about its behaviour.
_IMMATERIAL = frozenset(
    {"ttlStrategy", "podGC", "artifactGC", "volumeClaimGC", "archiveLogs", "workflowMetadata", "metrics", "suspend"}
)

_DECLARED = frozenset(
    {"entrypoint", "onExit", "hooks", "podGC", "ttlStrategy", "activeDeadlineSeconds", "metrics", "parallelism",
     "retryStrategy", "templateDefaults", "synchronization", "concurrencyPolicy", "startingDeadlineSeconds", "schedule",
     "schedules", "when"}
)  # fmt: skip
_SCHEDULING = ("concurrencyPolicy", "startingDeadlineSeconds", "schedule", "schedules", "when")
_COMPLETED = "cronworkflows.argoproj.io/completed"  # the controller's label once the stopStrategy applies


def define(
    raw: Mapping[str, Any], resolve: Resolve | None = None, *, namespace: str | None = None
) -> WorkflowDefinition:
    """The definition that an Argo object declares. ``namespace``: where the runs are, for a ClusterWorkflowTemplate.
    ``resolve`` also gives the controller's ConfigMap, where it is known.

    Never raises, whatever the object contains: ``graph.problems`` lists invalid content, ``notes`` the constructs that
    cannot be analysed.
    """
    obj = KubeObject.of(raw)
    outer, problems = obj.spec, obj.problems
    kind = str(raw.get("kind") or "WorkflowTemplate")
    cron = kind == "CronWorkflow"
    spec = mapping(outer.get("workflowSpec"), "spec.workflowSpec", problems) if cron else outer
    at = "/spec/workflowSpec" if cron else "/spec"
    read = _defaults(resolve)
    defaults = read or {}
    inherited = [k for k, v in defaults.items() if not _omitted(v) and _omitted(spec.get(k))]
    spec = merged(spec, defaults) if defaults else spec
    templates = Templates(spec, f"{kind} {obj.name}", at, resolve, problems, namespace or obj.namespace)
    expansion = Expansion(templates)
    notes = _expand(spec, templates, expansion)
    schedule, zone = _schedule(outer, problems) if cron else (None, None)
    parallelism = whole(spec.get("parallelism"), "spec.parallelism", problems)
    graph = WorkflowGraph(
        steps=tuple(expansion.steps.values()),
        parallelism=parallelism if parallelism and parallelism > 0 else None,
        problems=problems.all(),
        parallelism_pointer=f"{at}/parallelism",
        limits=tuple(expansion.limits),
    )
    if kept := [name for name in (*UNPATCHED, "retryStrategy") if name in inherited]:
        graph = unpatched(graph, kept, at)
        notes = (
            *notes,
            f"workflowDefaults of the Argo controller set {', '.join(kept)} of its runs: change them there.",
        )
    return WorkflowDefinition(
        key=WorkflowKey(namespace or obj.namespace, kind, obj.name),
        engine=ARGO,
        graph=graph,
        fingerprint=fingerprint([material(spec), sorted(templates.foreign.items())]),
        complete=read is not None,
        labels=obj.labels,
        schedule=schedule,
        schedule_time_zone=zone,
        suspended=cron and _suspended(obj),  # the field of a workflow's spec pauses a run, not the schedule
        notes=(*notes, *expansion.notes),
        run_prefixes=obj.prefixes,
        locks=read_locks(spec, "spec", problems, templates.namespace),
        declared={k: v for k, v in {**spec, **(outer if cron else {})}.items() if k in _DECLARED and v is not None}
        | _pod_queue(spec),
    )


def _pod_queue(spec: Mapping[str, Any]) -> dict[str, object]:
    """The queue by which Kueue admits pods, or several, as declared fields; empty if it admits none."""
    unread = Problems()
    templates = (spec.get("templateDefaults"), *sequence(spec.get("templates"), "templates", unread))
    metas = [spec.get("podMetadata"), *(mapping(t, "template", unread).get("metadata") for t in templates)]
    labels = [mapping(mapping(meta, "metadata", unread).get("labels"), "labels", unread) for meta in metas]
    names = sorted({str(row[QUEUE_LABEL]) for row in labels if row.get(QUEUE_LABEL)})
    return {QUEUE_LABEL: ", ".join(names), POD_BY_POD: True} if names else {}


def _defaults(resolve: Resolve | None) -> Mapping[str, Any] | None:
    """The controller's defaults for workflows; None where these are not known."""
    try:
        found = resolve(CONFIG_MAP, CONTROLLER) if resolve is not None else None
    except Unreadable:
        return None
    return workflow_defaults(found) if found is not None else None


def _omitted(value: object) -> bool:
    """Whether a field counts as left out where defaults lie below it."""
    return value is None or value in ("", [])


def material(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of a workflow spec that can change the behaviour of a run, for its fingerprint.

    Controllers write a spec back with empty fields that its author omitted, so empty fields count as omitted.
    """
    return {k: filled for k, v in spec.items() if k not in _IMMATERIAL and ((filled := _filled(v)) or filled == 0)}


def refers_to_others(spec: Mapping[str, Any]) -> bool:
    """Whether a workflow spec takes templates from other objects, so that it does not say by itself what a run does."""
    return any(row.get("templateRef") or row.get("workflowTemplateRef") for row in objects_in(spec))


def _filled(value: Any, depth: int = 0) -> Any:
    """``value`` without empty fields. Zero and false say something."""
    if isinstance(value, str | int | float) or depth > _DEPTH:
        return value
    if type(value) is dict or isinstance(value, Mapping):  # nearly all are dicts, and asking for a Mapping takes long
        return {k: filled for k, v in value.items() if (filled := _filled(v, depth + 1)) or filled == 0}
    if isinstance(value, list):
        return [_filled(v, depth + 1) for v in value]
    return value


def trigger(raw: Mapping[str, Any]) -> Trigger | None:
    """The trigger that a CronWorkflow with ``workflowTemplateRef`` is; None for all other objects."""
    if raw.get("kind") != "CronWorkflow":
        return None
    obj = KubeObject.of(raw)
    outer, problems = obj.spec, obj.problems
    spec = mapping(outer.get("workflowSpec"), "spec.workflowSpec", problems)
    ref = mapping(spec.get("workflowTemplateRef"), "workflowTemplateRef", problems)
    target = text(ref.get("name"), "workflowTemplateRef.name", problems)
    if target is None:
        return None
    schedule, zone = _schedule(outer, problems)
    return Trigger(
        namespace=obj.namespace,
        name=obj.name,
        target_kind=template_kind(ref),
        target_name=target,
        schedule=schedule,
        time_zone=zone,
        suspended=_suspended(obj),
        spec={k: v for k, v in spec.items() if k not in ("workflowTemplateRef", "templates")},
        declared={k: outer[k] for k in _SCHEDULING if outer.get(k) is not None},
    )


def _expand(spec: Mapping[str, Any], templates: Templates, expansion: Expansion) -> tuple[str, ...]:
    """Expand the entrypoint, the exit handler and the hooks; returns notes for users."""
    problems = templates.problems
    notes: list[str] = []
    entry = text(spec.get("entrypoint"), "spec.entrypoint", problems)
    called = templates.named(templates.scope, entry) if entry else None
    if entry is None:
        problems.add("spec.entrypoint is missing: the graph is only known when a run names one")
    elif called is None:
        problems.add(f"spec.entrypoint is {entry!r}, which {templates.scope} does not define")
    ends = expansion.root(called) if called is not None else ()
    hooks = dict(mapping(spec.get("hooks"), "spec.hooks", problems))
    if spec.get("onExit"):
        hooks["exit"] = {"template": spec["onExit"]}
    for name, raw in hooks.items():
        holder = mapping(raw, f"spec.hooks.{name}", problems)
        handler = templates.called(holder, templates.scope, f"spec.hooks.{name}", None)
        if handler is None:
            continue
        given = holder.get("arguments")
        if name == "exit":
            expansion.handler(handler, "onExit", ".onExit", dict.fromkeys(ends, True), arguments=given)
        else:
            expansion.handler(handler, f"hooks.{name}", f".hooks.{name}", {}, conditional=True, arguments=given)
    locks = read_locks(spec, "spec", problems, templates.namespace)
    if locks:
        notes.append(f"Runs take turns: the whole workflow needs {', '.join(locks)}.")
    for raw in sequence(spec.get("templates"), "templates", problems):
        leaf = templates.named(templates.scope, str(raw.get("name"))) if isinstance(raw, Mapping) else None
        if leaf is not None and leaf.kind not in ("dag", "steps") and (said := resources_patched(leaf, templates)):
            notes.append(f"podSpecPatch {said} resources of template {leaf.name}: it is applied last, change it there.")
    return tuple(dict.fromkeys(notes))


def _suspended(cron: KubeObject) -> bool:
    """Whether the schedule of a CronWorkflow starts nothing: suspended, or stopped for good by its ``stopStrategy``."""
    labels = mapping(cron.meta.get("labels"), "metadata.labels", cron.problems)
    return flag(cron.spec.get("suspend")) or flag(labels.get(_COMPLETED))


def _schedule(outer: Mapping[str, Any], problems: Problems) -> tuple[str | None, str | None]:
    several = texts(outer.get("schedules"), "spec.schedules", problems)
    if len(several) > MAX_SCHEDULES:
        problems.add(f"spec.schedules has {len(several)} schedules: only the first {MAX_SCHEDULES} are considered")
    schedule = "; ".join(several) or text(outer.get("schedule"), "spec.schedule", problems)
    return schedule, text(outer.get("timezone"), "spec.timezone", problems)
