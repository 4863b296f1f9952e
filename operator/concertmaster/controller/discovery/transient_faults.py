"""Which faults of reading pass: what could not be read stays as it was meanwhile, and nothing new is written on it.

A denial right after good answers may be a moment's: a role being replaced, an authorizer restarting.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence

from concertmaster.kube.discover import Problem, ProblemKind
from concertmaster.kube.objects import Resource

DENIED_FOR = 600.0  # seconds after the last good answer in which a denial may be a passing one


def hidden(problems: Iterable[Problem], namespace: str | None) -> bool:
    """Whether one of ``problems`` kept the objects of ``namespace`` from being read."""
    return any(p.namespace is None or p.namespace == namespace for p in problems)


class TransientFaults:
    """Remembers when each resource was last read successfully. An empty ``namespaces`` means the whole cluster."""

    def __init__(self, namespaces: Sequence[str] = (), *, clock: Callable[[], float] = time.monotonic) -> None:
        self._places: tuple[str | None, ...] = tuple(namespaces) or (None,)
        self._clock = clock
        self._read: dict[tuple[Resource, str | None], float] = {}

    def of(self, resource: Resource, problems: Iterable[Problem]) -> list[Problem]:
        """Those of the ``problems`` with reading ``resource`` just now that may be transient."""
        now, failed = self._clock(), list(problems)
        for place in {*self._places} - {p.namespace for p in failed}:
            self._read[resource, place] = now

        def passes(problem: Problem) -> bool:
            age = now - self._read.get((resource, problem.namespace), -math.inf)
            denied = problem.kind is ProblemKind.FORBIDDEN and age < DENIED_FOR
            return denied or problem.kind is ProblemKind.UNAVAILABLE

        return [p for p in failed if passes(p)]
