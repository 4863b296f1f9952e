"""A regression that the runs analysed cannot show (part of ``degradation``): of frequent workflows the newest ``maxRuns``
runs are of some days and all come after it; of those that run once a day the window has too few before it, or since.

The medians of earlier days are known for longer (see ``DailyRow``). They say less than runs do: neither the hour of the
change, nor inputs, nodes or retries. So a rise counts where what steps take explains it, and, where inputs or slow nodes
might, only if the last analysis published the regression, which the runs showed then.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from concertmaster.core import text
from concertmaster.core.analysis.daily.levels import MIN_AFTER, DailyRise, as_every_month, lasting_rise
from concertmaster.core.analysis.daily.rows import daily_rows
from concertmaster.core.changepoint.scores import MIN_SEGMENT
from concertmaster.core.known import upper_median
from concertmaster.core.model import Finding
from concertmaster.core.model.daily import RUN, DailyRow
from concertmaster.core.rules.base import GRADUAL, gain_sentence
from concertmaster.core.rules.evidence import Evidence
from concertmaster.core.rules.intervals import share_of_present, true_factor
from concertmaster.core.rules.reliability.comparable_times import is_back
from concertmaster.core.rules.reliability.rise_context import median_before, weekly
from concertmaster.core.times import day as date
from concertmaster.core.times import weekend
from concertmaster.core.units import DAY, WEEK

DAYS = 28
"""Days of the window, the newest, that are compared with those before them."""
FEW_RUNS = 30
"""Runs analyzed up to which their days are compared, too: one a day for a month. More of them show a change themselves."""
_MIN_TIMED = 5  # runs of a day: the median of fewer says little of it, unless no day has more
_MIN_SINGLE = 3  # days since a rise that have one or two runs each: a few of skewed ones are often alike
_FREQUENCY = 1.5  # times as many runs a day, or as few: others may be among them, or more overlap
_MIN_EXPLAINED = 0.5  # share of the rise that steps take longer
_MIN_STEP = 0.2  # share of the rise from which a step is named
_BEGUN = 0.2  # share of the rise that the mean of a day shows when it changed on that day

_ByDay = Mapping[int, DailyRow]


@dataclass(frozen=True, slots=True)
class _Compared:
    """A ``rise`` of the median seconds of a run, ``was`` and ``now``, with the rows it is of. ``longer``: seconds by which
    each step takes longer."""

    rise: DailyRise
    runs: _ByDay
    by_step: Mapping[str, _ByDay]
    was: float
    now: float
    longer: Mapping[str, float]

    @property
    def explained(self) -> bool:
        """Whether steps that take longer are enough of the rise."""
        return sum(self.longer.values()) >= _MIN_EXPLAINED * (self.now - self.was)

    @property
    def named(self) -> list[str]:
        """The steps that are enough of the rise to be named, the largest part first."""
        enough = [step for step, more in self.longer.items() if more >= _MIN_STEP * (self.now - self.was)]
        return sorted(enough, key=lambda step: (self.longer[step], step), reverse=True)


def regression_by_day(evidence: Evidence, published: frozenset[str], least: float) -> Finding | None:
    """The runs take longer since a day before all of them, by at least the share ``least``. ``published``: the steps of the
    regressions that were (empty for that of the runs)."""
    analysis = evidence.analysis
    today = int(analysis.now // DAY)
    inputs = _sized(evidence)
    # What the runs have shown needs no more than a day, and today counts, unless its hours so far hide the rise.
    looks = [*([(today + 1, 1)] if published else []), (today, MIN_AFTER)]
    for until, days in looks if evidence.peaks.every_day else [(today + 1, _MIN_SINGLE)]:
        found = _compared(evidence, least, until, days, known=bool(published))
        known = [step for step in found.named if step in published] if found is not None else []
        if found is not None and (known or RUN in published):
            step = next(iter(known or found.named), None)
            return _finding(evidence, found, step, None if known else "", inputs=inputs)
    # None was published, or the regressions that were are of other steps.
    if found is None or inputs or analysis.slow_nodes is not None or not found.explained:
        return None
    return _finding(evidence, found, next(iter(found.named), None), None, inputs=inputs)


def _finding(evidence: Evidence, found: _Compared, step: str | None, about: str | None, *, inputs: bool) -> Finding:
    """``step``: the one that became longer most; None where none explains enough. ``about``: as of a finding. ``inputs``:
    whether those of the runs analysed are known."""
    rise, was, now = found.rise, found.was, found.now
    factor = rise.factor
    share = share_of_present(true_factor(rise.chance, factor.likely, factor.low, factor.high))
    seconds = share.scaled(now)
    name, blame = "this workflow", "no single step explains it"
    if step is not None:
        name, sides = evidence.title(step), _sides(rise, found.by_step[step])
        blame = f"{name} went from {text.duration(sides[0])} to {text.duration(sides[1])}"
    since, kind, when = f" since {date(_begun(rise, found.runs) * DAY)}", "regression", ""
    dated = "the change is known to the day"
    if rise.growth is not None:
        first, last = (date(at * DAY) for at in rise.growth)
        since, kind, when = "", GRADUAL, f"; gradual increase between about {first} and {last}"
        dated = "start and end days are approximate"
    before, after = (f"{date(d[0] * DAY)} to {date(d[-1] * DAY)}" for d in (rise.before, rise.after))
    unknown = "inputs of those days are not recorded; at equal input when the runs still showed the change"
    return Finding(
        step=step,
        about=about,
        action=f"Investigate {kind} in {name}{since} (+{text.percent(factor.likely - 1)})",
        because=(
            f"runs take {text.duration(now)} instead of {text.duration(was)} (medians of"
            f" {text.count(len(rise.after), 'day')} after against {len(rise.before)} before)"
            f"{since}{when}: {blame}; the"
            f" {text.count(len(evidence.analysis.runs), 'run')} analyzed began on {date(evidence.analysis.first_run or 0.0)}"
        ),
        otherwise=f"every run stays {text.duration(seconds.likely)} longer{weekly(evidence, seconds.likely)}",
        current=f"{text.duration(now)} median",
        proposed=median_before(now * (1.0 - share.likely), was),
        expected=gain_sentence(share, seconds),
        confidence=1.0 - rise.chance,
        gain_seconds=seconds,
        gain_share=share,
        evidence=(
            f"daily medians of {after} against {before}, working days and weekends apart: a factor {factor.likely:.2f}, 95%"
            f" interval {factor.low:.2f} to {factor.high:.2f}; {dated}",
            *([unknown] if inputs else []),
        ),
    )


def _compared(evidence: Evidence, least: float, until: int, days: int, *, known: bool) -> _Compared | None:
    """A rise that lasts for so many ``days`` before the day ``until``; None where there is none, where the runs show it
    themselves, or where it is over. ``known``: whether a regression was published."""
    analysis, frequent = evidence.analysis, evidence.peaks.every_day
    if not evidence.days or analysis.first_run is None or not (frequent or len(analysis.runs) <= FEW_RUNS):
        return None
    begin = analysis.now - min(analysis.options.window_seconds, DAYS * DAY)
    by_step = _by_step(evidence, int((begin - WEEK) // DAY), until)  # a rise must not be what each week shows
    runs = {day: row for day, row in by_step.pop(RUN, {}).items() if row.timed >= _MIN_TIMED or not frequent}
    rise = lasting_rise({day: row.p50 or 0.0 for day, row in runs.items()}, least, after=days, published=known)
    if rise is None or rise.middle < begin // DAY or _shown(evidence, rise, known=known):
        return None  # of a change that the runs show, they say whether it is a regression
    was, now = _sides(rise, runs)
    timed = [r.makespan for r in analysis.runs if r.outcome.timed and r.makespan is not None]
    if (
        is_back(timed, was, now)
        or _other_frequency(rise, runs, int(analysis.now // DAY))
        or _as_every_month(evidence, rise, runs, math.sqrt(was * now))
    ):
        return None
    return _Compared(rise, runs, by_step, was, now, _longer(rise, by_step, runs))


def _shown(evidence: Evidence, rise: DailyRise, *, known: bool) -> bool:
    """Whether the runs analysed are enough on both sides of the rise. Where they were before, it counts if it is ``known``;
    where they are not yet, a step does."""
    analysis = evidence.analysis
    if evidence.peaks.every_day:
        return analysis.first_run is not None and analysis.first_run < (rise.begin - 2) * DAY
    ends = [r.end for r in analysis.runs if r.outcome.timed and r.end is not None]
    since = sum(end >= rise.begin * DAY for end in ends)
    if since < MIN_SEGMENT:
        return rise.growth is not None
    if known:  # then it only matters whether it is left, unless inputs or slow nodes may be why
        return (_sized(evidence) or analysis.slow_nodes is not None) and len(ends) - since >= MIN_SEGMENT
    return True


def _sized(evidence: Evidence) -> bool:
    """Whether input sizes are known."""
    return any(run.input_total is not None for run in evidence.analysis.runs)


def _by_step(evidence: Evidence, since: int, until: int) -> dict[str, dict[int, DailyRow]]:
    """Rows by step and day from ``since`` to before ``until``, without what ran under a change that was rolled back; what is
    recorded may end with some hours of a day of which all runs are analysed."""
    analysis = evidence.analysis
    covered = min((r.end for r in analysis.runs if r.end is not None), default=analysis.now)
    runs = [r for r in analysis.runs if not evidence.under_rolled_back(r)]
    whole = daily_rows(runs, analysis.pricing, analysis.figures, covered=covered, until=analysis.now)
    recorded = [row for row in evidence.days if not _rolled_back(evidence, row.day)]
    found: dict[str, dict[int, DailyRow]] = {}
    for row in (*recorded, *whole):
        if since <= row.day < until and row.timed and row.p50:
            found.setdefault(row.step, {})[row.day] = row
    return found


def _rolled_back(evidence: Evidence, day: int) -> bool:
    """Whether runs of the day may have begun under a change that was rolled back."""
    return any(since < (day + 1) * DAY and day * DAY < until for since, until in evidence.rolled_back)


def _sides(rise: DailyRise, rows: _ByDay) -> tuple[float, float]:
    """Median seconds of a day before and after; NaN for a side without any."""
    sides = ([rows[day].p50 or 0.0 for day in days if day in rows] for days in (rise.before, rise.after))
    was, now = (upper_median(side) if side else math.nan for side in sides)
    return was, now


def _as_every_month(evidence: Evidence, rise: DailyRise, runs: _ByDay, level: float) -> bool:
    """Whether days reach the level of seconds as they did a month before."""
    before = {row.day: row.p50 for row in evidence.days if row.step == RUN and row.p50 and row.day < rise.begin}
    return as_every_month({day: row.p50 or 0.0 for day, row in runs.items() if day >= rise.begin}, before, level)


def _other_frequency(rise: DailyRise, runs: _ByDay, today: int) -> bool:
    """Whether days have more runs than those of a kind before, or fewer; of ``today`` that is not known yet."""
    usual: dict[bool, list[int]] = {}
    for day in rise.before:
        usual.setdefault(weekend(day * DAY), []).append(runs[day].timed)
    over = [day for day in rise.after if day < today]
    often = [runs[day].timed / upper_median(usual[kind]) for day in over if (kind := weekend(day * DAY)) in usual]
    return bool(often) and not 1.0 / _FREQUENCY <= upper_median(often) <= _FREQUENCY


def _longer(rise: DailyRise, steps: Mapping[str, _ByDay], runs: _ByDay) -> dict[str, float]:
    """Seconds by which each step takes longer, for the share of the runs that take it."""
    found = {}
    for step, rows in steps.items():
        was, now = _sides(rise, rows)
        share = sum(rows[day].timed for day in rise.after if day in rows) / sum(runs[day].timed for day in rise.after)
        if now > was:
            found[step] = min(1.0, share) * (now - was)
    return found


def _begun(rise: DailyRise, runs: _ByDay) -> int:
    """The day of the change: the first one of which most runs take longer, or that before it if some of its runs do; that on
    which growth began."""
    if rise.growth is not None:
        return rise.begin
    day = rise.after[0]
    was, now = (upper_median([runs[d].mean or 0.0 for d in days]) for days in (rise.before[:-1], rise.after))
    before = runs.get(day - 1)
    if before is None or before.timed == 1:
        return day
    return day - 1 if (before.mean or 0.0) - was >= _BEGUN * (now - was) > 0.0 else day
