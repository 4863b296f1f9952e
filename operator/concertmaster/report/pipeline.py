"""From a definition, its runs and a policy to advice: the one path that the operator and ``concertmaster analyze`` share.

Pure. Whoever calls it has read everything and writes the result.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from concertmaster.api.effective import EffectiveObjectives, EffectivePolicy, EffectivePricing, Quantiles
from concertmaster.core.analysis.data_warnings import oddities
from concertmaster.core.analysis.insights import Insights, insights
from concertmaster.core.analysis.pattern import workflow_type
from concertmaster.core.analysis.workflow import Analysis, analyze
from concertmaster.core.changes.plan import predict
from concertmaster.core.changes.prediction_error import effect_error, reserved_per_month
from concertmaster.core.lifecycle import commands
from concertmaster.core.lifecycle.implementation import fields, is_applied
from concertmaster.core.lifecycle.measured_gain import measure_of
from concertmaster.core.lifecycle.states import (
    CurrentRecommendation,
    Observation,
    RecommendationHistory,
    RelativeEffect,
    advance,
)
from concertmaster.core.model import Recommendation, RunRecord, WorkflowDefinition, WorkflowGraph
from concertmaster.core.model.options import WEIGHTS, AnalysisOptions, Budget, Objectives, Pricing, RuleSettings
from concertmaster.core.rules import DataGaps, Fleet, FleetMember, member, recommend
from concertmaster.engines import complete
from concertmaster.report import insights as told
from concertmaster.report import status_document as status
from concertmaster.report.view import View, workflow_view


@dataclass(frozen=True, slots=True)
class Advice:
    """The analysis of one workflow with its ranked recommendations, and the profile's name that commands refer to.

    ``notes``: sentences on what is odd about its objects, pods and runs. What its promises rest on: ``reserved``, what the
    requests of a month cost (None: unknown), and ``error``, the relative one with which an effect can be measured.
    """

    profile: str
    analysis: Analysis
    insights: Insights
    recommendations: tuple[Recommendation, ...]
    notes: tuple[str, ...] = ()
    reserved: float | None = None
    error: float = 0.0

    def sentences(self) -> list[str]:
        """The insights, one line each."""
        return told.sentences(self.insights, self.analysis.succeeded)

    def view(self) -> View:
        """The JSON-able view."""
        found = workflow_view(self.analysis, self.recommendations)
        return found | {"insights": told.view(self.insights), "insightSentences": self.sentences()}

    def given(self, target: Mapping[str, Any] | None = None) -> list[CurrentRecommendation]:
        """The recommendations as their lives are told: what each promises and which fields of ``target`` it sets. One
        whose fields all stand as it wants them is not given any more, whatever the runs before that still say."""
        return [
            CurrentRecommendation(
                item.id, status.words(item), self._promised(item), fields(item.edits, target) if target else ()
            )
            for item in self.recommendations
            if target is None or not is_applied(item.edits, target)
        ]

    def _promised(self, item: Recommendation) -> RelativeEffect:
        """What a recommendation promises in the measure it will be judged by."""
        measure = measure_of(item.category)
        found = predict(item, monthly_cost=self.reserved, spread=self.error)
        if found is None or found.measure != measure:
            return RelativeEffect(measure)
        return RelativeEffect(measure, found.likely, found.low, found.high)

    def status(
        self,
        *,
        policy: str | None = None,
        data_until: float | None = None,
        memory: RecommendationHistory | None = None,
        records: Mapping[str, str] | None = None,
    ) -> status.Document:
        """The status document without conditions. ``memory``: where each recommendation is in its life; without it all
        of them are new. ``records``: what is known of rules' promises, by rule."""
        key, now = self.analysis.definition.key, self.analysis.now
        memory = memory if memory is not None else advance(RecommendationHistory(), Observation(now, self.given()))
        return status.document(
            self.analysis,
            self.recommendations,
            memory,
            insights=self.sentences(),
            target=f"{key.kind}/{key.name}",
            explain={s.id: commands.explain(self.profile, key.namespace, s.id) for s in memory.standings},
            policy=policy,
            data_until=data_until,
            next_expected=next_run(self.analysis.definition, now),
            records=records,
        )


def options_of(policy: EffectivePolicy) -> AnalysisOptions:
    """The policy's analysis settings and success objective."""
    return AnalysisOptions(
        window_seconds=policy.analysis.window_seconds,
        min_runs=policy.analysis.min_runs,
        max_runs=policy.analysis.max_runs,
        min_change=policy.apply.min_change,
        success_target=policy.objectives.min_success,
        score_weights=policy.analysis.score_weights or WEIGHTS,
    )


def objectives_of(wanted: EffectiveObjectives, graph: WorkflowGraph) -> Objectives:
    """The same objectives in the core's terms. A template by type stands in for a duration nobody asked for."""
    own = wanted.duration
    kind = workflow_type(graph)
    template = wanted.duration_by_type.get(kind.value) if own == Quantiles() else None
    return Objectives(
        duration_p50=own.p50 if template is None else template,
        duration_note="" if template is None else f"template for {kind.value} workflows",
        duration_p95=own.p95,
        duration_p99=own.p99,
        queue_p95=wanted.queue_time.p95,
        min_success=wanted.min_success,
        max_step_failure=wanted.max_step_failure,
        max_cost_per_run=wanted.max_cost_per_run,
        min_throughput_per_hour=wanted.min_throughput_per_hour,
        min_cache_hit=wanted.min_cache_hit,
        target_cpu_utilization=wanted.target_cpu_utilization,
        target_memory_utilization=wanted.target_memory_utilization,
        budgets=tuple(Budget(metric, most) for metric, most in sorted(wanted.budgets.items())),
    )


def pricing_of(prices: EffectivePricing) -> Pricing:
    """The same prices in the core's terms; what has no price costs nothing."""
    return Pricing(prices.currency, prices.cpu_core_hour or 0.0, prices.memory_gib_hour or 0.0, dict(prices.units))


def next_run(definition: WorkflowDefinition, now: float) -> float | None:
    """When the schedule starts the workflow next (unix seconds); None without a schedule that can be read."""
    return next(iter(upcoming(definition, now, math.inf, most=1)), None)


def upcoming(definition: WorkflowDefinition, now: float, until: float, *, most: int = 500) -> tuple[float, ...]:
    """The starts (unix seconds) after ``now`` and not after ``until`` that the schedule tells, at most ``most`` of them."""
    if not definition.schedule or definition.suspended:
        return ()
    try:
        zone = ZoneInfo(definition.schedule_time_zone or "UTC")
    except (KeyError, ValueError, OSError):
        return ()
    due: set[float] = set()
    for line in definition.schedule.split(";"):
        try:
            starts = CronSim(line.strip(), datetime.fromtimestamp(now, tz=UTC).astimezone(zone))
            for _ in range(most):
                at = next(starts).timestamp()
                if at > until:
                    break
                due.add(at)
        except (CronSimError, StopIteration):
            continue
    return tuple(sorted(due)[:most])


def fleet_member(definition: WorkflowDefinition, runs: Sequence[RunRecord], now: float) -> FleetMember:
    """A workflow as rules that compare workflows want to see it: two weeks ahead."""
    return member(definition, runs, upcoming(definition, now, now + 14 * 86400.0))


def fleet_of(workflows: Iterable[tuple[WorkflowDefinition, Sequence[RunRecord]]], now: float) -> Fleet:
    """The workflows that share nodes."""
    return Fleet(fleet_member(d, runs, now) for d, runs in workflows)


def advise(
    definition: WorkflowDefinition,
    runs: Sequence[RunRecord],
    policy: EffectivePolicy,
    *,
    profile: str,
    now: float,
    missing: Iterable[str] = (),
    notes: Iterable[str] = (),
    fleet: Fleet | None = None,
    trust: Callable[[str], float] = lambda _: 1.0,
) -> Advice:
    """Analyse and recommend. ``missing`` is what the metrics store could not tell, ``notes`` what could not be read of
    the workflow's own objects and pods, ``fleet`` the workflows that share nodes with this one (None: rules that
    compare workflows stay silent), ``trust`` what the ledger says promises of a rule are worth here.

    A definition without a graph of its own (runs picked by name) gets the one its runs show.
    """
    definition, runs = complete(definition, runs)
    wanted = objectives_of(policy.objectives, definition.graph)
    analysis = analyze(
        definition,
        runs,
        now=now,
        options=options_of(policy),
        objectives=wanted,
        pricing=pricing_of(policy.pricing),
    )
    odd = (*oddities(definition, runs, now), *notes)
    settings = {name: RuleSettings(rule.enabled, dict(rule.settings)) for name, rule in policy.rules.items()}
    found = recommend(
        analysis,
        profile,
        settings=settings,
        gaps=DataGaps(tuple(missing), odd),
        fleet=fleet,
        wanted=wanted,
        trust=trust,
    )
    reserved, error = reserved_per_month(analysis), effect_error(analysis.runs)
    return Advice(profile, analysis, insights(analysis, wanted), tuple(found), odd, reserved, error)
