"""Replay of an executed run with a what-if: the change is applied to the pieces of the run, which are then simulated.

Every pod keeps its observed times (controller lag, scheduling, start-up, work) unless the change says otherwise; only the
order is derived again from the graph and the limits.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from statistics import median

from concertmaster.core import arrays as np
from concertmaster.core.analysis.replay.alike import AlikeRuns, ExecutedRuns, alike, ends_many
from concertmaster.core.analysis.replay.run import (
    Attempt,
    Chain,
    ExecutedRun,
    Limit,
    Piece,
    lag_parts,
    longest,
)
from concertmaster.core.analysis.replay.simulation.simulate import simulate
from concertmaster.core.analysis.replay.whatif import WhatIf
from concertmaster.core.model import in_group
from concertmaster.core.stats.robust import COMPARABLE_FACTOR, straggler_level


def replay(run: ExecutedRun, whatif: WhatIf | None = None) -> float:
    """Makespan in seconds of ``run`` with ``whatif`` applied; NaN when the run or the what-if is unusable.

    Without a what-if it reproduces the observed makespan, up to the order in which a limit admitted pods.
    """
    if whatif is None:
        return run.replayed
    return replays((run,), whatif)[0]


def replays(runs: Iterable[ExecutedRun], whatif: WhatIf) -> list[float]:
    """Makespans in seconds of many runs with the same ``whatif``; NaN wherever ``replay`` gives NaN."""
    if whatif.problem:
        return [math.nan for _ in runs]
    tables = _Tables(whatif)
    runs = runs if isinstance(runs, ExecutedRuns) else ExecutedRuns(runs)
    groups, alone = _together(runs, whatif)
    makespans = [math.nan] * len(runs)
    for k in alone:
        makespans[k] = _mixed(runs[k], whatif, tables)
    for group in groups:
        for k, seconds in zip(group.places, _changed_many(group, whatif, tables), strict=True):
            makespans[k] = seconds
    return makespans


def _together(runs: ExecutedRuns, whatif: WhatIf) -> tuple[list[AlikeRuns], list[int]]:
    """The usable runs: those that are replayed together with the what-if, and the places of those that are not."""
    if whatif.hits:
        return [], [k for k, run in enumerate(runs) if run.usable]
    if not whatif.parallelism:
        groups, few = runs.free
        return groups, [*runs.limited, *few]
    limited = [bool(_limits(run, whatif)) for run in runs]
    groups, few = alike(runs, [k for k, run in enumerate(runs) if run.usable and not limited[k]])
    return groups, [*few, *(k for k, run in enumerate(runs) if run.usable and limited[k])]


def _changed_many(group: AlikeRuns, whatif: WhatIf, tables: _Tables) -> list[float]:
    """``_changed`` of each run at once."""
    first, steps = group.runs[0], len(group.lengths)
    touched = tables.touched(first)
    begin = 0 if whatif.dropped else min(touched, default=steps)  # what comes before ends as it did
    lengths = group.lengths.copy()
    for step in touched:
        lengths[step] = _lengths(group.runs, step, tables)
    ends = ends_many(_edges(first, whatif), lengths, group.ends[:begin])
    after: list[float] = (ends.max(axis=0, initial=0.0) + group.tails).tolist()
    return after


def _lengths(runs: Sequence[ExecutedRun], step: int, tables: _Tables) -> list[float]:
    """Seconds of a changed step in each run of one layout, without waiting for a slot."""
    name = runs[0].names[step]
    if tables.joins or name in tables.capped or name in tables.batched or name in tables.splits:
        return [_length(run, step, tables) for run in runs]
    factor, cpu, wait = tables.factors(name)
    seconds = []
    for run in runs:
        chains = run.chains[step]
        if len(chains) == 1 and len(chains[0]) == 1:  # one pod: the common case
            first = chains[0][0]
            delay, held = run.pieces[step][0][0][0], lag_parts(first, run.shared_lag)[1]
            start_up = (first.pending + first.starting) * wait
            seconds.append(delay + (held + start_up) + _work(first, math.inf, factor, cpu))
        else:
            seconds.append(_length(run, step, tables))
    return seconds


def _length(run: ExecutedRun, step: int, tables: _Tables) -> float:
    """Seconds of a changed step without waiting for a slot."""
    return longest(_step(run, step, tables, {}))


def _mixed(run: ExecutedRun, whatif: WhatIf, tables: _Tables) -> float:
    if not whatif.hits:
        return _changed(run, whatif, tables, {})
    return sum([weight * _changed(run, whatif, tables, hits) for weight, hits in _mixture(run, whatif)])


class _Tables:
    """A what-if indexed by step; the last of several entries for one step applies."""

    def __init__(self, whatif: WhatIf) -> None:
        self.scales, self.cpu, self.capped = dict(whatif.scales), dict(whatif.cpu), dict(whatif.capped)
        self.batched, self.splits = dict(whatif.batched), dict(whatif.splits)
        self.start_up = dict(whatif.start_up)
        self.clean = frozenset(whatif.clean)
        self.joins = frozenset(pair for group in whatif.merged for pair in pairwise(group))
        self.everywhere = None in self.clean or None in self.start_up
        named = (
            self.scales,
            self.cpu,
            self.capped,
            self.batched,
            self.splits,
            self.start_up,
            self.clean,
            dict(whatif.hits),
        )
        self.names = {name for table in named for name in table} | {after for _, after in self.joins}
        self._caps: dict[tuple[int, str], dict[str, float]] = {}  # by run and step: a nested fan-out has many places

    def caps(self, run: ExecutedRun, name: str) -> dict[str, float]:
        """The cap on the work of an item of a step, by group of a nested fan-out."""
        key = id(run), name
        if key not in self._caps:
            self._caps[key] = _caps(run.chains_of(name), self.capped[name])
        return self._caps[key]

    def factors(self, name: str) -> tuple[float, float, float]:
        """Factors for the work, the CPU limit and the start-up of a step."""
        wait = self.start_up.get(name, self.start_up.get(None, 1.0))
        return self.scales.get(name, 1.0), self.cpu.get(name, 1.0), wait

    def touched(self, run: ExecutedRun) -> Sequence[int]:
        """Positions of the steps whose pods the what-if changes."""
        if self.everywhere:
            return range(len(run.names))
        return [place for name in self.names if name is not None for place in run.index.get(name, ())]


def _changed(run: ExecutedRun, whatif: WhatIf, tables: _Tables, hits: Mapping[str, int]) -> float:
    pieces, lengths = list(run.pieces), list(run.lengths)
    for step in tables.touched(run):
        pieces[step] = chains = tuple(_step(run, step, tables, hits))
        lengths[step] = longest(chains)
    return simulate(run.names, _edges(run, whatif), pieces, lengths, run.ranks, _limits(run, whatif)) + run.tail


def _balanced(works: Sequence[float], ratio: float) -> float:
    """The longest work of an item without stragglers: ``ratio`` times the median, or the largest that is none. Pods without
    any work, such as cache hits, say nothing."""
    worked = [work for work in works if work > 0.0]
    if not worked:
        return math.inf
    left = np.sort(np.array(worked))
    while left.size > 1 and left[-1] >= straggler_level(left[:-1]):
        left = left[:-1]
    return max(ratio * median(worked), float(left[-1]))


def _caps(chains: Iterable[Sequence[Attempt]], ratio: float) -> dict[str, float]:
    """The cap on the work of an item, by group of a nested fan-out that is not small; the same for all where each is."""
    works: dict[str, list[float]] = {}
    for chain in chains:
        works.setdefault(in_group(chain[-1].item)[0], []).append(chain[-1].work)
    if max(map(len, works.values())) < COMPARABLE_FACTOR:
        return dict.fromkeys(works, _balanced([work for group in works.values() for work in group], ratio))
    return {group: _balanced(own, ratio) for group, own in works.items() if len(own) >= COMPARABLE_FACTOR}


def _step(run: ExecutedRun, step: int, tables: _Tables, hits: Mapping[str, int]) -> list[Chain]:
    """The chains of one step with the change applied."""
    name, chains = run.names[step], run.chains[step]
    clean = None in tables.clean or name in tables.clean
    factor, cpu, wait = tables.factors(name)
    joined = bool(tables.joins) and any((run.names[before], name) in tables.joins for before in run.parents[step])
    most = tables.caps(run, name) if chains and name in tables.capped else {}
    rows: list[Chain] = [
        _chain(
            chain[-1:] if clean and not chain[-1].failed else chain,
            (pieces[0][0], lag_parts(chain[0], run.shared_lag)[1]),
            most.get(in_group(chain[-1].item)[0], math.inf),
            factor,
            cpu,
            wait,
            joined,
        )
        for chain, pieces in zip(chains, run.pieces[step], strict=True)
    ]
    if name in hits:  # hits need no pod; spread evenly so that neither short nor long items are favoured
        all_of_it = len(run.chains_of(name))
        gone = {(2 * k + 1) * all_of_it // (2 * hits[name]) for k in range(hits[name])}
        before = sum(len(run.chains[place]) for place in run.index[name] if place < step)
        rows = [row for k, row in enumerate(rows, before) if k not in gone]
    if name in tables.batched:
        rows = _batches(rows, tables.batched[name])
    if name in tables.splits:
        parts = tables.splits[name]
        rows = [tuple((d, head, work / parts) for d, head, work in row) for row in rows for _ in range(parts)]
    return rows


def _chain(
    chain: Sequence[Attempt],
    lag: tuple[float, float],
    most: float,
    factor: float,
    cpu: float,
    wait: float,
    joined: bool,
) -> tuple[Piece, ...]:
    """Attempts as changed pieces. ``lag``: of the first attempt, before and in its slot; ``most``: cap on work (seconds)."""
    out = []
    for k, a in enumerate(chain):
        work = _work(a, most, factor, cpu)
        start_up = (a.pending + a.starting) * wait
        if k:
            out.append((a.lag, start_up, work))
        else:
            out.append((0.0, 0.0, work) if joined else (lag[0], lag[1] + start_up, work))
    return tuple(out)


def _work(attempt: Attempt, most: float, factor: float, cpu: float) -> float:
    """Seconds of work of a changed attempt."""
    work = (most if most < attempt.work else attempt.work) * factor
    share = attempt.throttled_share
    return work * (1.0 - share + share / cpu) if share else work


def _batches(rows: Sequence[Chain], size: int) -> list[Chain]:
    """Chains joined ``size`` at a time. Lag and start-up of a batch are those of the pod that was as early: the first ones
    wait for nodes and pull the image, whatever they work on."""
    begins = range(0, len(rows), size)
    return [_batch(rows[begin : begin + size], rows[k][0]) for k, begin in enumerate(begins)]


def _batch(items: Sequence[Chain], first: Piece) -> Chain:
    """Items one after the other in a pod that begins as ``first`` did: where one fails, all are done again."""
    works = [chain[-1][2] for chain in items]
    (delay, head, _), attempts = first, []
    for k, chain in enumerate(items):
        for (_, _, failed), (lag, start_up, _) in pairwise(chain):
            attempts.append((delay, head, sum(works[:k]) + failed))
            delay, head = lag, start_up
    return (*attempts, (delay, head, sum(works)))


def _edges(run: ExecutedRun, whatif: WhatIf) -> Sequence[Sequence[int]]:
    """Dependencies without the dropped ones, which are replaced by the dependencies of the dropped step."""
    if not whatif.dropped:
        return run.parents
    parents: list[Sequence[int]] = list(run.parents)
    for before, after in whatif.dropped:
        dropped = frozenset(run.index.get(before, ()))
        for i in run.index.get(after, ()):
            for j in dropped.intersection(parents[i]):
                parents[i] = tuple(dict.fromkeys([*(p for p in parents[i] if p != j), *parents[j]]))
    return parents


def _limits(run: ExecutedRun, whatif: WhatIf) -> Sequence[Limit]:
    if not whatif.parallelism:
        return run.limits
    limits = list(run.limits)
    for scope, size in whatif.parallelism:
        steps = None if scope is None else frozenset((scope,))
        limits = [old for old in limits if old.kind != "parallelism" or old.steps != steps]
        if size is not None:
            limits.append(Limit(size, steps))
    return limits


def _mixture(run: ExecutedRun, whatif: WhatIf) -> list[tuple[float, dict[str, int]]]:
    """Cache hits as whole pods: (weight, hits by step) pairs whose weighted mean is the requested share."""
    mix: list[tuple[float, dict[str, int]]] = [(1.0, {})]
    for step, share in dict(whatif.hits).items():
        pods = len(run.chains_of(step))
        whole = math.floor(share * pods + 1e-9)
        rest = max(0.0, share * pods - whole)
        ways = [(1.0 - rest, whole), (rest, whole + 1)] if rest > 1e-9 else [(1.0, whole)]
        mix = [(w * v, {**hits, step: n}) for w, hits in mix for v, n in ways]
    return mix
