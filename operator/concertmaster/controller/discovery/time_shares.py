"""The time that the workflows of one namespace may take of a cycle.

Definitions and analyses of a few large objects take longer than those of a thousand ordinary ones, and statuses are written
at a limited rate, so that those of thousands of profiles (of a policy that somebody edited, say) take minutes. What is
beyond the share of its namespace waits for the next cycle, which then begins with it: a tenant's objects make only the
tenant wait. This also holds where there is one namespace: decisions about its changes are examined between the shares.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import TypeVar

from concertmaster.controller.object_cache import CachedObject

T = TypeVar("T")

SHARE = 30.0  # seconds of a cycle; ten thousand ordinary definitions take about as long
WAITS = "it is read in one of the next cycles: other workflows of this namespace took the namespace's share of this one"


class TimeShares:
    """What each namespace took of this cycle, and whose turn did not come."""

    def __init__(self, clock: Callable[[], float] = perf_counter, *, seconds_per_write: float = 0.0) -> None:
        """``seconds_per_write``: of a status; 0 where nothing limits their rate."""
        self._clock = clock
        self._seconds_per_write = seconds_per_write
        self._taken: defaultdict[str, float] = defaultdict(float)
        self._writing: defaultdict[str, float] = defaultdict(float)  # beside the above: others are analysed meanwhile
        self._waited: dict[str, int] = {}  # in how many cycles each that waited has done so, by uid
        self._deferred: dict[str, str] = {}  # namespace by uid of the profile

    def begin(self) -> None:
        """A cycle begins. Those that have waited for longest come first."""
        self._taken.clear()
        self._writing.clear()
        self._waited, self._deferred = {uid: self._waited.get(uid, 0) + 1 for uid in self._deferred}, {}

    @property
    def resumed(self) -> bool:
        """Whether something was deferred in the last cycle."""
        return bool(self._waited)

    def in_order(self, items: Iterable[T], of: Callable[[T], CachedObject]) -> list[T]:
        """Those whose profile has waited for longest first: statuses that the server refuses are tried again and again,
        and others must not wait for them. Those that waited alike keep their order."""
        return sorted(items, key=lambda item: -self._waited.get(of(item).uid, 0))

    @contextmanager
    def taking(self, profile: CachedObject) -> Iterator[None]:
        """Count the time of the block."""
        begun = self._clock()
        try:
            yield
        finally:
            self._taken[profile.namespace] += self._clock() - begun

    def defer_work(self, profile: CachedObject) -> bool:
        """Leave work for a profile to the next cycle, where it comes first, if its namespace has used its share of this one.
        Returns whether it is left."""
        return self._defer(profile, self._taken)

    def written(self, profile: CachedObject) -> None:
        """Count the status of a profile that is written in this cycle."""
        self._writing[profile.namespace] += self._seconds_per_write

    def defer_write(self, profile: CachedObject) -> bool:
        """The same for the status of a profile, if those of its namespace have used the share of the writes."""
        return self._defer(profile, self._writing)

    def defer_status(self, policy: CachedObject) -> bool:
        """``defer_write`` for the status of a policy, which is counted where it is not left."""
        left = self.defer_write(policy)
        if not left:
            self.written(policy)
        return left

    def _defer(self, profile: CachedObject, taken: Mapping[str, float]) -> bool:
        if taken.get(profile.namespace, 0.0) < SHARE:
            return False
        self._deferred[profile.uid] = profile.namespace
        return True

    def deferred(self, profile: CachedObject) -> bool:
        """Whether something of a profile is left to the next cycle."""
        return profile.uid in self._deferred

    @property
    def notes(self) -> Sequence[str]:
        """A sentence for each namespace with profiles that wait."""
        counts = Counter(self._deferred.values())
        return [
            f"{count} workflows of namespace {name} wait for the next cycle: its others took"
            f" {max(self._taken[name], self._writing[name]):.0f} s of this one (each namespace has {SHARE:g} s)"
            for name, count in sorted(counts.items())
        ]
