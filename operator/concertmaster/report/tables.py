"""Plain text tables for terminals: columns as wide as their content, no colour, no boxes, made from the JSON view."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from concertmaster.core import text
from concertmaster.core.analysis.objectives import ObjectiveAssessment, ObjectiveResult, Trend
from concertmaster.core.analysis.score import UNSAMPLED

V = TypeVar("V")
_WIDTH = 110  # characters of a paragraph
DASH = "–"  # what is unknown, in documents


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Left-aligned columns, three spaces apart, as kubectl prints them."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    lines = ["   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in [header, *rows]]
    return "\n".join(line.rstrip() for line in lines)


def cell(value: V | None, shown: Callable[[V], str], unknown: str = "-") -> str:
    """A value as ``shown``, a hyphen where it is unknown."""
    return unknown if value is None else shown(value)


def fleet_table(views: Sequence[dict[str, Any]]) -> str:
    """One line per workflow."""
    rows = []
    for view in views:
        recommendations = view["recommendations"]
        runs = view["runs"]
        rows.append(
            [
                f"{view['workflow']['namespace']}/{view['workflow']['name']}",
                view["workflow"]["kind"],
                str(runs["total"]),
                cell(view["successRate"], text.percent),
                cell(view["makespanSeconds"]["p50"], text.duration),
                cell(view["makespanSeconds"]["p95"], text.duration),
                cell(view["score"], str),
                str(len(recommendations)),
                textwrap.shorten(recommendations[0]["action"], 60, placeholder=" ...")
                if recommendations
                else waiting(view),
            ]
        )
    return table(["WORKFLOW", "KIND", "RUNS", "SUCCESS", "P50", "P95", "SCORE", "OPEN", "TOP"], rows)


def waiting(view: dict[str, Any]) -> str:
    """Why there is no recommendation: insufficient data, no samples, no remedy, or nothing that needs action."""
    runs = view["runs"]
    known = runs["succeeded"] + runs["failed"]
    if known < runs["needed"]:
        return f"insufficient data: {known} of {runs['needed']} required runs"
    missed = [o["name"] for o in view["objectives"] if o["verdict"] == ObjectiveResult.MISSED]
    if missed:
        return f"no remedy found for the missed objective{'' if len(missed) == 1 else 's'} {text.listing(missed)}"
    return "requests not assessed: no usage samples" if _unsampled(view) else "no action needed"


def _unsampled(view: dict[str, Any]) -> bool:
    return any(p["why"] == UNSAMPLED for p in view["scoreParts"])


def marks(of_step: dict[str, Any], separator: str = ",") -> str:
    """Marks that are set; over- and underAllocated with the resources concerned."""
    shown = []
    for name, value in of_step.items():
        if value is True:
            resources = of_step.get(f"{name}Resources") or ()
            shown.append(f"{name}({','.join(resources)})" if resources else name)
    return separator.join(shown)


def _largest(step: dict[str, Any], field: str) -> float | None:
    values = [c[field] for c in step["containers"] if c[field] is not None]
    return max(values) if values else None


def step_table(view: dict[str, Any]) -> str:
    """One line per step: times, drag, failures, utilisation and marks."""
    rows = []
    for step in view["steps"]:
        duration = step["durationSeconds"]
        rows.append(
            [
                step["name"],
                str(duration["count"]),
                *(cell(duration[name], text.duration) for name in ("mean", "min", "max", "p50", "p95")),
                "-" if duration["cv"] is None else f"{duration['cv']:.2f}",
                cell(step["criticalShare"], text.percent),
                cell(step["dragSeconds"], text.duration),
                cell(step["errorRate"], text.percent),
                cell(_largest(step, "cpuUtilization"), text.percent),
                cell(_largest(step, "memoryUtilization"), text.percent),
                marks(step["marks"]) or "-",
            ]
        )
    header = [
        "STEP",
        "COUNT",
        "MEAN",
        "MIN",
        "MAX",
        "P50",
        "P95",
        "CV",
        "ON CRITICAL PATH",
        "CRITICAL-PATH TIME",
        "FAILED",
        "CPU/REQUEST",
        "MEMORY/REQUEST",
    ]
    return table([*header, "MARKS"], rows)


def recommendation_text(item: dict[str, Any], position: int) -> str:
    """One recommendation as an indented paragraph. ``why``: what to do where its command does not say it all; then with
    the evidence."""
    head = f"{position}. {item['action']}  [{item['id']}, {item['severity']}, risk {item['risk']}]"
    lines = [head]
    why, evidence = item.get("why"), "; ".join(item["evidence"])
    said = [(label, item[label.lower()]) for label in ("Because", "Expected", "Otherwise")]
    said += [("Evidence", evidence)] if why and evidence else []
    said += [("Do", why)] if why else []
    for label, sentence in said:
        end = ":" if label == "Do" and item["how"] else "."
        lines += textwrap.wrap(f"{label}: {sentence}{end}", _WIDTH, initial_indent="   ", subsequent_indent="     ")
    lines += [f"       {line}" for line in item["items"]] if why else []
    if item["how"]:
        lines.append(f"     {item['how']}" if why else f"   Do: {item['how']}")
    if item.get("snippet"):
        lines += ["   Where the workflow is defined:", *(f"     {line}" for line in item["snippet"].splitlines())]
    return "\n".join(lines)


def workflow_text(view: dict[str, Any]) -> str:
    """Everything about one workflow, for a terminal."""
    key, runs, makespan = view["workflow"], view["runs"], view["makespanSeconds"]
    per_run, currency = view["cost"]["perRun"], view["cost"]["currency"]
    newest = "the newest " if runs.get("limitedTo") else ""
    lines = [
        f"{key['kind']} {key['namespace']}/{key['name']} ({view['engine']})",
        f"  {newest}{text.count(runs['total'], 'run')} in {text.window(view['windowSeconds'])}:"
        f" {runs['succeeded']} succeeded, {runs['failed']} failed, {runs['unknown']} with an unknown outcome; last run ended"
        f" {view['lastRun'] or 'never'}",
    ]
    if makespan["count"]:
        low, high, *quantiles = (cell(makespan[n], text.duration) for n in ("min", "max", "p50", "p95", "p99"))
        lines.append("  run time: median {}, p95 {}, p99 {}, from {} to {}".format(*quantiles, low, high))
    lines += [f"  change: {sentence}" for sentence in trend_sentences(view["trend"])]
    lines += [f"  insight: {sentence}" for sentence in view.get("insightSentences", ())]
    if per_run:
        month = view["cost"]["perMonth"]
        lines.append(
            f"  cost: {text.money(per_run['total'], currency)} per run,"
            f" {text.money(per_run['wasted'], currency)} of it unused"
            + (f"; {text.money(month, currency)} a month" if month is not None else "")
        )
    if view["score"] is not None:
        parts = ", ".join(
            f"{p['name']} -{round(p['weight'] * (1 - p['value']))} ({p['why']})"
            if p["deducted"]
            else f"{p['name']} {round(p['weight'] * p['value'])} of {p['weight']} ({p['why']})"
            for p in view["scoreParts"]
            if p["value"] is not None
        )
        lines.append(f"  score: {view['score']} of 100: {parts}")
    elif _unsampled(view):
        lines.append(f"  score: unknown, {UNSAMPLED}")
    lines += [f"  objective {o['name']}: {_objective(o).line}" for o in view["objectives"]]
    if view["graphInferred"]:
        lines.append("  the graph was inferred from observed times: give the definition for exact dependencies")
    lines += [f"  note: {problem}" for problem in view["problems"]]
    lines += ["", textwrap.indent(step_table(view), "  "), ""]
    if view["recommendations"]:
        for position, item in enumerate(view["recommendations"], 1):
            lines.append(textwrap.indent(recommendation_text(item, position), "  "))
    else:
        lines.append(f"  No recommendations: {waiting(view)}.")
    return "\n".join(lines)


def trend_sentences(trend: dict[str, Any]) -> list[str]:
    """Each change point as a sentence."""
    return [
        f"since {point['since']} runs take {100 * abs(point['ratio'] - 1):.0f}%"
        f" {'longer' if point['ratio'] > 1 else 'less'}"
        f" ({text.change_range(point['low'], point['high'])})"
        for point in trend["changes"]
        if point["ratio"] is not None
    ]


def _objective(o: dict[str, Any]) -> ObjectiveAssessment:
    """An objective of a document."""
    verdict, trend = ObjectiveResult(o["verdict"]), Trend(o["trend"])
    return ObjectiveAssessment(o["name"], o["target"], o["actual"], verdict, None, trend, o["bound"])
