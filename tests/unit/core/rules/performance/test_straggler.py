"""``straggler``: fires on an uneven fan-out with its cause, not on one that is slow as a whole."""

from __future__ import annotations

import random

import pytest

from concertmaster.core.text import duration
from tests.support.builders import DAY
from tests.support.core import scenarios
from tests.support.core.scenario_builder import Pod, argo, noise, scenario, task

WIDE = argo(task("search", withItems=list("abcdefgh")))


def test_names_the_item_its_input_and_the_gain_of_balance() -> None:
    item = scenarios.straggler().one("straggler")
    assert item.id == "straggler.search"
    assert "4.0 times as long as the median one" in item.because
    assert "item 2 is the last in 100% of them, with 4.0 times the input" in item.because
    assert item.gain_seconds is not None
    assert item.gain_seconds.likely == pytest.approx(400 - 125, rel=0.05)  # down to 1.25 times the median of 100 s
    assert "split item 2" in item.action
    longer = duration(item.gain_seconds.likely)
    assert item.otherwise == f"runs stay longer than with balanced items, by {longer} on average"


def test_groups_of_a_nested_fan_out_are_compared_each_for_itself() -> None:
    """Beside the small items of one group all of another look like stragglers."""
    value = noise()

    def work(_: int) -> dict[str, list[Pod]]:
        usual = {"0:small": 20, "1:large": 100}
        return {
            "search": [
                Pod(value(4 * seconds if k == 3 else seconds), item=f"{group} / {k}:x")
                for group, seconds in usual.items()
                for k in range(4)
            ]
        }

    item = scenario(WIDE, 30, work).one("straggler")
    assert "item 3:x is the last in 100% of them" in item.because
    assert item.gain_seconds is not None
    assert item.gain_seconds.likely == pytest.approx(400 - 125, rel=0.05)


def test_a_group_beside_even_ones_is_named_with_its_item() -> None:
    """Also where a limit has the groups run one after another, so that its end is not the last."""
    value = noise()

    def work(_: int) -> dict[str, list[Pod]]:
        return {
            "search": [
                Pod(value(400 if (group, k) == ("0:a", 3) else 100), item=f"{group} / {k}:x")
                for group in ("0:a", "1:b", "2:c")
                for k in range(4)
            ]
        }

    item = scenario(argo(task("search", withItems=list("abc")), parallelism=4), 30, work).one("straggler")
    assert "4.0 times as long as the median one" in item.because
    assert "item 0:a / 3:x is the last in 100% of them" in item.because


def test_items_may_themselves_look_like_nested_ones() -> None:
    value = noise()

    def work(_: int) -> dict[str, list[Pod]]:
        texts = ("0:eu / full", "1:us / full", "2:asia / full", "3:africa / full")
        return {"search": [Pod(value(400 if "asia" in text else 100), item=text) for text in texts]}

    assert "item 2:asia / full is the last in 100% of them" in scenario(WIDE, 30, work).one("straggler").because


def test_another_item_each_time_has_no_common_cause() -> None:
    value, chance = noise(), random.Random(3)

    def work(_: int) -> dict[str, list[Pod]]:
        slow = chance.randrange(8)
        return {"search": [Pod(value(400 if k == slow else 100), node=f"n-{chance.randrange(9)}") for k in range(8)]}

    assert "no single item or node explains them" in scenario(WIDE, 30, work).one("straggler").because


def test_the_only_node_is_not_blamed() -> None:
    value, chance = noise(), random.Random(3)

    def work(_: int) -> dict[str, list[Pod]]:
        slow = chance.randrange(8)
        return {"search": [Pod(value(400 if k == slow else 100), node="n-0") for k in range(8)]}

    assert "n-0" not in scenario(WIDE, 30, work).one("straggler").action


def test_an_evenly_slow_fan_out_is_silent() -> None:
    value = noise(spread=0.2)
    assert scenario(WIDE, 30, lambda _: {"search": [value(900) for _ in range(8)]}).recommended("straggler") == []


def test_a_straggler_beside_a_longer_step_gains_nothing() -> None:
    of = argo(task("search", withItems=list("abcd")), task("train"))
    value = noise()
    both = scenario(
        of, 30, lambda _: {"search": [value(100), value(100), value(100), value(400)], "train": value(2000)}
    )
    assert both.recommended("straggler") == []


def test_rare_stragglers_are_silent_and_the_threshold_a_setting() -> None:
    value = noise()
    rare = scenario(WIDE, 40, lambda i: {"search": [value(800 if k == 0 and i % 5 == 0 else 100) for k in range(8)]})
    assert rare.recommended("straggler") == []
    assert len(rare.recommended("straggler", minRunsPercent="10")) == 1


@pytest.mark.parametrize(("until", "published"), [(84, True), (54, False)])
def test_stragglers_that_are_over_are_not_reported(until: int, published: bool) -> None:
    """They were in three of five runs, too few for a change of the run time to be seen."""
    value, chance = noise(spread=0.1), random.Random(5)

    def work(i: int) -> dict[str, list[Pod]]:
        slow = i < until and chance.random() < 0.6
        return {"search": [Pod(value(300 if k == 3 and slow else 100)) for k in range(8)]}

    assert bool(scenario(WIDE, 84, work, every=DAY / 6).recommended("straggler")) is published
