"""OOM kills of runs that are no longer analysed: of frequent workflows the newest ``maxRuns`` runs are of some hours.

What is killed once a night would otherwise be seen for those hours of each day, and forgotten in the others. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from concertmaster.core.analysis.steps.kills import (
    LOWER,
    SIGNIFICANCE,
    SIGNIFICANCE_RAISED,
    alike_runs,
    has_ended,
    present_limit,
    runs_as_limited,
)
from concertmaster.core.analysis.steps.releases import memory_release
from concertmaster.core.analysis.usage import ContainerUsage
from concertmaster.core.model.daily import KILLED, KILLED_AT, KILLED_FOR_GOOD, KILLS_OVER, DailyPeaks
from concertmaster.core.model.policy import AnalysisSettings
from concertmaster.core.stats.exact import is_over
from concertmaster.core.units import DAY, WEEK


@dataclass(frozen=True, slots=True)
class EarlierKills:
    """``runs`` with a kill that are not among those analysed, of which ``lost`` failed, on ``days`` of ``known`` ones; at
    limits of at most ``killed_at`` (bytes, 0: unknown). ``of``: about how many runs these days had, if as many as now."""

    runs: int = 0
    lost: int = 0
    days: int = 0
    known: int = 0
    killed_at: float = 0.0
    of: float = 0.0


NO_KILLS = EarlierKills()


@dataclass(frozen=True, slots=True)
class _Days:
    """By day (since 1970): of ``killed`` days, the runs with a kill that are not among those analysed; and the days of which
    amounts are ``known``, those included."""

    killed: Mapping[int, int]
    known: Set[int]


def earlier_kills(
    container: ContainerUsage, steps: Sequence[str], peaks: DailyPeaks, *, since: float, first: float, now: float
) -> EarlierKills:
    """Kills of the days from ``since`` on that have not ended, of a container that these ``steps`` run. Runs that ended from
    ``first`` on are analysed (unix seconds). Where kills at the present limit are known, only these count."""
    own = container.name
    oldest = max([int(since // DAY), *(day + 1 for day in peaks.of(steps, f"{KILLS_OVER}/{own}"))])
    count, lost, at = (peaks.of(steps, f"{name}/{own}", oldest) for name in (KILLED, KILLED_FOR_GOOD, KILLED_AT))
    if not count or not container.runs or first >= now:
        return NO_KILLS
    limit, seen = present_limit(container), [int(run.time // DAY) for run in container.runs if run.oom_killed]
    found = _not_analysed(count, peaks.of(steps, f"memory/{own}", oldest).keys(), seen, last=int(first // DAY))
    lower = {day for day in found.killed if at.get(day, math.inf) < LOWER * limit}
    raised = len(lower) == len(found.killed) and not any(run.oom_killed for run in runs_as_limited(container))
    if not raised:
        found = _without(found, lower)
    killed_at = max((at.get(day, 0.0) for day in found.killed), default=0.0)
    if not found.killed or (limit == math.inf and killed_at > 0.0):
        return NO_KILLS  # or it has no limit any more
    runs = sum(found.killed.values())
    died = found.killed.keys() | seen
    ran = found.known | {int(run.time // DAY) for run in container.runs}
    # Today has no kill so far, which does not make it a day without one.
    days = [day in died for day in sorted(ran) if day < now // DAY or day in died]
    if _ended(days, runs + len(seen), raised=raised):
        return NO_KILLS
    seconds = sum(max(0.0, min((day + 1) * DAY, first) - max(day * DAY, since)) for day in found.known)
    failed = sum(min(n, round(lost.get(day, 0.0))) for day, n in found.killed.items())
    of = max(float(runs), seconds / (now - first) * len(container.runs))
    return EarlierKills(runs, failed, len(found.killed), len(found.known), killed_at, of)


def _not_analysed(count: Mapping[int, float], measured: Set[int], seen: Sequence[int], *, last: int) -> _Days:
    """Of the runs with a kill that each day counts, those that are not ``seen`` among the runs analysed (their days, one for
    each), up to the day ``last``, from which on all are analysed."""
    more = {day: round(n) - seen.count(day) for day, n in count.items() if day <= last}
    killed = {day: n for day, n in more.items() if n > 0}
    return _Days(killed, {day for day in measured if day <= last} | killed.keys())


def _without(found: _Days, lower: Set[int]) -> _Days:
    """The days but those with kills at ``lower`` limits only; if there were some, from the first kill at the present one on:
    how long that one has been in place is not known."""
    killed = {day: n for day, n in found.killed.items() if day not in lower}
    if not lower or not killed:
        return _Days(killed, found.known)
    return _Days(killed, {day for day in found.known if day >= min(killed)})


def _ended(days: Sequence[bool], kills: int, *, raised: bool) -> bool:
    """Whether the newest ``days`` are without a kill, which chance explains too rarely: among all of them, or those since
    the first kill; or so many ``kills`` anywhere in them, if a week ago, or if the limit was ``raised``."""
    quiet = [*reversed(days), True].index(True)
    of_runs = ((len(days) - quiet) / len(days)) ** kills
    level = SIGNIFICANCE_RAISED if raised else SIGNIFICANCE
    if of_runs < level and (raised or quiet * DAY >= WEEK):
        return True
    return is_over(days, level) or is_over(days[days.index(True) + 1 :], level)


def superseded(container: ContainerUsage, options: AnalysisSettings) -> bool:
    """Whether its runs had kills that say nothing any more: a change since then ended them. Their day keeps that, as the
    change is not seen in runs for longer than the kills. That the oldest known runs are those killed shows no end."""
    if True not in container.columns["oom_killed"]:
        return False
    alike, _ = alike_runs(container, memory_release(container, options.min_runs), options)
    return not any(run.oom_killed for run in alike) or (not alike[0].oom_killed and has_ended(container, alike))
