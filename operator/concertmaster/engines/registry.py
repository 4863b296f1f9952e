"""The supported engines, one line each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from concertmaster.core.model import EngineTraits, ObjectKind, PatchableKinds
from concertmaster.engines.argo.engine import ENGINE as ARGO
from concertmaster.engines.base import PODS, Engine, RunKind, SharedKind, Trigger, api_group
from concertmaster.engines.graph.engine import engine as graph
from concertmaster.engines.jobs.engine import ENGINE as JOB
from concertmaster.engines.jobset.engine import ENGINE as JOBSET
from concertmaster.engines.labels.engine import LABELLED
from concertmaster.engines.rayjob.engine import ENGINE as RAYJOB
from concertmaster.engines.tekton.engine import ENGINE as TEKTON

_PRODUCTS = (
    ARGO,
    TEKTON,
    JOB,
    JOBSET,
    RAYJOB,
)
ENGINES: tuple[Engine, ...] = (*_PRODUCTS, *LABELLED, graph(_PRODUCTS))

_OBJECTS: Mapping[tuple[str, str], ObjectKind] = {
    (kind.group, kind.kind): kind
    for engine in _PRODUCTS
    for kind in (
        *engine.traits.kinds,
        *(k for run in engine.run_kinds for k in (run.object, run.children) if k is not None and k is not PODS),
    )
}
_RUNS = tuple((engine, run) for engine in reversed(ENGINES) for run in engine.run_kinds)
PATCHABLE: PatchableKinds = {kind.kind: kind for engine in ENGINES for kind in engine.traits.kinds if kind.fields}
CLUSTER_KINDS = frozenset(kind.kind for kind in _OBJECTS.values() if not kind.namespaced)
OWNER_KINDS = tuple(sorted({kind for engine in ENGINES for kind in engine.owner_kinds}))


def by_traits(traits: EngineTraits) -> Engine | None:
    """The engine of a definition; None if it is not registered."""
    return next((engine for engine in ENGINES if engine.traits == traits), None)


def by_object(raw: Mapping[str, Any]) -> Engine | None:
    """The engine that reads an object, by its apiVersion and kind; None if no engine does."""
    return next((engine for engine in ENGINES if engine.defines(raw)), None)


def object_kind(api_version: str, kind: str) -> ObjectKind | None:
    """A kind that some engine reads, whichever version of its API group is requested."""
    return _OBJECTS.get((api_version.rpartition("/")[0], kind))


def companions(api_version: str, kind: str) -> tuple[str, ...]:
    """Kinds of the same API version that must be listed with ``kind``: its triggers, and what its steps refer to."""
    engine = by_object({"apiVersion": api_version, "kind": kind})
    return engine.companions.get(kind, ()) if engine is not None else ()


def shared_by(kind: str) -> SharedKind | None:
    """The shared objects that a change for a workflow of ``kind`` may patch; None if there are none."""
    return next((way for e in ENGINES for way in e.shared if way.patched and way.users == kind), None)


def users_of(kind: str) -> tuple[SharedKind, ...]:
    """All ways in which workflows may use an object of ``kind``."""
    return tuple(way for e in ENGINES for way in e.shared if way.kind == kind)


def trigger(raw: Mapping[str, Any]) -> Trigger | None:
    """The trigger that an object is; None if it is not merely a trigger."""
    return next((started for e in ENGINES if (started := e.trigger(raw)) is not None), None)


def by_run(raw: Mapping[str, Any]) -> tuple[tuple[Engine, RunKind], ...]:
    """The engines that observe runs of an object's apiVersion and kind, and how each does, the most specific one first."""
    group, kind = api_group(raw), raw.get("kind")
    return tuple(row for row in _RUNS if row[1].object.kind == kind and row[1].object.group == group)


def run_kind(raw: Mapping[str, Any]) -> RunKind | None:
    """How to read a live run object, the same for all engines that observe such runs; None if there are none."""
    return next((kind for _, kind in by_run(raw)), None)
