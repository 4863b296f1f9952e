"""Replay of an executed run with a what-if made: the change is written into the run's pieces, then simulated.

Every pod keeps what it was observed to need (controller lag, scheduling, start-up, work) unless the change says
otherwise; only the order of things follows anew from the graph and the limits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from concertmaster.core.replay.run import Attempt, Chain, ExecutedRun, Limit, Piece
from concertmaster.core.replay.simulate import chain_length, pieces_of, simulate
from concertmaster.core.replay.whatif import WhatIf

NOTHING: Chain = ((0.0, 0.0, 0.0),)


def replay(run: ExecutedRun, whatif: WhatIf | None = None) -> float:
    """Makespan in seconds of ``run`` with ``whatif`` made; NaN when the run or the what-if is unusable.

    Without a what-if it gives the observed makespan, up to the order in which a limit let pods in.
    """
    if not run.usable:
        return math.nan
    if whatif is None:
        return run.replayed
    if whatif.problem:
        return math.nan
    return sum(weight * _changed(run, whatif, hits) for weight, hits in _mixture(run, whatif))


def _changed(run: ExecutedRun, whatif: WhatIf, hits: dict[str, int]) -> float:
    pieces, lengths = list(run.pieces), list(run.lengths)
    for step in _touched(run, whatif, hits):
        pieces[step] = tuple(_step(run, step, whatif, hits))
        lengths[step] = max(map(chain_length, pieces[step]), default=0.0)
    return simulate(run.names, _edges(run, whatif), pieces, lengths, run.ranks, _limits(run, whatif)) + run.tail


def _touched(run: ExecutedRun, whatif: WhatIf, hits: dict[str, int]) -> list[int]:
    """Positions of steps whose pods change."""
    if None in whatif.clean or any(scope is None for scope, _ in whatif.start_up):
        return list(range(len(run.names)))
    pairs = (*whatif.scales, *whatif.cpu, *whatif.batched, *whatif.splits, *whatif.start_up)
    names = {*hits, *whatif.clean, *(name for name, _ in pairs), *(n for group in whatif.merged for n in group)}
    return [run.index[name] for name in names if name is not None and name in run.index]


def _step(run: ExecutedRun, step: int, whatif: WhatIf, hits: dict[str, int]) -> list[Chain]:
    """The chains of one step with the change made."""
    name, chains = run.names[step], run.chains[step]
    clean = None in whatif.clean or name in whatif.clean
    factor, cpu = _last(whatif.scales, name), _last(whatif.cpu, name)
    wait = dict(whatif.start_up).get(name, dict(whatif.start_up).get(None, 1.0))
    joined = any(after == name and run.index.get(before) in run.parents[step] for before, after in _pairs(whatif))
    rows: list[Chain] = [
        _chain(chain[-1:] if clean and not chain[-1].failed else chain, chain[0].lag, factor, cpu, wait, joined)
        for chain in chains
    ]
    for k in range(min(hits.get(name, 0), len(rows))):  # evenly spread, to favour neither short nor long items
        rows[(2 * k + 1) * len(rows) // (2 * hits[name])] = NOTHING
    if name in dict(whatif.batched):
        rows = _batches(rows, dict(whatif.batched)[name])
    if name in dict(whatif.splits):
        parts = dict(whatif.splits)[name]
        rows = [tuple((d, head, work / parts) for d, head, work in row) for row in rows for _ in range(parts)]
    return rows


def _last(pairs: Sequence[tuple[str, float]], name: str) -> float:
    return dict(pairs).get(name, 1.0)


def _pairs(whatif: WhatIf) -> list[tuple[str, str]]:
    return [pair for group in whatif.merged for pair in pairwise(group)]


def _chain(
    chain: Sequence[Attempt], lag: float, factor: float, cpu: float, wait: float, joined: bool
) -> tuple[Piece, ...]:
    """Attempts as changed pieces; ``lag`` is the first attempt's, which is no back-off."""
    out = []
    for k, (a, (delay, _, work)) in enumerate(zip(chain, pieces_of(chain), strict=True)):
        work *= factor
        if a.throttled_share:
            work *= 1.0 - a.throttled_share + a.throttled_share / cpu
        first = k == 0
        head = 0.0 if first and joined else (lag if first else 0.0) + (a.pending + a.starting) * wait
        out.append((delay, head, work))
    return tuple(out)


def _batches(rows: Sequence[Chain], size: int) -> list[Chain]:
    """Chains joined ``size`` at a time: within a batch only the first pays lag and start-up."""
    out: list[Chain] = []
    for begin in range(0, len(rows), size):
        first, *rest = rows[begin : begin + size]
        delay, head, work = first[-1]
        work += sum(chain_length(row) - row[-1][0] - row[-1][1] for row in rest)
        out.append((*first[:-1], (delay, head, work)))
    return out


def _edges(run: ExecutedRun, whatif: WhatIf) -> Sequence[Sequence[int]]:
    """Dependencies without the dropped ones; the step then waits for what the dropped one waited for."""
    parents: list[Sequence[int]] = list(run.parents)
    for before, after in whatif.dropped:
        i, j = run.index.get(after, -1), run.index.get(before, -1)
        if i >= 0 and j in parents[i]:
            parents[i] = tuple(dict.fromkeys([*(p for p in parents[i] if p != j), *parents[j]]))
    return parents


def _limits(run: ExecutedRun, whatif: WhatIf) -> Sequence[Limit]:
    limits = list(run.limits)
    for scope, size in whatif.parallelism:
        steps = None if scope is None else frozenset((scope,))
        limits = [old for old in limits if old.kind != "parallelism" or old.steps != steps]
        if size is not None:
            limits.append(Limit(size, steps))
    return limits


def _mixture(run: ExecutedRun, whatif: WhatIf) -> list[tuple[float, dict[str, int]]]:
    """Cache hits as whole pods: weights and number of hits per step whose mean is the asked share."""
    mix: list[tuple[float, dict[str, int]]] = [(1.0, {})]
    for step, share in dict(whatif.hits).items():
        pods = len(run.chains[run.index[step]]) if step in run.index else 0
        whole = math.floor(share * pods + 1e-9)
        rest = max(0.0, share * pods - whole)
        ways = [(1.0 - rest, whole), (rest, whole + 1)] if rest > 1e-9 else [(1.0, whole)]
        mix = [(w * v, {**hits, step: n}) for w, hits in mix for v, n in ways]
    return mix
