"""Predicted and measured effects by rule: corrects later predictions and withdraws rights from harmful rules.

Not persisted: rebuilt each time from the retained finished changes and from recommendations applied by people, as recorded
in profile status, so that it cannot become inconsistent or be lost on its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

from concertmaster.core.model import Interval, Recommendation
from concertmaster.core.model.enums import Verdict
from concertmaster.core.text import count

RECENT_CHANGES = 5
KEPT_SHARE = 0.8  # of the predicted gain, or anything within its interval, counts as kept
MAX_WORSE = 3
PRIOR = 4.0  # weight of the prior, in measurements that matched their prediction
_MAX_CORRECTION = 1.5  # cap, so that a few lucky changes do not inflate predictions
_MIN_PREDICTION = 0.005  # predictions below half a percent give no meaningful ratio
_ONE_CHANGE = 120.0  # seconds by which two records of one change may differ


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One finished change. ``promised`` and ``measured``: relative changes (negative: less), None when unknown; ``promised``
    is the rule's own prediction before any correction. ``applied``: unix seconds. ``harmed``: steps that were harmed;
    ``stayed``: verified values that were kept, by JSON pointer; ``restored``: whether it was rolled back; ``overwritten``:
    whether somebody else has set other values since."""

    workflow: str
    rule: str
    verdict: Verdict
    finished: float
    promised: float | None = None
    measured: float | None = None
    low: float | None = None
    high: float | None = None
    recommendation: str = ""
    applied: float | None = None
    harmed: tuple[str, ...] = ()
    stayed: tuple[tuple[str, str], ...] = ()
    restored: bool = False
    overwritten: bool = False

    @property
    def ratio(self) -> float | None:
        """Measured over predicted gain: 1 as predicted, 0 no effect, negative harm; None when unknown."""
        if self.promised is None or self.measured is None or self.promised > -_MIN_PREDICTION:
            return None
        return max(-1.0, min(3.0, self.measured / self.promised)) + 0.0  # no negative zero

    @property
    def held(self) -> bool | None:
        """Whether the prediction held; None when that is unknown."""
        if self.verdict in (Verdict.WORSE, Verdict.INCONCLUSIVE):
            return False if self.verdict is Verdict.WORSE else None
        if self.promised is None:  # no number was predicted
            return None
        if self.ratio is None or self.measured is None:
            return self.verdict is Verdict.IMPROVED
        return self.ratio >= KEPT_SHARE or (self.high is not None and self.measured <= self.high)


@dataclass(frozen=True, slots=True)
class Record:
    """Accuracy of a rule's predictions: ``held`` of ``times`` over all workflows, ``median`` of measured over predicted gain
    (None: no numbers), and ``factor`` for its next prediction in one workflow."""

    rule: str
    held: int
    times: int
    median: float | None
    factor: float

    def __str__(self) -> str:
        """``predictions of this rule held in 12 of 14 changes, median effect 90% of the predicted``."""
        median = f", median effect {100 * self.median:.0f}% of the predicted" if self.median is not None else ""
        summary = f"predictions of this rule held in {self.held} of {count(self.times, 'change')}{median}"
        return f"{summary}; this one counts {100 * self.factor:.0f}%" if abs(self.factor - 1.0) >= 0.005 else summary


def same_change(line: LedgerEntry, recommendation: str, applied: float | None) -> bool:
    """Whether a line records the change of this recommendation applied at ``applied`` (unix seconds)."""
    if line.recommendation != recommendation or line.applied is None or applied is None:
        return False
    return abs(line.applied - applied) <= _ONE_CHANGE


def merged(changes: Iterable[LedgerEntry], outcomes: Iterable[LedgerEntry]) -> list[LedgerEntry]:
    """All lines; of two records of one change, that of the change object itself."""
    lines = list(changes)
    own: dict[tuple[str, str], list[LedgerEntry]] = {}
    for line in lines:
        own.setdefault((line.workflow, line.recommendation), []).append(line)
    for line in outcomes:
        rows = own.get((line.workflow, line.recommendation), ())
        if not any(same_change(x, line.recommendation, line.applied) for x in rows):
            lines.append(line)
    return lines


class Ledger:
    """All lines, grouped once by rule, so that lookups for thousands of workflows are cheap."""

    def __init__(self, lines: Iterable[LedgerEntry] = ()) -> None:
        by_rule: dict[str, list[LedgerEntry]] = {}
        for line in lines:
            by_rule.setdefault(line.rule, []).append(line)
        self._rules = {rule: _Rule.of(rows) for rule, rows in by_rule.items()}

    def factor(self, rule: str, workflow: str) -> float:
        """Correction factor for the rule's next prediction in this workflow, 0 to 1.5; 1 without experience.

        Shrinkage in two stages: the rule's mean ratio over all workflows towards 1, the workflow's own towards that.
        """
        entry = self._rules.get(rule)
        return 1.0 if entry is None else _bounded(_drawn(entry.ratios.get(workflow, ()), entry.everywhere))

    def withdrawn(self, rule: str, workflow: str) -> str | None:
        """``withdrawn`` for the lines of this ledger."""
        entry = self._rules.get(rule)
        return None if entry is None else withdrawn(entry.lines.get(workflow, ()), rule, workflow)

    def record(self, rule: str, workflow: str) -> Record | None:
        """Accuracy of ``rule`` over all workflows, with its factor in ``workflow``; None without experience."""
        entry = self._rules.get(rule)
        if entry is None or not entry.times:
            return None
        return Record(rule, entry.held, entry.times, entry.median, self.factor(rule, workflow))

    def records(self) -> list[Record]:
        """Every rule with experience, by name, with its factor for a new workflow."""
        each = (self.record(rule, "") for rule in sorted(self._rules))
        return [r for r in each if r is not None]


@dataclass(frozen=True, slots=True)
class _Rule:
    held: int
    times: int
    median: float | None
    everywhere: float
    ratios: Mapping[str, Sequence[float]]
    lines: Mapping[str, Sequence[LedgerEntry]]

    @classmethod
    def of(cls, lines: Sequence[LedgerEntry]) -> _Rule:
        kept = [h for x in lines if (h := x.held) is not None]
        ratios: dict[str, list[float]] = {}
        own: dict[str, list[LedgerEntry]] = {}
        for line in lines:
            own.setdefault(line.workflow, []).append(line)
            if line.ratio is not None:
                ratios.setdefault(line.workflow, []).append(line.ratio)
        known = [r for rows in ratios.values() for r in rows]
        return cls(sum(kept), len(kept), median(known) if known else None, _drawn(known, 1.0), ratios, own)


def _bounded(factor: float) -> float:
    return max(0.0, min(_MAX_CORRECTION, factor))


def _drawn(ratios: Sequence[float], towards: float) -> float:
    return (PRIOR * towards + math.fsum(ratios)) / (PRIOR + len(ratios))


def withdrawn(lines: Iterable[LedgerEntry], rule: str, workflow: str) -> str | None:
    """Why the rule may no longer change this workflow automatically: three Worse among its last five; None if it may."""
    mine = sorted((x for x in lines if x.rule == rule and x.workflow == workflow), key=lambda x: x.finished)
    worse = sum(x.verdict is Verdict.WORSE for x in mine[-RECENT_CHANGES:])
    if worse < MAX_WORSE:
        return None
    return f"{worse} of the last {min(RECENT_CHANGES, len(mine))} changes of rule {rule} made this workflow worse"


def corrected(item: Recommendation, factor: float) -> Recommendation:
    """The recommendation with its predictions multiplied by ``factor``; for ranking and plans, not for its texts."""
    return replace(
        item,
        gain_seconds=_scaled(item.gain_seconds, factor),
        gain_share=_scaled(item.gain_share, factor),
        saving_per_month=_scaled(item.saving_per_month, factor),
        factor=item.factor * factor,
    )


def _scaled(interval: Interval | None, factor: float) -> Interval | None:
    return interval.scaled(factor) if interval is not None else None
