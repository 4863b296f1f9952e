"""Published intervals against the runs to come."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.advice.ahead import Kept, effect_ahead, kept, lines, summary
from benchmarks.advice.kinds import KINDS, planted
from benchmarks.advice.plant import Plant
from benchmarks.advice.truth import worth


def _kind(name: str, seed: int = 1) -> Plant:
    return planted(seed, next(i for i, kind in enumerate(KINDS) if kind.__name__ == name))


def test_the_effect_to_come_is_that_of_other_random_events() -> None:
    plant = _kind("flaky")
    same, later = worth(plant).failed_runs, effect_ahead(plant, 8)
    share = plant.flow.step("load").transient
    by_law = share * 30 * 86400 / plant.flow.every
    assert later != same
    assert later == pytest.approx(by_law, rel=0.3)
    assert effect_ahead(plant, 8) == later


def test_an_effect_known_from_the_law_is_taken_from_it() -> None:
    assert effect_ahead(replace(_kind("flaky"), amount=7.0)) == 7.0


def test_an_interval_is_compared_with_the_effect_of_its_own_measure() -> None:
    row = kept(_kind("cpu_over"), 3)
    assert row is not None
    assert (row.rule, row.kind, row.bound) == ("right-size", "cpu-over", False)
    assert row.low <= row.likely <= row.high
    assert row.true == pytest.approx(row.likely, rel=0.2)


def test_what_is_published_without_an_effect_is_not_compared() -> None:
    assert kept(_kind("growth"), 1) is None


def test_a_row_for_each_rule_says_which_kind_is_worst_and_on_which_side() -> None:
    rows = [
        Kept("timeout", "tight", False, 1.0, 2.0, 3.0, 2.5),
        Kept("timeout", "tight", False, 1.0, 2.0, 3.0, 3.5),
        Kept("timeout", "other", False, 1.0, 2.0, 3.0, 1.0),
        Kept("timeout", "hang", True, 1.0, 2.0, 3.0, 0.5),
    ]
    plain, bound = summary(rows)
    assert (plain["cases"], plain["families"], plain["worst"], plain["worst_kept"]) == (3, 2, "tight", 50.0)
    assert plain["kept"] == pytest.approx(200 / 3)
    assert plain["larger"] == pytest.approx(100 / 3)
    assert (plain["smaller"], plain["width"]) == (0.0, 100.0)
    assert (bound["kept"], bound["smaller"]) == (0.0, 100.0)
    page = lines({"seeds": 1, "rules": [plain, bound], "daily": [plain]})
    assert "| timeout |  | 2 | 3 | 66.7% [25 92] | 0.0, 33.3% | 100 | tight 50% |" in page
    assert "| timeout | at most | 1 | 1 | 0.0% | 100.0, 0.0% | 100 | hang 0% |" in page
    assert "Of 3 intervals 66.7% hold it" in " ".join(page)
    assert "vary 3 times as much, so that the sampling error is most of each interval: of 3 intervals" in " ".join(page)


def test_runs_are_rarer_and_vary_more_and_nothing_else_differs() -> None:
    index = next(i for i, kind in enumerate(KINDS) if kind.__name__ == "cpu_over")
    usual, varying = planted(1, index), planted(1, index, variation=4.0, every=86400.0)
    assert varying.flow.every == 86400.0 != usual.flow.every
    assert varying.flow.noise == 4.0 * usual.flow.noise
    assert [s.cv for s in varying.flow.steps] == [4.0 * s.cv for s in usual.flow.steps]
    assert [s.seconds for s in varying.flow.steps] == [s.seconds for s in usual.flow.steps]
    assert (varying.kind, varying.step) == (usual.kind, usual.step)
