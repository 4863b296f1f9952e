"""One profile or change as a row."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from concertmaster.api.models.list_entry import ListEntry
from concertmaster.api.views.fleet import Amounts, ChangeRow, Degradation, ObjectiveRow, ResultRow, WorkflowRow
from concertmaster.core.analysis.objectives import ObjectiveResult
from concertmaster.core.model.conditions import Reason
from concertmaster.core.model.enums import ChangePhase, RuleName, Severity, Verdict
from concertmaster.core.model.recommendations import rule_of
from concertmaster.core.units import DAY, HOUR
from concertmaster.report.overview import INSUFFICIENT
from concertmaster.report.workflows import list_entries
from concertmaster.report.workflows.fields import (
    Raw,
    changed_profile,
    condition,
    currency,
    entries,
    integer,
    mapping,
    moment,
    named,
    number,
    recommendations,
    seconds_of,
    text_of,
    verdict_of,
    workflow_kind,
)

_FIGURES = re.compile(r", (\S+)(?: [A-Z]{3})? \(target (<=|>=) (\S+?)(?: [A-Z]{3})?\)")
_NUMBER = re.compile(r"(\d+(?:\.\d+)?(?:e[+-]\d{1,2})?)%?")
_OBJECTIVE = re.compile(rf"(.{{1,80}}?): ({'|'.join(r.value for r in ObjectiveResult)})\b")
_EFFECT = re.compile(r"(Duration|Cost|Failures) ([+-]?[0-9]+(?:\.[0-9]+)?) ?%")
_SEVERITIES = [s.value for s in Severity]
_SERIOUS = ("High", "Critical")
OLD = 2 * DAY  # seconds: the operator renews dataUntil once a day
# Not Ready, and nothing newer is to be had.
_CURRENT = (Reason.BACKFILLING, Reason.TOO_FEW_RUNS, Reason.NO_RUNS, Reason.PENDING)


def workflow_row(profile: Raw, now: float | None = None) -> WorkflowRow:
    """One profile. ``now`` in unix seconds; without it, only the operator says whether the figures are up to date."""
    meta, status = mapping(profile, "metadata"), mapping(profile, "status")
    summary, runs = mapping(status, "summary"), mapping(status, "runs")
    missed = sum(o.verdict == ObjectiveResult.MISSED for o in objective_rows(profile))
    # Read from the status as it is: entries of ten thousand workflows would be built for their severities alone.
    items = [i for i in recommendations(profile) if i.get("state", "Active") == "Active"]
    severities = [str(i["severity"]) for i in items if i.get("severity") in _SEVERITIES]
    enough = bool(summary) and not str((status.get("advice") or ("",))[0]).startswith(INSUFFICIENT)
    serious = missed > 0 or any(s in _SERIOUS for s in severities)
    return WorkflowRow(
        **named(profile),
        kind=workflow_kind(profile),
        labels={str(k): str(v) for k, v in mapping(meta, "labels").items()},
        ready=condition(profile, "Ready"),
        healthy=False if serious else True if enough else None,
        stale=bool(summary) and _stale(profile, now),
        score=integer(status.get("score")),
        runs=integer(runs.get("observed")),
        failed_runs=integer(runs.get("failed")),
        success_percent=number(summary.get("successPercent")),
        p50_seconds=seconds_of(summary.get("p50")),
        p95_seconds=seconds_of(summary.get("p95")),
        queueing_seconds=seconds_of(summary.get("queueing")),
        currency=currency(profile),
        cost_per_run=number(summary.get("costPerRun")),
        cost_per_month=number(summary.get("costPerMonth")),
        runs_per_month=number(summary.get("runsPerMonth")),
        impact=number(summary.get("impact")) or 0.0,
        open=integer(summary.get("open")) or 0,
        missed=missed,
        severity=max(severities, key=_SEVERITIES.index, default=None),
        top=_in_full(str(summary["top"]), items) if summary.get("top") else None,
        last_run=text_of(runs.get("lastEnd")),
        data_until=text_of(status.get("dataUntil")),
    )


def _in_full(top: str, items: Iterable[Raw]) -> str:
    """The action that a status cuts off to fit a column of kubectl."""
    if not top.endswith("…"):
        return top
    actions = (str(i.get("action") or "") for i in items)
    return next((a for a in actions if a.startswith(top[:-1])), top)


def active(profile: Raw, rule: str = "") -> Iterator[ListEntry]:
    """Its Active recommendations, or those of one rule."""
    items = (i for i in recommendations(profile) if not rule or rule_of(str(i["id"])) == rule)
    return (e for e in list_entries.entries(profile, items) if e.state == "Active")


def objective_rows(profile: Raw) -> list[ObjectiveRow]:
    """Its objectives."""
    rows = []
    for line in mapping(profile, "status").get("objectives") or ():
        match = _OBJECTIVE.match(str(line))
        if match is not None:
            rows.append(
                ObjectiveRow(
                    **named(profile),
                    name=match[1],
                    verdict=match[2],
                    margin=_margin(str(line)[match.end(2) :]),
                    text=str(line)[match.start(2) :],
                )
            )
    return rows


def _margin(figures: str) -> float | None:
    """Relative distance of ``, 38m06s (target <= 35m00s)`` to its target; None where either is unknown or no number."""
    match = _FIGURES.match(figures)
    actual, target = (_amount(match[1]), _amount(match[3])) if match is not None else (None, None)
    if match is None or actual is None or not target:
        return None
    return (target - actual if match[2] == "<=" else actual - target) / target


def _amount(shown: str) -> float | None:
    """A duration in seconds, or a number with or without a per cent sign."""
    return float(match[1]) if (match := _NUMBER.fullmatch(shown)) is not None else seconds_of(shown)


def degradations(profile: Raw) -> Iterator[Degradation]:
    """What takes longer than before, by its recommendations."""
    impact = {str(i["id"]): i.get("impact") for i in recommendations(profile)}
    for e in active(profile, RuleName.DEGRADATION):
        yield Degradation(
            **named(profile),
            recommendation=e.id,
            action=e.action,
            because=e.because,
            impact=text_of(impact.get(e.id)),
        )


def result_rows(profile: Raw, row: WorkflowRow | None = None) -> list[ResultRow]:
    """Results of recommendations that were implemented, newest first. ``row``: its line, where that is made already."""
    row, rows = row or workflow_row(profile), []
    for item in entries(mapping(profile, "status"), "results"):
        verdict, undone = verdict_of(item.get("verdict")), item.get("undone") is True
        measured = text_of(item.get("measured"))
        rows.append(
            ResultRow(
                namespace=row.namespace,
                profile=row.profile,
                recommendation=str(item.get("id") or ""),
                action=str(item.get("action") or item.get("id") or ""),
                by=text_of(item.get("by")),
                since=text_of(item.get("since")),
                verdict=verdict,
                undone=undone,
                promised=text_of(item.get("promised")),
                measured=measured,
                saving=saving(row, measured) if verdict is Verdict.IMPROVED and not undone else None,
            )
        )
    return rows


def saving(row: WorkflowRow, measured: str | None) -> Amounts | None:
    """A measured effect as an amount a month: of time and cost the workflow takes (1 - share) of what it took before; of
    failures, whose effect is in points, it is that share of the runs."""
    match = _EFFECT.search(measured or "")
    if match is None or row.runs_per_month is None:
        return None
    share = min(0.99, max(0.0, -float(match[2]) / 100.0))
    factor = share / (1.0 - share)
    if match[1] == "Duration" and row.p50_seconds is not None:
        return Amounts(run_hours=row.p50_seconds / HOUR * row.runs_per_month * factor)
    if match[1] == "Cost" and row.cost_per_month is not None:
        return Amounts(money={row.currency or "USD": row.cost_per_month * factor})
    if match[1] == "Failures":
        return Amounts(failed_runs=row.runs_per_month * share)
    return None


def change_row(change: Raw) -> ChangeRow:
    """One WorkflowChange."""
    meta, spec, status = mapping(change, "metadata"), mapping(change, "spec"), mapping(change, "status")
    phase = str(status.get("phase") or "")
    known = ChangePhase(phase) if phase in set(ChangePhase) else None
    with_message = [c for c in entries(status, "conditions") if c.get("message")]
    newest = max(with_message, key=lambda c: str(c.get("lastTransitionTime") or ""), default=None)
    return ChangeRow(
        namespace=str(meta.get("namespace") or ""),
        name=str(meta.get("name") or ""),
        profile=changed_profile(change)[1],
        recommendation=str(spec.get("recommendation") or ""),
        phase=known,
        decision=text_of(spec.get("decision")),
        decided_by=text_of(spec.get("decidedBy")),
        waiting=phase in ("", ChangePhase.PROPOSED) and not spec.get("decision"),
        verdict=verdict_of(status.get("verdict")),
        restored=status.get("restored") is True,
        predicted=text_of(mapping(status, "predicted").get("text")),
        measured=text_of(mapping(status, "measured").get("text")),
        patch=text_of(mapping(status, "plan").get("patch")),
        created=text_of(meta.get("creationTimestamp")),
        message=text_of(newest.get("message")) if newest is not None else None,
    )


def _stale(profile: Raw, now: float | None) -> bool:
    """Whether the operator could not renew what a status says, or has not done so for longer than it takes."""
    until = moment(mapping(profile, "status").get("dataUntil"))
    if now is not None and until is not None and now - until > OLD:
        return True
    ready = next((c for c in entries(mapping(profile, "status"), "conditions") if c.get("type") == "Ready"), None)
    return ready is not None and ready.get("status") == "False" and ready.get("reason") not in _CURRENT
