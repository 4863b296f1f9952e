"""What a comparison of runs says: the ratio of durations with its interval, and the verdict."""

from __future__ import annotations

import math
from dataclasses import dataclass

from concertmaster.core.model.enums import Verdict
from concertmaster.core.stats.comparison.sides import MIN_RUNS
from concertmaster.core.stats.shift import GroupShift

MARGIN = 0.05  # smaller changes are immaterial: Same
UNDECIDED = "cannot tell yet: "  # what the reason of an inconclusive comparison begins with


@dataclass(frozen=True, slots=True)
class Comparison:
    """Durations after a change divided by durations before: 0.8 means 20% shorter.

    ``ratio`` with its interval ``low``..``high`` (ends may be 0 or infinite); NaN, 0 and infinite with too little data.
    ``p_value``: two-sided, of the hypothesis of no change, as of a single look. ``adjusted``: whether input sizes were taken
    into account. ``reason``: a sentence about missing data or the decision.
    """

    verdict: Verdict
    ratio: float
    low: float
    high: float
    p_value: float
    runs_before: int
    runs_after: int
    adjusted: bool
    reason: str


@dataclass(frozen=True, slots=True)
class CommonFactor:
    """A common factor (1.2 is 20% longer) of durations after over before in ``workflows`` other workflows: the median with
    its 90% interval ``low``..``high``."""

    workflows: int
    ratio: float
    low: float
    high: float

    def __str__(self) -> str:
        way = f"{_percent(abs(self.ratio - 1.0))} {'longer' if self.ratio > 1.0 else 'shorter'}"
        return f"runs of {self.workflows} other workflows take {way} meanwhile, which is taken out"


def ratio_interval(
    groups: GroupShift, critical: float, error: float, common: CommonFactor | None
) -> tuple[float, float, float]:
    """Ratio and interval of the shifts that the test does not reject at ``critical``, without the ``common`` factor.
    ``error``: standard error of what was removed from the logs before."""
    return _freed(_widened(_interval(groups, critical), critical * error), common)


def _interval(groups: GroupShift, critical: float) -> tuple[float, float, float]:
    """Ratio with its interval: the shifts that the test does not reject."""
    likely = groups.solve(0.0)
    if not math.isfinite(likely):  # the inputs separate before from after as well as the change: not identifiable
        return math.nan, 0.0, math.inf
    if math.isinf(critical):
        return _exp(likely), 0.0, math.inf
    low, high = groups.solve(critical, likely), groups.solve(-critical, likely)
    if abs(groups.t()) <= critical:  # with equal values the search may miss by its tolerance the one shift that fits
        low, high = min(low, 0.0), max(high, 0.0)
    return _exp(likely), _exp(min(low, likely)), _exp(max(high, likely))


def _widened(ratios: tuple[float, float, float], half: float) -> tuple[float, float, float]:
    """Ratio and interval with an independent error of that half-width in its log."""
    ratio, low, high = ratios
    if half <= 0.0 or not (math.isfinite(ratio) and low > 0.0 and math.isfinite(high)):
        return ratios
    down, up = (math.hypot(math.log(end / ratio), half) for end in (low, high))
    return ratio, _exp(math.log(ratio) - down), _exp(math.log(ratio) + up)


def _freed(ratios: tuple[float, float, float], common: CommonFactor | None) -> tuple[float, float, float]:
    """Ratio and interval without the common factor, valid for all values in its interval."""
    ratio, low, high = ratios
    return ratios if common is None else (ratio / common.ratio, low / common.high, high / common.low)


def judged(low: float, high: float, common: CommonFactor | None, adjusted: bool) -> tuple[Verdict, str]:
    """Verdict on an interval of the ratio, and its reason in words."""
    span = f"durations are {_percent(low)} to {_percent(high)} of what they were{' at equal input' if adjusted else ''}"
    span += f" ({common})" if common is not None else ""
    if low > 1.0:
        return Verdict.WORSE, f"slower: {span}"
    if high < 1.0:
        return Verdict.IMPROVED, f"faster: {span}"
    if high <= 1.0 + MARGIN and low >= 1.0 / (1.0 + MARGIN):
        return Verdict.SAME, f"no difference that matters: {span}"
    return Verdict.INCONCLUSIVE, f"{UNDECIDED}{span}"


def too_few(counts: tuple[int, int], *, needed: int = MIN_RUNS) -> Comparison:
    """Nothing but the numbers of runs before and after."""
    reason = f"{counts[0]} runs before and {counts[1]} after; {MIN_RUNS} before and {needed} after are needed"
    return Comparison(Verdict.INCONCLUSIVE, math.nan, 0.0, math.inf, 1.0, *counts, False, reason)


def _percent(ratio: float) -> str:
    return "any share" if math.isinf(ratio) else f"{100.0 * ratio:.0f}%"


def _exp(log: float) -> float:
    return math.inf if log > 700.0 else math.exp(log)
