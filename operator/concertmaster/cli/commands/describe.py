"""``concertmaster describe``: one workflow on one screen."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import click

from concertmaster.cli import cluster_options, documents, profiles
from concertmaster.cli.documents import say
from concertmaster.core import text
from concertmaster.kube.client import KubeClient
from concertmaster.kube.errors import KubeError
from concertmaster.kube.objects import CHANGES
from concertmaster.report import impact as impacts
from concertmaster.report.status.document import MAX_RECOMMENDATIONS
from concertmaster.report.tables import cell, table
from concertmaster.report.workflows import list_entries, top
from concertmaster.report.workflows.fields import recommendations
from concertmaster.report.workflows.progress import running_rows

MAX_LINES = 40
_STEPS, _CHANGES, _RUNNING, _WIDTH = 8, 4, 3, 110
_COLUMNS, _CHANGE = 120, 30  # characters for id, change and impact together, and the least of them for the change


@click.command("describe")
@click.argument("profile", shell_complete=cluster_options.profile_names)
@documents.OPTION
@cluster_options.one
def command(profile: str, output: str, namespace: str | None, cluster: cluster_options.Cluster) -> None:
    """Describe one workflow.

    PROFILE is the name of a WorkflowProfile or of its workflow, or the latter as KIND/NAME (wftmpl/ingest-orders).

    JSON and YAML hold the WorkflowProfile, its recommendations as list -o json prints them, and its WorkflowChanges.
    """
    client = cluster.connect()
    raw = profiles.read(client, namespace or cluster.namespace, profile)
    changes = _changes(client, raw)
    if output == "text":
        say("\n".join(lines(raw, changes)))
        return
    entries = list_entries.documents(list_entries.entries(raw, recommendations(raw)))
    documents.echo({"profile": raw, "recommendations": entries, "changes": changes}, output)


def lines(raw: Mapping[str, Any], changes: Sequence[Mapping[str, Any]] = ()) -> list[str]:
    """The profile in at most ``MAX_LINES`` lines."""
    meta, status = raw["metadata"], raw.get("status") or {}
    summary, runs = status.get("summary") or {}, status.get("runs") or {}
    policy = f", policy {status['policy']}" if status.get("policy") else ""
    head = [
        f"{summary.get('target') or meta['name']}  namespace {meta['namespace']}, profile {meta['name']}{policy}",
        _runs(runs, summary, status.get("score")),
        *(part for line in status.get("advice") or ("Not analyzed yet.",) for part in _wrapped(line)),
    ]
    tail = _running(raw) + _conditions(status.get("conditions") or ()) + _made(changes)
    listing = _recommendations(raw)
    steps = (status.get("steps") or ())[: max(0, min(_STEPS, MAX_LINES - len(head) - len(listing) - len(tail) - 2))]
    graph = status.get("graph")
    heading = textwrap.shorten(f"Steps ({graph}):", _WIDTH, placeholder=" ...):") if graph else "Steps:"
    listed = [textwrap.shorten(str(step), _WIDTH - 2, placeholder=" ...") for step in steps]
    return [*head, *listing, *(["", heading, *(f"  {line}" for line in listed)] if listed else []), *tail]


def _wrapped(line: str) -> list[str]:
    """A sentence in lines; one with a command stays whole, as that runs as printed."""
    return [line] if "kubectl " in line else textwrap.wrap(line, _WIDTH)


def _recommendations(raw: Mapping[str, Any]) -> list[str]:
    """The most valuable ones, one line each, with the command that shows it in full."""
    headlines = list(top.headlines(raw))
    if not headlines:
        return []
    name, namespace = raw["metadata"]["name"], raw["metadata"]["namespace"]
    explain = f"kubectl concertmaster explain {name}"
    shown = [(h, impacts.monthly(h.impact, h.currency or "")) for h in headlines[:MAX_RECOMMENDATIONS]]
    room = _COLUMNS - max(len(h.id) for h, _ in shown) - max(len(worth) for _, worth in shown)
    rows = [
        [
            h.id,
            top.change(h.action, max(_CHANGE, room)),
            worth,
            cell(h.confidence, text.percent),
            f"{explain} {h.id} -n {namespace}",
        ]
        for h, worth in shown
    ]
    left = sum(r.get("state") == "Active" for r in raw["status"].get("recommendations") or ()) - len(rows)
    left += int(raw["status"].get("moreRecommendations") or 0)
    return [
        "",
        *table(["ID", "CHANGE", "IMPACT PER MONTH", "CONFIDENCE", "DETAILS"], rows).splitlines(),
        *([f"{left} more: {explain} -n {namespace}"] if left > 0 else []),
    ]


def _runs(runs: Mapping[str, Any], summary: Mapping[str, Any], score: Any) -> str:
    times = ", ".join(f"{name} {summary[name]}" for name in ("p50", "p95") if summary.get(name))
    unknown = f", {runs['unknown']} with an unknown outcome" if runs.get("unknown") else ""
    counted = f"{text.count(runs.get('observed', 0), 'run')}, {runs.get('failed', 0)} failed{unknown}"
    return "  ".join(
        p for p in (counted, times, f"score {score} of 100" if score is not None else "score unknown") if p
    )


def _running(raw: Mapping[str, Any]) -> list[str]:
    rows = [
        [r.run, r.expected_end or "-", r.deadline or "-", "yes" if r.late else "no", r.step or "-"]
        for r in running_rows(raw)[:_RUNNING]
    ]
    return (
        ["", *table(["RUN IN PROGRESS", "EXPECTED END", "DEADLINE", "LATE", "STEP"], rows).splitlines()] if rows else []
    )


def _conditions(conditions: Sequence[Mapping[str, Any]]) -> list[str]:
    rows = [[str(c["type"]), str(c["status"]), _message(c)] for c in conditions]
    return ["", *table(["CONDITION", "STATUS", "MESSAGE"], rows).splitlines()] if rows else []


def _message(condition: Mapping[str, Any]) -> str:
    """What a condition says: all of it where it says what to do, so that its command runs as printed."""
    message = str(condition.get("message", ""))
    return textwrap.shorten(message, 80, placeholder=" ...") if condition["status"] == "True" else message


def _made(changes: Sequence[Mapping[str, Any]]) -> list[str]:
    rows = []
    for change in sorted(changes, key=lambda c: str(c["metadata"].get("creationTimestamp")), reverse=True)[:_CHANGES]:
        status = change.get("status") or {}
        rows.append(
            [
                str(change["metadata"]["name"]),
                str(change["spec"]["recommendation"]),
                str(status.get("phase") or "-"),
                str(status.get("verdict") or "-"),
            ]
        )
    return ["", *table(["CHANGE", "RECOMMENDATION", "PHASE", "VERDICT"], rows).splitlines()] if rows else []


def _changes(client: KubeClient, raw: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The profile's changes; none where the reader may not list them."""
    meta = raw["metadata"]
    try:
        changes = list(client.items(CHANGES.path(meta["namespace"])))
    except KubeError:
        return []
    return [c for c in changes if (c["spec"].get("profileRef") or {}).get("name") == meta["name"]]
