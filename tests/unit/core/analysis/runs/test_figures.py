"""Figures of runs that earlier analyses worked out: an analysis that finds them says what one without them does."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

import pytest

from concertmaster.core.analysis.runs.figures import RunFigures
from concertmaster.core.analysis.workflow import Analysis, analyze
from concertmaster.core.model import RunRecord
from concertmaster.core.model.policy import Policy, Pricing
from concertmaster.core.pipeline import analyze_workflow
from tests.support.builders import NOW
from tests.support.core.mixed_runs import MIXES, mixed

DEAR = Policy(pricing=Pricing(cpu_core_hour=1.0, memory_gib_hour=0.5))


def said(analysis: Analysis) -> dict[str, object]:
    return {f.name: getattr(analysis, f.name) for f in dataclasses.fields(analysis) if f.compare}


@pytest.mark.parametrize("name", MIXES)
def test_an_analysis_with_known_figures_says_the_same(name: str) -> None:
    definition, runs = mixed(name)
    figures = RunFigures()
    analyze(definition, runs[:-3], now=NOW, figures=figures)
    analyze(definition, runs[2:-1], now=NOW, figures=figures)
    assert said(analyze(definition, runs, now=NOW, figures=figures)) == said(analyze(definition, runs, now=NOW))


@pytest.mark.parametrize("name", MIXES)
def test_recommendations_stay_the_same(name: str) -> None:
    definition, runs = mixed(name)
    figures = RunFigures()
    for known in (runs[:-3], runs):
        found = analyze_workflow(definition, known, Policy(), profile="p", now=NOW, figures=figures)
    alone = analyze_workflow(definition, runs, Policy(), profile="p", now=NOW)
    assert (found.recommendations, found.minor, found.insights) == (alone.recommendations, alone.minor, alone.insights)


def test_another_graph_or_price_list_is_worked_out_anew() -> None:
    definition, runs = mixed(next(iter(MIXES)))
    figures = RunFigures()
    analyze(definition, runs, now=NOW, figures=figures)
    first, *rest = definition.graph.steps
    loose = replace(
        definition, graph=replace(definition.graph, steps=(first, *(replace(s, depends_on=()) for s in rest)))
    )
    for flow, policy in ((loose, Policy()), (definition, DEAR), (loose, DEAR)):
        known = analyze(flow, runs, now=NOW, policy=policy, figures=figures)
        assert said(known) == said(analyze(flow, runs, now=NOW, policy=policy))


def test_runs_prepared_at_different_times_share_their_layout() -> None:
    definition, runs = mixed(next(iter(MIXES)))
    figures = RunFigures()
    figures.executed(runs[:8], definition.graph)
    found = figures.executed(runs, definition.graph)
    assert len({id(r.names) for r in found if r.usable}) == 1


def test_records_that_are_gone_are_forgotten() -> None:
    _, runs = mixed(next(iter(MIXES)))
    figures, made = RunFigures(), list[str]()

    def note(run: RunRecord) -> str:
        made.append(run.run)
        return run.run

    for _ in range(2):
        assert [figures.of(note, r) for r in runs[:3]] == [r.run for r in runs[:3]]
    figures.keep_only(runs[1:3])
    assert figures.of(note, runs[1]) == runs[1].run
    assert figures.of(note, runs[0]) == runs[0].run
    assert made == [runs[0].run, runs[1].run, runs[2].run, runs[0].run]
