"""A planted problem of resources: the workflow with it, without it, and what a recommendation for it must be about."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from benchmarks.graphs.draws import Rng
from benchmarks.resources.law import CPU, DAY, MEMORY, MI, WINDOW, Amounts, Container, Flow, Step
from benchmarks.resources.simulation import Run

MONEY, MINUTES, FAILURES = "money", "run_minutes", "failed_runs"
ENOUGH = 5  # runs without which nothing is recommended

Shown = Callable[[Sequence[Run]], bool]


def always(_: Sequence[Run]) -> bool:
    """Whether the window shows the problem: every run does."""
    return True


@dataclass(frozen=True, slots=True)
class Plant:
    """``fixed``: the workflow without the problem. ``rules``: any of them is a right answer about ``step`` (None: the
    workflow) and ``container`` (None: any); none where there is nothing to recommend. ``also``: acceptable beside it.
    ``measure``: the unit of its effect, a field of Impact. ``shown``: whether the runs of the window contain what it can be
    recognized by."""

    flow: Flow
    fixed: Flow
    rules: tuple[str, ...]
    step: str | None
    container: str | None
    measure: str
    also: tuple[str, ...] = ()
    shown: Shown = always
    note: str = ""

    def under(self, **law: object) -> Plant:
        """The same with changes to the law of both workflows."""
        flow, fixed = (replace(one, **law) for one in (self.flow, self.fixed))  # type: ignore[arg-type]
        return replace(self, flow=flow, fixed=fixed)


Kind = Callable[[Rng, str], Plant]


def healthy(flow: Flow, note: str = "", also: tuple[str, ...] = ()) -> Plant:
    """Nothing is to be recommended."""
    return Plant(flow, flow, (), None, None, "", also=also, note=note)


def excess(flow: Flow, step: str, container: str, needed: Amounts, note: str = "") -> Plant:
    """The container requests more than it needs; limits that equal the requests are lowered with them."""
    own = flow.step(step)
    large = own.container(container)
    limits = {r: needed.get(r, v) if large.requests.get(r) == v else v for r, v in large.limits.items()}
    small = replace(large, requests={**large.requests, **needed}, limits=limits)
    fixed = flow.having(own.having(container, small))
    return Plant(flow, fixed, ("right-size",), step, container, MONEY, note=note)


def shortage(flow: Flow, step: str, container: str, enough: Container, rules: tuple[str, ...], measure: str) -> Plant:
    """The container has too little of something; ``enough`` has what it needs."""
    fixed = flow.having(flow.step(step).having(container, enough))
    return Plant(flow, fixed, rules, step, container, measure)


def killed_twice(step: str) -> Shown:
    """Whether at least two runs have a failed attempt of the step."""
    return lambda runs: sum(any(p.reason and p.step.name == step for p in run.pods) for run in runs) >= 2


def failed_twice(step: str) -> Shown:
    """Whether at least two runs failed for good at the step."""
    return lambda runs: sum(run.failed and run.pods[-1].step.name == step for run in runs) >= 2


def ran(step: str) -> Shown:
    """Whether enough runs have the step."""
    return lambda runs: sum(any(p.step.name == step for p in run.pods) for run in runs) >= ENOUGH


def since(days: float) -> Shown:
    """Whether enough runs are of the last so many days."""
    return lambda runs: sum(run.state.days_ago <= days for run in runs) >= ENOUGH


def flow(rng: Rng, name: str, steps: Sequence[Step], least: int = 12, most: int = 90) -> Flow:
    """A workflow of these steps, with so many runs in the window."""
    return Flow(name, tuple(steps), every=WINDOW / int(between(rng, least, most)), seed=int(rng.integers(1, 10**6)))


def daily(rng: Rng, name: str, steps: Sequence[Step], times: int) -> Flow:
    """A workflow of these steps, started so many times a day."""
    return replace(flow(rng, name, steps), every=DAY / times)


def changed(rng: Rng, flow: Flow, *before: Step) -> Flow:
    """The workflow whose steps were others until 3 to 9 days before the end."""
    return replace(flow, before=before, changed=float(rng.uniform(3.0, 9.0)))


def between(rng: Rng, low: float, high: float) -> float:
    """A number whose logarithm is uniform."""
    return float(low * (high / low) ** rng.random())


def whole(amount: float) -> float:
    """Bytes in whole MiB, as manifests have them."""
    return round(amount / MI) * MI


def fitted(container: Container, cpu: float = 0.75, memory: float = 0.72) -> Container:
    """The container with requests of which it uses these shares."""
    mean, usual = container.cpu.mean, container.memory.usual
    return container.asking(**{CPU: round(mean / cpu, 2), MEMORY: whole(usual / memory)})
