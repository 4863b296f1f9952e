"""Equal steps of all definitions as one object: workflows made from one template, one for each team or data set, are most
of a large fleet, and a definition is the largest thing that is kept of each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from hashlib import blake2b

import msgspec

from concertmaster.core.model import StepSpec, WorkflowDefinition

_MIN_STEPS = 10_000  # steps: fewer are not worth looking through for those that nobody has any more


class SharedSteps:
    """The steps in use, by their content."""

    def __init__(self) -> None:
        self._known: dict[bytes, StepSpec] = {}
        self._most = _MIN_STEPS

    def share(self, definition: WorkflowDefinition) -> WorkflowDefinition:
        """The definition with steps of others where they are equal."""
        steps = tuple([self._shared(step) for step in definition.graph.steps])
        return replace(definition, graph=replace(definition.graph, steps=steps))

    def keep_only(self, definitions: Iterable[WorkflowDefinition]) -> None:
        """Forget steps that no definition has any more, now and then."""
        if len(self._known) <= self._most:
            return
        used = {id(step) for definition in definitions for step in definition.graph.steps}
        self._known = {content: step for content, step in self._known.items() if id(step) in used}
        self._most = max(_MIN_STEPS, 2 * len(self._known))

    def _shared(self, step: StepSpec) -> StepSpec:
        try:
            content = msgspec.msgpack.encode(step)
        except (TypeError, ValueError, OverflowError):  # as written may be anything, numbers of 30 digits for example
            return step
        return self._known.setdefault(blake2b(content, digest_size=16).digest(), step)
