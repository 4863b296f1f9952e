"""What a promise rests on besides its rule: the cost a saving is a share of, and how exactly later runs will show it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from concertmaster.core.analysis.workflow import Analysis
from concertmaster.core.changes.before_after import BASELINE, BeforeAfter, comparable, good
from concertmaster.core.changes.power import spread
from concertmaster.core.model import RunRecord
from concertmaster.core.stats.comparison import MIN_RUNS
from concertmaster.core.stats.quantiles import student_quantile

LATER_RUNS = 10  # an effect is mostly read off after 5 to 20 runs
# Growth of run times per run that no input size tells of, standard deviation: a tenth over 60 runs. An assumption; what the
# runs themselves say of it counts as soon as they say it more exactly.
DRIFT = 0.0015
_Z = 1.645  # quantile with which the error is multiplied later
_HOUR = 3600.0


def reserved_per_month(analysis: Analysis) -> float | None:
    """What the requests of a month of the workflow cost: the measure of ``Cheaper`` changes. None without a rate of runs.

    Requests as they are now times how long pods held them. Mean costs of runs would be too low where the metrics lack the
    requests of some runs, and the promised share too large.
    """
    rate = analysis.cost.runs_per_month
    if rate is None:
        return None
    per_run = 0.0
    for step in analysis.steps:
        for container in step.containers:
            price = step.pricing.hour(container.cpu_request, container.memory_request, container.gpu_request)
            held = math.fsum(r.reserved_seconds for r in container.runs) / max(1, len(container.runs))
            per_run += price * held / _HOUR * analysis.presence(step, container)
    return per_run * rate or None


def effect_error(runs: Sequence[RunRecord]) -> float:
    """Standard error with which LATER_RUNS more runs will show a relative effect on the run time, 0 with too few runs.

    Three parts: the noise at equal input size of the runs seen and to come; that it is itself only estimated (Student's
    quantile for a normal one); and drift, where no input size tells of it. The drift's prior is normal with DRIFT, the runs'
    slope over their order is its likelihood.
    """
    sizes = comparable(BeforeAfter(tuple(runs), ()))
    rows = [r for r in good(runs) if r.makespan][-BASELINE:]
    n = len(rows)
    if n < MIN_RUNS:
        return 0.0
    noise = spread([r.makespan or 0.0 for r in rows], [sizes[r.run] for r in rows])
    wider = student_quantile(0.95, max(1, n - 2)) / _Z
    error = noise * wider * math.sqrt(1.0 / n + 1.0 / LATER_RUNS)
    if any(e.input_size for r in rows for e in r.steps):
        return error
    y = np.log([r.makespan or 0.0 for r in rows])
    order = np.arange(n) - (n - 1) / 2.0
    across = float(order @ order)
    slope, variance = float(order @ y) / across, max(noise**2 / across, 1e-12)
    known = DRIFT**2 / (DRIFT**2 + variance)
    drift = math.sqrt((known * slope) ** 2 + known * variance)
    return math.hypot(error, drift * (n + LATER_RUNS) / 2.0)
