"""``memory-request`` of peaks that grow towards the limit: it is raised before runs are killed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from concertmaster.core.model import Category, Recommendation
from tests.support.builders import MI
from tests.support.core.scenario_builder import Pod, Work, noise, scenario
from tests.support.core.scenarios import STEPS, etl, measured, resources

LIMIT = 2048.0
RUNS = 42


def found(peak: Callable[[int], float], request: str = "2Gi") -> list[Recommendation]:
    """What is recommended for ``transform`` whose runs peak at ``peak`` of the limit of 2Gi, with 1% of noise."""
    sizes = {"2Gi": 2048.0, "1Gi": 1024.0}
    limited = resources(requests={"cpu": "1", "memory": request}, limits={"memory": "2Gi"})
    value = noise(spread=0.01)

    def work(i: int) -> Work:
        own = measured(
            memory_request=sizes[request] * MI,
            memory_limit=LIMIT * MI,
            memory_sampled_peak=min(peak(i) * value(100.0) / 100.0, 0.999) * LIMIT * MI,
        )
        pods = {n: Pod(value(s), containers=measured(memory_sampled_peak=960 * MI)) for n, s in STEPS.items()}
        return pods | {"transform": Pod(value(STEPS["transform"]), containers=own)}

    return scenario(etl(transform=limited), RUNS, work).recommended("memory-request")


def test_a_limit_that_growing_peaks_will_reach_is_raised_before_runs_are_killed() -> None:
    (item,) = found(lambda i: 0.75 + 0.2 * i / RUNS)
    assert item.action.startswith("Raise memory limit of transform: 2Gi -> 3Gi; growing peaks reach it on 20")
    assert item.category is Category.RELIABILITY
    assert [e.pointer.rpartition("/resources/")[2] for e in item.edits] == ["requests/memory", "limits/memory"]
    failed = item.impact.failed_runs
    assert failed is not None
    assert failed.low == 0.0 < failed.likely < failed.high <= 90.0  # three runs a day
    assert not item.automatic


def test_a_smaller_request_stays_as_it_is() -> None:
    items = found(lambda i: 0.75 + 0.2 * i / RUNS, "1Gi")
    assert [e.pointer.rpartition("/resources/")[2] for item in items for e in item.edits] == ["limits/memory"]


@pytest.mark.parametrize(
    "peak",
    [
        lambda _: 0.95,  # close to the limit, and stays there
        lambda i: 0.3 + 0.2 * i / RUNS,  # the limit is far
        lambda i: 0.75 if i < RUNS / 2 else 0.93,  # a single step
    ],
)
def test_peaks_that_do_not_reach_the_limit_soon_leave_it_as_it_is(peak: Callable[[int], float]) -> None:
    assert found(peak) == []
