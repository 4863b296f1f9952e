"""``concertmaster explain``: one recommendation, or all of a profile, as readable text."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import click

from concertmaster.cli import profiles
from concertmaster.cli.errors import UserError

_LABELS = (
    ("because", "Because"),
    ("expected", "Expected"),
    ("otherwise", "Otherwise"),
    ("current", "Now"),
    ("proposed", "Proposed"),
    ("category", "Category"),
    ("severity", "Severity"),
    ("risk", "Risk"),
    ("effort", "Effort"),
    ("state", "State"),
)


@click.command("explain")
@click.argument("profile")
@click.argument("recommendation", required=False)
@click.option("-n", "--namespace", help="Namespace of the profile. Default: the current one.")
@click.option(
    "--kubeconfig", type=click.Path(dir_okay=False, path_type=Path), help="Cluster to look at. Default: as kubectl."
)
def command(profile: str, recommendation: str | None, namespace: str | None, kubeconfig: Path | None) -> None:
    """Print what is known about RECOMMENDATION (default: all) of the WorkflowProfile PROFILE."""
    place = namespace or profiles.default_namespace()
    status = profiles.read(profiles.connect(kubeconfig), place, profile).get("status") or {}
    items = status.get("recommendations") or []
    if recommendation is not None:
        chosen = [r for r in items if r["id"] == recommendation]
        if not chosen:
            known = ", ".join(r["id"] for r in items) or "none"
            raise UserError(
                f"{place}/{profile} has no recommendation {recommendation} among its first five; it has: {known}"
            )
        items = chosen
    if not items:
        click.echo(next(iter(status.get("advice") or ()), "the operator has not looked at this profile yet"))
    for item in items:
        click.echo(describe(item))
    if status.get("dataUntil"):
        click.echo(f"Based on data until {status['dataUntil']}.")


def describe(item: dict[str, Any]) -> str:
    """One recommendation as text."""
    lines = [f"{item['action']}  ({item['id']})", ""]
    for key, label in _LABELS:
        if item.get(key):
            lines += textwrap.wrap(
                f"{label + ':':<11} {item[key]}", 100, initial_indent="  ", subsequent_indent=" " * 14
            )
    lines += ["", "  Do:", f"    {item['how']}", ""]
    return "\n".join(lines)
