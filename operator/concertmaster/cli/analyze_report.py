"""What ``analyze`` prints of the facts it has read. Apart from the command because it imports all of the analysis, which
takes half a second: the metrics source answers the first questions meanwhile."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click

from concertmaster.cli import gather
from concertmaster.cli.analysis import AnalyzedWorkflow, DailyRows, FactsAnalysis
from concertmaster.cli.documents import say
from concertmaster.cli.errors import UserError
from concertmaster.cli.processes import in_processes
from concertmaster.core.analysis.periods import Period
from concertmaster.core.analysis.trends import Trends
from concertmaster.core.lifecycle import commands
from concertmaster.core.model import PodFact, WorkflowDefinition
from concertmaster.core.rules.base import ELSEWHERE
from concertmaster.engines.common.names import pod_label
from concertmaster.engines.registry import ENGINES
from concertmaster.history import HistoryDamaged, HistoryError
from concertmaster.history.daily.tables import open_readonly
from concertmaster.report import markdown, tables
from concertmaster.report import result as results
from concertmaster.report import trends as trend_report
from concertmaster.report.workflows.remedies import TRIED, next_step


@dataclass(frozen=True, slots=True)
class TrendOptions:
    """Trends by periods of these ``lengths`` in a time zone; ``history`` is the operator's history file, if one is given."""

    lengths: tuple[Period, ...]
    zone: ZoneInfo
    history: Path | None


def print_report(
    facts: gather.Facts,
    output: str,
    trends: TrendOptions | None,
    *,
    window: float | None,
    names: Sequence[str],
    min_runs: int | None,
    arguments: Sequence[str] = (),
) -> None:
    """Print what the facts show of each workflow, the most expensive first. ``arguments``: with which a command reads these
    facts. Raises UserError."""
    analysis = FactsAnalysis(facts, window=window, names=names, min_runs=min_runs)
    if not analysis.definitions:
        raise UserError(_nothing(facts, names))
    rows = _history(trends.history if trends is not None else None)
    only_trends = trends is not None and output != "json"

    def shown(definition: WorkflowDefinition) -> tuple[tuple[float, str], Any]:
        """The rank of one workflow, and its trends as text or its view."""
        workflow = analysis.of(definition)
        found = workflow.trends(facts, trends.lengths, trends.zone, rows) if trends is not None else []
        if trends is not None and only_trends:
            return workflow.rank, _trends_text(workflow, found, trends.zone)
        view = results.view(workflow.result)
        if trends is not None:
            currency = workflow.result.analysis.pricing.currency
            view["trends"] = trend_report.document(found, trends.zone, trends.zone.key, currency)
        return workflow.rank, view

    workflows = [content for _, content in sorted(in_processes(shown, analysis.definitions), key=itemgetter(0))]
    if output == "json" and not only_trends:
        click.echo(json.dumps({"workflows": workflows}, indent=2, ensure_ascii=False))
    else:
        say("\n\n".join(workflows) if only_trends else _render(workflows, output, arguments), nl=output != "markdown")


def _history(file: Path | None) -> DailyRows:
    """The daily rows of a history file by workflow; none without a file. Raises UserError."""
    if file is None:
        return lambda _: ()
    try:
        with open_readonly(str(file)) as history:
            everything = {key: history.rows(key, step=None) for key in history.fleet()}
    except HistoryDamaged:
        raise UserError(
            f"--history {file}: is no history file of the operator, or a damaged one; copy it again"
        ) from None
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


def self_contained(view: dict[str, Any], arguments: Sequence[str]) -> dict[str, Any]:
    """The view with the next step in place of commands that ask an operator, which need not be there."""
    items = [_with_next_step(item, view["workflow"], arguments) for item in view["recommendations"]]
    return {**view, "recommendations": items}


def _with_next_step(item: dict[str, Any], workflow: dict[str, Any], arguments: Sequence[str]) -> dict[str, Any]:
    if item["items"] and commands.opens(item["how"]):
        return {**item, "why": "set these values"}
    if not item["how"].startswith("kubectl concertmaster "):
        return item
    rule, _, step = item["id"].partition(".")
    if rule in TRIED and step:
        what_if = shlex.join(["concertmaster", "what-if", workflow["name"], *arguments, "--scale", f"{step}=0.5"])
        return {**item, "how": what_if, "why": "replay the runs with the step at half its duration"}
    if item["items"]:  # below it, one line each
        beside = ", or where that is overridden for its pods" if ELSEWHERE in item["expected"] else ""
        return {**item, "how": "", "why": f"set these values where the workflow is defined{beside}"}
    described = {"kind": workflow["kind"], "name": workflow["name"]}
    known = workflow["kind"] != "WorkflowProfile"
    why, command = next_step(item, {"metadata": workflow, "spec": {"workflowRef": described} if known else {}})
    return {**item, "how": command, "why": f"{why[:1].lower()}{why[1:]}"}


def _render(views: list[dict[str, Any]], output: str, arguments: Sequence[str]) -> str:
    views = [self_contained(view, arguments) for view in views]
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
        missed = f"none of the {len(facts.pods)} pods belongs to a workflow"
        if unseen := _unexported(facts.pods):
            wanted = f"--metric-labels-allowlist=pods=[{','.join(unseen)}]"
            return (
                f"{missed}, and their labels, which name it, are not in the metrics: give --definitions with their"
                f" workflows, or start kube-state-metrics with {wanted} for the runs to come"
            )
        return f"{missed}: give --definitions with a WorkflowProfile"
    why = f" ({'; '.join(facts.missing)})" if facts.missing else ""
    remedy = "try a longer --window or another --namespace, or run doctor"
    return f"no pod of a Workflow, TaskRun or Job ended in the window{why}: {remedy}"


def _unexported(pods: Sequence[PodFact]) -> list[str]:
    """Labels by which the engines of these pods know their workflows, where no pod has any of them in the metrics."""
    owners = {pod.owner_kind for pod in pods}
    keys = {key for engine in ENGINES if owners & set(engine.owner_kinds) for key in engine.pod_labels}
    names = {pod_label(key) for key in keys}
    return [] if any(names & pod.labels.keys() for pod in pods) else sorted(keys)
