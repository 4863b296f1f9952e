"""Verifications of changes that are made at any hour and weekday, and whether their verdicts are right.

One step that reads no input takes a different time, fails more often or gets less memory from the change on. The product
sees the runs as its operator does, after the first runs and then after every few of them (``_LOOKS``), and monitors
a change that is kept; the true effect is that on the same runs without the change. In some settings, all fail more often
for a day, as do other workflows; in others, days differ, or all runs have changed before.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import fmean

import numpy as np

from benchmarks.lives.law import BEGIN, DAY, HOUR, MI, Calendar, Effect, Flow, Step, at_day
from benchmarks.lives.manifests import known
from benchmarks.lives.simulation import play, starts
from benchmarks.lives.truth import cost, seconds
from concertmaster.core.changes.plan import Aim
from concertmaster.core.changes.verification.attribution import LoweredMemory
from concertmaster.core.changes.verification.before_after import BeforeAfter, split_runs
from concertmaster.core.changes.verification.kept_changes import MAX_RUNS, later_harm, next_check, watched_until
from concertmaster.core.changes.verification.shared_failures import without_shared
from concertmaster.core.changes.verification.surroundings import Surroundings
from concertmaster.core.changes.verification.verify import Verification, scheduled, verify
from concertmaster.core.model import RunRecord
from concertmaster.core.model.enums import Verdict
from concertmaster.core.model.policy import Policy

_FIRST_DAY = 21  # of the week in which changes are made
_MOST = 600  # runs before a change that the operator reads
_NOISES = (0.05, 0.1, 0.2)
_DRIFT = 0.001  # standard deviation, a day
_KILLED = 1.645  # standard deviations of the memory peak that one run in twenty exceeds
_FAILS = 0.01
_LEVEL_DAYS = 3
_DAYS = 60  # of a life, at the most
_OTHERS = 8  # workflows beside the changed one, whose runs of a bad day fail as well
_LOOKS = frozenset({1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30})  # runs after the change
_WEEKENDS, _HOURS = Calendar(weekend=0.7), Calendar(swing=0.25)
_BOTH = Calendar(swing=0.25, weekend=0.7)


@dataclass(frozen=True, slots=True)
class Setting:
    """When runs start and what the time of day makes of them: ``days`` of runs before the change. ``bad``: share of runs of
    this workflow and eight others that fail for a day, which begins up to half a day before or after the change. ``level``:
    times as long as before all work takes since three days before it; ``differ``: standard deviation of the logs of days."""

    name: str
    words: str
    every: float
    days: float
    calendar: Calendar = Calendar()  # noqa: RUF009 (frozen)
    bad: float = 0.0
    level: float = 1.0
    differ: float = 0.0


SETTINGS = (
    Setting("steady-4h-14d", "no season, every 4 hours, 14 days before", 4 * HOUR, 14),
    Setting("weekends-4h-14d", "weekends 30% shorter, every 4 hours, 14 days", 4 * HOUR, 14, _WEEKENDS),
    Setting("both-4h-14d", "that, and hours +-25%", 4 * HOUR, 14, _BOTH),
    Setting("weekends-4h-4d", "weekends, every 4 hours, 4 days", 4 * HOUR, 4, _WEEKENDS),
    Setting("weekends-daily-14d", "weekends, daily, 14 days", DAY, 14, _WEEKENDS),
    Setting("both-hourly-14d", "hours and weekends, hourly, 14 days", HOUR, 14, _BOTH),
    Setting("both-hourly-6d", "hours and weekends, hourly, 6 days", HOUR, 6, _BOTH),
    Setting("both-30m-8d", "hours and weekends, every half an hour, 8 days", HOUR / 2, 8, _BOTH),
    Setting("hours-10m-3d", "hours, every ten minutes, 3 days", HOUR / 6, 3, _HOURS),
    Setting("hours-10m-2d", "hours, every ten minutes, 2 days", HOUR / 6, 2, _HOURS),
    Setting("steady-10m-2d", "no season, every ten minutes, 2 days", HOUR / 6, 2),
    Setting("bad-day-hourly-14d", "no season, hourly, 14 days, and a day on which 30% of all fail", HOUR, 14, bad=0.3),
    Setting("outage-hourly-14d", "the same, and a day on which all fail", HOUR, 14, bad=1.0),
    Setting(
        "level-4h-14d", "no season, every 4 hours, 14 days, all runs 30% longer since 3 days", 4 * HOUR, 14, level=1.3
    ),
    Setting("days-hourly-14d", "no season, hourly, 14 days, of which each differs by 10%", HOUR, 14, differ=0.1),
)


@dataclass(frozen=True, slots=True)
class Change:
    """A kind of change: its ``aim``, what it does to the step, and the ``right`` verdicts."""

    name: str
    aim: Aim
    right: tuple[Verdict, ...]
    factor: float = 1.0
    fails: float = _FAILS
    cheaper: bool = False
    killed: bool = False

    def of(self, step: Step) -> Step:
        """The step after the change."""
        made = replace(step, seconds=self.factor * step.seconds, fails=self.fails)
        if self.cheaper:
            made = replace(made, cpu_request=0.8 * step.cpu_request)
        if self.killed:
            limit = step.memory * math.exp(_KILLED * step.memory_spread)
            made = replace(made, memory_request=limit, memory_limit=limit)
        return made


CHANGES = (
    Change("no effect", Aim.FASTER, (Verdict.SAME, Verdict.INCONCLUSIVE)),
    Change("20% faster", Aim.FASTER, (Verdict.IMPROVED,), factor=0.8),
    Change("20% slower", Aim.FASTER, (Verdict.WORSE,), factor=1.2),
    Change("saving", Aim.CHEAPER, (Verdict.IMPROVED,), cheaper=True),
    Change("saving, 20% slower", Aim.CHEAPER, (Verdict.WORSE,), factor=1.2, cheaper=True),
    Change("failures 1% to 8%", Aim.CHEAPER, (Verdict.WORSE,), fails=0.08, cheaper=True),
    Change("5% killed for memory", Aim.CHEAPER, (Verdict.WORSE,), killed=True),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One verification. ``measured``: low, likely and high effect at its end; ``true`` one on the same runs (both as shares;
    None: not measured). ``later``: runs after which a change that was kept is found to do harm (None: it is not)."""

    setting: str
    change: str
    seed: int
    verdict: str
    right: bool
    runs: int
    measured: tuple[float, float, float] | None
    true: float | None
    later: int | None = None

    @property
    def held(self) -> bool | None:
        """Whether the measured interval holds the true effect."""
        if self.measured is None or self.true is None:
            return None
        return self.measured[0] <= self.true <= self.measured[2]


BY_NAME = {setting.name: setting for setting in SETTINGS}


def outcomes(setting: Setting, seed: int) -> Iterator[Outcome]:
    """The verifications of each kind of change of one workflow, all made at the same time."""
    rng = np.random.default_rng((zlib.crc32(setting.name.encode()), seed))
    applied = at_day(_FIRST_DAY + float(rng.uniform(0.0, 7.0)))
    calendar = replace(setting.calendar, noon=float(rng.uniform(0.0, 24.0)))
    step = Step("work", seconds=min(300.0, 0.3 * setting.every), fails=_FAILS, cores=0.7, memory_limit=1024 * MI)
    drift = _DRIFT * float(rng.standard_normal())
    flow = Flow((step,), every=setting.every, noise=_NOISES[seed % 3], drift=drift, calendar=calendar)
    flow = flow.under(*_unrest(setting, applied, rng))
    begin, others = applied - setting.days * DAY, list[list[RunRecord]]()
    if setting.bad:
        since = applied + float(rng.uniform(-0.5, 0.5)) * DAY
        flow = flow.under(Effect(since, since + DAY, fails=setting.bad))
        end = applied + watched_until(Policy().apply.verify) + DAY
        others = [_played(flow, _OTHERS * seed + n + 10**6, begin, end) for n in range(_OTHERS)]
    before = _played(flow, seed, begin, applied)[-_MOST:]
    for change in CHANGES:
        yield _verified(setting, change, flow, seed, applied, before, others)


def _unrest(setting: Setting, applied: float, rng: np.random.Generator) -> Iterator[Effect]:
    """What moves all runs of the setting, whatever is changed."""
    if setting.level != 1.0:
        yield Effect(applied - _LEVEL_DAYS * DAY, factor=setting.level)
    for day in range(_DAYS if setting.differ else 0):
        yield Effect(at_day(day), at_day(day + 1), factor=math.exp(setting.differ * float(rng.standard_normal())))


def _played(flow: Flow, seed: int, since: float, until: float) -> list[RunRecord]:
    return [play(flow, seed, *each) for each in starts(flow, since, until)]


def _own_runs(sides: BeforeAfter, others: Sequence[Sequence[RunRecord]], applied: float, now: float) -> BeforeAfter:
    """As the operator leaves out what the others share, by their runs known ``now``."""
    known = [split_runs(other, applied=applied, since=None, now=now) for other in others]
    return without_shared(sides, known, applied)


def _verified(
    setting: Setting, change: Change, flow: Flow, seed: int, applied: float, before: list[RunRecord],
    others: Sequence[Sequence[RunRecord]],
) -> Outcome:  # fmt: skip
    policy = Policy()
    changed = replace(flow, steps=tuple(change.of(step) for step in flow.steps))
    settings = scheduled(policy.apply.verify, known(changed).definition, applied)
    lowered = LoweredMemory.of([changed.steps[0].memory_request] if change.killed else [], policy)
    seen = list(before)
    found = Verification(None, False, "", len(before), 0)
    until = applied + watched_until(settings) + 2 * setting.every
    due = starts(changed, applied + 1.0, until)
    for count, each in enumerate(due, 1):
        seen.append(play(changed, seed, *each))
        now = seen[-1].end or applied
        if count not in _LOOKS and now - applied < settings.max_age_seconds:
            continue
        sides = split_runs(seen, applied=applied, since=None, now=now)
        found = verify(
            change.aim, sides, settings, age=now - applied, steps=("work",), lowered=lowered,
            around=Surroundings(policy.pricing, own=partial(_own_runs, others=others, applied=applied, now=now)),
        )  # fmt: skip
        if found.verdict is not None:
            break
    verdict = str(found.verdict.value) if found.verdict is not None else "None"
    effect = found.measured
    measured = (effect.low, effect.likely, effect.high) if effect is not None else None
    true = _effect(flow, changed, seed, seen[len(before) :], change.aim)
    later = None
    if found.verdict is not None and not found.restore:
        more = (play(changed, seed, *each) for each in due)
        later = _later(seen, more, applied, watched_until(settings), lowered, others)
    return Outcome(
        setting.name,
        change.name,
        seed,
        verdict,
        found.verdict in change.right,
        found.verified_runs,
        measured,
        true,
        later,
    )


def _later(
    seen: list[RunRecord], more: Iterator[RunRecord], applied: float, until: float, lowered: LoweredMemory | None,
    others: Sequence[Sequence[RunRecord]],
) -> int | None:  # fmt: skip
    """Runs after which the change is found to do harm although it was kept; looked at as the operator does, ``until`` its
    age in seconds."""
    now = seen[-1].end or applied
    due = now - applied
    while True:
        if now - applied >= due:
            sides = split_runs(seen, applied=applied, since=None, now=now)
            if later_harm(sides, ("work",), lowered) is not None:
                sides = _own_runs(sides, others, applied, now)
                if later_harm(sides, ("work",), lowered) is not None:
                    return len(sides.after)
            if now - applied >= until or len(sides.after) >= MAX_RUNS:
                return None
            due = next_check(now - applied)
        run = next(more, None)
        if run is None:
            return None
        seen.append(run)
        now = run.end or now


def _effect(flow: Flow, changed: Flow, seed: int, after: list[RunRecord], aim: Aim) -> float | None:
    """The true effect of the change on these runs: the mean ratio to the same runs without it, in run time or cost."""
    ratios, of = [], cost if aim is Aim.CHEAPER else seconds
    for run in after:
        number = int(run.run.rpartition("-")[2])
        one, two = of(run), of(play(flow, seed, number, BEGIN + number * flow.every))
        if one and two:
            ratios.append(math.log(one / two))
    return math.expm1(fmean(ratios)) if ratios else None
