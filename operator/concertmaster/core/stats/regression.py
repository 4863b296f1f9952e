"""Run time and memory of a step as a function of input size, for the prediction of other inputs.

Observed runs often have smaller inputs than future ones, and neither quantity is a straight line over the whole range:
start-up dominates small inputs, memory saturates or jumps when a tool changes its method. The prediction is therefore a
line through the runs with the nearest inputs only (local regression, Cleveland 1979). The line never falls as inputs grow.
Beyond the largest one it is extrapolated if values increase with inputs beyond doubt, or, with few runs, without exception;
else every larger input counts as the largest. Run time is close to linear and noisy, hence a wide neighbourhood with equal
weights; memory is curved and less noisy, hence a narrow one with weights that decrease with distance.

Where the line misses held-out runs by a fifth and more, or inputs span orders of magnitude and noise is multiplicative, a
few neighbours are not enough. Then the line competes with models on logarithms: a power law through neighbours, one through
all runs, and their median where the input explains nothing. For the largest inputs and beyond, only the larger runs decide:
small runs, dominated by start-up, are not informative there. Beyond the largest input, growth is limited to that of the
power law of the larger half of the runs, whose exponent is shrunk towards a moderate one while these are few or noisy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from concertmaster.core.stats import alternatives
from concertmaster.core.stats.alternatives import LINE, Floats

RUNTIME_SPAN = 0.4
MEMORY_SPAN = 0.25
FEWEST_RUNS = 3
# Mean error on logarithms of held-out runs from which the line has to compete: of all runs, and of the UPPER share of them
# for inputs like theirs and beyond, where a power law underestimates steps with a long start-up.
NOISY, NOISY_UPPER = 0.2, 0.3
UPPER = 0.3
# Share of the error of the power law through all runs that a competing model has to save.
WORTH = 0.05
FEWEST_TO_CHOOSE = 6
_EQUAL = 1.0 + 1e-9
# Number of held-out runs, spread over the inputs, for the comparison.
MOST_LEFT_OUT = 24
# One-sided normal quantile of 1%: significance of a rank correlation.
EXPLAINED_Z = 2.326
# Larger values are invalid as seconds or bytes; clipping keeps sums of squares finite.
LARGEST = 1e30
# Queries processed at once: each holds all runs.
MOST_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class InputRelation:
    """Seconds or bytes (``values``) over input bytes (``inputs``, ascending), and the ``span`` of runs used for a query.

    ``fading``: weights of neighbours decrease with distance (tricube). ``enough``: False with fewer than three usable runs;
    a prediction is then their median, or NaN without any. ``explained``: values increase with inputs, by rank correlation
    at 1%.
    """

    inputs: tuple[float, ...]
    values: tuple[float, ...]
    span: float
    fading: bool
    enough: bool
    explained: bool

    @property
    def count(self) -> int:
        """Number of usable runs."""
        return len(self.values)

    def predict(self, inputs: Sequence[float] | Floats) -> Floats:
        """Expected value per input (bytes), same shape; for a non-finite input the median of all runs."""
        queries = np.asarray(inputs, dtype=np.float64)
        out = np.full(queries.shape, float(np.median(self.values)) if self.values else math.nan)
        flat, asked = out.reshape(-1), queries.reshape(-1)
        known = np.flatnonzero(np.isfinite(asked))
        if self.enough and known.size:
            x, y = np.array(self.inputs), np.array(self.values)
            lower, upper, bounded = self._chosen(x, y)
            grows = self.explained or bool((y[1:] >= y[:-1]).all())
            for part in np.array_split(known, -(-known.size // MOST_AT_ONCE)):
                held = np.clip(asked[part], 0.0, LARGEST if grows else x[-1])
                large = held >= x[int(x.size * (1.0 - UPPER))]
                for of_kind, chosen in ((~large, lower), (large, upper)):
                    if of_kind.any():
                        flat[part[of_kind]] = self._at(held[of_kind], x, y, chosen, bounded=bounded)
        return out

    def _at(self, queries: Floats, x: Floats, y: Floats, chosen: int, *, bounded: bool) -> Floats:
        """Prediction of the model ``chosen``; beyond the largest input a line extrapolated from there, limited by the growth
        of the power law of the larger half of the runs if ``bounded``."""
        within = np.minimum(queries, x[-1])
        predicted = self._by(within, x, y, chosen)
        over = queries > x[-1]
        if over.any():
            edge, further = predicted[over], queries[over]
            predicted[over] = np.maximum(edge, self._by(further, x, y, LINE))
            if bounded and x[-1] > 0.0:
                size, half = np.log(np.maximum(x, x[x > 0.0].min())), x.size // 2
                exponent = float(alternatives.power(size[None, half:], np.log(y)[None, half:])[0][0])
                predicted[over] = np.minimum(predicted[over], edge * (further / x[-1]) ** exponent)
        return predicted

    def _by(self, queries: Floats, x: Floats, y: Floats, chosen: int) -> Floats:
        each = np.broadcast_to(x, (queries.size, x.size)), np.broadcast_to(y, (queries.size, y.size))
        if chosen == LINE:
            return alternatives.line(queries, *each, self.span, fading=self.fading)
        return np.asarray(np.exp(alternatives.predictions(queries, *each, self.span, fading=self.fading)[chosen]))

    def _chosen(self, x: Floats, y: Floats) -> tuple[int, int, bool]:
        """Models for smaller and for larger inputs, and whether extrapolation must be limited."""
        if x.size <= alternatives.FEWEST_NEIGHBOURS - 1 or x[0] == x[-1]:
            return LINE, LINE, False
        places = np.unique(np.linspace(0, x.size - 1, min(x.size, MOST_LEFT_OUT)).astype(int))
        rest = np.arange(x.size - 1)[None, :]
        rest = rest + (rest >= places[:, None])
        runs = x[places], x[rest], y[rest]
        truth, few = np.log(y[places]), x.size < FEWEST_TO_CHOOSE
        upper = 0 if few else int(places.size * (1.0 - UPPER))
        missed = np.abs(np.log(alternatives.line(*runs, self.span, fading=self.fading)) - truth)
        if not (missed.mean() > NOISY or missed[upper:].mean() > NOISY_UPPER):
            return LINE, LINE, False
        off = np.abs(alternatives.predictions(*runs, self.span, fading=self.fading) - truth)
        noisy = bool(off[LINE, upper:].mean() > NOISY_UPPER)
        return (
            _choice(off.mean(axis=1), few=few) if off[LINE].mean() > NOISY else LINE,
            _choice(off[:, upper:].mean(axis=1), few=few) if noisy else LINE,
            noisy,
        )


def _choice(errors: Floats, *, few: bool) -> int:
    """The model with the least error, if significantly better than the power law of all runs."""
    best = int(np.argmax(errors <= errors.min() * _EQUAL))  # the first on ties, which differ by rounding only
    return best if not few and errors[best] < (1.0 - WORTH) * errors[alternatives.POWER] else alternatives.POWER


def fit_runtime(inputs: Sequence[float] | Floats, seconds: Sequence[float] | Floats) -> InputRelation:
    """Run time (s) over input size (bytes), one pair per execution. Never raises."""
    return _fit(inputs, seconds, RUNTIME_SPAN, fading=False)


def fit_memory(inputs: Sequence[float] | Floats, peaks: Sequence[float] | Floats) -> InputRelation:
    """Peak memory (bytes) over input size (bytes), one pair per execution. Never raises."""
    return _fit(inputs, peaks, MEMORY_SPAN, fading=True)


def _fit(
    inputs: Sequence[float] | Floats, values: Sequence[float] | Floats, span: float, fading: bool
) -> InputRelation:
    x = np.asarray(inputs, dtype=np.float64).ravel()
    y = np.asarray(values, dtype=np.float64).ravel()
    if x.size != y.size:
        return InputRelation((), (), span, fading, False, False)
    good = np.isfinite(x) & np.isfinite(y) & (x >= 0.0) & (x <= LARGEST) & (y > 0.0) & (y <= LARGEST)
    x, y = x[good], y[good]
    order = np.argsort(x, kind="stable")
    x, y = x[order], y[order]
    enough = y.size >= FEWEST_RUNS
    explained = enough and _rank_correlation_z(x, y) > EXPLAINED_Z
    return InputRelation(tuple(x.tolist()), tuple(y.tolist()), span, fading, enough, explained)


def _rank_correlation_z(x: Floats, y: Floats) -> float:
    """Spearman's rank correlation as a z-score; ties share their mean rank."""
    a, b = _ranks(x), _ranks(y)
    norm = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / norm * math.sqrt(x.size - 1.0) if norm > 0.0 else 0.0


def _ranks(values: Floats) -> Floats:
    ordered = np.sort(values)
    twice = np.searchsorted(ordered, values, side="left") + np.searchsorted(ordered, values, side="right")
    return np.asarray(twice - twice.mean(), dtype=np.float64)
