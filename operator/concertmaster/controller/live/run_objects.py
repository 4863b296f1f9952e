"""The objects of one run, asked for once more: the run itself, and the TaskRuns or pods that belong to it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from concertmaster.controller.live.run_kinds import kind_of
from concertmaster.core.units import MIB
from concertmaster.engines import children
from concertmaster.engines.common.bounds import decoded_bytes
from concertmaster.engines.suspension import queued
from concertmaster.kube.client import KubeClient
from concertmaster.kube.errors import Forbidden, NotFound
from concertmaster.kube.objects import ObjectRef, Resource

MAX_CHILDREN = 20_000  # TaskRuns or pods of one run
MAX_CHILDREN_BYTES = 160 * MIB  # memory of what is read in them, as estimated
_CHILDREN_PAGE = 100
UNREADABLE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)
"""What reading an object may raise that holds anything at all: it costs that run, not the cycle."""


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
