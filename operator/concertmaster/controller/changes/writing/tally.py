"""Counts of the change stage in one cycle, for /metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from concertmaster.api.conditions import ConditionType
from concertmaster.controller.workflow_change import WorkflowChangeView
from concertmaster.core.changes.reconcile import IN_FLIGHT
from concertmaster.core.changes.situation import CheckResult
from concertmaster.core.model.enums import ChangePhase, Verdict
from concertmaster.core.model.policy import PolicyRef


class RollbackReason(StrEnum):
    """Why a change was rolled back."""

    VERIFICATION = "verification"  # its verdict
    REJECTED = "rejected"  # a person rejected it while it was being verified
    DELETED = "deleted"  # a person deleted its object


@dataclass(slots=True)
class Tally:
    """Counts of one cycle. ``refused`` counts, by check, the plans that a check kept from being proposed or written,
    ``blocked`` the same by policy and by the first of the checks; ``obstacles`` are sentences on those whose object cannot
    be created, by policy; ``seconds`` are those from the write of a change to its verdict; ``unreadable`` counts entries of
    the journal, ``waiting`` rollbacks that the API server does not take. ``notes`` are sentences on writes that it does not
    take for a reason in their namespace, which is no failure of the cycle."""

    proposed: int = 0
    applied: int = 0
    conflicts: int = 0
    failed: int = 0
    verdicts: Counter[Verdict] = field(default_factory=Counter)
    restored: Counter[RollbackReason] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    in_flight: Counter[str] = field(default_factory=Counter)
    orphaned: int = 0
    unreadable: int = 0
    waiting: int = 0
    notes: list[str] = field(default_factory=list)
    blocked: dict[PolicyRef, Counter[str]] = field(default_factory=dict)
    obstacles: dict[PolicyRef, list[str]] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)

    def wait(self, note: str) -> None:
        """Count a rollback that waits for somebody."""
        self.waiting += 1
        self.notes.append(note)

    def record(self, before: WorkflowChangeView, after: WorkflowChangeView, now: float) -> None:
        """Count the outcome of a transition that was written."""
        if before.phase != after.phase:
            self.proposed += not before.phase and after.phase == ChangePhase.PROPOSED
            self.applied += after.phase == ChangePhase.VERIFYING and before.phase != ChangePhase.COMPLETED
            self.conflicts += after.phase == ChangePhase.CONFLICT
            self.failed += after.phase == ChangePhase.FAILED
        if before.verdict is None and after.verdict is not None:
            self.verdicts[after.verdict] += 1
            if before.applied is not None:
                self.seconds.append(now - before.applied)
        if after.status.get("restored") and not before.status.get("restored"):
            self.restored[RollbackReason.REJECTED if after.verdict is None else RollbackReason.VERIFICATION] += 1

    def block(self, policy: PolicyRef | None, results: Sequence[CheckResult]) -> None:
        """Count a plan that checks hold back."""
        self.refused.update(result.check for result in results)
        if policy is not None and results:
            self.blocked.setdefault(policy, Counter())[results[0].check] += 1

    def obstruct(self, policy: PolicyRef | None, why: str) -> None:
        """Record why the object of a plan cannot be created, once for plans with the same reason."""
        if policy is not None and why not in (known := self.obstacles.setdefault(policy, [])):
            known.append(why)

    def count_in_progress(self, changes: Iterable[WorkflowChangeView]) -> None:
        """Count the changes in progress, and those of them that are orphaned."""
        in_flight = [c for c in changes if c.phase in IN_FLIGHT]
        self.in_flight.update(c.phase for c in in_flight)
        self.orphaned += sum(c.is_(ConditionType.ORPHANED) is True for c in in_flight)
