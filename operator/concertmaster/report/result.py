"""The result of an analysis as a status document, as the JSON-able view, and as entries of the lifecycle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from concertmaster.core.analysis.pattern import pattern, step_levels
from concertmaster.core.lifecycle.history import CurrentRecommendation, RecommendationHistory
from concertmaster.core.lifecycle.implementation import fields, is_applied
from concertmaster.core.lifecycle.states import Observation, advance
from concertmaster.core.pipeline import AnalysisResult
from concertmaster.report.costs import components
from concertmaster.report.status import document as status_document
from concertmaster.report.status import insights
from concertmaster.report.view import View, workflow_view


def view(result: AnalysisResult) -> View:
    """The JSON-able view."""
    return workflow_view(result.analysis, result.recommendations, result.minor) | {
        "pattern": _pattern(result),
        "costComponents": components.view(result.analysis, result.recommendations),
        "insights": insights.view(result.insights, result.analysis.causes),
        "insightSentences": insights.lines(result),
    }


def _pattern(result: AnalysisResult) -> View:
    """What the graph is called, and which steps may run side by side, level by level."""
    graph = result.analysis.definition.graph
    name = pattern(graph)
    return {"name": name.value if name is not None else None, "levels": [list(level) for level in step_levels(graph)]}


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


def first_status(result: AnalysisResult, *, policy: str | None = None) -> status_document.Document:
    """The status document of an analysis made now whose recommendations are all new."""
    now = result.analysis.now
    memory = advance(RecommendationHistory(), Observation(now, current(result)))
    return status_document.document(result, memory, policy=policy, data_until=now)
