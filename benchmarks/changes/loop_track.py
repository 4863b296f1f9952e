"""How fast the loop with real parts goes, and how far one of its scenarios has come."""

from __future__ import annotations

from dataclasses import dataclass, field

from benchmarks.changes.loop_scenarios import UNCHANGED, Scenario
from concertmaster.controller.workflow_change import WorkflowChangeView

_SETTLE = 2.0  # seconds: runs that start right after the change was written count for neither side


@dataclass(frozen=True, slots=True)
class Pace:
    """Parameters of a loop. ``before``: runs before the change; ``least`` and ``most``: minimum and maximum runs after
    a change that is kept; ``beside``: parallel runs of one workflow; ``active``: parallel runs of all. In seconds:
    ``scrape``; ``interval`` of the operator's cycles; ``pause`` between two polls. ``patience``: cycles the operator may
    finish before its next action; in seconds, a busy machine would read as an operator that does nothing."""

    before: int = 12
    least: int = 10
    most: int = 30
    beside: int = 3
    active: int = 60
    scrape: int = 2
    interval: int = 10
    patience: int = 15
    pause: float = 1.5


@dataclass
class Track:
    """Progress of one scenario: its submitted runs, and its change."""

    scenario: Scenario
    active: set[str] = field(default_factory=set)
    ended: int = 0
    after: int = 0
    after_ended: int = 0
    change: WorkflowChangeView | None = None
    stuck_since: int | None = None  # cycles finished by then
    given_up: bool = False

    @property
    def unchanged(self) -> bool:
        """Whether it only runs beside the others, for as long as they do."""
        return self.scenario.kind == UNCHANGED

    @property
    def applied(self) -> float | None:
        return self.change.applied if self.change is not None else None

    @property
    def verified(self) -> bool:
        return self.change is not None and self.change.verdict is not None

    def look(self, pace: Pace, going: set[str], cycles: int) -> None:
        """Update the set of unfinished runs; give up if the operator, ``cycles`` of whose have finished so far, does
        nothing although it has all it needs."""
        finished = self.active - going
        self.active -= finished
        self.ended += len(finished)
        self.after_ended = max(0, self.after - len(self.active))
        if self.unchanged:
            return
        done = self.ended >= pace.before if self.applied is None else self.after_ended >= pace.most
        stuck = done and not self.active and not self.verified
        if not stuck:
            self.stuck_since = None
        elif self.stuck_since is None:
            self.stuck_since = cycles
        self.given_up = self.stuck_since is not None and cycles - self.stuck_since > pace.patience

    def over(self, pace: Pace) -> bool:
        """Whether the scenario has ended: the change was rolled back, or there is a verdict and enough runs to measure
        it. An unchanged one keeps nobody waiting."""
        if self.unchanged:
            return True
        if self.change is None or not self.verified:
            return self.given_up
        return bool(self.change.restored) or self.after_ended >= pace.least

    def wants(self, pace: Pace, now: float) -> bool:
        """Whether to start another run now."""
        if self.unchanged:
            return not self.active
        if self.over(pace) or len(self.active) >= pace.beside:
            return False
        if self.applied is None:
            return self.ended + len(self.active) < pace.before
        if self.verified:
            return self.after < pace.least
        return now >= self.applied + _SETTLE and self.after < pace.most
