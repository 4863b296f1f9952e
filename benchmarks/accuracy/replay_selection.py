"""Share of the measured replay and forecast error that is due to choosing the settings on the runs they are scored on.

usage: python -m benchmarks.accuracy.replay_selection RUNS.jsonl.gz

Every run is predicted from all others (leave one out), with every variant of the settings. Printed per task: the
shipped settings; the best variant, chosen on the runs it is scored on; the median variant; and the nested score, where
the variant for each workflow family is chosen on the other families alone. The last one is free of selection bias among
these variants; the form of the model itself was developed on the same runs, so it is still optimistic.
"""

from __future__ import annotations

import gzip
import itertools
import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from benchmarks.accuracy.replay_adapters import as_work
from concertmaster.core.analysis.replay import forecast as forecasting
from concertmaster.core.analysis.replay import overhead, smooth
from concertmaster.core.analysis.replay.overhead import RunShape, shape
from concertmaster.core.analysis.replay.work import Work
from concertmaster.core.model import Interval

REPLAY_FEATURES: dict[str, Callable[[RunShape], tuple[float, ...]]] = {
    "tasks, time": lambda s: (math.log(s.tasks), math.log(s.scheduled + 1.0)),
    "tasks, time, machines": overhead._features,
    "tasks, machines": lambda s: (math.log(s.tasks), math.log(s.machines)),
}
shipped_features = forecasting._features  # variants replace this name in the module while they run
FORECAST_FEATURES: dict[str, Callable[[Work], tuple[float, ...]]] = {
    "tasks": lambda w: shipped_features(w)[:1],
    "tasks, machines": lambda w: shipped_features(w)[:2],
    "tasks, machines, input": shipped_features,
}
LEVELS, SLOPES, REACHES = (0.3, 1.0), (0.25, 0.5, 1.0), (0.5, 1.0, 2.0)
CURVES = ((0.0,), (0.15,), (0.3,), smooth.CURVES)


@contextmanager
def settings(
    level: float, slope: float, curves: Sequence[float], reach: float, features: Any, own_terms: bool
) -> Iterator[None]:
    """The product's functions with other settings; ``own_terms`` False: overhead terms per engine only."""
    terms = overhead.overhead_terms
    with (
        patch.multiple(smooth, SLOPE=slope, CURVES=curves, REACH=reach),
        patch.multiple(overhead, FITTED_LEVEL=level),
        patch.object(forecasting, "LEVEL", level),
        patch.object(overhead, "overhead_terms", terms if own_terms else lambda runs, _: terms(runs, "")),
        patch.object(overhead, "_features", features.get("replay", overhead._features)),
        patch.object(forecasting, "_features", features.get("forecast", forecasting._features)),
    ):
        yield


def errors(predict: Callable[[int], Interval | None], makespans: Sequence[float]) -> np.ndarray:
    """Absolute relative error of each run; 1 without a prediction."""
    out = np.ones(len(makespans))
    for i, makespan in enumerate(makespans):
        found = predict(i)
        if found is not None:
            out[i] = abs(found.likely / makespan - 1.0)
    return out


def summary(error: np.ndarray, family: np.ndarray) -> tuple[float, float, float]:
    """Median, median of family medians and 90th percentile, in percent."""
    medians = [float(np.median(error[family == name])) for name in np.unique(family)]
    return 100 * float(np.median(error)), 100 * float(np.median(medians)), 100 * float(np.percentile(error, 90))


def report(title: str, shipped: np.ndarray, variants: Sequence[np.ndarray], family: np.ndarray) -> None:
    """Print the four rows of one task."""

    def score(error: np.ndarray, rows: np.ndarray) -> float:
        return sum(summary(error[rows], family[rows])[:2])  # the two figures with targets

    everywhere = np.ones(len(family), dtype=bool)
    ranked = sorted(variants, key=lambda error: score(error, everywhere))
    nested = np.empty(len(family))
    for name in np.unique(family):
        here = family == name
        nested[here] = min(variants, key=lambda error: score(error, ~here))[here]
    print(f"{title}, {len(variants)} variants: median / family median / p90 of the absolute error, %")
    rows = {"shipped": shipped, "best": ranked[0], "middle": ranked[len(ranked) // 2], "nested": nested}
    for name, error in rows.items():
        print(f"  {name:8s} " + " / ".join(f"{value:.1f}" for value in summary(error, family)))


def main() -> None:
    """Score all variants on one file of runs."""
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    with gzip.open(Path(sys.argv[1]), "rt") as lines:
        works = [as_work(json.loads(line)) for line in lines]
    shapes = [shape(work) for work in works]
    blind = [replace(w, durations=[math.nan] * len(w.steps), makespan=math.nan) for w in works]
    family, makespans = np.array([w.workflow for w in works]), [w.makespan for w in works]

    def replayed(i: int) -> Interval | None:
        return overhead.predict(shapes[i], shapes[:i] + shapes[i + 1 :])

    def forecasted(i: int) -> Interval | None:
        return forecasting.forecast(blind[i], works[:i] + works[i + 1 :])

    grid = [g for g in itertools.product(LEVELS, SLOPES, CURVES, REACHES) if max(g[2]) > 0.0 or g[3] == 1.0]
    found = []
    for features, own_terms, values in itertools.product(REPLAY_FEATURES.values(), (True, False), grid):
        with settings(*values, {"replay": features}, own_terms):
            found.append(errors(replayed, makespans))
    report("replay", errors(replayed, makespans), found, family)
    found = []
    for chosen, values in itertools.product(FORECAST_FEATURES.values(), grid):
        with settings(*values, {"forecast": chosen}, True):
            found.append(errors(forecasted, makespans))
    report("forecast", errors(forecasted, makespans), found, family)


if __name__ == "__main__":
    main()
