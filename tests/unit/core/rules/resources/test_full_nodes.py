"""How much longer a step takes on a full node after its CPU request was lowered."""

from __future__ import annotations

import pytest

from tests.support.core.scenario_builder import Pod, argo, scenario, task
from tests.support.core.scenarios import measured, resources


def said(peak: float | None) -> str:
    """A step that uses one core on average, and so many at its peak, of six."""
    own = measured(cpu_request=6.0, cpu_seconds=100.0, cpu_sampled_seconds=100.0, cpu_peak_cores=peak)
    body = resources(requests={"cpu": "6", "memory": "1Gi"})
    made = scenario(argo(task("a"), templates={"a": body}), 42, lambda _: {"a": Pod(100.0, containers=own)})
    item = made.one("right-size")
    (row,) = [i for i in item.items if i.field == "requests.cpu"]
    assert row.new == "1150m"
    return item.expected


@pytest.mark.parametrize("peak", [None, 1.0, 1.1])
def test_a_request_above_all_that_is_used_makes_nothing_longer(peak: float | None) -> None:
    assert "no impact on run duration" in said(peak)


def test_bursts_above_the_request_get_less() -> None:
    """A quarter of the time at four cores, and nothing else: 25 seconds of 100 become 87."""
    assert "at most 62.0% longer on a full node" in said(4.0)
