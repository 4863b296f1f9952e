"""What the containers of one pod use, by random events that are the same whatever they declare."""

from __future__ import annotations

import math
from dataclasses import dataclass

from benchmarks.graphs.draws import Rng, stream
from benchmarks.resources.law import CPU, DAY, DISK, GPU, MEMORY, NOW, Container, Flow, Role, Step

_TOGETHER = 0.9  # of the peaks of other containers when the main one has its own
_STARVED = 0.02  # cores that a pod gets at the least


@dataclass(frozen=True, slots=True)
class Use:
    """One container in one pod: ``need``, bytes at the peak; ``seen``, what samples show of it if it lives long enough;
    ``factor``: how many times as long as unhindered it works; mean and highest cores; share of the CPU periods in which its
    limit throttled it (those with any work), and of the time in which it waited for CPU at all; GPUs busy at once and on
    average; bytes of disk."""

    container: Container
    need: float
    seen: float
    factor: float
    cores: float
    highest: float
    throttled: float
    waited: float
    gpus: int
    gpus_used: float
    disk: float


@dataclass(frozen=True, slots=True)
class RunState:
    """One run. ``sample`` 0: of the window; others are later runs with other random events."""

    flow: Flow
    sample: int
    number: int
    start: float
    size: float

    @property
    def days_ago(self) -> float:
        """Days before the end of the window; negative after it."""
        return (NOW - self.start) / DAY

    def events(self, *what: int | str) -> Rng:
        """The random events of a part of the run."""
        return stream(self.flow.seed, self.sample, self.number, *what)


def varied(rng: Rng, spread: float) -> float:
    """A log-normal factor with mean 1."""
    return math.exp(spread * float(rng.standard_normal()) - spread * spread / 2.0)


def use_of(run: RunState, step: Step, container: Container, item: int, attempt: int) -> Use:
    """The use of one container of the admitted ``step``."""
    events = run.events(step.name, container.name, item)
    again = run.events(step.name, container.name, item, attempt)
    need, seen = _memory(run, container, again if not container.memory.alike else events, again)
    factor, cores, highest, throttled, waited = _cpu(run, step, container, again)
    held = int(container.limits.get(GPU, 0.0))
    busy = min(held, gpus_needed(run, step, container, item)) if held else 0
    disk = 0.0 if container.disk is None else container.disk * varied(again, container.disk_spread)
    return Use(container, need, seen, factor, cores, highest, throttled, waited, busy, busy * container.gpus.use, disk)


def gpus_needed(run: RunState, step: Step, container: Container, item: int) -> int:
    """GPUs that the container could use at once in this run, however many it has."""
    events, own = run.events(step.name, container.name, item, "GPU"), container.gpus
    return own.most if events.random() < own.often else own.busy


def _memory(run: RunState, container: Container, events: Rng, again: Rng) -> tuple[float, float]:
    """The peak, and what samples show of it."""
    own = container.memory
    need = own.usual * varied(events, own.spread) * run.size**own.power * (1.0 + own.growth) ** -run.days_ago
    chance, pareto = float(events.random()), float(events.random())
    heavy = chance < own.often if own.weekday is None else int(run.start // DAY) % 7 == own.weekday
    if heavy:
        need *= own.heavy
    if own.tail is not None:
        need *= (1.0 - pareto) ** (-1.0 / own.tail)
    shown = own.seconds is None or again.random() < own.seconds / 30.0
    return need, need if shown else need / own.burst


def _cpu(run: RunState, step: Step, container: Container, events: Rng) -> tuple[float, float, float, float, float]:
    """Factor on its time, mean and highest cores, share of the periods throttled, and of the time waited."""
    pace = varied(events, container.cpu.spread)
    share = float(events.random())
    idle = math.inf
    if run.flow.idle is not None:
        low, high = run.flow.idle
        idle = low + (high - low) * share
    limit = container.limits.get(CPU, math.inf)
    request = container.requests.get(CPU, 0.0)
    if container.role is not Role.INIT:
        limit = min(limit, step.limits.get(CPU, math.inf))
        request = (step.requests or {}).get(CPU, request)
    phases = container.cpu.phases
    if container.cpu.in_runs < 1.0 and float(events.random()) >= container.cpu.in_runs:
        phases = ((1.0, phases[-1][1]),)
    total = blocked = throttled = waited = work = highest = 0.0
    for part, cores in phases:
        if not cores:
            blocked += part
            continue
        cores *= pace
        shared = max(_STARVED, request + idle)
        got = min(cores, limit, shared)
        seconds = part * cores / got
        total += seconds
        work += part * cores
        highest = max(highest, got)
        throttled += seconds if limit <= min(cores, shared) and limit < cores else 0.0
        waited += seconds * (1.0 - got / cores)
    return total + blocked, work / (total + blocked), highest, throttled / total, waited / (total + blocked)


def together(uses: list[Use], of: Use) -> float:
    """Bytes that the pod needs when a container has its peak."""
    others = sum(u.need for u in uses if u is not of and u.container.role is not Role.INIT)
    return of.need + _TOGETHER * others


def killed(uses: list[Use], step: Step) -> Use | None:
    """The container that is killed for lack of memory; None where all have enough."""
    for use in uses:
        if use.need > use.container.limits.get(MEMORY, math.inf):
            return use
        if use.container.role is not Role.INIT and together(uses, use) > step.limits.get(MEMORY, math.inf):
            return use
    return None


def evicted(uses: list[Use]) -> Use | None:
    """The container for whose disk the pod is evicted; None where all keep their limits."""
    return next((u for u in uses if u.disk > u.container.limits.get(DISK, math.inf)), None)
