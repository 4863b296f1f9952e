"""Pods that have other requests and limits than their object declares, set by a webhook or a VerticalPodAutoscaler."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.graphs.draws import Rng
from benchmarks.resources.law import CPU, GI, MEMORY, Amounts, Container, Cpu, Elsewhere, Flow, Memory, Step
from benchmarks.resources.plant import (
    FAILURES,
    MINUTES,
    MONEY,
    Kind,
    Plant,
    between,
    changed,
    excess,
    failed_twice,
    fitted,
    flow,
    healthy,
    whole,
)

_ALSO = ("failing-step", "retry-policy", "objective-at-risk", "variance", "straggler")


def _work(rng: Rng) -> Container:
    mean, usual = between(rng, 0.3, 2.0), whole(between(rng, 0.4, 3.0) * GI)
    return fitted(Container(cpu=Cpu(((1.0, mean),)), memory=Memory(usual)))


def _drawn(rng: Rng, name: str, work: Container) -> Flow:
    return flow(rng, name, (Step("load"), Step("work", (work,), seconds=1500.0)))


def _times(container: Container, cpu: float, memory: float) -> dict[str, float]:
    own = container.requests
    return {CPU: round(own[CPU] * cpu, 2), MEMORY: whole(own[MEMORY] * memory)}


def _set(now: Flow, requests: Amounts, limits: Amounts | None = None, often: float = 1.0) -> Flow:
    return replace(now, elsewhere=Elsewhere("work", requests, limits or {}, often))


def _too_much(rng: Rng, name: str, right: Container, declared: Container) -> Plant:
    now = _drawn(rng, name, declared)
    large = _times(right, float(rng.uniform(3, 6)), float(rng.uniform(3, 6)))
    return Plant(_set(now, large), _set(now, right.requests), ("right-size",), "work", "main", MONEY)


def too_much_elsewhere(rng: Rng, name: str) -> Plant:
    """What is declared suits; pods have a multiple of it."""
    right = _work(rng)
    return _too_much(rng, name, right, right)


def too_much_of_both(rng: Rng, name: str) -> Plant:
    """Twice what suits is declared; pods have a larger multiple of it."""
    right = _work(rng)
    return _too_much(rng, name, right, right.asking(**_times(right, 2.0, 2.0)))


def too_much_without_cluster(rng: Rng, name: str) -> Plant:
    """What is declared suits; pods have a multiple of it, and nothing shows which runs are of the object."""
    return too_much_elsewhere(rng, name).under(marked=False)


def enough_elsewhere(rng: Rng, name: str) -> Plant:
    """A multiple of what suits is declared; pods have what suits."""
    right = _work(rng)
    large = right.asking(**_times(right, float(rng.uniform(3, 6)), float(rng.uniform(3, 6))))
    return healthy(_set(_drawn(rng, name, large), right.requests))


def too_much_in_some_runs(rng: Rng, name: str) -> Plant:
    """A multiple of what suits is declared; a third of the runs is started with another one."""
    right = _work(rng)
    now = _drawn(rng, name, right.asking(**_times(right, 4.0, 4.0)))
    plant = excess(now, "work", "main", right.requests)
    other = Elsewhere("work", _times(right, 8.0, 8.0), often=0.33)
    return replace(plant, flow=replace(now, elsewhere=other), fixed=replace(plant.fixed, elsewhere=other))


def lowered_without_cluster(rng: Rng, name: str) -> Plant:
    """A multiple of what suits was declared until some days before the end; nothing shows which runs are of the object."""
    right = _work(rng)
    now = _drawn(rng, name, right)
    before = now.step("work").having("main", right.asking(**_times(right, 4.0, 4.0)))
    return replace(healthy(changed(rng, now, now.steps[0], before)).under(marked=False))


def killed_elsewhere(rng: Rng, name: str) -> Plant:
    """Four times what is used is declared; something else limits pods to what kills a quarter of the runs."""
    usual = whole(between(rng, 0.4, 3.0) * GI)
    own = replace(_work(rng), memory=Memory(usual, spread=0.12, alike=False))
    declared = own.asking(**{MEMORY: 4 * usual}).limited(**{MEMORY: 4 * usual})
    now = flow(rng, name, (Step("load"), Step("work", (declared,), seconds=1500.0)), 20, 120)
    bound, enough = ({MEMORY: whole(times * usual)} for times in (1.08, 2.2))
    plant = Plant(_set(now, bound, bound), _set(now, enough, enough), ("memory-request",), "work", "main", FAILURES)
    return replace(plant, also=_ALSO, shown=failed_twice("work"))


def throttled_elsewhere(rng: Rng, name: str) -> Plant:
    """Enough CPU is declared; something else limits pods to half of what is used."""
    right = _work(rng)
    half = {CPU: round(0.5 * right.cpu.mean, 2)}
    now = _drawn(rng, name, right)
    enough = {CPU: round(2.0 * right.cpu.mean, 2)}
    return Plant(
        _set(now, half, half), _set(now, right.requests, enough), ("cpu-request",), "work", "main", MINUTES, also=_ALSO
    )


KINDS: tuple[Kind, ...] = (
    too_much_elsewhere, too_much_of_both, too_much_without_cluster, enough_elsewhere, too_much_in_some_runs,
    lowered_without_cluster, killed_elsewhere, throttled_elsewhere,
)  # fmt: skip
