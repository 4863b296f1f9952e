"""From a definition, its runs and a policy to advice: the one path that the operator and ``concertmaster analyze`` share.

Pure. Whoever calls it has read everything and writes the result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from concertmaster.core.analysis.data_warnings import oddities
from concertmaster.core.analysis.insights import Insights, insights
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
from concertmaster.core.model import Recommendation, RunRecord, WorkflowDefinition
from concertmaster.core.model.policy import Policy
from concertmaster.core.rules import DataGaps, Fleet, FleetMember, member, recommend
from concertmaster.core.schedule import next_run, upcoming
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


def fleet_member(definition: WorkflowDefinition, runs: Sequence[RunRecord], now: float) -> FleetMember:
    """A workflow as rules that compare workflows want to see it: two weeks ahead."""
    return member(definition, runs, upcoming(definition, now, now + 14 * 86400.0))


def fleet_of(workflows: Iterable[tuple[WorkflowDefinition, Sequence[RunRecord]]], now: float) -> Fleet:
    """The workflows that share nodes."""
    return Fleet(fleet_member(d, runs, now) for d, runs in workflows)


def advise(
    definition: WorkflowDefinition,
    runs: Sequence[RunRecord],
    policy: Policy,
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
    analysis = analyze(definition, runs, now=now, policy=policy)
    odd = (*oddities(definition, runs, now), *notes)
    found = recommend(
        analysis,
        profile,
        gaps=DataGaps(tuple(missing), odd),
        fleet=fleet,
        trust=trust,
    )
    reserved, error = reserved_per_month(analysis), effect_error(analysis.runs)
    return Advice(profile, analysis, insights(analysis), tuple(found), odd, reserved, error)
