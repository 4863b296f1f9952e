"""``concertmaster analyze``: a first answer without installing anything, from a Prometheus URL or a recorded file."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from concertmaster.cli import gather, options
from concertmaster.cli.analysis import AnalyzedWorkflow, DailyRows, FactsAnalysis
from concertmaster.cli.documents import say
from concertmaster.cli.errors import UserError
from concertmaster.cli.processes import in_processes
from concertmaster.controller.malloc import collect_seldom
from concertmaster.core.analysis.periods import Period
from concertmaster.core.analysis.trends import Trends
from concertmaster.core.model import WorkflowDefinition
from concertmaster.history import HistoryError
from concertmaster.history.daily import open_readonly
from concertmaster.report import markdown, tables
from concertmaster.report import result as results
from concertmaster.report import trends as trend_report


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
    collect_seldom()
    facts = read()
    analysis = FactsAnalysis(facts, window=window, names=names, min_runs=min_runs)
    if not analysis.definitions:
        raise UserError(_nothing(facts, names))
    lengths = [p for p in Period if not periods or p.value in periods]
    rows = _history(history_file)
    only_trends = with_trends and output != "json"

    def shown(definition: WorkflowDefinition) -> tuple[tuple[float, str], Any]:
        """The rank of one workflow, and its trends as text or its view."""
        workflow = analysis.of(definition)
        trends = workflow.trends(facts, lengths, zone, rows) if with_trends else []
        if only_trends:
            return workflow.rank, _trends_text(workflow, trends, zone)
        view = results.view(workflow.result)
        if with_trends:
            view["trends"] = trend_report.document(trends, zone, zone.key, workflow.result.analysis.pricing.currency)
        return workflow.rank, view

    workflows = [content for _, content in sorted(in_processes(shown, analysis.definitions), key=itemgetter(0))]
    if output == "json" and not only_trends:
        click.echo(json.dumps({"workflows": workflows}, indent=2, ensure_ascii=False))
    else:
        say("\n\n".join(workflows) if only_trends else _render(workflows, output), nl=output != "markdown")


def _history(file: Path | None) -> DailyRows:
    """The daily rows of a history file by workflow; none without a file. Raises UserError."""
    if file is None:
        return lambda _: ()
    try:
        with open_readonly(str(file)) as history:
            everything = {key: history.rows(key, step=None) for key in history.fleet()}
    except HistoryError as error:
        raise UserError(str(error)) from None
    return lambda key: everything.get(key, [])


def _trends_text(workflow: AnalyzedWorkflow, each: Sequence[Trends], zone: ZoneInfo) -> str:
    key, currency = workflow.result.analysis.definition.key, workflow.result.analysis.pricing.currency
    return "\n".join(
        [
            f"{key.kind} {key.namespace}/{key.name}",
            f"  Trends by the end of the run, in time zone {zone.key}; cost in {currency} a run; - is unknown, not 0.",
            "",
            trend_report.render(each, zone, currency),
        ]
    )


def _render(views: list[dict[str, Any]], output: str) -> str:
    if output == "markdown":
        return markdown.render(views)
    if output == "table":
        return tables.fleet_table(views)
    return "\n\n".join([tables.fleet_table(views), *(tables.workflow_text(view) for view in views)])


def _nothing(facts: gather.Facts, names: Sequence[str]) -> str:
    if names:
        missing = f"no workflow named {', '.join(names)} was found among {len(facts.pods)} pods"
        return f"{missing}: leave --workflow out to list them"
    if facts.pods:
        return f"none of the {len(facts.pods)} pods belongs to a workflow: give --definitions with a WorkflowProfile"
    why = f" ({'; '.join(facts.missing)})" if facts.missing else ""
    cure = "try a longer --window or another --namespace, or run doctor"
    return f"no pod of a Workflow, TaskRun or Job ended in the window{why}: {cure}"
