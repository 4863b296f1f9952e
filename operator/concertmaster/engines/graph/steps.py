"""Step graphs declared by users in a WorkflowProfile, for engines without dedicated support.

Label selectors recognise the pods, and a pod label distinguishes the runs. The durations of steps without pods come
from queries. The declaration is validated: cycles, unknown dependencies and duplicate names are reported with the names
involved.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from concertmaster.core.model import (
    Outcome,
    PodFact,
    StepExecution,
    StepSpec,
    WorkflowDefinition,
    WorkflowGraph,
)
from concertmaster.core.model.enums import StepQuery
from concertmaster.engines.base import Engine
from concertmaster.engines.common.executions import execution
from concertmaster.engines.common.manifest import Problems, fingerprint, mapping, text
from concertmaster.engines.common.objects import KubeObject, named, texts
from concertmaster.engines.common.ordering import ordered_steps, pair_retries
from concertmaster.engines.common.placing import QUERIED, AssignedPod, Candidates, Context, Placement, UnassignedPod
from concertmaster.engines.common.selectors import label_value, matches, read_selector
from concertmaster.engines.graph.traits import GRAPH
from concertmaster.engines.labels import definition as labels
from concertmaster.engines.labels.definition import KIND

MAX_ATTEMPTS = 100  # of one step in one run: a larger result is not a plausible number of attempts


def define(raw: Mapping[str, Any], runs: Mapping[str, Engine]) -> WorkflowDefinition | None:
    """The definition of a profile with ``graph``, ``runSelector`` or ``podLabels``; None if the profile refers to an
    object. ``runs`` are the kinds of runs that can be selected, with their engines."""
    obj = KubeObject.of(raw)
    spec, problems = obj.spec, obj.problems
    if spec.get("graph") is not None:
        declared = mapping(spec["graph"], "spec.graph", problems)
        steps = _steps(declared, problems)
        run_label = text(declared.get("podRunLabel"), "spec.graph.podRunLabel", problems)
        if run_label is None and any(s.selector for s in steps):
            problems.add("spec.graph.podRunLabel is missing: pods of different runs cannot be distinguished")
        return WorkflowDefinition(
            key=obj.key(KIND),
            engine=GRAPH,
            graph=WorkflowGraph(steps=steps, problems=problems.all()),
            fingerprint=fingerprint([declared]),
            labels=obj.labels,
            run_label=run_label,
            series_run_label=text(declared.get("seriesRunLabel"), "spec.graph.seriesRunLabel", problems),
        )
    if spec.get("podLabels") is not None:
        return labels.define(raw)
    if spec.get("runSelector") is not None:
        selected = mapping(spec["runSelector"], "spec.runSelector", problems)
        kind = text(selected.get("kind"), "spec.runSelector.kind", problems) or ""
        if kind not in runs:
            problems.add(f"spec.runSelector.kind is {kind!r}; known are {', '.join(runs)}")
        prefix = text(selected.get("namePrefix"), "spec.runSelector.namePrefix", problems)
        selector = read_selector(selected, "spec.runSelector", problems)
        engine = runs.get(kind)
        known = tuple(s for s in engine.inferred_steps if s.conditional) if engine is not None else ()
        return WorkflowDefinition(
            key=obj.key(KIND),
            engine=engine.traits if engine is not None else GRAPH,
            graph=WorkflowGraph(known, inferred=True, problems=problems.all()),
            labels=obj.labels,
            run_kind=kind or None,
            run_prefixes=(prefix,) if prefix else (),
            run_selector=selector,
        )
    return None


def _steps(declared: Mapping[str, Any], problems: Problems) -> tuple[StepSpec, ...]:
    steps: dict[str, StepSpec] = {}
    for name, _, where, row in named(declared.get("steps"), "spec.graph.steps", "steps", problems):
        selector = read_selector(row.get("podSelector"), f"{where}.podSelector", problems)
        queries = {q: asked for q in StepQuery if (asked := text(row.get(q.value), f"{where}.{q.value}", problems))}
        if (
            not selector
            and StepQuery.DURATION not in queries
            and not {StepQuery.START, StepQuery.END} <= queries.keys()
        ):
            problems.add(
                f"step {name!r} has neither podSelector nor durationQuery (or startQuery and endQuery): nothing can be"
                " observed of it"
            )
        depends_on = texts(row.get("dependsOn"), f"{where}.dependsOn", problems)
        steps[name] = StepSpec(name, depends_on=depends_on, selector=selector, queries=queries)
    return ordered_steps(steps, problems)


def claims(fact: PodFact, candidates: Candidates) -> tuple[WorkflowDefinition, StepSpec] | None:
    """The workflow and its step that select a pod; None if there are none."""
    steps = ((d, s) for d in candidates.all for s in d.graph.steps)
    return next(((d, s) for d, s in steps if s.selector and matches(s.selector, fact.labels)), None)


def place(facts: Sequence[PodFact], candidates: Candidates, context: Context) -> Iterator[Placement]:
    """Assign pods that a declared graph selects."""
    for fact in facts:
        selecting = claims(fact, candidates)
        if selecting is None:
            continue
        definition, step = selecting
        run = label_value(fact.labels, definition.run_label) if definition.run_label else None
        if run is None:
            reason = "selected by a declared graph, but without the label that names its run (podRunLabel)"
            yield UnassignedPod(fact, reason, GRAPH)
        else:
            yield AssignedPod(definition.key, run, execution(fact, step.name))


Answers = Mapping[StepQuery, Mapping[str, float]]
"""Results of the queries of one step, by run."""


def from_queries(
    definition: WorkflowDefinition, step: str, answers: Answers, seen_at: float
) -> dict[str, StepExecution]:
    """Executions of a step without pods, by run.

    ``seen_at`` is the time of its queries in unix seconds, by which the step had ended. Start and finish that no query
    returns are computed when the run is built. The outcome is the result of the outcome query (above 0: succeeded);
    without such a query it is unknown.
    """
    starts, ends = answers.get(StepQuery.START, {}), answers.get(StepQuery.END, {})
    seconds = {run: ends[run] - start for run, start in starts.items() if run in ends}
    seconds |= answers.get(StepQuery.DURATION, {})
    executions: dict[str, StepExecution] = {}
    for run, value in sorted(seconds.items()):
        if not value >= 0.0:
            continue
        start, end = starts.get(run), ends.get(run)
        if start is None and end is not None:
            start = end - value
        reported = answers.get(StepQuery.OUTCOME, {}).get(run)
        extra = {"duration_seconds": float(value)}
        if (attempts := answers.get(StepQuery.ATTEMPTS, {}).get(run)) is not None:
            extra["attempts"] = attempts
        executions[run] = StepExecution(
            step=step,
            uid=f"{QUERIED}{definition.key}/{run}/{step}",
            started=start,
            finished=seen_at if start is None else start + value,
            outcome=Outcome.ENDED if reported is None else Outcome.SUCCEEDED if reported > 0 else Outcome.FAILED,
            extra=extra,
        )
    return executions


def settle(executions: Sequence[StepExecution], definition: WorkflowDefinition | None) -> list[StepExecution]:
    """Number items and attempts of pods that only a selector relates to each other, and of steps reported by
    queries."""
    groups: dict[str, list[StepExecution]] = {}
    asked: list[StepExecution] = []
    for e in executions:
        if (e.uid or "").startswith(QUERIED):
            asked += _attempts(e, definition.graph.step(e.step) if definition is not None else None)
        else:
            groups.setdefault(e.step, []).append(e)
    return [*asked, *(e for rows in groups.values() for e in pair_retries(rows, None))]


def _attempts(e: StepExecution, spec: StepSpec | None) -> Iterator[StepExecution]:
    """The execution reported by queries, preceded by its failed attempts, of which only the number is known."""
    failed = min(int(max(1.0, e.extra.get("attempts", 1.0))), MAX_ATTEMPTS) - 1
    for number in range(failed):
        yield replace(e, uid=f"{e.uid}#{number}", attempt=number, outcome=Outcome.FAILED, extra={})
    if spec is not None and StepQuery.OUTCOME not in spec.queries:
        e = replace(e, outcome=Outcome.ENDED)
    yield replace(e, attempt=failed)
