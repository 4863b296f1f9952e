"""``concertmaster analyze``: a first answer without installing anything, from a Prometheus URL or a recorded file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from concertmaster import engines
from concertmaster.cli import answers, gather, options
from concertmaster.cli.errors import UserError
from concertmaster.cli.policies import Policies
from concertmaster.core import pipeline, text
from concertmaster.core.analysis.daily.trends import extended
from concertmaster.core.analysis.periods import Period
from concertmaster.core.analysis.trends import Trends, trends
from concertmaster.core.changes.admission.capacity import UNBOUND, capacity_by_namespace
from concertmaster.core.model import RunRecord, StepExecution, WorkflowDefinition, WorkflowKey
from concertmaster.core.model.daily import DailyRow
from concertmaster.core.model.facts import owners_of_jobs
from concertmaster.core.model.metrics import with_metrics
from concertmaster.history import HistoryError
from concertmaster.history.daily import open_readonly
from concertmaster.report import markdown, tables
from concertmaster.report import result as results
from concertmaster.report import trends as trend_report

Rows = Callable[[WorkflowKey], Sequence[DailyRow]]


@dataclass(frozen=True, slots=True)
class ExaminedWorkflow:
    """The analysis of one workflow, and all its runs in the facts, also those beyond what the analysis covers."""

    result: pipeline.AnalysisResult
    runs: tuple[RunRecord, ...]

    def trends(
        self, facts: gather.Facts, lengths: Sequence[Period], zone: ZoneInfo, history: Rows = lambda _: ()
    ) -> list[Trends]:
        """Trends for each length of period, those before the facts out of the ``history``."""
        span: dict[str, Any] = {"since": facts.since, "until": facts.until, "blind": facts.blind}
        seen = [trends(self.runs, p, zone, **span, pricing=self.result.analysis.pricing) for p in lengths]
        rows = history(self.result.analysis.definition.key)
        return [extended(each, rows, zone, since=facts.since, until=facts.until) for each in seen]


def _zone(context: click.Context, parameter: click.Parameter, value: str) -> ZoneInfo:
    try:
        return ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise click.BadParameter(f"there is no time zone {value}; write it as Europe/Berlin or UTC") from None


@click.command("analyze")
@options.facts_option
@click.option("--workflow", "names", multiple=True, help="Only workflows of this name; may be given again.")
@click.option("--min-runs", type=click.IntRange(1, 1000), help="Fewest finished runs before anything is recommended.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "wide", "json", "markdown"]),
    default="wide",
    show_default=True,
    help="table: one line per workflow; wide: everything.",
)
@click.option(
    "--trends", "with_trends", is_flag=True, help="Trends by hour, day, week and month only; in JSON in addition."
)
@click.option(
    "--history",
    "history_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="History file of the operator, or a copy: trends reach up to 400 days back, beyond the metrics.",
)
@click.option(
    "--period",
    "periods",
    multiple=True,
    type=click.Choice([p.value for p in Period]),
    help="Only trends of this length; may be given again.",
)
@click.option(
    "--time-zone",
    "zone",
    default="UTC",
    show_default=True,
    metavar="NAME",
    callback=_zone,
    help="Where days begin for trends, as Europe/Berlin.",
)
def command(
    read: Callable[[], gather.Facts],
    window: float | None,
    names: tuple[str, ...],
    min_runs: int | None,
    output: str,
    with_trends: bool,
    history_file: Path | None,
    periods: tuple[str, ...],
    zone: ZoneInfo,
) -> None:
    """Analyse all workflows that can be seen and print what to change. Needs no rights in any cluster.

    Without --definitions the graphs are inferred from the observed times, which is said beside the result.
    """
    with_trends = with_trends or bool(periods)
    if history_file is not None and not with_trends:
        raise click.UsageError("--history is read for trends: add --trends")
    if with_trends and output == "markdown":
        raise click.UsageError("trends are printed as tables or JSON, not as markdown")
    facts = read()
    workflows = list(examine(facts, window=window, names=names, min_runs=min_runs))
    if not workflows:
        raise UserError(_nothing(facts, names))
    lengths = [p for p in Period if not periods or p.value in periods]
    rows = _history(history_file)
    if with_trends and output != "json":
        click.echo(
            text.plain("\n\n".join(_trends_text(f, f.trends(facts, lengths, zone, rows), zone) for f in workflows))
        )
        return
    views = [results.view(f.result) for f in workflows]
    if with_trends:
        for view, f in zip(views, workflows, strict=True):
            view["trends"] = trend_report.document(
                f.trends(facts, lengths, zone, rows), zone, zone.key, f.result.analysis.pricing.currency
            )
    click.echo(_render(views, output), nl=output != "markdown")


def _history(file: Path | None) -> Rows:
    """The daily rows of a history file by workflow; none without a file. Raises UserError."""
    if file is None:
        return lambda _: ()
    try:
        with open_readonly(str(file)) as history:
            everything = {key: history.rows(key, step=None) for key in history.fleet()}
    except HistoryError as error:
        raise UserError(str(error)) from None
    return lambda key: everything.get(key, [])


def _trends_text(workflow: ExaminedWorkflow, each: Sequence[Trends], zone: ZoneInfo) -> str:
    key, currency = workflow.result.analysis.definition.key, workflow.result.analysis.pricing.currency
    return "\n".join(
        [
            f"{key.kind} {key.namespace}/{key.name}",
            f"  Trends by the end of the run, in time zone {zone.key}; cost in {currency} a run; - is unknown, not 0.",
            "",
            trend_report.render(each, zone, currency),
        ]
    )


def analyze(
    facts: gather.Facts, *, window: float | None = None, names: Sequence[str] = (), min_runs: int | None = None
) -> list[pipeline.AnalysisResult]:
    """The analysis of all workflows found in the facts, the most expensive first."""
    return [workflow.result for workflow in examine(facts, window=window, names=names, min_runs=min_runs)]


def examine(
    facts: gather.Facts, *, window: float | None = None, names: Sequence[str] = (), min_runs: int | None = None
) -> Iterator[ExaminedWorkflow]:
    """The same with the runs behind it."""
    declared = engines.define_all(facts.objects, cluster_namespaces={p.namespace for p in facts.pods}).definitions
    known = list(declared)
    job_owners = owners_of_jobs(facts.jobs)
    first = engines.assign(facts.pods, known, job_owners=job_owners)
    placed = {e.uid for runs in first.executions.values() for rows in runs.values() for e in rows}
    left = [p for p in facts.pods if p.uid not in placed]
    known += [d for d in engines.infer_definitions(left) if d.key not in {k.key for k in known}]
    assignment = engines.assign(facts.pods, known, job_owners=job_owners)
    policies = Policies(facts.objects)
    workflows: list[ExaminedWorkflow] = []
    records = {d.key: _records(d, assignment.executions.get(d.key, {}), facts, policies) for d in known}
    capacity = capacity_by_namespace(facts.objects)
    fleet = pipeline.fleet_of(((d, records[d.key]) for d in known), facts.until)
    for definition in known:
        runs = records[definition.key]
        if (names and definition.key.name not in names) or (not runs and definition not in declared):
            continue
        policy = policies.of(definition, window, min_runs)
        whole, completed = engines.complete(definition, runs)
        result = pipeline.analyze_workflow(
            whole,
            completed,
            policy,
            profile=policies.profile_of(definition),
            now=facts.until,
            missing=facts.missing,
            fleet=fleet,
            capacity=capacity.get(definition.key.namespace, UNBOUND),
        )
        workflows.append(ExaminedWorkflow(result, tuple(runs)))
    workflows.sort(key=lambda f: (-(f.result.analysis.cost.per_month or 0.0), str(f.result.analysis.definition.key)))
    yield from workflows


def _records(
    definition: WorkflowDefinition,
    placed: Mapping[str, Sequence[StepExecution]],
    facts: gather.Facts,
    policies: Policies,
) -> list[RunRecord]:
    """The runs of one workflow: its pods, and what users' queries say of them."""
    mine = answers.of_workflow(facts.answers, definition.key)
    executions = {run: list(rows) for run, rows in placed.items()}
    for run, rows in answers.executions(definition, mine).items():
        executions.setdefault(run, []).extend(rows)
    built = (
        record
        for run, rows in executions.items()
        for record in engines.build_runs(definition.key, run, rows, definition, as_of=facts.until)
    )
    values = answers.metrics(mine, policies.metrics(definition))
    return [with_metrics(record, values) for record in built]


def _render(views: list[dict[str, Any]], output: str) -> str:
    if output == "json":
        return json.dumps({"workflows": views}, indent=2, ensure_ascii=False)
    if output == "markdown":
        return text.plain(markdown.render(views))
    if output == "table":
        return text.plain(tables.fleet_table(views))
    return text.plain("\n\n".join([tables.fleet_table(views), *(tables.workflow_text(view) for view in views)]))


def _nothing(facts: gather.Facts, names: Sequence[str]) -> str:
    if names:
        missing = f"no workflow named {', '.join(names)} was found among {len(facts.pods)} pods"
        return f"{missing}: leave --workflow out to list them"
    if facts.pods:
        return f"none of the {len(facts.pods)} pods belongs to a workflow: give --definitions with a WorkflowProfile"
    why = f" ({'; '.join(facts.missing)})" if facts.missing else ""
    cure = "try a longer --window or another --namespace, or run doctor"
    return f"no pod of a Workflow, TaskRun or Job ended in the window{why}: {cure}"
