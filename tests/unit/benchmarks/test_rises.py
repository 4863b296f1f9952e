"""Workflows that become slower: histories are what their plan says, and wrong reports and dates are counted as wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.series.law import DAY, generator
from benchmarks.series.rises import score
from benchmarks.series.rises.analyses import Reported, Workflow, reported, workflow
from benchmarks.series.rises.kinds import BY_NAME, KINDS
from benchmarks.series.rises.law import SPAN, Rise, history
from benchmarks.series.rises.report import lines
from benchmarks.series.tally import Key, Tally
from concertmaster.core.model import Recommendation
from tests.support.core.change_samples import recommended

STEP, GROWTH = BY_NAME["one step"], BY_NAME["growth within"]


@pytest.mark.parametrize("rise", KINDS, ids=lambda kind: kind.name)
def test_levels_change_when_the_plan_says(rise: Rise) -> None:
    for seed in range(10):
        plan = rise.plan(generator("test", seed))
        days = np.linspace(0.0, SPAN, 1401)
        level = plan.level(days)
        assert level[0] == 1.0
        assert bool(level[-1] > 1.05) is rise.rises
        for step in plan.steps:
            assert level[days < step][-1] < level[days >= step][0]
        if plan.growth is not None and not plan.steps:
            grows = days[1:][np.diff(level) > 0]
            assert (grows[0], grows[-1]) == pytest.approx(plan.growth, abs=0.02)


def test_loads_follow_the_level_and_known_inputs() -> None:
    of = history(BY_NAME["step, inputs"], generator("test", 3), before=0.0, after=SPAN)
    assert of.inputs is not None
    later = of.times >= of.at(of.plan.steps[0])
    rate = of.load / (0.2 + 0.8 * of.inputs / 1e9)
    factor = float(of.plan.level(np.asarray([SPAN]))[0])
    assert np.median(rate[later]) / np.median(rate[~later]) == pytest.approx(factor, rel=0.1)
    assert np.median(of.inputs[later]) > np.median(of.inputs[~later])
    runs = workflow(of, 3).runs
    assert [run.input_total for run in runs] == pytest.approx([2 * size for size in of.inputs])
    assert all(run.input_total is None for run in workflow(replace(of, inputs=None), 3).runs)


def test_equal_seeds_yield_equal_figures() -> None:
    first, same, other = (score.judge("growth", seed).rows() for seed in (4, 4, 8))
    assert first == same != other


def test_a_step_is_reported_with_its_date_and_its_absence_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    found = score.judge("one step", 4)
    assert found.share("reported").percent == found.share("date").percent == 100.0
    monkeypatch.setattr(Workflow, "analyze", lambda *_: None)
    missed = score.judge("one step", 4)
    assert missed.share("reported").percent == missed.share("published").percent == 0.0
    assert missed.share("date").cases == 0


def test_dates_that_are_off_are_wrong() -> None:
    of = history(STEP, generator("test", 1), before=0.0, after=SPAN)
    (step,) = of.plan.steps
    for apart, by_day, right in [
        (0.0, False, True), (of.every / DAY, False, True), (1.0, False, False), (-1.0, False, False),
        (-0.9, True, True), (0.4, True, True), (0.6, True, False), (-1.6, True, False),
    ]:  # fmt: skip
        assert score.right(of, Reported("degradation", of.at(step + apart), by_day, None)) is right, (apart, by_day)
    of = history(GROWTH, generator("test", 1), before=0.0, after=SPAN)
    first, last = of.plan.growth or (0.0, 0.0)
    assert score.right(of, Reported("degradation", of.at(first + 0.4), False, None))
    assert not score.right(of, Reported("degradation", of.at((first + last) / 2), False, None))


def test_what_comes_and_goes_from_day_to_day_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Reported("degradation", 1e9, False, None)
    gradual, later = replace(one, since=None), replace(one, since=1e9 + DAY)
    days = [None, one, None, one, replace(one, id="degradation.work"), gradual, later, None]
    seen = iter([None, *days, *[None] * 40])
    monkeypatch.setattr(Workflow, "analyze", lambda *_: next(seen))
    tally = score.judge("steady", 4)
    assert tally.share("published").hits == 5
    assert tally.share("gone and back").hits == 1
    assert (tally.share("other id").hits, tally.share("other id").cases) == (2, 3)
    assert tally.share("other words").hits == 2
    assert (tally.share("other date").hits, tally.share("other date").cases) == (0, 1)


def test_words_of_a_recommendation_are_read() -> None:
    item = _recommendation("Investigate regression in work since 2025-10-15 14:30 UTC (+31%)", "since")
    assert reported(item) == Reported("degradation.work", 1760538600.0, False, None)
    item = _recommendation("Investigate regression in work since 2025-10-15 (+31%)", "since")
    assert reported(item) == Reported("degradation.work", 1760486400.0, True, None)
    between = "; gradual increase between about 2025-10-15 14:30 UTC and 2025-10-16 14:30 UTC: work"
    item = _recommendation("Investigate gradual regression in work (+31%)", between)
    assert reported(item) == Reported("degradation.work", None, False, (1760538600.0, 1760625000.0))


def _recommendation(action: str, because: str) -> Recommendation:
    return replace(recommended(), id="degradation.work", rule="degradation", action=action, because=because)


def test_the_page_has_a_row_for_every_law() -> None:
    tally = Tally()
    for kind in KINDS:
        tally.add(Key(kind.name, "reported" if kind.rises else "false", ""), True)
    made = lines({"seeds": 8, "rows": tally.rows()})
    assert sum(line.startswith("|") for line in made) == len(KINDS) + 4
    assert "| one step: 20 to 120% | 1 of 1 | - | - | - | - | - | - | - | - |" in made
    assert "| steady: nothing changes | 1 of 1 | - | - |" in made
