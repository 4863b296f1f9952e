"""ConfigMaps of Argo: semaphores, whose values are sizes, caches, and the controller's own, whose ``workflowDefaults`` lie
below the spec of every workflow."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import yaml

from concertmaster.core.model import WorkflowDefinition
from concertmaster.core.model.config_maps import CacheContent, cache_name
from concertmaster.engines.common.bounds import MAX_LOCKS
from concertmaster.engines.common.manifest import Problems, mapping, sequence, text, timestamp, whole
from concertmaster.engines.common.objects import KubeObject
from concertmaster.engines.yaml_documents import check

CONTROLLER = "workflow-controller-configmap"  # its name, as Argo's manifests have it
CONFIG_MAP = "ConfigMap"

_SEMAPHORE = "semaphore/"
_TYPE_LABEL = "workflows.argoproj.io/configmap-type"  # the controller ignores a cache without it


def read_locks(source: Mapping[str, Any], where: str, problems: Problems, namespace: str) -> tuple[str, ...]:
    """Mutexes and semaphores of ``synchronization`` as "mutex/<name>" and "semaphore/<config map>/<key>", with the namespace
    before the name ("<namespace>:<name>") of those that are elsewhere than the workflow, in ``namespace``."""
    if source.get("synchronization") is None:
        return ()
    spec = mapping(source["synchronization"], f"{where}.synchronization", problems)
    out = []
    singles = [("mutex", spec.get("mutex")), ("semaphore", spec.get("semaphore"))]
    lists = [("mutex", v) for v in sequence(spec.get("mutexes"), f"{where}.mutexes", problems)]
    lists += [("semaphore", v) for v in sequence(spec.get("semaphores"), f"{where}.semaphores", problems)]
    for kind, raw in (*singles, *lists):
        if raw is None:
            continue
        row = mapping(raw, f"{where}.{kind}", problems)
        if kind == "mutex":
            name = text(row.get("name"), f"{where}.mutex.name", problems)
        else:
            source_row = row.get("configMapKeyRef", row.get("sync", row.get("database")))
            ref = mapping(source_row, f"{where}.semaphore", problems)
            parts = (ref.get("name"), ref.get("key"))
            name = "/".join(str(p) for p in parts if p) or None
        elsewhere = text(row.get("namespace"), f"{where}.{kind}.namespace", problems)
        if name:
            here = elsewhere in (None, namespace, "{{workflow.namespace}}")
            out.append(f"{kind}/{name}" if here else f"{kind}/{elsewhere}:{name}")
    names = tuple(dict.fromkeys(out))
    if len(names) > MAX_LOCKS:
        problems.add(f"{where}.synchronization has {len(names)} locks: only the first {MAX_LOCKS} are considered")
    return names[:MAX_LOCKS]


def caches_of(definition: WorkflowDefinition) -> tuple[str, ...]:
    """Names of the caches that its steps use."""
    names = (cache_name(s.declared.get("memoize")) for s in definition.graph.steps)
    return tuple(dict.fromkeys(name for name in names if name is not None))


def semaphores_of(definition: WorkflowDefinition) -> dict[str, tuple[str, str]]:
    """ConfigMap and key of each semaphore in the namespace of the workflow, by name of the lock."""
    locks = [*definition.locks, *(lock for s in definition.graph.steps for lock in s.locks)]
    semaphores = {}
    for lock in dict.fromkeys(locks):
        name, _, key = lock.removeprefix(_SEMAPHORE).partition("/")
        if lock.startswith(_SEMAPHORE) and name and ":" not in name and key and "{{" not in lock:
            semaphores[lock] = (name, key)
    return semaphores


def semaphore_size(raw: Mapping[str, Any], key: str) -> int | None:
    """How many holders the semaphore allows at a time; None if the ConfigMap does not set it."""
    problems = Problems()
    size = whole(mapping(raw.get("data"), "data", problems).get(key), f"data.{key}", problems)
    return size if size is not None and size > 0 else None


def cache_content(raw: Mapping[str, Any]) -> CacheContent | None:
    """The content of a cache; None for a ConfigMap that is not a cache."""
    obj = KubeObject.of(raw)
    labels = mapping(obj.meta.get("labels"), "labels", obj.problems)
    if labels.get(_TYPE_LABEL) != "Cache":
        return None
    data = mapping(raw.get("data"), "data", obj.problems)
    times = [_times(value) for value in data.values()]
    size = sum(len(str(key).encode()) + len(str(value).encode()) for key, value in data.items())
    return CacheContent(obj.namespace, obj.name, tuple(sorted(t for t in times if t is not None)), size)


def workflow_defaults(raw: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """The spec of ``workflowDefaults`` in the controller's ConfigMap, also where all of its settings are under one key;
    empty without any, and where it is no YAML, or none that may be read, with which no controller starts."""
    data = raw.get("data") if raw is not None else None
    if not isinstance(data, Mapping):
        return {}
    whole = _yaml(data.get("config"))
    found = _yaml(data.get("workflowDefaults")) or whole.get("workflowDefaults")
    spec = found.get("spec") if isinstance(found, Mapping) else None
    return spec if isinstance(spec, Mapping) else {}


def _yaml(value: object) -> Mapping[str, Any]:
    return _decoded(value) if isinstance(value, str) else {}


@lru_cache(maxsize=8)
def _decoded(text: str) -> Mapping[str, Any]:
    """A YAML text as an object; the same for every workflow of the cluster."""
    try:
        check(text, yaml.SafeLoader)
        read = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, AttributeError, RecursionError):
        return {}
    return read if isinstance(read, Mapping) else {}


def _times(value: object) -> tuple[float, float] | None:
    try:
        entry = json.loads(value) if isinstance(value, str) else None
    except (ValueError, RecursionError):
        return None
    made = timestamp(entry.get("creationTimestamp")) if isinstance(entry, dict) else None
    if made is None or not isinstance(entry, dict):
        return None
    used = timestamp(entry.get("lastHitTimestamp"))
    return made, made if used is None else max(made, used)
