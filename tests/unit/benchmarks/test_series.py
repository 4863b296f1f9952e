"""Series of other laws: equal seeds, equal figures; laws do what they say; and wrong answers are counted as wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.series import changes, flows, growth, inputs, problems, score, sides
from benchmarks.series.effects import EFFECTS
from benchmarks.series.law import Course, Law, Rng, Rows, generator
from benchmarks.series.laws import LAWS
from benchmarks.series.report import lines
from benchmarks.series.tally import Key, Share, Tally, read
from concertmaster.core.changepoint import ChangePoint, Detection, Direction, ObjectiveForecast, OutlookState
from concertmaster.core.model import Interval
from concertmaster.core.model.enums import Verdict
from concertmaster.core.stats.comparison import Comparison

BY_NAME = {law.name: law for law in LAWS}
PLAIN = BY_NAME["log-normal, 10%"]
POINT = ChangePoint(3, 0.0, 9.0, 8.0, 10.0, Direction.UP, 1.0)
WORSE = Comparison(Verdict.WORSE, 9.0, 8.0, 10.0, 0.0, 4, 4, False, "slower")


def percent(tally: Tally, measure: str) -> float | None:
    return tally.share(measure).percent


def test_laws_have_names_of_their_own_and_say_what_goes_on() -> None:
    kinds = [*LAWS, *inputs.KINDS, *growth.KINDS]
    assert len(score.WHAT) == len(kinds) == 100
    assert all(score.WHAT.values())
    assert sum(law.flow for law in LAWS) >= 12


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
def test_values_are_drawn_for_every_length_and_the_level_is_their_factor(law: Law) -> None:
    for n in changes.LENGTHS:
        runs, values = law.series(generator(law.name, 1), np.ones(n), np.arange(n) >= n // 2)
        assert values.shape == runs.times.shape == (n,)
        assert (np.diff(runs.times) > 0).all()
        assert np.isfinite(values).sum() >= 12
        assert np.nanmin(values) >= 0
    if law.scales:
        later = np.arange(4000) >= 0
        one, two = (law.series(generator(law.name, 2), np.full(4000, level), later)[1] for level in (1.0, law.factor))
        assert np.nanmean(two) / np.nanmean(one) == pytest.approx(law.factor, rel=0.05)


@pytest.mark.parametrize("name", EFFECTS)
def test_effects_change_the_level_where_they_say(name: str) -> None:
    effect, least = EFFECTS[name]
    for seed in range(20):
        for n in (n for n in changes.LENGTHS if n >= least):
            planted = effect(generator("test", seed, n), n, 1.5)
            moved = np.flatnonzero(np.diff(planted.level)) + 1
            if name in ("quiet", "step", "stretch", "end"):
                assert moved.tolist() == list(planted.at)
            assert planted.level.size == planted.later.size == n
            assert bool(planted.level[moved[0]] > planted.level[moved[0] - 1]) is planted.up if moved.size else True


@pytest.mark.parametrize("kind", ["values missing", "inputs: startup, two sizes", "forecast: growth"])
def test_equal_seeds_yield_equal_figures_and_others_do_not(kind: str) -> None:
    tallies = [score.judge(kind, seed).rows() for seed in (2, 2, *range(3, 20))]
    assert tallies[0] == tallies[1]
    assert any(tally != tallies[0] for tally in tallies)


def test_points_where_nothing_changed_and_none_where_something_did_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "detect", lambda *_: Detection((POINT,), None, True))
    wrong = changes.judge(PLAIN, 1)
    assert percent(wrong, "quiet") == percent(wrong, "quiet reported") == percent(wrong, "more") == 100.0
    assert percent(wrong, "step") == percent(wrong, "stretch") == 0.0
    monkeypatch.setattr(changes, "detect", lambda *_: Detection((), None, True))
    silent = changes.judge(PLAIN, 1)
    assert percent(silent, "quiet") == 0.0
    assert {percent(silent, measure) for measure in ("step", "stretch", "end", "ramp", "growth")} == {0.0}


@pytest.mark.parametrize(
    ("beside", "size", "found", "holds"), [(0, 1.0, 100.0, 100.0), (0, 1.1, 100.0, 0.0), (5, 1.0, 0.0, None)]
)
def test_a_point_beside_the_change_or_with_another_factor_is_counted(
    monkeypatch: pytest.MonkeyPatch, beside: int, size: float, found: float, holds: float | None
) -> None:
    def answer(times: np.ndarray, values: np.ndarray) -> Detection:
        """The steps as they are, ``beside`` their place, and by ``size`` times their factor."""
        ratios = values[1:] / values[:-1]
        return Detection(
            tuple(
                ChangePoint(
                    int(at) + 1 + beside,
                    0.0,
                    r := ratios[at] * size,
                    r,
                    r,
                    Direction.UP if r > 1 else Direction.DOWN,
                    1.0,
                )
                for at in np.flatnonzero(ratios != 1.0)
            ),
            None,
            True,
        )

    monkeypatch.setattr(changes, "detect", answer)
    exact = Law("exact", "the level itself", lambda rng, runs: 100.0 * runs.level, 1.5)
    tally = Tally()
    for seed in range(10):
        tally.merge(changes.judge(exact, seed))
    assert percent(tally, "quiet") == 0.0
    assert (percent(tally, "step"), percent(tally, "factor")) == (found, holds)
    assert percent(tally, "stretch") == found


def test_verdicts_without_a_change_and_intervals_beside_the_truth_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("compare", "watch"):
        monkeypatch.setattr(sides, name, lambda *_, **__: WORSE)
    wrong = sides.judge(PLAIN, 1)
    assert percent(wrong, "called") == percent(wrong, "watched") == 100.0
    assert percent(wrong, "power") == percent(wrong, "caught") == 100.0
    assert percent(wrong, "ratio") == 0.0
    for name in ("compare", "watch"):
        monkeypatch.setattr(sides, name, lambda *_, **__: replace(WORSE, verdict=Verdict.INCONCLUSIVE, low=0.0))
    silent = sides.judge(PLAIN, 1)
    assert percent(silent, "called") == percent(silent, "watched") == percent(silent, "power") == 0.0
    assert percent(silent, "ratio") == 100.0


def test_where_hours_decide_samples_are_not_compared() -> None:
    assert sides.judge(BY_NAME["hours"], 1).cases == {}


def test_problems_that_are_not_seen_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(problems, "find_degraded", lambda *_: ())
    tally = problems.judge(PLAIN, 1)
    assert percent(tally, "problem found") == percent(tally, "problems") == 0.0


def test_dates_of_objectives_that_are_never_missed_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    late = ObjectiveForecast(OutlookState.AT_RISK, 1.0, Interval(9e9, 9e9, 9e9))
    monkeypatch.setattr(growth, "outlook", lambda *_, **__: late)
    tally = Tally()
    for law in growth.KINDS:
        tally.merge(growth.judge(law, 1))
    assert percent(tally, "never") == percent(tally, "said") == 100.0
    assert percent(tally, "date") == 0.0
    assert tally.share("said", kind="forecast: steady").cases == 0
    assert tally.share("never", kind="forecast: growth").cases == 0


def test_a_degradation_is_looked_for_in_whole_analyses(monkeypatch: pytest.MonkeyPatch) -> None:
    tally = Tally()
    for seed in (2, 4):
        tally.merge(flows.judge(PLAIN, seed))
    assert percent(tally, "flow quiet") == 0.0
    steps = tally.share("flow step").cases + tally.share("flow faster").cases + tally.share("flow end").cases
    assert steps == 4
    monkeypatch.setattr(flows, "RULE", "no rule")
    assert flows.judge(PLAIN, 2).share("flow step").hits == 0
    assert flows.judge(BY_NAME["whole minutes"], 2).cases == {}


def test_a_higher_level_is_published_and_one_that_has_returned_is_not() -> None:
    def nearly_the_level(rng: Rng, runs: Course) -> Rows:
        return 300.0 * runs.level * rng.uniform(0.99, 1.01, runs.size)

    tally = Tally()
    for seed in range(2, 10, 2):
        tally.merge(flows.judge(Law("exact", "nearly the level", nearly_the_level, 1.6, flow=True), seed))
    found = tally.share("flow end")
    assert found.hits == found.cases > 0
    assert percent(tally, "flow quiet") == percent(tally, "flow faster") == percent(tally, "flow returned") == 0.0


def test_a_share_exceeds_its_promise_beyond_chance_only() -> None:
    assert Share(30, 500).exceeds(0.004)
    assert not Share(3, 500).exceeds(0.004)
    assert not Share(0, 0).exceeds(0.004)
    assert Share(60, 100).inverse.exceeds(0.05)


def test_the_page_names_the_worst_laws_and_has_a_cell_for_every_column() -> None:
    tally = Tally()
    for law in LAWS:
        for at in range(200):
            tally.add(Key(law.name, "quiet", "30"), law.name == "AR 0.95" and at < 100)
            tally.add(Key(law.name, "ratio", "4, 4"), law.name != "Cauchy")
    assert read(tally.rows()).rows() == tally.rows()
    made = lines({"seeds": 200, "rows": tally.rows()})
    for row in (
        "| quiet series with a change point | at most 0.4% | 1.0% of 10,200 | 0% of 5,600 | 1 of 51 | AR 0.95 50% |",
        "| intervals of the ratio of a comparison | at least 96% | 98% of 10,200 | 96% of 5,600 | 1 of 51 | Cauchy 0% |",
    ):
        assert row in made
    tables = "\n".join(made).split("\n\n")
    for table in (rows for rows in tables if rows.startswith("| ")):
        assert len({row.count("|") for row in table.splitlines()}) == 1, table[:80]
