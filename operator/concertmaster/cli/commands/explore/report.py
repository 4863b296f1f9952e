"""``concertmaster report``: one self-contained file about all workflows over a period."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from concertmaster.api.views.fleet import PeriodReport
from concertmaster.cli import cluster_options, gather, options, policies, profiles
from concertmaster.cli.analysis import AnalyzedWorkflow, analyzed
from concertmaster.cli.documents import say
from concertmaster.cli.errors import UserError
from concertmaster.cli.operator_history import OperatorHistory
from concertmaster.core.text import count, listing, plain
from concertmaster.core.units import DAY
from concertmaster.kube.client import KubeClient
from concertmaster.kube.errors import KubeError
from concertmaster.kube.operator_service import OperatorService
from concertmaster.report import result as results
from concertmaster.report.costs import components
from concertmaster.report.costs.groups import PricedWorkflow
from concertmaster.report.period.days import counted, within
from concertmaster.report.period.document import ReportScope, period_report
from concertmaster.report.period.render import FORMATS, document
from concertmaster.report.workflows.fleet import FleetView
from concertmaster.web.readers import ClusterReader, Unavailable

_FIGURES = "Runs, durations, cost and waiting"


def _number(_: click.Context, __: click.Parameter, value: float) -> float:
    """A click callback: nan is within every range."""
    if value != value:
        raise click.BadParameter("nan is not a number of days")
    return value


def figures_of(known: int, of: int) -> str:
    """Which figures are those of the period: of the workflows whose daily rows are ``known``."""
    if not known:
        figures = (
            f"{_FIGURES} are those of the policy's analysis window, not of the period: its daily rows are not known."
        )
    elif known >= of:
        figures = f"{_FIGURES} are those of the period."
    else:
        figures = (
            f"{_FIGURES} of {known} of {of} workflows are those of the period; of the others they are those of the policy's"
            " analysis window."
        )
    return f"{figures} Implemented recommendations are of the period."


@click.command("report")
@options.facts_options
@click.option(
    "--days",
    type=click.FloatRange(1, 400),
    callback=_number,
    default=30,
    show_default=True,
    help="Length of the period.",
)
@click.option("--by", "label", metavar="LABEL", help="Cost by the values of this label, such as team.")
@cluster_options.PROFILES_WITH
@cluster_options.where
@cluster_options.operator(", for daily rows")
@click.option("-o", "--output", type=click.Choice(FORMATS), default="html", show_default=True)
@click.option(
    "-f",
    "--file",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    help="Write here. Default, and -: stdout.",
)
def command(
    facts: options.FactsOptions,
    days: float,
    label: str | None,
    selector: str | None,
    cluster: cluster_options.Cluster,
    operator: str | None,
    output: str,
    file: Path | None,
) -> None:
    """Report savings available and realized, top actions, degradations, objectives, adoption, demand and cost.

    Reads the statuses in the cluster and the operator's daily rows, which reach back up to 400 days; or analyses facts or a
    Prometheus when one is given.
    """
    span = facts.span
    if facts.named:
        span = replace(span, window=span.window or days * DAY)
        made = from_facts(replace(facts, span=span).read(), span.window, days=days, label=label)
    else:
        client, asked, now = cluster.connect(), cluster.operator(operator), span.until or time.time()
        made = from_cluster(client, asked, span.namespaces, selector, days=days, label=label, now=now)
    text = document(made, output)
    if file is None or str(file) == "-":
        click.echo(text, nl=False)
    else:
        try:
            file.write_text(text, encoding="utf-8")
        except OSError as error:
            raise UserError(f"{file}: cannot be written ({error.strerror or error}); choose another file") from None
        say(f"{file}: {count(made.summary.workflows, 'workflow')}, {made.since[:10]} to {made.until[:10]}", err=True)


def from_cluster(
    client: KubeClient,
    operator: OperatorService,
    namespaces: Sequence[str],
    selector: str | None,
    *,
    days: float,
    label: str | None,
    now: float,
) -> PeriodReport:
    """From statuses and what the ``operator`` keeps, with the reader's own rights."""
    try:
        reader = ClusterReader(operator, client=client, namespaces=namespaces, selector=selector, clock=lambda: now)
        view, unread = reader.fleet()
    except Unavailable as error:
        why, places = error.__cause__, listing(list(namespaces)) if namespaces else None
        raise profiles.failed(why, places) if isinstance(why, KubeError) else UserError(str(error)) from None
    history = OperatorHistory(operator)
    kept = history.days(view.profiles)
    rows, problem = kept.rows, kept.problem
    notes = [figures_of(len(rows), len(view.profiles))]
    notes += [f"Daily rows and cost by step and component are left out: {problem}."] if problem else []
    where = f"Namespaces {listing(list(namespaces), 10)}" if namespaces else "All namespaces"
    scope = ReportScope(now - days * DAY, now, "cluster", where + (f", {selector}" if selector else ""), label)
    counting = counted(view, within(rows, scope.since, now), scope.since, now)
    priced = [] if problem else history.priced(counting)
    adoptions = None if problem else kept.adoptions
    return period_report(view, scope, priced=priced, days=rows, adoptions=adoptions, notes=[*notes, *unread])


def from_facts(facts: gather.Facts, window: float | None, *, days: float, label: str | None) -> PeriodReport:
    """From an analysis made now."""
    workflows = list(analyzed(facts, window=window))
    raw_profiles = [profile_of(w) for w in workflows]
    since = max(facts.since, facts.until - days * DAY)
    notes = [plain(str(m)) for m in facts.missing]
    if since > facts.until - days * DAY:
        notes.append(f"The facts reach back {(facts.until - facts.since) / DAY:.3g} of {days:g} days.")
    notes.append(
        "Only the operator knows what was implemented, dismissed or measured: run without --facts or --prometheus."
    )
    notes += _cut(workflows, since)
    places = sorted({str(p["metadata"]["namespace"]) for p in raw_profiles})
    scope = ReportScope(
        since, facts.until, "facts", f"Namespaces {listing(places, 10)}" if places else "No workflow", label
    )
    return period_report(
        FleetView(raw_profiles, (), facts.until, policies.recorded_scale(facts.objects)),
        scope,
        priced=[_priced(w) for w in workflows],
        notes=notes,
    )


def profile_of(workflow: AnalyzedWorkflow) -> dict[str, Any]:
    """The profile that the operator would write."""
    definition = workflow.result.analysis.definition
    key = definition.key
    meta = {"name": workflow.result.profile, "namespace": key.namespace, "labels": dict(definition.labels)}
    return {
        "metadata": meta,
        "spec": {},
        "status": results.first_status(workflow.result),
    }


def _cut(workflows: Sequence[AnalyzedWorkflow], since: float) -> list[str]:
    """Which workflows had more runs from ``since`` (unix seconds) on than their figures are made of."""
    found = []
    for w in workflows:
        used, ended = len(w.result.analysis.runs), sum(r.end is not None and r.end >= since for r in w.runs)
        if used < ended:
            key = w.result.analysis.definition.key
            found.append(f"{key.namespace}/{key.name} ({used} of {ended})")
    return [f"Of some workflows only the newest runs count (analysis.maxRuns): {listing(found)}."] if found else []


def _priced(workflow: AnalyzedWorkflow) -> PricedWorkflow:
    """The workflow with the components of its cost."""
    analysis = workflow.result.analysis
    key = analysis.definition.key
    return PricedWorkflow(
        f"{key.namespace}/{key.name}",
        analysis.pricing.currency,
        len(analysis.runs),
        analysis.cost.runs_per_month or 0.0,
        components.view(analysis, workflow.result.recommendations),
    )
