"""Forecast of a run whose graph and input sizes are known and whose durations are not.

With a few runs of the same workflow the makespan is predicted directly from the shape of the run, because errors in
predicted step durations accumulate along the path and in the maximum over a fan-out. With fewer, durations of the same
steps elsewhere are scheduled and the engine's overhead is added.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from concertmaster.core import arrays as np
from concertmaster.core.analysis.graph import MAX_SECONDS, MIN_SECONDS
from concertmaster.core.analysis.replay.overhead import interval, predict, shape
from concertmaster.core.analysis.replay.smooth import smooth
from concertmaster.core.analysis.replay.work import Work
from concertmaster.core.model import Interval

MIN_RUNS = 3  # a line always fits two points; a trend needs three
LEVEL = 1.0  # prior standard deviation (log): the run may be e times smaller or larger than usual
TAIL = 0.05  # share of runs below and above a 90% interval
RANKED = 19  # runs of which the shortest and the longest enclose nine in ten further ones
STAGED_BYTES = 1e8  # transfers below 100 MB take about a second, less than the overhead of a task


def forecast(target: Work, others: Sequence[Work]) -> Interval | None:
    """Makespan (s) of ``target`` (durations unknown) with a 90% interval, from ``others``, finished runs of the same and
    other workflows; None where nothing is known."""
    if not target.steps:
        return None
    peers = [o for o in others if o.engine == target.engine and MIN_SECONDS < o.makespan < MAX_SECONDS]
    own = [o for o in peers if o.workflow == target.workflow and o.steps]
    if len(own) >= MIN_RUNS:
        logs = np.log([o.makespan for o in own])
        middle = float(np.median(logs))
        fit = smooth([_features(o) for o in own], (logs - middle).tolist(), _features(target), LEVEL)
        # Level and slopes are estimated from these runs alone; no overhead fit supports them.
        return interval(middle + fit.mean, fit.deviation, len(own), observed=1 + len(_features(target)))
    if not peers:
        return None
    return predict(shape(target, step_durations(target, own or peers)), [shape(o) for o in peers])


def one_more(makespans: Sequence[float]) -> Interval | None:
    """Makespan (s) of one more run, with a 90% interval, from those of at least ``MIN_RUNS`` others.

    Nothing is known of it in advance: which of its conditional steps it takes, how wide its fan-outs, how large its inputs
    are. The runs show how these vary, in two groups as well as around one value; only few runs are taken for log-normal.
    """
    n = len(makespans)
    if n < RANKED:
        logs = np.log(makespans)
        return interval(float(np.mean(logs)), float(np.std(logs, ddof=1)) * math.sqrt(1.0 + 1.0 / n), n)
    tail = (TAIL * (n + 1) - 1.0) / (n - 1)  # the k-th of n has a further one below it with probability k / (n + 1)
    low, likely, high = (float(v) for v in np.quantile(makespans, [tail, 0.5, 1.0 - tail]))
    return Interval(low, likely, high)


def step_durations(target: Work, others: Sequence[Work]) -> list[float]:
    """Expected seconds of each task: those of its step over ``others``, or the mean of all tasks for an unknown step.

    One task takes their mean; several are as unlike as theirs: if each took the mean, a fan-out would end with a usual task
    instead of its longest. Tasks of an unknown step are not: other steps are more unlike than the items of one.
    """
    seen: dict[str, list[float]] = {}
    for work in others:
        for step, duration in zip(work.steps, work.durations, strict=False):
            if math.isfinite(duration) and duration >= 0.0:
                seen.setdefault(step, []).append(duration)
    anything = [float(np.mean([d for values in seen.values() for d in values]))] if seen else [0.0]
    tasks: dict[str, list[int]] = {}
    for place, step in enumerate(target.steps):
        tasks.setdefault(step, []).append(place)
    expected = np.zeros(len(target.steps))
    for step, places in tasks.items():
        values, n = seen.get(step, anything), len(places)
        expected[places] = np.mean(values) if n == 1 else np.quantile(values, (np.arange(n) + 0.5) / n, method="hazen")
    found: list[float] = expected.tolist()
    return found


def _features(work: Work) -> tuple[float, float, float]:
    total = 0.0
    if any(size > 0.0 for size in work.inputs):  # most runs have no known input
        sizes = np.asarray(work.inputs, dtype=float)
        total = float(sizes[np.isfinite(sizes) & (sizes > 0.0)].sum())
    return math.log(len(work.steps)), math.log(max(1, work.machines)), math.log1p(total / STAGED_BYTES)
