"""Cost of runs in the policy's currency: requested, used and wasted.

Like a cloud bill, a pod is charged for the larger of request and usage while it is on a node, and for what the largest
request of its init containers exceeds those by, which it keeps reserved. Waste is the unused part of
the request plus everything spent on failed attempts. Priced extra metrics are added per run.
"""

from __future__ import annotations

import math
from collections.abc import Sequence, Set
from dataclasses import dataclass

from concertmaster.core.analysis.cost.executions import (
    ExecutionCost,
    containers_cost,
    execution_cost,
    kept_for_init,
    overhead_cost,
)
from concertmaster.core.fast_init import fast_init
from concertmaster.core.model import Interval, Outcome, RunRecord, StepExecution
from concertmaster.core.model.policy import Pricing
from concertmaster.core.model.recommendations import likely
from concertmaster.core.units import HOUR

_OPEN = frozenset({Outcome.UNKNOWN, Outcome.RUNNING})


@fast_init
@dataclass(frozen=True, slots=True)
class Cost:
    """Amounts in currency units. ``lacking``: steps that ran and of which no execution has a price, for want of requests
    and usage samples."""

    requested: float
    used: float
    wasted: float
    units: float
    total: float
    lacking: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CostSummary:
    """Mean per run over the runs that have a price as a whole, and the cost of a month of such runs (None without a known
    ``rate``, the runs in 30 days). ``lacking``: without such a run, the steps that lack a price."""

    runs: int
    per_run: Cost | None
    rate: Interval | None
    per_month: float | None
    lacking: tuple[str, ...] = ()

    @property
    def runs_per_month(self) -> float | None:
        """Runs in 30 days, without the interval."""
        return likely(self.rate)


OVERHEAD = "RuntimeClass overhead"
"""What stands for a container in a part of a cost that the RuntimeClass of a pod reserves."""
AMOUNTS = ("requested", "used", "wasted", "units", "total")  # of a ``Cost``, in its order
_Place = tuple[str | None, str | None, str | None, bool]
"""Step, container and extra metric of a part of a cost, and whether the container is an init container."""


class Costs:
    """Costs under one price list. Each run is priced once and reused by every figure that needs it."""

    def __init__(self, pricing: Pricing) -> None:
        self.pricing = pricing
        # Keyed by id(), since comparing records costs more than pricing them; keeping the record keeps its id unique.
        self._runs: dict[int, tuple[RunRecord, Cost | None, list[ExecutionCost | None]]] = {}
        self._parts: dict[int, list[tuple[_Place, float, float]]] = {}

    def execution(self, execution: StepExecution) -> ExecutionCost | None:
        """Cost of one execution; None when its duration or its size is unknown."""
        return execution_cost(execution, self.pricing)

    def steps(self, run: RunRecord) -> list[ExecutionCost | None]:
        """Cost of every execution of a run, in the order of ``run.steps``."""
        return self._known(run)[2]

    def run(self, run: RunRecord) -> Cost | None:
        """Cost of a run: its executions plus priced extra metrics. None when a step of it, or all of it, has no price."""
        cost = self._known(run)[1]
        return None if cost is None or cost.lacking else cost

    def whole(self, runs: Sequence[RunRecord]) -> list[Cost]:
        """Costs of the runs that have a price and of which all steps were seen, or of all that have a price where there is
        none such: then the definition may have gained a step."""
        priced = [(run, cost) for run in runs if (cost := self.run(run)) is not None]
        return [cost for run, cost in priced if not steps_unseen(run)] or [cost for _, cost in priced]

    def known(self, run: RunRecord) -> Cost | None:
        """Cost of those steps of a run that have a price: to compare it with other runs of the same steps."""
        return self._known(run)[1]

    def parts(self, run: RunRecord) -> list[tuple[_Place, float, float]]:
        """(place, amount, unused amount) of each component of a run, in currency units; of a step without a price none."""
        if id(run) not in self._parts:
            self._parts[id(run)] = _parts(run, self.steps(run), self.pricing)
        return self._parts[id(run)]

    def keep_only(self, runs: Set[int]) -> None:
        """Drop the cached costs of all runs whose ``id()`` is not in ``runs``."""
        for number in self._runs.keys() - runs:
            del self._runs[number]
            self._parts.pop(number, None)

    def _known(self, run: RunRecord) -> tuple[RunRecord, Cost | None, list[ExecutionCost | None]]:
        known = self._runs.get(id(run))
        if known is None:
            executions = [execution_cost(e, self.pricing) for e in run.steps]
            known = self._runs[id(run)] = run, _of_run(run, executions, self.pricing), executions
        return known


def steps_unseen(run: RunRecord) -> bool:
    """Whether steps of the run were not seen: of all that were the outcome is known, and the run's is not."""
    return run.outcome is Outcome.UNKNOWN and all(e.outcome not in _OPEN for e in run.steps)


@dataclass(frozen=True, slots=True)
class Component:
    """One component of the mean cost per run: a container of a step, or a priced extra metric (``step`` and ``container``
    as far as known). ``unused`` is the part charged but not used. ``init``: what pods keep reserved for an init
    container."""

    step: str | None
    container: str | None
    metric: str | None
    per_run: float
    unused: float
    init: bool = False


def components(runs: Sequence[RunRecord], costs: Costs) -> tuple[Component, ...]:
    """Components of the mean cost per run as far as they have a price, largest first."""
    parts: dict[_Place, list[float]] = {}
    priced = [r for r in runs if costs.known(r) is not None]
    for run in priced:
        for place, amount, unused in costs.parts(run):
            part = parts.get(place)
            if part is None:
                parts[place] = [amount, unused]
            else:
                part[0] += amount
                part[1] += unused
    items = [
        Component(step, container, metric, amount / len(priced), unused / len(priced), init)
        for (step, container, metric, init), (amount, unused) in parts.items()
    ]
    return tuple(sorted(items, key=lambda c: (-c.per_run, c.step or "", c.container or "", c.metric or "")))


def _parts(
    run: RunRecord, executions: Sequence[ExecutionCost | None], pricing: Pricing
) -> list[tuple[_Place, float, float]]:
    parts: list[tuple[_Place, float, float]] = []
    for e, cost in zip(run.steps, executions, strict=True):
        alone = (
            len(e.containers) == 1 and e.overhead is None
        )  # the common case: the cost of the execution is that of its only container
        for container in e.containers:
            amounts = cost if alone else containers_cost(e, (container,), pricing)
            if amounts is not None:
                amount, used = amounts[3], amounts[1]
                parts.append(((e.step, container.name, None, False), amount, amount - used if amount > used else 0.0))
        if cost is not None and e.held is not None and not alone:
            at = pricing.at(e) if pricing.by_node else pricing
            kept = kept_for_init(e.containers, e.held / HOUR, at)
            parts += [((e.step, k.name, None, True), k.charged, k.charged) for k in kept if k.charged]
        if cost is not None and (more := overhead_cost(e, pricing)):
            parts.append(((e.step, OVERHEAD, None, False), more, 0.0))
    for name, amount in run.extra.items():
        if name in pricing.units:
            shares: dict[str | None, float] = {}
            for e in run.steps:
                if name in e.extra:
                    shares[e.step] = shares.get(e.step, 0.0) + e.extra[name]
            if (rest := amount - math.fsum(shares.values())) > 1e-9 * abs(amount):
                shares[None] = rest
            units = pricing.units[name]
            parts += [((step, None, name, False), share * units, 0.0) for step, share in shares.items()]
    return parts


def _of_run(run: RunRecord, executions: Sequence[ExecutionCost | None], pricing: Pricing) -> Cost | None:
    known = [c for c in executions if c is not None]
    units = sum([amount * pricing.units[name] for name, amount in run.extra.items() if name in pricing.units])
    if not known and not units:
        return None
    requested, used, wasted, total = map(math.fsum, zip(*known, strict=True)) if known else (0.0,) * 4
    lacking = _lacking(run, executions) if len(known) < len(executions) else ()
    return Cost(requested, used, wasted, units, total + units, lacking)


def _lacking(run: RunRecord, executions: Sequence[ExecutionCost | None]) -> tuple[str, ...]:
    """Steps whose containers ran and of which no execution has a price."""
    ran = {e.step for e in run.steps if e.held is not None and any(not c.init for c in e.containers)}
    return tuple(sorted(ran - {e.step for e, c in zip(run.steps, executions, strict=True) if c is not None}))


def summarize_cost(runs: Sequence[RunRecord], costs: Costs, rate: Interval | None) -> CostSummary:
    """Mean cost per run, and cost per month at the ``rate`` (runs per 30 days; None: unknown)."""
    known = costs.whole(runs)
    if not known:
        parts = {step for r in runs if (c := costs.known(r)) is not None for step in c.lacking}
        return CostSummary(0, None, rate, None, tuple(sorted(parts)))
    n = len(known)
    requested, used, wasted, units, total = (math.fsum(getattr(c, name) for c in known) / n for name in AMOUNTS)
    mean = Cost(requested, used, wasted, units, total)
    return CostSummary(n, mean, rate, total * rate.likely if rate is not None else None)
