"""Engine overhead on top of the work, estimated from other runs.

Schedulers poll, controllers rate-limit, nodes pull images and stage data: real runs take several times as long as a
schedule of their tasks alone. Where start times are known the replay keeps these gaps; where they are not, they are
estimated here from the makespans of other runs, in two layers:

1. overhead = a + b x levels + c x tasks with a, b, c >= 0: a start-up, a latency per level of the graph, a submission
   rate. Fitted robustly to the workflow's own runs; other workflows of the engine together count as one more run, so
   that they dominate when there are few runs and fade when there are many;
2. a smooth correction of that, per workflow, as a function of tasks, scheduled time and machines.

A new workflow gets the overhead of its engine, a new engine the plain schedule.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from concertmaster.core import arrays as np
from concertmaster.core.analysis.graph import MAX_SECONDS, MIN_SECONDS
from concertmaster.core.analysis.replay.smooth import smooth
from concertmaster.core.analysis.replay.work import Work, depth, list_schedule
from concertmaster.core.model import Interval
from concertmaster.core.stats.quantiles import Z90, student_quantile

FITTED_LEVEL = 0.3  # prior spread (log) after the fit has set the level: the error of its form
UNSEEN_LEVEL = 1.0  # workflows of one engine differ by up to a factor of e
MIN_DEGREES_OF_FREEDOM = 2  # degrees of freedom; with fewer an interval would be meaningless


@dataclass(frozen=True, slots=True)
class RunShape:
    """The properties of a run that its overhead depends on. ``scheduled``: seconds of the plain list schedule."""

    workflow: str
    engine: str
    tasks: int
    depth: int
    machines: int
    scheduled: float
    makespan: float


def shape(work: Work, durations: Sequence[float] | None = None) -> RunShape:
    """Shape of ``work``; ``durations`` (s) replace its own if given."""
    return RunShape(
        work.workflow,
        work.engine,
        len(work.steps),
        depth(work.parents),
        max(1, work.machines),
        list_schedule(work.durations if durations is None else durations, work.parents, work.slots),
        work.makespan,
    )


def predict(target: RunShape, others: Sequence[RunShape]) -> Interval | None:
    """Makespan of ``target`` in seconds, with a 90% interval, from its shape and from ``others``, runs of the same and other
    workflows; None where nothing is known."""
    if not 0.0 <= target.scheduled < MAX_SECONDS or target.tasks < 1:
        return None  # the graph has a cycle, no tasks, or durations beyond reason
    known = [o for o in others if _usable(o)]
    peers = [o for o in known if o.engine == target.engine]
    own = [o for o in peers if o.workflow == target.workflow]
    terms = overhead_terms(peers, target.workflow)
    prior = _prior(target, terms)
    if prior <= 0.0:
        return None  # no task has a known duration
    own = [o for o in own if _prior(o, terms) > 0.0]
    ratios = [math.log(o.makespan / _prior(o, terms)) for o in own]
    fit = smooth([_features(o) for o in own], ratios, _features(target), FITTED_LEVEL if own else UNSEEN_LEVEL)
    return interval(math.log(prior) + fit.mean, fit.deviation, len(own))


def interval(mean: float, deviation: float, runs: int, observed: int = 1) -> Interval | None:
    """The makespan of one new run (s) with a 90% interval, from ``mean`` and ``deviation`` of its logarithm, estimated from
    ``runs`` runs; None where it is beyond reason.

    The 90% quantile is Student's when the spread is estimated from a few runs, and normal when it is the prior's.
    ``observed``: parameters (a level, slopes) estimated from the same runs, each of which costs a degree of freedom.
    """
    quantile = student_quantile(0.95, float(max(MIN_DEGREES_OF_FREEDOM, runs - observed))) if runs else Z90
    if not math.isfinite(mean) or abs(mean) + quantile * deviation > 600.0:  # exp() overflows near 709
        return None
    apart = math.exp(quantile * deviation)
    return Interval(math.exp(mean) / apart, math.exp(mean), math.exp(mean) * apart)


def overhead_terms(runs: Sequence[RunShape], workflow: str) -> tuple[float, float, float]:
    """Seconds per run, per level and per task that an engine adds to the plain schedule of ``workflow``.

    Least relative absolute deviation by iterative reweighting, non-negative; zeros without runs. The runs of all other
    workflows together weigh as much as one run of ``workflow``, each of these workflows equally.
    """
    runs = [r for r in runs if _usable(r)]
    if not runs:
        return (0.0, 0.0, 0.0)
    sizes = Counter(r.workflow for r in runs)
    foreign = len(sizes.keys() - {workflow})
    features = np.array([[1.0, r.depth, r.tasks] for r in runs])
    makespans = np.array([r.makespan for r in runs])
    extra = makespans - np.array([r.scheduled for r in runs])
    fair = np.array([1.0 if r.workflow == workflow else 1.0 / (foreign * sizes[r.workflow]) for r in runs])
    scale = features.max(axis=0)
    weights = np.sqrt(fair) / makespans
    terms = np.zeros(3)
    for _ in range(15):
        terms = non_negative_fit(features / scale * weights[:, None], extra * weights)
        off = np.abs(features / scale @ terms - extra) / makespans
        weights = np.sqrt(fair) / makespans / np.sqrt(np.maximum(off, 0.02))  # errors below 2% are treated alike
    a, b, c = terms / scale
    return float(a), float(b), float(c)


def non_negative_fit(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Least squares of a x = b with x >= 0 for a few columns: drops the most negative column until none is negative."""
    columns = list(range(a.shape[1]))
    out = np.zeros(a.shape[1])
    while columns:
        solution = np.linalg.lstsq(a[:, columns], b, rcond=None)[0]
        if solution.min() >= 0.0:
            out[columns] = solution
            break
        columns.pop(int(solution.argmin()))
    return out


def _usable(run: RunShape) -> bool:
    return run.tasks > 0 and 0.0 <= run.scheduled < MAX_SECONDS and MIN_SECONDS < run.makespan < MAX_SECONDS


def _prior(run: RunShape, terms: tuple[float, float, float]) -> float:
    return run.scheduled + terms[0] + terms[1] * run.depth + terms[2] * run.tasks


def _features(run: RunShape) -> tuple[float, float, float]:
    return math.log(run.tasks), math.log(run.scheduled + 1.0), math.log(run.machines)
