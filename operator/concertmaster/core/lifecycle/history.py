"""Earlier recommendations, and the results of those that were implemented."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from concertmaster.core.changes.ledger import LedgerEntry
from concertmaster.core.lifecycle.implementation import Field
from concertmaster.core.model.enums import RecommendationState, Verdict
from concertmaster.core.model.recommendations import rule_of


@dataclass(frozen=True, slots=True)
class RelativeEffect:
    """Relative change of one measure (Duration, Cost, Failures), negative is less; numbers None: unknown."""

    measure: str
    likely: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class CurrentRecommendation:
    """One recommendation of the current analysis. ``words``: its text in a status; ``fields``: what it sets."""

    id: str
    words: Mapping[str, Any]
    promised: RelativeEffect
    fields: tuple[Field, ...] = ()


@dataclass(frozen=True, slots=True)
class TrackedRecommendation:
    """One recommendation and its state ``since`` (unix seconds). ``dismissal``: the dismissal it was last compared with, as
    text; ``note``: further information. The ``words`` of a dismissed one are those at the time of dismissal."""

    id: str
    state: RecommendationState
    since: float
    words: Mapping[str, Any]
    promised: RelativeEffect
    fields: tuple[Field, ...] = ()
    dismissal: str | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class ImplementationResult:
    """One implementation and its result. ``since``: when it was made; ``until``: when another change of the workflow ended
    the comparable runs (unix seconds). ``undone``: it has been reverted."""

    id: str
    action: str
    by: str
    since: float
    fields: tuple[Field, ...]
    promised: RelativeEffect
    fingerprint: str | None = None
    measured: RelativeEffect | None = None
    verdict: Verdict | None = None
    judged: float | None = None
    before: int = 0
    after: int = 0
    until: float | None = None
    undone: bool = False

    @property
    def rule(self) -> str:
        """The rule that recommended it."""
        return rule_of(self.id)

    def line(self, workflow: str) -> LedgerEntry | None:
        """Its ledger line; None before a verdict."""
        if self.verdict is None or self.judged is None:
            return None
        seen = self.measured.likely if self.measured is not None else None
        p = self.promised
        return LedgerEntry(
            workflow, self.rule, self.verdict, self.judged, p.likely, seen, p.low, p.high, self.id, self.since,
            restored=self.undone,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class RecommendationHistory:
    """All tracked recommendations of one workflow: current ones first, in their order."""

    tracked: tuple[TrackedRecommendation, ...] = ()
    outcomes: tuple[ImplementationResult, ...] = ()
