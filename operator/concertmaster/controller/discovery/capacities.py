"""The ResourceQuotas and LimitRanges of each namespace, as they could last be read.

A list that fails for a moment must not make recommendations that no quota bounds; what stays denied binds nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from concertmaster.controller.discovery.transient_faults import TransientFaults, hidden
from concertmaster.core.changes.admission.capacity import UNBOUND, Capacity, add
from concertmaster.kube.client import KubeClient
from concertmaster.kube.discover import scan
from concertmaster.kube.objects import LIMIT_RANGES, RESOURCE_QUOTAS, Resource


class Capacities:
    """Remembers the last answers. ``namespaces`` empty: the whole cluster."""

    def __init__(self, client: KubeClient, namespaces: Sequence[str], clock: Callable[[], float]) -> None:
        self._client = client
        self._scope = tuple(namespaces)
        self._passing = TransientFaults(namespaces, clock=clock)
        self._known: dict[Resource, dict[str, Capacity]] = {}

    def refresh(self) -> tuple[Mapping[str, Capacity] | None, tuple[str, ...]]:
        """By namespace, and what could not be read just now; None while a kind was never read."""
        notes: list[str] = []
        for resource in (RESOURCE_QUOTAS, LIMIT_RANGES):
            present: dict[str, Capacity] = {}
            problems = scan(self._client, resource, self._scope, partial(add, present)).problems
            passing = self._passing.of(resource, problems)
            notes += [f"the last known {resource.plural} bound recommendations: {p.message}" for p in passing[:1]]
            if passing and resource not in self._known:
                continue
            present = {n: c for n, c in present.items() if not hidden(passing, n)}
            present |= {n: c for n, c in self._known.get(resource, {}).items() if hidden(passing, n)}
            self._known[resource] = present
        if len(self._known) < 2:
            return None, tuple(notes)
        quotas, ranges = self._known[RESOURCE_QUOTAS], self._known[LIMIT_RANGES]
        return {
            n: Capacity(quotas.get(n, UNBOUND).quotas, ranges.get(n, UNBOUND).ranges) for n in {**quotas, **ranges}
        }, tuple(notes)
