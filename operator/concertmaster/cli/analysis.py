"""Every workflow that is seen in the facts, analyzed: what the commands without a cluster show."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from zoneinfo import ZoneInfo

from concertmaster import engines
from concertmaster.api.discovery import full_kind
from concertmaster.cli import answers, gather
from concertmaster.cli.policies import Policies
from concertmaster.core import pipeline, text
from concertmaster.core.analysis.daily.peaks import daily_peaks
from concertmaster.core.analysis.daily.rows import daily_rows
from concertmaster.core.analysis.daily.trends import extended
from concertmaster.core.analysis.periods import Period
from concertmaster.core.analysis.runs.figures import RunFigures
from concertmaster.core.analysis.trends import Trends, trends
from concertmaster.core.changes.admission.capacity import UNBOUND, Capacity, capacity_by_namespace
from concertmaster.core.model import RunRecord, StepExecution, WorkflowDefinition, WorkflowKey
from concertmaster.core.model.daily import DailyRow
from concertmaster.core.model.facts import owners_of_jobs
from concertmaster.core.model.metrics import with_bytes_read, with_metrics
from concertmaster.core.model.policy import Policy
from concertmaster.core.rules import DataGaps
from concertmaster.history.rebuild import rebuild

DailyRows = Callable[[WorkflowKey], Sequence[DailyRow]]


@dataclass(frozen=True, slots=True)
class AnalyzedWorkflow:
    """The analysis of one workflow, and all its runs in the facts, also those beyond what the analysis covers."""

    result: pipeline.AnalysisResult
    runs: tuple[RunRecord, ...]

    def trends(
        self, facts: gather.Facts, lengths: Sequence[Period], zone: ZoneInfo, history: DailyRows = lambda _: ()
    ) -> list[Trends]:
        """Trends for each length of period, those before the facts out of the ``history``."""
        span: dict[str, Any] = {"since": facts.since, "until": facts.until, "blind": facts.blind}
        seen = [trends(self.runs, p, zone, **span, pricing=self.result.analysis.pricing) for p in lengths]
        rows = history(self.result.analysis.definition.key)
        return [extended(each, rows, zone, since=facts.since, until=facts.until) for each in seen]

    @property
    def rank(self) -> tuple[float, str]:
        """Sorts the most expensive workflow first."""
        analysis = self.result.analysis
        return -(analysis.cost.per_month or 0.0), str(analysis.definition.key)


class FactsAnalysis:
    """The workflows in the facts, each to be analyzed by ``of``: on its own, so that processes can share the work."""

    def __init__(
        self,
        facts: gather.Facts,
        *,
        window: float | None = None,
        names: Sequence[str] = (),
        min_runs: int | None = None,
    ) -> None:
        self._facts, self._window, self._min_runs = facts, window, min_runs
        self._policies = Policies(facts.objects)
        found = engines.define_all(facts.objects, cluster_namespaces={p.namespace for p in facts.pods})
        declared = [replace(d, fingerprint=None) for d in found]  # files do not say which runs are of them
        known = list(declared)
        job_owners = owners_of_jobs(facts.jobs)
        assignment = engines.assign(facts.pods, known, job_owners=job_owners)
        placed = {e.uid for runs in assignment.executions.values() for rows in runs.values() for e in rows}
        left = [p for p in facts.pods if p.uid not in placed]
        inferred = [d for d in engines.infer_definitions(left) if d.key not in {k.key for k in known}]
        if inferred:
            known += inferred
            assignment = engines.assign(facts.pods, known, job_owners=job_owners)
        ends: dict[WorkflowKey, dict[str, RunRecord]] = {}
        for end in engines.job_ends(facts.jobs, known, assignment.executions):
            ends.setdefault(end.workflow, {})[end.run] = end
        self._runs = {d.key: self._records(d, assignment.executions.get(d.key, {}), ends.get(d.key, {})) for d in known}
        self._capacity: Mapping[str, Capacity] = capacity_by_namespace(facts.objects)
        self._fleet = pipeline.fleet_of((d, self._runs[d.key]) for d in known)
        self.definitions = [
            d
            for d in known
            if (not names or any(_is_named(d.key, name) for name in names)) and (self._runs[d.key] or d in declared)
        ]

    def of(self, definition: WorkflowDefinition) -> AnalyzedWorkflow:
        """The analysis of one of ``definitions``."""
        runs = self._runs[definition.key]
        whole, completed = engines.complete(definition, runs)
        policy = self._policies.of(definition, self._window, self._min_runs)
        limited = len(completed) > policy.analysis.max_runs
        result = pipeline.analyze_workflow(
            whole,
            completed,
            policy,
            profile=self._policies.profile_of(definition),
            now=self._facts.until,
            environment=pipeline.Environment(
                DataGaps(tuple(self._facts.missing)),
                self._fleet,
                self._capacity.get(definition.key.namespace, UNBOUND),
                self._facts.blind,
            ),
            earlier=self._by_day(whole, completed, policy) if limited else pipeline.EarlierAnalyses(),
        )
        return AnalyzedWorkflow(result, tuple(runs))

    def _by_day(
        self, definition: WorkflowDefinition, runs: Sequence[RunRecord], policy: Policy
    ) -> pipeline.EarlierAnalyses:
        """What is known by day of all ``runs``, of which not all are analyzed."""
        until, figures = self._facts.until, RunFigures()
        rows = daily_rows(runs, policy.pricing, figures, covered=0.0, until=until)
        return pipeline.EarlierAnalyses(peaks=daily_peaks(definition, runs), days=rows)

    def _records(
        self,
        definition: WorkflowDefinition,
        placed: Mapping[str, Sequence[StepExecution]],
        ends: Mapping[str, RunRecord],
    ) -> list[RunRecord]:
        """The runs of one workflow: its pods, how its Jobs ended, and what users' queries say of them."""
        mine = answers.of_workflow(self._facts.answers, definition.key)
        executions = {run: list(placed.get(run, ())) for run in (*placed, *ends)}
        for run, rows in answers.executions(definition, mine).items():
            executions.setdefault(run, []).extend(rows)
        builder = engines.RunBuilder(definition.key, definition, self._facts.until)
        built = (record for run, rows in executions.items() for record in rebuild(run, rows, ends.get(run), builder))
        policy = self._policies.of(definition)
        values = answers.metrics(mine, policy.extra_metrics)
        sized = (with_bytes_read(record, policy.inputs, policy.extra_metrics) for record in built)
        return [with_metrics(record, values) for record in sized]


def selecting(keys: Iterable[WorkflowKey]) -> str:
    """How each of several workflows of one name is named, for a sentence: ``CronJob/etl -n demo``."""
    return text.listing(sorted(f"{key.kind}/{key.name} -n {key.namespace}" for key in keys), 10)


def _is_named(key: WorkflowKey, name: str) -> bool:
    """Whether ``name`` is that of the workflow, or its kind and name as KIND/NAME."""
    kind, slash, own = name.rpartition("/")
    return key.name == own and (not slash or key.kind.lower() == full_kind(kind).lower())


def analyzed(
    facts: gather.Facts, *, window: float | None = None, names: Sequence[str] = ()
) -> Iterator[AnalyzedWorkflow]:
    """The analysis of all workflows found in the facts and the runs behind it, the most expensive first."""
    analysis = FactsAnalysis(facts, window=window, names=names)
    yield from sorted(map(analysis.of, analysis.definitions), key=lambda workflow: workflow.rank)


def analyze(
    facts: gather.Facts, *, window: float | None = None, names: Sequence[str] = ()
) -> list[pipeline.AnalysisResult]:
    """The same without the runs."""
    return [workflow.result for workflow in analyzed(facts, window=window, names=names)]
