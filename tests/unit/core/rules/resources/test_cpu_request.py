"""``cpu-request``: what a raised CPU limit gains is bounded by what was seen."""

from __future__ import annotations

import pytest

from tests.support.core import scenarios
from tests.support.core.scenario_builder import Pod, Work, noise, scenario
from tests.support.core.scenarios import STEPS, etl, measured, resources


def test_a_limit_that_is_used_up_lacks_more_than_the_throttled_periods() -> None:
    item = scenarios.cpu_request().one("cpu-request")
    assert item.gain_seconds is not None
    amdahl, most = 300 * (0.4 - 0.4 / 1.7), 300 * 0.4
    assert item.gain_seconds.low == pytest.approx(amdahl / 2, rel=0.05)
    assert item.gain_seconds.likely == pytest.approx(most, rel=0.05)
    assert item.gain_seconds.high == pytest.approx(300 * (1 - 1 / 1.75), rel=0.05)  # all of the step by the new limit


def test_bursts_below_the_limit_on_average_gain_what_was_throttled() -> None:
    limited = resources(requests={"cpu": "1", "memory": "1Gi"}, limits={"cpu": "1"})
    value = noise()

    def work(_: int) -> Work:
        seconds = value(300)
        bursts = measured(cpu_limit=1.0, throttled_share=0.4, cpu_seconds=0.5 * seconds, cpu_sampled_seconds=seconds)
        return {n: Pod(seconds, containers=bursts) if n == "transform" else value(s) for n, s in STEPS.items()}

    item = scenario(etl(transform=limited), 42, work).one("cpu-request")
    assert item.gain_seconds is not None
    assert item.gain_seconds.likely == pytest.approx(300 * (0.4 - 0.4 / 1.7), rel=0.05)
