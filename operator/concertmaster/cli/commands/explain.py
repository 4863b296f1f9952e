"""``concertmaster explain``: one recommendation, or all of a profile, as readable text."""

from __future__ import annotations

import re
import textwrap
import time
from pathlib import Path
from typing import Any

import click

from concertmaster.cli import cluster_options, details, profiles
from concertmaster.cli.errors import UserError
from concertmaster.cli.plans import Planner
from concertmaster.core import text
from concertmaster.report import daily, fleet

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
    ("trackRecord", "Record"),
)


# Rules that recommend to shorten a step by work on it: what-if tells beforehand what that would bring.
_TRIED = frozenset(
    {"bottleneck", "io-bound", "node-skew", "overlap-stages", "split-long-step", "straggler", "variance"}
)


@click.command("explain")
@click.argument("profile", shell_complete=cluster_options.profile_names)
@click.argument("recommendation", required=False, shell_complete=cluster_options.recommendation_ids)
@click.option(
    "--operator",
    metavar="NAMESPACE/SERVICE",
    help=f"The operator, for details that do not fit into the status. Default: ${details.VARIABLE}, else {details.DEFAULT}.",
)
@click.option("--all", "with_minor", is_flag=True, help="Minor items too; they come from the operator.")
@cluster_options.cluster
def command(
    profile: str,
    recommendation: str | None,
    operator: str | None,
    with_minor: bool,
    namespace: str | None,
    context: str | None,
    kubeconfig: Path | None,
) -> None:
    """Print what is known about RECOMMENDATION (default: all) of the WorkflowProfile PROFILE.

    The operator is asked through the API server; without it, what the status holds is printed.
    """
    where = details.place(operator)
    place = namespace or profiles.default_namespace(kubeconfig, context)
    client = profiles.connect(kubeconfig, context)
    raw = profiles.read(client, place, profile)
    status = raw.get("status") or {}
    detail, trouble = details.ask(kubeconfig, raw, where, context)
    items = details.merged(raw, detail, time.time())
    items += [i for i in details.minor(detail) if with_minor or i["id"] == recommendation]
    made = [o for o in status.get("results") or () if recommendation in (None, o["id"])]
    if recommendation is not None:
        chosen = [r for r in items if r["id"] == recommendation]
        if not chosen and not made:
            known = ", ".join(r["id"] for r in items) or "none"
            raise UserError(
                f"{place}/{profile} has no recommendation {recommendation}; it has: {known}"
                + (f" (only what the status holds; the operator was not reached: {trouble})" if trouble else "")
            )
        items = chosen
    if not items and not made:
        click.echo(next(iter(status.get("advice") or ()), "the operator has not looked at this profile yet"))
    planner = Planner(client, raw) if recommendation is not None else None
    for item in items:
        click.echo(text.plain(describe(item, raw, _step(detail, item))))
        if planner is not None and item["state"] in ("Active", "Dismissed"):
            click.echo("\n".join(planner.lines(item)))
    for result in made:
        click.echo(text.plain("\n".join(carried_out(result))))
    if recommendation is None and not trouble:
        currency = str((detail.get("cost") or {}).get("currency") or "USD")
        days = details.ask_days(kubeconfig, raw, where, context).get("days") or ()
        if months := daily.months_table(daily.rows(days), currency):
            click.echo(f"Trend by month:\n\n{months}\n")
    if trouble:
        more = int(status.get("moreRecommendations") or 0)
        left = f"; {more} more recommendations are not shown" if more and recommendation is None else ""
        click.echo(f"Only what the status holds{left}. The operator was not reached: {trouble}.", err=True)
    if status.get("dataUntil"):
        click.echo(f"Based on data until {status['dataUntil']}.")


def _step(detail: dict[str, Any], item: dict[str, Any]) -> dict[str, Any]:
    """The figures of the step a recommendation is about; empty without any."""
    return next((s for s in detail.get("steps") or () if s["name"] == item.get("step")), {})


def _figures(step: dict[str, Any]) -> str:
    """A step in one line."""
    seconds = step["durationSeconds"]
    parts = [text.count(step["executions"], "execution")]
    if seconds["count"]:
        shown = ", ".join(f"{name} {text.duration(seconds[name])}" for name in ("mean", "p50", "p95", "p99"))
        parts.append(f"{shown}, {text.duration(seconds['min'])} to {text.duration(seconds['max'])}")
    if step["dragSeconds"] is not None:
        parts.append(f"critical-path time {text.duration(step['dragSeconds'])}")
    if (given := step.get("input")) is not None:
        usual, largest = (text.input_size(given[name], given["unit"]) for name in ("p50", "max"))
        parts.append(f"input {usual} in the median of {text.count(given['runs'], 'run')}, at most {largest}")
    if step["failedExecutions"]:
        parts.append(f"{step['failedExecutions']} failed")
    return "; ".join(parts)


def describe(item: dict[str, Any], profile: dict[str, Any] | None = None, step: dict[str, Any] | None = None) -> str:
    """One recommendation as text, with the figures of its ``step`` where they are known. Where its command is this very
    one, the next step is described instead."""
    lines = [f"{item['action']}  ({item['id']})", ""]
    evidence = item.get("evidence")
    described = {
        **item,
        "evidence": "; ".join(evidence) if isinstance(evidence, list) else evidence,
        "figures": _figures(step) if step else "",
        "sure": text.percent(fleet.confidence(item.get("confidence"))) if item.get("confidence") is not None else "",
        "impact": item["impact"] if isinstance(item.get("impact"), str) else "",
    }
    for key, label in _LABELS:
        if described.get(key):
            body = f"{label + ':':<11} {described[key]}"
            lines += textwrap.wrap(body, 100, initial_indent="  ", subsequent_indent=" " * 14)
    how = str(item.get("how") or "")
    if item.get("state") in ("Implemented", "Obsolete") or not how:
        return "\n".join([*lines, ""])
    if how.startswith("kubectl concertmaster explain"):
        how = next_step(item, profile or {})
    lines += [
        "",
        "  Do:",
        *textwrap.wrap(how, 110, initial_indent="    ", subsequent_indent="    ", break_long_words=False),
        "",
    ]
    return "\n".join(lines)


def carried_out(outcome: dict[str, Any]) -> list[str]:
    """One implementation and what it brought."""
    lines = [f"  Applied {outcome['since']} by {outcome['by']}: {outcome['action']}  ({outcome['id']})"]
    lines += [f"    {outcome['sets']}"] if outcome.get("sets") else []
    return [
        *lines,
        *textwrap.wrap(f"Effect: {outcome.get('effect', '')}", 100, initial_indent="    ", subsequent_indent="      "),
        "",
    ]


def next_step(item: dict[str, Any], profile: dict[str, Any]) -> str:
    """What to do where no single command can make the change."""
    rule, _, step = item["id"].partition(".")
    reference = (profile.get("spec") or {}).get("workflowRef") or {}
    namespace = (profile.get("metadata") or {}).get("namespace", "default")
    name = reference.get("name") or (profile.get("metadata") or {}).get("name", "WORKFLOW")
    target = f"{reference['kind'].lower()} {name}" if reference else "the definition of its pods"
    if rule == "degradation":
        if not reference:
            return f"compare the images and arguments of the pods of {step or 'each step'} before and after that moment"
        return (
            f"kubectl -n {namespace} get {target} -o yaml --show-managed-fields   (who changed which field, and when)"
        )
    if rule in ("cpu-request", "memory-request", "right-size"):
        return f"set {item['proposed']} where the pods of {step} are defined; the operator cannot see that place"
    if rule == "failing-step":
        pod = next(iter(re.findall(r"pod ([a-z0-9.-]+)", str(item.get("evidence")))), "POD")
        return f"kubectl -n {namespace} logs {pod} --all-containers --tail=100   (while the pod is there)"
    if rule in _TRIED:
        return (
            "try a change before making it, from a Prometheus or a recorded file: concertmaster what-if"
            f" {name} -n {namespace} --prometheus URL --scale {step or 'STEP'}=0.5"
        )
    if not reference:
        return f"where the pods of {step or 'its steps'} are defined: {item['proposed']}"
    return f"kubectl -n {namespace} edit {target}   ({item['proposed']})"
