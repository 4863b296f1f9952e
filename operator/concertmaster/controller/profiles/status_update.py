"""The status of a profile after a cycle, given the outcome of its analysis. Pure.

Either the whole document (a fresh analysis) or the conditions alone: when something is missing, the recommendations of the
last good analysis stay, and the conditions and ``dataUntil`` say how old it is and why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from concertmaster.api import conditions
from concertmaster.api.conditions import ConditionType, ConditionUpdate, Reason
from concertmaster.controller.discovery.resolved_profile import ResolvedProfile
from concertmaster.controller.object_cache import CachedObject
from concertmaster.controller.profiles.last_analyses import LastAnalysis
from concertmaster.controller.source_report import SourceReport
from concertmaster.core import text
from concertmaster.core.model import WorkflowDefinition
from concertmaster.core.model.policy import Policy
from concertmaster.core.text import json_size
from concertmaster.core.times import format_time, to_minute
from concertmaster.core.units import DAY
from concertmaster.kube.writer import MAX_STATUS_BYTES, StatusUpdate, digest, semantic

REFRESH_AFTER = DAY  # seconds: a new dataUntil alone is worth a write once a day
MAX_BACKFILLING = 250  # statuses in a cycle that only say that metrics are being read: the reading waits for them

QUIET_REASONS = frozenset({Reason.PENDING, Reason.BACKFILLING})


@dataclass(frozen=True, slots=True)
class ProfileOutcome:
    """The outcome of one cycle for one profile.

    ``ready`` and ``objectives`` are what the last analysis of this process said, None when there was none; ``document``
    is its text when the analysis was made just now. ``query_problem`` is what is wrong with a query of the user's own:
    the rest of the analysis stands without it.
    """

    target: ConditionUpdate
    metrics: ConditionUpdate
    ready: ConditionUpdate | None = None
    objectives: ConditionUpdate | None = None
    document: Mapping[str, Any] | None = None
    failure: str = ""
    query_problem: str = ""
    data_until: float | None = None

    @property
    def considered(self) -> bool:
        """Whether the recommendations consider all data: else there may be newer data that nothing was made of."""
        return not self.failure and (self.target.status is True or self.target.reason is Reason.UNSUPPORTED)

    @property
    def reading(self) -> bool:
        """Whether there is nothing to say yet but that the metrics are being read."""
        sound = self.target.status is True and self.metrics.status is not False and not self.failure
        return sound and self.document is None and (self.ready is None or self.ready.reason in QUIET_REASONS)


def without_analysis(
    profile: ResolvedProfile, report: SourceReport | None, remembered: LastAnalysis | None
) -> ProfileOutcome:
    """The outcome without a new analysis."""
    metrics = profile.refusal
    if metrics is None and report is not None:
        metrics = metrics_finding(report)
    if metrics is None:
        metrics = ConditionUpdate(
            ConditionType.METRICS_AVAILABLE, None, Reason.PENDING, "no metrics were asked for yet"
        )
    declared = report.query_problems.get(profile.key, "") if report is not None else ""
    return ProfileOutcome(
        profile.resolved.finding,
        metrics,
        remembered.record.ready if remembered is not None else None,
        remembered.record.objectives if remembered is not None else None,
        query_problem=declared or (remembered.record.query_problem if remembered is not None else ""),
        data_until=report.complete_until(profile.entry.namespace) if report is not None else None,
    )


def metrics_finding(report: SourceReport) -> ConditionUpdate:
    """MetricsAvailable after reading a source."""
    if report.ok and report.missing:
        more = f" (and {len(report.missing) - 3} more)" if len(report.missing) > 3 else ""
        message = f"some series are missing: {' '.join(report.missing[:3])}{more}"
        if report.reason is Reason.CLOCK_SKEW:
            return ConditionUpdate(
                ConditionType.METRICS_AVAILABLE, True, Reason.CLOCK_SKEW, f"{report.message}; {message}"
            )
        return ConditionUpdate(ConditionType.METRICS_AVAILABLE, True, Reason.PARTIAL, message)
    return ConditionUpdate(ConditionType.METRICS_AVAILABLE, report.ok, report.reason, report.message)


def backfilling(
    definition: WorkflowDefinition, policy: Policy, report: SourceReport | None, now: float
) -> ConditionUpdate | None:
    """While the window is being read for the first time nothing is recommended: half of the runs are not the runs. Where
    that takes long the message moves with each quarter of the window: each step is a write for each of ten thousand
    profiles, which the reading waits for."""
    oldest = report.unread.get(definition.key) if report is not None else None
    if oldest is None or report is None or not report.ok:
        return None
    window = policy.analysis.window_seconds
    span = text.window(window) if not report.long else _quarters(now - oldest, window)
    message = f"Backfilling {span}: recommendations follow when the window is read"
    return ConditionUpdate(ConditionType.READY, False, Reason.BACKFILLING, message)


def _quarters(read: float, window: float) -> str:
    """How much of the window is read, in whole quarters; both in seconds."""
    unit = DAY if window >= 4 * DAY else 1.0
    quarters = min(3, int(4 * read / window))
    known = text.window(max(1, quarters) * window / 4 // unit * unit)
    return f"{known if quarters else f'less than {known}'} of {text.window(window)}"


def _with_query_problem(metrics: ConditionUpdate, problem: str) -> ConditionUpdate:
    if not problem or metrics.status is not True:
        return metrics
    return ConditionUpdate(ConditionType.METRICS_AVAILABLE, False, Reason.QUERY_INVALID, problem)


def ready_finding(outcome: ProfileOutcome, until: float | None) -> ConditionUpdate:
    """Ready: the first thing that keeps the recommendations from being complete and up to date. ``until``: up to when the
    data of those shown goes (unix seconds); None without any."""
    ready = ConditionType.READY
    kept = f" Showing recommendations based on data up to {to_minute(until)}." if until is not None else ""
    if outcome.target.status is not True and outcome.target.reason is not Reason.UNSUPPORTED:
        return ConditionUpdate(ready, False, outcome.target.reason, f"{outcome.target.message}.{kept}")
    if outcome.failure:
        return ConditionUpdate(ready, False, Reason.ANALYSIS_FAILED, _with(outcome.failure, kept))
    if outcome.metrics.status is not True:
        reason = Reason.STALE if kept else outcome.metrics.reason
        return ConditionUpdate(ready, False, reason, _with(outcome.metrics.message, kept))
    if outcome.ready is None:
        return ConditionUpdate(
            ready, False, Reason.PENDING, "the runs of this workflow are being read for the first time"
        )
    return outcome.ready


def _with(message: str, kept: str) -> str:
    """``message`` and the sentence ``kept`` behind it, if any: some messages end with a full stop, others do not."""
    return f"{message.rstrip('.')}.{kept}" if kept else message


def objectives_finding(outcome: ProfileOutcome, entry: CachedObject) -> ConditionUpdate | None:
    """ObjectivesMet from the analysis; without one the old finding stays, or Unknown where there is none."""
    if outcome.objectives is not None:
        return outcome.objectives
    if conditions.find(entry.status.conditions, ConditionType.OBJECTIVES_MET) is not None:
        return None
    return ConditionUpdate(ConditionType.OBJECTIVES_MET, None, Reason.UNDECIDED, "no run has been analyzed yet")


def status_update(
    entry: CachedObject, outcome: ProfileOutcome, now: float, running: Sequence[Mapping[str, Any]], workflow: str
) -> StatusUpdate | None:
    """The write that this outcome needs, or None when the status has all of it already. ``running``: runs in progress;
    ``workflow``: as KIND/NAME, which the first status has before anything is analysed."""
    had_recommendations = bool(entry.status.digest) and entry.status.data_until is not None
    metrics = _with_query_problem(outcome.metrics, outcome.query_problem)
    shown = entry.status.data_until if had_recommendations else None
    if outcome.document is not None and outcome.data_until is not None:
        shown = outcome.data_until
    findings = [outcome.target, metrics, ready_finding(outcome, shown)]
    objectives = objectives_finding(outcome, entry)
    if objectives is not None:
        findings.append(objectives)
    moved = outcome.document is None and had_recommendations and list(running) != list(entry.status.running)
    said = conditions.reported(entry.status.conditions, findings, generation=entry.generation)
    if said and outcome.document is None and not moved and not _refresh(entry, outcome):
        return None
    current = conditions.update(entry.status.conditions, findings, generation=entry.generation, now=now)
    if outcome.document is not None:
        document = {**outcome.document, "conditions": current, "observedGeneration": entry.generation}
        if running and json_size(document | {"running": list(running)}) <= MAX_STATUS_BYTES:
            document["running"] = list(running)
        made = digest(document)
        same = made == entry.status.digest
        if same and not _refresh(entry, outcome):
            return None
        return StatusUpdate(entry.ref, document, entry.status.digest, force=same, digest=made or "")
    if not moved and semantic(current) == semantic(list(entry.status.conditions)) and not _refresh(entry, outcome):
        return None
    partial: dict[str, Any] = {"conditions": current, "observedGeneration": entry.generation}
    if not entry.status.digest:
        partial["summary"] = {"target": workflow}
    if moved:
        partial["running"] = list(running)
    until = outcome.data_until if outcome.considered else None
    known = entry.status.data_until
    if until is not None and had_recommendations and known is not None and until >= known + 1.0:
        partial["dataUntil"] = format_time(until)
    return StatusUpdate(entry.ref, partial, entry.status.digest, partial=True)


def _refresh(entry: CachedObject, outcome: ProfileOutcome) -> bool:
    """Whether ``dataUntil`` has fallen so far behind that it would mislead."""
    if outcome.data_until is None or entry.status.data_until is None or not outcome.considered:
        return False
    return outcome.metrics.status is True and outcome.data_until - entry.status.data_until >= REFRESH_AFTER
