"""How long a span of the past of many workflows is read at once: memory grows with the pods that ended in it, not with its
length."""

from __future__ import annotations

from concertmaster.prometheus.collect.collection import Collection

MOST_PODS = 8_000  # in a span, as far as can be known before it is read
FEW = 250  # workflows: spans of fewer are as long as any
_FIRST = 3600.0  # seconds: of many workflows of which nothing is known
_SHORTEST = 900.0


class Pace:
    """What the spans of one source had so far."""

    def __init__(self) -> None:
        self._rate: float | None = None  # pods of a workflow in a second, of the last span in which any ended

    def longest(self, workflows: int, longest: float) -> float:
        """Seconds of the next span of so many workflows, at most ``longest``."""
        if workflows <= FEW:
            return longest
        if self._rate is None:
            return min(longest, _FIRST)
        return min(longest, max(_SHORTEST, MOST_PODS / (self._rate * workflows)))

    def learn(self, collected: Collection, workflows: int) -> None:
        """A span of so many workflows was read."""
        if collected.facts and workflows > FEW:
            self._rate = len(collected.facts) / max(1.0, collected.complete_until - collected.since) / workflows
