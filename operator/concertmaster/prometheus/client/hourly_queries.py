"""Queries about what rarely changes at a source: each is sent once an hour."""

from __future__ import annotations

from concertmaster.core.times import recent
from concertmaster.core.units import HOUR


class HourlyQueries:
    """When each query was sent last, by its name."""

    def __init__(self) -> None:
        self._asked: dict[str, float] = {}

    def due(self, question: str, now: float) -> bool:
        """Whether to ask at ``now`` (unix seconds), which counts as asked from then on. A clock that was ahead when it was
        asked last, and was set right, is no reason to wait longer."""
        if recent(self._asked.get(question), now, HOUR):
            return False
        self._asked[question] = now
        return True

    def forget(self, question: str) -> None:
        """Its answer does not stand for an hour: it is due again."""
        self._asked.pop(question, None)
