"""How much longer a step takes on a full node after its CPU request was lowered."""

from __future__ import annotations

import pytest

from concertmaster.core.model import Recommendation
from concertmaster.core.units import DAY
from tests.support.core.scenario_builder import Pod, argo, scenario, task
from tests.support.core.scenarios import measured, resources


def lowered(peak: float | None, runs: int = 42) -> Recommendation:
    """A step that uses one core on average, and so many at its peak, of six."""
    own = measured(cpu_request=6.0, cpu_seconds=100.0, cpu_sampled_seconds=100.0, cpu_peak_cores=peak)
    body = resources(requests={"cpu": "6", "memory": "1Gi"})
    every = 14 * DAY / (runs + 1)
    made = scenario(
        argo(task("a"), templates={"a": body}), runs, lambda _: {"a": Pod(100.0, containers=own)}, every=every
    )
    item = made.one("right-size")
    (row,) = [i for i in item.items if i.field == "requests.cpu"]
    assert row.new == "1150m"
    return item


@pytest.mark.parametrize("peak", [None, 1.0, 1.1])
def test_a_request_above_all_that_many_runs_use_makes_nothing_longer(peak: float | None) -> None:
    item = lowered(peak)
    assert "no impact on run duration" in item.expected
    assert not [said for said in item.evidence if "on a full node" in said]


def test_few_runs_do_not_show_all_that_a_step_may_use() -> None:
    """One in n + 1 needs more than n runs show."""
    item = lowered(None, runs=8)
    assert "at most 0.7% longer on a full node" in item.expected
    assert (
        "CPU of a on a full node: no longer in runs like the 8 seen, and 0.7% by one run in 9 that needs more than any so"
        " far"
    ) in item.evidence


def test_bursts_above_the_request_get_less() -> None:
    """A quarter of the time at four cores, and nothing else: 25 seconds of 100 become 87."""
    assert "at most 62.0% longer on a full node" in lowered(4.0).expected


def test_the_saving_may_be_less_by_what_longer_pods_reserve() -> None:
    """They keep 1.15 cores and 1 GiB for up to 62% longer, at 0.031 and 0.004 an hour."""
    sure, slowed = (lowered(peak).saving_per_month for peak in (None, 4.0))
    assert sure is not None and slowed is not None
    assert sure.likely == pytest.approx(slowed.likely)
    kept, freed = 1.15 * 0.031 + 0.004, (6.0 - 1.15) * 0.031
    assert slowed.low < slowed.likely * (1.0 - 0.62 * kept / freed) < sure.low
    assert slowed.high == pytest.approx(sure.high)
