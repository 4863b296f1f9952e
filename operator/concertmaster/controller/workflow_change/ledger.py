"""The entry of the ledger that a WorkflowChange makes."""

from __future__ import annotations

from typing import Any

from concertmaster.api.conditions import ConditionType
from concertmaster.controller.workflow_change.view import WorkflowChangeView
from concertmaster.core.changes.ledger import LedgerEntry
from concertmaster.core.changes.operations import written
from concertmaster.core.changes.reconcile import FINISHED
from concertmaster.core.model.enums import ChangePhase, Verdict


def ledger_entry(change: WorkflowChangeView) -> LedgerEntry | None:
    """What the ledger holds of a change; None before a verdict."""
    verdict, finished = change.verdict, change.since(ConditionType.VERIFIED)
    if verdict is None or finished is None or change.phase not in FINISHED:
        return None
    predicted, measured = change.status.get("predicted") or {}, change.status.get("measured") or {}
    raw = 1.0 / (_share(predicted.get("correctionPercent")) or 1.0)  # what the rule itself promised
    return LedgerEntry(
        workflow=f"{change.namespace}/{change.profile}",
        rule=change.rule,
        verdict=verdict,
        finished=max(finished, change.restored or 0.0),  # one that was kept first may have been False before as well
        promised=_times(_share(predicted.get("likely")), raw),
        measured=_share(measured.get("likely")) if predicted.get("measure") == measured.get("measure") else None,
        low=_times(_share(predicted.get("low")), raw),
        high=_times(_share(predicted.get("high")), raw),
        recommendation=change.recommendation,
        applied=change.since(ConditionType.APPLIED),
        harmed=tuple(str(s) for s in change.status.get("harmedSteps") or ()),
        stayed=_stayed(change, verdict),
        restored=change.restored is not None,
        overwritten=change.phase == ChangePhase.CONFLICT,
    )


def _stayed(change: WorkflowChangeView, verdict: Verdict) -> tuple[tuple[str, str], ...]:
    """The requests it set that were verified and not rolled back, by pointer."""
    if verdict not in (Verdict.IMPROVED, Verdict.SAME) or change.restored is not None:
        return ()
    return tuple((p, v) for p, v in written(change.operations("patch") or ()).items() if isinstance(v, str))


def _times(share: float | None, factor: float) -> float | None:
    return None if share is None else share * factor


def _share(value: Any) -> float | None:
    try:
        return float(value) / 100.0
    except (TypeError, ValueError):
        return None
