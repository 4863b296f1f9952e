"""What runs needed that are no longer analysed: of frequent workflows the newest ``maxRuns`` runs are of some hours.

A large run each night is rarer than the bound on failures where runs start every five minutes. It would fail every night
all the same, so nothing that stops a run is set below what the largest run of any day in the window needed, as it is where
all runs of the window are analysed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from concertmaster.core import text
from concertmaster.core.rules.evidence import Evidence
from concertmaster.core.units import DAY


@dataclass(frozen=True, slots=True)
class EarlierPeak:
    """``amount``: the largest of all days; ``again``: what two days or more reached, 0 if only one is known; ``recent``: the
    largest of the runs analysed, exceeded on ``days`` of ``known`` ones."""

    amount: float
    again: float
    recent: float
    days: int
    known: int

    @property
    def when(self) -> str:
        """``in the largest run of 13 of 14 days``."""
        return f"in the largest run of {self.days} of {text.count(self.known, 'day')}"


def earlier_peak(
    evidence: Evidence, steps: Iterable[str], name: str, recent: float, since: float = 0.0
) -> EarlierPeak | None:
    """The largest amount called ``name`` (see ``DailyPeaks``) of the days in the window, or later ``since`` (unix seconds);
    None where no day has more than the ``recent`` runs."""
    most = sorted(_by_day(evidence, steps, name, since).values(), reverse=True)
    if not most or most[0] <= recent:
        return None
    again = most[1] if len(most) > 1 else 0.0
    return EarlierPeak(most[0], again, recent, sum(amount > recent for amount in most), len(most))


def earlier_days(evidence: Evidence, steps: Iterable[str], name: str, since: float = 0.0) -> dict[int, float]:
    """The largest amount called ``name`` of each day (since 1970) in the window, or later ``since`` (unix seconds), oldest
    first; empty where the runs that are analysed began on the first of them, and so show more."""
    by_day, first = _by_day(evidence, steps, name, since), evidence.analysis.first_run
    return dict(sorted(by_day.items())) if by_day and first is not None and min(by_day) < int(first // DAY) else {}


def _by_day(evidence: Evidence, steps: Iterable[str], name: str, since: float) -> dict[int, float]:
    analysis = evidence.analysis
    begin = max(analysis.now - analysis.options.window_seconds, since)
    return evidence.peaks.of(steps, name, int(begin // DAY))


def known_for_a_day(evidence: Evidence) -> bool:
    """Whether what is known of the runs is of a day at least: large ones may belong to one hour of it."""
    analysis, days = evidence.analysis, {day for by_day in evidence.peaks.amounts.values() for day in by_day}
    if days and min(days) < int(analysis.now // DAY) - 1:
        return True  # of yesterday as a whole, and of the day before
    return analysis.first_run is not None and analysis.now - analysis.first_run >= DAY
