"""Memory sizing: the request covers what it claims, pays for what it saves, and makes room when peaks grow."""

from __future__ import annotations

import math

import numpy as np
import pytest

from concertmaster.core.sizing import memory_request, waste
from concertmaster.core.sizing.authored_request import blended
from concertmaster.core.sizing.memory import COVERED_SHARE
from concertmaster.core.sizing.tail import fit_tails
from concertmaster.core.sizing.trend import carried_forward, growth_per_run, order_z
from concertmaster.core.sizing.waste import FAILURE_BOUND, FAILURE_PRICE, ExpectedLoss, fit_losses
from tests.support.core.margins import failing
from tests.support.counting import all_calls

GIB = 2.0**30


def peaks(n: int, mean: float = 4.0, spread: float = 0.05, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, spread, n) * GIB


def _loss(used: np.ndarray, seconds: np.ndarray) -> ExpectedLoss:
    return fit_losses(used[None], seconds[None], FAILURE_BOUND)[0]


def test_a_steady_step_gets_its_largest_peak_and_a_small_margin() -> None:
    used = peaks(40)
    size = memory_request(used, np.full(40, 3600.0))
    assert size is not None
    assert used.max() <= size.request <= 1.05 * used.max()
    assert size.largest_recent_peak == used.max()
    assert not size.drifting


def test_room_is_given_freely_where_it_costs_nothing() -> None:
    used = peaks(40, mean=0.1, spread=0.005)
    short = memory_request(used, np.full(40, 2.0)).request
    long = memory_request(used, np.full(40, 36000.0)).request
    assert short is not None and long is not None
    assert short > 1.2 * used.max() > 1.1 * long


def test_a_higher_price_per_failure_never_lowers_the_request(monkeypatch: pytest.MonkeyPatch) -> None:
    used, requests = peaks(60), []
    for times in (0.0, 0.1, 1.0, 10.0, 100.0):
        monkeypatch.setattr(waste, "FAILURE_PRICE", times * FAILURE_PRICE)
        requests.append(memory_request(used, np.full(60, 600.0)).request)
    assert requests == sorted(requests)


@pytest.mark.parametrize("bound", [0.05, 0.1])
def test_a_larger_failure_bound_leaves_more_of_what_inputs_do_not_explain_to_retries(bound: float) -> None:
    chance = np.random.default_rng(5)
    inputs = 1e9 * chance.lognormal(0.0, 0.7, 2200)
    used = (0.3 * GIB + 0.7 * GIB * inputs / 1e9) * chance.lognormal(0.0, 0.2, 2200)
    sizes = [
        memory_request(used[:200], np.full(200, 600.0), inputs=inputs[:200], bound=share) for share in (0.01, bound)
    ]
    careful, bold = (
        np.array([size.model.request(x) for x in inputs[200:]]) for size in sizes if size is not None and size.model
    )
    assert bold.sum() < 0.9 * careful.sum()
    assert np.mean(used[200:] > bold) <= bound
    assert np.mean(used[200:] > careful) <= 0.01


def test_a_larger_failure_bound_leaves_the_largest_of_growing_peaks_to_retries() -> None:
    used = 2 * GIB * np.random.default_rng(4).lognormal(0.0, 0.2, 200) * np.exp(np.linspace(0.0, 0.5, 200))
    careful, bold = (memory_request(used, np.full(200, 600.0), bound=share) for share in (0.01, 0.05))
    assert careful is not None and bold is not None and careful.drifting
    assert used.max() < bold.request < 0.95 * careful.request


def test_few_runs_never_go_below_their_largest_peak() -> None:
    used = np.r_[peaks(14), 30 * GIB]
    size = memory_request(used[np.random.default_rng(0).permutation(15)], np.full(15, 3600.0))
    assert size is not None and size.request >= 30 * GIB


def test_growing_peaks_get_room_for_the_growth_to_come() -> None:
    growing = (2.0 + 0.05 * np.arange(40)) * GIB
    size = memory_request(growing, np.full(40, 600.0))
    assert size.drifting
    assert size.coverage_confidence == 0.0
    assert size is not None
    assert 7.0 * GIB < size.request < 10.0 * GIB


def test_growth_that_came_to_rest_is_not_carried_on() -> None:
    noise = np.random.default_rng(2).normal(0.0, 0.02, 40)
    saturated = (np.minimum(2.0 + 0.3 * np.arange(40), 5.0) + noise) * GIB
    size = memory_request(saturated, np.full(40, 600.0))
    assert size.drifting
    assert size is not None and size.request < 5.6 * GIB


def test_times_set_the_order_of_runs() -> None:
    growing = (2.0 + 0.05 * np.arange(40)) * GIB
    shuffle = np.random.default_rng(5).permutation(40)
    ordered = memory_request(growing, np.full(40, 600.0))
    by_time = memory_request(growing[shuffle], np.full(40, 600.0), times=1e9 + 60.0 * shuffle)
    assert by_time == ordered


def test_input_size_becomes_the_model_where_it_explains_the_peak() -> None:
    rng = np.random.default_rng(7)
    inputs = rng.uniform(1, 20, 60) * GIB
    used = 1.0 * GIB + 0.5 * inputs + rng.normal(0, 0.05, 60) * GIB
    size = memory_request(used, np.full(60, 1800.0), inputs=inputs)
    assert size.model is not None
    small, large = size.model.request(2 * GIB), size.model.request(18 * GIB)
    assert 2.0 * GIB <= small <= 2.6 * GIB
    assert 10.0 * GIB <= large <= 10.8 * GIB
    assert size is not None
    by_input = np.array([size.model.request(x) for x in inputs])
    assert (by_input - used).mean() < 0.3 * (size.request - used).mean()


def test_a_step_shaped_dependence_is_followed_by_neighbours() -> None:
    rng = np.random.default_rng(8)
    inputs = rng.uniform(1, 20, 80) * GIB
    used = np.where(inputs < 10 * GIB, 2.0, 8.0) * GIB + rng.normal(0, 0.03, 80) * GIB
    model = memory_request(used, np.full(80, 1800.0), inputs=inputs).model
    assert model is not None and model.kind == "nearest"
    assert model.request(3 * GIB) < 2.6 * GIB
    assert model.request(15 * GIB) >= 8.0 * GIB


def test_inputs_that_explain_nothing_give_no_model() -> None:
    inputs = np.random.default_rng(9).uniform(1, 20, 60) * GIB
    assert memory_request(peaks(60), np.full(60, 1800.0), inputs=inputs).model is None
    assert memory_request(peaks(60), np.full(60, 1800.0), inputs=np.full(60, np.nan)).model is None
    assert memory_request(peaks(60), np.full(60, 1800.0), inputs=np.full(60, 5.0)).model is None


def test_an_input_far_beyond_those_seen_keeps_the_request_that_is_set() -> None:
    rng = np.random.default_rng(7)
    inputs = rng.uniform(1, 20, 60) * GIB
    used = 1.0 * GIB + 0.5 * inputs + rng.normal(0, 0.05, 60) * GIB
    model = memory_request(used, np.full(60, 1800.0), inputs=inputs, current_request=64 * GIB).model
    assert model is not None
    assert model.request(25 * GIB) < 24 * GIB
    assert model.request(200 * GIB) == 64 * GIB
    assert model.request(math.nan) == 64 * GIB


def test_multiplicative_noise_gets_a_factor_on_a_power_of_the_input() -> None:
    rng = np.random.default_rng(8)
    inputs = 10.0 ** rng.uniform(6, 10, 200)
    used = 5000.0 * inputs**0.7 * np.exp(rng.normal(0, 0.1, 200))
    model = memory_request(used, np.full(200, 1800.0), inputs=inputs).model
    assert model is not None and model.kind == "power" and model.is_factor
    held = [model.request(float(x)) / u for x, u in zip(inputs, used, strict=True)]
    assert min(held) > 1.0 and np.median(held) < 1.6


def test_line_and_nearest_are_averaged_where_their_mean_costs_less() -> None:
    """A line with a step in it: both err, on different sides."""
    rng = np.random.default_rng(4)
    found = []
    for _ in range(12):
        inputs = rng.uniform(1.0, 20.0, 1060)
        used = (1.0 + 0.5 * inputs + 2.0 * (inputs > 10.0)) * np.exp(0.05 * rng.normal(size=1060)) * GIB
        model = memory_request(used[:60], np.full(60, 1800.0), inputs=inputs[:60] * GIB).model
        assert model is not None
        if model.kind == "mean":
            asked = np.array([model.request(float(x) * GIB) for x in inputs[60:]])
            found.append((float((asked < used[60:]).mean()), float((asked - used[60:]).mean()), float(used.max())))
    assert len(found) >= 2
    failed, left, largest = np.mean(found, axis=0)
    assert failed < 0.015 and left < 0.2 * largest


def test_inputs_beyond_the_largest_are_drawn_towards_the_request_that_is_set() -> None:
    rng = np.random.default_rng(11)
    inputs = rng.uniform(1.0, 20.0, 60)
    used = (1.0 + 0.5 * inputs) * np.exp(0.05 * rng.normal(size=60)) * GIB
    alone, drawn = (
        memory_request(used, np.full(60, 1800.0), inputs=inputs * GIB, current_request=given).model
        for given in (None, 64 * GIB)
    )
    assert alone is not None and drawn is not None
    assert drawn.request(19.0 * GIB) == alone.request(19.0 * GIB)
    bare = alone.request(22.0 * GIB)
    assert drawn.request(22.0 * GIB) == pytest.approx(blended(bare, 64 * GIB, 0.25))


def test_a_prediction_far_beyond_all_peaks_gets_half_as_much_again_up_to_the_request_that_is_set() -> None:
    inputs = np.linspace(1.0, 20.0, 60)
    used = (1.0 + 0.5 * inputs) * np.exp(0.05 * np.random.default_rng(11).normal(size=60)) * GIB
    size = memory_request(used, np.full(60, 1800.0), inputs=inputs * GIB, current_request=512 * GIB)
    assert size.model is not None
    predicted = (size.model.request(60.0 * GIB), size.model.request(100.0 * GIB))
    assert predicted[1] - predicted[0] == pytest.approx(1.5 * 40.0 * GIB * size.model.beyond)
    assert size.model.request(1e6 * GIB) == 512 * GIB


def test_with_few_runs_requests_by_input_stay_near_the_one_that_is_set() -> None:
    rng = np.random.default_rng(12)
    inputs = 10.0 ** rng.uniform(7, 10, 150)
    used = GIB * (inputs / 1e8) ** 0.5 * np.exp(0.5 * rng.normal(size=150))
    share = {}
    for n in (12, 18, 150):
        alone, drawn = (
            memory_request(used[:n], np.full(n, 600.0), inputs=inputs[:n], current_request=given).model
            for given in (None, 512 * GIB)
        )
        assert alone is not None and drawn is not None
        bare = alone.request(1e8)
        share[n] = drawn.pull
        assert drawn.request(1e8) == pytest.approx(blended(bare, 512 * GIB, drawn.pull))
    assert 0.9 > share[12] > share[18] > 0.3
    assert share[150] == 0.0


def test_with_few_runs_the_request_stays_near_the_one_that_is_set() -> None:
    used = peaks(60)
    alone = memory_request(used, np.full(60, 1800.0)).request
    given = {n: memory_request(used[:n], np.full(n, 1800.0), current_request=32 * GIB).request for n in (3, 5, 10, 60)}
    assert [given[n] for n in (3, 5, 10)] == sorted((given[n] for n in (3, 5, 10)), reverse=True)
    assert 9 * GIB < given[3] < 32 * GIB and given[10] < 1.05 * used[:10].max()
    assert given[60] == alone


@pytest.mark.parametrize(("share", "most"), [(0.01, 0.01), (0.025, 0.022)])
def test_few_runs_fail_where_few_are_unlike_all_others(share: float, most: float) -> None:
    """Some need up to four times as much: nine runs that are alike do not rule that out."""
    rng = np.random.default_rng(5)
    failed = []
    for _ in range(200):
        unlike = np.where(rng.uniform(size=309) < share, 4.0 ** rng.uniform(size=309), 1.0)
        used = 4.0 * GIB * unlike * np.exp(0.03 * rng.normal(size=309))
        size = memory_request(used[:9], np.full(9, 1800.0), current_request=16 * GIB)
        failed.append(float((used[9:] > size.request).mean()))
    assert np.mean(failed) <= most


def test_records_of_run_time_keep_the_request_near_the_one_that_is_set() -> None:
    """Runs that start together end by length: the known ones need little, the others up to twenty times as much."""
    rng = np.random.default_rng(5)
    failed: dict[str, list[float]] = {"mixed": [], "by length": []}
    for _ in range(50):
        inputs = np.exp(rng.normal(size=120))
        used = GIB * inputs * np.exp(0.3 * rng.normal(size=120))
        seconds = 600.0 * inputs * np.exp(0.3 * rng.normal(size=120))
        for name, order in (("mixed", rng.permutation(120)), ("by length", seconds.argsort())):
            known, ahead = order[:36], order[36:]
            size = memory_request(used[known], seconds[known], current_request=2.0 * float(used.max()))
            failed[name].append(100.0 * float((used[ahead] > size.request).mean()))
    assert np.mean(failed["mixed"]) <= 1.0
    assert np.mean(failed["by length"]) <= 2.0


def test_records_do_not_count_where_longer_runs_need_less_or_inputs_explain_growth() -> None:
    noise = np.exp(0.1 * np.random.default_rng(5).normal(size=30))
    seconds = np.geomspace(60.0, 600.0, 30)
    flat, falling, growing = (4.0 * GIB * noise * np.linspace(1.0, last, 30) for last in (1.0, 0.5, 1.5))
    found = [
        memory_request(used, seconds, inputs=inputs, current_request=64.0 * GIB).request
        for used, inputs in ((flat, None), (falling, None), (growing, None), (growing, 1e6 * seconds))
    ]
    assert found[0] > 12.0 * GIB and found[1] < 8.0 * GIB
    assert found[2] > 20.0 * GIB and found[3] < 20.0 * GIB


def test_growth_gets_room_where_it_is_reported() -> None:
    rng = np.random.default_rng(26)
    noise = np.exp(0.25 * rng.normal(size=12))
    for growth, reported in ((0.5, False), (0.9, True)):
        used = 4.0 * GIB * np.exp(np.linspace(0.0, growth, 12)) * noise
        size = memory_request(used, np.full(12, 1800.0))
        mixed = memory_request(rng.permutation(used), np.full(12, 1800.0))
        assert size.drifting == reported and not mixed.drifting
        assert order_z(used) > 1.645  # growth that an everyday test at 5% would report
        assert size is not None and mixed is not None
        assert (size.request > 1.1 * mixed.request) == reported


def test_long_runs_have_a_stricter_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waste, "FAILURE_PRICE", 0.0)
    used = np.random.default_rng(4).normal(4.0, 1.0, 60).clip(1.0) * GIB
    short = memory_request(used, np.full(60, 600.0))
    long = memory_request(used, np.full(60, 86400.0))
    loss = _loss(used, np.full(60, 600.0))  # of which the failures do not depend on the run time
    assert failing(loss, long.request) <= 0.005 < failing(loss, short.request) <= 0.01


@pytest.mark.parametrize("bound", [0.0, 1e-6, 0.5, 1.0])
def test_any_bound_gives_a_size(bound: float) -> None:
    size = memory_request(peaks(12), np.full(12, 600.0), bound=bound)
    assert size is not None and 4 * GIB * 0.9 < size.request < 64 * GIB


def test_an_unknown_input_gets_the_largest_request_of_the_model() -> None:
    inputs = np.linspace(1, 20, 60) * GIB
    order = np.random.default_rng(1).permutation(60)
    model = memory_request((1.0 + 0.5 * inputs / GIB)[order] * GIB, np.full(60, 1800.0), inputs=inputs[order]).model
    assert model is not None
    assert model.request(math.nan) >= model.request(20 * GIB)


@pytest.mark.parametrize("bad", [[], [math.nan] * 5, [math.inf] * 5, [-1.0] * 5, [0.0] * 5, [1e9], [1e9, 2e9]])
def test_too_few_usable_peaks_get_no_size(bad: list[float]) -> None:
    assert memory_request(bad, [1.0] * len(bad)) is None


def test_lengths_that_differ_get_no_size() -> None:
    for size in (
        memory_request([1e9] * 5, [1.0] * 4),
        memory_request([1e9] * 5, [1.0] * 5, times=[1.0]),
        memory_request([1e9] * 5, [1.0] * 5, inputs=[1.0]),
    ):
        assert size is None


def test_unusable_rows_are_left_out() -> None:
    used = peaks(30)
    clean = memory_request(used, np.full(30, 60.0))
    dirty = memory_request(np.r_[math.nan, used, math.inf, -5.0], np.r_[60.0, np.full(30, 60.0), 60.0, 60.0])
    assert dirty == clean


def test_unknown_durations_count_as_the_median() -> None:
    used = peaks(30)
    time_ = np.full(30, 60.0)
    holes = time_.copy()
    holes[[3, 9]] = (math.nan, -1.0)
    assert memory_request(used, holes) == memory_request(used, time_)


def test_a_constant_series_still_leaves_room() -> None:
    size = memory_request([GIB] * 20, [60.0] * 20)
    assert size is not None and size.request > GIB


def test_the_confidence_of_a_size_holds_in_simulation() -> None:
    rng = np.random.default_rng(11)
    held = np.mean(np.max(rng.uniform(size=(4000, 40)), axis=1) >= COVERED_SHARE)
    size = memory_request(peaks(40), np.full(40, 60.0))
    assert size is not None
    assert size.coverage_confidence == pytest.approx(held, abs=0.02)


@pytest.mark.parametrize("draw", ["normal", "exponential", "lognormal"])
def test_the_tail_is_calibrated(draw: str) -> None:
    """The share of next values above a level is what the tail says, on average over samples."""
    rng = np.random.default_rng(4)
    said, seen = [], []
    for _ in range(3000):
        x = {
            "normal": lambda: rng.normal(10, 1, 31),
            "exponential": lambda: 10 + rng.exponential(1, 31),
            "lognormal": lambda: rng.lognormal(2, 0.3, 31),
        }[draw]()
        (tail,) = fit_tails(x[None, :30]).each()
        for beyond in (0.0, 0.3):
            level = tail.largest + beyond
            said.append((1.0 + beyond / tail.excess) ** -tail.shape / (tail.n + 1.0))
            seen.append(x[30] > level)
    assert np.mean(said) == pytest.approx(np.mean(seen), abs=0.008)


def test_trend_of_few_flat_or_falling_values_is_none() -> None:
    assert order_z(np.array([1.0, 2.0])) == 0.0
    assert order_z(np.full(50, 3.0)) == 0.0
    assert order_z(np.arange(50.0)[::-1]) < -6.9
    assert growth_per_run(np.arange(50.0)[::-1]) == 0.0
    assert growth_per_run(np.array([1.0])) == 0.0


def test_growth_is_carried_forward_to_the_horizon() -> None:
    values = np.arange(10.0)
    assert growth_per_run(values) == 1.0
    np.testing.assert_allclose(carried_forward(values, 1.0, 1.0), 19.0)


def test_false_alarms_of_growth_stay_near_one_per_cent() -> None:
    rng = np.random.default_rng(6)
    alarms = np.mean([order_z(rng.normal(size=30)) > 2.326 for _ in range(4000)])
    assert alarms == pytest.approx(0.01, abs=0.006)


def test_runs_are_worked_out_over_arrays_and_not_one_by_one() -> None:
    used, hours, inputs = peaks(400), np.full(400, 3600.0), peaks(400, seed=2)
    assert all_calls(lambda: memory_request(used, hours, inputs=inputs)) < 1_500


def test_a_million_runs_are_sized() -> None:
    used = peaks(1_000_000)
    size = memory_request(used, np.full(1_000_000, 60.0), inputs=used)
    assert size is not None


def test_inputs_with_equal_logarithms_explain_nothing() -> None:
    """Different numbers whose logarithms are the same: a line through these has no slope."""
    inputs = 1.1e18 + 256.0 * np.arange(12)
    assert np.unique(np.log1p(inputs)).size == 1
    size = memory_request(np.linspace(1e9, 2e9, 12), [60.0] * 12, inputs=inputs)
    assert size is not None and size.model is None
