"""``concertmaster list``: the recommendations of all profiles, one per line."""

from __future__ import annotations

import json
from pathlib import Path

import click

from concertmaster.cli import profiles
from concertmaster.core import text
from concertmaster.report.tables import table

_SEVERITIES = ["Info", "Low", "Medium", "High", "Critical"]


@click.command("list")
@click.option("-n", "--namespace", help="Namespace to look at. Default: the current one.")
@click.option("-A", "--all-namespaces", is_flag=True, help="All namespaces.")
@click.option("--severity", type=click.Choice(_SEVERITIES, case_sensitive=False), help="At least this severity.")
@click.option("--category", help="Only this category: Performance, Cost, Reliability, Scalability or BestPractice.")
@click.option(
    "--kubeconfig", type=click.Path(dir_okay=False, path_type=Path), help="Cluster to look at. Default: as kubectl."
)
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def command(
    namespace: str | None,
    all_namespaces: bool,
    severity: str | None,
    category: str | None,
    kubeconfig: Path | None,
    output: str,
) -> None:
    """List recommendations as the operator wrote them into the profiles."""
    client = profiles.connect(kubeconfig)
    found = []
    for profile in profiles.each(client, None if all_namespaces else namespace or profiles.default_namespace()):
        meta, status = profile["metadata"], profile.get("status") or {}
        for item in status.get("recommendations") or ():
            if severity and _SEVERITIES.index(item["severity"]) < _SEVERITIES.index(severity.capitalize()):
                continue
            if category and item["category"].lower() != category.lower():
                continue
            found.append({"namespace": meta["namespace"], "profile": meta["name"], **item})
    if output == "json":
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    if not found:
        click.echo("no recommendations", err=True)
        return
    found.sort(key=lambda r: (-_SEVERITIES.index(r["severity"]), r["namespace"], r["profile"], r["id"]))
    header = ["NAMESPACE", "PROFILE", "ID", "SEVERITY", "STATE", "ACTION"]
    click.echo(text.plain(table(header, [[str(r[h.lower()]) for h in header] for r in found])))
