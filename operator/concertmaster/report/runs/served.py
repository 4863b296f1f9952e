"""The newest runs of a workflow as the operator serves them, and read back from that."""

from __future__ import annotations

from typing import Any

import msgspec

from concertmaster.api.views.runs import PodRow, RecentRuns, RunView, TimeSplitView
from concertmaster.core.analysis.replay import TimeSplit
from concertmaster.core.analysis.runs.comparison import ObservedRun, typical_run
from concertmaster.core.analysis.workflow import Analysis
from concertmaster.core.model import ContainerFact, RunRecord, StepExecution, WorkflowKey
from concertmaster.core.times import parse_time
from concertmaster.report.runs.graph import graph_view
from concertmaster.report.runs.views import RunHistory, run_view

SERVED = 10  # newest runs
PODS = 60  # of one run, besides its critical path


def recent_runs(analysis: Analysis) -> dict[str, Any]:
    """The newest runs of an analysis and its typical one, as JSON."""
    usual = typical_run(analysis.runs)
    newest = analysis.runs[-SERVED - 1 :]  # one more: what changed since the run before
    chosen = newest if usual is None or usual in newest else (usual, *newest)
    good = [r for r in analysis.runs if r.outcome.timed and r.makespan is not None]
    known = dict(zip((r.run for r in good), analysis.executed, strict=True))
    history = RunHistory.of(analysis.definition, chosen, analysis.pricing, known)
    names = [r.run for r in newest[-SERVED:]] + ([usual.run] if usual is not None else [])
    places = [i for i in reversed(range(len(history.runs))) if history.runs[i].run in names]
    recent = RecentRuns(
        currency=analysis.pricing.currency,
        typical=usual.run if usual is not None else None,
        runs=(),
        series=tuple(
            (round(r.end or 0.0), round(r.makespan, 1), r.outcome) for r in analysis.runs if r.makespan is not None
        ),
    )
    made = recent.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"graph"})
    # Here null has a meaning (items known at run time only); what is as usual is left out: graphs have hundreds of steps.
    graph = graph_view(analysis.definition.graph).model_dump(mode="json", by_alias=True, exclude_defaults=True)
    runs = [msgspec.json.decode(_view(analysis, history, i)) for i in places]
    return {**made, "runs": runs, "graph": graph}


def _view(analysis: Analysis, history: RunHistory, at: int) -> str:
    """The run at that position as JSON, a tenth of the model's size in memory; of its neighbours only the one before it
    matters."""

    def make() -> str:
        return run_view(history, at, most_pods=PODS).model_dump_json(by_alias=True, exclude_none=True)

    own = history.runs[max(0, at - 1) : at + 1]
    return analysis.figures.of_all(("view", history.runs[at].run), own, make)


def observed(key: WorkflowKey, view: RunView) -> ObservedRun:
    """A served run, ready to be compared."""
    start = _moment(view.started)
    record = RunRecord(
        key,
        view.run,
        start,
        start + view.duration_seconds
        if start is not None and view.duration_seconds is not None
        else _moment(view.ended),
        view.outcome,
        view.source,
        tuple(_execution(p, start or 0.0) for p in view.pods),
        view.template,
    )
    path = tuple((p.step, _split(p.time_split)) for p in view.critical_path)
    return ObservedRun(
        record, path, _split(view.time_split) if view.time_split is not None else None, view.tail_seconds
    )


def _execution(pod: PodRow, start: float) -> StepExecution:
    def at(seconds: float | None) -> float | None:
        return None if seconds is None else start + seconds

    return StepExecution(
        step=pod.step,
        item=pod.item,
        attempt=pod.attempt,
        node=pod.node,
        ready=at(pod.ready),
        created=at(pod.created),
        scheduled=at(pod.scheduled),
        started=at(pod.started),
        finished=at(pod.finished),
        outcome=pod.outcome,
        reason=pod.reason,
        containers=tuple(ContainerFact(**dict(c)) for c in pod.containers),
        input_size=pod.input_size,
        extra=pod.extra,
        after=pod.after,
    )


def _split(view: TimeSplitView) -> TimeSplit:
    return TimeSplit(**dict(view))


def _moment(value: str | None) -> float | None:
    return parse_time(value) if value is not None else None
