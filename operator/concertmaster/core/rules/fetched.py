"""Recommendations about runs whose definition is fetched from elsewhere: a patch of the object in the cluster would not
reach them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from concertmaster.core.analysis.workflow import Analysis
from concertmaster.core.model import Finding, RunRecord, Source

FETCHED = "runs fetch their definition by"
"""Said in what is expected of a recommendation whose edits have no effect in the cluster."""
_NEWEST = 20  # runs that decide


def fetched_by(runs: Sequence[RunRecord]) -> str | None:
    """What fetches the definition of most of the newest runs (oldest first) whose origin is known; None: nothing does."""
    known = [run.fetched for run in runs if run.fetched is not None or run.source is Source.LIVE][-_NEWEST:]
    fetched = [by for by in known if by is not None]
    return fetched[-1] if 2 * len(fetched) > len(known) else None


def reachable(finding: Finding, analysis: Analysis) -> Finding:
    """``finding`` without edits of the workflow's own object where its runs do not use that. Tasks that the fetched
    definition refers to by name are those of the cluster: their edits remain."""
    own = any(edit.holder is None for edit in finding.edits)
    by = fetched_by(analysis.runs) if own else None
    if by is None:
        return finding
    key = analysis.definition.key
    why = f"{FETCHED} {by}: change it at its source, as {key.kind} {key.name} of the cluster is not what they run"
    return replace(finding, edits=(), automatic=False, expected=f"{finding.expected}; {why}")
