"""Definitions inferred from pod facts, for workflows that no object declares.

They let ``concertmaster analyze`` produce useful results from recorded facts without any manifest. Runs are grouped by
the common prefix of their owners' names, steps by the template in the pods' names. A step gets an edge to another if it
began after the other had ended in every run that has both. Such a graph is marked ``inferred``: it describes what
happened, not what has to happen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from concertmaster.core import arrays as np
from concertmaster.core.arrays import Flags
from concertmaster.core.attempts import begin
from concertmaster.core.model import (
    PodFact,
    RunRecord,
    StepExecution,
    StepSpec,
    WorkflowDefinition,
    WorkflowGraph,
    WorkflowKey,
)
from concertmaster.engines.assign import assign
from concertmaster.engines.base import Engine
from concertmaster.engines.common.bounds import MAX_STEPS
from concertmaster.engines.common.executions import merge_facts
from concertmaster.engines.registry import ENGINES
from concertmaster.engines.runs import with_ready

_INFERRING = tuple(reversed(ENGINES))  # JobSets before the Jobs they consist of
_TOLERANCE = 1.0  # seconds: resolution of the timestamps
_MAX_STARTERS = 200  # steps; of more it is not examined which of them started which
_UNCONDITIONAL_SHARE = 0.9  # a step in a smaller share of the runs counts as conditional


class _Span(NamedTuple):
    """Seconds: first begin of a step in one run, start of the last of its containers, last end."""

    begin: float
    started: float
    end: float


def infer_definitions(facts: Iterable[PodFact]) -> list[WorkflowDefinition]:
    """Definitions for all pods whose workflow an engine can infer, sorted by key.

    The kind is Workflow for Argo runs, CronJob or Job for Jobs, and JobSet, Pipeline or PipelineRun where pods carry
    the respective labels. Pass them to ``assign`` together with the facts.
    """
    rows = merge_facts(facts)
    groups: dict[WorkflowKey, Engine] = {}
    for fact in rows:
        engine, key = next(((e, k) for e in _INFERRING if (k := e.infer(fact)) is not None), (None, None))
        if engine is not None and key is not None:
            groups[key] = engine
    bare = [
        WorkflowDefinition(
            key, engine.traits, WorkflowGraph(engine.inferred_steps, inferred=True), run_prefixes=(key.name,)
        )
        for key, engine in sorted(groups.items(), key=lambda kv: str(kv[0]))
    ]
    placed = assign(rows, bare).executions
    return [
        replace(d, graph=infer_graph([groups[d.key].settle(own, d) for own in placed.get(d.key, {}).values()], d))
        for d in bare
    ]


def complete(definition: WorkflowDefinition, runs: Sequence[RunRecord]) -> tuple[WorkflowDefinition, list[RunRecord]]:
    """Complete a definition that declares no graph (a runSelector, or one inferred from names) with the graph observed
    in its runs, and the runs with the ready times that follow from it. A declared graph is returned unchanged."""
    if not definition.graph.inferred or not runs:
        return definition, list(runs)
    shown = infer_graph([r.steps for r in runs], definition)
    graph = replace(definition.graph, steps=shown.steps, problems=(*definition.graph.problems, *shown.problems))
    return replace(definition, graph=graph), [replace(r, steps=tuple(with_ready(r.steps, graph))) for r in runs]


def infer_graph(settled: Sequence[Sequence[StepExecution]], definition: WorkflowDefinition) -> WorkflowGraph:
    """Steps and edges from the executions of each run, numbered by the engine. ``definition`` provides the details of its
    steps, if it has any."""
    spans = [_spans(rows) for rows in settled]
    names, left_out = _names(spans)
    before = _before(names, spans)
    if definition.engine.starts_when_ready and len(names) <= _MAX_STARTERS:
        for a, b in np.argwhere(before):
            before[a, b] = not _began_by_another(names[a], names[b], spans)
    # Edges that follow from two others say nothing: in numbers, as 2,000 steps have a billion pairs of edges.
    paths = before.astype(np.float32)
    direct = before & (paths @ paths == 0.0)
    present = {n: sum(n in run for run in spans) for n in names}
    known = {s.name: s for s in definition.graph.steps}
    steps = []
    several: set[str] = set()  # steps of which a run had more than one item
    daemons = {e.step for rows in settled for e in rows if e.serving is not None}
    suffix = definition.engine.work_suffix
    creators = {name for name in names if suffix and f"{name}{suffix}" in names}
    for rows in settled:
        of_step: dict[str, set[str | None]] = {}
        for e in rows:
            of_step.setdefault(e.step, set()).add(e.item)
        several.update(name for name, items in of_step.items() if len(items) > 1)
    for place, name in enumerate(names):
        base = known.get(name, StepSpec(name, template=name))
        steps.append(
            replace(
                base,
                depends_on=tuple(names[above] for above in np.flatnonzero(direct[:, place])),
                ordering_only=(),
                fan_out=base.fan_out or name in several,
                daemon=base.daemon or name in daemons or name in creators,
                creates=base.creates or name in creators,
                conditional=present[name] < _UNCONDITIONAL_SHARE * len(spans),
            )
        )
    problems = (f"the runs have {len(names) + left_out} steps: the {left_out} rarest are left out",) if left_out else ()
    return WorkflowGraph(steps=tuple(steps), inferred=True, problems=problems)


def _spans(rows: Iterable[StepExecution]) -> dict[str, _Span]:
    """The span of every step in one run; daemons end when they are ready. Steps whose end is unknown are left out."""
    out: dict[str, _Span] = {}
    open_ended: set[str] = set()
    for e in rows:
        first, end = begin(e), e.serving if e.serving is not None else e.finished
        if end is None or first == float("inf"):
            open_ended.add(e.step)
            continue
        started = e.started if e.started is not None else first
        known = out.get(e.step, _Span(first, started, end))
        out[e.step] = _Span(min(known.begin, first), max(known.started, started), max(known.end, end))
    return {n: span for n, span in out.items() if n not in open_ended}


def _names(spans: Sequence[Mapping[str, _Span]]) -> tuple[list[str], int]:
    """The steps in the order in which they begin, by the mean delay (seconds) after the start of their runs; and how many of
    the rarest are left out."""
    after: dict[str, list[float]] = {}
    for run in spans:
        start = min((span.begin for span in run.values()), default=0.0)
        for name, span in run.items():
            after.setdefault(name, []).append(span.begin - start)
    often = sorted(after, key=lambda name: (-len(after[name]), name))[:MAX_STEPS]
    return sorted(often, key=lambda name: (sum(after[name]) / len(after[name]), name)), len(after) - len(often)


def _before(names: Sequence[str], spans: Sequence[Mapping[str, _Span]]) -> Flags:
    """Whether step b began after step a had ended in every run that has both, of which there must be at least one; shape
    (steps, steps), by a and b."""
    places = {name: place for place, name in enumerate(names)}
    together, against = (np.zeros((len(names), len(names)), dtype=bool) for _ in range(2))
    for run in spans:
        rows = [(places[name], span) for name, span in run.items() if name in places]
        here = np.array([place for place, _ in rows], dtype=np.intp)
        begins, ends = (np.array([getattr(span, part) for _, span in rows]) for part in ("begin", "end"))
        pairs = np.ix_(here, here)
        together[pairs] = True
        against[pairs] |= (ends[:, None] > begins[None, :] + _TOLERANCE) | (begins[:, None] >= begins[None, :])
    return together & ~against


def _began_by_another(a: str, b: str, spans: Sequence[Mapping[str, _Span]]) -> bool:
    """Whether another step that ran beside ``a`` started between the end of ``a`` and the begin of ``b`` in every run that
    has both: then ``b`` waited for that start rather than for ``a``."""
    both = [run for run in spans if a in run and b in run]
    return any(
        all(c in run and run[c].begin < run[a].end < run[c].started <= run[b].begin + _TOLERANCE for run in both)
        for c in both[0].keys() - {a, b}
    )
