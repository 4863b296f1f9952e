"""Whose run it is, by names and labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from concertmaster.core.model import WorkflowDefinition, WorkflowKey
from concertmaster.engines.common.names import belongs_to, generated_base
from concertmaster.engines.common.placing import Candidates
from concertmaster.engines.common.selectors import label_value, matches


def selects_run(definition: WorkflowDefinition, kind: str, name: str, labels: Mapping[str, str]) -> bool:
    """Whether a workflow without a declared graph (a runSelector, or inferred from facts) selects the run ``name`` of
    that ``kind`` by its name and the labels of it or its pods."""
    return _named(definition, kind, name) and matches(definition.run_selector, labels)


def may_select_run(definition: WorkflowDefinition, kind: str, name: str, labels: Mapping[str, str]) -> bool:
    """Whether only labels that a pod with ``labels`` does not carry, but its run may, keep it from being selected."""
    return _named(definition, kind, name) and all(
        label_value(labels, term.key) is None or term.met_by(label_value(labels, term.key))
        for term in definition.run_selector
    )


def _named(definition: WorkflowDefinition, kind: str, name: str) -> bool:
    return (
        definition.graph.inferred
        and definition.run_kind in (None, kind)
        and bool(definition.run_prefixes or definition.run_selector)
        and (not definition.run_prefixes or belongs_to(name, definition.run_prefixes) is not None)
    )


def nearest(name: str, definitions: Iterable[WorkflowDefinition]) -> WorkflowDefinition | None:
    """Of the workflows that select the run ``name`` the one with the longest prefix."""
    return max(definitions, key=lambda d: len(belongs_to(name, d.run_prefixes) or ""), default=None)


def selected(
    kind: str,
    name: str,
    labels: Mapping[str, str],
    candidates: Sequence[WorkflowDefinition],
    recognised: WorkflowKey | None = None,
) -> WorkflowDefinition | None:
    """The workflow without a declared graph that selects the run ``name`` of a pod with ``labels``; ``recognised`` is the
    one that is known to."""
    known = next((d for d in candidates if d.key == recognised and d.graph.inferred), None)
    return known or nearest(name, (d for d in candidates if selects_run(d, kind, name, labels)))


def possible(
    kind: str, name: str, labels: Mapping[str, str], candidates: Sequence[WorkflowDefinition]
) -> tuple[WorkflowKey, ...]:
    """Workflows that may select the run of a pod with ``labels`` by labels only the run itself carries."""
    return tuple(d.key for d in candidates if may_select_run(d, kind, name, labels))


def workflow_of_run(
    kind: str,
    name: str,
    labels: Mapping[str, str],
    candidates: Candidates,
    recognised: WorkflowKey | None = None,
) -> WorkflowDefinition | None:
    """The workflow of the run ``name``: its own object, the one it was generated from, or a runSelector that its pods'
    ``labels`` meet."""
    own = candidates.named(kind, name) or candidates.named(kind, generated_base(name))
    return own or selected(kind, name, labels, candidates.inferred, recognised)
