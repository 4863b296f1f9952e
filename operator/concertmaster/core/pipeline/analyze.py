"""The analysis of one workflow: figures, findings of the rules, and what of them is recommended."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace

from concertmaster.core.analysis.data_warnings import data_warnings
from concertmaster.core.analysis.insights import Insights, insights
from concertmaster.core.analysis.runs.figures import RunFigures
from concertmaster.core.analysis.score import attainable
from concertmaster.core.analysis.workflow import Analysis, analyze
from concertmaster.core.changes.admission.capacity import UNBOUND, Capacity
from concertmaster.core.changes.admission.nodes import UNKNOWN_NODES, Nodes
from concertmaster.core.changes.plan import expected_change
from concertmaster.core.changes.verification.prediction_error import effect_error, reserved_per_month
from concertmaster.core.fleet.combined_gain import contributions
from concertmaster.core.lifecycle.history import RelativeEffect
from concertmaster.core.lifecycle.measured_gain import measure_of
from concertmaster.core.lifecycle.sizing_history import SizingHistory
from concertmaster.core.model import Recommendation, RunRecord, WorkflowDefinition
from concertmaster.core.model.daily import DailyPeaks, DailyRow
from concertmaster.core.model.policy import Policy
from concertmaster.core.pipeline.damping import LAGS, damp, has_enough_runs, unchanged
from concertmaster.core.rules import DataGaps, Evidence, Fleet, assessed, member, recommend


@dataclass(frozen=True, slots=True)
class AnalysisResult:
    """The analysis of one workflow with its ranked recommendations, and the profile's name used in commands.

    ``minor``: recommendations too small to be published (see ``fleet.materiality``).

    ``notes``: sentences on data warnings of its objects, pods and runs. ``monthly_cost``, the monthly cost of the requests
    (None: unknown), is a basis of predictions.
    """

    profile: str
    analysis: Analysis
    insights: Insights
    recommendations: tuple[Recommendation, ...]
    minor: tuple[Recommendation, ...] = ()
    notes: tuple[str, ...] = ()
    monthly_cost: float | None = None

    def spread(self) -> float:
        """The relative standard error with which an effect on the run time can be measured."""
        return effect_error(self.analysis.runs)

    def predicted(self, item: Recommendation) -> RelativeEffect:
        """The expected effect of a recommendation in the measure it will be judged by. The interval is that of its own
        text; the one of a verification is wider (``plan.widened``) and belongs to the change."""
        measure = measure_of(item.category)
        effect = expected_change(item, monthly_cost=self.monthly_cost)
        if effect is None or effect.measure != measure:
            return RelativeEffect(measure)
        return RelativeEffect(measure, effect.likely, effect.low, effect.high)


@dataclass(frozen=True, slots=True)
class Environment:
    """Where a workflow runs. ``gaps``: series the metrics source lacks, and parts of the workflow's objects and pods that
    could not be read; ``fleet``: the workflows that share nodes with it (None: rules that compare workflows are skipped);
    ``capacity``: of its namespace; ``blind``: spans (unix seconds) in which the metrics source was not read or saw no
    pods."""

    gaps: DataGaps = field(default_factory=DataGaps)
    fleet: Fleet | None = None
    capacity: Capacity = UNBOUND
    blind: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class EarlierAnalyses:
    """``published``: ids published by the last analysis (None: there was none); ``older``: runs of the days before the
    window, to reproduce earlier analyses; ``trust``: the ledger's factor for the predictions of a rule on this workflow;
    ``sizing``: history of sizing decisions; ``peaks`` and ``days`` (rows of runs, and of steps where runs of the
    window may be gone): of days whose runs may be gone, or that are before the window; ``rolled_back``: as in
    ``Evidence``."""

    published: Collection[str] | None = None
    older: Sequence[RunRecord] = ()
    trust: Callable[[str], float] = lambda _: 1.0
    sizing: SizingHistory = field(default_factory=SizingHistory)
    peaks: DailyPeaks = field(default_factory=DailyPeaks)
    days: Sequence[DailyRow] = ()
    rolled_back: Sequence[tuple[float, float]] = ()


def analyze_workflow(
    definition: WorkflowDefinition,
    runs: Sequence[RunRecord],
    policy: Policy,
    *,
    profile: str,
    now: float,
    environment: Environment = Environment(),
    earlier: EarlierAnalyses = EarlierAnalyses(),
    figures: RunFigures | None = None,
) -> AnalysisResult:
    """Analyse and recommend. ``definition``: with a graph (see ``engines.complete``). ``figures``: cache of earlier analyses
    of the same records."""
    figures = figures or RunFigures()
    blind = environment.blind
    analysis = analyze(definition, runs, now=now, policy=policy, figures=figures, blind=blind, days=earlier.days)
    found = data_warnings(definition, runs, now, figures, analysis.executed, blind)
    warnings = (*found, *environment.gaps.notes)
    nodes = environment.capacity.nodes
    if nodes.tainted:
        nodes = nodes.reached({e.node for run in runs for e in run.steps if e.node is not None})
    published = earlier.published
    comparable = published is not None and unchanged(definition, runs, now - max(LAGS))
    evidence = Evidence(
        analysis,
        profile,
        gaps=replace(environment.gaps, notes=warnings),
        fleet=environment.fleet,
        capacity=replace(environment.capacity, nodes=nodes),
        sizing=earlier.sizing,
        peaks=earlier.peaks,
        days=earlier.days,
        published=(published or ()) if comparable else (),
        last_published=published or (),
        rolled_back=earlier.rolled_back,
    )

    def reproduced(lag: float, ids: Collection[str]) -> list[Recommendation]:
        past = [*earlier.older, *runs]
        then = analyze(definition, past, now=now - lag, policy=policy, figures=figures, blind=blind, days=earlier.days)
        return assessed(replace(evidence, analysis=then), ids)

    def settled(recommendations: list[Recommendation]) -> list[Recommendation]:
        if published is None or not comparable:
            return recommendations
        before = [r for r in analysis.runs if (r.end or now) <= now - LAGS[0]]
        return damp(published, recommendations, reproduced, confirm=has_enough_runs(analysis.runs, before))

    recommendations = recommend(evidence, trust=earlier.trust, published=published or (), settle=settled)
    gains = [(r.id, r.gain_share.likely) for r in recommendations if not r.minor and r.gain_share is not None]
    score = attainable(analysis.score, policy.analysis.score_weights["speed"], contributions(gains))
    return AnalysisResult(
        profile,
        replace(analysis, score=score),
        insights(analysis),
        recommendations=tuple(r for r in recommendations if not r.minor),
        minor=tuple(r for r in recommendations if r.minor),
        notes=warnings,
        monthly_cost=reserved_per_month(analysis),
    )


def fleet_of(
    workflows: Iterable[tuple[WorkflowDefinition, Sequence[RunRecord]]], nodes: Nodes = UNKNOWN_NODES
) -> Fleet:
    """The workflows that share ``nodes``."""
    return Fleet(member(definition, runs, RunFigures(), nodes) for definition, runs in workflows)
