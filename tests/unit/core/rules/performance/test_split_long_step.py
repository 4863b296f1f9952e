"""``split-long-step``: a busy single pod that is most of the run; not one that waits, and not a fan-out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from concertmaster.core.model.policy import Objectives, Quantiles
from tests.support.core import scenarios
from tests.support.core.scenario_builder import Pod, argo, noise, scenario, task
from tests.support.core.scenarios import etl, measured


def test_the_fewest_parts_that_gain_nearly_as_much() -> None:
    missed = Objectives(duration=Quantiles(p95=600.0))
    item = replace(scenarios.split_long_step(), objectives=missed).one("split-long-step")
    assert item.id == "split-long-step.transform"
    # 8 parts: 1200 s become 150 s of work beside the same start
    assert item.proposed == "8 pods"
    assert item.gain_seconds is not None
    assert item.gain_seconds.high == pytest.approx(1200 * 7 / 8, rel=0.05)
    assert item.gain_seconds.likely == pytest.approx(1200 / 2, rel=0.05)
    assert item.gain_seconds.low == 0.0
    assert "93% of the run" in item.because
    assert "on 0.9 cores while" in item.because


def test_without_a_missed_objective_it_is_a_bound_and_no_prediction() -> None:
    item = scenarios.split_long_step().one("split-long-step")
    assert item.gain_seconds is None
    assert item.minor


def test_waiting_steps_fan_outs_and_short_steps_are_silent() -> None:
    value = noise()
    idle = measured(cpu_seconds=30.0, cpu_sampled_seconds=1200.0)
    waits = scenario(
        etl(), 20, lambda _: {"extract": value(60), "transform": Pod(value(1200), containers=idle), "load": 30.0}
    )
    assert waits.recommended("split-long-step") == []
    wide = argo(task("work", withItems=list("abc")))
    assert scenario(wide, 20, lambda _: {"work": [value(900) for _ in range(3)]}).recommended("split-long-step") == []
    even = scenario(etl(), 20, lambda _: {n: value(60) for n in ("extract", "transform", "load")})
    assert even.recommended("split-long-step", minDragPercent="20", minSeconds="30") != []
    assert even.recommended("split-long-step", minDragPercent="20") == []
