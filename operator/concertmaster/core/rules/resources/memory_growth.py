"""A memory limit that growing peaks will reach: it is raised before runs are OOM-killed."""

from __future__ import annotations

from concertmaster.core import text
from concertmaster.core.analysis.drivers import days_last_until, memory_size
from concertmaster.core.analysis.steps.releases import followed_limit, memory_release
from concertmaster.core.analysis.usage import ContainerUsage
from concertmaster.core.changepoint import outlook
from concertmaster.core.known import known
from concertmaster.core.model import Finding, Interval, Level, SizeItem
from concertmaster.core.rules.base import container_id, container_title, resource_edits
from concertmaster.core.rules.evidence import Evidence
from concertmaster.core.rules.intervals import share_of_month
from concertmaster.core.rules.resources.rows.memory_row import ends_at_limit
from concertmaster.core.rules.resources.rows.row_parts import since_release
from concertmaster.core.rules.resources.rows.size_bounds import one_memory_size
from concertmaster.core.rules.resources.rows.sizes import memory_by_day, memory_outlook, size_guard
from concertmaster.core.rules.resources.rows.sizing_units import SizingUnit
from concertmaster.core.rules.set_elsewhere import change_there, set_elsewhere
from concertmaster.core.rules.upper_bound import HALF
from concertmaster.core.sizing import MIN_DAYS, at_most, plain_memory
from concertmaster.core.sizing.oom_kills import RAISES
from concertmaster.core.times import day
from concertmaster.core.units import DAY, MIB

_MAX_AHEAD = 14 * DAY  # seconds until the limit is reached: later, what grows may have ended
_MIN_SPAN = 2 * DAY  # seconds of runs that tell growth from the rising half of a day
_PERCENTILE = 0.95  # of the peaks that reaches the limit: few runs are killed before that
_CONFIDENCE = 0.6  # as of an objective at risk: that growth goes on


def limit_reached(evidence: Evidence, unit: SizingUnit) -> Interval | None:
    """When (unix seconds) growing peaks reach the memory limit, if that is soon; None where they do not grow so, or end at
    the limit by themselves."""
    options, now = evidence.analysis.options, evidence.analysis.now
    release = memory_release(unit.container, options.min_runs)
    container = since_release(unit, release).container
    limit, size = container.memory_limit, memory_size(container, options)
    if limit is None or size is None or not size.drifting or size_guard(container, options) is not None:
        return None
    by_day = memory_by_day(evidence, unit, release)
    if len(by_day) >= MIN_DAYS and days_last_until(by_day, limit) is None:
        return None
    runs = container.where_known("memory_peak")
    times, peaks = runs["time"], runs["memory_peak"]
    if times[-1] - times[0] < _MIN_SPAN or ends_at_limit(container, followed_limit(container)):
        return None
    at = outlook(times, peaks, limit, percentile=_PERCENTILE, now=now).at
    return at if at is not None and at.likely <= now + _MAX_AHEAD else None


def growing(evidence: Evidence, unit: SizingUnit) -> Finding | None:
    """The recommendation to raise the limit of a container before its peaks reach it."""
    container, step, limit = unit.container, unit.step, unit.container.memory_limit
    at = limit_reached(evidence, unit)
    if at is None or limit is None:
        return None
    new, request = _raised(evidence, limit), container.memory_request
    first = evidence.above_capacity("memory", new, new) or evidence.above_bounds("memory", new)
    both = request is None or request >= limit or one_memory_size(evidence, container)
    sections = ("requests", "limits") if both else ("limits",)
    old, proposed = text.memory_quantity(limit), text.memory_quantity(new)
    peaks, analysis = container.known("memory_peak"), evidence.analysis
    peak, date, late = max(peaks), day(max(at.likely, analysis.now)), text.duration(max(DAY, at.high - analysis.now))
    when = (
        f"between {text.duration(at.low - analysis.now)} and {late} from now"
        if at.low > analysis.now
        else f"within {late}"
    )
    lost = share_of_month(at, analysis.now, analysis.cost.runs_per_month)
    edits = () if first else resource_edits(step, container, {(section, "memory"): proposed for section in sections})
    return Finding(
        step=step.step,
        about=container_id(step, container),
        action=(
            f"Raise memory limit of {container_title(evidence, step, container)}: {old} -> {proposed};"
            f" growing peaks reach it on {date}"
        ),
        because=(
            f"peaks grow {evidence.runs(len(peaks))}, the largest is {text.memory(peak)} of {old}"
            f" ({text.percent(peak / limit)}); at this rate they reach it {when}"
        ),
        otherwise=f"runs are OOM-killed from about {date} on",
        risk=Level.LOW,
        current=old,
        proposed=proposed,
        expected=(
            f"no run is OOM-killed up to {proposed}; what makes memory grow decides how long that is enough"
            + (f"; {first}" if first is not None else "")
            + change_there(evidence, step, container, "memory", *sections)
        ),
        confidence=_CONFIDENCE,
        failures_avoided=Interval(0.0, HALF * lost.likely, lost.high),
        items=tuple(_item(step.step, container, section, new, peak) for section in sections),
        edits=edits,
        upper_bound=True,
        urgent=True,
        evidence=(
            "robust slope of the logarithms since the last change; its whole 95% interval rises",
            "half of the runs of the next 30 days after the limit is reached count as failed runs: growth may end",
            *memory_outlook(evidence, unit, new, memory_release(container, analysis.options.min_runs)),
            *set_elsewhere(evidence, step, container, "memory"),
        ),
    )


def _raised(evidence: Evidence, limit: float) -> float:
    """As much as after a kill (bytes), or the most that is allowed where that is more than the present ``limit``."""
    size, capacity = plain_memory(RAISES[0] * limit) or RAISES[0] * limit, evidence.capacity
    allowed = evidence.analysis.policy.apply.bounds.memory.max, capacity.request("memory", size).most
    most = min(known((*allowed, capacity.limit("memory").most, capacity.memory_beside_services().most)))
    return at_most(size, most, MIB) if most > limit else size


def _item(step: str, container: ContainerUsage, section: str, new: float, peak: float) -> SizeItem:
    old = container.memory_request if section == "requests" else container.memory_limit
    return SizeItem(
        step,
        container.name,
        f"{section}.memory",
        text.memory_quantity(old) if old is not None else None,
        text.memory_quantity(new),
        text.memory(peak),
        text.percent(new / peak - 1),
    )
