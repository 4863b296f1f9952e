"""Gain of a change: the same runs with and without it, compared run by run.

Pairing removes the variation between runs (inputs, day, cluster) from the difference, which makes an interval from five
runs useful. The interval is a bootstrap over runs (Efron and Tibshirani, 1993), which assumes no distribution, widened for
few runs as Student's quantile is (Hesterberg 2015): resamples vary less than runs do. It is combined with the error of the
replay itself, which is the same in all runs and grows with the size of the change.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from concertmaster.core import arrays as np
from concertmaster.core.analysis.replay.alike import ExecutedRuns
from concertmaster.core.analysis.replay.change import replays
from concertmaster.core.analysis.replay.run import Attempt, Chain, ExecutedRun, longest
from concertmaster.core.analysis.replay.simulation.simulate import simulate
from concertmaster.core.analysis.replay.whatif import WhatIf
from concertmaster.core.model import Interval
from concertmaster.core.stats.dependence import dependence
from concertmaster.core.stats.exact import USUAL_PAUSE, is_over_beyond_pauses
from concertmaster.core.stats.means import combined, widened
from concertmaster.core.stats.quantiles import Z90, student_quantile

DRAWS = 1000  # resamples; between seeds the ends of a 90% interval then vary by about 1% of its width
LEVEL = 0.90
SEED = 20240501  # fixed, so that the same evidence gives the same recommendation
# Standard deviation of log(measured / predicted) per unit of the predicted log ratio: the error of the replay itself. Fitted
# to 120 simulated campaigns (benchmarks/changes/campaigns.py, with seeds other than those of the table).
MODEL_ERROR = 0.04
_LOW, _HIGH = (1.0 - LEVEL) / 2.0 * (DRAWS - 1), (1.0 + LEVEL) / 2.0 * (DRAWS - 1)  # places of its ends among the draws
_MIN_SHARE = 1e-3  # share of a run that no change undercuts
SURE = Interval(1.0, 1.0, 1.0)  # a factor without an error


@dataclass(frozen=True, slots=True)
class Gain:
    """Gain per run: ``seconds`` saved and ``share`` of the makespan (0 to 1; negative: slower), each the mean over runs with
    a 90% interval. None with a ``reason`` when it cannot be estimated. ``ended``: the newest runs have nothing to gain any
    more (see ``has_ended``)."""

    seconds: Interval | None
    share: Interval | None
    runs_used: int
    reason: str | None = None
    ended: bool = False


def gain(runs: Sequence[ExecutedRun], whatif: WhatIf) -> Gain:
    """Gain of ``whatif`` over the observed ``runs``."""
    if whatif.problem:
        return Gain(None, None, 0, whatif.problem)
    usable = (runs if isinstance(runs, ExecutedRuns) else ExecutedRuns(runs)).replayable
    if not usable:
        return Gain(None, None, 0, "not enough data: no run can be replayed")
    base_seconds = usable.seconds
    saved = base_seconds - np.array(replays(usable, whatif))
    saved[np.abs(saved) < 1e-9 * base_seconds] = 0.0
    reason = None if len(usable) > 1 else "one run only: no interval"
    return replace(paired_gain(saved, base_seconds), reason=reason)


def paired_gain(saved: np.ndarray, base: np.ndarray, error: Interval = SURE) -> Gain:
    """The gain of runs, given as in ``paired_interval``."""
    return Gain(*paired_interval(saved, base, error), len(saved), ended=has_ended(saved))


def has_ended(saved: np.ndarray) -> bool:
    """Whether what some runs could save, in order of time, none of the newest can."""
    if saved[-2 * USUAL_PAUSE - 1 :].any():  # as it mostly is, and much sooner known
        return False
    return is_over_beyond_pauses((saved != 0.0).tolist())


def paired_interval(saved: np.ndarray, base: np.ndarray, error: Interval = SURE) -> tuple[Interval, Interval]:
    """Mean saving in seconds and its share of ``base``, each with its interval: by bootstrap over runs, as wide as their
    ``dependence`` asks, for the error of the replay, and for one that all runs have in common, as a factor.

    ``saved`` and ``base`` are seconds per run in order of time, arrays of floats of shape (runs,).
    """
    runs, whole, gained = len(saved), float(base.sum()), float(saved.sum())
    likely = gained / runs, gained / whole if whole > 0 else 0.0
    weights = _resamples(runs)
    total = weights @ saved
    means = np.empty((2, DRAWS))
    np.divide(total, runs, out=means[0])
    np.divide(total, _resampled(np.asarray(base, dtype=float).tobytes()), out=means[1])
    means.sort(axis=1)  # of a thousand values faster than partitions at the four places
    few, least = _of_few(runs), 0.0 if saved.min() >= 0.0 else -math.inf
    alike = dependence(saved), dependence(saved - likely[1] * base)
    seconds, share = (
        _within(
            least,
            with_replay_error(widened(Interval(_at(row, _LOW), middle, _at(row, _HIGH)), few * more), likely[1], error),
            most,
        )
        for row, middle, most, more in zip(means, likely, (whole / runs, 1.0), alike, strict=True)
    )
    return seconds, share


def _of_few(runs: int) -> float:
    """How many times as wide as its percentiles a bootstrap interval must be: Student's quantile with the standard deviation
    of a sample, over the normal one with that of resamples."""
    return student_quantile(0.5 + LEVEL / 2.0, runs - 1.0) / Z90 * math.sqrt(runs / (runs - 1.0)) if runs > 1 else 1.0


def _within(least: float, found: Interval, most: float) -> Interval:
    """The interval of a gain: no more than the run itself, and no loss where no run is longer."""
    return Interval(max(found.low, least), found.likely, max(found.likely, min(most, found.high)))


def with_replay_error(found: Interval, share: float, error: Interval = SURE) -> Interval:
    """The interval of a gain, in seconds or as a share, for the error of the replay as well; ``share`` of the makespan.
    ``error``: a further one, as a factor."""
    if not share:
        return found
    ratio = math.log(max(_MIN_SHARE, 1.0 - share))
    ends = [(1.0 - math.exp(ratio * (1.0 + side * Z90 * MODEL_ERROR))) / share * found.likely for side in (-1.0, 1.0)]
    return combined(found.likely, [found, Interval(min(ends), found.likely, max(ends)), error.scaled(found.likely)])


def _at(ordered: np.ndarray, place: float) -> float:
    """The value at a place between two, interpolated."""
    below = int(place)
    value, above = ordered.item(below), ordered.item(below + 1)
    return float(value + (above - value) * (place - below))


@lru_cache(maxsize=4)
def _resampled(values: bytes) -> np.ndarray:
    """The sums of these floats (as bytes, one for each run) in all resamples, shape (DRAWS,). Those of the runs as they are
    serve every change of them."""
    runs = np.frombuffer(values, dtype=float)
    sums: np.ndarray = _resamples(len(runs)) @ runs
    return sums


@lru_cache(maxsize=4)
def _resamples(runs: int) -> np.ndarray:
    """How often each run is drawn, shape (DRAWS, runs); identical for every call with the same number of runs."""
    return np.random.default_rng(SEED).multinomial(runs, np.full(runs, 1.0 / runs), size=DRAWS).astype(float)


def sooner(run: ExecutedRun, saved: Mapping[int, float]) -> float:
    """Makespan in seconds, replayed, of a run whose first pods are created earlier by the seconds ``saved`` of each, by
    ``Attempt.source``."""
    pieces = [
        [_earlier(chain, first, saved.get(first.source, 0.0)) for chain, (first, *_) in zip(row, chains, strict=True)]
        for row, chains in zip(run.pieces, run.chains, strict=True)
    ]
    return _replayed(run, pieces)


def without(run: ExecutedRun, gone: Collection[int]) -> float:
    """Makespan in seconds, replayed, of a run without the items whose first pods are ``gone``, by ``Attempt.source``."""
    pieces = [
        [chain for chain, (first, *_) in zip(row, chains, strict=True) if first.source not in gone]
        for row, chains in zip(run.pieces, run.chains, strict=True)
    ]
    return _replayed(run, pieces)


def _replayed(run: ExecutedRun, pieces: Sequence[Sequence[Chain]]) -> float:
    lengths = [longest(row) for row in pieces]
    return simulate(run.names, run.parents, pieces, lengths, run.ranks, run.limits) + run.tail


def _earlier(chain: Chain, first: Attempt, saved: float) -> Chain:
    """The chain without so many seconds of the controller's lag, those before it requests its slots first."""
    (delay, head, work), *retries = chain
    before = min(delay, saved)
    holding = min(max(0.0, head - first.before_work), saved - before)
    return ((delay - before, head - holding, work), *retries)
