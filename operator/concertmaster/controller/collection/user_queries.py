"""Users' own queries: durations of steps without pods, and extra metrics of runs. Fenced, bounded, never trusted.

A duration is stored when it is first seen, as an execution of its step, so that the run outlives the series. Extra
metrics are asked for when a workflow is analysed, over its whole window: one query per metric tells all runs. What it
says of a run is kept in the history, so that it outlives the series as well. A query that is refused concerns its author
and nobody else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from concertmaster.controller.collection.history_provider import HistoryProvider
from concertmaster.core.model import RunRecord, WorkflowDefinition, WorkflowKey
from concertmaster.core.model.enums import Per
from concertmaster.core.model.inputs import ExtraMetric
from concertmaster.core.model.metrics import ByRun, with_metrics
from concertmaster.engines import from_durations
from concertmaster.engines.common.placing import QUERIED
from concertmaster.history import HistoryError
from concertmaster.prometheus.client import PrometheusClient
from concertmaster.prometheus.client.errors import MetricsError, QueryRefused

_DAY = 86400.0
_LONGEST = 31 * _DAY  # the fence allows no longer span
_OVERLAP = 120.0  # seconds looked at again, for samples that arrived late
_LONGEST_REST = 2 * 3600.0  # seconds
_RUN = "run"
_STEP = "step"


@dataclass(slots=True)
class DurationsRead:
    """What reading the duration queries of one source has brought."""

    changed: set[WorkflowKey] = field(default_factory=set)
    more: bool = False


@dataclass(frozen=True, slots=True)
class _Rest:
    """A workflow whose queries failed is left alone until then, each time twice as long."""

    until: float
    seconds: float


_AWAKE = _Rest(0.0, 60.0)


class UserQueries:
    """Runs users' queries within a number per cycle. ``begin`` starts a new cycle."""

    def __init__(self, keeper: HistoryProvider, most: int) -> None:
        self._keeper = keeper
        self._most = most
        self._left = most
        self._known: dict[tuple[WorkflowKey, str], set[tuple[str, str]]] = {}
        self._problems: dict[WorkflowKey, str] = {}
        self._rests: dict[tuple[WorkflowKey, str | None], _Rest] = {}  # by workflow and what its queries were

    def begin(self) -> None:
        """A new cycle: the full number of queries may be asked again."""
        self._left = self._most

    def problems(self, definitions: Sequence[WorkflowDefinition]) -> dict[WorkflowKey, str]:
        """What is wrong with duration queries of these workflows, by workflow."""
        return {d.key: self._problems[d.key] for d in definitions if d.key in self._problems}

    # --- durations ------------------------------------------------------------------------------------------------

    def durations(
        self, client: PrometheusClient, definitions: Sequence[WorkflowDefinition], *, now: float, reach: float
    ) -> DurationsRead:
        """Read the durations that came in since the last time, and those of the past newest first.

        Whatever goes wrong with a query concerns its author alone and is kept in ``problems``; what the store refused or
        did not answer in time is not asked again at once.
        """
        read = DurationsRead()
        end = float(int(now - client.source.delay_seconds))
        for definition in definitions:
            asking = [s for s in definition.graph.steps if s.duration_query]
            author = (definition.key, definition.fingerprint)
            if not asking or now < self._rests.get(author, _AWAKE).until:
                continue
            self._problems.pop(definition.key, None)
            try:
                for since, until in self._spans(client.source.name, definition, end, now - reach):
                    if self._left < len(asking):
                        read.more = True
                        break
                    for step in asking:
                        found = self._ask(client, definition, step.duration_query or "", step.name, since, until)
                        if self._store(definition, step.name, found, until):
                            read.changed.add(definition.key)
                    self._mark(client.source.name, definition, since, until)
            except QueryRefused as error:  # nothing was sent
                self._problems[definition.key] = str(error)
            except MetricsError as error:
                self._problems[definition.key] = str(error)
                seconds = min(2 * self._rests.get(author, _AWAKE).seconds, _LONGEST_REST)
                self._rests[author] = _Rest(now + seconds, seconds)
            else:
                self._rests.pop(author, None)
        return read

    def _ask(
        self,
        client: PrometheusClient,
        definition: WorkflowDefinition,
        query: str,
        step: str,
        since: float,
        until: float,
    ) -> dict[str, float]:
        from concertmaster.prometheus.collect.extra import run_values

        self._left -= 1
        found = run_values(
            client,
            query,
            namespace=definition.key.namespace,
            at=until,
            window=until - since + _OVERLAP,
            run_label=definition.series_run_label or _RUN,
            name=f"durationQuery of step {step}",
        )
        return {run: seconds for (run, _), seconds in found.values.items()}

    def _store(self, definition: WorkflowDefinition, step: str, found: dict[str, float], until: float) -> bool:
        """Keep durations of runs not seen before: a run ended when its duration first appeared."""
        known = self._known_runs(definition)
        fresh = {run: seconds for run, seconds in found.items() if (run, step) not in known}
        if not fresh:
            return False
        rows = from_durations(definition, step, fresh, until)
        self._keeper.store.add({definition.key: {run: [execution] for run, execution in rows.items()}})
        known.update((run, step) for run in fresh)
        return True

    def _known_runs(self, definition: WorkflowDefinition) -> set[tuple[str, str]]:
        identity = (definition.key, definition.fingerprint or "")
        if identity not in self._known:
            for other in [i for i in self._known if i[0] == definition.key]:
                del self._known[other]
            self._known[identity] = {
                (run.run, e.step)
                for run in self._keeper.store.runs(definition.key)
                for e in run.steps
                if (e.uid or "").startswith(QUERIED)
            }
        return self._known[identity]

    def _spans(
        self, source: str, definition: WorkflowDefinition, end: float, horizon: float
    ) -> Iterator[tuple[float, float]]:
        """What is still to be read: first what is new, then the past a day at a time."""
        until, since = self._marks(source, definition)
        if until is not None and until < end:
            yield max(until, horizon), end
        top = since if since is not None else end
        while top > horizon:
            bottom = max(horizon, top - _DAY)
            yield bottom, top
            top = bottom

    def _marks(self, source: str, definition: WorkflowDefinition) -> tuple[float | None, float | None]:
        """Up to when, and from when on, durations are known."""
        store, name = self._keeper.store, self._shard(definition)
        past = store.watermark(source, f"{name}:past")
        return store.watermark(source, name), -past if past is not None else None

    def _mark(self, source: str, definition: WorkflowDefinition, since: float, until: float) -> None:
        store, name = self._keeper.store, self._shard(definition)
        store.set_watermark(source, name, until)
        store.set_watermark(source, f"{name}:past", -since)

    def _shard(self, definition: WorkflowDefinition) -> str:
        dropped = self._keeper.dropped_at(definition.key)
        return f"durations:{definition.key}:{definition.fingerprint}:{dropped:.0f}"

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
        from concertmaster.prometheus.collect.extra import run_values
        from concertmaster.prometheus.guard.fence import check

        problem = ""
        at = float(int(now - client.source.delay_seconds))
        names = {r.run for r in runs}
        read: dict[ExtraMetric, ByRun] = {}
        for metric in metrics:
            name = f"extraMetrics {metric.name}"
            try:
                check(metric.query, where=name)
                if not runs:
                    continue
                read[metric] = {}
                if self._left < 1:
                    problem = "more queries of users than limits.extraQueriesPerCycle allows; raise it or wait"
                    continue
                self._left -= 1
                found = run_values(
                    client,
                    metric.query,
                    namespace=definition.key.namespace,
                    at=at,
                    window=min(window, _LONGEST),
                    run_label=definition.series_run_label or _RUN,
                    step_label=_STEP if metric.per is Per.STEP else None,
                    name=name,
                )
            except MetricsError as error:
                problem = problem or str(error)
                continue
            for (run, step), value in found.values.items():
                if run in names:
                    read[metric].setdefault(run, {})[step] = value
        if not runs:
            return runs, problem
        with suppress(HistoryError):  # they are read again the next time; that nothing can be written is said elsewhere
            self._keeper.store.add_amounts(definition.key, read)
        return [with_metrics(r, read) for r in runs], problem
