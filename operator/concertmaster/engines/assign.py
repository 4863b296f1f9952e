"""Every pod in exactly one place: a step of a run of a workflow, or counted among the unassigned with the reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from concertmaster.core.model import Engine, PodFact, StepExecution, WorkflowDefinition, WorkflowKey
from concertmaster.engines.common.executions import merge_facts
from concertmaster.engines.common.ordering import begin
from concertmaster.engines.common.placing import Assignment, Context, Placed, Placement, Rejected, Unassigned
from concertmaster.engines.graph import steps as graph
from concertmaster.engines.registry import ENGINES

_EXAMPLES = 5


def assign(
    facts: Iterable[PodFact],
    definitions: Iterable[WorkflowDefinition],
    *,
    job_owners: Mapping[tuple[str, str], tuple[str, str]] | None = None,
) -> Assignment:
    """Place finished or vanished pods into runs of the given workflows.

    Idempotent and independent of the order of ``facts`` and ``definitions``; facts of one uid are merged first. A pod
    that a declared graph selects belongs to that graph, whoever owns it. ``job_owners`` maps (namespace, Job name) to
    its owner's (kind, name), where that is known. Items and attempts that need the whole run are numbered by
    ``build_run``.
    """
    known = sorted(definitions, key=lambda d: (d.key.namespace, d.key.kind, d.key.name))
    context = Context(job_owners or {})
    merged = merge_facts(facts)
    declared = [d for d in known if d.engine is Engine.GRAPH]
    picked = {f.uid for f in merged if any(graph.claims(f, d) is not None for d in declared)} if declared else set()
    placements: list[Placement] = list(graph.place([f for f in merged if f.uid in picked], declared, context))
    left: dict[str | None, list[PodFact]] = {}
    for fact in merged:
        if fact.uid not in picked:
            left.setdefault(fact.owner_kind, []).append(fact)
    for row in ENGINES:
        owned = [f for kind in row.owner_kinds for f in left.pop(kind, [])]
        if owned:
            placements += row.place(owned, [d for d in known if d.engine is row.engine], context)
    for kind, facts_left in left.items():
        reason = (
            f"owned by a {kind}, which no engine here observes" if kind else "it has no owner and no step selects it"
        )
        of = None if kind else Engine.GRAPH  # only the label of a declared graph brings such a pod here
        placements += (Rejected(f, reason, of) for f in facts_left)
    return _grouped(placements)


def _grouped(placements: Sequence[Placement]) -> Assignment:
    placed: dict[WorkflowKey, dict[str, list[StepExecution]]] = {}
    rejected: dict[str, list[str]] = {}
    strays: dict[tuple[str, Engine], dict[str, str]] = {}
    for p in placements:
        if isinstance(p, Placed):
            placed.setdefault(p.key, {}).setdefault(p.run, []).append(p.execution)
        else:
            rejected.setdefault(p.reason, []).append(f"{p.fact.namespace}/{p.fact.pod}")
            if p.of is not None:
                strays.setdefault((p.fact.namespace, p.of), {}).setdefault(p.reason, p.fact.pod)
    executions = {
        key: {
            run: tuple(sorted(rows, key=lambda e: (begin(e), e.pod or "", e.uid or "")))
            for run, rows in sorted(runs.items())
        }
        for key, runs in sorted(placed.items(), key=lambda kv: str(kv[0]))
    }
    unassigned = {
        reason: Unassigned(reason, len(pods), tuple(sorted(pods)[:_EXAMPLES]))
        for reason, pods in sorted(rejected.items())
    }
    return Assignment(executions, unassigned, strays)
