"""Pod-level resources (``resources`` of a pod spec, ``podResources`` of an Argo template).

Where set, they replace the containers' requests for scheduling, quotas and cost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from concertmaster.core.model import POD, ContainerSpec
from concertmaster.core.reserved import reservation
from concertmaster.engines.common.manifest import Problems, container

_RESOURCES = ("cpu", "memory")


def pod_level(
    spec: Mapping[str, Any],
    containers: Iterable[ContainerSpec],
    where: str,
    problems: Problems,
    *,
    at: str | None,
    field: str = "resources",
) -> ContainerSpec | None:
    """The resources that ``field`` of ``spec`` (JSON pointer ``at``) sets for the pod of these containers; None if it
    sets none.

    A missing request beside a limit is defaulted as by the API server: to the sum of the containers' requests, else to
    the limit.
    """
    if not isinstance(spec.get(field), Mapping):
        return None
    pod = container({field: spec[field]}, where, problems, at=at, resources_field=field)
    rows = tuple(containers)
    native = frozenset(c.name for c in rows if c.native)
    asked = {r: [(c.name, c.init, getattr(c, f"{r}_request")) for c in rows] for r in _RESOURCES}
    least = {r: amount for r in _RESOURCES if (amount := reservation(asked[r], native).total)}
    written = pod.resources.get("requests", {})
    filled = {
        f"{r}_request": least[r]
        for r in _RESOURCES
        if r in least and r not in written and getattr(pod, f"{r}_limit") is not None
    }
    pod = replace(pod, name=POD, least=least, **filled)  # type: ignore[arg-type]
    return pod if pod.cpu_request is not None or pod.memory_request is not None else None
