"""The same report as Markdown, for merge requests, tickets and wikis."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from concertmaster.core import text
from concertmaster.report.tables import DASH, cell, marks, trend_sentences, waiting

# Names, images and messages of failures come from tenants, and not every reader of Markdown leaves HTML out: tags,
# and links and images, which would be loaded when the report is opened.
_MARKUP = re.compile(r"\\|<(?=[A-Za-z/!?])|(?<=])(?=\()")


def line(value: object) -> str:
    """Text on one line in which nothing is markup but emphasis."""
    return _MARKUP.sub(lambda found: f"\\{found[0]}", text.plain(str(value)).replace("\n", " "))


def _cell(value: object) -> str:
    return line(value).replace("|", "\\|")


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """A table as lines."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return lines + ["| " + " | ".join(map(_cell, row)) + " |" for row in rows]


def _workflow(view: dict[str, Any]) -> list[str]:
    key, runs, makespan = view["workflow"], view["runs"], view["makespanSeconds"]
    lines = [
        f"## {key['kind']} {key['namespace']}/{key['name']}",
        "",
        f"{text.count(runs['total'], 'run')} in {text.window(view['windowSeconds'])} ({runs['succeeded']} succeeded,"
        f" {runs['failed']} failed, {runs['unknown']} unknown), median {cell(makespan['p50'], text.duration, DASH)},"
        f" p95 {cell(makespan['p95'], text.duration, DASH)}, score"
        f" {cell(view['score'], str, DASH)}.",
        "",
    ]
    lines += [f"- {sentence}" for sentence in trend_sentences(view["trend"])]
    lines += [f"- {line(sentence)}." for sentence in view.get("insightSentences", ())]
    lines += [f"- Note: {line(problem)}" for problem in view["problems"]]
    rows = [
        [
            step["name"],
            step["durationSeconds"]["count"],
            cell(step["durationSeconds"]["p50"], text.duration, DASH),
            cell(step["durationSeconds"]["p95"], text.duration, DASH),
            cell(step["durationSeconds"]["max"], text.duration, DASH),
            cell(step["dragSeconds"], text.duration, DASH),
            cell(step["criticalShare"], text.percent, DASH),
            cell(step["errorRate"], text.percent, DASH),
            marks(step["marks"], ", ") or DASH,
        ]
        for step in view["steps"]
    ]
    heads = ["Step", "Count", "p50", "p95", "Max", "Critical-path time", "On the critical path", "Failed", "Marks"]
    lines += ["", *table(heads, rows), ""]
    for position, item in enumerate(view["recommendations"], 1):
        lines += [
            f"{position}. **{line(item['action'])}** (`{item['id']}`, {item['severity']}, risk {item['risk']})",
            f"   - Because {line(item['because'])}.",
            f"   - Expected: {line(item['expected'])}.",
            f"   - Otherwise {line(item['otherwise'])}.",
            *([f"   - Evidence: {line('; '.join(item['evidence']))}."] if item.get("why") and item["evidence"] else ()),
            *([f"   - To do: {line(item['why'])}."] if item.get("why") else ()),
            *([f"     - {line(row)}" for row in item["items"]] if item.get("why") else ()),
        ]
        lines += ["", "   ```sh", f"   {item['how']}", "   ```"] if item["how"] else []
        if item.get("snippet"):
            lines += ["", "   ```text", *(f"   {row}" for row in item["snippet"].splitlines()), "   ```"]
    if not view["recommendations"]:
        lines.append(f"No recommendations: {waiting(view)}.")
    return [*lines, ""]


def render(views: Sequence[dict[str, Any]]) -> str:
    """The whole report."""
    lines = ["# Workflow report", ""]
    for view in views:
        lines += _workflow(view)
    return "\n".join(lines).rstrip() + "\n"
