"""A report over a period as one self-contained HTML file, as Markdown, JSON or CSV."""

from __future__ import annotations

import base64
import csv
import hashlib
import io

from concertmaster import __version__
from concertmaster.api.views.fleet import PeriodReport, WorkflowRow
from concertmaster.core.text import plain
from concertmaster.report.html.environment import amounts, hours, money, render, stylesheet, when
from concertmaster.report.markdown import line, table
from concertmaster.report.period.sections import sections, workflows
from concertmaster.report.workflows.coverage import unknown_parts

FORMATS = ("html", "md", "json", "csv")


def document(report: PeriodReport, form: str) -> str:
    """The report in one of the ``FORMATS``."""
    return {"html": html, "md": markdown, "json": json_text, "csv": csv_text}[form](report)


def html(report: PeriodReport) -> str:
    """One file that loads nothing and runs no script."""
    style = stylesheet()
    digest = base64.b64encode(hashlib.sha256(str(style).encode()).digest()).decode()
    return render(
        "report.html",
        r=report,
        sums=_sums(report),
        sections=[*sections(report), workflows(report)],
        style=style,
        style_hash=digest,
        version=__version__,
    )


def _sums(report: PeriodReport) -> list[tuple[object, str]]:
    """The first figures of a report, each with what it is."""
    s = report.summary
    health = ", ".join([f"{s.healthy} healthy", *unknown_parts(report.workflows)])
    return [
        (s.workflows, f"workflows, {health}"),
        (amounts(s.available), "savings available"),
        (amounts(s.realised), "savings realized (measured)"),
        (money(s.cost_per_month), "cost per month"),
        (hours(s.queueing_hours), "scheduling latency per month"),
        (s.missed_objectives, "objectives missed"),
        *([(s.waiting_changes, "changes waiting for approval")] if report.source == "cluster" else []),
    ]


def json_text(report: PeriodReport) -> str:
    """The model itself."""
    return report.model_dump_json(by_alias=True, indent=2) + "\n"


_COLUMNS = (
    "namespace",
    "profile",
    "kind",
    "workflow",
    "score",
    "runs",
    "failed_runs",
    "success_percent",
    "p50_seconds",
    "p95_seconds",
    "runs_per_month",
    "queueing_seconds",
    "cost_per_run",
    "cost_per_month",
    "currency",
    "open",
    "missed",
    "severity",
    "impact",
    "top",
    "last_run",
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def csv_text(report: PeriodReport) -> str:
    """One line per workflow. A cell that a spreadsheet would take for a formula is quoted: names come from tenants."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    label = [report.label] if report.label else []
    writer.writerow([*label, *_COLUMNS])
    for row in report.workflows:
        writer.writerow([_cell(v) for v in ([row.labels.get(report.label, "")] if report.label else [])] + _cells(row))
    return out.getvalue()


def _cells(row: WorkflowRow) -> list[object]:
    return [_cell(getattr(row, name)) for name in _COLUMNS]


def _cell(value: object) -> object:
    if isinstance(value, str):
        value = plain(value)
        return f"'{value}" if value.startswith(_FORMULA) else value
    return "" if value is None else value


def markdown(report: PeriodReport) -> str:
    """For merge requests, tickets and wikis."""
    lines = [
        f"# Workflow report, {report.since[:10]} to {report.until[:10]}",
        "",
        f"{line(report.scope)}. Generated {when(report.generated)}. Amounts are per month of 30 days.",
        "",
        *(part for note in report.notes for part in (f"> {line(note)}", "")),
    ]
    for value, label in _sums(report):
        what, _, more = label.partition(", ")
        lines.append(f"- {what[:1].upper()}{what[1:]}: {value}{f' ({more})' if more else ''}")
    for section in sections(report):
        lines += ["", f"## {section.title}", *([] if not section.empty else ["", section.otherwise])]
        if section.rows:
            lines += ["", *table([name.lstrip("#") for name in section.header], section.rows)]
        lines += ["", *(f"- {line(text)}" for text in section.lines)] if section.lines else []
        lines += [part for note in section.notes for part in ("", line(note))]
    return "\n".join(lines).rstrip() + "\n"
