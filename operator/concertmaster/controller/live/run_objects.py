"""The objects of one run, asked for once more: the run itself, and the TaskRuns or pods that belong to it. And lists of the
runs that had ended before their workflow was observed.
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from concertmaster.controller.health import Heartbeat
from concertmaster.controller.live.run_kinds import kind_of
from concertmaster.core.units import MIB
from concertmaster.engines import children
from concertmaster.engines.common.bounds import decoded_bytes
from concertmaster.engines.suspension import queued
from concertmaster.kube.client import KubeClient
from concertmaster.kube.errors import Forbidden, KubeError, NotFound
from concertmaster.kube.objects import ObjectRef, Resource

MAX_CHILDREN = 20_000  # TaskRuns or pods of one run
MAX_CHILDREN_BYTES = 160 * MIB  # memory of what is read in them, as estimated
_CHILDREN_PAGE = 100
MAX_LIST_SECONDS = 10.0  # of a cycle, for lists of earlier runs
MAX_TURN_SECONDS = 1.0  # of one namespace, before another has its turn
MAX_LISTS = 4  # under way: each holds a page
UNREADABLE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)
"""What reading an object may raise that holds anything at all: it costs that run, not the cycle."""
T = TypeVar("T", bound=Hashable)


class RunObjects:
    """Bounded lists; nothing is ever written."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client

    def children(self, ref: ObjectRef, raw: Mapping[str, Any]) -> tuple[list[dict[str, Any]], str]:
        """TaskRuns or pods of a run, and why there are none where that is known."""
        wanted, kind = children(raw), kind_of(ref.resource)
        if wanted is None or kind is None or kind.children is None:
            return [], ""
        objects: list[dict[str, Any]] = []
        size = 0
        try:
            path = kind.children.path(ref.namespace)
            for item in self._client.items(path, label_selector=wanted.selector, chunk=_CHILDREN_PAGE):
                objects.append(wanted.reduce(item))
                size += decoded_bytes(json.dumps(objects[-1]).encode())
                if size > MAX_CHILDREN_BYTES:
                    return [], f"its {kind.children.plural} are too large together ({MAX_CHILDREN_BYTES >> 20} MiB)"
                if len(objects) > MAX_CHILDREN:
                    return [], f"it has more than {MAX_CHILDREN} {kind.children.plural}"
        except Forbidden:
            return [], f"the operator may not list {kind.children.plural} in namespace {ref.namespace}"
        return objects, ""

    def workloads(self, ref: ObjectRef, raw: Mapping[str, Any], resource: Resource | None) -> list[dict[str, Any]]:
        """Workloads of Kueue that represent a run; none where they may not be read (None)."""
        selector = queued(raw)
        if selector is None or resource is None:
            return []
        try:
            return list(self._client.items(resource.path(ref.namespace), label_selector=selector))
        except (Forbidden, NotFound):
            return []

    def listed(self, ref: ObjectRef) -> dict[str, Any] | None:
        """Read the object once more, if it still exists. By a list, because that is the right the operator has."""
        page = self._client.request(
            "GET", ref.resource.path(ref.namespace), query={"fieldSelector": f"metadata.name={ref.name}"}
        )
        for item in page.get("items") or ():
            if (item.get("metadata") or {}).get("uid") == ref.uid:
                return {**item, "apiVersion": ref.resource.api_version, "kind": ref.resource.kind}
        return None


class EarlierRuns(Generic[T]):
    """Lists of the runs that had ended before their workflow was observed, by namespace. The namespaces take turns; what
    one cycle has no time for continues in the next."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._under_way: dict[str, tuple[frozenset[T], Iterator[object]]] = {}

    def advance(
        self, wanted: Mapping[str, frozenset[T]], begin: Callable[[str], Iterator[object]], heartbeat: Heartbeat
    ) -> tuple[set[T], dict[str, KubeError]]:
        """The ``wanted`` objects of each namespace whose list is complete, and the errors of namespaces that failed.
        ``begin`` starts the list of a namespace: consuming an object processes it."""
        until, listed, errors = self._clock() + MAX_LIST_SECONDS, set[T](), dict[str, KubeError]()
        self._under_way = {name: row for name, row in self._under_way.items() if name in wanted}
        waiting = deque([*self._under_way, *sorted(wanted.keys() - self._under_way.keys())])
        while waiting and self._clock() < until:
            heartbeat("live")
            name = waiting.popleft()
            if name not in self._under_way and len(self._under_way) >= MAX_LISTS:
                waiting.append(name)
                continue
            known = self._under_way.pop(name) if name in self._under_way else None
            runs, objects = known or (wanted[name], begin(name))
            try:
                if self._ends(objects):
                    listed |= runs
                    continue
            except KubeError as error:
                errors[name] = error
                continue
            self._under_way[name] = runs, objects
            waiting.append(name)
        return listed, errors

    def _ends(self, objects: Iterator[object]) -> bool:
        """Take objects for one turn; whether those were all."""
        until = self._clock() + MAX_TURN_SECONDS
        return not any(self._clock() >= until for _ in objects)
