"""Whether a change reached its aim: runs started after it against those ended before it, evaluated after every run.

*Faster* must be faster. *Cheaper* and *Safer* must not be slower by more than a margin, and are improvements only if runs
reserve less, or fail less. Harm overrides every aim: OOM kills, more failing runs, use above a lowered memory request, a
clear slowdown. Harm ends a verification early; success waits for ``min_runs``. Durations use the sequential test of
``verdict.watch``. Failing runs are judged by their probability under the failure rate before (Beta-binomial prediction,
Jeffreys prior); the k-th failure spends 1 / (k (k + 1)) of the level, which sums to all of it for any number of failures.
Runs that use more memory than the change left them are judged alike, against the share of runs that a size accepts: the
runs before say nothing of it, for they had more. A single one kills no pod, but the size is not verified. A clear slowdown
bypasses the sequential test: if the first two runs (three with a short baseline) all take half as long again as the longest
run before, on no larger input, chance explains it once in hundreds of changes (by ranks alone: 1 in 496 after 30 runs).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from concertmaster.core.analysis.cost import Costs
from concertmaster.core.changes.attribution import LoweredMemory, killed_for_memory
from concertmaster.core.changes.before_after import BeforeAfter, InputSizes, baseline, comparable, good
from concertmaster.core.changes.plan import Aim, Predicted
from concertmaster.core.changes.power import TOLERATED
from concertmaster.core.model import Outcome, RunRecord, WorkflowDefinition
from concertmaster.core.model.enums import OnSame, Verdict
from concertmaster.core.model.policy import Pricing, VerifySettings
from concertmaster.core.schedule import interval
from concertmaster.core.stats.comparison import MARGIN, MIN_RUNS, UNDECIDED, Common, Comparison, compare, watch
from concertmaster.core.text import count, duration, memory, memory_quantity, percent

HARMLESS = 0.10  # accepted increase of run time for a cheaper change, as a share
FAILURE_LEVEL = 0.01  # share of harmless changes that may be judged harmful because of failing runs
QUIET_RUNS = 10  # runs without an OOM kill before the change for one kill after it to count as evidence
CLEARLY = 1.5  # times the longest run before
SOONEST = 2  # runs after a change before their duration can end its verification
_LEAST_INTERVALS = 10  # schedule intervals that a verification waits at least


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
    measured: Predicted | None = None
    harmed: tuple[str, ...] = ()


def scheduled(settings: VerifySettings, definition: WorkflowDefinition | None, now: float) -> VerifySettings:
    """The settings, extended to ten intervals for rare schedules."""
    seconds = interval(definition, now) if definition is not None else None
    return replace(settings, max_age_seconds=max(settings.max_age_seconds, _LEAST_INTERVALS * (seconds or 0.0)))


def verify(
    aim: Aim, before_after: BeforeAfter, settings: VerifySettings, *, age: float,
    steps: Collection[str] = (), lowered: LoweredMemory | None = None, pricing: Pricing | None = None,
    common: Common | None = None, silence: str | None = None, timed: bool = True,
) -> Verification:  # fmt: skip
    """The verification of a change of ``steps`` (empty: the whole workflow) made ``age`` seconds ago. ``lowered``: None
    unless it lowers a memory request; ``common``: common factor of other workflows' run times (``control.common``);
    ``silence``: why the absence of runs counts as harm (``before_after.silent``). ``timed``: whether durations can be
    compared yet; else only other harm ends it."""
    sizes = comparable(before_after)
    before_after = replace(before_after, before=baseline(before_after.before, sizes, settings.max_runs))
    runs = (len(before_after.before), min(len(before_after.after), settings.max_runs))
    harm = (
        silence
        or _killed(before_after, steps, lowered)
        or _failing(before_after)
        or _too_small(before_after, steps, lowered, certain=True)
        or (_clearly_slower(before_after, sizes, common) if timed else None)
    )
    if harm:
        return Verification(Verdict.WORSE, True, harm, *runs, _measured(aim, before_after, sizes, pricing, common))
    if not timed:
        return Verification(None, False, _waiting(runs, settings), *runs)
    over = age >= settings.max_age_seconds
    seconds = _watched(before_after, sizes, settings, over, common)
    measured = _measured(aim, before_after, sizes, pricing, common)
    slower = seconds.verdict is Verdict.WORSE and (
        aim is Aim.FASTER or (seconds.ratio >= 1.0 + MARGIN and seconds.low >= 1.0 + TOLERATED)
    )
    if slower:
        return Verification(Verdict.WORSE, True, seconds.reason, *runs, measured)
    if runs[1] < settings.min_runs or runs[1] < MIN_RUNS or runs[0] < MIN_RUNS:
        if not over:
            return Verification(None, False, _waiting(runs, settings), *runs, measured)
        limit = duration(settings.max_age_seconds)
        reason = f"{count(runs[0], 'run')} before and {runs[1]} after it within {limit}: too few to tell"
        return Verification(Verdict.INCONCLUSIVE, settings.on_inconclusive is OnSame.RESTORE, reason, *runs, measured)
    last = runs[1] >= settings.max_runs or over
    found = _judged(aim, before_after, seconds, settings, last, measured)
    above = _too_small(before_after, steps, lowered, certain=False)
    if above is not None and found.verdict in (Verdict.IMPROVED, Verdict.SAME):
        waiting, restore = _waiting(runs, settings), settings.on_inconclusive is OnSame.RESTORE
        found = (
            Verification(Verdict.INCONCLUSIVE, restore, above, *runs)
            if last
            else Verification(None, False, waiting, *runs)
        )
    return replace(found, measured=measured)


def _judged(
    aim: Aim,
    before_after: BeforeAfter,
    seconds: Comparison,
    settings: VerifySettings,
    last: bool,
    measured: Predicted | None,
) -> Verification:
    runs = (len(before_after.before), min(len(before_after.after), settings.max_runs))
    durations = seconds.reason.removeprefix(UNDECIDED)  # it is decided here
    if aim is Aim.FASTER:
        if seconds.verdict is Verdict.IMPROVED:
            return Verification(Verdict.IMPROVED, False, seconds.reason, *runs)
        if seconds.verdict is Verdict.SAME:
            return Verification(Verdict.SAME, settings.on_same is OnSame.RESTORE, seconds.reason, *runs)
    elif seconds.high <= 1.0 + HARMLESS or seconds.verdict is Verdict.IMPROVED:
        reason = f"runs are not slower by more than {percent(HARMLESS)}: {durations}"
        better = _failed(before_after.after) < _failed(before_after.before)
        if aim is Aim.CHEAPER:
            better = measured is None or measured.high < 0.0
            reason += "" if better else "; no saving can be measured either"
        return Verification(Verdict.IMPROVED if better else Verdict.SAME, False, reason, *runs)
    if not last:
        return Verification(None, False, _waiting(runs, settings), *runs)
    reason = f"after {count(runs[1], 'run')} it still cannot be verified: {durations}"
    return Verification(Verdict.INCONCLUSIVE, settings.on_inconclusive is OnSame.RESTORE, reason, *runs)


def _watched(
    before_after: BeforeAfter, sizes: InputSizes, settings: VerifySettings, final: bool, common: Common | None
) -> Comparison:
    before, after = good(before_after.before), good(before_after.after)
    return watch(
        [r.makespan for r in before],
        [r.makespan for r in after],
        inputs_before=[sizes.get(r.run) for r in before],
        inputs_after=[sizes.get(r.run) for r in after],
        min_runs=MIN_RUNS,
        max_runs=settings.max_runs,
        final=final,
        common=common,
    )


def _measured(
    aim: Aim, before_after: BeforeAfter, sizes: InputSizes, pricing: Pricing | None, common: Common | None
) -> Predicted | None:
    """The effect with its 90% interval: on reserved cost for Cheaper, on failures for Safer, else on duration."""
    if aim is Aim.SAFER:
        if not before_after.after or not before_after.before:
            return None
        low = likely = high = _failed(before_after.after) - _failed(before_after.before)
        return Predicted("Failures", low, likely, high)
    before, after = good(before_after.before), good(before_after.after)
    figures: list[list[float | None]] = [[r.makespan for r in side] for side in (before, after)]
    if aim is Aim.CHEAPER:
        costs = Costs(pricing or Pricing())
        figures = [
            [c.requested if (c := costs.known(r)) is not None else None for r in side] for side in (before, after)
        ]
    seen = compare(
        figures[0],
        figures[1],
        inputs_before=[sizes.get(r.run) for r in before],
        inputs_after=[sizes.get(r.run) for r in after],
        level=0.10,
        common=common,
    )
    if not all(math.isfinite(v) for v in (seen.low, seen.ratio, seen.high)):
        return None
    measure = "Cost" if aim is Aim.CHEAPER else "Duration"
    return Predicted(measure, seen.low - 1.0, seen.ratio - 1.0, seen.high - 1.0)


def _killed(before_after: BeforeAfter, steps: Collection[str], lowered: LoweredMemory | None) -> str | None:
    """A new OOM kill after a lower memory request."""
    if lowered is None:
        return None
    each: list[Collection[str]] = [(s,) for s in steps] or [()]  # by step: earlier kills of one do not hide new ones
    new = [
        n
        for s in each
        if (n := killed_for_memory(before_after.after, s)) and not killed_for_memory(before_after.before, s)
    ]
    if not new or len(before_after.before) < QUIET_RUNS:
        return None
    killed = count(max(new), "run")
    return f"{killed} after it had a container killed for lack of memory, none of {len(before_after.before)} before"


def _failing(before_after: BeforeAfter) -> str | None:
    """More failing runs than the failure rate before explains."""
    earlier = sum(_bad(r) for r in before_after.before)
    found = _more([_bad(r) for r in before_after.after], earlier, len(before_after.before))
    if found is None:
        return None
    return f"{found[0]} of {found[1]} runs after it failed, {earlier} of {len(before_after.before)} before"


def _too_small(
    before_after: BeforeAfter, steps: Collection[str], lowered: LoweredMemory | None, *, certain: bool
) -> str | None:
    """Use above a lowered memory request, by containers that never used more than they requested before. ``certain``: in
    more runs than chance explains; else in any."""
    if lowered is None or not lowered.requests:
        return None
    known = {
        (e.step, c.name)
        for run in before_after.before
        for e in run.steps
        for c in e.containers
        if (c.memory_peak or 0.0) > (c.memory_request or math.inf)
    }
    each = [lowered.exceeded(run, steps) for run in before_after.after]
    new = [(key, *found[key]) for found in each for key in found.keys() - known]
    bad = [not found.keys() <= known for found in each]
    before = len(before_after.before)
    worth = (
        max(before, 1.0 / max(lowered.accepted, 1e-6)) if before >= MIN_RUNS else 0.0
    )  # runs that this share is worth
    times = _more(bad, lowered.accepted * worth, worth) if certain else (sum(bad), len(bad))
    if times is None or not new:
        return None
    (step, _), peak, request = max(new, key=lambda row: row[1] / row[2])
    used = f"{step} used {memory(peak)} of {memory_quantity(request)}"
    return f"{times[0]} of {times[1]} runs after it needed more memory than the new request: {used}"


def _more(bad: Sequence[bool], earlier: float, before: float) -> tuple[int, int] | None:
    """The number of bad runs among the first runs after a change that ``earlier`` bad ones of ``before`` do not explain, and
    of those first runs; None while they do."""
    if before < MIN_RUNS:
        return None
    a, b = earlier + 0.5, before - earlier + 0.5
    found = 0
    for number, wrong in enumerate(bad, start=1):
        found += wrong
        if wrong and _at_least(found, number, a, b) <= FAILURE_LEVEL / (found * (found + 1)):
            return found, number
    return None


def _clearly_slower(before_after: BeforeAfter, sizes: InputSizes, common: Common | None) -> str | None:
    """The first runs after the change all far exceed anything before it."""
    before, after = good(before_after.before), good(before_after.after)
    looked = SOONEST if len(before) >= 20 else MIN_RUNS
    if len(before) < 8 or len(after) < looked:
        return None
    longest, largest = max(r.makespan or 0.0 for r in before), max(sizes[r.run] for r in before)
    first, factor = after[:looked], CLEARLY * (max(1.0, common.high) if common is not None else 1.0)
    if any((r.makespan or 0.0) < factor * longest or sizes[r.run] > largest for r in first):
        return None
    shortest = min(r.makespan or 0.0 for r in first)
    span = f"took {duration(shortest)} and more, none of {len(before)} before more than {duration(longest)}"
    return f"slower: the first {looked} runs {span}"


def _at_least(k: int, n: int, a: float, b: float) -> float:
    """P(at least k of n) if the rate is distributed as Beta(a, b)."""
    lead = math.lgamma(n + 1) - _log_beta(a, b)
    tail = 0.0
    for i in range(k, n + 1):
        tail += math.exp(lead - math.lgamma(i + 1) - math.lgamma(n - i + 1) + _log_beta(a + i, b + n - i))
    return min(1.0, tail)


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def _bad(run: RunRecord) -> bool:
    return run.outcome is Outcome.FAILED


def _failed(runs: Sequence[RunRecord]) -> float:
    """Share of failed runs (0 to 1)."""
    return sum(_bad(r) for r in runs) / len(runs) if runs else 0.0


def _waiting(runs: tuple[int, int], settings: VerifySettings) -> str:
    return f"{runs[1]} of {settings.min_runs} to {settings.max_runs} runs seen since the change, {runs[0]} before it"
