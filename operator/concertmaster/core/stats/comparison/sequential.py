"""Comparison of runs that may be evaluated after every run.

The threshold is raised so that the probability of *ever* crossing it without a change stays within the level (any-time-valid
inference in linear models: Lindon, Ham, Tingley, Bojinov 2022; mixture martingales go back to Robbins 1970).
"""

from __future__ import annotations

import math

from concertmaster.core.stats.comparison.result import CommonFactor, Comparison, judged, ratio_interval, too_few
from concertmaster.core.stats.comparison.sides import MIN_RUNS, Durations, prepared
from concertmaster.core.stats.quantiles import student_quantile, student_tail

# Shift, in standard deviations of a run, to which the sequential form is most sensitive (20% when runs vary by 20%). Any
# value is valid; it only affects the power.
EXPECTED_SHIFT = 1.0
SEQUENTIAL_LEVEL = 0.10  # two-sided: false verdicts in each direction for at most 5% of all changes
# Share of that level available to the last look. The threshold of earlier looks is meant for an unlimited number: nominally
# half of the level, with 5 to 200 runs before and 10 to 300 after it is crossed by 0.2 to 1.2% per side, and both together
# by at most 5.0% (100,000 simulated series each; tests/unit/core/changes/verification/test_power.py repeats it).
LAST_SHARE = 0.84
LAST_LEVEL = LAST_SHARE * SEQUENTIAL_LEVEL


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
    """Sequential test: evaluate after every new run with all runs since the change, until a verdict other than Inconclusive.

    However often it is evaluated, a change without effect is called Worse with a probability of at most half of
    ``SEQUENTIAL_LEVEL``, and Improved likewise. The threshold of looks before the last holds for any number of them; the
    last look (at ``max_runs``, or ``final``: no further evaluation) always decides: with a fixed-sample interval, and
    Inconclusive unless another verdict holds. Same is decided as soon as the interval lies within ``MARGIN``. Runs beyond
    ``max_runs`` are ignored. ``common`` and ``error`` as in ``compare``.
    """
    groups, adjusted, counts = prepared(before, after, inputs_before, inputs_after, max_runs)
    last = final or counts[1] >= max_runs
    if groups is None or counts[1] < min_runs:
        return too_few(counts, needed=max(min_runs, MIN_RUNS))
    if last:
        critical = student_quantile(1.0 - LAST_LEVEL / 2.0, groups.degrees)
    else:
        critical = anytime_critical(groups.degrees, groups.information, SEQUENTIAL_LEVEL / 2.0)
    ratio, low, high = ratio_interval(groups, critical, error, common)
    verdict, reason = judged(low, high, common, adjusted)
    p = min(1.0, 2.0 * student_tail(abs(groups.t()), groups.degrees))
    return Comparison(verdict, ratio, low, high, p, *counts, adjusted, reason)


def anytime_critical(degrees: float, information: float, level: float) -> float:
    """The |t| at which the likelihood ratio of the data under a shift against none (an e-value; any-time-valid) reaches
    1 / ``level``; infinite when no t can reach it yet.

    A mixture over shifts, normal with standard deviation ``EXPECTED_SHIFT`` (in standard deviations of a run);
    ``information``: weight of the group indicator (n * m / (n + m) without a covariate).
    """
    share = 1.0 / (1.0 + information * EXPECTED_SHIFT**2)
    q = (level * math.sqrt(share)) ** (2.0 / (degrees + 1.0))
    if q <= share:
        return math.inf
    return math.sqrt(degrees * (1.0 - q) / (q - share))
