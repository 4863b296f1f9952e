"""Whose run it is, for kinds of runs that define themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from concertmaster.core.model import WorkflowDefinition
from concertmaster.engines.common.names import belongs_to, generated_base
from concertmaster.engines.common.selectors import matches


def workflow_of_run(
    kind: str, name: str, labels: Mapping[str, str], candidates: Sequence[WorkflowDefinition]
) -> WorkflowDefinition | None:
    """The workflow of the run ``name``: its own object, the one it was generated from, or a runSelector that its pods'
    ``labels`` meet."""
    own = [d for d in candidates if d.key.kind == kind and d.key.name in (name, generated_base(name))]
    if own:
        return max(own, key=lambda d: len(d.key.name))
    selecting = [
        d
        for d in candidates
        if d.graph.inferred
        and d.run_kind in (None, kind)
        and (d.run_prefixes or d.run_selector)
        and (not d.run_prefixes or belongs_to(name, d.run_prefixes) is not None)
        and matches(d.run_selector, labels)
    ]
    return max(selecting, key=lambda d: len(belongs_to(name, d.run_prefixes) or ""), default=None)
