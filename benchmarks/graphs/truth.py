"""The true effect of a fix: fresh runs with the same random events, with the problem and without it."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean

from benchmarks.graphs.law import Flow
from benchmarks.graphs.plant import FAILURES, MINUTES, MONEY, Plant
from benchmarks.graphs.simulation import fresh, starts
from concertmaster.core.fleet.materiality import MIN_MONEY_SHARE
from concertmaster.core.model import Recommendation
from concertmaster.core.model.policy import Materiality

# Fresh runs of either workflow: at least so many, and a multiple of those that were read, so that their own error is small
# beside that of the prediction.
LEAST, TIMES = 800, 10


@dataclass(frozen=True, slots=True)
class Worth:
    """Effect per month: minutes of run time, failed runs, money; and its shares of the makespan and of the cost."""

    run_minutes: float = 0.0
    failed_runs: float = 0.0
    money: float = 0.0
    run_share: float = 0.0
    cost_share: float = 0.0

    def of(self, measure: str) -> float:
        """The effect in that measure."""
        return {MINUTES: self.run_minutes, FAILURES: self.failed_runs, MONEY: self.money}[measure]

    def material(self, measure: str, least: Materiality) -> bool:
        """Whether it is worth a recommendation by the thresholds of this measure."""
        if measure == MINUTES:
            return self.run_minutes >= least.run_minutes and self.run_share >= least.run_share
        if measure == MONEY:
            enough = self.cost_share >= least.cost_share and self.money >= MIN_MONEY_SHARE * least.money
            return self.money >= least.money or enough
        return self.failed_runs >= least.failed_runs


def worth(plant: Plant, followed: Recommendation | None = None, runs: int | None = None) -> Worth:
    """Effect of the fix, or (where it depends on that) of exactly what is recommended. ``runs``: fresh runs of either
    workflow (None: enough)."""
    if plant.amount is not None:
        return Worth(failed_runs=plant.amount)
    fixed = plant.fixed
    if followed is not None and plant.remedy is not None:
        fixed = plant.remedy(plant.flow, followed)
    enough = max(LEAST, TIMES * len(starts(plant.flow)))
    return difference(plant.flow, fixed, enough if runs is None else runs)


def difference(bad: Flow, good: Flow, runs: int) -> Worth:
    """Effect of the difference between two workflows. Run time is compared where both runs succeed."""
    before, after = fresh(bad, runs), fresh(good, runs)
    rate = bad.runs_per_month
    both = [(b, g) for b, g in zip(before, after, strict=True) if not b.failed and not g.failed]
    saved = fmean(b.makespan - g.makespan for b, g in both) if both else 0.0
    now = fmean(b.makespan for b, _ in both) if both else 1.0
    avoided = fmean(b.failed - g.failed for b, g in zip(before, after, strict=True))
    costs = [fmean(run.cost for run in of) for of in (before, after)]
    return Worth(
        saved * rate / 60.0, avoided * rate, (costs[0] - costs[1]) * rate, saved / now, 1.0 - costs[1] / costs[0]
    )
