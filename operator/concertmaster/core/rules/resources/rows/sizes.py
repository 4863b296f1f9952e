"""Shared by the sizing rules: conversion of a container's usage to the inputs of the sizing methods, guards, and when a
proposed size stays."""

from __future__ import annotations

from collections.abc import Iterator

from concertmaster.core import text
from concertmaster.core.analysis.drivers import days_last_until, memory_by_input, memory_lasts_until
from concertmaster.core.analysis.steps.releases import FollowedLimit, Release
from concertmaster.core.analysis.usage import ContainerUsage
from concertmaster.core.model.policy import AnalysisSettings
from concertmaster.core.rules.earlier_peaks import earlier_days
from concertmaster.core.rules.evidence import Evidence
from concertmaster.core.rules.resources.rows.size_bounds import SizeBounds
from concertmaster.core.rules.resources.rows.sizing_units import SizingUnit
from concertmaster.core.sizing import MIN_DAYS, largest_ahead
from concertmaster.core.times import day
from concertmaster.core.units import DAY

UNMEASURED = 0.5  # confidence in a size that rests on a limit alone, or on peaks whose level is changing


def bursts_slowed(container: ContainerUsage, request: float) -> float:
    """How much longer (share) it takes at the most where a full node leaves it its ``request`` (cores): all that a run used
    may have been used at the highest rate, mean over the runs."""
    used = [
        (r.mean_cores, r.peak_cores) for r in container.runs if r.mean_cores is not None and r.peak_cores is not None
    ]
    return sum(mean * (1.0 / request - 1.0 / peak) for mean, peak in used if peak > request) / max(1, len(used))


def memory_outlook(
    evidence: Evidence, unit: SizingUnit, request: float, changed: Release | FollowedLimit | None
) -> Iterator[str]:
    """What a memory request (bytes) means for future inputs: requests by input size where memory depends on it, and how long
    the proposed one lasts where peaks grow: from run to run or, where the window has more than are analysed, from day to
    day. ``changed``: since when they are at their level, if they changed."""
    step, container = unit.step.step, unit.container
    measure = evidence.analysis.policy.input_unit(step)
    if levels := memory_by_input(container, evidence.analysis.options):
        (size, memory), *more = [(text.input_size(size, measure), text.memory_quantity(m)) for size, m in levels]
        others = "".join(f", {m} up to {size}" for size, m in more)
        known = len(container.known("input_size"))
        yield (
            f"memory of {evidence.title(step)} follows its {text.input_name(measure)} ({text.count(known, 'run')}):"
            f" {memory} up to {size}{'' if measure == text.BYTES_READ else ' of input'}{others}"
        )
    by_day, of_runs = (
        memory_by_day(evidence, unit, changed),
        memory_lasts_until(container, request, evidence.analysis.options),
    )
    # The newest of many runs may be of the rising half of a day.
    until, each = (days_last_until(by_day, request), "day") if by_day else (of_runs, "run")
    if until is not None:
        yield (
            f"peaks of {evidence.title(step)} grow from {each} to {each}: at this rate {text.memory_quantity(request)}"
            f" lasts until about {day(until)}"
        )
    elif of_runs is not None and len(by_day) >= MIN_DAYS and largest_ahead(by_day) is None:
        yield (
            f"peaks of {evidence.title(step)} rise within the newest {text.count(len(container.runs), 'run')}, but not from"
            " day to day: later days will show whether growth has begun"
        )


def memory_by_day(evidence: Evidence, unit: SizingUnit, changed: Release | FollowedLimit | None) -> dict[int, float]:
    """The largest memory peak (bytes) of each day, of those after the day on which their level ``changed``; empty unless the
    window has more runs than are analysed. Without the day in progress, unless that has needed most already: it may still
    need more."""
    since = changed.time + DAY if changed is not None else 0.0
    by_day = earlier_days(evidence, unit.steps, f"memory/{unit.container.name}", since)
    today = int(evidence.analysis.now // DAY)
    so_far = by_day.pop(today, None)
    return by_day | {today: so_far} if so_far is not None and so_far >= max(by_day.values(), default=0.0) else by_day


def size_guard(container: ContainerUsage, options: AnalysisSettings) -> str | None:
    """Why no size may be proposed for this container; None when it may."""
    if not container.runs:
        return "no execution was observed"
    if container.ambiguous > container.executions / 2:
        return f"{container.ambiguous} of {container.executions} executions cannot be distinguished from other pods"
    if container.coverage is not None and not container.covered(options.min_coverage, options.min_runs):
        seen = container.executions - container.ambiguous - container.unsampled
        return (
            f"only {seen} of {container.executions} executions have memory samples "
            f"({text.percent(container.coverage)}, at least {text.percent(options.min_coverage)} needed)"
        )
    return None


def unseen(container: ContainerUsage, peak: float, headroom: float) -> float:
    """Headroom (share) for use between two samples, at most up to the kernel's high-water mark."""
    most = max(container.known("memory_most"), default=None)
    return headroom if most is None else min(headroom, max(0.0, most / peak - 1))


def kept_size(
    evidence: Evidence,
    unit: SizingUnit,
    resource: str,
    new: float,
    least: float,
    bounds: SizeBounds,
    *,
    enough: float,
    waits: bool,
) -> float:
    """The last proposed size if it is still ``enough`` and within ``least`` of the new one; otherwise the new one.
    ``waits``: for a larger maximum, so that it need not be within the present one."""
    before = evidence.sizing.proposed.get((unit.step.step, unit.container.name, resource))
    if before is None or before < enough or (not waits and bounds.inside(before)[0] != before):
        return new
    if bounds.limit is not None and new <= bounds.limit < before:
        return new
    return before if abs(new / before - 1) < least else new
