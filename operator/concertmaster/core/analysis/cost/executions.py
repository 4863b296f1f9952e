"""The price of one execution: what its containers are charged for while its pod is on a node, and what of that is unused."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from concertmaster.core.model import ContainerFact, Outcome, StepExecution
from concertmaster.core.model.policy import Pricing
from concertmaster.core.reserved import reservation_of
from concertmaster.core.units import GIB, HOUR


class ExecutionCost(NamedTuple):
    """Cost of one execution in currency units; a plain tuple because there are many of them."""

    requested: float
    used: float
    wasted: float
    total: float


_FAILED = Outcome.FAILED
_cost = partial(tuple.__new__, ExecutionCost)


def execution_cost(execution: StepExecution, pricing: Pricing) -> ExecutionCost | None:
    """Cost of an execution, with the overhead of its RuntimeClass; None when its duration or its size is unknown."""
    cost = containers_cost(execution, execution.containers, pricing)
    if cost is None or execution.overhead is None:
        return cost
    more = overhead_cost(execution, pricing)
    return _cost(
        (cost[0] + more, cost[1] + more, cost[2] + (more if execution.outcome is _FAILED else 0.0), cost[3] + more)
    )


def overhead_cost(execution: StepExecution, pricing: Pricing) -> float:
    """What the RuntimeClass of a pod reserves beside its containers, as a cost. All of it is used, by what runs them."""
    if execution.overhead is None or execution.held is None:
        return 0.0
    at = pricing.at(execution) if pricing.by_node else pricing
    cores, memory = execution.overhead
    return execution.held / HOUR * (cores * at.cpu_core_hour + memory / GIB * at.memory_gib_hour)


def containers_cost(
    execution: StepExecution, containers: Sequence[ContainerFact], pricing: Pricing
) -> ExecutionCost | None:
    """Cost of these ``containers`` of an execution; None when nothing of them can be priced."""
    seconds = execution.held
    if seconds is None:
        return None
    if pricing.by_node:
        pricing = pricing.at(execution)
    core, gib = pricing.cpu_core_hour, pricing.memory_gib_hour
    hours = seconds / HOUR
    requested = used = charged = 0.0
    known = init = False
    for container in containers:
        if container.init:
            init = True
            continue
        request, spent = container.cpu_request, container.cpu_seconds
        if request is not None or spent is not None:
            known = True
            reserved = request * hours * core if request else 0.0
            consumed = spent / HOUR * core if spent else 0.0
            requested += reserved
            used += consumed
            charged += reserved if reserved > consumed else consumed
        request, peak = container.memory_request, container.memory_sampled_peak
        if peak is None:
            peak = container.memory_kernel_peak
        if request is not None or peak is not None:
            known = True
            reserved = request / GIB * hours * gib if request else 0.0
            consumed = peak / GIB * hours * gib if peak else 0.0
            requested += reserved
            used += consumed
            charged += reserved if reserved > consumed else consumed
        if gpus := container.gpu_request:
            known = True
            reserved = gpus * hours * pricing.gpu_hour
            requested += reserved
            used += min(1.0, (container.gpu_used or 0.0) / gpus) * reserved
            charged += reserved
    if not known:
        return None
    if init:
        kept = kept_for_init(containers, hours, pricing)
        requested += math.fsum(part.requested for part in kept)
        charged += math.fsum(part.charged for part in kept)
    if execution.outcome is _FAILED:
        return _cost((requested, used, charged, charged))
    return _cost((requested, used, charged - used if charged > used else 0.0, charged))


class KeptForInit(NamedTuple):
    """What a pod keeps reserved for an init container, ``name``, and the part that is charged: its other containers may use
    of it what they use beyond their own requests."""

    name: str
    requested: float
    charged: float


def kept_for_init(containers: Sequence[ContainerFact], hours: float, pricing: Pricing) -> list[KeptForInit]:
    """CPU and memory that the pod keeps reserved for an init container, as costs."""
    cpu, memory = reservation_of(containers, "cpu"), reservation_of(containers, "memory")
    found = []
    if cores := cpu.kept:
        own = [((c.cpu_seconds or 0.0) / HOUR, (c.cpu_request or 0.0) * hours) for c in containers if not c.init]
        beyond = sum(used - asked for used, asked in own if used > asked)
        price = pricing.cpu_core_hour
        found.append(KeptForInit(cpu.first_by, cores * hours * price, max(0.0, cores * hours - beyond) * price))
    if kept := memory.kept:
        held = [(c.memory_peak or 0.0, c.memory_request or 0.0) for c in containers if not c.init]
        beyond = sum(used - asked for used, asked in held if used > asked)
        price = pricing.memory_gib_hour * hours / GIB
        found.append(KeptForInit(memory.first_by, kept * price, max(0.0, kept - beyond) * price))
    return found


def execution_units(execution: StepExecution, pricing: Pricing) -> float:
    """Cost of the priced extra metrics of one execution (tokens, calls, ...), in currency units."""
    return math.fsum(v * pricing.units[name] for name, v in execution.extra.items() if name in pricing.units)
