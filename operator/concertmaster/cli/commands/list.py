"""``concertmaster list``: the recommendations of all profiles, one per line."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from typing import Any

import click

from concertmaster.api.models.list_entry import ListEntry
from concertmaster.cli import cluster_options, documents, policies, profiles
from concertmaster.cli.documents import say
from concertmaster.cli.operator_history import OperatorHistory
from concertmaster.core import text
from concertmaster.core.fleet.materiality import value
from concertmaster.core.model.enums import Category, RecommendationState, Severity
from concertmaster.core.model.policy import Pricing
from concertmaster.report import impact as impacts
from concertmaster.report.tables import cell, table
from concertmaster.report.workflows import fields, list_entries, recommendations
from concertmaster.report.workflows.coverage import freshness_text
from concertmaster.report.workflows.fleet import FleetView

_STATES = [s.value for s in RecommendationState]
_SEVERITIES = [s.value for s in Severity]
_CATEGORIES = [c.value for c in Category]
_SORT = ("impact", "severity", "state", "namespace", "workflow", "id")


@click.command("list")
@click.option("--severity", type=click.Choice(_SEVERITIES, case_sensitive=False), help="At least this severity.")
@click.option("--state", type=click.Choice(_STATES, case_sensitive=False), help="Only those in this state.")
@click.option("--category", type=click.Choice(_CATEGORIES, case_sensitive=False), help="Only this category.")
@click.option("--all", "with_minor", is_flag=True, help="Minor items too; they come from the operator.")
@cluster_options.operator(", for --all")
@click.option("--sort-by", type=click.Choice(_SORT), default="impact", show_default=True, help="Order of the lines.")
@click.option(
    "-o", "--output", type=click.Choice(["table", "wide", "yaml", "json", "name"]), default="table", show_default=True
)
@cluster_options.several
def command(
    severity: str | None,
    state: str | None,
    category: str | None,
    with_minor: bool,
    operator: str | None,
    sort_by: str,
    output: str,
    namespaces: tuple[str, ...],
    all_namespaces: bool,
    selector: str | None,
    cluster: cluster_options.Cluster,
) -> None:
    """List recommendations as the operator wrote them into the profiles, the most valuable first.

    The JSON form is a contract: docs/reference/list.schema.json.
    """
    client = cluster.connect()
    places = namespaces or (cluster.namespace,)
    everywhere = profiles.each(client, None, selector)
    selected = list(everywhere if all_namespaces else profiles.within(client, places, selector))
    entries = [e for p in selected for e in list_entries.entries(p, fields.recommendations(p))]
    if with_minor:
        history = OperatorHistory(cluster.operator(operator))
        entries += _minor(selected, history.documents(selected))
    found = len(entries)
    entries = [
        e
        for e in entries
        if (severity is None or _rank(e) >= _SEVERITIES.index(severity))
        and (category is None or e.category == category)
        and (state is None or e.state == state)
    ]
    scale, _ = policies.scale(client, None, None)
    entries.sort(key=lambda e: _order(e, sort_by, scale))
    _print(entries, output)
    if output in ("table", "wide"):
        view = FleetView(selected, (), time.time())
        if found and not entries:
            asked_for = {"severity": severity, "state": state, "category": category}
            filters = " ".join(f"--{name} {given}" for name, given in asked_for.items() if given is not None)
            say(f"None of {text.count(found, 'recommendation')} matches {filters}.", err=True)
        elif not found:
            say(profiles.nothing(view, () if all_namespaces else places, selector), err=True)
        if stale := freshness_text(view):
            say(stale, err=True)


def _minor(selected: Sequence[dict[str, Any]], asked: Iterator[tuple[dict[str, Any], str]]) -> list[ListEntry]:
    """The minor items of the ``selected`` profiles; what keeps the operator from giving them is said once, on stderr."""
    entries: list[ListEntry] = []
    problems: dict[str, list[str]] = {}
    answered = 0
    for profile, (document, problem) in zip(selected, asked, strict=False):
        entries += list_entries.entries(profile, recommendations.minor(document))
        answered += 1
        if problem:
            problems.setdefault(problem, []).append(profiles.called(profile))
    for problem, names in problems.items():
        rest = names + [profiles.called(p) for p in selected[answered:]] if answered < len(selected) else names
        say(f"minor items of {text.listing(rest)} are not known: {problem}", err=True)
    return entries


def _order(entry: ListEntry, key: str, scale: Pricing) -> tuple[Any, ...]:
    name = (entry.namespace, entry.profile, entry.id)
    state, severity = _STATES.index(entry.state or "Active"), -_rank(entry)
    worth = -value(impacts.of_entry(entry), scale)
    first: dict[str, tuple[Any, ...]] = {
        "impact": (state, entry.minor, worth, severity),
        "severity": (state, severity, worth),
        "state": (state,),
        "namespace": (),
        "workflow": (entry.workflow or "",),
        "id": (entry.id,),
    }
    return (*first[key], *name)


def _rank(entry: ListEntry) -> int:
    return _SEVERITIES.index(entry.severity or Severity.INFO)


def _print(entries: list[ListEntry], output: str) -> None:
    if output in ("json", "yaml"):
        documents.echo(list_entries.documents(entries), output)
    elif output == "name":
        for e in entries:
            say(f"{e.namespace}/{e.profile}/{e.id}")
    elif entries:
        header = ["NAMESPACE", "PROFILE", "ID", "SEVERITY", "STATE", "IMPACT", "ACTION"]
        wide = ["WORKFLOW", "CONFIDENCE", "EFFORT", "RISK"] if output == "wide" else []
        rows = [_row(e, bool(wide)) for e in entries]
        say(table([*header, *wide], rows))


def _row(e: ListEntry, wide: bool) -> list[str]:
    action = e.action
    if e.effect:
        action = f"{action} ({re.split(r' [(]|[;,]', e.effect)[0]})"
    state = "Minor" if e.minor else e.state or "-"
    worth = impacts.line(impacts.of_entry(e), e.impact.currency or "")
    row = [e.namespace, e.profile, e.id, e.severity or "-", state, worth, action]
    more = [f"{e.kind}/{e.workflow}", cell(e.confidence, text.percent), e.effort or "-", e.risk or "-"]
    return [*row, *more] if wide else row
