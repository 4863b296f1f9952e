"""Published intervals against fresh runs."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.advice import fresh
from benchmarks.advice.fresh import Kept, fresh_effect, kept, lines, summary
from benchmarks.advice.kinds import KINDS, planted
from benchmarks.advice.law import DAY
from benchmarks.advice.plant import Plant
from benchmarks.advice.truth import worth


def _kind(name: str, seed: int = 1) -> Plant:
    return planted(seed, next(i for i, kind in enumerate(KINDS) if kind.__name__ == name))


def test_the_effect_is_that_of_other_random_events() -> None:
    plant = _kind("flaky")
    same, other = worth(plant).failed_runs, fresh_effect(plant, 8)
    share = plant.flow.step("load").transient
    assert other != same
    assert other == pytest.approx(share * 30 * DAY / plant.flow.every, rel=0.3)
    assert fresh_effect(plant, 8) == other


def test_the_mended_workflow_has_the_same_events() -> None:
    """Nothing is gained where nothing differs, whatever happens."""
    plant = _kind("degraded")
    assert fresh_effect(replace(plant, mended=plant.flow), 2) == 0.0


def test_an_effect_known_from_the_law_is_taken_from_it() -> None:
    assert fresh_effect(replace(_kind("flaky"), amount=7.0)) == 7.0


@pytest.mark.parametrize("kind", ["runs_replaced", "runs_stopped"])
def test_runs_that_are_counted_are_counted_anew(kind: str) -> None:
    plant = _kind(kind)
    same, other = worth(plant).failed_runs, fresh_effect(plant, 2)
    assert same > 0.0
    assert other != same
    assert other == pytest.approx(same, rel=0.5)


def test_an_interval_is_compared_with_the_effect_of_its_own_measure() -> None:
    row = kept(_kind("cpu_over"), 3)
    assert row is not None
    assert (row.rule, row.kind, row.bound) == ("right-size", "cpu-over", False)
    assert row.low <= row.likely <= row.high
    assert row.true == pytest.approx(row.likely, rel=0.2)


def test_gains_that_are_said_to_be_at_most_are_told_apart() -> None:
    waits = kept(_kind("pending"), 1)
    assert waits is not None
    assert (waits.rule, waits.bound) == ("queue-time", True)
    assert waits.likely == pytest.approx(waits.high / 2, rel=0.2)


def test_what_is_published_about_another_step_is_not_compared() -> None:
    plant = _kind("cpu_over")
    assert kept(replace(plant, step="load"), 1) is None


def test_a_row_for_each_rule_says_which_kind_is_worst_and_on_which_side() -> None:
    rows = [
        Kept("timeout", "tight", False, 1.0, 2.0, 3.0, 2.5),
        Kept("timeout", "tight", False, 1.0, 2.0, 3.0, 3.5),
        Kept("timeout", "other", False, 1.0, 2.0, 3.0, 1.0),
        Kept("timeout", "hang", True, 1.0, 2.0, 3.0, 0.5),
    ]
    plain, bound = summary(rows, "effect")
    assert (plain["cases"], plain["families"], plain["worst"], plain["worst_kept"]) == (3, 2, "tight", 50.0)
    assert plain["kept"] == pytest.approx(200 / 3)
    assert plain["larger"] == pytest.approx(100 / 3)
    assert (plain["smaller"], plain["width"], plain["what"]) == (0.0, 100.0, "effect")
    assert (bound["kept"], bound["smaller"], bound["what"]) == (0.0, 100.0, "effect (at most)")
    usual = {"planted": 5, "published": 4, "rules": [plain, bound]}
    page = lines({"seeds": 1, "usual": usual, "daily": {"planted": 5, "published": 3, "rules": [plain]}})
    assert "| timeout |  | 2 | 3 | 66.7% [25 92] | 0.0, 33.3% | 100 | tight 50% |" in page
    assert "| timeout | at most | 1 | 1 | 0.0% | 100.0, 0.0% | 100 | hang 0% |" in page
    assert "An effect of 4 of 5 problems is published; of 3 intervals 66.7% hold it (promised: 90%)" in " ".join(page)
    assert "An effect of 3 of 5 problems is published; of 3 intervals 66.7% hold it." in " ".join(page)


def test_runs_are_rarer_and_vary_more_and_nothing_else_differs() -> None:
    index = next(i for i, kind in enumerate(KINDS) if kind.__name__ == "cpu_over")
    usual, varying = planted(1, index), planted(1, index, variation=4.0, every=DAY)
    assert varying.flow.every == DAY != usual.flow.every
    assert varying.flow.noise == 4.0 * usual.flow.noise
    assert [s.cv for s in varying.flow.steps] == [4.0 * s.cv for s in usual.flow.steps]
    assert [s.seconds for s in varying.flow.steps] == [s.seconds for s in usual.flow.steps]
    assert (varying.kind, varying.step) == (usual.kind, usual.step)


def test_the_command_writes_both_parts_and_the_plot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = tmp_path / "fresh.json"
    command = ["fresh", "--seeds", "1", "--first", "1", "--only", "pending", "volume_large", "--jobs", "1"]
    monkeypatch.setattr(sys, "argv", [*command, "--out", str(result)])
    assert fresh.main() == 0
    written = json.loads(result.read_text())
    assert written["usual"]["planted"] == written["usual"]["published"] == 2
    assert {row["rule"] for row in written["daily"]["rules"]} == {"queue-time", "volume-size"}
    assert (tmp_path / "fresh.svg").read_text().count("<circle") == 8
