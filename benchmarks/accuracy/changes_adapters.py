"""Change detection, verification and degraded runs for the scorers: the product's functions with default settings."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from concertmaster.core.analysis.degraded_runs import find_degraded
from concertmaster.core.changepoint import detect
from concertmaster.core.model.enums import Verdict
from concertmaster.core.stats.comparison import compare

WORDS = {Verdict.IMPROVED: "better", Verdict.WORSE: "worse", Verdict.SAME: "same", Verdict.INCONCLUSIVE: "same"}


def detect_changes(values: list[float]) -> list[int]:
    """First index of each new level, 0 < i < n."""
    return [point.index for point in detect(None, values).points]


def verify_change(before: list[list[float]], after: list[list[float]]) -> dict[str, float | str]:
    """Verdict, ratio and interval. ``before`` and ``after`` are rows of [input bytes, run time in seconds]."""
    result = compare(
        [row[1] for row in before],
        [row[1] for row in after],
        inputs_before=[row[0] for row in before],
        inputs_after=[row[0] for row in after],
    )
    return {"verdict": WORDS[result.verdict], "ratio": result.ratio, "low": result.low, "high": result.high}


def degraded(steps: list[str], rows: NDArray[np.float64]) -> dict[str, list[int] | list[str]]:
    """Degraded runs and steps. Column 0 of ``rows`` is the total, the others are the steps (milliseconds)."""
    seconds = rows / 1000.0
    found = find_degraded(steps, seconds[:, 1:], seconds[:, 0])
    runs = {run for problem in found for run in problem.runs}
    return {"rows": sorted(runs), "steps": list(dict.fromkeys(step for problem in found for step in problem.steps))}
