"""Results of users' own queries, for the command line: queried once and recorded with the facts, joined to the runs
later.

The same queries the operator asks (``controller.collection.user_queries``): of steps without pods a day at a time, because a
run ended when it was first reported; of extra metrics once over the whole span.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from concertmaster.core.model import AnswerFact, StepExecution, WorkflowDefinition, WorkflowKey
from concertmaster.core.model.enums import StepQuery
from concertmaster.core.model.inputs import ExtraMetric
from concertmaster.core.model.metrics import ByRun
from concertmaster.core.units import DAY
from concertmaster.engines import from_queries

if TYPE_CHECKING:  # commands that ask nobody start without the client
    from concertmaster.prometheus.client import PrometheusClient


def ask(
    client: PrometheusClient,
    workflows: Iterable[tuple[WorkflowDefinition, Sequence[ExtraMetric]]],
    since: float,
    until: float,
) -> tuple[list[AnswerFact], list[str]]:
    """All answers of the span (unix seconds), and a sentence for each query that was refused or failed."""
    from concertmaster.prometheus.client.errors import MetricsError

    answers: list[AnswerFact] = []
    problems: dict[str, None] = {}
    for definition, metrics in workflows:
        for asked in (_steps(client, definition, since, until), _metrics(client, definition, metrics, since, until)):
            try:
                answers += asked
            except MetricsError as error:
                problems[f"{definition.key.name}: {error}"] = None
    return answers, list(problems)


def _steps(
    client: PrometheusClient, definition: WorkflowDefinition, since: float, until: float
) -> Iterator[AnswerFact]:
    """Oldest first, each run once: what is seen again was over when it was first seen."""
    from concertmaster.prometheus.collect.extra import step_values

    for step in definition.graph.steps:
        for kind in step.queries:
            seen: set[str] = set()
            begin = since
            while begin < until:
                end = min(until, begin + DAY)
                for run, value in step_values(client, definition, step, kind, begin, end).items():
                    if run not in seen:
                        seen.add(run)
                        yield _fact(definition.key, kind.value, run, value, step.name, end)
                begin = end


def _metrics(
    client: PrometheusClient, definition: WorkflowDefinition, metrics: Sequence[ExtraMetric], since: float, until: float
) -> Iterator[AnswerFact]:
    from concertmaster.prometheus.collect.extra import metric_values

    for metric in metrics:
        for (run, step), value in metric_values(client, definition, metric, until, until - since).items():
            yield _fact(definition.key, metric.name, run, value, step)


def _fact(
    key: WorkflowKey, query: str, run: str, value: float, step: str = "", seen: float | None = None
) -> AnswerFact:
    return AnswerFact(key.namespace, key.kind, key.name, query, run, value, step, seen)


def of_workflow(answers: Iterable[AnswerFact], key: WorkflowKey) -> list[AnswerFact]:
    """The answers about one workflow."""
    return [a for a in answers if (a.namespace, a.kind, a.workflow) == (key.namespace, key.kind, key.name)]


def executions(definition: WorkflowDefinition, answers: Iterable[AnswerFact]) -> dict[str, list[StepExecution]]:
    """Executions of the steps that queries report, by run."""
    kinds = {q.value: q for q in StepQuery}
    reported: dict[tuple[str, float], dict[StepQuery, dict[str, float]]] = {}
    moments: dict[tuple[str, str], float] = {}
    rows = [a for a in answers if a.query in kinds]
    for a in rows:  # all values of a run belong to the moment it was first reported
        moments[a.step, a.run] = min(moments.get((a.step, a.run), a.seen or 0.0), a.seen or 0.0)
    for a in rows:
        by_query = reported.setdefault((a.step, moments[a.step, a.run]), {})
        by_query.setdefault(kinds[a.query], {})[a.run] = a.value
    by_step: dict[str, list[StepExecution]] = {}
    for (step, seen), by_kind in reported.items():
        for run, execution in from_queries(definition, step, by_kind, seen).items():
            by_step.setdefault(run, []).append(execution)
    return by_step


def metrics(answers: Iterable[AnswerFact], declared: Sequence[ExtraMetric]) -> Mapping[ExtraMetric, ByRun]:
    """Values of extra metrics by run and step."""
    by_name = {metric.name: metric for metric in declared}
    values: dict[ExtraMetric, ByRun] = {}
    for a in answers:
        if a.query in by_name:
            values.setdefault(by_name[a.query], {}).setdefault(a.run, {})[a.step] = a.value
    return values
