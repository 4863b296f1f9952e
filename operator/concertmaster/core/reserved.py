"""What a pod reserves for its containers, of one resource (cores or bytes).

Init containers run one after the other before the others start, and a pod keeps what the largest of them requests for its
whole life: it reserves that, or the sum of what runs together if that is more. Sidecars among the init containers
(``restartPolicy: Always``) run beside the others and count with them. Source: "Resource sharing within containers",
kubernetes.io/docs/concepts/workloads/pods/init-containers.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from concertmaster.core.model import ContainerFact


@dataclass(frozen=True, slots=True)
class Reservation:
    """``together``: of the containers that run beside each other; ``first``: of the largest init container with the
    sidecars that run already, ``first_by`` its name ("": none requests any)."""

    together: float = 0.0
    first: float = 0.0
    first_by: str = ""

    @property
    def total(self) -> float:
        """What the pod reserves."""
        return max(self.together, self.first)

    @property
    def kept(self) -> float:
        """What it reserves beyond the containers that run together, for the init container alone."""
        return self.total - self.together


def reservation(
    containers: Iterable[tuple[str, bool, float | None]], native: Collection[str] = frozenset()
) -> Reservation:
    """The reservation of a pod by name, whether it is an init container that ends before the others start, and amount
    (None: none) of each of its containers, in the order in which they start. ``native``: the names of sidecars among the
    init containers (``restartPolicy: Always``), which run beside those after them; others count with what runs together
    only."""
    running: list[float] = []
    before, first, by = 0.0, 0.0, ""
    for name, init, amount in containers:
        if not amount:
            continue
        if not init:
            running.append(amount)
            before += amount if name in native else 0.0
        elif before + amount > first:
            first, by = before + amount, name
    return Reservation(math.fsum(running), first, by)


def reservation_of(containers: Sequence[ContainerFact], resource: str) -> Reservation:
    """That of a pod that ran, of ``cpu`` or ``memory``. No metric has the order of init containers: sidecars are taken to
    start before the others, as the ones do that are injected into pods."""
    rows = sorted(containers, key=lambda c: not c.sidecar)
    asked = ((c.name, c.init, getattr(c, f"{resource}_request")) for c in rows)
    return reservation(asked, frozenset(c.name for c in rows if c.sidecar))
