"""What change detection reports: change points, ramps and trends as plain values, with the reason when there are none."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from concertmaster.core.model import Interval


class Direction(StrEnum):
    """Which way a quantity moved. For durations and peaks UP is a degradation."""

    UP = "Up"
    DOWN = "Down"


@dataclass(frozen=True, slots=True)
class ChangePoint:
    """The level of a series changed for good.

    ``index`` is the position of the first changed value in the series as given, ``time`` its time (NaN without times).
    ``ratio`` is the level after over the level before (1.2: 20% more), with its 95% interval ``low``..``high``; all
    three are NaN when the series holds negative values, where a ratio says nothing. ``confidence`` (0 to 1) is one
    minus the probability that a series without any change gives so clear a split.
    """

    index: int
    time: float
    ratio: float
    low: float
    high: float
    direction: Direction
    confidence: float


@dataclass(frozen=True, slots=True)
class Ramp:
    """A change that came gradually: the level moved from ``start`` to ``end`` (indices as in ChangePoint).

    ``points`` are the positions, among the change points, of those that the ramp explains; ``ratio`` is the level at
    the end over the level at the start (NaN where ratios say nothing).
    """

    start: int
    end: int
    ratio: float
    points: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Detection:
    """Change points in the order of time, and the robust trend since the last one.

    ``trend_per_week`` is a share of the level (0.1: 10% more each week) with its 95% interval, or None without times
    or with too few values. ``enough`` tells whether a change could have been found at all; ``reason`` says why not.
    ``adjusted``: the part that input sizes explain was taken out first. ``drifting``: the values hang together so much
    that the points mark changes of course, not of level.
    """

    points: tuple[ChangePoint, ...]
    trend_per_week: Interval | None
    enough: bool
    reason: str | None = None
    ramps: tuple[Ramp, ...] = ()
    adjusted: bool = False
    drifting: bool = False
