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

from concertmaster.controller.registry import Entry

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
        self._first: dict[str, int] = {}  # in how many cycles each that waited has done so, by uid
        self._waiting: dict[str, str] = {}  # namespace by uid

    def begin(self) -> None:
        """A cycle begins. Those that have waited for longest come first."""
        self._taken.clear()
        self._writing.clear()
        self._first, self._waiting = {uid: self._first.get(uid, 0) + 1 for uid in self._waiting}, {}

    @property
    def resumes(self) -> bool:
        """Whether some waited in the last cycle."""
        return bool(self._first)

    def in_order(self, items: Iterable[T], of: Callable[[T], Entry]) -> list[T]:
        """Subjects whose profile has waited for longest first: statuses that the server refuses are tried again and again,
        and others must not wait for them. Those that waited alike keep their order."""
        return sorted(items, key=lambda item: -self._first.get(of(item).uid, 0))

    @contextmanager
    def taking(self, profile: Entry) -> Iterator[None]:
        """Count the time of the block."""
        begun = self._clock()
        try:
            yield
        finally:
            self._taken[profile.namespace] += self._clock() - begun

    def must_wait(self, profile: Entry) -> bool:
        """Whether work for a profile is left to the next cycle because its namespace has used its share. It is then first
        in the next cycle."""
        return self._must_wait(profile, self._taken)

    def written(self, profile: Entry) -> None:
        """Count the status of a profile that is written in this cycle."""
        self._writing[profile.namespace] += self._seconds_per_write

    def must_not_write(self, profile: Entry) -> bool:
        """Whether the status of a profile is left to the next cycle because those of its namespace took its share of the
        writes. It is then first in the next cycle."""
        return self._must_wait(profile, self._writing)

    def _must_wait(self, profile: Entry, taken: Mapping[str, float]) -> bool:
        if taken.get(profile.namespace, 0.0) < SHARE:
            return False
        self._waiting[profile.uid] = profile.namespace
        return True

    def waits(self, profile: Entry) -> bool:
        """Whether a profile waits for the next cycle."""
        return profile.uid in self._waiting

    @property
    def waiting(self) -> Sequence[str]:
        """A sentence for each namespace with profiles that wait."""
        counts = Counter(self._waiting.values())
        return [
            f"{count} workflows of namespace {name} wait for the next cycle: its others took"
            f" {max(self._taken[name], self._writing[name]):.0f} s of this one (each namespace has {SHARE:g} s)"
            for name, count in sorted(counts.items())
        ]
