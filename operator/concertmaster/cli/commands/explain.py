"""``concertmaster explain``: one recommendation, or all of a profile, as readable text."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Iterable, Sequence
from typing import Any

import click

from concertmaster.cli import cluster_options, documents, profiles
from concertmaster.cli.documents import say
from concertmaster.cli.errors import UserError
from concertmaster.cli.plans.reader import PlanReader
from concertmaster.core import text
from concertmaster.core.lifecycle import commands
from concertmaster.core.model.enums import RuleName
from concertmaster.core.model.recommendations import rule_of
from concertmaster.kube.client import KubeClient
from concertmaster.kube.errors import KubeError, NotFound
from concertmaster.kube.objects import PODS
from concertmaster.report import daily
from concertmaster.report.costs.components import cost_table
from concertmaster.report.tables import table
from concertmaster.report.workflows import list_entries, recommendations
from concertmaster.report.workflows.remedies import failed_pod, next_step, snippet

_LABELS = (
    ("because", "Because"),
    ("evidence", "Evidence"),
    ("figures", "Step"),
    ("impact", "Impact"),
    ("expected", "Expected"),
    ("sure", "Confidence"),
    ("otherwise", "Otherwise"),
    ("current", "Now"),
    ("proposed", "Proposed"),
    ("category", "Category"),
    ("severity", "Severity"),
    ("risk", "Risk"),
    ("effort", "Effort"),
    ("state", "State"),
    ("since", "Since"),
    ("dismissal", "Dismissed"),
    ("note", "Note"),
    ("trackRecord", "Track record"),
)

_Rows = Sequence[dict[str, Any]]


@click.command("explain")
@click.argument("profile", shell_complete=cluster_options.profile_names)
@click.argument("recommendation", required=False, shell_complete=cluster_options.recommendation_ids)
@cluster_options.operator(", for details that do not fit into the status")
@click.option("--all", "with_minor", is_flag=True, help="Minor items too; they come from the operator.")
@documents.OPTION
@cluster_options.one
def command(
    profile: str,
    recommendation: str | None,
    operator: str | None,
    with_minor: bool,
    output: str,
    namespace: str | None,
    cluster: cluster_options.Cluster,
) -> None:
    """Print what is known about RECOMMENDATION (default: all) of a workflow.

    PROFILE is the name of a WorkflowProfile or of its workflow, or the latter as KIND/NAME (wftmpl/ingest-orders).

    The operator is asked through the API server; without it, what the status contains is printed. JSON and YAML hold the
    recommendations as list -o json prints them.
    """
    asked = cluster.operator(operator)
    client, place = cluster.connect(), namespace or cluster.namespace
    raw = profiles.read(client, place, profile)
    status = raw.get("status") or {}
    detail, problem = asked.document(raw)
    items = recommendations.merged(raw, detail, time.time())
    items += [i for i in recommendations.minor(detail) if with_minor or i["id"] == recommendation]
    made = [o for o in status.get("results") or () if recommendation in (None, o["id"])]
    if recommendation is not None:
        chosen = [r for r in items if r["id"] == recommendation]
        if not chosen and not made:
            known = ", ".join(r["id"] for r in items) or "none"
            raise UserError(
                f"{place}/{profile} has no recommendation {recommendation}; it has: {known}"
                + (f" (in its status; no details from the operator: {problem})" if problem else "")
            )
        items = chosen
    if output != "text":
        documents.echo(list_entries.documents(list_entries.entries(raw, items)), output)
    else:
        items = [_looked_up(client, raw["metadata"]["namespace"], item) for item in items]
        _print(items, raw, detail, made, PlanReader(client, raw) if recommendation is not None else None)
        if recommendation is None and not problem:
            _print_figures(detail, asked.days(raw)[0])
    if problem:
        more = int(status.get("moreRecommendations") or 0)
        left = f"; {text.count(more, 'more recommendation')} not shown" if more and recommendation is None else ""
        say(f"Showing only what the status contains{left}: no details from the operator ({problem}).", err=True)
    if output == "text" and status.get("dataUntil"):
        say(f"Based on data until {status['dataUntil']}.")


def _print(items: _Rows, raw: dict[str, Any], detail: dict[str, Any], made: _Rows, planner: PlanReader | None) -> None:
    """``items`` as text, with their plans where a ``planner`` is given, and the implementations ``made``."""
    status = raw.get("status") or {}
    if not items and not made:
        say(next(iter(status.get("advice") or ()), "the operator has not analyzed this profile yet"))
    for item in items:
        say(describe(item, raw, _step(detail, item)))
        if planner is not None and item["state"] in ("Active", "Dismissed"):
            say("\n".join(planner.lines(item)))
    for result in made:
        say("\n".join(carried_out(result)))
    if planner is None and status.get("graph"):
        say(f"Graph: {status['graph']}\n")


def _print_figures(detail: dict[str, Any], kept: dict[str, Any]) -> None:
    """Of the whole workflow: cost by component, and what the daily rows and the baseline ``kept`` tell."""
    cost = detail.get("cost") or {}
    currency, whole = str(cost.get("currency") or "USD"), bool(cost.get("perRun"))
    if costs := cost_table(detail.get("costComponents") or (), currency, whole=whole):
        say(f"Cost by component, now and after the recommendations above:\n\n{costs}\n")
    rows = daily.rows(kept.get("days") or ())
    if months := daily.months_table(rows, currency):
        say(f"Trend by month:\n\n{months}\n")
    if since := daily.progress(kept.get("baseline"), rows, currency):
        say(f"{since}.\n")


def _step(detail: dict[str, Any], item: dict[str, Any]) -> dict[str, Any]:
    """The figures of the step a recommendation is about; empty without any."""
    return next((s for s in detail.get("steps") or () if s["name"] == item.get("step")), {})


def _figures(step: dict[str, Any]) -> str:
    """A step in one line."""
    seconds = step["durationSeconds"]
    parts = [text.count(step["executions"], "execution")]
    if seconds["count"]:
        shown = ", ".join(f"{name} {text.duration(seconds[name])}" for name in ("mean", "p50", "p95", "p99"))
        parts.append(f"{shown}, min {text.duration(seconds['min'])}, max {text.duration(seconds['max'])}")
    if step["dragSeconds"] is not None:
        parts.append(f"critical-path time {text.duration(step['dragSeconds'])}")
    if (given := step.get("input")) is not None:
        usual, largest = (text.input_size(given[name], given["unit"]) for name in ("p50", "max"))
        name = text.input_name(given["unit"])
        parts.append(f"{name} {usual} in the median of {text.count(given['runs'], 'run')}, at most {largest}")
    parts += resources_used(step)
    if step["failedExecutions"]:
        parts.append(f"{step['failedExecutions']} failed")
    return "; ".join(parts)


def resources_used(step: dict[str, Any]) -> list[str]:
    """What a step moved over the network, and its GPUs and ephemeral storage where it has any."""
    parts = []
    if (network := step.get("network")) is not None:
        moved = [text.input_size(network[name], "bytes") for name in ("receivedBytes", "sentBytes")]
        rate = network.get("bytesPerSecond")
        speed = f", {text.input_size(rate, 'bytes')} a second" if rate else ""
        parts.append(f"network: {moved[0]} received and {moved[1]} sent{speed} (medians)")
    for container in step.get("containers") or ():
        if container.get("gpuRequest"):
            share = text.percent(container["gpuUtilization"]) if container["gpuUtilization"] is not None else "unknown"
            parts.append(f"{container['gpuRequest']:g} {container['gpuResource']}, utilization {share}")
        if container.get("storagePeakBytes") is not None:
            held = container["storageRequestBytes"] or container["storageLimitBytes"]
            parts.append(
                f"ephemeral storage at most {text.memory(container['storagePeakBytes'])} of {text.memory(held)}"
            )
    return parts


def demand_table(hours: list[str]) -> str:
    """The busiest hours ahead, one line each."""
    rows = []
    for line in hours:
        hour, _, amounts = line.rpartition(": ")
        rows.append([hour, *amounts.split(", ")])
    width = max(len(row) for row in rows)
    rows = [[*row, *[""] * (width - len(row))] for row in rows]
    return table(["HOUR", "CPU", "MEMORY", "RUNS", *[""] * (width - 4)], rows)


def size_table(items: Iterable[str]) -> str:
    """The rows of a right-sizing with their peaks and headroom; empty without any."""
    rows = []
    for line in items:
        row, (_, _, reason) = list_entries.item_of(line), line.partition(" (")
        if row is not None:
            peak, _, headroom = reason.removesuffix(")").partition(", ")
            old, new = row["old"] or "not set", row["new"] or "-"
            figures = peak.removeprefix("peak "), headroom.removeprefix("headroom ")
            rows.append([f"{row['step']}/{row['container']}", row["field"] or "-", old, new, *figures])
    return table(["CONTAINER", "FIELD", "NOW", "PROPOSED", "PEAK", "HEADROOM"], rows) if rows else ""


def describe(item: dict[str, Any], profile: dict[str, Any] | None = None, step: dict[str, Any] | None = None) -> str:
    """One recommendation as text, with the figures of its ``step`` where they are known. Where its command is this very
    one, the next step is described instead."""
    sizes = size_table(map(str, item.get("items") or ())) if rule_of(item["id"]) == RuleName.RIGHT_SIZE else ""
    lines = [f"{item['action']}  ({item['id']})", "", *_reasons(item, step, sizes)]
    if item.get("state") not in ("Implemented", "Obsolete") and item.get("how"):
        lines += _what_to_do(item, profile or {}, sizes)
    return "\n".join([*lines, ""])


def _reasons(item: dict[str, Any], step: dict[str, Any] | None, sizes: str) -> list[str]:
    """What is known of it, line by line; the hours of a forecast and the ``sizes`` of containers as tables."""
    evidence = item.get("evidence")
    hours = evidence if rule_of(item["id"]) == RuleName.DEMAND_FORECAST and isinstance(evidence, list) else None
    described = {
        **item,
        "evidence": "; ".join(evidence) if isinstance(evidence, list) else evidence,
        "figures": _figures(step) if step else "",
        "sure": text.percent(list_entries.confidence(item.get("confidence")))
        if item.get("confidence") is not None
        else "",
        "impact": item["impact"] if isinstance(item.get("impact"), str) else "",
    }
    if hours is not None:
        described["evidence"] = ""
    lines: list[str] = []
    for key, label in _LABELS:
        if described.get(key) and not (sizes and key in ("current", "proposed")):
            body = f"{label + ':':<11} {described[key]}"
            lines += textwrap.wrap(body, 100, initial_indent="  ", subsequent_indent=" " * 14)
    tables = [*([demand_table(hours)] if hours is not None else ()), *([sizes] if sizes else ())]
    return lines + [line for one in tables for line in ("", textwrap.indent(one, "  "))]


def _what_to_do(item: dict[str, Any], profile: dict[str, Any], sizes: str) -> list[str]:
    why, command = "", str(item["how"])
    if command.startswith("kubectl concertmaster explain"):
        why, command = next_step(item, profile)
    elif commands.opens(command):
        why = f"Set {'these values' if sizes else item['proposed']} in the object that has the template"
    # A command stands on a line of its own and is never wrapped: it runs as printed.
    sentence = textwrap.wrap(f"{why}:" if command else why, 100, initial_indent="    ", subsequent_indent="    ")
    lines = ["", "  Do:", *(sentence if why else ()), *([f"    {command}"] if command else ())]
    if written := snippet(item, profile):
        lines += ["", "  Where the workflow is defined:", *textwrap.indent(written, "    ").splitlines()]
    return lines


def carried_out(outcome: dict[str, Any]) -> list[str]:
    """One implementation and its measured effect."""
    lines = [f"  Applied {outcome['since']} by {outcome['by']}: {outcome['action']}  ({outcome['id']})"]
    lines += [f"    {outcome['sets']}"] if outcome.get("sets") else []
    return [
        *lines,
        *textwrap.wrap(f"Effect: {outcome.get('effect', '')}", 100, initial_indent="    ", subsequent_indent="      "),
        "",
    ]


def _looked_up(client: KubeClient, namespace: str, item: dict[str, Any]) -> dict[str, Any]:
    """The item; one about a pod that is ``deleted`` says so, as no command reads its log."""
    if pod := failed_pod(item):
        try:
            client.get(PODS.path(namespace, pod))
        except NotFound:
            return {**item, "deleted": True}
        except KubeError:
            return item  # without the right to read pods, it may be there
    return item
