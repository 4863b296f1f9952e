"""Selection of the runs before and after a change, and of the covariate that makes them comparable."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from typing import Any

from concertmaster.core.changepoint import detect
from concertmaster.core.changepoint.clear import returns
from concertmaster.core.changes.operations import tested, written
from concertmaster.core.changes.verification.between_times import BetweenTimes
from concertmaster.core.changes.verification.power import POWER, Outlook, outlook, power, spread
from concertmaster.core.changes.verification.seasonality import Deseasonalized, deseasonalize
from concertmaster.core.model import Outcome, RunRecord, WorkflowDefinition
from concertmaster.core.model.amounts import quantity, same_amount
from concertmaster.core.stats.comparison import MARGIN, MIN_RUNS, compare

BASELINE = 60  # runs: the newest before a change
NOISY_BASELINE = 200  # runs: used when BASELINE is too few for the noise and older runs resemble the newest
SEASONS = 600  # runs, to tell hours and weekends: those of twelve days, at one every half an hour
_ALIKE = 0.1  # level at which older runs count as different: lenient, since they are optional
_MIN_LEVEL = 5  # runs: as few as a change may be compared with
_CLOCK_RESOLUTION = 1.0  # seconds: timestamps do not order a run and a write of the same second
_CACHED = (
    60.0  # seconds after a write in which a controller may still create runs of the definition it has in its cache
)
STUCK_FACTOR = 2.0  # times the longest run before: a run in progress for longer counts as one that took this long

InputSizes = dict[str, float]
AmountsByRun = dict[str, float | None]


@dataclass(frozen=True, slots=True)
class BeforeAfter:
    """Finished runs before and after a change, each in order of start; ``begun``: number of runs started after it, finished
    or not; ``left_out``: how many of these are not in ``after``, by reason, as clauses (``2 more with another image``).
    ``earlier``: the newest runs before it, also those that are no baseline."""

    before: tuple[RunRecord, ...]
    after: tuple[RunRecord, ...]
    begun: int = 0
    left_out: tuple[str, ...] = ()
    earlier: tuple[RunRecord, ...] = ()

    def without(self, unfit: Callable[[RunRecord], bool], why: str) -> BeforeAfter:
        """These without the runs after the change that are ``unfit``; ``why``: a clause for those that are left out."""
        after = tuple([r for r in self.after if not unfit(r)])
        number = len(self.after) - len(after)
        return replace(self, after=after, left_out=(*self.left_out, f"{number} more {why}")) if number else self


def split_runs(
    runs: Sequence[RunRecord],
    *,
    applied: float,
    since: float | None,
    now: float,
    without: Sequence[tuple[float, float]] = (),
    changed: Callable[[RunRecord], bool | None] = lambda _: None,
) -> BeforeAfter:
    """The runs before and after a change written in the second ``applied``; runs in progress then are in neither, nor are
    those that start at once, unless ``changed`` knows that they run the changed definition (False: the old one, which a
    controller may have had in its cache; None: unknown).

    ``since``: when the last earlier change that was kept was applied; runs before it are no baseline, nor are those started
    in a span of ``without`` (a change that was rolled back; with the second of the rollback). Of the runs after, those
    started later than one still in progress are left out, since otherwise fast runs would be counted before slow ones.
    Times are unix seconds.
    """
    dated = sorted((r for r in runs if r.start is not None), key=lambda r: (r.start or 0.0, r.run))
    begin = since if since is not None else -math.inf
    later = applied + _CLOCK_RESOLUTION
    before = [r for r in dated if _finished(r) and (r.end or 0.0) <= later and begin <= (r.start or 0.0) < applied]
    spans = [(a, b + _CLOCK_RESOLUTION) for a, b in without]
    before = [r for r in before if not any(a <= (r.start or 0.0) < b for a, b in spans)][-SEASONS:]
    longest = max((r.makespan or 0.0 for r in before), default=math.inf)
    after: list[RunRecord] = []
    since_then = [r for r in dated if applied <= (r.start or 0.0) <= now]
    begun = sum(later <= (r.start or 0.0) for r in since_then)
    behind = unknown = 0
    for number, run in enumerate(since_then):
        if run.start is None:
            continue
        known = changed(run) if run.start < applied + _CACHED else None
        if known is False or (known is None and run.start < later):
            continue
        if _finished(run):
            after.append(run)
        elif run.outcome is Outcome.RUNNING:
            if now - run.start <= STUCK_FACTOR * longest:
                behind = sum(map(_finished, since_then[number:]))
                break
            after.append(replace(run, end=now, outcome=Outcome.SUCCEEDED))
        else:
            unknown += 1
    clauses = ((behind, "begun after one that is in progress"), (unknown, "with an unknown outcome"))
    left_out = tuple(f"{n} more {why}" for n, why in clauses if n)
    earlier = [r for r in dated if _finished(r) and (r.start or 0.0) < applied][-BASELINE:]
    return BeforeAfter(tuple(before), tuple(after), begun, left_out, tuple(earlier))


def requested(
    definition: WorkflowDefinition, holder: str | None, patch: Sequence[Mapping[str, Any]]
) -> Callable[[RunRecord], bool | None]:
    """Whether a run was made from the definition that ``patch`` changed, by what its pods request: True where that is what
    the patch set, False where a pod requests what the patch replaced, None where nothing shows it. ``holder``: the Tekton
    Task that is patched; None: the workflow's own object."""
    amounts = _amounts(definition, holder, patch)
    declaring = cache(definition.graph.declaring)

    def of(run: RunRecord) -> bool | None:
        matches = None
        for e in run.steps if amounts else ():
            step = declaring(e.step)
            if step is None:
                continue
            for c in e.containers:
                for name, old, new in amounts.get((step.name, c.name), ()):
                    amount = getattr(c, name, None)
                    if amount is None:
                        continue
                    if old is not None and same_amount(amount, old):
                        return False
                    matches = matches or same_amount(amount, new) or None
        return matches

    return of


def _amounts(
    definition: WorkflowDefinition, holder: str | None, patch: Sequence[Mapping[str, Any]]
) -> dict[tuple[str, str], list[tuple[str, float | None, float]]]:
    """By step and container: the amounts that the patch sets, as a field of its executions, with the old and the new one."""
    replaced = tested(patch)
    amounts: dict[tuple[str, str], list[tuple[str, float | None, float]]] = {}
    for pointer, value in written(patch).items():
        resources, section, resource = ["", *pointer.rsplit("/", 2)][-3:]
        name, old, new = f"{resource}_{section.removesuffix('s')}", quantity(replaced.get(pointer)), quantity(value)
        if new is None:
            continue
        for step in definition.graph.steps:
            for c in step.containers:
                if c.holder == holder and c.resources_pointer == resources:
                    amounts.setdefault((step.name, c.name), []).append((name, old, new))
    return amounts


def foresee(before: Sequence[RunRecord], max_runs: int) -> Outlook | None:
    """The power of a verification of a change made now; None with too few runs before it."""
    sides = BeforeAfter(tuple(before), ())
    seconds, sizes = at_any_time(sides, comparable(sides))
    found = last_level(before, seconds.amounts, sizes)
    compared = found.of(baseline(before, seconds.amounts, sizes, max_runs, found))
    return outlook(*_timed(compared, seconds.amounts, sizes), max_runs, found.between.error)


def at_any_time(before_after: BeforeAfter, sizes: InputSizes) -> tuple[Deseasonalized, InputSizes]:
    """Durations and sizes of the runs by name, without what the hour of the day and weekends explain of them
    (``seasonality``)."""
    sides = before_after.before, before_after.after
    even = {run: size or 0.0 for run, size in deseasonalize(*sides, sizes).amounts.items()}
    return deseasonalize(*sides, {r.run: r.makespan for side in sides for r in side}, even), even


def seasonal(before_after: BeforeAfter) -> bool:
    """Whether the hour of the day or weekends explain how long runs before the change took."""
    took = {r.run: r.makespan for r in before_after.before}
    return deseasonalize(before_after.before, (), took).amounts != took


@dataclass(frozen=True, slots=True)
class LastLevel:
    """Since when (unix seconds) runs before a change are of the level that it found, and how much they differ between
    times."""

    since: float
    between: BetweenTimes

    def of(self, runs: Sequence[RunRecord]) -> tuple[RunRecord, ...]:
        """Those of this level."""
        return tuple(r for r in runs if (r.start or 0.0) >= self.since)


def last_level(before: Sequence[RunRecord], seconds: AmountsByRun, sizes: InputSizes) -> LastLevel:
    """That of runs in order of start. It begins with their last change, which somebody else or their data made, unless fewer
    than _MIN_LEVEL runs followed it, or levels come and go."""
    rows = [r for r in good(before) if r.start is not None and seconds[r.run]]
    trend = detect([r.start or 0.0 for r in rows], [seconds[r.run] for r in rows], inputs=[sizes[r.run] for r in rows])
    points = [p for p in trend.points if abs(math.log(p.ratio)) >= math.log1p(MARGIN)]
    few = not points or sum((r.start or 0.0) >= points[-1].time for r in rows) < _MIN_LEVEL
    begins = [-math.inf, *(() if few or returns([p.direction for p in points]) else (p.time for p in points))]
    levels = ([r for r in before if a <= (r.start or 0.0) < b] for a, b in pairwise([*begins, math.inf]))
    return LastLevel(begins[-1], BetweenTimes.of([_timed(level, seconds, sizes) for level in levels]))


def baseline(
    before: Sequence[RunRecord], seconds: AmountsByRun, sizes: InputSizes, max_runs: int, found: LastLevel
) -> tuple[RunRecord, ...]:
    """The newest runs, and older ones of the same kind when the noise requires more. The choice depends only on runs before
    the change, so it cannot favour a verdict."""
    newest, older = tuple(before[-BASELINE:]), before[-NOISY_BASELINE:-BASELINE]
    (durations, inputs), (earlier, their_inputs) = _timed(newest, seconds, sizes), _timed(older, seconds, sizes)
    if min(len(durations), len(earlier)) < MIN_RUNS:
        return newest
    if power(spread(durations, inputs), len(durations), max_runs, between=found.between.error) >= POWER:
        return newest
    alike = compare(
        earlier, durations, inputs_before=their_inputs, inputs_after=inputs, level=_ALIKE,
        error=found.between.error(len(earlier), len(durations)),
    )  # fmt: skip
    return newest if alike.low > 1.0 or alike.high < 1.0 else tuple(before[-NOISY_BASELINE:])


def _timed(runs: Sequence[RunRecord], seconds: AmountsByRun, sizes: InputSizes) -> tuple[list[float], list[float]]:
    """Durations of the succeeded runs that have any, and their sizes."""
    rows = [(spent, sizes[r.run]) for r in good(runs) if (spent := seconds[r.run])]
    return [s for s, _ in rows], [size for _, size in rows]


def comparable(before_after: BeforeAfter) -> InputSizes:
    """The size that makes runs comparable: input size if known for all runs, else the number of items (excluding retries,
    since otherwise a change that causes retries would explain away its own harm)."""
    runs = (*before_after.before, *before_after.after)
    inputs = {r.run: r.input_total or 0.0 for r in runs}
    if runs and all(size > 0 for size in inputs.values()):
        return inputs
    return {r.run: float(len({(e.step, e.item) for e in r.steps})) for r in runs}


def good(runs: Sequence[RunRecord]) -> list[RunRecord]:
    """Succeeded runs: the durations of others are not comparable."""
    return [r for r in runs if r.outcome.timed]


def out_of_memory(run: RunRecord, steps: Collection[str] = ()) -> bool:
    """Whether a container of these steps (empty: any) was OOM-killed in the run."""
    rows = [e for e in run.steps if not steps or e.step in steps]
    return any(e.reason == "OOMKilled" or any(c.oom_killed for c in e.containers) for e in rows)


def _finished(run: RunRecord) -> bool:
    return run.end is not None and run.outcome.over
