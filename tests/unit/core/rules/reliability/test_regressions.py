"""Which rises of the run time are no regressions: the end of a dip, what is over again, and the slope of a day; and which
have no time at which they happened."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from statistics import median

import pytest

from concertmaster.core.changepoint.clear import lasting_increase
from concertmaster.core.model import RunRecord
from concertmaster.core.times import weekend
from tests.support.builders import DAY, NOW, container
from tests.support.core.scenario_builder import Pod, Scenario, argo, noise, scenario, task
from tests.support.core.scenarios import etl

_ONE = argo(task("load"))
_PER_DAY = 4


def _levels(*stretches: tuple[float, float], seed: int = 1) -> Scenario:
    """Every six hours for 14 days: (days, seconds) one after the other."""
    value = noise(seed, spread=0.08)
    seconds = [level for days, level in stretches for _ in range(round(days * _PER_DAY))]
    assert len(seconds) == 14 * _PER_DAY
    return scenario(_ONE, len(seconds), lambda i: {"load": value(seconds[i])}, every=DAY / _PER_DAY)


def _holiday(image: bool = False) -> Scenario:
    """Every two hours, less at weekends, and half as much on three days a week ago; they may end with another image."""
    value, count = noise(0, spread=0.12), 168

    def work(i: int) -> dict[str, Pod]:
        at = NOW - (count - i) * DAY / 12
        off = 0.45 if 5 * DAY < NOW - at <= 8 * DAY else 1.0
        name = f"registry.example/etl:{2 if image and NOW - at <= 5 * DAY else 1}"
        facts = (container(image=name, cpu_sampled_seconds=None, cpu_seconds=None),)
        return {"load": Pod(value(600 * (0.6 if weekend(at) else 1.0) * off), containers=facts)}

    return scenario(_ONE, count, work, every=DAY / 12)


@pytest.mark.parametrize("days", [1, 2])
def test_days_that_are_busy_each_week_are_no_regression(days: int) -> None:
    """Hourly; the last days of the window, and the same ones a week before, take almost twice as long."""
    value, count = noise(2, spread=0.05), 14 * 24
    made = scenario(
        _ONE, count, lambda i: {"load": value(540 if (count - 1 - i) // 24 % 7 < days else 300)}, every=DAY / 24
    )
    assert made.analysis().trend.points, "the case must tempt the rule"
    assert made.recommended("degradation") == []


def test_the_end_of_a_holiday_is_no_regression() -> None:
    made = _holiday()
    fall, rise, _ = made.analysis().trend.points
    assert fall.ratio < 0.6, "the case must tempt the rule"
    assert rise.ratio > 1.6, "the case must tempt the rule"
    assert made.recommended("degradation") == []


def test_a_rise_with_a_change_of_the_image_is_one() -> None:
    """What ended the dip is known then."""
    assert "changed at the same time: image of load" in _holiday(image=True).one("degradation").because


def test_the_end_of_what_lasted_longer_than_what_was_before_is_one() -> None:
    assert _levels((3, 600), (7, 300), (4, 600)).one("degradation").id == "degradation.load"


def test_a_rise_above_the_level_before_the_dip_is_one() -> None:
    assert _levels((7, 600), (3, 300), (4, 900)).one("degradation").id == "degradation.load"


@pytest.mark.parametrize(("back", "found"), [(2, 1), (5, 0)])
def test_a_rise_that_is_over_again_is_none(back: int, found: int) -> None:
    """The newest runs are as they were: two are too few for that, and five are a fall."""
    value, count = noise(spread=0.15), 56
    up = dict.fromkeys(range(32, count - back), 1.8)
    made = scenario(_ONE, count, lambda i: {"load": value(300 * up.get(i, 1.0))}, every=DAY / 4)
    assert len(made.recommended("degradation")) == found


@pytest.mark.parametrize(("hour", "seed"), [(16, 1), (18, 0), (18, 3), (19, 3), (22, 0), (23, 0)])
def test_the_slope_of_the_morning_is_no_step(hour: int, seed: int) -> None:
    """Every five minutes for 17 hours from ``hour`` on: in the morning, runs get longer from hour to hour."""
    value, first = noise(seed, spread=0.12), NOW // DAY * DAY - 5 * DAY + hour * DAY / 24
    starts = [first + 300 * i for i in range(200)]

    def work(i: int) -> dict[str, float]:
        return {"load": value(60 * (1.0 + 0.6 * math.sin(2.0 * math.pi * (starts[i] / DAY - 1 / 3))))}

    made = scenario(_ONE, 200, work, every=300)
    runs = tuple(_moved(run, start) for run, start in zip(made.runs, starts, strict=True))
    day = replace(made, runs=runs)
    assert day.analysis().trend.points, "the case must tempt the rule"
    assert day.recommended("degradation") == []


def _moved(run: RunRecord, start: float) -> RunRecord:
    by = start - (run.start or 0.0)
    times = ("ready", "created", "scheduled", "started", "finished")
    steps = tuple(replace(e, **{name: getattr(e, name) + by for name in times}) for e in run.steps)
    return replace(run, start=start, end=(run.end or 0.0) + by, steps=steps)


def _grown(seed: int, growth: float, jump: float = 1.0, released: bool = False) -> Scenario:
    """Every four hours for 14 days: so many times as long at the end, and ``jump`` times from the tenth day on, with a new
    image if it is ``released``."""
    value, count = noise(seed, spread=0.05), 84

    def work(i: int) -> dict[str, Pod]:
        new = i >= 60
        name = f"registry.example/etl:{2 if released and new else 1}"
        facts = (container(image=name, cpu_sampled_seconds=None, cpu_seconds=None),)
        return {"load": Pod(value(600 * growth ** (i / count) * (jump if new else 1.0)), containers=facts)}

    return scenario(_ONE, count, work, every=DAY / 6)


def test_steady_growth_has_no_time_at_which_something_happened() -> None:
    """The levels that it is cut into begin where chance has it."""
    items = [item for seed in range(8) for item in _grown(seed, 1.6).recommended("degradation")]
    assert len(items) > 4, "the cases must tempt the rule"
    gradual = [item for item in items if item.action.startswith("Investigate gradual regression in load (+")]
    assert len(gradual) >= 0.7 * len(items)
    for item in gradual:
        assert "; gradual increase between about 2025-" in item.because
        assert "changed at the same time" not in item.because


def test_gradual_growth_is_the_difference_of_the_newest_runs_to_those_before() -> None:
    """Not that of two levels next to each other."""
    made = _grown(1, 1.6)
    (*_, newest), item = made.analysis().trend.points, made.one("degradation")
    runs = [r.makespan or 0.0 for r in made.runs]
    at = next(i for i, r in enumerate(made.runs) if (r.end or 0.0) >= newest.time)
    rise = median(runs[at:]) / median(runs[:at]) - 1
    said = re.search(r"\(\+(\d+)%\)", item.action)
    assert said is not None
    assert float(said[1]) / 100 == pytest.approx(rise, abs=0.04)
    assert item.gain_share is not None
    assert item.gain_share.likely == pytest.approx(1 - 1 / (1 + rise), abs=0.05)


@pytest.mark.parametrize(("seed", "growth"), [(1, 1.3), (3, 1.35), (0, 1.4), (2, 1.5)])
def test_growth_in_pieces_that_are_too_small_each_is_gradual_as_a_whole(seed: int, growth: float) -> None:
    made = _grown(seed, growth)
    trend = made.analysis().trend
    assert lasting_increase(trend.points, 0.1) is None, "the case must tempt the rule"
    item = made.one("degradation")
    assert item.id == "degradation.load"
    assert item.action.startswith("Investigate gradual regression in load (+")


@pytest.mark.parametrize(("growth", "found"), [(1.0, range(1)), (1.4, range(9, 13))])
def test_growth_is_clear_by_all_runs_where_those_before_and_after_a_point_differ_less(
    growth: float, found: range
) -> None:
    def grown(seed: int) -> Scenario:
        value = noise(seed, spread=0.12)
        return scenario(_ONE, 56, lambda i: {"load": value(600 * growth ** (i / 56))}, every=DAY / 4)

    assert sum(len(grown(seed).recommended("degradation")) for seed in range(12)) in found


@pytest.mark.parametrize("released", [False, True])
def test_a_jump_among_growth_has_its_time(released: bool) -> None:
    for seed in range(8):
        made = _grown(seed, 1.2, 1.4, released)
        item = made.one("degradation")
        assert item.action.startswith("Investigate regression in load since 2025-"), seed
        assert ("changed at the same time: image of load" in item.because) is released


def _alternating(cut: int, back: int = 84) -> Scenario:
    """Every four hours a full load and an increment of a third in turn, with a step 1.5 times as long since ``cut``, until
    run ``back``."""
    value = noise(cut, spread=0.04)

    def work(i: int) -> dict[str, float]:
        share = 1.0 if i % 2 else 1 / 3
        usual = {"extract": 300, "transform": 1350 if cut <= i < back else 900, "load": 300}
        return {step: value(share * seconds) for step, seconds in usual.items()}

    return scenario(etl(), 84, work, every=DAY / 6)


@pytest.mark.parametrize("cut", [44, 45, 46, 47])
def test_a_regression_of_loads_that_alternate_is_found_whichever_has_one_run_more(cut: int) -> None:
    """The median of all runs is that of full loads or of increments."""
    item = _alternating(cut).one("degradation")
    assert item.id == "degradation.transform"
    was, now = re.findall(r"transform went from (\S+) to (\S+)", item.because)[0]
    assert _seconds(now) / _seconds(was) == pytest.approx(1.5, rel=0.1)
    was, now = re.findall(r"runs take (\S+) instead of (\S+)", item.because)[0][::-1]
    assert _seconds(now) / _seconds(was) == pytest.approx(1.3, rel=0.1)
    assert item.gain_share is not None
    assert item.gain_share.low <= 1 - 1500 / 1950 <= item.gain_share.high


@pytest.mark.parametrize("cut", [43, 45, 49, 57])
def test_medians_of_whole_days_are_called_so_and_hide_no_end(cut: int) -> None:
    """The newest runs belong to no whole day."""
    assert re.search(
        r"median of \d+ runs of whole days after against \d+ before", _alternating(cut).one("degradation").because
    )
    assert _alternating(cut, back=80).recommended("degradation") == []


def _seconds(shown: str) -> float:
    return sum(int(n) * {"h": 3600, "m": 60, "s": 1}[unit] for n, unit in re.findall(r"(\d+)([hms])", shown))
