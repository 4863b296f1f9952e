"""Workflow definitions from Kubernetes objects of all engines, with triggers merged into the workflows they start."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from concertmaster.core.model import Scheduler, WorkflowDefinition
from concertmaster.core.schedules.starts import MAX_SCHEDULES
from concertmaster.engines.argo.config_maps import CONFIG_MAP, CONTROLLER
from concertmaster.engines.base import Trigger
from concertmaster.engines.common.manifest import Resolve
from concertmaster.engines.overlay import UNPATCHED, merged, unpatched
from concertmaster.engines.registry import CLUSTER_KINDS, by_object, trigger

_ANYWHERE = (*CLUSTER_KINDS, CONFIG_MAP)  # found without a namespace


def define(
    raw: Mapping[str, Any],
    resolve: Resolve | None = None,
    *,
    namespace: str | None = None,
    triggers: Iterable[Trigger] = (),
) -> WorkflowDefinition | None:
    """The definition that one object declares, with those of the ``triggers`` that start it. ``namespace`` is the
    namespace of the runs, for cluster-scoped objects.

    None if it declares none: a pure trigger, an unknown kind, or a profile that refers to an engine's object.
    """
    engine = by_object(raw)
    if engine is None or trigger(raw) is not None:
        return None
    kind, own, name = _identity(raw)
    target = (namespace or own or "default", kind, name)
    mine = [t for t in triggers if (t.namespace, t.target_kind, t.target_name) == target]
    by = _starting(mine)
    shared = {k: v for t in by[:1] for k, v in t.spec.items() if all(o.spec.get(k) == v for o in by)}
    spec = raw.get("spec")
    whole = {**raw, "spec": merged(shared, spec)} if shared and isinstance(spec, Mapping) else raw
    definition = engine.define(whole, resolve, namespace)
    return definition if definition is None or not mine else _with_triggers(definition, mine, shared)


def define_all(
    objects: Iterable[Mapping[str, Any]], *, cluster_namespaces: Iterable[str] = ()
) -> tuple[WorkflowDefinition, ...]:
    """Definitions of many objects at once; references between these objects are resolved.

    ``cluster_namespaces``: namespaces in which runs of ClusterWorkflowTemplates are observed, one definition for each.
    """
    rows = [o for o in objects if isinstance(o, Mapping)]
    table = {_identity(o): o for o in rows}
    table |= {
        (CONFIG_MAP, "", name): o for (kind, _, name), o in table.items() if (kind, name) == (CONFIG_MAP, CONTROLLER)
    }
    triggers = tuple(t for t in (trigger(o) for o in rows) if t is not None)
    spaces = sorted({*cluster_namespaces, *(t.namespace for t in triggers if t.target_kind in CLUSTER_KINDS)})
    definitions: list[WorkflowDefinition] = []
    for raw in rows:
        kind, namespace, _ = _identity(raw)
        for space in spaces if kind in CLUSTER_KINDS else [namespace or "default"]:
            made = define(raw, resolver(table, space), namespace=space, triggers=triggers)
            if made is not None:
                definitions.append(made)
    return tuple(definitions)


def resolver(table: Mapping[tuple[str, str, str], Mapping[str, Any]], namespace: str) -> Resolve:
    """A resolver over the given objects, keyed by (kind, namespace, name). ConfigMaps are those without a namespace."""

    def resolve(kind: str, name: str) -> Mapping[str, Any] | None:
        return table.get((kind, "" if kind in _ANYWHERE else namespace, name))

    return resolve


def _starting(triggers: Sequence[Trigger]) -> list[Trigger]:
    """Those that start runs by a schedule; where all are suspended, these, as they started the past runs."""
    timed = [t for t in triggers if t.schedule]
    return [t for t in timed if not t.suspended] or timed


def _with_triggers(
    definition: WorkflowDefinition, mine: Sequence[Trigger], shared: Mapping[str, Any]
) -> WorkflowDefinition:
    """``definition`` with the schedules that start it and the name prefixes of the runs they create. ``shared``: the fields
    that all of them set."""
    timed = _starting(mine)
    scheduled = [t for t in timed if not t.suspended]
    own = definition.declared.get("entrypoint")
    other = [t.name for t in mine if own and t.spec.get("entrypoint") not in (None, "", own)]
    notes = [f"CronWorkflow {n} starts it at an entrypoint of its own: those runs are not counted." for n in other]
    conditions = [t.declared["when"] for t in timed if t.declared.get("when")]
    kept = [name for name in UNPATCHED if shared.get(name) is not None]
    notes += [f"CronWorkflow {t.name} sets {', '.join(kept)} of its runs: change them there." for t in timed if kept]
    if len({t.schedule for t in timed}) > MAX_SCHEDULES:
        notes.append(f"More than {MAX_SCHEDULES} schedules start it: only the first {MAX_SCHEDULES} are considered.")
    schedule, zone = _schedules(timed)
    return replace(
        definition,
        graph=unpatched(definition.graph, kept) if kept else definition.graph,
        run_prefixes=tuple(dict.fromkeys((*definition.run_prefixes, *(t.name for t in mine)))),
        schedule=schedule or definition.schedule,
        schedule_time_zone=zone or definition.schedule_time_zone,
        suspended=not scheduled,
        declared={**definition.declared, "when": conditions[0]} if conditions else definition.declared,
        notes=(*definition.notes, *notes),
        scheduler=Scheduler("CronWorkflow", scheduled[0].name, scheduled[0].declared) if len(scheduled) == 1 else None,
    )


def _schedules(timed: Sequence[Trigger]) -> tuple[str, str | None]:
    """The schedules of several triggers as one, and their time zone; where they have different ones, or a line names its
    own, each line does."""
    if len({t.time_zone or "UTC" for t in timed}) <= 1 and not any("TZ=" in (t.schedule or "") for t in timed):
        zone = next((t.time_zone for t in timed if t.time_zone), None)
        return "; ".join(t.schedule for t in timed if t.schedule), zone
    lines = [(line.strip(), t.time_zone) for t in timed for line in (t.schedule or "").split(";")]
    return "; ".join(
        line if not zone and "TZ=" in line else f"CRON_TZ={zone or 'UTC'} {line}" for line, zone in lines
    ), None


def _identity(raw: Mapping[str, Any]) -> tuple[str, str, str]:
    meta = raw.get("metadata")
    meta = meta if isinstance(meta, Mapping) else {}
    kind = str(raw.get("kind") or "")
    namespace = "" if kind in CLUSTER_KINDS else str(meta.get("namespace") or "default")
    return kind, namespace, str(meta.get("name") or "")
