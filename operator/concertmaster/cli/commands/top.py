"""``concertmaster top``: the most valuable recommendations of all workflows, by absolute impact."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import yaml

from concertmaster.cli import cluster_options, profiles
from concertmaster.core import text
from concertmaster.core.fleet.ranking import ranked, totals
from concertmaster.core.model.policy import Pricing
from concertmaster.report import fleet
from concertmaster.report.tables import table


@click.command("top")
@click.option(
    "--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="Most recommendations shown."
)
@click.option(
    "--run-hour", type=float, default=Pricing().run_hour, show_default=True, help="Value of an hour of run time."
)
@click.option(
    "--failed-run", type=float, default=Pricing().failed_run, show_default=True, help="Value of a failed run."
)
@click.option(
    "-o", "--output", type=click.Choice(["table", "wide", "yaml", "json", "name"]), default="table", show_default=True
)
@cluster_options.many
def command(
    namespace: str | None,
    all_namespaces: bool,
    selector: str | None,
    limit: int,
    run_hour: float,
    failed_run: float,
    context: str | None,
    kubeconfig: Path | None,
    output: str,
) -> None:
    """Rank the recommendations of all workflows by what they are worth a month.

    All namespaces, unless -n names one. Run time, failed runs and money are brought to one scale by --run-hour and
    --failed-run.
    """
    client = profiles.connect(kubeconfig, context)
    selected = list(profiles.each(client, None if all_namespaces else namespace, selector))
    headlines = [h for profile in selected for h in fleet.headlines(profile)]
    order = ranked(headlines, Pricing(run_hour=run_hour, failed_run=failed_run))
    if output in ("json", "yaml"):
        document = _document(selected, order[:limit])
        if output == "json":
            click.echo(json.dumps(document, indent=2, ensure_ascii=False))
        else:
            click.echo(yaml.safe_dump(document, sort_keys=False, allow_unicode=True), nl=False)
        return
    if output == "name":
        for h in order[:limit]:
            click.echo(text.plain(f"{h.namespace}/{h.profile}/{h.id}"))
        return
    click.echo(fleet.totals_sentence(totals(headlines), fleet.minor_count(selected)))
    if not order:
        return
    wide = output == "wide"
    click.echo(text.plain(table(fleet.WIDE if wide else fleet.HEADER, fleet.rows(order[:limit], wide=wide))))
    if len(order) > limit:
        click.echo(f"{len(order) - limit} more: kubectl concertmaster top --limit {len(order)}")
    first = order[0]
    click.echo(f"Details: kubectl concertmaster explain {first.profile} {first.id} -n {first.namespace}")


def _document(found: list[dict[str, Any]], order: list[Any]) -> dict[str, Any]:
    by_name = {(p["metadata"].get("namespace") or "", p["metadata"]["name"]): p for p in found}
    entries = []
    for h in order:
        profile = by_name[h.namespace, h.profile]
        item = profiles.entry(profile, h.id)
        if item is not None:
            entries.append(fleet.entry(profile, item))
    sums = totals([h for p in found for h in fleet.headlines(p)])
    return {"totals": fleet.totals_document(sums, fleet.minor_count(found)), "top": entries}
