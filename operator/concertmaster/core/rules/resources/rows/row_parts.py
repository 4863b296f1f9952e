"""What rows of memory and of CPU have in common: the runs they rest on, whether they differ enough, and their edits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from concertmaster.core import text
from concertmaster.core.analysis.steps.releases import FollowedLimit, Release, level_since
from concertmaster.core.model import Edit
from concertmaster.core.rules.base import resource_edits
from concertmaster.core.rules.earlier_peaks import EarlierPeak, earlier_peak
from concertmaster.core.rules.evidence import Evidence
from concertmaster.core.rules.resources.rows.size_bounds import is_guaranteed, limit_of
from concertmaster.core.rules.resources.rows.sizing_units import SizingUnit
from concertmaster.core.sizing import MILLI
from concertmaster.core.units import DAY

# Times the largest peak, for a size proposed when the peak was lower; and for one with which a limit moves. Less than new
# sizes get, so that a slightly larger peak does not move them.
MIN_HEADROOM, _MIN_LIMITED = 1.05, 1.15
# A request is clearly too large when its peak use stays below this share of the target utilization. Between that and the
# target lies normal variation and growth: such a row is included with others, but is no reason for a change by itself.
FAR_BELOW = 0.6
# With this many runs a request is lowered in one step, with this room above the largest: mean CPU use hides its bursts.
SURE_RUNS, _SURE_ROOM = 20, {"memory": 1.1, "cpu": 1.3}


@dataclass(frozen=True, slots=True)
class Least:
    """The least that the settings of ``right-size`` ask for. ``change``: of a request, as a share of it. ``headroom``: of a
    size, times the largest peak, by resource."""

    change: float
    headroom: Mapping[str, float]

    def kept(self, resource: str, *, limited: bool) -> float:
        """The least headroom of a size that is published already. ``limited``: its limit moves with it."""
        return _MIN_LIMITED if limited else min(MIN_HEADROOM, self.headroom[resource])


def earlier_of(
    evidence: Evidence,
    unit: SizingUnit,
    resource: str,
    recent: float,
    release: Release | None,
    followed: FollowedLimit | None = None,
) -> EarlierPeak | None:
    """The peak of the runs that are not analysed, if it is larger, at the level since a release; of those under the present
    limit where peaks ``followed`` it."""
    name = f"{resource}/{unit.container.name}"
    released = {int(release.time // DAY): level_since(release, resource)} if release is not None else {}
    since = followed.time + DAY if followed is not None else 0.0
    return earlier_peak(evidence, unit.steps, name, recent, since, released)


def since_release(unit: SizingUnit, release: Release | None) -> SizingUnit:
    """The unit with the runs since the release only."""
    return unit if release is None else replace(unit, container=release.since)


def differs(current: float, new: float, least: float, *, used: float, enough: float) -> bool:
    """Whether a request is off by at least the share ``least``: above ``used`` (the request at the target utilization), or
    below ``enough``."""
    if abs(new - current) < least * current:  # a request may be 0
        return False
    return current > used if new < current else enough > current


def justifies(current: float | None, enough: float, most: float) -> bool:
    """Whether a row justifies a change by itself: no request, one below ``enough``, or one above ``most``."""
    return current is None or current < enough or current > most


def row_edits(
    unit: SizingUnit, resource: str, new: float, current: float | None, peak: float, lowered: float | None
) -> tuple[Edit, ...]:
    """Sets the request, and the limit where the pod would otherwise be rejected or lose its QoS class. ``lowered``: the
    limit that a LimitRange demands with the request."""
    container, written = unit.container, text.cpu_quantity if resource == "cpu" else text.memory_quantity
    limit = limit_of(container, resource)
    values = {("requests", resource): written(new)}
    if limit is not None and (limit < new - MILLI / 2 or is_guaranteed(container)):
        values["limits", resource] = written(new)
    elif lowered is not None:
        values["limits", resource] = written(lowered)
    edits = resource_edits(unit.step, container, values)
    sure = (
        current is not None
        and new < current
        and len(container.runs) >= SURE_RUNS
        and new >= _SURE_ROOM[resource] * peak
    )
    return tuple(replace(e, sure=True) for e in edits) if sure else edits
