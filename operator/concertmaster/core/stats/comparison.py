"""Comparison of runs before and after a change, adjusted for input size, with stated error rates.

Two forms share one test (stats/shift.py) on log durations. The fixed-sample form is evaluated once. The sequential form may
be evaluated after every run: its threshold is raised so that the probability of *ever* crossing it without a change stays
within the level (any-time-valid inference in linear models: Lindon, Ham, Tingley, Bojinov 2022; mixture martingales go back
to Robbins 1970).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from concertmaster.core import arrays as np
from concertmaster.core.arrays import Floats
from concertmaster.core.model.enums import Verdict
from concertmaster.core.stats.exact import fisher
from concertmaster.core.stats.modes import of_one_unit
from concertmaster.core.stats.quantiles import student_quantile, student_tail
from concertmaster.core.stats.shift import GroupShift, group_shift
from concertmaster.core.stats.summary import as_floats

MIN_RUNS = 3  # per side; fewer do not show the spread
MAX_RUNS = 2000  # per side; more are thinned evenly, the interval is then far narrower than any margin
LEVEL = 0.04  # nominal; on real step durations 3.6 to 4.7% of comparisons without a change are significant
MARGIN = 0.05  # smaller changes are immaterial: Same
UNDECIDED = "cannot tell yet: "  # what the reason of an inconclusive comparison begins with
# Shift, in standard deviations of a run, to which the sequential form is most sensitive (20% when runs vary by 20%). Any
# value is valid; it only affects the power.
EXPECTED_SHIFT = 1.0
SEQUENTIAL_LEVEL = 0.10  # two-sided: false verdicts in each direction for at most 5% of all changes
# Share of that level available to the last look. The threshold of earlier looks is meant for an unlimited number: nominally
# half of the level, with 5 to 200 runs before and 10 to 300 after it is crossed by 0.2 to 1.2% per side, and both together
# by at most 5.0% (100,000 simulated series each; tests/unit/core/changes/test_power.py repeats it).
LAST_SHARE = 0.84
LAST_LEVEL = LAST_SHARE * SEQUENTIAL_LEVEL

Durations = Iterable[float | None] | Floats


@dataclass(frozen=True, slots=True)
class Comparison:
    """Durations after a change divided by durations before: 0.8 means 20% shorter.

    ``ratio`` with its interval ``low``..``high`` (ends may be 0 or infinite); NaN, 0 and infinite with too little data.
    ``p_value``: two-sided, of the hypothesis of no change. ``adjusted``: whether input sizes were taken into account.
    ``decided``: always True for the fixed-sample form; False for the sequential one while more runs are needed.
    ``reason``: a sentence about missing data or the decision.
    """

    verdict: Verdict
    ratio: float
    low: float
    high: float
    p_value: float
    runs_before: int
    runs_after: int
    adjusted: bool
    decided: bool
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


def compare(
    before: Durations,
    after: Durations,
    *,
    inputs_before: Durations | None = None,
    inputs_after: Durations | None = None,
    level: float = LEVEL,
    common: CommonFactor | None = None,
    error: float = 0.0,
) -> Comparison:
    """Fixed-sample test of ``after`` against ``before`` (seconds per run; any positive quantity works).

    Worse or Improved when the interval lies on one side of 1; Same when it lies within ``MARGIN``; else Inconclusive.
    Missing, infinite and non-positive values are ignored. With input sizes of one unit for at least three quarters of the
    runs of both sides, durations are compared at equal input size (log-linear in the size). The ``common`` factor is
    removed, and its interval added to that of the ratio; ``error``: standard error of what was removed from the logs before.
    """
    groups, adjusted, counts = _prepared(before, after, inputs_before, inputs_after)
    if groups is None:
        return _too_few(counts, decided=True)
    critical = student_quantile(1.0 - level / 2.0, groups.degrees)
    ratio, low, high = _freed(_widened(_interval(groups, critical), critical * error), common)
    p = min(1.0, 2.0 * student_tail(abs(groups.t()), groups.degrees))
    verdict, reason = _judged(low, high, common, adjusted)
    return Comparison(verdict, ratio, low, high, p, *counts, adjusted, True, reason)


def compare_amounts(before: Durations, after: Durations, *, level: float = LEVEL) -> Comparison:
    """``compare`` for figures that may be zero, such as waiting or waste; missing and negative values are ignored.

    Logarithms would drop the zeros and compare something else. If there are any, the test is whether large values are more
    frequent on one side (Mood's median test, 1950, by Fisher's exact test): Worse when more frequent after, Improved when
    less, else Inconclusive. ``ratio`` is then that of the means, NaN when the earlier is zero, and has no interval.
    """
    sides = [x[np.isfinite(x) & (x >= 0)] for x in (as_floats(before), as_floats(after))]
    counts = (sides[0].size, sides[1].size)
    if min(counts) < MIN_RUNS:
        return _too_few(counts, decided=True)
    if all(float(s.min()) > 0 for s in sides):
        return compare(sides[0], sides[1], level=level)
    p, more = _larger(sides[0], sides[1])
    mean = float(sides[0].mean())
    ratio = float(sides[1].mean()) / mean if mean > 0 else math.nan
    verdict = Verdict.INCONCLUSIVE if p >= level else Verdict.WORSE if more else Verdict.IMPROVED
    reason = "large values are as frequent as before" if p >= level else f"{'more' if more else 'fewer'} large values"
    return Comparison(verdict, ratio, 0.0, math.inf, p, *counts, False, True, reason)


def direction(before: Durations, after: Durations) -> Verdict:
    """``compare_amounts`` when only Worse or Improved matters (else Inconclusive): one evaluation of the score test of no
    shift is equivalent to its interval lying on one side of 1, and cheaper than the search for both ends."""
    sides = [x[np.isfinite(x) & (x >= 0)] for x in (as_floats(before), as_floats(after))]
    if min(s.size for s in sides) < MIN_RUNS:
        return Verdict.INCONCLUSIVE
    if not all(float(s.min()) > 0 for s in sides):
        return compare_amounts(sides[0], sides[1]).verdict
    groups, _, _ = _prepared(sides[0], sides[1], None, None)
    if groups is None:
        return Verdict.INCONCLUSIVE
    t = groups.t()
    if abs(t) <= student_quantile(1.0 - LEVEL / 2.0, groups.degrees):
        return Verdict.INCONCLUSIVE
    return Verdict.WORSE if t > 0 else Verdict.IMPROVED


def _larger(before: Floats, after: Floats) -> tuple[float, bool]:
    """p-value of the hypothesis that values above the common median are equally frequent, and whether more are after."""
    together = np.concatenate([before, after])
    middle = float(np.median(together))
    # With many ties "above" and "at least" split differently; the more even split has more power.
    above, least = together > middle, together >= middle
    beyond = above if abs(float(above.mean()) - 0.5) <= abs(float(least.mean()) - 0.5) else least
    old, new = beyond[: before.size], beyond[before.size :]
    p = fisher(int(old.sum()), int((~old).sum()), int(new.sum()), int((~new).sum()))
    return (1.0 if p is None else p), float(new.mean()) > float(old.mean())


def watch(
    before: Durations,
    after: Durations,
    *,
    inputs_before: Durations | None = None,
    inputs_after: Durations | None = None,
    min_runs: int = 5,
    max_runs: int = 30,
    final: bool = False,
    common: CommonFactor | None = None,
    error: float = 0.0,
) -> Comparison:
    """Sequential test: evaluate after every new run with all runs since the change; stop when ``decided``.

    However often it is evaluated, a change without effect is called Worse with a probability of at most half of
    ``SEQUENTIAL_LEVEL``, and Improved likewise. The threshold of looks before the last holds for any number of them; the
    last look (at ``max_runs``, or ``final``: no further evaluation) always decides: with a fixed-sample interval, and
    Inconclusive unless another verdict holds. Same is decided as soon as the interval lies within ``MARGIN``. Runs beyond
    ``max_runs`` are ignored. ``common`` and ``error`` as in ``compare``; the p-value is that of the unadjusted durations.
    """
    groups, adjusted, counts = _prepared(before, after, inputs_before, inputs_after, max_runs)
    last = final or counts[1] >= max_runs
    if groups is None or counts[1] < min_runs:
        return _too_few(counts, decided=last, needed=max(min_runs, MIN_RUNS))
    t = groups.t()
    if last:
        critical = student_quantile(1.0 - LAST_SHARE * SEQUENTIAL_LEVEL / 2.0, groups.degrees)
        p = min(1.0, 2.0 / LAST_SHARE * student_tail(abs(t), groups.degrees))
    else:
        critical = anytime_critical(groups.degrees, groups.information, SEQUENTIAL_LEVEL / 2.0)
        p = min(1.0, 2.0 / evidence(t, groups.degrees, groups.information))
    ratio, low, high = _freed(_widened(_interval(groups, critical), critical * error), common)
    verdict, reason = _judged(low, high, common, adjusted)
    decided = last or verdict is not Verdict.INCONCLUSIVE
    return Comparison(verdict, ratio, low, high, p, *counts, adjusted, decided, reason)


def evidence(t: float, degrees: float, information: float) -> float:
    """Likelihood ratio of the data under a shift against none (an e-value; any-time-valid).

    A mixture over shifts, normal with standard deviation ``EXPECTED_SHIFT`` (in standard deviations of a run);
    ``information``: weight of the group indicator (n * m / (n + m) without a covariate).
    """
    share = 1.0 / (1.0 + information * EXPECTED_SHIFT**2)
    x = t * t / degrees
    log = 0.5 * math.log(share) - (degrees + 1.0) / 2.0 * (math.log1p(share * x) - math.log1p(x))
    return math.exp(min(700.0, log))


def anytime_critical(degrees: float, information: float, level: float) -> float:
    """The |t| at which ``evidence`` reaches 1 / ``level``; infinite when no t can reach it yet."""
    share = 1.0 / (1.0 + information * EXPECTED_SHIFT**2)
    q = (level * math.sqrt(share)) ** (2.0 / (degrees + 1.0))
    if q <= share:
        return math.inf
    return math.sqrt(degrees * (1.0 - q) / (q - share))


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


def _judged(low: float, high: float, common: CommonFactor | None, adjusted: bool) -> tuple[Verdict, str]:
    span = f"durations are {_percent(low)} to {_percent(high)} of what they were{' at equal input' if adjusted else ''}"
    span += f" ({common})" if common is not None else ""
    if low > 1.0:
        return Verdict.WORSE, f"slower: {span}"
    if high < 1.0:
        return Verdict.IMPROVED, f"faster: {span}"
    if high <= 1.0 + MARGIN and low >= 1.0 / (1.0 + MARGIN):
        return Verdict.SAME, f"no difference that matters: {span}"
    return Verdict.INCONCLUSIVE, f"{UNDECIDED}{span}"


def _prepared(
    before: Durations,
    after: Durations,
    inputs_before: Durations | None,
    inputs_after: Durations | None,
    most_after: int | None = None,
) -> tuple[GroupShift | None, bool, tuple[int, int]]:
    sides = [_side(before, inputs_before, None), _side(after, inputs_after, most_after)]
    counts = (sides[0][0].size, sides[1][0].size)
    if min(counts) < MIN_RUNS:
        return None, False, counts
    known = [np.isfinite(inputs) for _, inputs in sides]
    if all(k.sum() >= max(MIN_RUNS, 0.75 * k.size) for k in known):
        logs, sizes = zip(*((d[k], i[k]) for (d, i), k in zip(sides, known, strict=True)), strict=True)
        if of_one_unit(np.concatenate(sizes), np.concatenate(logs)):
            groups = group_shift(logs[0], logs[1], (sizes[0], sizes[1]))
            return groups, groups.covariate is not None, counts
    return group_shift(sides[0][0], sides[1][0]), False, counts


def _side(durations: Durations, inputs: Durations | None, most: int | None) -> tuple[Floats, Floats]:
    """Logs of the usable durations (the first ``most``) and of their input sizes (NaN where unknown)."""
    seconds = as_floats(durations)
    sizes = np.full(seconds.size, np.nan) if inputs is None else as_floats(inputs)
    if sizes.size != seconds.size:
        sizes = np.full(seconds.size, np.nan)
    usable = np.flatnonzero(np.isfinite(seconds) & (seconds > 0))[:most]
    if usable.size > MAX_RUNS:
        usable = usable[np.linspace(0, usable.size - 1, MAX_RUNS).astype(np.intp)]
    with np.errstate(divide="ignore", invalid="ignore"):
        log_sizes = np.where(sizes > 0, np.log(sizes), np.nan)
    log_sizes[~np.isfinite(log_sizes)] = np.nan
    return np.log(seconds[usable]), log_sizes[usable]


def _too_few(counts: tuple[int, int], *, decided: bool, needed: int = MIN_RUNS) -> Comparison:
    reason = f"{counts[0]} runs before and {counts[1]} after; {MIN_RUNS} before and {needed} after are needed"
    return Comparison(Verdict.INCONCLUSIVE, math.nan, 0.0, math.inf, 1.0, counts[0], counts[1], False, decided, reason)


def _percent(ratio: float) -> str:
    return "any share" if math.isinf(ratio) else f"{100.0 * ratio:.0f}%"


def _exp(log: float) -> float:
    return math.inf if log > 700.0 else math.exp(log)
