"""What a report over a period says below its sums, section by section, for every form that people read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from concertmaster.api.views.fleet import CostGroup, PeriodReport
from concertmaster.core import text
from concertmaster.core.model.enums import RecommendationState
from concertmaster.report.costs.groups import MAX_GROUPS
from concertmaster.report.html.environment import amounts, hours, impact_line, money, when
from concertmaster.report.html.environment import copies as other_namespaces
from concertmaster.report.period import copies
from concertmaster.report.tables import DASH, cell
from concertmaster.report.workflows.caches import cache_totals

MAX_OBJECTIVES = 100  # lines
MAX_WORKFLOWS = 500  # lines


@dataclass(frozen=True, slots=True)
class ReportSection:
    """A title, and below it a table (columns of numbers begin with #), a list of ``lines``, and ``notes``; ``otherwise`` is
    said where there is none of these. Left out where that is empty too."""

    title: str
    header: Sequence[str] = ()
    rows: Sequence[Sequence[object]] = ()
    lines: Sequence[str] = ()
    notes: Sequence[str] = ()
    otherwise: str = ""

    @property
    def empty(self) -> bool:
        """Whether it has only what is said otherwise."""
        return not (self.rows or self.lines or self.notes)


def sections(report: PeriodReport) -> list[ReportSection]:
    """All that have something to say, in their order."""
    adoption = _adoption(report) if report.source == "cluster" else []
    made = [_actions(report), _degradations(report), _objectives(report), *adoption]
    peak = "No peak ahead that needs planning."
    made += [ReportSection("Demand forecast", lines=report.demand, otherwise=peak), _months(report), _caches(report)]
    made += [_costs(title, groups) for title, groups in _cost_groups(report)]
    return [section for section in made if section.otherwise or not section.empty]


def _actions(report: PeriodReport) -> ReportSection:
    rows = [
        (
            f"{e.namespace}/{e.workflow or e.profile}{other_namespaces(e)}",
            e.action,
            impact_line(e),
            e.severity or DASH,
            e.risk or DASH,
            _share(e.confidence),
        )
        for e in report.top
    ]
    header = ["Workflow", "Action", "Impact per month", "Severity", "Risk", "#Confidence"]
    return ReportSection("Most valuable actions", header, rows, otherwise="No open recommendation.")


def _degradations(report: PeriodReport) -> ReportSection:
    rows = [
        (line.name, d.action, d.because or DASH, (d.impact or DASH).removesuffix(" a month"))
        for line in copies.degradations(report.degradations)
        for d in [line.row]
    ]
    return ReportSection("Degradations", ["Workflow", "Action", "Because", "Impact per month"], rows, otherwise="None.")


def _objectives(report: PeriodReport) -> ReportSection:
    found, met = copies.objectives(report.objectives), copies.met(report.objectives)
    rows = [
        (line.name, o.name, o.verdict, o.text.removeprefix(f"{o.verdict}, "))
        for line in found[:MAX_OBJECTIVES]
        for o in [line.row]
    ]
    notes = [f"{len(found) - MAX_OBJECTIVES} more; the JSON form has all."] if len(found) > MAX_OBJECTIVES else []
    notes += [f"Met: {met}; the JSON form has them."] if met else []
    header = ["Workflow", "Objective", "Verdict", "Figures"]
    return ReportSection("Objectives", header, rows, notes=notes, otherwise="No objective is set.")


def _adoption(report: PeriodReport) -> list[ReportSection]:
    """What became of recommendations, and what was implemented."""
    states, improved = report.adoption.states, report.adoption.results.get("Improved", 0)
    active, implemented, dismissed = (
        states[s] for s in (RecommendationState.ACTIVE, RecommendationState.IMPLEMENTED, RecommendationState.DISMISSED)
    )
    now = (
        f"Now: {active} active, {implemented} implemented, {dismissed} dismissed; measured as improved: {improved}, rolled"
        f" back or overwritten: {report.adoption.rolled_back}."
    )
    rows = [
        (
            when(r.since),
            f"{r.namespace}/{r.profile}",
            f"{r.action} (rolled back or overwritten)" if r.undone else r.action,
            r.verdict or (DASH if r.undone else "measuring"),
            r.promised or DASH,
            r.measured or DASH,
            amounts(r.saving),
        )
        for r in report.results
    ]
    header = ["Since", "Workflow", "Action", "Verdict", "Predicted", "Measured", "Saving per month"]
    known = adopted_text(report)
    notes = [now, *([f"In the period: {known}."] if known else [])]
    return [ReportSection("Adoption", notes=notes), ReportSection("Implemented recommendations", header, rows)]


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


def _months(report: PeriodReport) -> ReportSection:
    rows = [
        (
            m.month,
            m.workflows,
            m.runs,
            _percent(m.success_percent),
            money(m.cost),
            money(m.wasted_cost),
            hours(m.queueing_hours),
        )
        for m in report.months
    ]
    return ReportSection(
        "Months", ["Month", "#Workflows", "#Runs", "#Success", "#Cost", "#Unused", "#Scheduling latency"], rows
    )


def _caches(report: PeriodReport) -> ReportSection:
    rows = [
        (
            f"{c.namespace}/{c.workflow or c.profile}",
            c.cache,
            c.lookups,
            _share(c.hits / c.lookups if c.lookups else None),
            cell(c.saved_seconds or None, text.duration, DASH),
            cell(c.entries, str, DASH),
            cell(c.stale, str, DASH),
        )
        for c in report.caches
    ]
    header = ["Workflow", "Cache", "#Lookups", "#Hits", "#Work saved", "#Entries", "#Stale"]
    return ReportSection("Caches", header, rows, notes=[f"{cache_totals(report.caches)}."] if rows else ())


def _cost_groups(report: PeriodReport) -> list[tuple[str, Sequence[CostGroup]]]:
    return [
        (f"label {report.label}", report.cost_by_label[:MAX_GROUPS]),
        ("namespace", report.cost_by_namespace[:MAX_GROUPS]),
        ("workflow", copies.costs(report.cost_by_workflow)),
        ("component", report.cost_by_component[:MAX_GROUPS]),
        ("step", copies.costs(report.cost_by_step)),
    ]


def _costs(title: str, groups: Sequence[CostGroup]) -> ReportSection:
    many = title not in ("workflow", "step")  # others sum up several workflows
    after = title in ("component", "step")
    header = [title.capitalize(), *(["#Workflows"] if many else []), "#Runs", "#Cost per month"]
    rows = [
        (
            g.name,
            *([g.workflows] if many else []),
            g.runs,
            money(g.cost_per_month, g.currency),
            *([money(g.after_per_month, g.currency)] if after else []),
        )
        for g in groups
    ]
    return ReportSection(f"Cost by {title}", [*header, *(["#After recommendations"] if after else [])], rows)


def workflows(report: PeriodReport) -> ReportSection:
    """One line for each workflow."""
    rows = [
        (
            f"{w.namespace}/{w.workflow or w.profile}",
            cell(w.score, str, DASH),
            cell(w.runs, str, DASH),
            _percent(w.success_percent),
            *(cell(seconds, text.duration, DASH) for seconds in (w.p50_seconds, w.p95_seconds)),
            money(w.cost_per_month, w.currency),
            w.open,
            w.top or DASH,
        )
        for w in report.workflows[:MAX_WORKFLOWS]
    ]
    header = ["Workflow", "#Score", "#Runs", "#Success", "#p50", "#p95", "#Cost per month", "#Open"]
    more = len(report.workflows) - MAX_WORKFLOWS
    notes = [f"{more} more; the CSV and JSON forms have all."] if more > 0 else []
    return ReportSection("Workflows", [*header, "Most valuable action"], rows, notes=notes, otherwise="None.")


def _share(share: float | None) -> str:
    return cell(share, text.percent, DASH)


def _percent(value: float | None) -> str:
    return cell(value, "{:g}%".format, DASH)
