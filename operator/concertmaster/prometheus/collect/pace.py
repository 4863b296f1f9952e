"""How much of the past of many workflows is read at once.

A span is as long as memory allows, which grows with the pods that ended in it, not with its length. The first spans of all
workflows reach as far back as an analysis needs, before any workflow is read further.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from concertmaster.core.units import HOUR
from concertmaster.engines.outcomes import QUIET_SECONDS
from concertmaster.prometheus.collect.collection import Collection

MAX_PODS = 8_000  # in a span, as far as can be known before it is read
MAX_FULL_SPEED_WORKFLOWS = 250  # workflows: spans of fewer are as long as any
_FIRST_SPAN = HOUR  # seconds: of many workflows of which nothing is known
_MIN_SPAN = 900.0
MAX_DEPTH = 18 * HOUR  # seconds: how much of the past of many workflows all have before any has more, at most
_LACKING = 0.1  # share of the workflows that may lack some of their runs when the others have theirs


class BackfillPace:
    """What the spans of one source had so far."""

    def __init__(self) -> None:
        self._rate: float | None = None  # pods of a workflow in a second, of the last span in which any ended

    def longest(self, workflows: int, longest: float) -> float:
        """Seconds of the next span of so many workflows, at most ``longest``."""
        if workflows <= MAX_FULL_SPEED_WORKFLOWS:
            return longest
        if self._rate is None:
            return min(longest, _FIRST_SPAN)
        return min(longest, max(_MIN_SPAN, MAX_PODS / (self._rate * workflows)))

    def learn(self, collected: Collection, workflows: int) -> None:
        """A span of so many workflows was read."""
        if collected.facts and workflows > MAX_FULL_SPEED_WORKFLOWS:
            self._rate = len(collected.facts) / max(1.0, collected.complete_until - collected.since) / workflows


class FirstDepth:
    """Seconds of the past that hold the newest runs of most workflows, as many as an analysis needs."""

    def __init__(self) -> None:
        self.seconds = MAX_DEPTH

    def learn(self, begun: Iterable[Sequence[float]], runs: int, newest: float) -> None:
        """Take it from workflows that were read from ``newest`` (unix seconds) back over ``seconds``, by when their runs
        began; each needs so many ``runs``. Where too few of the workflows have as many, the next ones are read as far as
        any. A run counts that began so long after the oldest moment read that it has no pods before."""
        first = newest - self.seconds + QUIET_SECONDS
        known = [sorted(b for b in of if b >= first)[-runs:] for of in begun if of]
        needed = sorted(_needed(of, newest) if runs > 1 and len(of) == runs else MAX_DEPTH for of in known)
        most = needed[-1 - int(len(needed) * _LACKING)] if needed else MAX_DEPTH
        self.seconds = min(MAX_DEPTH, most + QUIET_SECONDS)


def _needed(begun: Sequence[float], newest: float) -> float:
    """Seconds that hold as many runs as ``begun``, oldest first, also when the next one has not quite begun."""
    interval = (begun[-1] - begun[0]) / (len(begun) - 1)
    return max(newest - begun[0], len(begun) * interval)
