"""Run time of a step over its number of workers, out of few points, and the number of workers that pays.

The model is Ernest's (Venkataraman et al., NSDI 2016): T(n) = fixed + work / n + tree * log n + chatter * n, all terms at
least zero: what does not scale, what does, aggregation, and coordination that grows with every worker.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ScaleOut:
    """Fitted run time over workers: weights of (1, 1 / n, log n, n) in seconds, all at least zero."""

    fixed: float
    work: float
    tree: float
    chatter: float
    enough: bool
    reason: str
    count: int = 0

    def seconds(self, workers: Sequence[float] | Floats | float) -> Floats:
        """Run time (s) for each number of workers, same shape; NaN without a model or below one worker."""
        n = np.asarray(workers, dtype=np.float64)
        safe = np.where(n >= 1.0, n, np.nan)
        return np.asarray(
            self.fixed + self.work / safe + self.tree * np.log(safe) + self.chatter * safe, dtype=np.float64
        )


@dataclass(frozen=True, slots=True)
class WorkerAdvice:
    """Proposed number of workers with its run time (s) and cost (worker-seconds)."""

    workers: int | None
    enough: bool
    reason: str
    seconds: float | None = None
    worker_seconds: float | None = None


def fit_scaleout(workers: Sequence[float] | Floats, seconds: Sequence[float] | Floats) -> ScaleOut:
    """Model out of (workers, run time in s) pairs, repeats allowed; two numbers of workers are enough. Never raises."""
    n = np.asarray(workers, dtype=np.float64).ravel()
    t = np.asarray(seconds, dtype=np.float64).ravel()
    if n.size != t.size:
        return ScaleOut(np.nan, 0.0, 0.0, 0.0, False, "workers and seconds have different lengths")
    good = np.isfinite(n) & np.isfinite(t) & (n >= 1.0) & (t > 0.0)
    n, t = n[good], t[good]
    if np.unique(n).size < 2:
        level = float(np.median(t)) if t.size else float("nan")
        return ScaleOut(
            level, 0.0, 0.0, 0.0, False, "run times for at least two numbers of workers are needed", int(t.size)
        )
    design = np.stack([np.ones_like(n), 1.0 / n, np.log(n), n], axis=1) / t[:, None]
    w = _non_negative(design, np.ones_like(t))
    fixed, work, tree, chatter = (float(v) for v in w)
    reason = f"{t.size} runs at {np.unique(n).size} numbers of workers"
    return ScaleOut(fixed, work, tree, chatter, True, reason, int(t.size))


def recommend_workers(
    model: ScaleOut, candidates: Sequence[int], deadline: float | None = None, tolerance: float = 0.02
) -> WorkerAdvice:
    """Cheapest number of workers within ``deadline`` (s); without one the smallest within ``tolerance`` of the fastest."""
    n = np.array(sorted({int(c) for c in candidates if c >= 1}), dtype=np.float64)
    if not n.size or not model.enough:
        return WorkerAdvice(None, False, model.reason if n.size else "no number of workers to choose from")
    t = model.seconds(n)
    if deadline is not None:
        meets = t <= deadline
        best = int(np.argmin(np.where(meets, n * t, np.inf))) if meets.any() else int(np.argmin(t))
        reason = "cheapest within the deadline" if meets.any() else "no candidate meets the deadline; the fastest one"
    else:
        best = int(np.flatnonzero(t <= t.min() * (1.0 + tolerance))[0])
        reason = f"smallest within {tolerance:.0%} of the fastest"
    return WorkerAdvice(int(n[best]), True, reason, float(t[best]), float(n[best] * t[best]))


def _non_negative(design: Floats, target: Floats) -> Floats:
    """Least squares with weights >= 0: the best of all subsets of the four columns whose free solution is non-negative."""
    columns = design.shape[1]
    best, best_error = np.zeros(columns), float(target @ target)
    for mask in range(1, 2**columns):
        chosen = [c for c in range(columns) if mask >> c & 1]
        if len(chosen) > target.size:
            continue
        part = np.linalg.lstsq(design[:, chosen], target, rcond=None)[0]
        if (part < 0.0).any():
            continue
        error = float(((design[:, chosen] @ part - target) ** 2).sum())
        if error < best_error * (1.0 - 1e-9):
            best_error = error
            best = np.zeros(columns)
            best[chosen] = part
    return best
