"""What goes into the analysis of one profile, and what comes out of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from concertmaster.api.conditions import ConditionUpdate
from concertmaster.api.models.profile import WorkflowProfile
from concertmaster.controller.changes.cycle import Candidate
from concertmaster.core.analysis.runs.figures import RunFigures
from concertmaster.core.changes.ledger import Ledger, LedgerEntry
from concertmaster.core.changes.verification.surroundings import OtherWorkflows
from concertmaster.core.lifecycle.history import RecommendationHistory
from concertmaster.core.model import Outcome, RunRecord, WorkflowDefinition
from concertmaster.core.model.daily import DailyPeaks, DailyRow, LongTermFigures
from concertmaster.core.model.policy import Policy
from concertmaster.core.pipeline import Environment
from concertmaster.core.rules import FleetMember
from concertmaster.report.workflow_series import Sample


@dataclass(frozen=True, slots=True)
class EarlierRecommendations:
    """What is known of a workflow's earlier recommendations. ``memory`` comes from its status; ``target`` is the object that
    defines it, last ``written_by`` whom and ``written_at`` when (unix seconds); ``ledger_entries`` are those of its own
    changes, ``verifying`` the recommendations whose change by the operator is being verified."""

    memory: RecommendationHistory = field(default_factory=RecommendationHistory)
    target: Mapping[str, Any] | None = None
    written_by: str = ""
    written_at: float | None = None
    ledger_entries: Sequence[LedgerEntry] = ()
    verifying: Collection[str] = ()
    ledger: Ledger = field(default_factory=Ledger)


@dataclass(frozen=True, slots=True)
class AnalysisRequest:
    """The input of one analysis. ``older``: runs of the days before the window, which earlier analyses saw.
    ``provisional``: older runs of the window are still being read; ``was_provisional``: so they were at the last
    analysis."""

    profile: WorkflowProfile
    policy: Policy
    definition: WorkflowDefinition
    runs: Sequence[RunRecord]
    now: float
    data_until: float | None
    environment: Environment = field(default_factory=Environment)
    past: EarlierRecommendations = field(default_factory=EarlierRecommendations)
    recorded: float = 0.0  # end of the newest run that the daily rows count
    peaks: DailyPeaks = field(default_factory=DailyPeaks)  # of days whose runs may be gone or are before the window
    days: Sequence[DailyRow] = ()  # of runs before the window, of runs and steps whose runs may be gone
    older: Sequence[RunRecord] = ()
    figures: RunFigures = field(default_factory=RunFigures)  # of the same records, from earlier analyses
    provisional: bool = False
    was_provisional: bool = False
    others: OtherWorkflows | None = None  # what people applied is compared with them; None: with nothing
    fewest_runs: int | None = None  # that any of several profiles of the workflow analyses
    cut: bool = False  # there are more finished runs than these, whose executions one analysis does not hold

    @property
    def limited(self) -> bool:
        """Whether older runs of the window may be known than these."""
        over = sum([r.outcome is not Outcome.RUNNING for r in self.runs])
        return self.cut or over >= self.policy.analysis.max_runs

    @property
    def as_of(self) -> float:
        """Until when facts are complete (unix seconds)."""
        return self.data_until if self.data_until is not None else self.now


@dataclass(frozen=True, slots=True)
class ProfileAnalysis:
    """The analysis of one profile: the status without conditions, two of its conditions, the recommendations that could
    be applied, everything as JSON (``detail``), the workflow as rules on the whole fleet see it (``member``), and whether
    other workflows matter to it (``waits``)."""

    document: Mapping[str, Any]
    ready: ConditionUpdate
    objectives: ConditionUpdate
    candidates: tuple[Candidate, ...] = ()
    detail: bytes = b""
    member: FleetMember | None = None
    waits: bool = False
    figures: LongTermFigures = field(default_factory=LongTermFigures)
    samples: tuple[Sample, ...] = ()  # of time series, where its policy asks for them
    lasts: float | None = None  # seconds after which the result differs even without new facts


Analyzer = Callable[[AnalysisRequest], ProfileAnalysis]
"""Analysis, rules and status of one workflow. May raise: the cycle keeps the old status and reports the failure."""
