"""``variance``: unsteady steps with what sets the slow ones apart; spread that inputs explain is no fault."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime

import pytest

from concertmaster.core.times import utc
from tests.support.builders import DAY, container
from tests.support.core import scenarios
from tests.support.core.scenario_builder import Pod, Scenario, argo, noise, scenario, task

ONE = argo(task("load"), task("tell", "load"))


def test_measures_what_steadiness_is_worth_and_names_the_node() -> None:
    item = scenarios.variance().one("variance")
    assert item.id == "variance.transform"
    assert "100% of the slow ones ran on node node-b-7, 0% of the others" in item.because
    assert item.gain_seconds is not None
    assert item.gain_seconds.likely == pytest.approx(0.5 * 8 / 42 * 800, rel=0.1)
    assert "p95 of the run 5m" in item.expected


def test_a_node_is_named_that_a_few_others_ran_on_too() -> None:
    def work(i: int) -> dict[str, Pod | float]:
        slow = i % 4 == 0
        on = i != 4 if slow else i == 5
        return {"load": Pod(900 if slow else 200, node="node-b-7" if on else f"node-a-{i % 5}"), "tell": 10.0}

    because = scenario(ONE, 40, work).one("variance").because
    assert because.endswith("90% of the slow ones ran on node node-b-7, 3% of the others")


def _at_times(every: float, slow: Callable[[datetime], bool], days: float = 14) -> Scenario:
    """Runs of so many days that take 25 minutes instead of three at these times."""
    count, value = int(days * DAY / every), noise(spread=0.1)
    starts = [utc(r.start or 0.0) for r in scenario(ONE, count, lambda _: {"load": 1.0}, every=every).runs]

    def work(i: int) -> dict[str, Pod | float]:
        return {"load": Pod(value(1500 if slow(starts[i]) else 200), node=f"node-{i % 5}"), "tell": 10.0}

    return scenario(ONE, count, work, every=every)


@pytest.mark.parametrize(
    ("every", "slow", "clause"),
    [
        (
            DAY / 4,
            lambda t: t.hour < 6 and t.day % 2,
            "were in runs that began between 02:00 and 03:00 UTC, 14% of the others",
        ),
        (
            DAY / 4,
            lambda t: t.weekday() == 0 and t.hour < 12,
            "were in runs that began on a Monday (UTC), 8% of the others",
        ),
        (DAY / 8, lambda t: t.day == 2, "were in runs that began on 2025-10-02 (UTC), 0% of the others"),
    ],
)
def test_the_hour_and_the_day_are_named(every: float, slow: Callable[[datetime], bool], clause: str) -> None:
    """Half of the nights, or of Mondays, are slow; or something happened on one day."""
    assert _at_times(every, slow).one("variance").because.endswith(f"; 100% of the slow ones {clause}")


@pytest.mark.parametrize(
    ("every", "slow"),
    [
        pytest.param(DAY / 4, lambda t: t.hour < 6, id="the full load of every night"),
        pytest.param(DAY / 24, lambda t: t.hour == 3, id="of an hourly workflow"),
        pytest.param(DAY / 4, lambda t: t.weekday() == 0, id="of Mondays"),
        pytest.param(DAY, lambda t: t.weekday() == 0, id="of a daily workflow"),
        pytest.param(DAY / 24, lambda t: t.weekday() == 5 and t.hour == 3, id="of one hour of the week"),
        pytest.param(DAY / 24, lambda t: 8 <= t.hour < 18, id="the traffic of the day"),
        pytest.param(DAY / 24, lambda t: t.hour % 2 == 0, id="a large part in even hours"),
    ],
)
def test_a_rhythm_is_no_variance(every: float, slow: Callable[[datetime], bool]) -> None:
    assert _at_times(every, slow).recommended("variance") == []


def test_hours_of_a_single_day_are_no_rhythm() -> None:
    """Runs every five minutes, of which a day's are known: what takes some hours may be over tomorrow."""
    assert _at_times(DAY / 288, lambda t: t.hour % 3 == 0, days=0.7).recommended("variance")


def test_what_few_slow_ones_share_by_chance_is_not_named() -> None:
    def work(i: int) -> dict[str, Pod | float]:
        return {"load": Pod(900 if i in (2, 8, 13) else 200, node=f"node-{i % 6}"), "tell": 10.0}

    because = scenario(ONE, 18, work, every=DAY / 2).one("variance").because
    assert because.endswith("3 of 18 take twice the median or more; no recorded property explains them")


def test_throttling_is_named() -> None:
    def work(i: int) -> dict[str, Pod | float]:
        slow = i % 4 == 0
        facts = (container(throttled_share=0.5 if slow else 0.0, cpu_limit=1.0),)
        return {"load": Pod(900 if slow else 200, containers=facts), "tell": 10.0}

    assert (
        "100% of the slow ones were throttled by the CPU limit, 0% of the others"
        in scenario(ONE, 40, work).one("variance").because
    )


@pytest.mark.parametrize(
    ("images", "named"), [(lambda i, slow: f"etl:{1 + slow}", True), (lambda i, slow: f"etl:{i}", False)]
)
def test_an_image_is_named_unless_each_run_has_its_own(images: Callable[[int, bool], str], named: bool) -> None:
    def work(i: int) -> dict[str, Pod | float]:
        slow = i in (3, 4, 13, 18, 22, 27, 31, 36)
        return {"load": Pod(900 if slow else 200, containers=(container(image=images(i, slow)),)), "tell": 10.0}

    because = scenario(ONE, 40, work).one("variance").because
    assert ("100% of the slow ones ran image etl:2, 0% of the others" in because) is named
    assert ("image" in because) is named


def test_spread_that_input_sizes_explain_is_silent() -> None:
    chance, value = random.Random(1), noise(spread=0.05)

    def work(_: int) -> dict[str, Pod | float]:
        size = chance.lognormvariate(0, 0.8)
        return {"load": Pod(value(200 * size), size=1e6 * size), "tell": 10.0}

    assert scenario(ONE, 40, work).recommended("variance") == []


def test_spread_of_a_few_full_loads_that_input_sizes_explain_is_silent() -> None:
    """On logarithms the many small ones outweigh them, and inputs seem to explain little."""
    value = noise(3, spread=0.35)

    def work(i: int) -> dict[str, Pod | float]:
        full = i % 9 == 0
        return {"load": Pod(value(2000) if full else value(200), size=1e10 if full else 1e9), "tell": 10.0}

    assert scenario(ONE, 60, work).recommended("variance") == []


def test_a_single_slow_run_is_no_variance() -> None:
    """A second one is: nothing else is known of what varies."""

    def found(*slow: int) -> int:
        value = noise(spread=0.2)
        runs = scenario(ONE, 16, lambda i: {"load": value(200) * (8 if i in slow else 1), "tell": 10.0})
        return len(runs.recommended("variance"))

    assert found(9) == 0
    assert found(4, 9) == 1


def test_steady_steps_and_those_off_the_path_are_silent() -> None:
    value = noise(spread=0.2)
    assert scenario(ONE, 40, lambda _: {"load": value(200), "tell": 10.0}).recommended("variance") == []
    beside = argo(task("load"), task("train"))
    assert (
        scenario(beside, 40, lambda i: {"load": 100 if i % 4 else 600, "train": value(5000)}).recommended("variance")
        == []
    )


def test_a_spread_that_few_runs_show_by_accident_is_silent() -> None:
    """Of steps whose run times vary by 40%, none is reported, however few runs there are."""
    found = []
    for seed in range(20):
        value = noise(seed, spread=0.385)

        def work(_: int, value: Callable[[float], float] = value) -> dict[str, Pod | float]:
            return {"load": value(200), "tell": 10.0}

        found += scenario(ONE, 14 if seed % 2 else 28, work).recommended("variance")
    assert found == []


def test_an_hour_of_slow_runs_that_is_over_is_silent() -> None:
    """Every five minutes for 17 hours: each hour is seen once, so it is no rhythm either."""
    assert _at_times(DAY / 288, lambda t: t.hour == 4, days=0.7).recommended("variance") == []
