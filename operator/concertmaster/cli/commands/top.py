"""``concertmaster top``: the most valuable recommendations of all workflows, by absolute impact."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from concertmaster.cli import cluster_options, documents, policies, profiles
from concertmaster.cli.documents import say
from concertmaster.core import text
from concertmaster.core.fleet.ranking import Headline
from concertmaster.core.model import Interval
from concertmaster.core.model.policy import Pricing
from concertmaster.report.tables import table
from concertmaster.report.workflows import list_entries, top
from concertmaster.report.workflows.coverage import freshness_text
from concertmaster.report.workflows.fleet import FleetView


def _most(measure: str) -> Callable[[Headline], float]:
    """Sorts by a measure, the most first."""

    def key(headline: Headline) -> float:
        amount: Interval | None = getattr(headline.impact, measure)
        return -amount.likely if amount is not None else 0.0

    return key


_MAX_ROWS = 1000  # lines of a table


def _amount(_: click.Context, __: click.Parameter, value: float | None) -> float | None:
    """A click callback: with another value than an amount there would be no order."""
    if value is not None and not 0.0 <= value < float("inf"):
        raise click.BadParameter(f"{value:g} is not an amount of 0 or more")
    return value


# Lines that are equal in it stay in the order of their impact.
_SORT: dict[str, Callable[[Headline], Any]] = {
    "impact": lambda _: 0,
    "run-time": _most("run_minutes"),
    "failed-runs": _most("failed_runs"),
    "money": _most("money"),
    "confidence": lambda h: -(h.confidence or 0.0),
    "namespace": lambda h: h.namespace,
    "workflow": lambda h: (h.namespace, h.workflow),
}


@click.command("top")
@click.option(
    "--limit", type=click.IntRange(1, _MAX_ROWS), default=20, show_default=True, help="Most recommendations shown."
)
@click.option(
    "--run-hour",
    type=float,
    callback=_amount,
    show_default=f"of the ClusterOptimizationPolicies, else {Pricing().run_hour:g}",
    help="Value of an hour of run time.",
)
@click.option(
    "--failed-run",
    type=float,
    callback=_amount,
    show_default=f"of the ClusterOptimizationPolicies, else {Pricing().failed_run:g}",
    help="Value of a failed run.",
)
@click.option(
    "--sort-by", type=click.Choice(list(_SORT)), default="impact", show_default=True, help="Order of the lines."
)
@click.option(
    "-o", "--output", type=click.Choice(["table", "wide", "yaml", "json", "name"]), default="table", show_default=True
)
@cluster_options.several
def command(
    namespaces: tuple[str, ...],
    all_namespaces: bool,
    selector: str | None,
    limit: int,
    run_hour: float | None,
    failed_run: float | None,
    sort_by: str,
    cluster: cluster_options.Cluster,
    output: str,
) -> None:
    """Rank the recommendations of all workflows by what they are worth a month.

    All namespaces, unless -n names some (-n a,b); without the right to list them, the namespace of the context. Run time,
    failed runs and money are brought to one scale: spec.pricing.runHour and failedRun of the ClusterOptimizationPolicies
    where all have the same, or --run-hour and --failed-run.
    """
    client = cluster.connect()
    if all_namespaces:
        selected, limited = list(profiles.each(client, None, selector)), ""
    elif namespaces:
        selected, limited = list(profiles.within(client, namespaces, selector)), ""
    else:
        selected, limited = profiles.readable(client, selector, cluster.namespace)
    if limited:
        say(limited, err=True)
    pricing, source = policies.scale(client, run_hour, failed_run)
    view = FleetView(selected, (), time.time(), pricing)
    order = list(view.ranked if output in ("json", "yaml", "name") else view.ranked_copies)
    if sort_by != "impact":
        order.sort(key=_SORT[sort_by])
    if output in ("json", "yaml"):
        best = list_entries.documents(entry for _, entry in view.described(order[:limit]))
        documents.echo({"totals": top.totals_document(view.totals, top.minor_count(selected)), "top": best}, output)
    elif output == "name":
        for h in order[:limit]:
            say(f"{h.namespace}/{h.profile}/{h.id}")
    else:
        say(top.totals_sentence(view.totals) if order else profiles.nothing(view, namespaces, selector))
        if stale := freshness_text(view):
            say(stale)
        places = "" if limited else " -A"
        if namespaces and not all_namespaces:
            places = f" -n {','.join(namespaces)}"
        places += f" -l {shlex.quote(selector)}" if selector else ""
        _print_table(order, limit, places + _chosen(sort_by, run_hour, failed_run), wide=output == "wide")
        if order:
            say("\n".join(top.legend(order[:limit], pricing, view.totals.money, source)))
        _print_next(order, selected, places)


def _chosen(sort_by: str, run_hour: float | None, failed_run: float | None) -> str:
    """The options of the order that were given, as part of a command."""
    given = [f" --run-hour {run_hour:g}"] if run_hour is not None else []
    given += [f" --failed-run {failed_run:g}"] if failed_run is not None else []
    given += [f" --sort-by {sort_by}"] if sort_by != "impact" else []
    return "".join(given)


def _print_table(order: list[Headline], limit: int, chosen: str, *, wide: bool) -> None:
    """The first ``limit`` lines, and the command that gives them all, of the profiles and in the order that the options
    ``chosen`` select."""
    if order:
        say(table(top.WIDE_HEADER if wide else top.HEADER, top.rows(order[:limit], wide=wide)))
    if len(order) > limit:
        most = min(len(order), _MAX_ROWS)
        shape = " -o wide" if wide else ""
        say(f"{len(order) - limit} more: kubectl concertmaster top --limit {most}{chosen}{shape}")


def _print_next(order: list[Headline], selected: Sequence[Mapping[str, Any]], chosen: str) -> None:
    """Where to read on: the items below the thresholds of the ``selected`` profiles, which options ``chosen`` select, and
    details of the first line, named as in its columns where no other profile is about the same workflow."""
    if below := top.minor_count(selected):
        items = text.count(below, "minor item")
        say(f"{items} below the thresholds: kubectl concertmaster list --all{chosen}")
    if order:
        first = order[0]
        same = {p["metadata"]["name"] for p in selected if list_entries.place(p) == (first.namespace, first.workflow)}
        name = first.workflow if len(same) == 1 else first.profile
        say(f"Details: kubectl concertmaster explain {name} {first.id} -n {first.namespace}")
