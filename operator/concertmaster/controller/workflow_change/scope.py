"""What changes of one profile may be for."""

from __future__ import annotations

from dataclasses import dataclass

from concertmaster.api.models.profile import WorkflowRef
from concertmaster.core.changes.plan import ChangeTarget
from concertmaster.core.model import TASK
from concertmaster.engines.registry import shared_by


@dataclass(frozen=True, slots=True)
class Scope:
    """What changes of one profile may be for: the object its workflowRef names, and the Tasks that one refers to (None:
    not known now)."""

    ref: WorkflowRef
    tasks: frozenset[str] | None = frozenset()

    def __str__(self) -> str:
        more = " and no Task that it refers to" if shared_by(self.ref.kind) is not None else ""
        return f"the workflow of its profile ({self.ref.kind} {self.ref.name}){more}"

    def includes(self, target: ChangeTarget, namespace: str) -> bool:
        """Whether a change of a profile in ``namespace`` may be for ``target``."""
        if target.namespace not in (None, namespace):
            return False
        if target.api_version.partition("/")[0] != self.ref.api_version.partition("/")[0]:
            return False
        if target.kind == TASK and shared_by(self.ref.kind) is not None and target.name in (self.tasks or ()):
            return True
        return (target.kind, target.name) == (self.ref.kind, self.ref.name)
