"""What drives a step: relations that were put in are found, and nothing is found where there is none."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest

from concertmaster.core.analysis.drivers import (
    days_last_until,
    input_effect,
    memory_lasts_until,
    succeeded,
    width_effect,
)
from concertmaster.core.analysis.insights import insights
from concertmaster.core.analysis.runs.figures import RunFigures
from concertmaster.core.analysis.workflow import analyze
from concertmaster.core.model import RunRecord
from concertmaster.report.status.insights import sentences
from tests.support.builders import DAY, MI, NOW, container, definition, run, step
from tests.support.core.scenario_builder import Pod, argo, scenario, task

ONE = definition(step("load"))
GI = 1024 * MI


def _sized(count: int, follows: bool, seed: int = 3) -> list[RunRecord]:
    chance = random.Random(seed)
    found = []
    for i in range(count):
        size = chance.uniform(1, 8) * GI
        seconds = (30 + 20 * size / GI if follows else 120.0) * chance.lognormvariate(0, 0.03)
        peak = (200 * MI + 100 * MI * size / GI) if follows else 400 * MI
        record = run(
            ONE.graph,
            {"load": seconds},
            number=i,
            start=NOW - (count - i) * DAY / 4,
            containers=lambda _, peak=peak: (container(memory_sampled_peak=peak),),  # type: ignore[misc]
        )
        found.append(replace(record, steps=tuple(replace(e, input_size=size) for e in record.steps)))
    return found


def test_time_and_memory_over_the_input() -> None:
    found = input_effect(succeeded(_sized(40, follows=True), RunFigures()), "load")
    assert found is not None
    assert found.seconds[0] == pytest.approx(30 + 20 * found.usual_input / GI, rel=0.1)
    assert found.seconds[1] == pytest.approx(30 + 20 * found.largest_input / GI, rel=0.1)
    assert found.memory is not None
    assert found.memory[1] == pytest.approx(200 * MI + 100 * MI * found.largest_input / GI, rel=0.1)


def test_a_step_that_does_not_follow_its_input_is_not_said_to() -> None:
    assert input_effect(succeeded(_sized(40, follows=False), RunFigures()), "load") is None
    assert input_effect(succeeded(_sized(5, follows=True), RunFigures()), "load") is None
    unknown = [replace(r, steps=tuple(replace(e, input_size=None) for e in r.steps)) for r in _sized(40, follows=True)]
    assert input_effect(succeeded(unknown, RunFigures()), "load") is None


def test_inputs_of_next_to_nothing_are_none() -> None:
    """A query divided by something large: no power of ten is as small, and the workflow had no analysis."""
    runs = _sized(40, follows=True)
    for i in range(0, 40, 2):
        (own,) = runs[i].steps
        small = replace(own, input_size=5e-324, containers=(container(memory_sampled_peak=100 * MI),))
        runs[i] = replace(runs[i], steps=(small,))
    (effect,) = insights(analyze(ONE, runs, now=NOW)).inputs
    assert effect.sizes[0][0] == 0.0
    assert effect.sizes[-1][0] > 7 * GI


def _wide(pods: list[int], seconds: dict[int, float]) -> list[RunRecord]:
    chance = random.Random(4)
    found = []
    for i, width in enumerate(pods):
        record = run(
            ONE.graph,
            {"load": seconds[width] * chance.lognormvariate(0, 0.02)},
            number=i,
            start=NOW - (60 - i) * DAY / 8,
        )
        (first,) = record.steps
        items = tuple(replace(first, item=str(n), uid=f"{first.uid}-{n}", pod=f"{first.pod}-{n}") for n in range(width))
        found.append(replace(record, steps=items))
    return found


def test_the_number_of_pods_that_pays() -> None:
    runs = _wide([2, 4, 8] * 6, {2: 620.0, 4: 320.0, 8: 170.0})
    found = width_effect(succeeded(runs, RunFigures()), "load")
    assert found is not None
    assert found.measured == (2, 4, 8)
    assert found.usual_pods == 4
    assert found.usual_seconds == pytest.approx(320, rel=0.05)
    assert found.recommended.workers is not None
    assert found.recommended.workers >= 8
    assert width_effect(succeeded(_wide([4] * 20, {4: 320.0}), RunFigures()), "load") is None
    assert width_effect(succeeded(_wide([2, 4, 8] * 6, {2: 300.0, 4: 300.0, 8: 300.0}), RunFigures()), "load") is None


def test_more_items_are_more_work_and_no_reason_for_longer_runs() -> None:
    """Each pod takes a minute, ten at a time: with 60 of them a run takes six minutes, and not because of their number."""
    chance = random.Random(4)
    widths = [chance.choice([5, 20, 60, 120]) for _ in range(40)]
    work = {"load": [60.0 * chance.lognormvariate(0, 0.1) for _ in range(120)]}
    made = scenario(
        argo(task("load"), parallelism=10), 40, lambda i: {"load": [Pod(s) for s in work["load"][: widths[i]]]}
    )
    analysis = made.analysis()
    assert width_effect(succeeded(analysis.runs, RunFigures()), "load") is None


def test_a_number_of_pods_that_follows_the_items_is_no_effect() -> None:
    """With more items the step has more pods and takes longer: fewer pods would not make it faster."""
    chance = random.Random(5)
    runs = []
    for width in [2, 3, 5, 8, 12, 20] * 5:
        (record,) = _wide([width], {width: 60.0})
        rows = []
        for i, e in enumerate(record.steps):  # four at a time
            started = (e.started or 0.0) + 60.0 * (i // 4)
            rows.append(replace(e, started=started, finished=started + 60.0 * chance.lognormvariate(0, 0.3)))
        runs.append(replace(record, steps=tuple(rows)))
    assert width_effect(succeeded(runs, RunFigures()), "load") is None


def test_both_are_reported_in_words() -> None:
    lines = sentences(insights(analyze(ONE, _sized(40, follows=True), now=NOW)), 40)
    assert any("load follows its input (40 executions)" in line for line in lines)
    wide = analyze(ONE, _wide([2, 4, 8] * 6, {2: 620.0, 4: 320.0, 8: 170.0}), now=NOW)
    assert any("load ran with 2 to 8 pods" in line for line in sentences(insights(wide), 18))


RATE, ROOM = 0.06, 1.6  # growth a day, and the size over the largest peak so far
LASTS = math.log(ROOM) / math.log(1.0 + RATE)
"""Days: growth by the same bytes a day would take a third longer."""


def test_a_size_lasts_until_growth_by_a_share_a_day_reaches_it() -> None:
    chance, last = random.Random(3), 20_013
    by_day = {last - ago: 1e9 * (1.0 + RATE) ** (13 - ago) * chance.lognormvariate(0, 0.005) for ago in range(14)}
    until = days_last_until(by_day, ROOM * by_day[last])
    assert until is not None
    assert until / DAY - last - 1 == pytest.approx(LASTS, rel=0.1)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("empty", [0, 3])
def test_a_size_lasts_until_growth_from_run_to_run_reaches_it(empty: int) -> None:
    """Also where the samples of the first runs are of 0 bytes."""
    found, chance = [], random.Random(4)
    for i in range(28):
        at, peak = NOW - (28 - i) * DAY / 2, GI * (1.0 + RATE) ** (i / 2) * chance.lognormvariate(0, 0.005)
        sampled = (container(memory_sampled_peak=peak if i >= empty else 0.0),)
        found.append(run(ONE.graph, {"load": 60.0}, number=i, start=at, containers=lambda _, c=sampled: c))  # type: ignore[misc]
    analysis = analyze(ONE, found, now=NOW)
    ((used,),) = (step.containers for step in analysis.steps)
    until = memory_lasts_until(used, ROOM * peak, analysis.options)
    assert until is not None
    assert (until - NOW) / DAY == pytest.approx(LASTS - 0.5, rel=0.1)
