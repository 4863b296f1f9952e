"""Nested scores: constants are chosen without the family they are scored on."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree

import numpy as np
import pytest

from benchmarks.nested import calibration, measures
from benchmarks.nested.__main__ import replaced
from benchmarks.nested.cases import Step
from benchmarks.nested.choose import Figure, Rows, choose, nested
from benchmarks.nested.plot import svg
from benchmarks.nested.report import lines, scored
from benchmarks.nested.series_laws import recorded_series, simulated_series
from benchmarks.nested.tool_families import tool_families
from concertmaster.core.sizing.waste import FAILURE_BOUND, bound_of
from concertmaster.core.units import HOUR


def _mean(families: Sequence[Rows]) -> float:
    return float(np.mean([rows.mean() for rows in families]))


def _none(families: Sequence[Rows]) -> float:
    return 0.0


FIGURE = Figure("loss", _mean, _none)


def _scores(**by_variant: Sequence[float]) -> dict[str, dict[str, Rows]]:
    return {v: {f"f{i}": np.array([loss]) for i, loss in enumerate(losses)} for v, losses in by_variant.items()}


def test_each_family_is_scored_under_what_the_others_would_choose() -> None:
    # "lucky" is the best on the whole, by the first family alone; the others would not choose it.
    scores = _scores(shipped=(5.0, 2.0, 2.0), lucky=(0.0, 3.0, 3.0))
    found = nested("m", scores, FIGURE)
    assert found.shipped[0] == 3.0
    assert found.best[0] == 2.0
    assert found.nested[0] == np.mean([5.0, 3.0, 3.0])
    assert found.gap > 1.5
    assert found.interval[0] <= found.nested[0] <= found.interval[1]


def test_a_variant_that_breaks_the_bound_is_chosen_only_where_all_do() -> None:
    scores = _scores(shipped=(2.0, 2.0), cheap=(1.0, 1.0))
    failures = {2.0: 0.5, 1.0: 4.0}
    bounded = Figure("loss", _mean, lambda families: failures[_mean(families)], 1.0)
    assert choose(scores, ["f0", "f1"], bounded) == "shipped"
    hopeless = Figure("loss", _mean, lambda families: failures[_mean(families)], 0.1)
    assert choose(scores, ["f0", "f1"], hopeless) == "shipped"


def test_the_page_says_when_there_are_too_many_choices() -> None:
    row = {
        "name": "m",
        "unit": "loss",
        "families": 3,
        "variants": 2,
        "shipped": [3.0, 0.0],
        "best": [2.0, 0.0],
        "nested": [3.7, 0.0],
        "interval": [3.0, 5.0],
    }
    assert scored([row])[-1].endswith("1.85 (too many choices) |")
    assert scored([{**row, "nested": [2.1, 0.0]}])[-1].endswith("1.05 |")


PROMISE = {
    "rule": "demand-forecast",
    "what": "makespan <of a run>",
    "promised": "90% interval",
    "level": 90.0,
    "families": 2,
    "cases": 100,
    "kept": 90.0,
    "off": 4.9,
    "worst": "w",
    "worst_kept": 80.0,
}


def test_runs_of_one_step_say_little_about_the_next_step() -> None:
    held = [[1.0] * 9 + [0.0], [1.0] * 10, [1.0] * 10, [1.0] * 10]
    alone = calibration.promise("r", "w", 99.0, {"a": [[case] for step in held for case in step]})
    assert (alone.kept, alone.cases) == (97.5, 40)
    assert alone.off == pytest.approx(100 * calibration.LIKELY * (0.975 * 0.025 / 39) ** 0.5)
    together = calibration.promise("r", "w", 99.0, {"a": [[1.0] * 10, [1.0] * 10], "b": [[1.0] * 10, [0.0] * 10]})
    assert (together.kept, together.worst, together.worst_kept) == (75.0, "b", 50.0)
    assert together.off == pytest.approx(100 * calibration.LIKELY * (0.75 * 0.25 / 3) ** 0.5)


def test_a_promise_shows_how_sure_its_share_is_and_where_it_is_worst() -> None:
    assert lines({"scores": [], "promises": [PROMISE]})[-1].endswith("| 2 | 100 | 90.0% +- 4.9 | w 80.0% |")


def test_the_plot_tells_kept_promises_from_broken_ones() -> None:
    broken = {**PROMISE, "kept": 85.0, "off": 0.6}
    size = {**PROMISE, "rule": "right-size", "promised": "99% of runs", "level": 99.0, "kept": 100.0, "off": 0.0}
    root = ElementTree.fromstring(svg([PROMISE, broken, size]))
    dots = [c.get("fill") for c in root.iter("{http://www.w3.org/2000/svg}circle") if c.get("fill") != "none"]
    assert dots == ["#1a7f37", "#cf222e", "#1a7f37"]


def test_simulated_series_tell_where_they_change() -> None:
    found = simulated_series(6)
    assert {name: len(series) for name, series in found.items()} == dict.fromkeys(found, 6)
    quiet, step, ramp = found["law gaps"][:3]
    assert (quiet["kind"], quiet["truth"]) == ("none", [])
    assert None in step["values"] and 12 <= step["truth"][0] < len(step["values"])
    assert ramp["kind"] == "ramp"
    assert found == simulated_series(6)


def test_changes_are_planted_in_the_noise_of_recorded_steps() -> None:
    rng = np.random.default_rng(1)
    unknown = np.full(50, np.nan)
    few, many = (
        Step(unknown, np.full(n, 1e9), rng.uniform(50.0, 60.0, n), unknown, 1e9, 1.0, unknown, unknown)
        for n in (30, 50)
    )
    # Peaks that never vary and steps with few runs are left out: one step's run times, single and as medians of ten.
    found = recorded_series({"a": [few, many], "b": [few]}, count=3)
    assert list(found) == ["a"]
    kinds = [series["kind"] for series in found["a"]]
    assert kinds == ["none", "one", "ramp"] * 6
    single, medians = found["a"][:9:3], found["a"][9::3]
    assert all(49.0 < value < 61.0 for series in single + medians for value in series["values"])
    spreads = [np.mean([np.std(series["values"]) for series in quiet]) for quiet in (single, medians)]
    assert spreads[1] < 0.6 * spreads[0]
    step = found["a"][1]
    values, at = np.array(step["values"]), step["truth"][0]
    assert abs(np.log(np.median(values[at:]) / np.median(values[:at]))) > 0.05


def test_measures_that_were_not_run_keep_their_rows_and_places() -> None:
    before = [{"name": "a", "v": 1}, {"name": "b", "v": 1}, {"name": "gone", "v": 1}]
    found = [{"name": "c", "v": 2}, {"name": "b", "v": 2}]
    rows = replaced(before, before[:1], found)
    assert [(row["name"], row["v"]) for row in rows] == [("a", 1), ("b", 2), ("c", 2)]


def test_executions_of_tools_are_what_a_cluster_could_record() -> None:
    few, more = tool_families(2), tool_families(6)
    assert len(few) == 28
    ratios = []
    for family, steps in more.items():
        for number, runs in enumerate(steps):
            rows = np.array([runs.inputs, runs.peaks, runs.seconds, runs.submitted])
            assert np.isfinite(rows).all() and (rows[:3] > 0).all() and (np.diff(rows[3]) >= 0).all()
            if number < len(few[family]):
                assert np.array_equal(runs.peaks, few[family][number].peaks)
            ratios.append(runs.preset / runs.peaks.max())
    assert 0.7 <= min(ratios) < 1.0 and max(ratios) <= 32.0
    assert 2.5 < float(np.median(ratios)) < 5.0


@pytest.mark.parametrize("variants", [measures._SIZES, measures._INPUTS, measures._PRICES])
def test_each_variant_replaces_what_the_product_has(variants: dict[str, measures.Variant]) -> None:
    for variant in variants.values():
        before = {(module, name): getattr(module, name) for module, name in variant}
        with measures.constants(variant):
            assert all(getattr(module, name) is value for (module, name), value in variant.items())
        assert before == {(module, name): getattr(module, name) for module, name in variant}


def test_what_is_expected_of_long_steps_is_what_sizes_promise() -> None:
    """The row of steps of four hours and more is held to half of the usual bound, which holds from there on."""
    assert bound_of(4 * HOUR, FAILURE_BOUND) == FAILURE_BOUND / 2 == pytest.approx(1 - calibration.LONG[1] / 100)
    assert bound_of(4 * HOUR - 1, FAILURE_BOUND) > FAILURE_BOUND / 2
    assert calibration.LONG[0] == 4 * HOUR
