"""Possible dependencies between the steps of one run, in topological order: those the engine reported, else those declared.

A declared graph describes what may happen. An engine that reports the edges a run took knows more: branches of an
expression, handlers, steps created at run time, and true edges where a graph was only inferred from times.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from concertmaster.core.analysis.graph import topological_order
from concertmaster.core.analysis.replay.run import Limit
from concertmaster.core.model import RunRecord, StepSpec, WorkflowGraph

Taken = tuple[tuple[str, tuple[str, ...]], ...]
"""Steps and what each waited for, where the engine reported it."""


@dataclass(frozen=True, slots=True)
class RetriedTemplate:
    """A template of several steps that is retried as a whole: its position in node names, and the fan-outs around it."""

    path: tuple[str, ...]
    items: int


@dataclass(frozen=True, slots=True)
class Layout:
    """The steps in topological order. ``waits[i]``: positions step i may have to wait for; ``shared[i]``: how many fan-outs
    it has in common with each of them (None: not declared). ``places``: ``index`` in the form an executed run uses.
    ``retried[i]``: the template around step i that is retried as a whole; ``nested``: those with other retries in them, so
    that attempts do not number their rounds."""

    names: tuple[str, ...]
    waits: tuple[tuple[int, ...], ...]
    index: Mapping[str, int]
    limits: tuple[Limit, ...]
    problems: tuple[str, ...]
    shared: tuple[tuple[int | None, ...], ...]
    places: Mapping[str, tuple[int, ...]]
    retried: tuple[RetriedTemplate | None, ...] = ()
    nested: frozenset[RetriedTemplate] = frozenset()


def taken(run: RunRecord) -> Taken:
    """The edges of ``run`` reported by its engine, by step: the union over first attempts of what the step waited for.

    A step with a first attempt without reported edges is left out: partial edges would be worse than the declared ones.
    """
    if all(e.after is None for e in run.steps):
        return ()
    paths: dict[str, dict[str, None] | None] = {}
    for e in run.steps:
        if e.attempt:
            continue
        known = paths.setdefault(e.step, {})
        if e.after is None:
            paths[e.step] = None
        elif known is not None:
            known.update(dict.fromkeys(e.after))
    return tuple((step, tuple(after)) for step, after in paths.items() if after is not None)


def lay_out(graph: WorkflowGraph, extra: tuple[str, ...] = (), edges: Taken = ()) -> Layout:
    """The graph with ``extra`` steps that only the run has and the ``edges`` it took; edges that close a cycle are
    ignored. An exit handler without declared dependencies waits for all other steps."""
    problems = list(graph.problems)
    declared = dict(edges)
    lost = [name for name in extra if name not in declared]
    if lost and graph.steps:
        problems.append(f"the graph does not know {', '.join(lost)}: replayed at the observed start")
    specs = {spec.name: spec for spec in (*graph.steps, *(StepSpec(name) for name in extra))}
    body = tuple(name for name, spec in specs.items() if not spec.on_exit)
    before = {n: body if s.on_exit and not s.depends_on else declared.get(n, s.depends_on) for n, s in specs.items()}
    place = {name: i for i, name in enumerate(specs)}
    order = topological_order([[place[p] for p in before[n] if p in place and p != n] for n in specs])
    if order.cyclic:
        problems.append("the dependencies of the graph have a cycle, whose edges are ignored")
    plain = list(specs)
    names = tuple(plain[i] for i in (*order.order, *order.cyclic))
    index = {name: i for i, name in enumerate(names)}
    waits = tuple(
        tuple(dict.fromkeys(index[p] for p in before[n] if index.get(p, len(names)) < index[n])) for n in names
    )
    shared = tuple(
        tuple(_shared_items(specs[names[i]], specs[names[p]]) for p in above) for i, above in enumerate(waits)
    )
    places = {name: (i,) for name, i in index.items()}
    retried = tuple(_retried(specs[name]) for name in names)
    nested = frozenset(
        around
        for name, around in zip(names, retried, strict=True)
        if around is not None and sum(piece.attempts for piece in specs[name].path) > 1
    )
    return Layout(names, waits, index, _declared_limits(graph), tuple(problems), shared, places, retried, nested)


def _retried(spec: StepSpec) -> RetriedTemplate | None:
    """The innermost template around a step that the engine retries; None without one."""
    numbered = [i for i, piece in enumerate(spec.path[:-1]) if piece.attempts]
    if not numbered:
        return None
    pieces = spec.path[: numbered[-1] + 1]
    return RetriedTemplate(tuple(piece.text for piece in pieces), sum(piece.items != () for piece in pieces))


def _shared_items(one: StepSpec, other: StepSpec) -> int | None:
    """Number of fan-outs that contain both steps; None where the engine's names do not show it."""
    return one.shared_fan_outs(other) if one.path and other.path else None


def _declared_limits(graph: WorkflowGraph) -> tuple[Limit, ...]:
    whole = [Limit(graph.parallelism)] if graph.parallelism is not None and graph.parallelism > 0 else []
    own = [
        Limit(s.parallelism, frozenset((s.name,)))
        for s in graph.steps
        if s.parallelism is not None and s.parallelism > 0
    ]
    return (*whole, *own)
