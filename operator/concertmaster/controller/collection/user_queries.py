"""Users' own queries: durations of steps without pods, and extra metrics of runs. Fenced, bounded, never trusted.

They run beside the cycle (``query_pool``), which waits a few seconds for them: a slow answer is used in a later one.
Namespaces share the number of queries per cycle, and those that waited longest come first.

A duration is stored when it is first seen, as an execution of its step, so that the run outlives the series. Extra
metrics are queried when a workflow is analysed, over its whole window: one query per metric covers all runs. The values
are kept in the history, so that it outlives the series as well. A query that is refused concerns its author and nobody
else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from concertmaster.api.conditions import Reason
from concertmaster.controller.collection.history_provider import HistoryProvider
from concertmaster.controller.collection.query_pool import NotYet, QueryAuthor, QueryPool
from concertmaster.controller.collection.watermarks import MIN_PAST_SECONDS, DurationMarks
from concertmaster.controller.source_report import CollectionRequest, SourceReport
from concertmaster.core.model import Outcome, RunRecord, WorkflowDefinition, WorkflowKey
from concertmaster.core.model.inputs import ExtraMetric
from concertmaster.core.model.metrics import ByRun, with_metrics
from concertmaster.core.units import DAY
from concertmaster.engines import Answers, from_queries
from concertmaster.engines.common.placing import QUERIED
from concertmaster.history import HistoryDamaged, HistoryError
from concertmaster.prometheus.client import PrometheusClient
from concertmaster.prometheus.client.errors import MetricsError, QueryRefused

_KEEP_CYCLES = 100  # cycles after which what is known of a workflow that is gone is forgotten


@dataclass(frozen=True, slots=True)
class _Durations:
    """Answers of the queries of each step by run, for runs that ended in one span."""

    since: float
    until: float
    by_step: Mapping[str, Answers]


class UserQueries:
    """Runs users' queries within a number per cycle, which sources share. ``begin`` starts a new cycle."""

    def __init__(self, history: HistoryProvider, most: int, pool: QueryPool | None = None) -> None:
        self._history = history
        self._pool = pool or QueryPool(most)
        self._cycle = 0
        self._served: dict[str, int] = {}  # the cycle in which a namespace was last answered
        self._known: dict[tuple[WorkflowKey, str], dict[tuple[str, str], Outcome]] = {}
        self._problems: dict[WorkflowKey, str] = {}
        self._seen: dict[WorkflowKey, int] = {}  # the cycle in which a workflow last had duration queries

    def begin(self) -> None:
        """A new cycle: the full number of queries may be asked again."""
        self._cycle += 1
        self._pool.begin()
        if self._cycle % _KEEP_CYCLES == 0:
            self._seen = {key: cycle for key, cycle in self._seen.items() if cycle > self._cycle - _KEEP_CYCLES}
            self._known = {identity: runs for identity, runs in self._known.items() if identity[0] in self._seen}
            self._problems = {key: text for key, text in self._problems.items() if key in self._seen}
            spaces = {key.namespace for key in self._seen}
            self._served = {space: cycle for space, cycle in self._served.items() if space in spaces}

    def add_to(
        self, report: SourceReport, client: PrometheusClient, request: CollectionRequest, reach: float
    ) -> SourceReport:
        """Send the users' queries for a source that has just been read, over the last ``reach`` seconds. Returns its
        report, completed with their results."""
        before = client.requests
        answered, changed = self.arrived(), set[WorkflowKey]()
        if request.due and report.ok:
            try:
                changed = self.durations(client, request.workflows, now=request.now, reach=reach)
            except HistoryError as error:
                if isinstance(error, HistoryDamaged):
                    self._history.renew()
                report = replace(report, ok=False, reason=Reason.STALE, message=str(error))
        return replace(
            report,
            queries=report.queries + client.requests - before,
            changed=report.changed | answered | changed,
            answered=frozenset(answered),
            query_problems=self.problems(request.workflows),
        )

    def arrived(self) -> set[WorkflowKey]:
        """Workflows whose slow queries were answered since the last cycle."""
        return self._pool.arrived()

    def problems(self, definitions: Sequence[WorkflowDefinition]) -> dict[WorkflowKey, str]:
        """What is wrong with duration queries of these workflows, by workflow."""
        return {d.key: self._problems[d.key] for d in definitions if d.key in self._problems and _asks(d)}

    # --- durations ------------------------------------------------------------------------------------------------

    def durations(
        self, client: PrometheusClient, definitions: Sequence[WorkflowDefinition], *, now: float, reach: float
    ) -> set[WorkflowKey]:
        """Read the durations since the last time, and those of the past newest first. Returns the workflows with new ones.
        A fault of a query affects only its author and is kept in ``problems``; a query that the metrics source refused or
        did not answer in time is not repeated at once."""
        changed: set[WorkflowKey] = set()
        end = float(int(now - client.source.delay_seconds))
        asking = [d for d in definitions if _asks(d)]
        self._seen.update((d.key, self._cycle) for d in asking)
        for definition in sorted(asking, key=lambda d: self._served.get(d.key.namespace, 0)):
            author = QueryAuthor(definition.key, definition.fingerprint)
            if self._pool.rest(author, now):
                continue
            try:
                if not self._read(client, definition, author, end, now - reach, changed):
                    continue
            except NotYet:
                continue
            except QueryRefused as error:  # nothing was sent
                self._problems[definition.key] = str(error)
            except MetricsError as error:
                self._problems[definition.key] = str(error)
                self._pool.failed(author, str(error), now)
            else:
                self._problems.pop(definition.key, None)
                self._pool.succeeded(author)
            self._served[definition.key.namespace] = self._cycle
        return changed

    def _read(
        self,
        client: PrometheusClient,
        definition: WorkflowDefinition,
        author: QueryAuthor,
        end: float,
        horizon: float,
        changed: set[WorkflowKey],
    ) -> bool:
        """Read one workflow's durations, as far as its share of queries allows; False where that is not at all. Raises
        NotYet and MetricsError."""
        source = client.source.name
        queries = sum(len(step.queries) for step in definition.graph.steps)
        if queries > self._pool.most:
            raise QueryRefused(
                f"the steps have {queries} queries, and limits.extraQueriesPerCycle allows {self._pool.most}",
                where="graph",
                remedy="Describe fewer steps by queries, or raise the limit",
            )
        if served := self._pool.waits(author):
            self._take(source, definition, self._pool.take(author), changed)
        for since, until in self._spans(source, definition, end, horizon):
            if not self._pool.may(definition.key.namespace, queries):
                return served
            call = partial(_query_durations, client, definition, since, until)
            self._take(source, definition, self._pool.ask(author, call), changed)
            served = True
        return True

    def _take(
        self, source: str, definition: WorkflowDefinition, durations: _Durations, changed: set[WorkflowKey]
    ) -> None:
        for step, answers in durations.by_step.items():
            if self._store(definition, step, answers, durations.until):
                changed.add(definition.key)
        DurationMarks(self._history.store, source, definition).extend(durations.since, durations.until)

    def _store(self, definition: WorkflowDefinition, step: str, answers: Answers, until: float) -> bool:
        """Store runs and outcomes not known before. Where no query gives the end of a run, it ended when its duration
        first appeared."""
        known = self._known_runs(definition)
        fresh = {
            run: execution
            for run, execution in from_queries(definition, step, answers, until).items()
            if (before := known.get((run, step))) is None
            or (before is Outcome.ENDED) > (execution.outcome is Outcome.ENDED)
        }
        if not fresh:
            return False
        self._history.store.add({definition.key: {run: [execution] for run, execution in fresh.items()}})
        known.update({(run, step): execution.outcome for run, execution in fresh.items()})
        return True

    def _known_runs(self, definition: WorkflowDefinition) -> dict[tuple[str, str], Outcome]:
        """How each step of each run that queries report ended."""
        identity = (definition.key, definition.fingerprint or "")
        if identity not in self._known:
            for other in [i for i in self._known if i[0] == definition.key]:
                del self._known[other]
            self._known[identity] = {
                (run.run, e.step): e.outcome
                for run in self._history.store.runs(definition.key)
                for e in run.steps
                if (e.uid or "").startswith(QUERIED)
            }
        return self._known[identity]

    def _spans(
        self, source: str, definition: WorkflowDefinition, end: float, horizon: float
    ) -> Iterator[tuple[float, float]]:
        """What is still to be read: first what is new, then the past a day at a time."""
        marks = DurationMarks(self._history.store, source, definition)
        since, until = marks.span()
        if (
            until is not None and until > end + MIN_PAST_SECONDS
        ):  # a clock that ran ahead: what was asked was not there yet
            marks.forget()
            since = until = None
        if until is not None and until < end:
            yield max(until, horizon), end
        top = since if since is not None else end
        while top > horizon:
            bottom = max(horizon, top - DAY)
            yield bottom, top
            top = bottom

    # --- extra metrics --------------------------------------------------------------------------------------------

    def extras(
        self,
        client: PrometheusClient,
        definition: WorkflowDefinition,
        metrics: Sequence[ExtraMetric],
        runs: Sequence[RunRecord],
        *,
        now: float,
        window: float,
    ) -> tuple[Sequence[RunRecord], str]:
        """``runs`` with the metrics' values, and what is wrong with a query (empty: nothing)."""
        from concertmaster.prometheus.collect.extra import metric_values
        from concertmaster.prometheus.guard.fence import check

        problem = ""
        at = float(int(now - client.source.delay_seconds))
        names = {r.run for r in runs}
        read: dict[ExtraMetric, ByRun] = {}
        for metric in metrics:
            name = f"extraMetrics {metric.name}"
            author = QueryAuthor(definition.key, metric)
            try:
                check(metric.query, where=name)
                if not runs:
                    continue
                read[metric] = {}
                if why := self._pool.rest(author, now):
                    problem = problem or why
                    continue
                if not self._pool.waits(author) and not self._pool.may(definition.key.namespace, 1):
                    self._pool.later(definition.key)
                    problem = "more queries of users than limits.extraQueriesPerCycle allows; raise it or wait"
                    continue
                values = self._pool.ask(author, partial(metric_values, client, definition, metric, at, window))
                self._pool.succeeded(author)
            except NotYet:
                continue
            except MetricsError as error:
                problem = problem or str(error)
                if not isinstance(error, QueryRefused):
                    self._pool.failed(author, str(error), now)
                continue
            for (run, step), value in values.items():
                if run in names:
                    read[metric].setdefault(run, {})[step] = value
        if not runs:
            return runs, problem
        with suppress(HistoryError):  # queried again next time; the fault of the history is reported elsewhere
            self._history.store.add_amounts(definition.key, read)
        return [with_metrics(r, read) for r in runs], problem


def _asks(definition: WorkflowDefinition) -> bool:
    """Whether it has duration queries."""
    return any(step.queries for step in definition.graph.steps)


def _query_durations(
    client: PrometheusClient, definition: WorkflowDefinition, since: float, until: float
) -> _Durations:
    from concertmaster.prometheus.collect.extra import step_values

    by_step = {
        step.name: {kind: step_values(client, definition, step, kind, since, until) for kind in step.queries}
        for step in definition.graph.steps
        if step.queries
    }
    return _Durations(since, until, by_step)
