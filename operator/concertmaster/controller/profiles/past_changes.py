"""What the objects of one cycle say of earlier changes: the ledger of all workflows, and each workflow's own past.

Nothing is kept here between cycles. Retained WorkflowChanges and the statuses of profiles hold all of it, so a process
that starts, with or without a history, knows as much as the one that stopped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from concertmaster.api import conditions
from concertmaster.api.conditions import ConditionType
from concertmaster.controller.discovery.targets import Target
from concertmaster.controller.object_cache import CachedObject, CachedObjects
from concertmaster.controller.profiles.request import EarlierRecommendations
from concertmaster.controller.status_view import StatusView
from concertmaster.core.changes.ledger import Ledger, LedgerEntry, merged
from concertmaster.core.lifecycle.implementation import whole
from concertmaster.report.status import recommendation_log as memory


class PastChanges:
    """The changes of one snapshot that were decided or are being verified, and the ledger of them."""

    def __init__(self, snapshot: CachedObjects) -> None:
        self._changes: dict[str, list[LedgerEntry]] = {}
        for change in snapshot.changes:
            if change.line is not None:
                self._changes.setdefault(change.line.workflow, []).append(change.line)
        self._verifying: dict[str, set[str]] = {}
        for change in snapshot.changes:
            if (name := _verified_profile(change)) is not None:
                self._verifying.setdefault(name, set()).add(str(change.spec.get("recommendation") or ""))
        own = [line for lines in self._changes.values() for line in lines]
        self.ledger = Ledger(merged(own, _reported(snapshot)))

    def changes(self, entry: CachedObject) -> tuple[LedgerEntry, ...]:
        """The lines of the operator's own changes of one workflow."""
        return tuple(self._changes.get(workflow(entry), ()))

    def decided(self, entry: CachedObject) -> tuple[object, ...]:
        """The decided changes of one workflow for its analysis: the operator's own, and the verdicts on those that others
        made."""
        verdicts = ((o.get("id"), o.get("since"), o["verdict"]) for o in entry.status.outcomes if o.get("verdict"))
        return (self.changes(entry), *verdicts)

    def verifying(self, entry: CachedObject) -> bool:
        """Whether the next runs of a workflow decide about a change: the operator's own, or one that somebody made by a
        recommendation."""
        return workflow(entry) in self._verifying or any(
            not o.get("verdict") and not o.get("undone") for o in entry.status.outcomes
        )

    def recommendations(
        self, entry: CachedObject, last: StatusView | None, target: Target | None, held: Sequence[Target] = ()
    ) -> EarlierRecommendations:
        """The earlier recommendations of one workflow, from the ``last`` status known when the present one remembers
        nothing. ``held``: Tasks that hold fields of it beside the ``target``; what was written last of all tells who wrote
        and when."""
        view = entry.status if entry.status.packed is not None or last is None else last
        raw, by, written = None, "", 0.0
        if target is not None:
            raw = whole(target.unpack(), {t.ref.name: t.unpack() for t in held})
            by, written = max((t.written for t in (target, *held)), key=lambda w: w[1])
        return EarlierRecommendations(
            view.memory,
            raw,
            by,
            written or None,
            self.changes(entry),
            self._verifying.get(workflow(entry), ()),
            self.ledger,
        )


def workflow(entry: CachedObject) -> str:
    """The name of a profile's workflow in the ledger."""
    return f"{entry.namespace}/{entry.name}"


def _verified_profile(change: CachedObject) -> str | None:
    """The workflow of a change whose effect is being measured."""
    verified = conditions.find(change.status.conditions, ConditionType.VERIFIED) or {}
    if change.line is not None or verified.get("status") != "Unknown":
        return None
    return f"{change.namespace}/{(change.spec.get('profileRef') or {}).get('name') or ''}"


def _reported(snapshot: CachedObjects) -> Iterator[LedgerEntry]:
    """The ledger lines of implementations that statuses report."""
    for entry in snapshot.profiles:
        if entry.status.outcomes:
            for outcome in memory.read({"results": list(entry.status.outcomes)}).outcomes:
                line = outcome.line(workflow(entry))
                if line is not None:
                    yield line
