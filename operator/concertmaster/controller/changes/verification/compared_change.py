"""A change whose runs are compared, with what is read of its workflow for that."""

from __future__ import annotations

from dataclasses import dataclass

from concertmaster.controller.changes.context import WorkflowContext
from concertmaster.controller.workflow_change import WorkflowChangeView
from concertmaster.core.changes.operations import lowered_memory, raises, written
from concertmaster.core.changes.verification.attribution import LoweredMemory
from concertmaster.core.changes.verification.before_after import BeforeAfter
from concertmaster.core.lifecycle.states import step_of
from concertmaster.core.model import ObjectKind, WorkflowDefinition
from concertmaster.engines import PATCHABLE


@dataclass(frozen=True, slots=True)
class ComparedChange:
    """A change that was ``applied`` (unix seconds) to the workflow of ``context``; ``definition``: that as it is now."""

    context: WorkflowContext
    change: WorkflowChangeView
    definition: WorkflowDefinition
    applied: float

    @property
    def lowered(self) -> LoweredMemory | None:
        """The memory requests that it lowered."""
        requests = lowered_memory(self._kind, self.change.operations("patch") or ())
        return LoweredMemory.of(requests, self.context.policy)

    @property
    def raises(self) -> bool:
        """Whether it raised an amount that runs request, or how many pods they have at a time."""
        return raises(self._kind, self.change.operations("patch") or ())

    @property
    def _kind(self) -> ObjectKind | None:
        target = self.change.target
        return PATCHABLE.get(target.kind) if target is not None else None

    def steps(self, runs: BeforeAfter) -> tuple[str, ...]:
        """The steps whose containers' fields it sets (several where a template or Task is run twice, rounds of a recursion
        included) and the one it is about; none for a change of the whole workflow."""
        graph, pointers = self.definition.graph, tuple(written(self.change.operations("patch") or ()))
        about = step_of(self.change.recommendation, [s.name for s in graph.steps])
        fields = {
            c.place
            for s in graph.steps
            for c in s.containers
            if c.resources_pointer is not None
            and c.holder == self.change.task
            and any(p.startswith(f"{c.resources_pointer}/") for p in pointers)
        }
        touched = [s.name for s in graph.steps if s.name == about or any(c.place in fields for c in s.containers)]
        seen = {e.step for run in (*runs.before, *runs.after) for e in run.steps}
        declared = ((name, graph.declaring(name)) for name in sorted(seen.difference(s.name for s in graph.steps)))
        return (*touched, *(name for name, spec in declared if spec is not None and spec.name in touched))
