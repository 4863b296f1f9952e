"""``concertmaster list``: the recommendations of all profiles, one per line."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from concertmaster.cli import profiles
from concertmaster.core import text
from concertmaster.report.tables import table

_STATES = ["Active", "Dismissed", "Implemented", "Obsolete"]
_SEVERITIES = ["Info", "Low", "Medium", "High", "Critical"]


@click.command("list")
@click.option("-n", "--namespace", help="Namespace to look at. Default: the current one.")
@click.option("-A", "--all-namespaces", is_flag=True, help="All namespaces.")
@click.option("--severity", type=click.Choice(_SEVERITIES, case_sensitive=False), help="At least this severity.")
@click.option("--state", type=click.Choice(_STATES, case_sensitive=False), help="Only those in this state.")
@click.option("--category", help="Only this category: Performance, Cost, Reliability, Scalability or BestPractice.")
@click.option(
    "--kubeconfig", type=click.Path(dir_okay=False, path_type=Path), help="Cluster to look at. Default: as kubectl."
)
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def command(
    namespace: str | None,
    all_namespaces: bool,
    severity: str | None,
    state: str | None,
    category: str | None,
    kubeconfig: Path | None,
    output: str,
) -> None:
    """List recommendations as the operator wrote them into the profiles."""
    client = profiles.connect(kubeconfig)
    entries = []
    for profile in profiles.each(client, None if all_namespaces else namespace or profiles.default_namespace()):
        meta = profile["metadata"]
        effects = {o["id"]: o.get("effect") for o in reversed((profile.get("status") or {}).get("results") or ())}
        for item in profiles.recommendations(profile):
            if severity and _rank(item) < _SEVERITIES.index(severity.capitalize()):
                continue
            if category and str(item.get("category")).lower() != category.lower():
                continue
            if state and item["state"].lower() != state.lower():
                continue
            more = {"effect": effects[item["id"]]} if item["state"] == "Implemented" and effects.get(item["id"]) else {}
            entries.append({"namespace": meta["namespace"], "profile": meta["name"], **item, **more})
    if output == "json":
        click.echo(json.dumps(entries, indent=2, ensure_ascii=False))
        return
    if not entries:
        click.echo("no recommendations", err=True)
        return
    entries.sort(key=lambda r: (_STATES.index(r["state"]), -_rank(r), r["namespace"], r["profile"], r["id"]))
    header = ["NAMESPACE", "PROFILE", "ID", "SEVERITY", "STATE", "ACTION"]
    rows = [[str(r.get(h.lower(), "")) for h in header[:-1]] + [_sentence(r)] for r in entries]
    click.echo(text.plain(table(header, rows)))


def _rank(item: Mapping[str, Any]) -> int:
    return _SEVERITIES.index(item.get("severity", "Info"))


def _sentence(item: Mapping[str, Any]) -> str:
    """The action, and what it brought where it was carried out."""
    if not item.get("effect"):
        return str(item["action"])
    return f"{item['action']} ({re.split(r' [(]|[;,]', item['effect'])[0]})"
