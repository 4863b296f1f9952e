"""Prices of the node that an execution ran on."""

from __future__ import annotations

import pytest

from concertmaster.core.model import StepExecution
from concertmaster.core.model.enums import PriceSource
from concertmaster.core.model.pricing import NodePrice, Pricing

TABLE = Pricing(
    source=PriceSource.NODE_TABLE,
    nodes=(
        NodePrice("m5.*", True, cpu_core_hour=0.01),
        NodePrice("m5.*", None, cpu_core_hour=0.05, memory_gib_hour=0.006),
        NodePrice(None, True, cpu_core_hour=0.02),
    ),
)


@pytest.mark.parametrize(
    ("kind", "spot", "cpu"),
    [
        ("m5.large", True, 0.01),
        ("m5.large", False, 0.05),
        ("m5.large", None, 0.05),  # no label says that it is one: it is no spot node
        ("c7.large", True, 0.02),
        ("c7.large", False, 0.031),
        (None, None, 0.031),
    ],
)
def test_the_first_row_that_fits_holds_else_the_flat_prices(kind: str | None, spot: bool | None, cpu: float) -> None:
    prices = TABLE.at(StepExecution("a", instance_type=kind, spot=spot))
    assert prices.cpu_core_hour == cpu
    assert prices.gpu_hour == TABLE.gpu_hour


def test_open_cost_prices_come_from_the_execution() -> None:
    pricing = Pricing(source=PriceSource.OPEN_COST)
    seen = pricing.at(StepExecution("a", node_prices=(0.04, 0.005, 2.5)))
    assert (seen.cpu_core_hour, seen.memory_gib_hour, seen.gpu_hour) == (0.04, 0.005, 2.5)
    assert pricing.at(StepExecution("a")) is pricing


def test_a_mean_is_by_the_time_on_each_node() -> None:
    rows = [
        StepExecution("a", created=0.0, finished=300.0, instance_type="m5.large"),
        StepExecution("a", created=0.0, finished=100.0, instance_type="m5.large", spot=True),
    ]
    assert TABLE.mean(rows).cpu_core_hour == pytest.approx(0.04)
    assert Pricing().mean(rows) == Pricing()
