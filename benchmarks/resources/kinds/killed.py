"""Containers that are killed for lack of memory, with and without retries."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.graphs.draws import Rng
from benchmarks.resources.law import CPU, GI, MEMORY, Container, Cpu, Memory, Role, Step
from benchmarks.resources.plant import (
    FAILURES,
    Kind,
    Plant,
    between,
    failed_twice,
    fitted,
    flow,
    healthy,
    killed_twice,
    shortage,
    whole,
)

_ALSO = ("failing-step", "retry-policy", "objective-at-risk", "variance", "straggler")


def _killed(rng: Rng, name: str, memory: Memory, limit: float, enough: float, **law: object) -> Plant:
    own = fitted(Container(memory=memory, cpu=Cpu(((1.0, between(rng, 0.3, 2.0)),))))
    bound = own.asking(**{MEMORY: whole(limit)}).limited(**{MEMORY: whole(limit)})
    work = Step("work", (bound,), seconds=between(rng, 600, 3000), **law)  # type: ignore[arg-type]
    now = flow(rng, name, (Step("load"), work), 20, 120)
    better = own.asking(**{MEMORY: whole(enough)}).limited(**{MEMORY: whole(enough)})
    plant = shortage(now, "work", "main", better, ("memory-request",), FAILURES)
    return replace(plant, also=_ALSO, shown=failed_twice("work"))


def killed_and_retried(rng: Rng, name: str) -> Plant:
    """Two attempts in five are killed for lack of memory, each by chance, and retried twice."""
    usual = between(rng, 0.5, 4) * GI
    return _killed(rng, name, Memory(usual, spread=0.12, alike=False), 1.03 * usual, 2.0 * usual, retries=2)


def killed_every_time(rng: Rng, name: str) -> Plant:
    """One run in six needs half as much again as the limit, and fails in each of three attempts."""
    usual = between(rng, 0.5, 4) * GI
    memory = Memory(usual, often=float(rng.uniform(0.1, 0.25)), heavy=1.6)
    return _killed(rng, name, memory, 1.25 * usual, 2.0 * usual, retries=2)


def killed_by_input(rng: Rng, name: str) -> Plant:
    """Runs with large inputs are killed for lack of memory; inputs are recorded."""
    usual, spread = between(rng, 0.5, 3) * GI, 0.4
    plant = _killed(rng, name, Memory(usual, power=0.9), 1.5 * usual, 4.0 * usual, elasticity=0.5)
    return plant.under(input_spread=spread, inputs_known=True)


def killed_items(rng: Rng, name: str) -> Plant:
    """A few of twelve items side by side are killed for lack of memory, and retried once."""
    usual = between(rng, 0.5, 3) * GI
    return _killed(rng, name, Memory(usual, spread=0.15), 1.35 * usual, 2.2 * usual, retries=1, items=12)


def killed_in_the_tail(rng: Rng, name: str) -> Plant:
    """Memory with a heavy tail, of which a limit kills one run in twelve."""
    usual, tail = between(rng, 0.3, 2) * GI, float(rng.uniform(3, 5))
    return _killed(rng, name, Memory(usual, tail=tail), usual * 12 ** (1 / tail), usual * 200 ** (1 / tail))


def sidecar_killed(rng: Rng, name: str) -> Plant:
    """A sidecar is killed for lack of memory in a fifth of the runs, and the pod fails."""
    own = fitted(Container(cpu=Cpu(((1.0, 0.8),)), memory=Memory(GI)))
    side = Container("helper", Role.BESIDE, {CPU: 0.2}, cpu=Cpu(((1.0, 0.15),)), memory=Memory(0.4 * GI, spread=0.12))
    limit = whole(1.08 * side.memory.usual)
    small, enough = (side.asking(**{MEMORY: v}).limited(**{MEMORY: v}) for v in (limit, 2 * limit))
    now = flow(rng, name, (Step("load"), Step("work", (own, small), seconds=1200.0)), 20, 120)
    plant = shortage(now, "work", "helper", enough, ("memory-request",), FAILURES)
    return replace(plant, also=_ALSO, shown=killed_twice("work"))


def killed_once(rng: Rng, name: str) -> Plant:
    """A request with room, and a limit that a run in 400 passes."""
    usual = between(rng, 0.5, 3) * GI
    own = fitted(Container(memory=Memory(usual, spread=0.05, alike=False)))
    step = Step("work", (own.limited(**{MEMORY: whole(1.4 * usual)}),), retries=2)
    return healthy(flow(rng, name, (Step("load"), step)))


KINDS: tuple[Kind, ...] = (
    killed_and_retried, killed_every_time, killed_by_input, killed_items, killed_in_the_tail, sidecar_killed, killed_once,
)  # fmt: skip
