"""Run time and memory of a step as a function of input size, for the prediction of other inputs.

Observed runs often have smaller inputs than future ones, and neither quantity is a straight line over the whole range:
start-up dominates small inputs, memory saturates or jumps when a tool changes its method. A line through the runs with the
nearest inputs only (local regression, Cleveland 1979) follows that. Run time is close to linear and noisy: a line through
all runs is considered as well, both share the weight of one model, and for inputs beyond the largest half of the runs are
near. Where inputs span orders of magnitude and noise is multiplicative, lines are not enough: a power law through
neighbours, one through all runs, or, where the input explains nothing, their median is better. Memory often stays on one
level, a buffer or a heap size, and jumps to the next: there the median of the neighbours is one more model.

None of these is right for every step, and choosing one by a few held-out runs is a gamble. The prediction is therefore
their mean on logarithms, weighted by the likelihood of the held-out runs under each (stacking by pseudo-likelihood; Geisser
and Eddy 1979, Yao et al. 2018). For the largest inputs and beyond, only the larger runs count: small runs, dominated by
start-up, are not informative there. Predictions beyond the largest input increase if values increase with inputs beyond
doubt, or, with few runs, without exception; else every larger input counts as the largest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from concertmaster.core import arrays as np
from concertmaster.core.arrays import Floats
from concertmaster.core.stats import alternatives
from concertmaster.core.stats.alternatives import FURTHER, LINE

# Share of the runs, the nearest ones, that each line goes through: for inputs up to the largest, and beyond.
RUNTIME_SPANS = ((0.25, 0.5), (1.0, 1.0))
MEMORY_SPANS = ((0.25, 0.25),)
MIN_RUNS = 3
# Share of the runs, the larger ones, that weigh the models for inputs like theirs and beyond.
UPPER = 0.3
# Errors on logarithms that count as none.
MIN_ERROR = 1e-3
# Number of held-out runs, spread over the inputs, for the comparison.
MAX_LEFT_OUT = 24
# One-sided normal quantile of 1%: significance of a rank correlation.
EXPLAINED_Z = 2.326
# Larger values are invalid as seconds or bytes; clipping keeps sums of squares finite.
MAX_VALUE = 1e30
# Queries processed at once: each holds all runs.
MAX_BATCH = 256

Spans = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class InputRelation:
    """Seconds or bytes (``values``) over input bytes (``inputs``, ascending).

    ``spans``: share of the runs that each line goes through, up to the largest input and beyond. ``enough``: False with
    fewer than three usable runs; a prediction is then their median, or NaN without any. ``explained``: values increase with
    inputs, by rank correlation at 1%. ``levels``: the median of the nearest runs is one of the models.
    """

    inputs: tuple[float, ...]
    values: tuple[float, ...]
    spans: Spans
    enough: bool
    explained: bool
    levels: bool = False

    def predict(self, inputs: Sequence[float] | Floats) -> Floats:
        """Expected value per input (bytes), same shape; for a non-finite one, or if all runs had the same, their median."""
        queries = np.asarray(inputs, dtype=np.float64)
        out = np.full(queries.shape, median(self.values) if self.values else math.nan)
        flat, asked = out.reshape(-1), queries.reshape(-1)
        known = np.flatnonzero(np.isfinite(asked))
        if self.enough and known.size and self.inputs[0] < self.inputs[-1]:
            x, y = np.array(self.inputs), np.array(self.values)
            lower, upper = self._weights(x, y)
            grows = self.explained or bool((y[1:] >= y[:-1]).all())
            for part in np.array_split(known, -(-known.size // MAX_BATCH)):
                held = np.clip(asked[part], 0.0, MAX_VALUE if grows else x[-1])
                each = np.broadcast_to(x, (held.size, x.size)), np.broadcast_to(y, (held.size, y.size))
                logs = alternatives.predictions(held, *each, self.spans, levels=self.levels)
                large = held >= x[int(x.size * (1.0 - UPPER))]
                flat[part] = np.exp(np.where(large, upper @ logs, lower @ logs))
        return out

    def _weights(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Weights of the models for smaller and for larger inputs."""
        places = np.unique(np.linspace(0, x.size - 1, min(x.size, MAX_LEFT_OUT)).astype(int))
        rest = np.arange(x.size - 1)[None, :]
        rest = rest + (rest >= places[:, None])
        predicted = alternatives.predictions(x[places], x[rest], y[rest], self.spans, levels=self.levels)
        off = np.abs(predicted - np.log(y[places]))
        lines = len(self.spans)
        return likelihoods(off, lines), likelihoods(
            off[:, x[places] >= x[places[int(places.size * (1.0 - UPPER))]]], lines
        )


def likelihoods(off: Floats, lines: int) -> Floats:
    """Relative likelihood of errors ``off`` (models, held-out runs) that follow Laplace's law, with its scale estimated from
    them; the sum is 1. The ``lines`` (their number) share one prior weight: they are variants of one model."""
    logs = -off.shape[1] * np.log(np.maximum(off.mean(axis=1), MIN_ERROR))
    likelihoods = np.exp(logs - logs.max())
    likelihoods[[LINE, *range(FURTHER, FURTHER + lines - 1)]] /= lines
    return np.asarray(likelihoods / likelihoods.sum())


def fit_runtime(inputs: Sequence[float] | Floats, seconds: Sequence[float] | Floats) -> InputRelation:
    """Run time (s) over input size (bytes), one pair per execution. Never raises."""
    return _fit(inputs, seconds, RUNTIME_SPANS)


def fit_memory(inputs: Sequence[float] | Floats, peaks: Sequence[float] | Floats) -> InputRelation:
    """Peak memory (bytes) over input size (bytes), one pair per execution. Never raises."""
    return _fit(inputs, peaks, MEMORY_SPANS, levels=True)


def _fit(
    inputs: Sequence[float] | Floats, values: Sequence[float] | Floats, spans: Spans, *, levels: bool = False
) -> InputRelation:
    x = np.asarray(inputs, dtype=np.float64).ravel()
    y = np.asarray(values, dtype=np.float64).ravel()
    if x.size != y.size:
        return InputRelation((), (), spans, False, False, levels)
    good = np.isfinite(x) & np.isfinite(y) & (x >= 0.0) & (x <= MAX_VALUE) & (y > 0.0) & (y <= MAX_VALUE)
    x, y = x[good], y[good]
    order = np.lexsort((y, x))  # the order in which runs of equal inputs come must not matter
    x, y = x[order], y[order]
    enough = y.size >= MIN_RUNS
    explained = enough and _rank_correlation_z(x, y) > EXPLAINED_Z
    return InputRelation(tuple(x.tolist()), tuple(y.tolist()), spans, enough, explained, levels)


def _rank_correlation_z(x: Floats, y: Floats) -> float:
    """Spearman's rank correlation as a z-score; ties share their mean rank."""
    a, b = _ranks(x), _ranks(y)
    norm = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / norm * math.sqrt(x.size - 1.0) if norm > 0.0 else 0.0


def _ranks(values: Floats) -> Floats:
    ordered = np.sort(values)
    twice = np.searchsorted(ordered, values, side="left") + np.searchsorted(ordered, values, side="right")
    return np.asarray(twice - twice.mean(), dtype=np.float64)
