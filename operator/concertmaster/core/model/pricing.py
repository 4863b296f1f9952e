"""Prices: flat, or by the node that a pod ran on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from concertmaster.core.model.enums import PriceSource
from concertmaster.core.model.runs import StepExecution
from concertmaster.core.units import GIB

_FLAT = PriceSource.FLAT  # asked for each execution


@dataclass(frozen=True, slots=True)
class NodePrice:
    """Prices on nodes of an instance type (a trailing ``*`` matches any suffix; None: any) and capacity type (None: either).
    A price of None is the flat price."""

    instance_type: str | None = None
    spot: bool | None = None
    cpu_core_hour: float | None = None
    memory_gib_hour: float | None = None
    gpu_hour: float | None = None

    def fits(self, instance_type: str | None, spot: bool | None) -> bool:
        """Whether the row applies to such a node. A node without capacity label is not a spot node."""
        if self.spot is not None and self.spot is not bool(spot):
            return False
        if self.instance_type is None:
            return True
        name = instance_type or ""
        head = self.instance_type.removesuffix("*")
        return name.startswith(head) if head != self.instance_type else name == head


@dataclass(frozen=True, slots=True)
class Pricing:
    """Prices in ``currency`` per core-hour, GiB-hour, GPU-hour and unit of a metric; resources without a price cost nothing.
    ``volume_gib_month``: per GiB and month of a persistent volume; volumes are not part of the cost of runs.

    Depending on ``source`` the prices are those of the node an execution ran on: from the first matching row of ``nodes``,
    or from OpenCost. For unknown nodes the flat prices apply. ``run_hour`` and ``failed_run``: value of an hour of run time
    and of a failed run, the scale on which time, failures and money are compared across workflows; they are not costs. The
    built-in prices are round figures near public on-demand list prices.
    """

    currency: str = "USD"
    cpu_core_hour: float = 0.031
    memory_gib_hour: float = 0.004
    gpu_hour: float = 0.95
    volume_gib_month: float = 0.08
    run_hour: float = 2.5
    failed_run: float = 10.0
    units: Mapping[str, float] = field(default_factory=dict)
    source: PriceSource = PriceSource.FLAT
    nodes: tuple[NodePrice, ...] = ()

    @property
    def by_node(self) -> bool:
        """Whether prices depend on the node."""
        return self.source is not _FLAT

    def hour(self, cores: float | None, memory: float | None, gpus: float | None = None) -> float:
        """Cost of holding these cores, bytes and GPUs for an hour; unknown amounts cost nothing."""
        size = (memory or 0.0) / GIB
        return (cores or 0.0) * self.cpu_core_hour + size * self.memory_gib_hour + (gpus or 0.0) * self.gpu_hour

    def at(self, execution: StepExecution) -> Pricing:
        """The prices on the node of the execution."""
        if self.source is _FLAT:
            return self
        if self.source is PriceSource.OPEN_COST:
            prices = execution.node_prices
            return self if prices is None else self._with(NodePrice(None, None, *prices))
        kind, spot = execution.instance_type, execution.spot
        if kind is None and spot is None:
            return self
        return next((self._with(row) for row in self.nodes if row.fits(kind, spot)), self)

    def mean(self, executions: Sequence[StepExecution]) -> Pricing:
        """Mean prices on the nodes of the executions, weighted by the time they held them."""
        rows = [(self.at(e), e.held) for e in executions if e.held] if self.source is not _FLAT else []
        held = sum(seconds for _, seconds in rows)
        if not held:
            return self
        names = ("cpu_core_hour", "memory_gib_hour", "gpu_hour")
        means = {n: sum(getattr(p, n) * seconds for p, seconds in rows) / held for n in names}
        return replace(self, **means)

    def _with(self, row: NodePrice) -> Pricing:
        names = ("cpu_core_hour", "memory_gib_hour", "gpu_hour")
        known = {n: price for n in names if (price := getattr(row, n)) is not None}
        return replace(self, **known)
