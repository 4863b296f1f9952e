"""Runs as models: one line each, or one in full."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from concertmaster.api.views.runs import (
    ContainerRow,
    PathPart,
    PodRow,
    RunSummary,
    RunView,
    TimeSplitView,
    WorkflowRuns,
)
from concertmaster.core.analysis.cost.runs import Costs
from concertmaster.core.analysis.replay import (
    ExecutedRun,
    TimeSplit,
    chain_splits,
    prepare,
    time_split,
    total_split,
)
from concertmaster.core.analysis.runs.changes import differences
from concertmaster.core.analysis.runs.comparison import typical_run
from concertmaster.core.model import Outcome, RunRecord, StepExecution, WorkflowDefinition
from concertmaster.core.model.policy import Pricing
from concertmaster.core.times import iso
from concertmaster.report.view import number

LATEST = "latest"
TYPICAL = "typical"
MAX_PODS = 500  # of one run


@dataclass(frozen=True, slots=True)
class RunHistory:
    """The finished runs of one workflow, oldest first, with their executed graphs."""

    definition: WorkflowDefinition
    runs: tuple[RunRecord, ...]
    executed: tuple[ExecutedRun, ...]
    pricing: Pricing

    @classmethod
    def of(
        cls,
        definition: WorkflowDefinition,
        runs: Sequence[RunRecord],
        pricing: Pricing,
        executed: Mapping[str, ExecutedRun] | None = None,
    ) -> RunHistory:
        """Puts the graphs together, but for those that are ``executed`` already, by the name of the run."""
        finished = [r for r in runs if r.end is not None and r.outcome is not Outcome.RUNNING]
        finished.sort(key=lambda r: (r.end or 0.0, r.run))
        known = dict(executed or {})
        known |= {g.run: g for g in prepare([r for r in finished if r.run not in known], definition.graph)}
        return cls(definition, tuple(finished), tuple([known[r.run] for r in finished]), pricing)

    def find(self, run: str) -> int | None:
        """Where the run of that name is; ``latest`` and ``typical`` are names too."""
        name: str | None = run
        if run == LATEST and self.runs:
            return len(self.runs) - 1
        if run == TYPICAL:
            usual = typical_run(self.runs)
            name = usual.run if usual is not None else None
        return next((i for i, r in enumerate(self.runs) if r.run == name), None)


def workflow_runs(history: RunHistory, *, limit: int, outcome: Outcome | None = None) -> WorkflowRuns:
    """The newest runs first, at most ``limit``."""
    chosen = [i for i in reversed(range(len(history.runs))) if outcome in (None, history.runs[i].outcome)]
    key = history.definition.key
    return WorkflowRuns(
        namespace=key.namespace,
        kind=key.kind,
        workflow=key.name,
        currency=history.pricing.currency,
        total=len(chosen),
        runs=tuple(summary(history, i) for i in chosen[:limit]),
    )


def kept_runs(history: RunHistory, run: str) -> WorkflowRuns | RunView | None:
    """All runs, one line each, or ``run`` in full; None where there is none of that name."""
    if not run:
        return workflow_runs(history, limit=len(history.runs))
    at = history.find(run)
    return run_view(history, at) if at is not None else None


def summary(history: RunHistory, at: int) -> RunSummary:
    """The run at that position as one line."""
    return _summary(history, at, path_parts(history.executed[at]))


def _summary(history: RunHistory, at: int, path: tuple[PathPart, ...]) -> RunSummary:
    record, run = history.runs[at], history.executed[at]
    split, cost = time_split(run), Costs(history.pricing).run(record)
    slowest = max(path, key=lambda p: p.seconds, default=None)
    return RunSummary(
        run=record.run,
        started=iso(record.start),
        ended=iso(record.end),
        outcome=record.outcome,
        source=record.source,
        duration_seconds=number(record.makespan),
        queue_seconds=number(record.queue_time),
        cost=number(cost.total) if cost is not None else None,
        slowest_step=slowest.step if slowest is not None else None,
        slowest_seconds=slowest.seconds if slowest is not None else None,
        time_split=split_view(split),
        failed_attempts=sum(e.outcome is Outcome.FAILED for e in record.steps),
        changed=(differences(history.runs[at - 1], record, history.definition.graph) or None) if at > 0 else None,
    )


def run_view(history: RunHistory, at: int, *, most_pods: int = MAX_PODS) -> RunView:
    """The run at that position in full, with all pods of its critical path and at most ``most_pods`` others."""
    record, run = history.runs[at], history.executed[at]
    path, critical = path_parts(run), {attempt.source for attempt in run.critical}
    order = sorted(range(len(record.steps)), key=lambda i: (_begin(record.steps[i]), record.steps[i].step))
    shown = order
    if len(order) > most_pods:
        rest = [i for i in order if i not in critical][: max(0, most_pods - len(critical))]
        chosen = {*critical, *rest}
        shown = [i for i in order if i in chosen]
    start = record.start or 0.0
    return RunView(
        **dict(_summary(history, at, path)),
        template=record.fingerprint,
        tail_seconds=number(run.tail) or 0.0 if run.usable else 0.0,
        critical_path=path,
        pods=tuple(_pod(record.steps[i], start, i in critical) for i in shown),
        more_pods=len(order) - len(shown),
        problems=run.problems,
    )


def path_parts(run: ExecutedRun) -> tuple[PathPart, ...]:
    """The critical path, step by step; pods of one step that follow each other are one part."""
    parts: list[tuple[str, TimeSplit]] = []
    for attempt, split in chain_splits(run):
        if parts and parts[-1][0] == attempt.step:
            parts[-1] = (attempt.step, total_split((parts[-1][1], split)))
        else:
            parts.append((attempt.step, split))
    return tuple(
        PathPart(step=step, seconds=number(split.total) or 0.0, time_split=some_split(split)) for step, split in parts
    )


def some_split(split: TimeSplit) -> TimeSplitView:
    """A time split in rounded seconds."""
    names = TimeSplitView.model_fields
    return TimeSplitView.model_validate({name: number(getattr(split, name)) or 0.0 for name in names})


def split_view(split: TimeSplit | None) -> TimeSplitView | None:
    """The same where there is one."""
    return None if split is None else some_split(split)


def _begin(e: StepExecution) -> float:
    return next((t for t in (e.created, e.scheduled, e.started, e.finished) if t is not None), float("inf"))


def _pod(e: StepExecution, start: float, critical: bool) -> PodRow:
    def after(moment: float | None) -> float | None:
        return None if moment is None else number(moment - start)

    return PodRow(
        step=e.step,
        item=e.item,
        attempt=e.attempt,
        outcome=e.outcome,
        reason=e.reason,
        critical=critical,
        node=e.node,
        containers=tuple(
            [
                _container(
                    c.name, c.image, c.cpu_request, c.memory_request, c.cpu_limit, c.memory_limit, c.throttled_share
                )
                for c in e.containers
                if not c.init
            ]
        ),
        ready=after(e.ready),
        created=after(e.created),
        scheduled=after(e.scheduled),
        started=after(e.started),
        finished=after(e.finished),
        input_size=number(e.input_size, 12),
        after=e.after,
        extra=dict(e.extra),
    )


@lru_cache(maxsize=1 << 10)  # those of a step are alike in most runs
def _container(
    name: str,
    image: str | None,
    cpu_request: float | None,
    memory_request: float | None,
    cpu_limit: float | None,
    memory_limit: float | None,
    throttled_share: float | None,
) -> ContainerRow:
    return ContainerRow(
        name=name,
        image=image,
        cpu_request=number(cpu_request),
        memory_request=number(memory_request, 12),
        cpu_limit=number(cpu_limit),
        memory_limit=number(memory_limit, 12),
        throttled_share=number(throttled_share, 4),
    )
