"""The workflow of a run, by names and labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from concertmaster.core.model import LabelRequirement, PodFact, WorkflowDefinition, WorkflowKey
from concertmaster.engines.common.names import belongs_to, generated_base
from concertmaster.engines.common.placing import Candidates, Context
from concertmaster.engines.common.selectors import label_value, matches


def selects_run(definition: WorkflowDefinition, kind: str, name: str, labels: Mapping[str, str]) -> bool:
    """Whether a workflow without a declared graph (a runSelector, or inferred from facts) selects the run ``name`` of
    that ``kind``, by its name and by labels of the run or its pods."""
    return _named(definition, kind, name) and matches(definition.run_selector, labels)


def _named(definition: WorkflowDefinition, kind: str, name: str) -> bool:
    return (
        definition.graph.inferred
        and definition.run_kind in (None, kind)
        and bool(definition.run_prefixes or definition.run_selector)
        and (not definition.run_prefixes or belongs_to(name, definition.run_prefixes) is not None)
    )


def nearest(name: str, definitions: Iterable[WorkflowDefinition]) -> WorkflowDefinition | None:
    """The workflow with the longest prefix among those that select the run ``name``."""
    return max(definitions, key=lambda d: len(belongs_to(name, d.run_prefixes) or ""), default=None)


def selected(kind: str, run: str, fact: PodFact, candidates: Candidates, context: Context) -> WorkflowDefinition | None:
    """The workflow without a declared graph that selects the ``run`` of a pod, or is already known to select it."""
    known = candidates.known(context.recognised.get((fact.namespace, run)))
    if known is not None and known.graph.inferred:
        return known
    return nearest(run, (d for d in candidates.inferred if selects_run(d, kind, run, fact.labels)))


def possible(kind: str, run: str, fact: PodFact, candidates: Candidates) -> tuple[WorkflowKey, ...]:
    """Workflows that may select the ``run`` of a pod, by labels that only the run itself has."""

    def may(term: LabelRequirement) -> bool:
        value = label_value(fact.labels, term.key)
        return value is None or term.met_by(value)

    return tuple(d.key for d in candidates.inferred if _named(d, kind, run) and all(map(may, d.run_selector)))


def workflow_of_run(
    kind: str, run: str, fact: PodFact, candidates: Candidates, context: Context
) -> WorkflowDefinition | None:
    """The workflow of the ``run`` of a pod: its own object, the object it was generated from, or a runSelector that
    matches the labels of its pods."""
    own = candidates.named(kind, run) or candidates.named(kind, generated_base(run))
    return own or selected(kind, run, fact, candidates, context)
