"""One workflow on the desk: its profile, policy, target, changes and facts in one cycle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from concertmaster.api.effective import EffectivePolicy
from concertmaster.api.models.profile import WorkflowRef
from concertmaster.core.ledger import Line
from concertmaster.core.model import WorkflowDefinition
from concertmaster.core.sides import Sides, foresee
from concertmaster.runtime.changes_document import Change
from concertmaster.runtime.changes_facts import FactReader
from concertmaster.runtime.scene import Scene
from concertmaster.runtime.subject import Subject


@dataclass(slots=True)
class Desk:
    """Everything about one workflow while the stage works on it: one per workflow and cycle."""

    subject: Subject
    policy: EffectivePolicy
    changes: list[Change]
    lines: Sequence[Line]
    scene: Scene
    facts: FactReader
    now: float
    data_until: float | None
    foreseen: tuple[int, str | None] | None = None

    def foresee(self, sides_: Callable[[Desk, float, float], Sides]) -> tuple[int, str | None]:
        """How many runs a change made now could be compared with, and why its proof could well miss harm (None: it would
        not). Looked up once."""
        if self.foreseen is None:
            before = sides_(self, self.now, self.policy.analysis.window_seconds).before
            verify = self.policy.apply.verify
            found = foresee(before, max(verify.min_runs, verify.max_runs))
            self.foreseen = len(before), found.warns() if found is not None else None
        return self.foreseen

    @property
    def workflow(self) -> str:
        """How the ledger calls it."""
        return f"{self.subject.entry.namespace}/{self.subject.entry.name}"

    @property
    def definition(self) -> WorkflowDefinition | None:
        """The definition as listed in this cycle."""
        return self.subject.resolved.definition

    @property
    def workflow_ref(self) -> WorkflowRef | None:
        """The object that the profile says defines the workflow."""
        return self.subject.profile.spec.workflow_ref if self.subject.profile is not None else None

    def put(self, change: Change | None) -> None:
        """Take in what a change became."""
        if change is not None:
            self.changes = [change if c.uid == change.uid else c for c in self.changes]
            if all(c.uid != change.uid for c in self.changes):
                self.changes.append(change)

    def listed(self) -> dict[str, Any] | None:
        """The target as listed in this cycle, None when it is not there."""
        ref = self.workflow_ref
        found = self.scene.targets.get(ref.kind, self.subject.entry.namespace, ref.name) if ref is not None else None
        return found.unpack() if found is not None else None

    def certainly_gone(self) -> bool:
        """Whether the target is known not to exist."""
        ref = self.workflow_ref
        space = self.subject.entry.namespace
        return ref is not None and self.scene.targets.certain(ref.api_version, ref.kind, space)
