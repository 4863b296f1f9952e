"""Whether a change reached its aim: runs started after it against those ended before it, evaluated after every run.

*Faster* must be faster. *Cheaper* and *Safer* must not be slower by more than a margin, and are improvements only if runs
reserve less, or fail less. Harm overrides every aim: OOM kills, more failing runs, use above a lowered memory request, a
clear slowdown. Harm ends a verification early; success waits for ``min_runs``. Durations use the sequential test of
``stats.comparison.watch``, at equal times of the day and week (``seasonality``).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from concertmaster.core.analysis.cost.runs import Costs
from concertmaster.core.changes.plan import Aim, PredictedEffect
from concertmaster.core.changes.verification.attribution import LoweredMemory
from concertmaster.core.changes.verification.before_after import (
    AmountsByRun,
    BeforeAfter,
    InputSizes,
    LastLevel,
    at_any_time,
    baseline,
    comparable,
    good,
    last_level,
)
from concertmaster.core.changes.verification.harm import clearly_slower, failing, failure_rate, killed, too_small
from concertmaster.core.changes.verification.power import TOLERATED_SLOWDOWN
from concertmaster.core.changes.verification.seasonality import Deseasonalized, deseasonalize, of_known_days
from concertmaster.core.changes.verification.surroundings import ALONE, Surroundings
from concertmaster.core.model import RunRecord, WorkflowDefinition
from concertmaster.core.model.enums import OnSame, Verdict
from concertmaster.core.model.policy import Pricing, VerifySettings
from concertmaster.core.schedules.starts import interval
from concertmaster.core.stats.comparison import MARGIN, MIN_RUNS, UNDECIDED, CommonFactor, Comparison, compare, watch
from concertmaster.core.text import count, duration, percent

HARMLESS = 0.10  # accepted increase of run time for a cheaper change, as a share
_MIN_INTERVALS = 10  # schedule intervals that a verification waits at least


@dataclass(frozen=True, slots=True)
class Verification:
    """State of a verification. ``verdict``: None while more runs are needed; ``restore``: whether to roll back.

    ``measured``: the effect so far in the measure of the aim; ``harmed``: steps that show harm.
    """

    verdict: Verdict | None
    restore: bool
    reason: str
    baseline_runs: int
    verified_runs: int
    measured: PredictedEffect | None = None
    harmed: tuple[str, ...] = ()


def scheduled(settings: VerifySettings, definition: WorkflowDefinition | None, now: float) -> VerifySettings:
    """The settings, extended to ten intervals for rare schedules."""
    seconds = interval(definition, now) if definition is not None else None
    return replace(settings, max_age_seconds=max(settings.max_age_seconds, _MIN_INTERVALS * (seconds or 0.0)))


@dataclass(frozen=True, slots=True)
class _Sides:
    """Which runs before and after a change are compared for what.

    ``whole``: all of both sides, without near failures that other workflows share; they tell hours and weekends.
    ``level``: that of the runs before the change.
    ``everything``: of the runs before, those that are the baseline, and all after it: for harm by kills and memory.
    ``compared``: the same without the shared near failures. ``known``: of these, after the change those on days of a kind
    that runs before it show, whose durations are compared. ``figures``: durations and input sizes at any time of the day
    and week, ``sizes``: input sizes as they were.
    """

    whole: BeforeAfter
    level: LastLevel
    everything: BeforeAfter
    compared: BeforeAfter
    known: BeforeAfter
    figures: tuple[Deseasonalized, InputSizes]
    sizes: InputSizes

    def error(self, of: Deseasonalized, before: Sequence[RunRecord], after: Sequence[RunRecord]) -> float:
        """Standard error of the log of the ratio of both sides beyond that of independent runs at known times."""
        return math.hypot(of.error(before, after), self.level.between.error(len(before), len(after)))

    @property
    def left_out(self) -> str:
        """What is said of runs after the change whose durations are not compared."""
        shared = len(self.everything.after) - len(self.whole.after)
        known = "".join(f"; {clause}" for clause in self.whole.left_out)
        return known + _shared(shared) + _others(len(self.whole.after) - len(self.known.after))


def _sides(before_after: BeforeAfter, max_runs: int, around: Surroundings) -> _Sides:
    whole = before_after if around.own is None or failing(before_after) is None else around.own(before_after)
    sizes = comparable(whole)
    durations, even_sizes = figures = at_any_time(whole, sizes)
    found = last_level(whole.before, durations.amounts, even_sizes)
    chosen = baseline(whole.before, durations.amounts, even_sizes, max_runs, found)
    everything = replace(before_after, before=chosen)
    compared = replace(everything, before=found.of(chosen), after=whole.after)
    known = replace(compared, after=of_known_days(whole.before, whole.after))
    return _Sides(whole, found, everything, compared, known, figures, sizes)


def verify(
    aim: Aim,
    before_after: BeforeAfter,
    settings: VerifySettings,
    *,
    age: float,
    steps: Collection[str] = (),
    lowered: LoweredMemory | None = None,
    around: Surroundings = ALONE,
) -> Verification:
    """The verification of a change of ``steps`` (empty: the whole workflow) whose runs were read for ``age`` seconds since
    (infinite: no more are to come). ``lowered``: None unless it lowers a memory request."""
    sides = _sides(before_after, settings.max_runs, around)
    everything, known, seconds = sides.everything, sides.known, sides.figures[0]
    runs = (len(known.before), min(len(known.after), settings.max_runs))
    waiting = f"{_seen(runs, settings)}{sides.left_out}"
    harm = (
        around.silence
        or killed(everything, steps, lowered)
        or failing(sides.whole)
        or too_small(everything, steps, lowered, certain=True)
        or (clearly_slower(sides.compared, sides.sizes, seconds.amounts, around.common) if around.timed else None)
    )
    if harm:
        measured = _measured(aim, sides, around)
        runs = (runs[0], min(len(everything.after), settings.max_runs))
        return Verification(Verdict.WORSE, True, harm, *runs, measured)
    if not around.timed:
        return Verification(None, False, waiting, *runs)
    over = age >= settings.max_age_seconds
    times = _watched(sides, settings, over, around.common)
    measured = _measured(aim, sides, around)
    slower = times.verdict is Verdict.WORSE and (
        aim is Aim.FASTER or (times.ratio >= 1.0 + MARGIN and times.low >= 1.0 + TOLERATED_SLOWDOWN)
    )
    if slower:
        return Verification(Verdict.WORSE, True, times.reason, *runs, measured)
    if runs[1] < settings.min_runs or runs[1] < MIN_RUNS or runs[0] < MIN_RUNS:
        if not over:
            return Verification(None, False, waiting, *runs, measured)
        limit = "" if math.isinf(age) else f" within {duration(settings.max_age_seconds)}"
        reason = f"{count(runs[0], 'run')} before and {runs[1]} after it{limit}: too few to tell{sides.left_out}"
        return Verification(Verdict.INCONCLUSIVE, settings.on_inconclusive is OnSame.RESTORE, reason, *runs, measured)
    last = runs[1] >= settings.max_runs or over
    found = _judged(aim, known, times, settings, None if last else waiting, measured)
    above = too_small(everything, steps, lowered, certain=False)
    if above is not None and found.verdict in (Verdict.IMPROVED, Verdict.SAME):
        restore = settings.on_inconclusive is OnSame.RESTORE
        found = (
            Verification(Verdict.INCONCLUSIVE, restore, above, *runs)
            if last
            else Verification(None, False, waiting, *runs)
        )
    reason = found.reason if found.verdict is None else f"{found.reason}{sides.left_out}"
    return replace(found, reason=reason, measured=measured)


def _judged(
    aim: Aim,
    before_after: BeforeAfter,
    seconds: Comparison,
    settings: VerifySettings,
    waiting: str | None,
    measured: PredictedEffect | None,
) -> Verification:
    """The verdict by runs seen so far; ``waiting``: what is said while more are to come (None: these are all)."""
    runs = (len(before_after.before), min(len(before_after.after), settings.max_runs))
    durations = seconds.reason.removeprefix(UNDECIDED)  # it is decided here
    if aim is Aim.FASTER:
        if seconds.verdict is Verdict.IMPROVED:
            return Verification(Verdict.IMPROVED, False, seconds.reason, *runs)
        if seconds.verdict is Verdict.SAME:
            return Verification(Verdict.SAME, settings.on_same is OnSame.RESTORE, seconds.reason, *runs)
    elif seconds.high <= 1.0 + HARMLESS or seconds.verdict is Verdict.IMPROVED:
        reason = f"runs are not slower by more than {percent(HARMLESS)}: {durations}"
        better = measured is not None and measured.likely < 0.0
        if aim is Aim.CHEAPER:
            better = measured is None or measured.high < 0.0
            reason += "" if better else "; no saving can be measured either"
        return Verification(Verdict.IMPROVED if better else Verdict.SAME, False, reason, *runs)
    if waiting is not None:
        return Verification(None, False, waiting, *runs)
    reason = f"after {count(runs[1], 'run')} it still cannot be verified: {durations}"
    return Verification(Verdict.INCONCLUSIVE, settings.on_inconclusive is OnSame.RESTORE, reason, *runs)


def _watched(sides: _Sides, settings: VerifySettings, final: bool, common: CommonFactor | None) -> Comparison:
    before, after = good(sides.known.before), good(sides.known.after)
    seconds, sizes = sides.figures
    return watch(
        [seconds.amounts[r.run] for r in before],
        [seconds.amounts[r.run] for r in after],
        inputs_before=[sizes.get(r.run) for r in before],
        inputs_after=[sizes.get(r.run) for r in after],
        min_runs=MIN_RUNS,
        max_runs=settings.max_runs,
        final=final,
        common=common,
        error=sides.error(seconds, before, after[: settings.max_runs]),
    )


def _measured(aim: Aim, sides: _Sides, around: Surroundings) -> PredictedEffect | None:
    """The effect with its 90% interval: on reserved cost for Cheaper, on failures for Safer, else on duration. All runs
    before tell hours and weekends, and failures are counted in all after."""
    whole, before_after = sides.whole, sides.known
    if aim is Aim.SAFER:
        if not whole.after or not before_after.before:
            return None
        low = likely = high = failure_rate(whole.after) - failure_rate(sides.everything.before)
        return PredictedEffect("Failures", low, likely, high)
    before, after = good(before_after.before), good(before_after.after)
    evened, sizes = sides.figures
    if aim is Aim.CHEAPER:
        evened = deseasonalize(whole.before, whole.after, _costs(whole, around.pricing or Pricing()), sizes)
    seen = compare(
        [evened.amounts[r.run] for r in before],
        [evened.amounts[r.run] for r in after],
        inputs_before=[sizes.get(r.run) for r in before],
        inputs_after=[sizes.get(r.run) for r in after],
        level=0.10,
        common=around.common,
        error=sides.error(evened, before, after),
    )
    if not all(math.isfinite(v) for v in (seen.low, seen.ratio, seen.high)):
        return None
    measure = "Cost" if aim is Aim.CHEAPER else "Duration"
    return PredictedEffect(measure, seen.low - 1.0, seen.ratio - 1.0, seen.high - 1.0)


def _costs(whole: BeforeAfter, pricing: Pricing) -> AmountsByRun:
    """What the requests of each run cost."""
    of = Costs(pricing)
    costs = {r.run: of.known(r) for side in (whole.before, whole.after) for r in side}
    return {run: cost.requested if cost is not None else None for run, cost in costs.items()}


def _seen(runs: tuple[int, int], settings: VerifySettings) -> str:
    return f"{runs[1]} of {settings.min_runs} to {settings.max_runs} runs seen since the change, {runs[0]} before it"


def _shared(number: int) -> str:
    """What is said of runs near failures that other workflows share."""
    return f"; {number} more while other workflows fail, too" if number else ""


def _others(number: int) -> str:
    """What is said of runs after the change that are not compared."""
    return f"; {number} more on days of a kind (weekend or not) that no run before it shows" if number else ""
