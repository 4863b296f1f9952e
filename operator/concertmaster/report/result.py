"""The result of an analysis as a status document, as the JSON-able view, and as entries of the lifecycle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from concertmaster.core.analysis.pattern import pattern, step_levels
from concertmaster.core.lifecycle import commands
from concertmaster.core.lifecycle.history import CurrentRecommendation, RecommendationHistory
from concertmaster.core.lifecycle.implementation import fields, is_applied
from concertmaster.core.lifecycle.states import Observation, advance
from concertmaster.core.pipeline import AnalysisResult
from concertmaster.core.schedule import next_run
from concertmaster.report import insights, status_document
from concertmaster.report.costs import components
from concertmaster.report.view import View, workflow_view

_SHOWN_RULES = ("data-quality", "demand-forecast")


def view(result: AnalysisResult) -> View:
    """The JSON-able view."""
    return workflow_view(result.analysis, result.recommendations, result.minor) | {
        "pattern": _pattern(result),
        "costComponents": components.view(result.analysis, result.recommendations),
        "insights": insights.view(result.insights),
        "insightSentences": _sentences(result),
    }


def _pattern(result: AnalysisResult) -> View:
    """What the graph is called, and which steps may run side by side, level by level."""
    graph = result.analysis.definition.graph
    found = pattern(graph)
    return {"name": found.value if found is not None else None, "levels": [list(level) for level in step_levels(graph)]}


def current(result: AnalysisResult, target: Mapping[str, Any] | None = None) -> list[CurrentRecommendation]:
    """The recommendations as the lifecycle takes them: what each promises and which fields of ``target`` it sets. One
    whose fields all have the proposed values already is left out, whatever earlier runs still say."""
    return [
        CurrentRecommendation(
            item.id,
            status_document.words(item, result.analysis.pricing.currency),
            result.predicted(item),
            fields(item.edits, target) if target else (),
        )
        for item in result.recommendations
        if target is None or not is_applied(item.edits, target)
    ]


def status(
    result: AnalysisResult,
    *,
    policy: str | None = None,
    data_until: float | None = None,
    memory: RecommendationHistory | None = None,
    records: Mapping[str, str] | None = None,
) -> status_document.Document:
    """The status document without conditions. ``memory``: the lifecycle of each recommendation; without it all of them
    are new. ``records``: what is known of rules' predictions, by rule."""
    key, now = result.analysis.definition.key, result.analysis.now
    memory = memory if memory is not None else advance(RecommendationHistory(), Observation(now, current(result)))
    return status_document.document(
        result.analysis,
        result.recommendations,
        memory,
        minor=result.minor,
        profile=result.profile,
        insights=_sentences(result),
        target=f"{key.kind}/{key.name}",
        explain={s.id: commands.explain(result.profile, key.namespace, s.id) for s in memory.standings},
        policy=policy,
        data_until=data_until,
        next_expected=next_run(result.analysis.definition, now),
        records=records,
    )


def _sentences(result: AnalysisResult) -> list[str]:
    """Insights, and what is no recommendation to act on but should be seen: gaps in the metrics, the busiest hour."""
    seen = [f"{item.action}: {item.because} ({item.rule})" for item in result.minor if item.rule in _SHOWN_RULES]
    return insights.sentences(result.insights, result.analysis.succeeded) + seen
