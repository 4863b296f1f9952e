"""Everything that the objects of one run say of it, the same whether they were watched or taken from an archive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from concertmaster.core.model import WorkflowDefinition
from concertmaster.engines.inputs import with_inputs
from concertmaster.engines.live import LiveRun
from concertmaster.engines.registry import by_traits, run_kind
from concertmaster.engines.suspension import with_suspension

Raw = Mapping[str, Any]


def whole_run(
    raw: Raw, definition: WorkflowDefinition, children: Sequence[Raw], workloads: Sequence[Raw] = ()
) -> LiveRun | None:
    """The run ``raw`` of the workflow ``definition``, with its steps named as in the history, so that runs from both sources
    have the same, the sizes of its inputs, and how long it was suspended; ``workloads`` are those of Kueue. None if no
    engine reads such an object."""
    kind = run_kind(raw)
    if kind is None:
        return None
    run = kind.read(raw, children, definition.key, definition)
    record, unread = with_inputs(run.record, definition.inputs, raw, children, kind.values)
    engine = by_traits(definition.engine)
    if engine is not None:
        record = engine.as_in_history(record, definition)
    return replace(run, record=with_suspension(record, raw, workloads), problems=(*run.problems, *unread))
