"""Recommendations whose change was measured and rolled back: not made again without new evidence. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from concertmaster.core.changes.ledger import LedgerEntry, same_change
from concertmaster.core.lifecycle.history import ImplementationResult
from concertmaster.core.model.enums import RuleName, Verdict
from concertmaster.core.times import iso

_EVIDENCE = (Verdict.WORSE, Verdict.SAME)  # what could not be measured is no evidence against a change


def rolled_back(
    recommendation: str, lines: Sequence[LedgerEntry], outcomes: Sequence[ImplementationResult]
) -> str | None:
    """That its last change was measured and rolled back, as a sentence; None when it was not.

    ``lines``: the operator's own changes of the workflow; ``outcomes``: also what people applied and reverted. Of a
    right-sizing that names the steps it harmed only these are left out (``SizingHistory``). One that was applied again since
    and is in effect, its effect not known yet, is the last.
    """
    if any(o.id == recommendation and o.verdict is None and not o.undone for o in outcomes):
        return None
    own = [line for line in lines if line.recommendation == recommendation]
    others = [
        line
        for o in outcomes
        if o.id == recommendation
        and o.rule != RuleName.RIGHT_SIZE
        and not any(same_change(x, o.id, o.since) for x in own)
        if (line := o.line("")) is not None
    ]
    last = max((*own, *others), key=lambda line: line.finished, default=None)
    if (
        last is None
        or not last.restored
        or last.verdict not in _EVIDENCE
        or (last.rule == RuleName.RIGHT_SIZE and last.harmed)
    ):
        return None
    return f"a change of it was measured as {last.verdict.value} and rolled back at {iso(last.finished)}"
