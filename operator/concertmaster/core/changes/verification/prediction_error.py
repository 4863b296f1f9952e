"""Inputs of a prediction besides its rule: the cost of which a saving is a share, and the precision of measurement."""

from __future__ import annotations

import math
from collections.abc import Sequence

from concertmaster.core import arrays as np
from concertmaster.core.analysis.steps.step import StepAnalysis
from concertmaster.core.analysis.usage import ContainerUsage
from concertmaster.core.analysis.workflow import Analysis
from concertmaster.core.changes.verification.before_after import BASELINE, BeforeAfter, comparable, good
from concertmaster.core.changes.verification.power import spread
from concertmaster.core.model import RunRecord
from concertmaster.core.reserved import reservation
from concertmaster.core.stats.comparison import MIN_RUNS
from concertmaster.core.stats.quantiles import Z90, student_quantile
from concertmaster.core.units import HOUR

LATER_RUNS = 10  # an effect is usually measured over 5 to 20 runs
# Prior standard deviation of the drift of log run times per run that input size does not explain: a tenth over 60 runs. An
# assumption; the runs' own slope dominates once it is more precise.
DRIFT = 0.0015


def reserved_per_month(analysis: Analysis) -> float | None:
    """Monthly cost of the workflow's requests in currency units: the basis of ``Cheaper`` changes. None without a run rate.

    Current requests times how long pods held them. Mean costs of runs would be too low where metrics lack the requests of
    some runs, and the predicted share too large.
    """
    rate = analysis.cost.runs_per_month
    if rate is None:
        return None
    per_run = 0.0
    for step in analysis.steps:
        for container in step.containers:
            price = step.pricing.hour(container.cpu_request, container.memory_request, container.gpu_request)
            per_run += price * _held(analysis, container) / HOUR * analysis.presence(step, container)
        for first in step.inits[:1]:  # what a pod keeps for the largest of them
            per_run += _kept_for_inits(step) * _held(analysis, first) / HOUR * analysis.presence(step, first)
    return per_run * rate or None


def _held(analysis: Analysis, container: ContainerUsage) -> float:
    """Mean seconds for which the pods of a present run hold what ``container`` requests."""
    _, held = analysis.held(container)
    return math.fsum(held) / max(1, len(held))


def _kept_for_inits(step: StepAnalysis) -> float:
    """The price per hour of what a pod reserves for its init containers beyond what the others request."""
    rows = (*step.containers, *step.inits)
    cores = reservation((c.name, c.init, c.cpu_request) for c in rows).kept
    memory = reservation((c.name, c.init, c.memory_request) for c in rows).kept
    return step.pricing.hour(cores, memory, None)


def effect_error(runs: Sequence[RunRecord]) -> float:
    """Standard error with which LATER_RUNS more runs will measure a relative effect on run time; 0 with too few runs.

    Three parts: noise at equal input size of past and future runs; its own estimation error (Student's quantile for a
    normal one); and drift, where input size does not explain it. The drift has a normal prior with DRIFT, and the slope of
    the runs over their order as its likelihood.
    """
    sizes = comparable(BeforeAfter(tuple(runs), ()))
    rows = [r for r in good(runs) if r.makespan][-BASELINE:]
    n = len(rows)
    if n < MIN_RUNS:
        return 0.0
    noise = spread([r.makespan or 0.0 for r in rows], [sizes[r.run] for r in rows])
    wider = student_quantile(0.95, max(1, n - 2)) / Z90
    error = noise * wider * math.sqrt(1.0 / n + 1.0 / LATER_RUNS)
    if any(e.input_size for r in rows for e in r.steps):
        return error
    y = np.log([r.makespan or 0.0 for r in rows])
    order = np.arange(n) - (n - 1) / 2.0
    across = float(order @ order)
    slope, variance = float(order @ y) / across, noise**2 / across
    known = DRIFT**2 / (DRIFT**2 + variance)
    drift = math.sqrt((known * slope) ** 2 + known * variance)
    return math.hypot(error, drift * (n + LATER_RUNS) / 2.0)
