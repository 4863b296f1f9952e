"""Earlier runs adjusted to the input size of the run in progress.

For each step, past runs show how its duration grows with input size: the exponent of a power law, clamped between 0 (no
dependence) and 2. Every step of an earlier run is scaled accordingly and later steps are shifted. A step with too few runs,
or whose duration depends little on the size, is left unchanged.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from concertmaster.core import arrays as np
from concertmaster.core.analysis.running.timeline import RUN, Progress, Timeline, before
from concertmaster.core.stats.least_squares import slope

MIN_RUNS = 8
MIN_SPREAD = math.log(1.25)  # of log sizes, 10th to 90th percentile
MIN_EXPONENT_Z = 3.0  # least distance of the exponent from 0, in standard errors
MIN_EXPONENT = 0.1  # least exponent that is used
MAX_EXPONENT = 2.0
MAX_STRETCH = 50.0


def adjusted(at: Progress, earlier: Sequence[Timeline], after: Mapping[str, Sequence[str]] | None) -> list[Timeline]:
    """The earlier runs with durations scaled to the current sizes. ``after``: what each step waits for, where known."""
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
    """Exponent of the growth of durations (s) with sizes; 0 when it cannot be estimated."""
    if len(sizes) < MIN_RUNS:
        return 0.0
    x, y = np.log(sizes), np.log(seconds)
    low, high = np.quantile(x, [0.1, 0.9])
    if high - low < MIN_SPREAD:
        return 0.0
    found = slope(x, y)
    return min(MAX_EXPONENT, found.value) if found.value > max(MIN_EXPONENT, MIN_EXPONENT_Z * found.error) else 0.0


def _factors(now: float | None, sizes: Sequence[float | None], seconds: Sequence[float]) -> list[float]:
    """Scaling factor of the duration for each run."""
    if now is None or not now > 0.0:
        return [1.0] * len(sizes)
    pairs = [(x, y) for x, y in zip(sizes, seconds, strict=True) if x is not None and x > 0.0 and y > 0.0]
    power = exponent([x for x, _ in pairs], [y for _, y in pairs])
    most, own = math.log(MAX_STRETCH), math.log(now)

    def factor(size: float | None) -> float:
        if size is None or not size > 0.0:
            return 1.0
        return math.exp(min(most, max(-most, power * (own - math.log(size)))))

    return [factor(x) for x in sizes]


def _stretched(
    timeline: Timeline, factors: Mapping[str, float], whole: float, after: Mapping[str, Sequence[str]] | None
) -> Timeline:
    """The run with its steps scaled; the pauses before dependent steps are unchanged."""
    if not timeline.ended:
        return replace(timeline, seconds=timeline.seconds * whole)
    if all(factors[s] == 1.0 for s in timeline.ended):
        return timeline
    began, ended = dict(timeline.began), dict[str, float]()
    for step in sorted(timeline.began, key=timeline.began.__getitem__):
        if step not in timeline.ended:
            continue
        waited = before(step, timeline, after)
        pause = timeline.began[step] - max((timeline.ended[s] for s in waited), default=0.0)
        began[step] = max((ended[s] for s in waited if s in ended), default=0.0) + pause
        ended[step] = began[step] + (timeline.ended[step] - timeline.began[step]) * factors[step]
    rest = timeline.seconds - max(timeline.ended.values())
    return replace(timeline, seconds=max(ended.values()) + rest, began=began, ended=ended)
