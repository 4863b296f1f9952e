"""The fields of a definition that limit how many pods run at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from concertmaster.core.lifecycle import commands
from concertmaster.core.model import Edit, StepSpec, WorkflowDefinition


@dataclass(frozen=True, slots=True)
class LimitScope:
    """One field that limits pods: its name, the replay limits it corresponds to, and its location."""

    about: str  # part of the id after the rule's name
    step: str | None
    name: str
    limit: int | None
    limits: tuple[str | None, ...]
    pointer: str | None
    literal: object

    def inside(self, steps: Sequence[StepSpec]) -> list[StepSpec]:
        """Those of the ``steps`` whose pods the field limits."""
        return [s for s in steps if None in self.limits or s.name in self.limits]

    def edit(self, limit: int) -> tuple[Edit, ...]:
        """The edit that sets the field; none where the definition has no place for it."""
        return () if self.pointer is None else (commands.field_edit(self.pointer, self.literal, limit),)


def limit_scopes(definition: WorkflowDefinition) -> Iterator[LimitScope]:
    """All of them, also where none is set."""
    graph, own = definition.graph, definition.key.name
    if definition.engine.single_step and len(graph.steps) == 1:
        job = graph.steps[0]
        pointer = f"{job.pointer}/parallelism" if job.pointer else None
        yield LimitScope("", None, own, graph.parallelism, (None, job.name), pointer, job.declared.get("parallelism"))
        return
    pointer, literal = graph.parallelism_pointer, definition.declared.get("parallelism", graph.parallelism)
    yield LimitScope("", None, own, graph.parallelism, (None,), pointer, literal)
    for group in graph.limits:
        wide = tuple(s.name for s in graph.steps if s.name in group.steps and s.parallelism is not None)
        if wide:
            name = group.template or wide[0]
            step = wide[0] if len(wide) == 1 else None
            yield LimitScope(
                wide[0] if len(wide) == 1 else name, step, name, group.limit, wide, group.pointer, group.limit
            )
