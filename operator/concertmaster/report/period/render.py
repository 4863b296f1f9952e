"""A report over a period as one self-contained HTML file, as Markdown, JSON or CSV."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
from collections.abc import Iterable, Sequence

from concertmaster import __version__
from concertmaster.api.views.fleet import CostGroup, PeriodReport, WorkflowRow
from concertmaster.core import text
from concertmaster.report.costs.groups import MAX_GROUPS
from concertmaster.report.html.environment import amounts, hours, impact_line, money, render, stylesheet, when
from concertmaster.report.html.environment import copies as other_namespaces
from concertmaster.report.markdown import line as markdown_line
from concertmaster.report.markdown import table
from concertmaster.report.period import copies
from concertmaster.report.workflows.caches import cache_totals
from concertmaster.report.workflows.coverage import unknown_parts

FORMATS = ("html", "md", "json", "csv")
MAX_OBJECTIVES = 100  # lines


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
        degradations=copies.degradations(report.degradations),
        objectives=copies.objectives(report.objectives),
        met=copies.met(report.objectives),
        costs=_cost_tables(report),
        most_objectives=MAX_OBJECTIVES,
        adopted=adopted_text(report),
        unknown=unknown_parts(report.workflows),
        cached=cache_totals(report.caches),
        style=style,
        style_hash=digest,
        version=__version__,
    )


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
        value = text.plain(value)
        return f"'{value}" if value.startswith(_FORMULA) else value
    return "" if value is None else value


def markdown(report: PeriodReport) -> str:
    """For merge requests, tickets and wikis."""
    s = report.summary
    health = ", ".join([f"{s.healthy} healthy", *unknown_parts(report.workflows)])
    lines = [
        f"# Workflow report, {report.since[:10]} to {report.until[:10]}",
        "",
        f"{markdown_line(report.scope)}. Generated {when(report.generated)}. Amounts are per month of 30 days.",
        "",
        *(line for note in report.notes for line in (f"> {markdown_line(note)}", "")),
        f"- Workflows: {s.workflows} ({health})",
        f"- Savings available: {amounts(s.available)}",
        f"- Savings realized (measured): {amounts(s.realised)}",
        f"- Cost per month: {money(s.cost_per_month)}",
        f"- Scheduling latency per month: {hours(s.queueing_hours)}",
        f"- Objectives missed: {s.missed_objectives}",
        *([f"- Changes waiting for approval: {s.waiting_changes}"] if report.source == "cluster" else []),
        *(f"- In the period: {adopted}" for adopted in [adopted_text(report)] if adopted),
    ]
    return "\n".join([*lines, *_actions(report), *_months(report), *_caches(report), *_costs(report)]).rstrip() + "\n"


def _actions(report: PeriodReport) -> list[str]:
    """Recommendations, objectives, and what was implemented."""
    top = [
        (
            f"{e.namespace}/{e.workflow or e.profile}{other_namespaces(e)}",
            e.action,
            impact_line(e),
            e.severity.value if e.severity else "–",
        )
        for e in report.top
    ]
    lines = _section("Most valuable actions", ["Workflow", "Action", "Impact per month", "Severity"], top)
    lines += _section(
        "Degradations",
        ["Workflow", "Action", "Because"],
        [(line.name, line.row.action, line.row.because or "–") for line in copies.degradations(report.degradations)],
    )
    objectives = copies.objectives(report.objectives)
    lines += _section(
        "Objectives",
        ["Workflow", "Objective", "Figures"],
        [(line.name, line.row.name, line.row.text) for line in objectives[:MAX_OBJECTIVES]],
    )
    if len(objectives) > MAX_OBJECTIVES:
        lines += ["", f"{len(objectives) - MAX_OBJECTIVES} more; the JSON form has all."]
    if met := copies.met(report.objectives):
        lines += [*([] if objectives else ["", "## Objectives"]), "", f"Met: {met}; the JSON form has them."]
    lines += _section(
        "Implemented recommendations",
        ["Since", "Workflow", "Action", "Verdict", "Measured", "Saving per month"],
        [
            (
                when(r.since),
                f"{r.namespace}/{r.profile}",
                r.action,
                "rolled back or overwritten" if r.undone else r.verdict.value if r.verdict else "measuring",
                r.measured or "–",
                amounts(r.saving),
            )
            for r in report.results
        ],
    )
    return lines


def _months(report: PeriodReport) -> list[str]:
    """The forecast of demand, and the calendar months of the period."""
    lines: list[str] = []
    if report.demand:
        lines += ["", "## Demand forecast", "", *(f"- {markdown_line(line)}" for line in report.demand)]
    lines += _section(
        "Months",
        ["Month", "Workflows", "Runs", "Success", "Cost", "Unused", "Scheduling latency"],
        [
            (
                m.month,
                m.workflows,
                m.runs,
                "–" if m.success_percent is None else f"{m.success_percent:g}%",
                money(m.cost),
                money(m.wasted_cost),
                hours(m.queueing_hours),
            )
            for m in report.months
        ],
    )
    return lines


def _caches(report: PeriodReport) -> list[str]:
    rows = [
        (
            f"{c.namespace}/{c.workflow or c.profile}",
            c.cache,
            c.lookups,
            text.percent(c.hits / c.lookups) if c.lookups else "–",
            text.duration(c.saved_seconds) if c.saved_seconds else "–",
            "–" if c.entries is None else c.entries,
            "–" if c.stale is None else c.stale,
        )
        for c in report.caches
    ]
    lines = _section("Caches", ["Workflow", "Cache", "Lookups", "Hits", "Work saved", "Entries", "Stale"], rows)
    return [*lines, "", f"{cache_totals(report.caches)}."] if rows else []


def _cost_tables(report: PeriodReport) -> list[tuple[str, Sequence[CostGroup]]]:
    return [
        (f"label {report.label}", report.cost_by_label[:MAX_GROUPS]),
        ("namespace", report.cost_by_namespace[:MAX_GROUPS]),
        ("workflow", copies.costs(report.cost_by_workflow)),
        ("component", report.cost_by_component[:MAX_GROUPS]),
        ("step", copies.costs(report.cost_by_step)),
    ]


def _costs(report: PeriodReport) -> list[str]:
    lines: list[str] = []
    for title, costs in _cost_tables(report):
        many = title not in ("workflow", "step")  # others sum up several workflows
        after = title in ("component", "step")
        header = [title.capitalize(), *(["Workflows"] if many else []), "Runs", "Cost per month"]
        header += ["After recommendations"] if after else []
        rows = [
            (
                g.name,
                *([g.workflows] if many else []),
                g.runs,
                money(g.cost_per_month, g.currency),
                *([money(g.after_per_month, g.currency)] if after else []),
            )
            for g in costs
        ]
        lines += _section(f"Cost by {title}", header, rows)
    return lines


def adopted_text(report: PeriodReport) -> str:
    """What became of recommendations within the period; empty where it is not known."""
    adopted = report.adopted
    if adopted is None:
        return ""
    return (
        f"{adopted.recommended} recommended, {adopted.implemented} implemented ({adopted.improved} of them measured as"
        f" improved), {adopted.rolled_back} rolled back or overwritten, {adopted.dismissed} dismissed,"
        f" {adopted.obsolete} obsolete"
    )


def _section(title: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    cells = list(rows)
    return ["", f"## {title}", "", *table(header, cells)] if cells else []
