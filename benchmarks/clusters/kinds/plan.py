"""What is planted in a history: the site, what is right to recommend, and the same site without the problem."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.clusters.law import DAY, NOW, WINDOW, Rng, Site

WEEKS = 7 * DAY


@dataclass(frozen=True, slots=True)
class Plan:
    """``rules``: ids (or rules) of recommendations that name the problem of ``flow`` (None: of any workflow); none where
    there is no problem. ``absent``: the site without it. ``now``: end of the ``window`` of runs that are read; ``fresh``:
    seconds of further runs over which an effect is measured."""

    site: Site
    rules: tuple[str, ...] = ()
    flow: str | None = None
    absent: Site | None = None
    now: float = NOW
    window: float = WINDOW
    fresh: float = 4 * WEEKS


Kind = Callable[[Rng], Plan]
