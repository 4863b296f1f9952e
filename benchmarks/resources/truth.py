"""What a change does to later runs: the same random events, with the workflow as it is and as it would be."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean

from benchmarks.resources.law import CPU, DAY, DISK, GI, GPU, HOUR, MEMORY, MONTH, NOW, Container, Flow, Role, Step
from benchmarks.resources.simulation import Run, later, used_of
from benchmarks.resources.usage import RunState, gpus_needed, together
from concertmaster.core.fleet.materiality import MIN_MONEY_SHARE
from concertmaster.core.model.policy import Materiality

# Later runs of either workflow, if each has one pod, and at the least.
LATER, LEAST = 1500, 800
LONG = 4 * HOUR  # seconds of work, from which on half of the bound on memory failures holds
_VOLUME = 0.08  # per GiB and month
WEEKS = 28.0  # days for which a proposed volume must do: a recommendation says 30 days of growth
_TRIED = 400  # moments of a month at which a volume is looked at


@dataclass(frozen=True, slots=True)
class Effect:
    """Effect per month: minutes of run time and failed runs avoided, money saved; ``cost_share`` and ``run_share`` of what
    there was. ``longer``: share by which runs take longer, successful ones of both. ``short``: by what is changed
    (``step/container resource``), the share of attempts that need more than there then is, and ``long``: of which the step
    takes four hours or more."""

    run_minutes: float
    failed_runs: float
    money: float
    run_share: float
    cost_share: float
    longer: float
    short: dict[str, float]
    long: frozenset[str]

    def of(self, measure: str) -> float:
        """The effect in that measure."""
        return float(getattr(self, measure))

    def material(self, measure: str, least: Materiality, times: float = 1.0) -> bool:
        """Whether it is worth a recommendation, so many ``times`` over."""
        if measure == "run_minutes":
            return self.run_minutes >= times * least.run_minutes and self.run_share >= times * least.run_share
        if measure == "money":
            enough = self.cost_share >= times * least.cost_share and self.money >= times * MIN_MONEY_SHARE * least.money
            return enough or self.money >= times * least.money
        return self.failed_runs >= times * least.failed_runs


def effect(bad: Flow, good: Flow, count: int | None = None) -> Effect:
    """The effect of the difference between two workflows."""
    pods = sum(step.items for step in bad.steps)
    runs = count or max(LEAST, LATER // pods)
    before, after = later(bad, runs), later(good, runs)
    rate = bad.runs_per_month
    both = [(b, a) for b, a in zip(before, after, strict=True) if not b.failed and not a.failed]
    saved = fmean(b.makespan - a.makespan for b, a in both) if both else 0.0
    now = fmean(b.makespan for b, _ in both) if both else 1.0
    failed, fails = (_failed(flow, own) for flow, own in ((bad, before), (good, after)))
    costs = [fmean(run.cost for run in of) for of in (before, after)]
    volumes = sum(_capacity(b) - _capacity(g) for b, g in zip(bad.steps, good.steps, strict=True)) / GI * _VOLUME
    short = dict(_short(bad, good, after))
    return Effect(
        saved * rate / 60.0, (failed - fails) * rate, (costs[0] - costs[1]) * rate + volumes, saved / now,
        1.0 - costs[1] / costs[0], -saved / now, short,
        frozenset(k for k in short if good.step(k.partition("/")[0]).seconds >= LONG),
    )  # fmt: skip


def _failed(flow: Flow, runs: list[Run]) -> float:
    """Share of the runs that fail: in the next week, or for lack of room on a volume in the next month."""
    full = [full_share(flow, step) for step in flow.steps if step.volume is not None]
    return full[0] if full else fmean(run.failed for run in runs)


def full_share(flow: Flow, step: Step, days: float = MONTH / DAY) -> float:
    """Share of the runs of the next so many days that find the step's volume full."""
    assert step.volume is not None
    states = (RunState(flow, 1, n, NOW + (n + 0.5) / _TRIED * days * DAY, 1.0) for n in range(_TRIED))
    return fmean(used_of(state, step) >= step.volume.capacity for state in states)


def _capacity(step: Step) -> float:
    return step.volume.capacity if step.volume is not None else 0.0


def _short(bad: Flow, good: Flow, runs: list[Run]) -> Iterator[tuple[str, float]]:
    """Share of attempts for which what was changed is too little. A lowered request without a limit counts as one: that is
    what a full node leaves."""
    for old, new in zip(bad.steps, good.steps, strict=True):
        if (old.requests, old.limits) != (new.requests, new.limits):
            yield f"{new.name}/pod {MEMORY}", _pod_short(new, runs)
        if old.volume != new.volume:
            yield f"{new.name}/volume", full_share(good, new, WEEKS)
        for was, now in zip(old.containers, new.containers, strict=True):
            for resource in (MEMORY, DISK, GPU):
                if _of(was, resource) != _of(now, resource):
                    yield f"{new.name}/{now.name} {resource}", _container_short(new, now, resource, runs)
            if now.requests.get(CPU, math.inf) < was.requests.get(CPU, math.inf):
                yield f"{new.name}/{now.name} {CPU}", float(now.cpu.mean > now.requests[CPU])


def _of(container: Container, resource: str) -> tuple[float | None, float | None]:
    return container.requests.get(resource), container.limits.get(resource)


def _container_short(step: Step, container: Container, resource: str, runs: list[Run]) -> float:
    request, limit = _of(container, resource)
    most = request if request is not None else limit if limit is not None else math.inf
    found = []
    for run in runs:
        for pod in run.pods:
            if pod.step.name != step.name:
                continue
            use = next(u for u in pod.uses if u.container.name == container.name)
            if resource == GPU:
                found.append(gpus_needed(run.state, step, container, pod.item) > (limit or 0.0))
            else:
                found.append((use.need if resource == MEMORY else use.disk) > most)
    return fmean(found) if found else 0.0


def _pod_short(step: Step, runs: list[Run]) -> float:
    most = (step.requests or {}).get(MEMORY, math.inf)
    found = [
        any(together(list(p.uses), u) > most for u in p.uses if u.container.role is not Role.INIT)
        for run in runs
        for p in run.pods
        if p.step.name == step.name
    ]
    return fmean(found) if found else 0.0
