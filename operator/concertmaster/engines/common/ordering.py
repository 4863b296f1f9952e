"""Topological order of steps with reported cycles, and chains of attempts from unnumbered pods."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from concertmaster.core.attempts import begin
from concertmaster.core.fast_init import fast_replace
from concertmaster.core.model import ITEM_JOIN, Outcome, StepExecution, StepSpec, WorkflowDefinition
from concertmaster.engines.common.manifest import Problems

ALONE = "run"
"""The step of a run whose only pods are those that otherwise run beside its steps: they do all the work."""
TryOf = Callable[[StepExecution], str]
"""What pods of one step have in common if they are of one try of the whole run, where that is retried as a whole."""


def ordered_steps(steps: Mapping[str, StepSpec], problems: Problems) -> tuple[StepSpec, ...]:
    """Steps in topological order. Unknown names and edges that close a cycle are dropped and reported as problems."""
    left: dict[str, StepSpec] = {}
    for name, step in steps.items():
        for unknown in (d for d in step.depends_on if d not in steps):
            problems.add(f"step {name!r} depends on unknown step {unknown!r}")
        if name in step.depends_on:
            problems.add(f"step {name!r} depends on itself")
        left[name] = replace(step, depends_on=tuple(d for d in step.depends_on if d in steps and d != name))

    def broken(cycle: Sequence[str], done: Mapping[str, None]) -> None:
        problems.add(f"the graph has a cycle: {' -> '.join(cycle)}")
        step = left[cycle[0]]
        left[cycle[0]] = replace(step, depends_on=tuple(d for d in step.depends_on if d in done))

    return tuple(left[name] for name in in_order({n: s.depends_on for n, s in left.items()}, broken))


def in_order(
    before: Mapping[str, Iterable[str]], broken: Callable[[Sequence[str], Mapping[str, None]], None]
) -> list[str]:
    """Names in topological order, in linear time; names without mutual order keep their order in ``before``.

    If a cycle blocks all remaining names, its first name no longer waits for any of them: ``broken`` is called with the
    cycle, that name at both ends, and the names placed so far.
    """
    place = {name: i for i, name in enumerate(before)}
    behind: dict[str, list[str]] = {}
    waits: dict[str, int] = {}
    for name, above in before.items():
        known = {b for b in above if b in place}
        waits[name] = len(known)
        for other in known:
            behind.setdefault(other, []).append(name)
    done: dict[str, None] = {}
    left = dict.fromkeys(before)
    ready = [name for name, n in waits.items() if n == 0]
    while left:
        if not ready:
            cycle = _cycle(before, left)
            broken(cycle, done)
            ready, waits[cycle[0]] = [cycle[0]], 0
        following = []
        for name in ready:
            done[name] = None
            del left[name]
            for other in behind.get(name, ()):
                waits[other] -= 1
                if waits[other] == 0 and other in left:
                    following.append(other)
        ready = sorted(following, key=place.__getitem__)
    return list(done)


def _cycle(before: Mapping[str, Iterable[str]], left: Mapping[str, None]) -> list[str]:
    """One cycle among nodes none of which can start, as each depends on another of them; the first node is repeated at
    the end."""
    name = next(iter(left))
    walk: list[str] = []
    seen: dict[str, int] = {}
    while name not in seen:
        seen[name] = len(walk)
        walk.append(name)
        name = next(b for b in before[name] if b in left)
    cycle = walk[seen[name] :]
    return [*reversed(cycle), cycle[-1]]


def one_try(execution: StepExecution) -> str:
    """All pods are of one try."""
    return ""


def pair_retries(rows: Sequence[StepExecution], item: str | None, try_of: TryOf = one_try) -> list[StepExecution]:
    """Order unnumbered pods into chains of attempts, by time of creation: a pod continues the earliest chain whose last
    pod had failed (or vanished) by then, or is of an earlier try of the whole run, else it starts a new chain. Several
    chains become items "0", "1" ..."""
    tries: dict[str, list[StepExecution]] = {}
    for e in sorted(rows, key=lambda e: (begin(e), e.uid or "")):
        tries.setdefault(try_of(e), []).append(e)
    chains: list[list[StepExecution]] = []
    for pods in tries.values():
        ending: list[tuple[float, int]] = []  # end of the last pod of each failed chain, and the number of the chain
        ended = list(range(len(chains)))  # those that go on: of earlier tries, and failed ones that have ended by now
        for e in pods:
            while ending and ending[0][0] <= begin(e) + 1.0:
                heapq.heappush(ended, heapq.heappop(ending)[1])
            number = heapq.heappop(ended) if ended else len(chains)
            if number == len(chains):
                chains.append([])
            chains[number].append(e)
            if e.finished is not None and e.outcome in (Outcome.FAILED, Outcome.UNKNOWN):
                heapq.heappush(ending, (e.finished, number))
    several = len(chains) > 1
    return [
        fast_replace(e, item=(str(n) if item is None else f"{item}{ITEM_JOIN}{n}") if several else item, attempt=a)
        for n, chain in enumerate(chains)
        for a, e in enumerate(chain)
    ]


def settle(
    executions: Sequence[StepExecution], definition: WorkflowDefinition | None, try_of: TryOf = one_try
) -> list[StepExecution]:
    """Attempts and items as numbered by the labels; pods that the labels do not distinguish are ordered into chains."""
    groups: dict[tuple[str, str | None], list[StepExecution]] = {}
    for e in executions:
        groups.setdefault((e.step, e.item), []).append(e)
    beside = {s.name for s in definition.graph.steps if s.daemon} if definition is not None else set()
    alone = len({e.step for e in executions}) == 1  # then the containers beside the steps are the work itself
    settled: list[StepExecution] = []
    for (_, item), rows in groups.items():
        clear = len({e.attempt for e in rows}) == len(rows)
        settled += rows if clear else pair_retries(rows, item, try_of)
    return [replace(e, step=ALONE) for e in settled] if alone and executions[0].step in beside else settled
