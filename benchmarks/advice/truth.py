"""The true effect of a planted problem: the same random events, simulated with and without it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from benchmarks.advice.law import DAY, GI, NOW, WINDOW, Flow
from benchmarks.advice.manifests import Known, known
from benchmarks.advice.plant import Plant
from benchmarks.advice.simulation import play_all
from concertmaster.core.model import Outcome, RunRecord

_CORE_HOUR, _GIB_HOUR, _GPU_HOUR, _RUN_HOUR, _FAILED_RUN = 0.031, 0.004, 0.95, 2.5, 10.0


@dataclass(frozen=True, slots=True)
class Worth:
    """Amounts per month: minutes of run time, failed runs, money."""

    run_minutes: float = 0.0
    failed_runs: float = 0.0
    money: float = 0.0

    def value(self, measure: str) -> float:
        """Value on the scale of the ranking; only of the measure that the problem is about, if it names one."""
        parts = {
            "run_minutes": self.run_minutes / 60.0 * _RUN_HOUR,
            "failed_runs": self.failed_runs * _FAILED_RUN,
            "money": self.money,
        }
        return parts[measure] if measure else 0.0


def runs_of(flow: Flow, span: float = WINDOW, until: float = NOW) -> tuple[Known, list[RunRecord]]:
    """The definition that the product reads, and the runs of the workflow."""
    found = known(flow)
    runs = play_all(flow, found.definition.key, found.names, until=until, span=span)
    return found, [replace(r, fingerprint=found.definition.fingerprint) for r in runs]


def ended_so(flow: Flow, outcome: Outcome) -> float:
    """Runs a month with that outcome."""
    _, runs = runs_of(flow)
    return sum(r.outcome is outcome for r in runs) / len(runs) * 30 * DAY / flow.every


def cost(run: RunRecord) -> float:
    """Cost of the resources that a run reserves, from scheduling to end of its pods."""
    total = 0.0
    for e in run.steps:
        hours = ((e.finished or 0.0) - (e.scheduled or 0.0)) / 3600.0
        for c in e.containers:
            total += hours * ((c.cpu_request or 0.0) * _CORE_HOUR + (c.memory_request or 0.0) / GI * _GIB_HOUR)
            total += hours * (c.gpu_request or 0.0) * _GPU_HOUR
    return total


def excess_of(flow: Flow, most: float) -> float:
    """What runs cost above ``most``, per month."""
    _, runs = runs_of(flow)
    return sum(max(0.0, cost(r) - most) for r in runs) / len(runs) * 30 * DAY / flow.every


def cost_of(flow: Flow) -> float:
    """Mean cost of a run."""
    _, runs = runs_of(flow)
    return sum(cost(r) for r in runs) / max(1, len(runs))


def worth(plant: Plant) -> Worth:
    """Monthly effect of fixing the problem; if it began on a certain day, from the runs since then."""
    amount = plant.counted(plant.flow) if plant.counted else plant.amount
    if amount is not None or not plant.measure:
        return Worth(**{plant.measure: amount}) if plant.measure and amount is not None else Worth()
    since = min((s.since for s in plant.flow.steps if s.since is not None), default=WINDOW / DAY)
    _, bad = runs_of(plant.flow, span=since * DAY)
    _, good = runs_of(plant.mended, span=since * DAY)
    if not bad:
        return Worth()
    rate = 30 * DAY / plant.flow.every
    both = [
        (b, g)
        for b, g in zip(bad, good, strict=True)
        if Outcome.SUCCEEDED is b.outcome and Outcome.SUCCEEDED is g.outcome
    ]
    saved = sum((b.makespan or 0.0) - (g.makespan or 0.0) for b, g in both) / max(1, len(both))
    failed = [sum(r.outcome is Outcome.FAILED for r in runs) / len(runs) for runs in (bad, good)]
    money = [sum(cost(r) for r in runs) / len(runs) for runs in (bad, good)]
    return Worth(saved * rate / 60.0, (failed[0] - failed[1]) * rate, (money[0] - money[1]) * rate)
