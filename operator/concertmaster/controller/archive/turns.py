"""Time by turns: whoever waited longest reads first, for a share of the time, and again while there is some left."""

from __future__ import annotations

from collections.abc import Callable, Collection
from itertools import count

MAX_SHARE = 3.0
"""Seconds of one namespace before the others had a turn; less where that is not enough for all."""
MIN_SHARE = 0.5
"""Seconds that a turn lasts at least: with very many namespaces some wait for the next cycle, which begins with them."""


class Turns:
    """The order of namespaces, kept from cycle to cycle."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self._served: dict[str, int] = {}  # the last turn of each namespace
        self._number = count(1)

    def share(self, seconds: float, namespaces: int) -> float:
        """How long one turn may take."""
        return min(MAX_SHARE, max(MIN_SHARE, seconds / max(1, namespaces)))

    def give(
        self, namespaces: Collection[str], seconds: float, read: Callable[[str, Callable[[], bool]], bool]
    ) -> bool:
        """Let each namespace ``read`` until its turn is over, repeatedly; ``read`` returns False when nothing is left.
        The first one always has its turn. Returns whether all finished within ``seconds``."""
        until = self.clock() + seconds
        share = self.share(seconds, len(namespaces))
        left = sorted(namespaces, key=lambda name: (self._served.get(name, 0), name))
        first = True
        while left:
            for name in tuple(left):
                if not first and self.clock() >= until:
                    return False
                first = False
                self._served[name] = next(self._number)
                end = min(until, self.clock() + share)
                if not read(name, lambda end=end: self.clock() >= end):  # type: ignore[misc]
                    left.remove(name)
        return True

    def keep(self, namespaces: Collection[str]) -> None:
        """Forget namespaces that are not observed any more."""
        self._served = {name: number for name, number in self._served.items() if name in namespaces}
