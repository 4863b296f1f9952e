"""Results of change detection: change points, ramps and trends, with the reason when there are none."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from concertmaster.core.fast_init import fast_init
from concertmaster.core.model import Interval


class Direction(StrEnum):
    """Direction of a change. For durations and peaks UP is a degradation."""

    UP = "Up"
    DOWN = "Down"


@dataclass(frozen=True, slots=True)
class ChangePoint:
    """A persistent change of the level of a series.

    ``index``: position of the first changed value in the series as given; ``time``: its time (NaN without times).
    ``ratio``: level after divided by level before (1.2: 20% more), with its 95% interval ``low``..``high``.
    ``confidence`` (0 to 1): one minus the probability of such a split in a series without change.
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
    """A gradual change: the level moved from ``start`` to ``end`` (indices as in ChangePoint).

    ``points``: positions among the change points of those explained by the ramp; ``ratio``: level at the end divided by
    level at the start, with its 95% interval ``low``..``high``. ``since``, ``until``:
    their times (NaN without times). ``jumps``: by how many parameters a jump at each of the points is worth it nevertheless
    (``ramps.worth_of_jump``). ``confidence``: as in ChangePoint, of the whole ramp.
    """

    start: int
    end: int
    ratio: float
    low: float
    high: float
    points: tuple[int, ...]
    since: float
    until: float
    jumps: tuple[float, ...]
    confidence: float


@fast_init
@dataclass(frozen=True, slots=True)
class Detection:
    """Change points in order of time, and the robust trend since the last one.

    ``trend_per_week``: a share of the level (0.1: 10% more each week) with its 95% interval; None without times or with too
    few values. ``enough``: whether there were enough data to detect a change; ``reason``: why not. ``adjusted``: the part
    explained by input sizes was removed first. ``drifting``: values are so strongly correlated that the points mark changes
    of slope, not of level.
    """

    points: tuple[ChangePoint, ...]
    trend_per_week: Interval | None
    enough: bool
    reason: str | None = None
    ramps: tuple[Ramp, ...] = ()
    adjusted: bool = False
    drifting: bool = False
