"""What rules promised and what was measured: corrects later promises and takes rights from rules that do harm.

Kept nowhere: it is rebuilt each time from the finished changes that are still there, so it can neither go wrong nor be
lost by itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from concertmaster.core.model import Interval, Recommendation
from concertmaster.core.verdict import Verdict

LAST = 5
MOST_WORSE = 3
PRIOR = 4.0  # a promise counts as much as this many measurements that came out as promised
_MOST = 1.5  # a lucky streak does not let promises grow beyond this
_SMALL = 0.005  # promises below half a percent say nothing about the ratio


@dataclass(frozen=True, slots=True)
class Line:
    """One finished change. ``promised`` and ``measured`` are relative changes (negative: less), None when unknown."""

    workflow: str
    rule: str
    verdict: Verdict
    finished: float
    promised: float | None = None
    measured: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def ratio(self) -> float | None:
        """Measured over promised gain: 1 kept its promise, 0 did nothing, negative did harm."""
        if self.promised is None or self.measured is None or self.promised > -_SMALL:
            return None
        return max(-1.0, min(3.0, self.measured / self.promised))


@dataclass(frozen=True, slots=True)
class Summary:
    """One rule's record in one workflow or, with ``workflow`` None, in all."""

    workflow: str | None
    rule: str
    changes: int
    improved: int
    worse: int
    correction: float
    withdrawn: bool


def correction(lines: Iterable[Line], rule: str, workflow: str) -> float:
    """Factor for the rule's next promise in this workflow, 0 to 1.5; 1 without experience.

    Shrinkage in two steps: the rule's mean ratio over all workflows is drawn towards 1, the workflow's own towards that.
    """
    rows = [(line.workflow, line.ratio) for line in lines if line.rule == rule]
    known = [(w, r) for w, r in rows if r is not None]
    everywhere = _drawn([r for _, r in known], 1.0)
    own = _drawn([r for w, r in known if w == workflow], everywhere)
    return max(0.0, min(_MOST, own))


def _drawn(ratios: Sequence[float], towards: float) -> float:
    return (PRIOR * towards + math.fsum(ratios)) / (PRIOR + len(ratios))


def withdrawn(lines: Iterable[Line], rule: str, workflow: str) -> str | None:
    """Why the rule may no longer change this workflow by itself: three Worse among its last five; None when it may."""
    mine = sorted((x for x in lines if x.rule == rule and x.workflow == workflow), key=lambda x: x.finished)
    worse = sum(x.verdict is Verdict.WORSE for x in mine[-LAST:])
    if worse < MOST_WORSE:
        return None
    return f"{worse} of the last {min(LAST, len(mine))} changes of rule {rule} made this workflow worse"


def corrected(item: Recommendation, factor: float) -> Recommendation:
    """The recommendation with its promises multiplied by ``factor``; for ranking and plans, not for its sentences."""
    return replace(
        item,
        gain_seconds=_scaled(item.gain_seconds, factor),
        gain_share=_scaled(item.gain_share, factor),
        saving_per_month=_scaled(item.saving_per_month, factor),
    )


def _scaled(interval: Interval | None, factor: float) -> Interval | None:
    if interval is None or factor == 1.0:
        return interval
    return Interval(interval.low * factor, interval.likely * factor, interval.high * factor)


def summaries(lines: Sequence[Line]) -> list[Summary]:
    """Every rule's record, over all workflows and per workflow, in a fixed order."""
    found: list[Summary] = []
    for rule in sorted({x.rule for x in lines}):
        rows = [x for x in lines if x.rule == rule]
        for workflow in (None, *sorted({x.workflow for x in rows})):
            mine = [x for x in rows if workflow is None or x.workflow == workflow]
            found.append(
                Summary(
                    workflow,
                    rule,
                    len(mine),
                    sum(x.verdict is Verdict.IMPROVED for x in mine),
                    sum(x.verdict is Verdict.WORSE for x in mine),
                    correction(lines, rule, workflow or ""),
                    workflow is not None and withdrawn(lines, rule, workflow) is not None,
                )
            )
    return found
