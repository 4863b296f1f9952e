"""What the numbers of rows of runs, their places, tell of their time."""

from __future__ import annotations

from dataclasses import dataclass

WEEK = 7 * 86_400.0
"""Seconds."""


@dataclass(frozen=True, slots=True)
class RunPlaces:
    """Places as a database gives them at present. ``open_from``: that of the first row which may take further executions.

    ``of_week``: how many each week since 1970 has, beginning with the first one; a row keeps a place of the week in which it
    was stored. Rows of the first week are those that an earlier version numbered without regard to time. 0 where no place
    tells a time.
    """

    open_from: int = 0
    of_week: int = 0

    def since(self, created: float | None) -> int:
        """The first place of a row in which a pod that was created then (unix seconds, None where unknown) can be, but for
        rows of the first week. A pod is stored after it was created, by clocks less than a week apart."""
        if self.of_week == 0 or created is None or not created >= WEEK:
            return 0
        newest = self.open_from // self.of_week
        week = int(created // WEEK) if created < newest * WEEK else newest
        return (week - 1) * self.of_week


ANYWHERE = RunPlaces()
"""Where no place tells a time."""
