"""What drives a step's time and memory: the size of its input, and the number of its pods.

Both relations are read off the observed runs. Input sizes are known where live objects or extra metrics tell them;
numbers of pods differ where a fan-out or a Job's parallelism was not always the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from concertmaster.core.model import Outcome, RunRecord, StepExecution
from concertmaster.core.stats.regression import fit_memory, fit_runtime
from concertmaster.core.stats.scaleout import WorkerRecommendation, fit_scaleout, recommend_workers

LEAST_RUNS = 8
# A choice between numbers of pods is worth a sentence from this much difference on.
LEAST_DIFFERENCE = 0.1


@dataclass(frozen=True, slots=True)
class InputEffect:
    """Run time (s) and peak memory (bytes) of a step at its usual and at its largest input (bytes). Memory is None where it
    does not follow the input."""

    step: str
    usual_input: float
    largest_input: float
    seconds: tuple[float, float]
    memory: tuple[float, float] | None
    executions: int


@dataclass(frozen=True, slots=True)
class WidthEffect:
    """Run time of a step over the number of its pods: ``measured`` numbers, and the one that pays."""

    step: str
    measured: tuple[int, ...]
    recommended: WorkerRecommendation
    usual_pods: int
    usual_seconds: float


def _rows(runs: Sequence[RunRecord], step: str) -> list[StepExecution]:
    return [e for r in runs for e in r.steps if e.step == step and e.outcome is Outcome.SUCCEEDED]


def input_effect(runs: Sequence[RunRecord], step: str) -> InputEffect | None:
    """How the step follows its input; None when it does not, or when too few inputs are known."""
    rows = [e for e in _rows(runs, step) if e.input_size is not None and e.duration is not None]
    if len(rows) < LEAST_RUNS:
        return None
    inputs = [e.input_size or 0.0 for e in rows]
    fit = fit_runtime(inputs, [e.duration or 0.0 for e in rows])
    if not fit.enough or not fit.explained:
        return None
    ends = [median(inputs), max(inputs)]
    seconds = fit.predict(ends)
    peaks = [
        (e.input_size or 0.0, max(m)) for e in rows if (m := [c.memory_peak for c in e.containers if c.memory_peak])
    ]
    memory = fit_memory([x for x, _ in peaks], [float(y) for _, y in peaks])
    sizes = memory.predict(ends) if memory.enough and memory.explained else None
    return InputEffect(
        step,
        ends[0],
        ends[1],
        (float(seconds[0]), float(seconds[1])),
        (float(sizes[0]), float(sizes[1])) if sizes is not None else None,
        len(rows),
    )


def width_effect(runs: Sequence[RunRecord], step: str) -> WidthEffect | None:
    """The number of pods that pays, when runs used different ones and it makes a difference; else None."""
    points: list[tuple[int, float]] = []
    for run in runs:
        rows = [e for e in _rows([run], step) if e.started is not None and e.finished is not None]
        if rows:
            points.append((len(rows), max(e.finished or 0.0 for e in rows) - min(e.started or 0.0 for e in rows)))
    widths = tuple(sorted({n for n, _ in points}))
    if len(points) < LEAST_RUNS or len(widths) < 2:
        return None
    model = fit_scaleout([float(n) for n, _ in points], [t for _, t in points])
    usual = round(median(n for n, _ in points))
    candidates = sorted({*widths, *(n for n in (2, 4, 8, 16, 32, 64) if n <= 2 * widths[-1])})
    recommended = recommend_workers(model, candidates)
    seconds = float(model.seconds([float(usual)])[0])
    if recommended.workers is None or recommended.seconds is None or not seconds > 0:
        return None
    if abs(recommended.seconds / seconds - 1) < LEAST_DIFFERENCE:
        return None
    return WidthEffect(step, widths, recommended, usual, seconds)
