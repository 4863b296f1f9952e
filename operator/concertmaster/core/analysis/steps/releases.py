"""The newest release of a container with a clear change of what it uses: the runs since then show what it needs.

A release is what people change and runs show: another image, or another template with the same requests and limits. A
template in which these changed says nothing, since many programs size their heap and their threads by them, and less CPU is
used where less is reserved on full nodes: each lowered request would be a reason to lower it further.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from concertmaster.core import text
from concertmaster.core.analysis.runs.usage import RunUsage
from concertmaster.core.analysis.usage import ContainerUsage, UsageColumns
from concertmaster.core.model.amounts import same_amount
from concertmaster.core.sizing.rebased_peaks import RebasedFigures, changes, moved
from concertmaster.core.times import day

_DIGITS = 12
_FOLLOWS = 0.5  # logarithm of the levels of peaks over that of the limits, from which peaks follow the limit
_SIZES = ("cpu_request", "cpu_limit", "memory_request", "memory_limit")


@dataclass(frozen=True, slots=True)
class Release:
    """``since``: the container with the runs since then only; ``before``: how many with a known figure ran before.
    ``moved``: the figures of all of them, as they would have been since. ``image``: what ran since; None: another template
    did. ``time``: end of the first run since (unix seconds)."""

    since: ContainerUsage
    before: int
    moved: RebasedFigures
    image: str | None
    time: float

    @property
    def less(self) -> bool:
        """Whether less is used since."""
        return self.moved.factor < 1.0

    @property
    def what(self) -> str:
        """``image work:2 (2026-11-03)``."""
        names = [_short(text.plain(name)) for name in (self.image or "").split()]
        images = f"image{'s' * (len(names) > 1)} {text.listing(names)}" if names else "a template change"
        return f"{images} ({day(self.time)})"

    @property
    def described(self) -> str:
        """``the 14 runs since image work:2 (2026-11-03)``."""
        return f"the {text.count(len(self.since.runs), 'run')} since {self.what}"


@dataclass(frozen=True, slots=True)
class FollowedLimit:
    """A change of the memory limit (bytes, ``old`` to ``new``) that the peaks followed, as those of a JVM do whose heap is a
    share of it. ``before`` and ``since``: the container with the runs before it and under the ``new`` limit, of which the
    first ended at ``time`` (unix seconds)."""

    old: float
    new: float
    before: ContainerUsage
    since: ContainerUsage
    time: float


def memory_peaks(runs: UsageColumns) -> Sequence[float]:
    """Peaks (bytes), of OOM-killed runs at least the limit they were killed at."""
    peaks, killed = runs["memory_peak"], runs["oom_killed"]
    if True not in killed:
        return peaks
    return [max(p, f or 0.0) if k else p for p, f, k in zip(peaks, runs["memory_floor"], killed, strict=True)]


def input_sizes(runs: UsageColumns) -> list[float] | None:
    """Input sizes, NaN where unknown; None where all are."""
    sizes = runs["input_size"]
    if sizes.count(None) == len(sizes):
        return None
    known = [math.nan if size is None else size for size in sizes]
    return known if any(map(math.isfinite, known)) else None


def memory_release(container: ContainerUsage, least: int) -> Release | None:
    """The newest release with a clear change of memory peaks, and where less is needed at least so many runs since; None
    without one."""

    def find() -> Release | None:
        runs = container.where_known("memory_peak")
        return _release(container, runs, memory_peaks(runs), least)

    return container.remembered(("memory_release", least), find)


def followed_limit(container: ContainerUsage) -> FollowedLimit | None:
    """The newest change of the memory limit if the level of peaks changed clearly with it, in the same direction and by half
    as much or more (as logarithms); None without one.

    No reason to size by the runs since alone: less use after a lower limit would be one for an even lower limit. But what
    was used under another limit does not show either that more than the present one is needed."""

    def find() -> FollowedLimit | None:
        runs = container.where_known("memory_peak", "memory_limit")  # short pods miss the series of limits by chance
        limits = runs["memory_limit"]
        start = next((at for at in range(len(limits) - 1, 0, -1) if limits[at - 1] != limits[-1]), 0)
        old, new = (limits[start - 1], limits[start]) if start else (None, None)
        present = container.memory_limit or container.runs[-1].memory_limit
        if not old or not new or present is None or not same_amount(present, new):
            return None
        found = moved(memory_peaks(runs), [start], runs["time"], input_sizes(runs))
        if found is None or math.log(found.factor) / math.log(new / old) < _FOLLOWS:
            return None
        time = runs["time"][start]
        before, since = ([r for r in container.runs if (r.time >= time) is later] for later in (False, True))
        return FollowedLimit(
            old, new, replace(container, runs=tuple(before)), replace(container, runs=tuple(since)), time
        )

    return container.remembered("followed_limit", find)


def runs_now(container: ContainerUsage, release: Release | None) -> Sequence[RunUsage]:
    """The runs that are evidence of the memory needed now: with peaks, and limits at which they were killed, as they would
    be since the ``release`` (as of ``memory_release``)."""
    if release is None:
        return container.runs
    known = [run for run in container.runs if run.memory_peak is not None]
    found = []
    for run, old, new in zip(
        known, memory_peaks(container.where_known("memory_peak")), release.moved.values, strict=True
    ):
        floor = run.memory_floor and run.memory_floor * float(new) / old  # 0, or at most the old peak
        found.append(run._replace(memory_peak=float(new), memory_floor=floor))
    return found[release.moved.counted :]


def level_since(release: Release, resource: str) -> float:
    """The factor of the ``release`` on amounts of the ``resource`` before it; 0 where these are no evidence of large runs
    any more."""
    return 0.0 if resource == "cpu" or release.moved.counted >= release.moved.first else release.moved.factor


def counted(container: ContainerUsage, release: Release | None) -> ContainerUsage:
    """The container with the runs whose OOM kills say something about those to come: of what needs more than a leaner
    release, none does."""
    return release.since if release is not None and release.less else container


def cpu_release(container: ContainerUsage, least: int) -> Release | None:
    """The newest release with clearly less use of CPU and at least so many runs since; None without one."""
    runs = container.where_known("mean_cores")
    found = _release(container, runs, runs["mean_cores"], least)
    return found if found is not None and found.less else None


def _release(container: ContainerUsage, runs: UsageColumns, values: Sequence[float], least: int) -> Release | None:
    images = changes(runs["image"])
    starts = sorted({*images, *(at for at in changes(runs["template"]) if _same_sizes(runs, at))})
    found = moved(values, starts, runs["time"], input_sizes(runs)) if starts else None
    if found is None or (found.factor < 1.0 and len(values) - found.first < least):
        return None
    time = runs["time"][found.first]
    since = replace(container, runs=tuple([run for run in container.runs if run.time >= time]))
    return Release(since, found.first, found, runs["image"][found.first] if found.first in images else None, time)


def _short(image: str) -> str:
    """The name with the first twelve digits of a digest, as tools print it."""
    name, at, digest = image.partition("@")
    return f"{name}{at}{digest[: digest.find(':') + 1 + _DIGITS]}"


def _same_sizes(runs: UsageColumns, at: int) -> bool:
    return all(runs[name][at - 1] == runs[name][at] for name in _SIZES)
