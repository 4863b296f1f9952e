"""Discrete-event replay of one executed run, with a change made to it.

Every pod keeps what it was observed to need (controller lag, scheduling, start-up, work); only the order of things
follows anew from the graph and the limits. Without a limit that binds, one pass in topological order gives the same
result as the event loop at a fraction of its cost.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from concertmaster.core.replay.executed import Attempt, ExecutedRun, Limit
from concertmaster.core.replay.whatif import WhatIf

# (seconds before the slot is taken, seconds the slot is held) per attempt of a chain
Chain = list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is simulated: ``work[i]`` the chains of step i, ``parents[i]`` the steps it waits for, and the limits."""

    names: tuple[str, ...]
    parents: Sequence[Sequence[int]]
    work: Sequence[Sequence[Chain]]
    limits: Sequence[Limit]
    tail: float


def replay(run: ExecutedRun, whatif: WhatIf | None = None) -> float:
    """Makespan in seconds of ``run`` with ``whatif`` made; NaN when the run cannot be replayed.

    Without a what-if it reproduces the observed makespan, up to the order in which a limit let pods in.
    """
    if not run.usable or (whatif is not None and whatif.problem):
        return math.nan
    if whatif is None:
        return simulate(_plan(run, WhatIf(), {}))
    total = 0.0
    for weight, hits in _mixture(run, whatif):
        total += weight * simulate(_plan(run, whatif, hits))
    return total


def simulate(plan: Plan) -> float:
    """Makespan of a plan in seconds."""
    binding = [limit for limit in plan.limits if _could_bind(limit, plan)]
    return (_events(plan, binding) if binding else _forward(plan)) + plan.tail


def _could_bind(limit: Limit, plan: Plan) -> bool:
    pods = sum(len(w) for name, w in zip(plan.names, plan.work, strict=True) if not limit.steps or name in limit.steps)
    return pods > limit.size


def _forward(plan: Plan) -> float:
    done: list[float] = []
    for above, chains in zip(plan.parents, plan.work, strict=True):
        ready = max([done[p] for p in above]) if above else 0.0
        longest = 0.0
        for chain in chains:
            spent = 0.0
            for lag, held in chain:
                spent += lag + held
            longest = max(longest, spent)
        done.append(ready + longest)
    return max(done, default=0.0)


def _events(plan: Plan, limits: Sequence[Limit]) -> float:
    """Event loop: pods ask for their slots when their lag is over, first come first served."""
    count = len(plan.names)
    children: list[list[int]] = [[] for _ in range(count)]
    missing = [len(above) for above in plan.parents]
    for step, above in enumerate(plan.parents):
        for parent in above:
            children[parent].append(step)
    held_by = [[k for k, limit in enumerate(limits) if not limit.steps or name in limit.steps] for name in plan.names]
    free = [limit.size for limit in limits]
    left = [len(chains) for chains in plan.work]
    events: list[tuple[float, int, int, int, int, int]] = []  # time, 0 end / 1 due, number, step, chain, attempt
    waiting: list[tuple[float, int, int, int, int]] = []
    number, end = 0, 0.0

    def open_step(step: int, now: float) -> None:
        nonlocal number, end
        stack = [step]
        while stack:
            current = stack.pop()
            if left[current]:
                for c, chain in enumerate(plan.work[current]):
                    heapq.heappush(events, (now + chain[0][0], 1, number, current, c, 0))
                    number += 1
                continue
            end = max(end, now)
            for child in children[current]:
                missing[child] -= 1
                if missing[child] == 0:
                    stack.append(child)

    for step in range(count):
        if not plan.parents[step]:
            open_step(step, 0.0)
    while events:
        now, kind, _, step, c, attempt = heapq.heappop(events)
        if kind == 0:
            for k in held_by[step]:
                free[k] += 1
            if attempt + 1 < len(plan.work[step][c]):
                heapq.heappush(events, (now + plan.work[step][c][attempt + 1][0], 1, number, step, c, attempt + 1))
                number += 1
            else:
                left[step] -= 1
                if left[step] == 0:
                    open_step(step, now)
        else:
            waiting.append((now, number, step, c, attempt))
            number += 1
        if events and events[0][0] <= now:
            continue  # slots are given out once everything that happens now has happened
        still: list[tuple[float, int, int, int, int]] = []
        for position, row in enumerate(waiting):
            _, _, step, c, attempt = row
            if all(free[k] > 0 for k in held_by[step]):
                for k in held_by[step]:
                    free[k] -= 1
                heapq.heappush(events, (now + plan.work[step][c][attempt][1], 0, number, step, c, attempt))
                number += 1
            else:
                still.append(row)
                if not any(free):
                    still.extend(waiting[position + 1 :])
                    break
        waiting = still
    return end


def _mixture(run: ExecutedRun, whatif: WhatIf) -> list[tuple[float, dict[str, int]]]:
    """Cache hits as whole pods: weights and number of hits per step whose mean is the asked share."""
    mix: list[tuple[float, dict[str, int]]] = [(1.0, {})]
    for step, share in dict(whatif.hits).items():
        pods = len(run.chains[run.index[step]]) if step in run.index else 0
        whole = math.floor(share * pods + 1e-9)
        rest = max(0.0, share * pods - whole)
        ways = [(1.0 - rest, whole)] + ([(rest, whole + 1)] if rest > 1e-9 else [])
        mix = [(w * v, {**hits, step: n}) for w, hits in mix for v, n in ways]
    return mix


def _plan(run: ExecutedRun, whatif: WhatIf, hits: dict[str, int]) -> Plan:
    """The observed run with the changes written into it."""
    if whatif == WhatIf():
        work: list[list[Chain]] = [[[(a.lag, a.span) for a in c] for c in step] for step in run.chains]
        return Plan(run.names, run.parents, work, run.limits, run.tail)
    scales, cpu, waits, batched = dict(whatif.scales), dict(whatif.cpu), dict(whatif.waits), dict(whatif.batched)
    work = []
    for name, chains in zip(run.names, run.chains, strict=True):
        clean = None in whatif.clean or name in whatif.clean
        wait = waits.get(name, waits.get(None, 1.0))
        rows = [
            [_attempt(a, lag, scales.get(name, 1.0), cpu.get(name, 1.0), wait) for a, lag in _kept(chain, clean)]
            for chain in chains
        ]
        if name in hits:
            _hit(rows, hits[name])
        if name in batched:
            rows = _batches(rows, chains, batched[name])
        work.append(rows)
    for group in whatif.merged:
        _merge(run, work, group)
    return Plan(run.names, _without_edges(run, whatif), work, _limits(run, whatif), run.tail)


def _kept(chain: Sequence[Attempt], clean: bool) -> list[tuple[Attempt, float]]:
    """All attempts with their lags; or only the last, if it made it, with the first one's lag instead of a back-off."""
    return [(chain[-1], chain[0].lag)] if clean and not chain[-1].failed else [(a, a.lag) for a in chain]


def _attempt(a: Attempt, lag: float, factor: float, cpu: float, wait: float) -> tuple[float, float]:
    work = a.work * factor
    if cpu != 1.0 and a.throttled_share:
        work *= 1.0 - a.throttled_share + a.throttled_share / cpu
    return lag, (a.pending + a.starting) * wait + work


def _hit(rows: list[Chain], count: int) -> None:
    """``count`` chains, evenly spread, take no time: an order by size would favour short or long items."""
    for k in range(min(count, len(rows))):
        rows[(2 * k + 1) * len(rows) // (2 * count)] = [(0.0, 0.0)]


def _batches(rows: Sequence[Chain], chains: Sequence[Sequence[Attempt]], size: int) -> list[Chain]:
    """Chains joined ``size`` at a time: within a batch only the first pays lag and start-up."""
    out: list[Chain] = []
    for begin in range(0, len(rows), size):
        first = list(rows[begin])
        for row, chain in zip(rows[begin + 1 : begin + size], chains[begin + 1 : begin + size], strict=True):
            saved = chain[-1].pending + chain[-1].starting
            lag, held = first[-1]
            first[-1] = (
                lag,
                held + sum(chain_lag + span for chain_lag, span in row[:-1]) + max(0.0, row[-1][1] - saved),
            )
        out.append(first)
    return out


def _merge(run: ExecutedRun, work: list[list[Chain]], group: Sequence[str]) -> None:
    """Steps after the first of the group start at once in the pod of the one before."""
    for before, after in pairwise(group):
        i, j = run.index.get(after, -1), run.index.get(before, -1)
        if i < 0 or j not in run.parents[i]:
            continue
        for row, chain in zip(work[i], run.chains[i], strict=False):
            _, held = row[0]
            row[0] = (0.0, max(0.0, held - chain[-len(row)].pending - chain[-len(row)].starting))


def _without_edges(run: ExecutedRun, whatif: WhatIf) -> Sequence[Sequence[int]]:
    if not whatif.dropped:
        return run.parents
    parents = [list(above) for above in run.parents]
    for before, after in whatif.dropped:
        i, j = run.index.get(after, -1), run.index.get(before, -1)
        if i >= 0 and j in parents[i]:
            parents[i] = list(dict.fromkeys([p for p in parents[i] if p != j] + parents[j]))
    return parents


def _limits(run: ExecutedRun, whatif: WhatIf) -> list[Limit]:
    limits = list(run.limits)
    for scope, size in whatif.parallelism:
        steps = None if scope is None else frozenset((scope,))
        limits = [old for old in limits if old.steps != steps or not old.name.startswith("parallelism")]
        if size is not None:
            limits.append(Limit(size, steps, "parallelism" if scope is None else f"parallelism of {scope}"))
    return limits
