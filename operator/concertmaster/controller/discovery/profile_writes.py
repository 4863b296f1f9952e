"""Writes of discovered profiles (created, relabelled, withdrawn): several at a time, and for a limited time per cycle.

Thousands take minutes; each write counts as a sign of life. The rest is left to the next cycle, so that changes in progress
are verified and rolled back in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

from concertmaster.kube.profiles import NO_FURTHER, ProfileWriteResult

_CONCURRENCY = 4  # profiles written at a time
_SECONDS = 30.0  # of them in a cycle


class _Named(Protocol):
    @property
    def namespace(self) -> str: ...
    @property
    def name(self) -> str: ...


_T = TypeVar("_T", bound=_Named)


class ProfileWrites:
    """The writes of one cycle, which begins with it. ``left``: namespaces and names of those that are the next one's."""

    def __init__(self, clock: Callable[[], float], heartbeat: Callable[[], None]) -> None:
        """``clock``: seconds."""
        self._clock = clock
        self._beat = heartbeat
        self._until = clock() + _SECONDS
        self.left: set[tuple[str, str]] = set()

    def each(
        self, items: Sequence[_T], write: Callable[[_T], ProfileWriteResult]
    ) -> Iterator[tuple[_T, ProfileWriteResult | None]]:
        """Write profiles; None for those that are left, and those in a namespace that refused another one, or did not say.
        The first of each namespace is written before the others, because one refusal is enough."""
        closed: set[str] = set()
        first = {item.namespace: item for item in reversed(items)}
        rest = [item for item in items if item is not first[item.namespace]]

        def one(item: _T) -> tuple[_T, ProfileWriteResult | None]:
            if item.namespace in closed:
                return item, None
            if self._clock() >= self._until:
                self.left.add((item.namespace, item.name))
                return item, None
            result = write(item)
            if result.outcome in NO_FURTHER:
                closed.add(item.namespace)
            return item, result

        with ThreadPoolExecutor(_CONCURRENCY, thread_name_prefix="discovery") as pool:
            for batch in (list(first.values()), rest):
                for written in pool.map(one, batch):
                    self._beat()
                    yield written
