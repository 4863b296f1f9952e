"""Assignment of pods to workflows: every pod belongs to one step of one run, or is counted as unassigned with a
reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from operator import attrgetter

from concertmaster.core.attempts import begin
from concertmaster.core.model import EngineTraits, PodFact, StepExecution, WorkflowDefinition, WorkflowKey
from concertmaster.engines.base import Engine
from concertmaster.engines.common.executions import merge_facts
from concertmaster.engines.common.placing import (
    AssignedPod,
    Assignment,
    Candidates,
    Context,
    Placement,
    UnassignedPod,
)
from concertmaster.engines.graph.traits import GRAPH
from concertmaster.engines.registry import ENGINES

_NO_WORKFLOW = ""
_NONE = Candidates(())
_SELECTING = tuple(e for e in reversed(ENGINES) if e.selects is not None)  # graphs declared by users take precedence
_OF_OWNER = {kind: e.name for e in reversed(ENGINES) for kind in e.owner_kinds}


def assign(
    facts: Iterable[PodFact],
    definitions: Iterable[WorkflowDefinition],
    *,
    job_owners: Mapping[tuple[str, str], tuple[str, str]] | None = None,
    recognised: Mapping[tuple[str, str], WorkflowKey] | None = None,
) -> Assignment:
    """Assign terminated or vanished pods to runs of the given workflows.

    Idempotent and independent of the order of ``facts`` and ``definitions``; facts of one uid are merged first. A pod
    selected by a declared graph belongs to that graph, whoever owns it. ``job_owners`` maps (namespace, Job name) to
    (kind, name) of the owner, where known. ``recognised`` maps (namespace, run) to the workflow that other pods of the
    run were assigned to, so that the result does not depend on which pods are passed together. Items and attempts that
    can only be numbered from the whole run are numbered by ``RunBuilder``.
    """
    merged = merge_facts(facts)
    places = {fact.namespace for fact in merged}
    within = [d for d in definitions if d.key.namespace in places]
    known = sorted(within, key=lambda d: (d.key.namespace, d.key.kind, d.key.name))
    context = Context(job_owners or {}, recognised or {})
    local: dict[tuple[str, str], list[WorkflowDefinition]] = {}  # by engine and namespace: no pod is of another one's
    for definition in known:
        local.setdefault((definition.engine.name, definition.key.namespace), []).append(definition)
    candidates = {place: Candidates(definitions) for place, definitions in local.items()}
    groups: dict[str, dict[str, list[PodFact]]] = {}  # by engine and namespace
    for namespace, facts_of in groupby(merged, key=attrgetter("namespace")):
        selecting = [
            (e, candidates.get((e.name, namespace), _NONE))
            for e in _SELECTING
            if (e.name, namespace) in candidates or not e.selects_declared
        ]
        for fact in facts_of:
            groups.setdefault(_engine_of(fact, selecting, context), {}).setdefault(namespace, []).append(fact)
    placements: list[Placement] = []
    for engine in ENGINES:
        for namespace, rows in groups.get(engine.name, {}).items():
            placements += engine.place(rows, candidates.get((engine.name, namespace), _NONE), context)
    placements += [_rejected(fact) for rows in groups.get(_NO_WORKFLOW, {}).values() for fact in rows]
    return _grouped(placements, known)


def _engine_of(fact: PodFact, selecting: Iterable[tuple[Engine, Candidates]], context: Context) -> str:
    """Name of the engine that assigns a pod: the most specific one that selects it, with its definitions in the pod's
    namespace, else the one of its owner's kind."""
    for engine, candidates in selecting:
        if engine.selects is not None and engine.selects(fact, candidates, context):
            return engine.name
    return _OF_OWNER.get(fact.owner_kind or "", _NO_WORKFLOW)


def _rejected(fact: PodFact) -> UnassignedPod:
    if fact.owner_kind:
        # Anybody may invent kinds of owners, and each reason is a series of the operator's metrics.
        return UnassignedPod(fact, "owned by an object of a kind which no engine here observes")
    # Only the label of a declared graph routes such a pod here.
    return UnassignedPod(fact, "it has no owner and no step selects it", GRAPH)


def _grouped(placements: Sequence[Placement], known: Sequence[WorkflowDefinition]) -> Assignment:
    """See ``Assignment``."""
    neighbours: dict[tuple[str, EngineTraits], list[WorkflowKey]] = {}
    for definition in known:
        neighbours.setdefault((definition.key.namespace, definition.engine), []).append(definition.key)
    placed: dict[WorkflowKey, dict[str, list[StepExecution]]] = {}
    rejected = Counter[str]()
    unplaced: dict[WorkflowKey, dict[str, str]] = {}
    unattributed: dict[tuple[str, EngineTraits], dict[str, str]] = {}
    undecided: list[PodFact] = []
    for p in placements:
        if isinstance(p, AssignedPod):
            placed.setdefault(p.key, {}).setdefault(p.run, []).append(p.execution)
        else:
            rejected[p.reason] += 1
            for key in p.near if p.of is not None else ():
                unplaced.setdefault(key, {}).setdefault(p.reason, p.fact.pod)
            if p.near:
                undecided.append(p.fact)
            elif p.of is not None:
                place = (p.fact.namespace, p.of)
                keys = neighbours.get(place, [])
                reasons = unplaced.setdefault(keys[0], {}) if len(keys) == 1 else unattributed.setdefault(place, {})
                reasons.setdefault(p.reason, p.fact.pod)
    executions = {
        key: {
            run: tuple(sorted(rows, key=lambda e: (begin(e), e.pod or "", e.uid or "")))
            for run, rows in sorted(runs.items())
        }
        for key, runs in sorted(placed.items(), key=lambda kv: str(kv[0]))
    }
    return Assignment(executions, dict(sorted(rejected.items())), unplaced, unattributed, tuple(undecided))
