"""Earlier runs as they would have gone on the input of the run in progress.

For each step the past says how its duration grows with the size of the input: the exponent of a power law through the runs,
between none (the size tells nothing) and twice as steep as the size. Every step of an earlier run is stretched accordingly,
and what follows moves along. A step without enough runs, or of which the size explains little, stays as it was.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from concertmaster.core.analysis.running.course import RUN, Course, Progress, before

LEAST_RUNS = 8
LEAST_SPREAD = math.log(1.25)  # of the sizes' logarithms, from the 10th to the 90th percentile
CERTAIN = 3.0  # standard errors that the exponent is away from none
FLATTEST = 0.1
STEEPEST = 2.0
MOST_STRETCHED = 50.0


def adjusted(at: Progress, earlier: Sequence[Course], after: Mapping[str, Sequence[str]] | None) -> list[Course]:
    """The earlier runs with their durations at the present sizes. ``after``: what each step waits for, where known."""
    if not at.inputs:
        return list(earlier)
    factors: dict[str, list[float]] = {}
    for step in dict.fromkeys(s for c in earlier for s in c.ended):
        key = step if step in at.inputs else RUN
        lasted = [c.ended[step] - c.began[step] if step in c.ended else math.nan for c in earlier]
        factors[step] = _factors(at.inputs.get(key), [c.inputs.get(key) for c in earlier], lasted)
    whole = _factors(at.inputs.get(RUN), [c.inputs.get(RUN) for c in earlier], [c.seconds for c in earlier])
    return [_stretched(c, {s: f[n] for s, f in factors.items()}, whole[n], after) for n, c in enumerate(earlier)]


def exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """How durations grow with sizes, as a power; 0 where that cannot be known."""
    if len(sizes) < LEAST_RUNS:
        return 0.0
    x, y = np.log(sizes), np.log(seconds)
    low, high = np.quantile(x, [0.1, 0.9])
    if high - low < LEAST_SPREAD:
        return 0.0
    deviation = x - x.mean()
    square = float(deviation @ deviation)
    slope = float(deviation @ y) / square
    rest = y - y.mean() - slope * deviation
    error = math.sqrt(float(rest @ rest) / (len(x) - 2) / square)
    return min(STEEPEST, slope) if slope > max(FLATTEST, CERTAIN * error) else 0.0


def _factors(now: float | None, sizes: Sequence[float | None], seconds: Sequence[float]) -> list[float]:
    """By how much each run would have taken longer."""
    if now is None or not now > 0.0:
        return [1.0] * len(sizes)
    pairs = [(x, y) for x, y in zip(sizes, seconds, strict=True) if x is not None and x > 0.0 and y > 0.0]
    power = exponent([x for x, _ in pairs], [y for _, y in pairs])
    most, own = math.log(MOST_STRETCHED), math.log(now)

    def factor(size: float | None) -> float:
        if size is None or not size > 0.0:
            return 1.0
        return math.exp(min(most, max(-most, power * (own - math.log(size)))))

    return [factor(x) for x in sizes]


def _stretched(
    course: Course, factors: Mapping[str, float], whole: float, after: Mapping[str, Sequence[str]] | None
) -> Course:
    """The run with its steps stretched; what waited for them, and their successors' pauses, as before."""
    if not course.ended:
        return replace(course, seconds=course.seconds * whole)
    if all(factors[s] == 1.0 for s in course.ended):
        return course
    began, ended = dict(course.began), dict[str, float]()
    for step in sorted(course.began, key=course.began.__getitem__):
        if step not in course.ended:
            continue
        waited = before(step, course, after)
        pause = course.began[step] - max((course.ended[s] for s in waited), default=0.0)
        began[step] = max((ended[s] for s in waited if s in ended), default=0.0) + pause
        ended[step] = began[step] + (course.ended[step] - course.began[step]) * factors[step]
    rest = course.seconds - max(course.ended.values())
    return replace(course, seconds=max(ended.values()) + rest, began=began, ended=ended)
