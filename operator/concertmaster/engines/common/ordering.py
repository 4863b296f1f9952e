"""Order of steps and of attempts: cycles named, pods nobody numbered put into chains of attempts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from concertmaster.core.model import ITEM_JOIN, Outcome, StepExecution, StepSpec
from concertmaster.engines.common.manifest import Problems


def ordered_steps(steps: Mapping[str, StepSpec], problems: Problems) -> tuple[StepSpec, ...]:
    """Steps in a topological order. Unknown names and edges that close a cycle are dropped, each with a message."""
    left: dict[str, StepSpec] = {}
    for name, step in steps.items():
        for unknown in (d for d in step.depends_on if d not in steps):
            problems.add(f"step {name!r} depends on unknown step {unknown!r}")
        if name in step.depends_on:
            problems.add(f"step {name!r} depends on itself")
        left[name] = replace(step, depends_on=tuple(d for d in step.depends_on if d in steps and d != name))
    out: dict[str, StepSpec] = {}
    while left:
        ready = [s for s in left.values() if all(d in out for d in s.depends_on)]
        if not ready:
            cycle = find_cycle({n: s.depends_on for n, s in left.items()})
            problems.add(f"the graph has a cycle: {' -> '.join(cycle)}")
            step = left[cycle[0]]
            left[cycle[0]] = replace(step, depends_on=tuple(d for d in step.depends_on if d not in left))
            continue
        for step in ready:
            out[step.name] = left.pop(step.name)
    return tuple(out.values())


def find_cycle(before: Mapping[str, Sequence[str]]) -> list[str]:
    """One cycle among nodes none of which can start (each waits for another of them), first node repeated at the end."""
    name = next(iter(before))
    walk: list[str] = []
    seen: dict[str, int] = {}
    while name not in seen:
        seen[name] = len(walk)
        walk.append(name)
        name = next(b for b in before[name] if b in before)
    cycle = walk[seen[name] :]
    return [*reversed(cycle), cycle[-1]]


def pair_retries(rows: Sequence[StepExecution], item: str | None) -> list[StepExecution]:
    """Chains of attempts among pods nobody numbered, in order of creation: a pod continues the earliest chain whose
    last pod had failed (or vanished) by then, else it opens a chain. Several chains become items "0", "1" ..."""
    ordered = sorted(rows, key=lambda e: (begin(e), e.uid or ""))
    chains: list[list[StepExecution]] = []
    for e in ordered:
        open_chain = next((c for c in chains if _retried_by(c[-1], e)), None)
        if open_chain is None:
            chains.append([e])
        else:
            open_chain.append(e)
    several = len(chains) > 1
    return [
        replace(e, item=(str(n) if item is None else f"{item}{ITEM_JOIN}{n}") if several else item, attempt=a)
        for n, chain in enumerate(chains)
        for a, e in enumerate(chain)
    ]


def begin(e: StepExecution) -> float:
    """When an execution began, as well as that is known; unknown sorts last."""
    times = [t for t in (e.created, e.scheduled, e.started, e.finished) if t is not None]
    return min(times, default=float("inf"))


def _retried_by(before: StepExecution, after: StepExecution) -> bool:
    ended = before.finished is not None and before.finished <= begin(after) + 1.0
    return ended and before.outcome in (Outcome.FAILED, Outcome.UNKNOWN)
