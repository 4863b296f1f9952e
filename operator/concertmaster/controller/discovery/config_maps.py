"""ConfigMaps that workflows name (semaphores, caches of memoized steps), and that of Argo's controller, read once per cycle
where that is allowed.

The chart does not grant it by default: a ConfigMap may hold anything. Single ones are read by name, none is listed, and
of what they hold only sizes and times are kept: what cannot be read just now stays as it was, so that no recommendation
goes beyond a semaphore for a moment. Where workflows name more than one cycle reads, namespaces take turns.
"""

from __future__ import annotations

import json
import logging
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import islice
from typing import Any

from concertmaster.controller.discovery.targets import Target
from concertmaster.core.fair_share import round_robin
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
from concertmaster.kube.apply import last_write
from concertmaster.kube.client import KubeClient
from concertmaster.kube.discover import Problem, ProblemKind
from concertmaster.kube.errors import Forbidden, KubeError, NotFound
from concertmaster.kube.objects import CONFIG_MAPS, ObjectRef

log = logging.getLogger("concertmaster.live")

MAX_CONFIG_MAPS = 1000  # ConfigMaps per cycle, after which no further workflow's are begun
MAX_SECONDS = 5.0  # of a cycle, likewise
MAX_PER_WORKFLOW = 100  # ConfigMaps of one workflow
_Answer = Mapping[str, Any] | KubeError | None


class ConfigMaps:
    """``argo_namespace``: where the Argo controller keeps its caches; None: each in the namespace of its workflow."""

    def __init__(
        self,
        client: KubeClient,
        access: AccessChecker,
        argo_namespace: str | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._access = access
        self._argo = argo_namespace
        self._clock = clock
        self._known: dict[WorkflowKey, NamedConfigMaps] = {}
        self._turns: dict[WorkflowKey, int] = {}  # the reading in which each had its last turn
        self._readings = 0
        self._seen: list[WorkflowDefinition] = []
        self._naming: list[WorkflowDefinition] = []  # those of ``_seen`` that name a ConfigMap

    def read(self, definitions: Sequence[WorkflowDefinition]) -> Mapping[WorkflowKey, NamedConfigMaps | None]:
        """What each workflow's ConfigMaps say; workflows that name none, or none that may be read, are left out. None: they
        could not be read yet. Those whose turn did not come are as they were."""
        seen: dict[tuple[str, str], _Answer] = {}
        if (observed := list(definitions)) != self._seen:
            self._seen, self._naming = observed, [d for d in observed if semaphores_of(d) or caches_of(d)]
        by_workflow: dict[WorkflowKey, NamedConfigMaps | None] = {d.key: self._known.get(d.key) for d in self._naming}
        for definition in self._in_turn(seen):
            try:
                by_workflow[definition.key] = self._of(definition, seen)
            except Forbidden:  # although the right was granted, as far as it could last be asked about
                by_workflow[definition.key] = self._known.get(definition.key, NONE_READ)
            except KubeError:
                by_workflow[definition.key] = self._known.get(definition.key)
        self._known = {key: found for key, found in by_workflow.items() if found is not None}
        return {key: found for key, found in by_workflow.items() if found != NONE_READ}

    def _in_turn(self, seen: Mapping[tuple[str, str], _Answer]) -> Iterator[WorkflowDefinition]:
        """The workflows read in this cycle: of each namespace those not read for longest first. ``seen`` grows meanwhile."""
        begun, self._readings = self._clock(), self._readings + 1
        self._turns = {d.key: self._turns.get(d.key, 0) for d in self._naming}
        longest_ago = sorted(self._naming, key=lambda definition: self._turns[definition.key])
        for definition in round_robin(longest_ago, lambda definition: definition.key.namespace):
            if len(seen) >= MAX_CONFIG_MAPS or self._clock() - begun >= MAX_SECONDS:
                return
            self._turns[definition.key] = self._readings
            yield definition

    def _of(self, definition: WorkflowDefinition, seen: dict[tuple[str, str], _Answer]) -> NamedConfigMaps:
        place = definition.key.namespace
        sizes: dict[str, int] = {}
        semaphores, cached = semaphores_of(definition), caches_of(definition)
        for lock, (name, key) in islice(semaphores.items(), MAX_PER_WORKFLOW):
            raw = self._get(place, name, seen)
            size = semaphore_size(raw, key) if raw is not None else None
            if size is not None:
                sizes[lock] = size
        caches: dict[str, CacheContent] = {}
        for name in cached[: max(0, MAX_PER_WORKFLOW - len(semaphores))]:
            raw = self._get(self._argo or place, name, seen)
            content = cache_content(raw) if raw is not None else None
            if content is not None:
                caches[name] = content
        return NamedConfigMaps(sizes, caches)

    def _get(self, namespace: str, name: str, seen: dict[tuple[str, str], _Answer]) -> Mapping[str, Any] | None:
        """None for one that is not there or may not be read. Raises KubeError when that is not known now."""
        if self._access.allowed(Right("get", CONFIG_MAPS, namespace)) is False:
            return None
        place = (namespace, name)
        if place not in seen:
            seen[place] = self._asked(namespace, name)
        answer = seen[place]
        if isinstance(answer, KubeError):
            raise answer
        return answer

    def _asked(self, namespace: str, name: str) -> _Answer:
        try:
            return self._client.get(CONFIG_MAPS.path(namespace, name))
        except NotFound:
            return None
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
        except KubeError as error:
            log.warning("ConfigMap %s/%s cannot be read: %s", self._namespace, CONTROLLER, error)
            if not self._answered and not isinstance(error, Forbidden):
                text = f"ConfigMap {self._namespace}/{CONTROLLER} cannot be read; the next cycle tries again"
                return Problem(ProblemKind.UNAVAILABLE, text)
        else:
            self._known = self._kept(workflow_defaults(raw), (raw.get("metadata") or {}).get("managedFields"))
        self._answered = True
        return self._known

    def _kept(self, spec: Mapping[str, Any], managed: Any) -> Target:
        kept = {"data": {"workflowDefaults": json.dumps({"spec": spec}, sort_keys=True, default=str)}}  # JSON is YAML
        text = json.dumps(kept)
        ref = ObjectRef(CONFIG_MAPS, None, CONTROLLER)
        version, written = sha256(text.encode()).hexdigest(), last_write(managed, None)
        return Target(ref, {}, version, zlib.compress(text.encode()), written=written)
