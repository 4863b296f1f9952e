"""A planted problem: the workflow with it, without it, and what a recommendation for it must be about."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from benchmarks.graphs.draws import Rng
from benchmarks.graphs.law import Flow
from benchmarks.graphs.simulation import Execution, Played, fresh
from concertmaster.core.model import Recommendation

MINUTES, FAILURES, MONEY = "run_minutes", "failed_runs", "money"
# Runs whose mean decides how much of a run depends on a step.
_TRIED = 60
# Runs without which nothing is recommended.
ENOUGH = 5

Remedy = Callable[[Flow, Recommendation], Flow]
Shown = Callable[[Sequence[Played]], bool]


def always(_: Sequence[Played]) -> bool:
    """Whether the window shows the problem: every run does."""
    return True


@dataclass(frozen=True, slots=True)
class Plant:
    """``fixed``: the workflow without the problem. ``rules``: any of them is a right answer, about ``step`` (None: the
    workflow); none where there is nothing to recommend. ``also``: acceptable beside it. ``measure``: the unit of its effect
    (a field of Impact). ``remedy``: the workflow after exactly what is recommended, where that need not be all of the fix.
    ``shown``: whether the runs of the window contain what the problem can be recognized by at all. ``amount``: the effect
    per month by the law, where no run shows it yet. ``least_share``: of the makespan (0 to 1), from which on its rule
    reports it by default, where that is more than what is material."""

    flow: Flow
    fixed: Flow
    rules: tuple[str, ...]
    step: str | None
    measure: str
    also: tuple[str, ...] = ()
    remedy: Remedy | None = None
    shown: Shown = always
    amount: float | None = None
    least_share: float = 0.0
    note: str = ""


# None: the drawn graph has no place for the problem, and another one is drawn.
Kind = Callable[[Rng, str], Plant | None]


def unexplained(flow: Flow) -> tuple[str, ...]:
    """What is acceptable beside any problem where inputs vary much and are unknown: run times vary for no visible reason."""
    return () if flow.inputs_known else ("variance",)


def dependence(flow: Flow) -> dict[str, float]:
    """Share of the makespan that a run is shorter if a step takes half as long, by step."""

    def mean(changed: Flow) -> float:
        return fmean(run.makespan for run in fresh(changed, _TRIED))

    usual = mean(flow)
    return {s.name: 1.0 - mean(flow.having(s.name, seconds=s.seconds / 2)) / usual for s in flow.steps}


def placed(rng: Rng, flow: Flow, least: float, most: float = 1.0) -> str | None:
    """A step on which the makespan depends by such a share; None: there is none."""
    fit = [name for name, share in dependence(flow).items() if least <= share <= most]
    return fit[int(rng.integers(0, len(fit)))] if fit else None


def anywhere(rng: Rng, flow: Flow) -> str:
    """Any step."""
    return flow.steps[int(rng.integers(0, len(flow.steps)))].name


def failed(step: str) -> Shown:
    """Whether at least two runs have a failed attempt of the step."""
    return lambda runs: sum(any(e.course.reason for e in _of(run, step)) for run in runs) >= 2


def hung(step: str, seconds: float) -> Shown:
    """Whether an execution of the step took that long."""
    return lambda runs: any(e.course.work >= seconds for run in runs for e in _of(run, step))


def ran(step: str) -> Shown:
    """Whether enough runs have the step."""
    return lambda runs: sum(_of(run, step) != [] for run in runs) >= ENOUGH


def changed(step: str) -> Shown:
    """Whether enough runs that have the step are concerned by its change, and enough are not."""

    def shown(runs: Sequence[Played]) -> bool:
        own = [(run.state, done) for run in runs if (done := _of(run, step))]
        after = sum(
            any(e.step.change and e.step.change.holds(s.days_ago, e.item, s.size) for e in done) for s, done in own
        )
        return ENOUGH <= after <= len(own) - ENOUGH

    return shown


def _of(run: Played, step: str) -> list[Execution]:
    return [e for e in run.executions if e.step.name == step]
