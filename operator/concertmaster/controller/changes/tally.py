"""What the stage of changes did in one cycle, in numbers for /metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from concertmaster.api.conditions import ConditionType
from concertmaster.controller.workflow_change import WorkflowChangeView
from concertmaster.core.changes.reconcile import IN_FLIGHT
from concertmaster.core.model.enums import Verdict


class RollbackReason(StrEnum):
    """Why a change was taken back."""

    PROOF = "proof"  # its verdict
    REJECTED = "rejected"  # a person rejected it while it was being proven
    DELETED = "deleted"  # a person deleted its object


@dataclass(slots=True)
class Tally:
    """Counts of one cycle. ``refused`` counts, by gate, the plans that a closed gate kept from being proposed or
    written; ``seconds`` are those from the write of a change to its verdict."""

    proposed: int = 0
    applied: int = 0
    conflicts: int = 0
    failed: int = 0
    verdicts: Counter[Verdict] = field(default_factory=Counter)
    restored: Counter[RollbackReason] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    in_flight: Counter[str] = field(default_factory=Counter)
    orphaned: int = 0
    seconds: list[float] = field(default_factory=list)

    def stand(self, changes: Iterable[WorkflowChangeView]) -> None:
        """Count what is in flight, and how much of it nobody looks after any more."""
        in_flight = [c for c in changes if c.phase in IN_FLIGHT]
        self.in_flight.update(c.phase for c in in_flight)
        self.orphaned += sum(c.is_(ConditionType.ORPHANED) is True for c in in_flight)

    def verdict(self, found: Verdict, seconds: float | None) -> None:
        """A proof ended."""
        self.verdicts[found] += 1
        if seconds is not None:
            self.seconds.append(seconds)
