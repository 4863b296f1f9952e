"""Failures that workflows share: an outage or a bad day of the cluster is no harm of a change.

Other workflows, which nobody changed, are the control group here as they are for run times (``control_group``). Runs
near a time at which more of them fail than usual are left out, of a verification and of the monitoring of a kept change
alike."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import accumulate

from concertmaster.core.changes.verification.before_after import BeforeAfter, out_of_memory
from concertmaster.core.changes.verification.control_group import MIN_WORKFLOWS
from concertmaster.core.model import Outcome, RunRecord
from concertmaster.core.stats.exact import beta_binomial_tail

_NEAR_SECONDS = 43200.0  # before and after a run: a day, as what all share may be neither continuous nor soon over
_SHARED = 0.05  # level at which others fail more than usual: lenient, since leaving out good runs costs little
_SIGNIFICANCE = 0.01  # level at which a workflow fails more than the others at such a time

_Counts = tuple[int, int]  # bad runs, and runs


def without_shared(before_after: BeforeAfter, others: Sequence[BeforeAfter], applied: float) -> BeforeAfter:
    """Without the runs since the change (``applied``: unix seconds) within half a day of which more of the ``others``,
    workflows that nobody changed, had a bad run than their rates until half a day before it explain. Each counts once, so
    that one alone has little weight. Runs stay near which those of the workflow itself are bad more often than those of any
    of them."""
    own, control = _Series(before_after.after), [_Series((*o.before, *o.after)) for o in others]
    usual = applied - _NEAR_SECONDS  # what is later may be of the same outage
    rates = [_rate(*series.between(-math.inf, usual)) for series in control]
    kept = []
    for run in before_after.after:
        begin, end = ((run.start or 0.0) + side for side in (-_NEAR_SECONDS, _NEAR_SECONDS))
        near = [series.between(begin, end) for series in control]
        if _is_shared(near, rates):
            since = [series.between(max(begin, applied), end) for series in control]
            if not _is_worse(own.between(begin, end), since):
                continue
        kept.append(run)
    return replace(before_after, after=tuple(kept))


class _Series:
    """The runs of one workflow by start, and how many of them were bad."""

    def __init__(self, runs: Iterable[RunRecord]) -> None:
        dated = sorted(
            (r.start, r.outcome is Outcome.FAILED or out_of_memory(r, ())) for r in runs if r.start is not None
        )
        self._starts = [start for start, _ in dated]
        self._bad = [0, *accumulate(bad for _, bad in dated)]

    def between(self, begin: float, end: float) -> _Counts:
        """Those that started from ``begin`` to ``end`` (unix seconds)."""
        first, last = bisect_left(self._starts, begin), bisect_right(self._starts, end)
        return self._bad[last] - self._bad[first], last - first


def _rate(bad: int, runs: int) -> float:
    """The share of bad runs; not 0 where there was none among a few."""
    return (bad + 0.5) / (runs + 1.0)


def _is_shared(near: Sequence[_Counts], rates: Sequence[float]) -> bool:
    """Whether more workflows had a bad run than chance explains by the ``rates`` of each."""
    chances = [1.0 - (1.0 - rate) ** runs for (_, runs), rate in zip(near, rates, strict=True) if runs]
    return len(chances) >= MIN_WORKFLOWS and _at_least(sum(bad > 0 for bad, _ in near), chances) <= _SHARED


def _at_least(number: int, chances: Sequence[float]) -> float:
    """The probability of so many events, or more, that have these ``chances``."""
    exactly = [1.0]  # so many, by number
    for p in chances:
        exactly = [a * (1.0 - p) + b * p for a, b in zip([*exactly, 0.0], [0.0, *exactly], strict=True)]
    return sum(exactly[number:])


def _is_worse(own: _Counts, others: Sequence[_Counts]) -> bool:
    """Whether its runs are bad more often than those of any of the ``others``, and than chance explains by all of these."""
    bad, runs = own
    if any(bad * theirs <= wrong * runs for wrong, theirs in others if theirs):
        return False
    wrong, theirs = (sum(column) for column in zip(*others, strict=True))
    return beta_binomial_tail(bad, runs, wrong + 0.5, theirs - wrong + 0.5) <= _SIGNIFICANCE
