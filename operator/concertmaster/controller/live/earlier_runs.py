"""Lists of the runs that had ended before their workflow was observed, for a bounded time of each cycle."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Generic, TypeVar

from concertmaster.controller.health import Heartbeat
from concertmaster.kube.errors import KubeError

MAX_LIST_SECONDS = 10.0  # of a cycle, for all lists
MAX_TURN_SECONDS = 1.0  # of one namespace, before another has its turn
MAX_LISTS = 4  # under way: each holds a page
T = TypeVar("T", bound=Hashable)


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
