"""Executed graphs of many regular runs at once, over arrays of shape (steps, runs).

A run is regular when no step has more than one pod, every pod has its times, no limit can make a pod wait, and its times
agree with the graph. Most runs of most workflows are; the others are built one by one (``executed``). Both paths perform
the same operations on the same numbers, so their results are bit-identical.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import repeat
from typing import NamedTuple, TypeVar

from concertmaster.core import arrays as np
from concertmaster.core.analysis.graph import MAX_SECONDS, latest_of
from concertmaster.core.analysis.replay.alike import MIN_RUNS, unlimited_many
from concertmaster.core.analysis.replay.items import CLOCK_TOLERANCE, SAME_RUN
from concertmaster.core.analysis.replay.layout import Layout
from concertmaster.core.analysis.replay.run import Attempt, Chain, ExecutedRun
from concertmaster.core.arrays import Flags, Floats
from concertmaster.core.model import Outcome, RunRecord, StepExecution

T = TypeVar("T")

FULL_CLUSTER_SECONDS = 10.0  # with free capacity a scheduler binds a pod within seconds; longer means a full cluster
_ABSENT = (Outcome.SKIPPED, Outcome.CACHED)
_NO_POD = StepExecution("")  # of unknown outcome and without containers
_attempt = partial(tuple.__new__, Attempt)  # positional; calling the class by keyword takes three times as long


class _Columns(NamedTuple):
    """One run by step; NaN, ``source`` -1 and ``rows`` _NO_POD for a step without a pod."""

    begin: list[float]
    end: list[float]
    scheduled: list[float]
    started: list[float]
    source: list[int]
    rows: list[StepExecution]


def executed_at_once(runs: Sequence[RunRecord], layout: Layout) -> list[ExecutedRun | None]:
    """The executed graphs of the runs that are regular on ``layout``; None for the others."""
    none: list[ExecutedRun | None] = [None] * len(runs)
    limited = any(limit.size < len(limit.steps or layout.names) for limit in layout.limits)
    if len(runs) < MIN_RUNS or limited or not layout.names:
        return none
    columns = [_columns(run, layout) for run in runs]
    regular = [k for k, column in enumerate(columns) if column is not None]
    if len(regular) < MIN_RUNS:
        return none
    with np.errstate(over="ignore", invalid="ignore"):  # runs with such values are not regular
        executed = _executed([runs[k] for k in regular], [c for c in columns if c is not None], layout)
    for k, run in zip(regular, executed, strict=True):
        none[k] = run
    return none


def _columns(run: RunRecord, layout: Layout) -> _Columns | None:
    """The times of a run by step; None when a first check shows that it is not regular."""
    if run.start is None or run.end is None:
        return None
    index, size = layout.index, len(layout.names)
    nan = math.nan
    begin, end, scheduled, started = [nan] * size, [nan] * size, [nan] * size, [nan] * size
    source, rows = [-1] * size, [_NO_POD] * size
    for position, e in enumerate(run.steps):
        place = index[e.step]
        if e.attempt or e.item is not None or source[place] >= 0:
            return None
        created, finished = e.created, e.finished
        if created is None or finished is None:
            if created is None and finished is None and e.outcome in _ABSENT and e.scheduled is e.started is None:
                continue
            return None
        source[place], rows[place], begin[place], end[place] = position, e, created, finished
        if e.scheduled is not None:
            scheduled[place] = e.scheduled
        if e.started is not None:
            started[place] = e.started
    return _Columns(begin, end, scheduled, started, source, rows)


def _executed(runs: Sequence[RunRecord], columns: Sequence[_Columns], layout: Layout) -> list[ExecutedRun | None]:
    """Executed graphs of ``runs``, whose times are in ``columns``; None for each that turns out not to be regular."""
    begin, end, scheduled, started = (
        np.ascontiguousarray(np.array([c[field] for c in columns], dtype=float).T) for field in range(4)
    )
    present = np.array([c.source for c in columns]).T >= 0
    first, last = np.array([r.start for r in runs], dtype=float), np.array([r.end for r in runs], dtype=float)
    start = np.minimum(np.where(present, begin, math.inf).min(axis=0), first)
    end = np.where(end > begin, end, begin)
    own_last = np.where(present, end, -math.inf).max(axis=0) - start
    whole = np.maximum(last - start, own_last)
    fine = present.any(axis=0) & np.isfinite(first) & np.isfinite(last) & (whole < MAX_SECONDS)
    fine &= (np.isfinite(begin) & np.isfinite(end) | ~present).all(axis=0)

    begun, finished = begin - start, end - start
    done, opened = _order(finished, present, layout)
    fine &= ~(present & (opened > begun + CLOCK_TOLERANCE)).any(axis=0)
    ready = np.where(begun < opened, begun, opened)
    placed = _between(scheduled - start, begun, finished)
    going = _between(started - start, placed, finished)
    lag, pending, starting, work = begun - ready, placed - begun, going - placed, finished - going
    shared = np.where(present, lag, math.inf).min(axis=0)
    fine &= ~(present & (pending > FULL_CLUSTER_SECONDS)).any(axis=0)
    delay, head = lag - shared, shared + pending + starting
    lengths = np.where(present, delay + head + work, 0.0)
    tail = whole - own_last
    replayed = unlimited_many(layout.waits, lengths) + whole - own_last
    if layout.limits:
        fine &= np.abs(replayed - whole) <= SAME_RUN * whole  # else they are taken for not in force
    ranks = np.argsort(np.argsort(np.where(present, begin, math.inf), axis=0, kind="stable"), axis=0)

    steps = (ready, lag, pending, starting, work, finished, delay, head, done, lengths, ranks)
    keep = fine.tolist()
    built = iter(
        _built(
            [run for run, good in zip(runs, keep, strict=True) if good],
            [own for own, good in zip(columns, keep, strict=True) if good],
            layout,
            [a.T[fine].ravel().tolist() for a in steps],
            [a[fine].tolist() for a in (shared, tail, whole, replayed)],
        )
    )
    return [next(built) if good else None for good in keep]


def _built(
    runs: Sequence[RunRecord],
    columns: Sequence[_Columns],
    layout: Layout,
    steps: Sequence[list[float]],
    of_run: Sequence[list[float]],
) -> list[ExecutedRun]:
    """The graphs of these runs. ``steps``: lists of a figure by step, one run after the other; ``of_run``: by run."""
    ready, lag, pending, starting, work, finished, delay, head, done, lengths, ranks = steps
    rows = [e for own in columns for e in own.rows]
    source = [position for own in columns for position in own.source]
    failed = Outcome.FAILED
    attempts = map(
        _attempt,
        zip(
            layout.names * len(runs),
            repeat(None),
            repeat(0),
            ready,
            repeat(0.0),
            lag,
            pending,
            starting,
            work,
            finished,
            [e.outcome is failed for e in rows],
            [throttled(e) if e.containers else None for e in rows],
            source,
        ),
    )
    chains: list[tuple[tuple[Attempt, ...], ...]] = list(zip(zip(attempts)))  # of one attempt each, one to a step
    pieces: list[tuple[Chain, ...]] = list(zip(zip(zip(delay, head, work, strict=True))))
    pods: Iterable[dict[str, int]] = repeat(dict.fromkeys(layout.names, 1))  # shared: nobody changes it
    if -1 in source:
        for at, position in enumerate(source):
            if position < 0:
                chains[at] = pieces[at] = ()
        pods = [{name: 1 for name, at in zip(layout.names, own.source, strict=True) if at >= 0} for own in columns]
    size = len(layout.names)
    chains_of = _by_run(chains, size)
    return list(
        map(
            ExecutedRun,
            [run.run for run in runs],
            repeat(layout.names),
            repeat(layout.waits),
            chains_of,
            _by_run(pieces, size),
            _by_run(lengths, size),
            _by_run(ranks, size),
            pods,
            repeat(layout.places),
            repeat(layout.limits),
            *of_run,
            repeat(True),
            map(critical, _by_run(done, size), chains_of, repeat(layout.waits)),
            repeat(tuple(dict.fromkeys(layout.problems))),
            [run.suspension.seconds if run.suspension is not None else 0.0 for run in runs],
        )
    )


def _by_run(values: Sequence[T], size: int) -> list[tuple[T, ...]]:
    """Values of one run after the other, ``size`` of each run, as a tuple by run."""
    return [tuple(values[begin : begin + size]) for begin in range(0, len(values), size)]


def _order(finished: Floats, present: Flags, layout: Layout) -> tuple[Floats, Floats]:
    """When each step was done, and when the last step it waits for was (0 without any), both of shape (steps, runs). A step
    without a pod is done with the last that it waits for."""
    done, opened = finished.copy(), np.zeros_like(finished)
    rows = list(done)  # views
    absent: Flags = ~present
    lacking = set(np.nonzero(absent)[0].tolist())  # steps that some run is without
    for step, waits in enumerate(layout.waits):
        if waits:
            opened[step] = latest_of(waits, rows)
        if step in lacking:
            np.copyto(rows[step], opened[step], where=absent[step])
    return done, opened


def _between(after: Floats, low: Floats, high: Floats) -> Floats:
    """Timestamps clamped to their pods' lives; unknown ones become ``low``."""
    inside: Floats = np.where(np.isfinite(after), np.where(after < low, low, np.where(after > high, high, after)), low)
    return inside


def critical(
    done: Sequence[float], chains: Sequence[Sequence[tuple[Attempt, ...]]], parents: Sequence[Sequence[int]]
) -> tuple[Attempt, ...]:
    """The critical chain: from the step that ended last, repeatedly to the dependency that ended last."""
    step = done.index(max(done))
    chain: list[Attempt] = []
    while step >= 0:
        rows = chains[step]
        if rows:
            last = rows[0] if len(rows) == 1 else max(rows, key=lambda row: row[-1].finished)
            chain += last[::-1]
        latest = -1
        for parent in parents[step]:
            if latest < 0 or done[parent] > done[latest]:
                latest = parent
        step = latest
    chain.reverse()
    return tuple(chain)


def throttled(execution: StepExecution) -> float | None:
    """Share of the time (0 to 1) in which the most throttled main container is; None when unknown."""
    most: float | None = None
    for c in execution.containers:
        share = c.throttled_time
        if share is not None and 0.0 <= share <= 1.0 and not c.init and (most is None or share > most):
            most = share
    return most
