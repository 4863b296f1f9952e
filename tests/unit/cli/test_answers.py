"""Answers of users' queries on the command line: asked, recorded, and joined to the runs of their workflow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from concertmaster.cli import answers
from concertmaster.cli.commands import analyze
from concertmaster.core.model import AnswerFact, Outcome, WorkflowDefinition
from concertmaster.core.model.enums import MetricRole, Per
from concertmaster.core.model.inputs import ExtraMetric
from concertmaster.engines import define
from concertmaster.prometheus.client.errors import BadQuery
from concertmaster.prometheus.facts import facts_file

DAY = 86400.0
UNTIL = 1_760_000_000.0
TOKENS = ExtraMetric("tokens", "sum by (run, step) (t[$window])", per=Per.STEP, role=MetricRole.TOKENS)


def agent(**metrics: Any) -> dict[str, Any]:
    steps = [
        {"name": "plan", "durationQuery": "d1[$window]", "outcomeQuery": "o1[$window]"},
        {"name": "act", "dependsOn": ["plan"], "durationQuery": "d2[$window]", "outcomeQuery": "o2[$window]"},
    ]
    return {
        "apiVersion": "concertmaster.dev/v1alpha1",
        "kind": "WorkflowProfile",
        "metadata": {"name": "agent", "namespace": "ml"},
        "spec": {"graph": {"steps": steps}, **metrics},
    }


def definition() -> WorkflowDefinition:
    found = define(agent())
    assert found is not None
    return found


def test_each_query_is_asked_over_the_whole_span_and_each_run_reported_of_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, float, float]] = []

    def values(client: object, query: str, *, at: float, window: float, **_: object) -> dict[tuple[str, str], float]:
        asked.append((query, at, window))
        if query.startswith("o2"):
            raise BadQuery("no such thing", where="outcomeQuery of step act")
        step = "act" if query.startswith("sum") else ""
        return {(f"r{len(asked)}", step): 1.0, ("again", step): 2.0}

    monkeypatch.setattr("concertmaster.prometheus.collect.extra.run_values", values)
    found, problems = answers.ask(object(), [(definition(), [TOKENS])], UNTIL - 2.5 * DAY, UNTIL)  # type: ignore[arg-type]
    assert [(q, UNTIL - at) for q, at, _ in asked[:3]] == [("d1[$window]", ago * DAY) for ago in (1.5, 0.5, 0)]
    assert [a.run for a in found if (a.step, a.query) == ("plan", "durationQuery")] == ["r1", "again", "r2", "r3"]
    assert [(a.query, a.step, a.seen) for a in found[-2:]] == [("tokens", "act", None)] * 2
    assert [p.startswith("agent: ") and "no such thing" in p for p in problems] == [True]


def answer(query: str, run: str, value: float, step: str = "", seen: float | None = None) -> AnswerFact:
    return AnswerFact("ml", "WorkflowProfile", "agent", query, run, value, step, seen)


def of_run(number: int, ok: float = 1.0) -> list[AnswerFact]:
    seen, run = UNTIL - number * 3600.0, f"r{number}"
    rows = [answer("durationQuery", run, 10.0, "plan", seen), answer("durationQuery", run, 20.0, "act", seen)]
    rows += [answer("outcomeQuery", run, 1.0, "plan", seen), answer("outcomeQuery", run, ok, "act", seen + 60.0)]
    return [
        *rows,
        answer("tokens", run, 700.0, "plan"),
        answer("tokens", run, 300.0, "act"),
        answer("input", run, 5e9),
    ]


def test_steps_without_pods_and_metrics_become_runs() -> None:
    rows = answers.executions(definition(), of_run(1, ok=0.0))
    assert {e.step: (e.outcome, e.extra["duration_seconds"]) for e in rows["r1"]} == {
        "plan": (Outcome.SUCCEEDED, 10.0),
        "act": (Outcome.FAILED, 20.0),
    }
    assert answers.metrics(of_run(1), [TOKENS]) == {TOKENS: {"r1": {"plan": 700.0, "act": 300.0}}}
    assert answers.of_workflow(of_run(1), definition().key) == of_run(1)


def test_a_recorded_file_carries_them_to_the_analysis(tmp_path: Path) -> None:
    """Input sizes included: what a role says is known offline as well."""
    metrics = [
        {"name": "tokens", "role": "Tokens", "per": "Step", "query": "sum by (run, step) (t[$window])"},
        {"name": "input", "role": "InputSize", "query": "max by (run) (i[$window])"},
    ]
    file = tmp_path / "facts"
    recorded = [a for n in range(1, 9) for a in of_run(n, ok=float(n > 2))]
    header = facts_file.FactsHeader(UNTIL - DAY, UNTIL)
    facts_file.write(file, header, [agent(extraMetrics=metrics)], [], [], recorded)
    assert facts_file.read(file).answers == tuple(recorded)
    result = CliRunner().invoke(analyze.command, ["--facts", str(file), "-o", "json"], catch_exceptions=False)
    (found,) = json.loads(result.output)["workflows"]
    assert (found["runs"]["succeeded"], found["runs"]["failed"], found["successRate"]) == (6, 2, 0.75)
    assert found["makespanSeconds"]["p50"] == 30.0
