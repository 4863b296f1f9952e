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
from typing import NamedTuple

from concertmaster.core import arrays as np
from concertmaster.core.analysis.graph import LONGEST
from concertmaster.core.analysis.replay.items import CLOCK_TOLERANCE, SAME_RUN
from concertmaster.core.analysis.replay.layout import Layout
from concertmaster.core.analysis.replay.run import Attempt, ExecutedRun
from concertmaster.core.analysis.replay.simulate import unlimited_many
from concertmaster.core.arrays import Floats
from concertmaster.core.model import Outcome, RunRecord, StepExecution

FULL_CLUSTER_SECONDS = 10.0  # with free capacity a scheduler binds a pod within seconds; longer means a full cluster
FEWEST = 4  # with fewer runs, one at a time is faster
_ABSENT = (Outcome.SKIPPED, Outcome.CACHED)
_attempt = partial(tuple.__new__, Attempt)  # positional; calling the class by keyword takes three times as long


class _Columns(NamedTuple):
    """One run by step; NaN, and ``source`` -1, for a step without a pod."""

    begin: list[float]
    end: list[float]
    scheduled: list[float]
    started: list[float]
    source: list[int]


def executed_at_once(runs: Sequence[RunRecord], layout: Layout) -> list[ExecutedRun | None]:
    """The executed graphs of the runs that are regular on ``layout``; None for the others."""
    none: list[ExecutedRun | None] = [None] * len(runs)
    if len(runs) < FEWEST or any(limit.size < len(limit.steps or layout.names) for limit in layout.limits):
        return none
    columns = [_columns(run, layout) for run in runs]
    regular = [k for k, column in enumerate(columns) if column is not None]
    if len(regular) < FEWEST:
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
    source = [-1] * size
    for position, e in enumerate(run.steps):
        place = index[e.step]
        if e.attempt or e.item is not None or source[place] >= 0:
            return None
        created, finished = e.created, e.finished
        if created is None or finished is None:
            if created is None and finished is None and e.outcome in _ABSENT and e.scheduled is e.started is None:
                continue
            return None
        source[place], begin[place], end[place] = position, created, finished
        if e.scheduled is not None:
            scheduled[place] = e.scheduled
        if e.started is not None:
            started[place] = e.started
    return _Columns(begin, end, scheduled, started, source)


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
    fine = present.any(axis=0) & np.isfinite(first) & np.isfinite(last) & (whole < LONGEST)
    fine &= (np.isfinite(begin) & np.isfinite(end) | ~present).all(axis=0)

    begun, finished = begin - start, end - start
    latest = begun + CLOCK_TOLERANCE
    ready, done = np.zeros_like(begun), np.zeros_like(begun)
    for step, waits in enumerate(layout.waits):
        when, here = _latest(done, waits), present[step]
        if waits:
            fine &= ~(here & (when > latest[step]))
        done[step] = np.where(here, finished[step], when)
        ready[step] = np.where(begun[step] < when, begun[step], when)
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
    order = np.argsort(np.where(present, begin, math.inf), axis=0, kind="stable")
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.arange(len(layout.names))[:, None], axis=0)

    table = [a.T.tolist() for a in (ready, lag, pending, starting, work, finished, delay, head, done, lengths, ranks)]
    of_run = [a.tolist() for a in (shared, tail, whole, replayed)]
    problems = tuple(dict.fromkeys(layout.problems))
    graphs: list[ExecutedRun | None] = []
    for k, (run, own) in enumerate(zip(runs, columns, strict=True)):
        if not fine[k]:
            graphs.append(None)
            continue
        graphs.append(_built(run, own.source, layout, problems, [rows[k] for rows in table], [v[k] for v in of_run]))
    return graphs


def _built(
    run: RunRecord,
    source: Sequence[int],
    layout: Layout,
    problems: tuple[str, ...],
    steps: Sequence[list[float]],
    of_run: Sequence[float],
) -> ExecutedRun:
    ready, lag, pending, starting, work, finished, delay, head, done, lengths, ranks = steps
    shared, tail, whole, replayed = of_run
    rows = [run.steps[at] if at >= 0 else None for at in source]
    outcomes = [Outcome.UNKNOWN if e is None else e.outcome for e in rows]
    attempts = map(
        _attempt,
        zip(
            layout.names,
            repeat(None),
            repeat(0),
            ready,
            repeat(0.0),
            lag,
            pending,
            starting,
            work,
            finished,
            [o is Outcome.FAILED for o in outcomes],
            outcomes,
            [None if e is None or not e.containers else throttled(e) for e in rows],
            source,
        ),
    )
    pieces = zip(delay, head, work, strict=True)
    if -1 in source:
        chains = tuple([((a,),) if at >= 0 else () for a, at in zip(attempts, source, strict=True)])
        parts = tuple([((p,),) if at >= 0 else () for p, at in zip(pieces, source, strict=True)])
        pods = {name: 1 for name, at in zip(layout.names, source, strict=True) if at >= 0}
    else:
        chains = tuple([((a,),) for a in attempts])
        parts = tuple([((p,),) for p in pieces])
        pods = dict.fromkeys(layout.names, 1)
    return ExecutedRun(
        run=run.run,
        names=layout.names,
        parents=layout.waits,
        chains=chains,
        done=tuple(done),
        pieces=parts,
        lengths=tuple(lengths),
        ranks=tuple(ranks),  # type: ignore[arg-type]
        pods=pods,
        index=layout.places,
        limits=layout.limits,
        shared_lag=shared,
        tail=tail,
        makespan=whole,
        replayed=replayed,
        usable=True,
        critical=critical(done, chains, layout.waits),
        problems=problems,
        suspended=run.suspension.seconds if run.suspension is not None else 0.0,
    )


def _latest(done: Floats, waits: Iterable[int]) -> Floats:
    """When the last of these steps ended, by run; 0 for no steps."""
    latest: Floats | None = None
    for step in waits:
        latest = done[step] if latest is None else np.maximum(latest, done[step])
    return np.zeros(done.shape[1]) if latest is None else latest


def _between(after: Floats, low: Floats, high: Floats) -> Floats:
    """Timestamps clamped to their pods' lives; unknown ones become ``low``."""
    inside: Floats = np.where(np.isfinite(after), np.where(after < low, low, np.where(after > high, high, after)), low)
    return inside


def critical(
    done: Sequence[float], chains: Sequence[Sequence[tuple[Attempt, ...]]], parents: Sequence[Sequence[int]]
) -> tuple[Attempt, ...]:
    """The critical chain: from the step that ended last, repeatedly to the dependency that ended last."""
    step = max(range(len(done)), key=done.__getitem__)
    chain: list[Attempt] = []
    while step >= 0:
        rows = chains[step]
        if rows:
            last = rows[0] if len(rows) == 1 else max(rows, key=lambda row: row[-1].finished)
            chain.extend(reversed(last))
        step = max(parents[step], key=done.__getitem__, default=-1)
    chain.reverse()
    return tuple(chain)


def throttled(execution: StepExecution) -> float | None:
    """Throttled share (0 to 1) of the most throttled main container; None when unknown."""
    shares = [c.throttled_share for c in execution.containers if c.throttled_share is not None and not c.init]
    return max([s for s in shares if 0.0 <= s <= 1.0], default=None) if shares else None
