"""Since when runs fail more often, at which step, and that chance alone is not taken for it."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from concertmaster.core.analysis.failures import success_drop
from concertmaster.core.analysis.insights import insights
from concertmaster.core.analysis.objectives import Trend
from concertmaster.core.analysis.workflow import Analysis
from concertmaster.core.stats.exact import shift
from concertmaster.report.status.insights import sentences
from tests.support.core import scenario_builder as builder
from tests.support.core import scenarios


def analyzed(failing: Sequence[int], count: int = 42) -> Analysis:
    """Runs of which these fail at transform."""

    def work(i: int) -> builder.Work:
        pod = builder.Pod(300.0, fails="Error" if i in failing else None)
        return {"extract": 60.0, "transform": pod, "load": 30.0}

    return builder.scenario(scenarios.etl(), count, work).analysis()


def test_a_rate_of_failures_that_rises_has_a_date_and_a_step() -> None:
    """28 of 28 well, then 4 of 14 failing: half against half hides it."""
    analysis = analyzed((29, 33, 36, 40))
    assert next(o for o in analysis.objectives if o.name == "success").trend is Trend.DEGRADING
    drop = insights(analysis).drop
    assert drop is not None and drop.time == analysis.runs[29].end
    assert (drop.before, drop.after, drop.step) == ((0, 29), (4, 13), "transform")
    (line,) = [s for s in sentences(insights(analysis), 38) if "failed since" in s]
    assert line.startswith("4 of 13 runs failed since ") and line.endswith(
        ", most of them at transform; before, 0 of 29"
    )


@pytest.mark.parametrize("failing", [(), (3, 12, 25, 39), (1, 2, 5, 7)])
def test_steady_passing_and_mended_failures_are_no_drop(failing: Sequence[int]) -> None:
    assert success_drop(analyzed(failing).runs) is None


def test_three_looks_keep_the_level() -> None:
    chance = random.Random(7)
    wrong = sum(shift([chance.random() < 0.85 for _ in range(60)], 0.05) is not None for _ in range(400))
    assert wrong <= 0.05 * 400
