"""Whether changes of level were sudden or gradual."""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import pairwise

from concertmaster.core import arrays as np
from concertmaster.core.arrays import Floats, Indices
from concertmaster.core.stats.quantiles import student_tail
from concertmaster.core.stats.robust import array_median, mad_sigma

PLACES = 16  # candidate positions for the start and the end of a ramp
MIN_LENGTH = 6  # values; a shorter ramp cannot be distinguished from a step
STEP_PARAMETERS = 2  # level and position, per step
RAMP_PARAMETERS = 3  # a second level, start and end
LINE_PARAMETERS = 1  # growth all along has a slope only
END_PARAMETERS = 2  # growth that has ended: a slope, and where
INDEPENDENT_SHAPES = (
    10.0  # of up to 120 ramps, up or down, that are tried; simulated with 28 to 168 normal and heavy-tailed values
)
_NEWEST = 1.0 / 3.0  # of the time: growth that goes on shows there too


def find_ramps(values: Floats, edges: list[int]) -> list[tuple[int, int, tuple[int, ...]]]:
    """Ramps among the level changes of ``values`` (shape (n,)) at ``edges`` (ascending, without 0 and n).

    Each is (start, end, positions in ``edges`` that it explains). Consecutive changes in one direction are modelled either
    as steps or as one flat-straight-flat line; the Bayesian information criterion (Schwarz 1978) decides. Residuals are
    clipped at three robust standard deviations, so that outliers do not decide.
    """
    if not edges:
        return []
    bounds = [0, *edges, values.size]
    levels = [array_median(values[a:b]) for a, b in pairwise(bounds)]
    ramps = []
    first = 0
    while first < len(edges):
        up = levels[first + 1] > levels[first]
        last = first
        while last + 1 < len(edges) and (levels[last + 2] > levels[last + 1]) == up:
            last += 1
        ramp = _ramp(values[bounds[first] : bounds[last + 2]], [e - bounds[first] for e in edges[first : last + 1]])
        if ramp is not None:
            start, end = ramp
            ramps.append((bounds[first] + start, bounds[first] + end, tuple(range(first, last + 1))))
        first = last + 1
    return ramps


def _ramp(values: Floats, edges: list[int]) -> tuple[int, int] | None:
    n = values.size
    bounds = [0, *edges, n]
    stepped = np.concatenate([values[a:b] - array_median(values[a:b]) for a, b in pairwise(bounds)])
    bound = 3.0 * mad_sigma(stepped)
    if bound <= 0:
        return None
    y = np.clip(stepped, -bound, bound) + (values - stepped)  # clip outliers towards their level
    step_squares = sum(_squares(y[a:b]) for a, b in pairwise(bounds))
    start, end = stretches(n)
    if start.size == 0:
        return None
    squares = _squares(y) - _explained(y, start, end)
    costs = n * np.log(np.maximum(squares, 1e-300)) + ramp_parameters(start, end, n) * math.log(n)
    best = int(np.argmin(costs))
    if costs[best] >= n * math.log(max(step_squares, 1e-300)) + STEP_PARAMETERS * len(edges) * math.log(n):
        return None
    return int(start[best]), int(end[best])


@lru_cache(maxsize=64)
def stretches(n: int, shortest: int = MIN_LENGTH, most: int = PLACES) -> tuple[Indices, Indices]:
    """First and last index of each ramp of n values that is tried: between so many places at ``most``."""
    places = np.unique(np.linspace(0, n - 1, min(n, most)).round()).astype(np.intp)
    start, end = (p.ravel() for p in np.meshgrid(places, places, indexing="ij"))
    long_enough = end - start >= shortest
    return start[long_enough], end[long_enough]


def ramp_parameters(start: Indices, end: Indices, n: int) -> Indices:
    """Parameters of ramps of n values: growth all along has fewer."""
    return np.where((start == 0) & (end == n - 1), LINE_PARAMETERS, RAMP_PARAMETERS)


def _explained(y: Floats, start: Indices, end: Indices) -> Floats:
    """Sum of squares of ``y`` that a line from each ``start`` to its ``end``, level before and after, explains.

    Projections onto the shape of the line, 0 before and 1 after, from cumulative sums: one pass for all of them.
    """
    n, length = y.size, end - start
    centred = y - y.sum() / n
    sums = np.zeros((2, n + 1))
    np.cumsum([centred, np.arange(n) * centred], axis=1, out=sums[:, 1:])
    along = sums[:, end] - sums[:, start]
    product = (along[1] - start * along[0]) / length - sums[0, end]  # the sum up to n is zero
    total, squares = n - end + (length - 1) / 2.0, n - end + (length - 1) * (2 * length - 1) / (6.0 * length)
    explained: Floats = product**2 / (squares - total**2 / n)
    return explained


def _squares(y: Floats) -> float:
    centred = y - y.sum() / y.size
    return float(centred @ centred)


def worth_of_jump(x: Floats, values: Floats, place: int, ramp: tuple[int, int]) -> float:
    """How many parameters it is worth, by the same criterion, to let the level of ``values`` at ``x`` (ascending, shape
    (n,)) jump at index ``place`` between two lines, instead of lines that meet there, or of the ``ramp`` (indices of its
    start and end, which may lie beside ``values``), whichever fits better. A jump costs two, its size and the place, or one
    where the place is known. Growth that is cut into levels has none; 0, too, for a jump against the change of the level."""
    n, x = values.size, x - (x[place - 1] + x[place]) / 2.0
    parts = slice(0, place), slice(place, n)
    residuals = np.concatenate([_line(x[part], values[part])[2] for part in parts])
    bound = 3.0 * mad_sigma(residuals)
    if bound > 0:
        values = values - residuals + np.clip(residuals, -bound, bound)
    (old, apart, left), (new, further, right) = (_line(x[part], values[part]) for part in parts)
    jump, squares = new - old, max(float(left @ left + right @ right), 1e-300)
    if jump * (array_median(values[place:]) - array_median(values[:place])) <= 0.0:
        return 0.0
    start, end = ramp
    gradual = _line(np.clip(np.arange(n, dtype=np.float64), start, end), values)[2]
    joined = squares + jump**2 / (apart + further)
    return n * math.log(max(1.0, min(joined, float(gradual @ gradual)) / squares)) / math.log(n)


def size_of_ramp(values: Floats, start: int, end: int) -> tuple[float, float, Floats]:
    """By how much the level of ``values`` (shape (n,)) differs after a ramp from index ``start`` to ``end``: least squares
    of the whole line, with its standard error for independent values, and what is left. Residuals are clipped as above."""
    shape = np.clip((np.arange(values.size, dtype=np.float64) - start) / (end - start), 0.0, 1.0)
    away = shape - shape.mean()
    across = float(away @ away)
    residuals = values - values.mean() - float(away @ values) / across * away
    bound = 3.0 * mad_sigma(residuals)
    y = values - residuals + np.clip(residuals, -bound, bound) if bound > 0 else values
    size = float(away @ y) / across
    left = y - y.mean() - size * away
    return size, math.sqrt(float(left @ left) / max(1, values.size - 2) / across), left


def ramp_p_value(z: float, n: int) -> float:
    """Probability that the clearest ramp of n independent values without change has at least ``z`` standard errors."""
    return min(1.0, 2.0 * INDEPENDENT_SHAPES * student_tail(abs(z), n - 2.0))


def _line(x: Floats, y: Floats) -> tuple[float, float, Floats]:
    """Least squares: the line's level at 0, its variance in units of that of a value, and the residuals."""
    middle, level = float(x.mean()), float(y.mean())
    away = x - middle
    across = float(away @ away)
    slope = float(away @ y) / across if across > 0.0 else 0.0
    variance = 1.0 / y.size + (middle**2 / across if across > 0.0 else 0.0)
    return level - slope * middle, variance, y - level - slope * away


def goes_on(x: Floats, values: Floats, slope: float) -> bool:
    """Whether ``values`` at ``x`` (ascending, shape (n,)) grow all along by ``slope`` (per unit of ``x``), instead of by one
    step or until some place only, by the same criterion, and their newest third does not fall. Steps of the size
    of the noise are too small to be change points, and tilt a line; growth that has ended is still most of a long window."""
    n = values.size
    line = slope * (x - array_median(x))
    residuals = values - line - array_median(values - line)
    bound = 3.0 * mad_sigma(residuals)
    if n < 2 * MIN_LENGTH or bound <= 0:
        return True
    y = line + np.clip(residuals, -bound, bound)
    x, y = x - x.mean(), y - y.mean()
    place = np.arange(MIN_LENGTH, n - MIN_LENGTH + 1)
    before = np.cumsum(y)[place - 1]
    total = float(y @ y)
    straight = total - float(x @ y) ** 2 / float(x @ x)
    stepped = total - float(np.max(before**2 * n / (place * (n - place))))
    ended = total - _ended(x, y)
    fits = [n * math.log(max(squares, 1e-300)) for squares in (straight, stepped, ended)]
    fits = [
        fit + p * math.log(n) for fit, p in zip(fits, (LINE_PARAMETERS, STEP_PARAMETERS, END_PARAMETERS), strict=True)
    ]
    newest = x >= x[-1] - _NEWEST * (x[-1] - x[0])
    rises = float((x[newest] - x[newest].mean()) @ y[newest]) >= 0.0
    return rises and fits[0] <= min(fits)


def _ended(x: Floats, y: Floats) -> float:
    """Sum of squares of ``y`` (mean 0) that growth until a place, and the level since then, explains at best."""
    n = y.size
    ends = np.unique(np.linspace(MIN_LENGTH, n - MIN_LENGTH, min(n, PLACES)).round()).astype(np.intp)
    shapes = np.minimum(x, x[ends][:, None])
    shapes = shapes - shapes.mean(axis=1, keepdims=True)
    squares = np.square(shapes).sum(axis=1)
    some = squares > 0.0  # no growth among runs at one time
    return float(np.max((shapes[some] @ y) ** 2 / squares[some], initial=0.0))
