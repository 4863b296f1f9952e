"""ConfigMaps that workflows name (semaphores, caches of memoized steps), and that of Argo's controller, read once per cycle
where that is allowed.

The chart does not grant it by default: a ConfigMap may hold anything. Single ones are read by name, none is listed, and
of what they hold only sizes and times are kept: what cannot be read just now stays as it was, so that no recommendation
goes beyond a semaphore for a moment.
"""

from __future__ import annotations

import json
import logging
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any

from concertmaster.controller.discovery.targets import Target
from concertmaster.controller.interfaces import Heartbeat
from concertmaster.controller.run_sources import LiveRunSource, LiveRunsReport
from concertmaster.core.model import WorkflowDefinition, WorkflowKey
from concertmaster.core.model.config_maps import NONE_READ, CacheContent, NamedConfigMaps
from concertmaster.engines.argo.config_maps import (
    CONTROLLER,
    cache_content,
    caches_of,
    semaphore_size,
    semaphores_of,
    workflow_defaults,
)
from concertmaster.kube.access import AccessChecker, Right
from concertmaster.kube.client import KubeClient
from concertmaster.kube.discover import Problem, ProblemKind
from concertmaster.kube.errors import Forbidden, KubeError, NotFound, Stopped
from concertmaster.kube.objects import CONFIG_MAPS, ObjectRef

log = logging.getLogger("concertmaster.live")

MAX_CONFIG_MAPS = 1000  # ConfigMaps per cycle
_Answer = Mapping[str, Any] | KubeError | None


class ConfigMaps:
    """``argo_namespace``: where the Argo controller keeps its caches; None: each in the namespace of its workflow."""

    def __init__(self, client: KubeClient, access: AccessChecker, argo_namespace: str | None = None) -> None:
        self._client = client
        self._access = access
        self._argo = argo_namespace
        self._known: dict[WorkflowKey, NamedConfigMaps] = {}
        self._seen: list[WorkflowDefinition] = []
        self._naming: list[WorkflowDefinition] = []  # those of ``_seen`` that name a ConfigMap

    def read(self, definitions: Sequence[WorkflowDefinition]) -> Mapping[WorkflowKey, NamedConfigMaps | None]:
        """What each workflow's ConfigMaps say; workflows that name none, or none that may be read, are left out. None: they
        could not be read yet."""
        seen: dict[tuple[str, str], _Answer] = {}
        by_workflow: dict[WorkflowKey, NamedConfigMaps | None] = {}
        if (observed := list(definitions)) != self._seen:
            self._seen, self._naming = observed, [d for d in observed if semaphores_of(d) or caches_of(d)]
        for definition in self._naming:
            try:
                by_workflow[definition.key] = self._of(definition, seen)
            except Forbidden:  # although the right was granted, as far as it could last be asked about
                by_workflow[definition.key] = self._known.get(definition.key, NONE_READ)
            except KubeError:
                by_workflow[definition.key] = self._known.get(definition.key)
        self._known = {key: found for key, found in by_workflow.items() if found is not None}
        return {key: found for key, found in by_workflow.items() if found != NONE_READ}

    def _of(self, definition: WorkflowDefinition, seen: dict[tuple[str, str], _Answer]) -> NamedConfigMaps:
        place = definition.key.namespace
        sizes: dict[str, int] = {}
        for lock, (name, key) in semaphores_of(definition).items():
            raw = self._get(place, name, seen)
            size = semaphore_size(raw, key) if raw is not None else None
            if size is not None:
                sizes[lock] = size
        caches: dict[str, CacheContent] = {}
        for name in caches_of(definition):
            raw = self._get(self._argo or place, name, seen)
            content = cache_content(raw) if raw is not None else None
            if content is not None:
                caches[name] = content
        return NamedConfigMaps(sizes, caches)

    def _get(self, namespace: str, name: str, seen: dict[tuple[str, str], _Answer]) -> Mapping[str, Any] | None:
        """None for one that is not there or may not be read. Raises KubeError when that is not known now."""
        place = (namespace, name)
        if place not in seen:
            seen[place] = self._asked(namespace, name) if len(seen) < MAX_CONFIG_MAPS else None
        answer = seen[place]
        if isinstance(answer, KubeError):
            raise answer
        return answer

    def _asked(self, namespace: str, name: str) -> _Answer:
        if self._access.allowed(Right("get", CONFIG_MAPS, namespace)) is False:
            return None
        try:
            return self._client.get(CONFIG_MAPS.path(namespace, name))
        except NotFound:
            return None
        except Stopped:
            raise
        except KubeError as error:
            log.warning("ConfigMap %s/%s cannot be read: %s", namespace, name, error)
            return error


class ArgoController:
    """The ConfigMap of the Argo controller in ``namespace``, of which its defaults for workflows are kept. What cannot be
    read just now stays as it was; a new process does not take it for absent, which would look like changed workflows."""

    def __init__(self, client: KubeClient, access: AccessChecker, namespace: str) -> None:
        self._client = client
        self._access = access
        self._namespace = namespace
        self._known: Target | None = None
        self._answered = False  # in this process

    def defaults(self) -> Target | Problem | None:
        """It, as the object that definitions are also made of; None where it may not be read, or is not there."""
        if self._access.allowed(Right("get", CONFIG_MAPS, self._namespace)) is False:
            return None
        try:
            raw = self._client.get(CONFIG_MAPS.path(self._namespace, CONTROLLER))
        except NotFound:
            self._known = None
        except Stopped:
            raise
        except KubeError as error:
            log.warning("ConfigMap %s/%s cannot be read: %s", self._namespace, CONTROLLER, error)
            if not self._answered and not isinstance(error, Forbidden):
                text = f"ConfigMap {self._namespace}/{CONTROLLER} cannot be read; the next cycle tries again"
                return Problem(ProblemKind.UNAVAILABLE, text)
        else:
            self._known = self._kept(workflow_defaults(raw))
        self._answered = True
        return self._known

    def _kept(self, spec: Mapping[str, Any]) -> Target:
        kept = {"data": {"workflowDefaults": json.dumps({"spec": spec}, sort_keys=True, default=str)}}  # JSON is YAML
        text = json.dumps(kept)
        ref = ObjectRef(CONFIG_MAPS, None, CONTROLLER)
        return Target(ref, {}, sha256(text.encode()).hexdigest(), zlib.compress(text.encode()))


class WithConfigMaps:
    """Live runs together with the ConfigMaps that their workflows name."""

    def __init__(self, live: LiveRunSource, config_maps: ConfigMaps) -> None:
        self._live = live
        self._config_maps = config_maps

    def refresh(self, definitions: Sequence[WorkflowDefinition], heartbeat: Heartbeat) -> LiveRunsReport:
        """Once per cycle."""
        seen = self._live.refresh(definitions, heartbeat)
        heartbeat("live")
        return replace(seen, config_maps=self._config_maps.read(definitions))
