"""What runs needed that are no longer analysed: of frequent workflows the newest ``maxRuns`` runs are of some hours.

A large run each night is rarer than the bound on failures where runs start every five minutes. It would fail every night
all the same, so nothing that stops a run is set below what the largest run of any day in the window needed, as it is where
all runs of the window are analysed. Nor is it below what an exceptional run before the window needed: that of a month end
is one of 31 of a daily job, and in the window for two weeks of the month.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from concertmaster.core import text
from concertmaster.core.model.daily import EXCEPTIONAL, KILLED_AT, RELEASED
from concertmaster.core.rules.evidence import Evidence
from concertmaster.core.times import day as date
from concertmaster.core.units import DAY

_NONE: Mapping[int, float] = {}


@dataclass(frozen=True, slots=True)
class EarlierPeak:
    """``amount``: the largest of all days; ``again``: what two days or more reached, 0 if only one is known; ``recent``: the
    largest of the runs analysed, exceeded on ``days`` of ``known`` ones of the window. ``before``: the day (since 1970) of
    that amount where it is before the window; ``killed``: and a run was killed then, so that more may be needed.
    ``released``: the day of a release since then to whose level it is adjusted."""

    amount: float
    again: float
    recent: float
    days: int
    known: int
    before: int | None = None
    killed: bool = False
    released: int | None = None

    @property
    def when(self) -> str:
        """``in the largest run of 13 of 14 days``, or of one day."""
        of = f"{self.days} of {text.count(self.known, 'day')}" if self.before is None else date(self.before * DAY)
        adjusted = f", adjusted to the release of {date(self.released * DAY)}" if self.released is not None else ""
        return f"in the largest run of {of}{adjusted}"


def earlier_peak(
    evidence: Evidence,
    steps: Iterable[str],
    name: str,
    recent: float,
    since: float = 0.0,
    release: Mapping[int, float] = _NONE,
) -> EarlierPeak | None:
    """The largest amount called ``name`` (see ``DailyPeaks``) of the days in the window, where some of its runs are not
    analysed, and of exceptional days before it, or later ``since`` (unix seconds); None where no day has more than the
    ``recent`` runs. ``release``: the day of one that the runs show, with its factor on earlier amounts."""
    steps, every_day = tuple(steps), evidence.peaks.every_day
    begin = _window(evidence) + (not every_day)  # of the day on which the window begins, runs are gone
    factors = {**_releases(evidence, steps, name), **release}
    by_day = {
        day: amount
        for day, amount in _adjusted(evidence.peaks.of(steps, name, int(since // DAY)), factors).items()
        if (every_day if day >= begin else amount > EXCEPTIONAL * recent)
    }
    most = sorted(by_day.values(), reverse=True)
    if not most or most[0] <= recent:
        return None
    again = most[1] if len(most) > 1 else 0.0
    inside = [amount for day, amount in by_day.items() if day >= begin]
    found = EarlierPeak(most[0], again, recent, sum(amount > recent for amount in inside), len(inside))
    day = max(day for day, amount in by_day.items() if amount == most[0])
    if day >= begin:
        return found
    released = max((at for at in factors if at >= day), default=None)
    kind, _, own = name.partition("/")
    killed = kind == "memory" and day in evidence.peaks.of(steps, f"{KILLED_AT}/{own}")
    return replace(found, before=day, killed=killed, released=released)


def earlier_days(evidence: Evidence, steps: Iterable[str], name: str, since: float = 0.0) -> dict[int, float]:
    """The largest amount called ``name`` of each day (since 1970) in the window, or later ``since`` (unix seconds), oldest
    first; empty where all runs of the window are analysed, or those analysed began on the first of them and show more."""
    first, steps = evidence.analysis.first_run, tuple(steps)
    if first is None or not evidence.peaks.every_day:
        return {}
    found = evidence.peaks.of(steps, name, max(_window(evidence), int(since // DAY)))
    by_day = dict(sorted(_adjusted(found, _releases(evidence, steps, name)).items()))
    return by_day if by_day and min(by_day) < int(first // DAY) else {}


def _window(evidence: Evidence) -> int:
    """The day on which the window begins."""
    return int((evidence.analysis.now - evidence.analysis.options.window_seconds) // DAY)


def _releases(evidence: Evidence, steps: Iterable[str], name: str) -> dict[int, float]:
    """The days of recorded releases, with their factors on earlier amounts."""
    recorded = (evidence.peaks.amounts.get((step, f"{RELEASED}/{name}"), {}) for step in steps)
    return {day: factor for by_day in recorded for day, factor in by_day.items()}


def _adjusted(by_day: Mapping[int, float], factors: Mapping[int, float]) -> dict[int, float]:
    """The amounts at the level since the last release, those of its day and before as far as they are evidence."""
    levels = {day: math.prod(factor for at, factor in factors.items() if at >= day) for day in by_day}
    return {day: amount * levels[day] for day, amount in by_day.items() if levels[day]}


def known_for_a_day(evidence: Evidence) -> bool:
    """Whether what is known of the runs is of a day at least: large ones may belong to one hour of it."""
    analysis, days = evidence.analysis, {day for by_day in evidence.peaks.amounts.values() for day in by_day}
    if days and min(days) < int(analysis.now // DAY) - 1:
        return True  # of yesterday as a whole, and of the day before
    return analysis.first_run is not None and analysis.now - analysis.first_run >= DAY
