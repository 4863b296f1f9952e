"""What the stages of a cycle hand to each other: what is read of a metrics source, and what goes into an analysis and comes
out of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from concertmaster.api.conditions import ConditionUpdate, Reason
from concertmaster.api.models.profile import WorkflowProfile
from concertmaster.core.analysis.runs.figures import RunFigures
from concertmaster.core.changes.admission.nodes import UNKNOWN_NODES, Nodes
from concertmaster.core.changes.admission.service_pods import InQuotas
from concertmaster.core.changes.ledger import Ledger, LedgerEntry
from concertmaster.core.changes.verification.surroundings import OtherWorkflows
from concertmaster.core.lifecycle.history import RecommendationHistory
from concertmaster.core.model import EngineTraits, Outcome, Recommendation, RunRecord, WorkflowDefinition, WorkflowKey
from concertmaster.core.model.daily import Baseline, DailyPeaks, DailyRow, RecommendationOutcome
from concertmaster.core.model.policy import Policy
from concertmaster.core.pipeline import Environment
from concertmaster.core.rules import FleetMember
from concertmaster.report.workflow_series import Sample

Heartbeat = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class CollectionRequest:
    """What is read from one metrics source in one cycle.

    ``window_seconds`` is the longest any of the workflows looks back; ``due`` False means that only workflows never
    read before need a query (somebody created a profile between two intervals). ``now`` is unix seconds. ``min_runs`` is the
    largest number of runs that any of the workflows needs for an analysis (0: unknown).
    """

    source: str
    workflows: tuple[WorkflowDefinition, ...]
    window_seconds: float
    now: float
    due: bool = True
    min_runs: int = 0


@dataclass(frozen=True, slots=True)
class SourceReport:
    """How reading one source went.

    ``data_until``: up to when its facts are complete (unix seconds, None: never); ``complete``: the same by namespace.
    ``more``: the past is not read to its end yet, run again soon; ``unread``: the workflows concerned, with the oldest
    moment read so far (unix seconds). ``long``: that takes so long that their newest runs are worth an analysis before.
    ``missing``: series the source does not have, each a sentence with its remedy. ``query_problems``: what is wrong with
    users' own queries, by the workflow they belong to. ``unplaced``: sentences on pods that belong to no run although
    they seem to, by the workflow they seem to be of; ``namespace_unplaced``: on those that fit no single one, by
    namespace and engine, each by its reason. ``answered``: workflows of which a user's query that was slow has its answer
    now, which is not in the history before an analysis takes it. ``left_out``: sentences on metrics that are too many to
    be read, by namespace. ``nodes``: what the nodes behind the source have allocatable; ``in_quotas``: what services take
    of quotas, by namespace. ``outages``: spans (unix seconds) in which it failed or knew of no pods, or no process read
    it. ``clock_ahead``: seconds by which the operator's clock is ahead of the source's (negative: behind; 0.0: hardly
    any).
    """

    source: str
    ok: bool
    reason: Reason
    message: str
    data_until: float | None = None
    complete: Mapping[str, float] = field(default_factory=dict)
    queries: int = 0
    more: bool = False
    unread: Mapping[WorkflowKey, float] = field(default_factory=dict)
    long: bool = False
    missing: tuple[str, ...] = ()
    changed: frozenset[WorkflowKey] = frozenset()
    answered: frozenset[WorkflowKey] = frozenset()
    unassigned: Mapping[str, int] = field(default_factory=dict)
    query_problems: Mapping[WorkflowKey, str] = field(default_factory=dict)
    unplaced: Mapping[WorkflowKey, tuple[str, ...]] = field(default_factory=dict)
    namespace_unplaced: Mapping[tuple[str, EngineTraits], Mapping[str, str]] = field(default_factory=dict)
    left_out: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    nodes: Nodes = UNKNOWN_NODES
    in_quotas: Mapping[str, InQuotas] = field(default_factory=dict)
    outages: tuple[tuple[float, float], ...] = ()
    clock_ahead: float = 0.0

    def complete_until(self, namespace: str) -> float | None:
        """Up to when the facts of a namespace are complete: another one may be far behind."""
        return self.complete.get(namespace, self.data_until)

    def notes(self, key: WorkflowKey) -> tuple[str, ...]:
        """What is unusual about the metrics of a workflow, each a sentence."""
        return (*self.unplaced.get(key, ()), *self.left_out.get(key.namespace, ()))


@dataclass(frozen=True, slots=True)
class LongTermFigures:
    """Figures of an analysis that are kept when its runs are pruned."""

    rows: Sequence[DailyRow] = ()
    baseline: Baseline | None = None
    adoptions: Sequence[RecommendationOutcome] = ()
    since: int = 0  # the day from which on all largest amounts are kept
    exceptional_since: int = 0  # that from which on exceptional ones are


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
class Candidate:
    """A recommendation that sets fields. ``coverage`` is the share of the step's executions with samples,
    ``monthly_cost`` what the requests of a month cost in the policy's currency; None: unknown. ``spread`` is the
    relative standard error with which an effect on the run time can be measured."""

    recommendation: Recommendation
    coverage: float | None = None
    monthly_cost: float | None = None
    spread: float = 0.0


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
