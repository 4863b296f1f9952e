"""Which runs show a container's OOM kills, and whether these have ended. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from concertmaster.core.analysis.runs.usage import RunUsage
from concertmaster.core.analysis.steps.releases import Release, counted
from concertmaster.core.analysis.usage import ContainerUsage
from concertmaster.core.known import known
from concertmaster.core.model.policy import AnalysisSettings
from concertmaster.core.sizing.rebased_peaks import changes
from concertmaster.core.stats.exact import is_over
from concertmaster.core.units import DAY, WEEK

# Kills have ended if chance leaves out so many runs since the last one less often than this; where the limit is above those
# at which runs were killed, a larger chance is enough.
SIGNIFICANCE, SIGNIFICANCE_RAISED, LOWER = 0.01, 0.1, 0.99
# The same for days, unless what runs was changed right after the last one: in one of so many runs, where a release lies in
# as many less often than ``_OFTEN``.
_SIGNIFICANCE_DAYS, _SOON, _OFTEN = 0.05, 3, 0.2
_TOLERANCE = 1e-3  # relative difference of limits that are equal


def alike_runs(
    container: ContainerUsage, release: Release | None, options: AnalysisSettings
) -> tuple[Sequence[RunUsage], str]:
    """The runs that show how often it is killed, and which they are, as text: those since a leaner ``release``, and of
    them those with the present limit, if they are enough and some were killed."""
    since = counted(container, release)
    present = runs_as_limited(since)
    if len(since.runs) > len(present) >= options.min_runs and any(r.oom_killed for r in present):
        return present, " with the present limit"
    return since.runs, f" since {release.what}" if release is not None and release.less else ""


def has_ended(container: ContainerUsage, alike: Sequence[RunUsage]) -> bool:
    """Whether the kills of the runs that were counted have ended. A limit above all of those at which runs were killed would
    explain it, and without a limit they have, unless runs without one were killed too."""
    died, limit = max(known(r.memory_floor for r in alike), default=math.inf), present_limit(container)
    if limit == math.inf and 0.0 < died < math.inf:
        return not any(r.oom_killed for r in runs_as_limited(container))
    killed = [r.oom_killed for r in alike]
    if died < LOWER * limit and is_over(killed, SIGNIFICANCE_RAISED):
        return True
    # Kills that began within the window: how often they were until then says nothing about how often they were since.
    first, last = killed.index(True), len(killed) - killed[::-1].index(True)
    if not is_over(killed, SIGNIFICANCE) and not is_over(killed[first + 1 :], SIGNIFICANCE):
        return False
    week = alike[-1].time - alike[last - 1].time >= WEEK  # no weekday has them
    return week or _changed(alike, last) or is_over(_by_day(alike), _SIGNIFICANCE_DAYS)


def is_raised(container: ContainerUsage, killed_at: float) -> bool:
    """Whether request and limit are above those at which runs were killed (at most ``killed_at`` bytes), and no run with
    the present limit was."""
    request, limit = container.memory_request, present_limit(container)
    return (
        request is not None
        and min(request, limit) * LOWER > killed_at
        and not any(r.oom_killed for r in runs_as_limited(container))
    )


def runs_as_limited(container: ContainerUsage) -> list[RunUsage]:
    """The runs with the present memory limit, or without one as today."""
    now = present_limit(container)
    return [r for r in container.runs if math.isclose(r.memory_limit or math.inf, now, rel_tol=_TOLERANCE)]


def present_limit(container: ContainerUsage) -> float:
    """The present limit: the declared one, else that of the newest run, which the namespace sets; infinite without one."""
    return (
        container.memory_limit if container.memory_limit is not None else container.runs[-1].memory_limit
    ) or math.inf


def _changed(runs: Sequence[RunUsage], at: int) -> bool:
    """Whether another image or template runs since one of the first runs from position ``at`` on, and these do not change
    so often that one always does."""
    starts = {*changes([r.image for r in runs]), *changes([r.template for r in runs])}
    rare = len(starts) == 1 or _SOON * len(starts) <= _OFTEN * len(runs)
    return rare and not starts.isdisjoint(range(at, at + _SOON))


def _by_day(runs: Sequence[RunUsage]) -> list[bool]:
    """Whether any run was killed, by day, after the first day with a kill: large runs may belong to one weekday."""
    days: dict[float, bool] = {}
    for run in runs:
        days[run.time // DAY] = days.get(run.time // DAY, False) or run.oom_killed
    killed = list(days.values())
    return killed[killed.index(True) + 1 :]
