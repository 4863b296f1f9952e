"""How much of a fleet its figures cover: workflows without enough runs, those of which older runs are still being read, and
those whose data ended long ago."""

from __future__ import annotations

from collections.abc import Sequence

from concertmaster.api.views.fleet import WorkflowRow
from concertmaster.core import text
from concertmaster.core.model.conditions import Reason
from concertmaster.core.times import to_minute
from concertmaster.report.workflows.fields import moment, ready_reason
from concertmaster.report.workflows.fleet import FleetView


def freshness_text(view: FleetView) -> str:
    """Of how many workflows older runs are still being read, or the figures are not up to date; empty where all are."""
    return ". ".join(filter(None, (_reading_text(view), _stale_text(view))))


def _reading_text(view: FleetView) -> str:
    pairs = zip(view.profiles, view.rows, strict=True)
    found = sum(row.runs is not None and ready_reason(profile) == Reason.BACKFILLING for profile, row in pairs)
    if not found:
        return ""
    of = text.count(len(view.rows), "workflow")
    return f"Older runs of {found} of {of} are still being read: recommendations and amounts may change with them"


def _stale_text(view: FleetView) -> str:
    found = [row for row in view.rows if row.stale]
    if not found:
        return ""
    ends = {at for row in found if (at := moment(row.data_until)) is not None}
    until = f": showing figures based on data up to {to_minute(max(ends))}" if ends else ""
    until += " or earlier" if len(ends) > 1 else ""
    verb = "is" if len(found) == 1 else "are"
    return (
        f"{len(found)} of {text.count(len(view.rows), 'workflow')} {verb} not up to date{until}. To find out why:"
        " kubectl concertmaster doctor"
    )


def none_text(view: FleetView) -> str:
    """Why there is no recommendation for any workflow of the fleet, which has some."""
    known = sum(row.healthy is not None for row in view.rows)
    parts = [*([f"{known} analyzed"] if known else []), *unknown_parts(view.rows)]
    return f"No recommendations for {text.count(len(view.rows), 'workflow')}: {', '.join(parts)}."


def scale_text(view: FleetView) -> str:
    """By which prices it is ranked instead of those of the cluster's policies; empty where these could be read."""
    if view.policies_read:
        return ""
    scale = view.pricing
    return (
        f"Ranked by default prices, a run-hour counted as {scale.run_hour:g} and a failed run as {scale.failed_run:g}:"
        " ClusterOptimizationPolicies could not be read."
    )


def unknown_parts(rows: Sequence[WorkflowRow]) -> list[str]:
    """How many workflows are neither healthy nor unhealthy, by reason."""
    unknown = [row for row in rows if row.healthy is None]
    pending = sum(row.runs is None for row in unknown)
    short = len(unknown) - pending
    parts = [f"{short} with insufficient data"] if short else []
    return [*parts, *([f"{pending} not analyzed yet"] if pending else [])]
