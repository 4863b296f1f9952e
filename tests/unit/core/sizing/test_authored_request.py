"""How far sizes from few runs stay near the request that the authors of the workflow set."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from concertmaster.core.sizing import memory_request
from concertmaster.core.sizing.authored_request import blended, weight_of_request
from concertmaster.core.sizing.tail import mean_log_excess

GIB = 2.0**30
# Peaks of 4 GiB but for noise of 3%; the largest of ten is 4.42 GiB.
NOISE = np.exp(0.03 * np.random.default_rng(3).normal(size=10))
BYTES = st.floats(1.0, 1e300)
WEIGHT = st.floats(0.0, 1.0)


@given(BYTES, BYTES, WEIGHT, WEIGHT, st.floats(0.0, 1e3))
@settings(max_examples=300, deadline=None)
def test_a_blend_lies_between_and_grows_with_the_weight(
    one: float, other: float, less: float, more: float, evidence: float
) -> None:
    size, request = sorted((one, other))
    less, more = sorted((less, more))
    blends = [blended(size, request, weight, evidence) for weight in (0.0, less, more, 1.0)]
    assert blends[0] == pytest.approx(size, rel=1e-4) and blends[-1] == pytest.approx(request, rel=1e-4)
    # A mean of powers that hardly differ is as exact as the ends are.
    assert all(before <= after * (1.0 + 1e-4) for before, after in pairwise(blends))


def test_blends_are_harmonic_and_closer_to_geometric_the_more_evidence_there_is() -> None:
    """Of peaks that are large beside what any process may need."""
    four, many = 4096.0 * GIB, 65536.0 * GIB
    assert blended(four, many, 0.5) == pytest.approx(2.0 / (1.0 / four + 1.0 / many), rel=1e-3)
    assert blended(four, many, 0.5, 0.5) == pytest.approx((0.5 / four**0.5 + 0.5 / many**0.5) ** -2, rel=1e-3)
    assert blended(four, many, 0.5, 1e6) == pytest.approx(4.0 * four, rel=1e-3)
    assert blended(four, many, 0.5) < blended(four, many, 0.5, 0.5) < blended(four, many, 0.5, 2.0) < 4.0 * four


def test_small_steps_stay_nearer_to_the_request_than_large_ones() -> None:
    """Ten times 30 MiB is nothing unusual, ten times 30 GiB hardly fits a node."""
    times = [blended(size, 1024.0 * size, 0.8) / size for size in (2.0**25, 2.0**30, 2.0**35)]
    assert times == pytest.approx([62.0, 7.0, 5.0], rel=0.05)


def test_the_weight_falls_with_runs_and_grows_with_evidence() -> None:
    values = np.full(40, GIB)
    weights = [weight_of_request(values[:n], 0.01) for n in (3, 5, 8, 40)]
    assert weights == pytest.approx([0.78, 0.411, 0.0, 0.0], abs=1e-3)
    some = weight_of_request(values[:3], 0.01, 0.5)
    assert 1.0 - some == pytest.approx((1.0 - weights[0]) / math.exp(0.5))
    assert 1.0 - weight_of_request(values[:3], 0.01, 1e9) == pytest.approx((1.0 - weights[0]) / 2.5)
    assert weight_of_request(values, 0.0) == 1.0
    assert weight_of_request(np.geomspace(1.0, 1e9, 20), 0.01) == pytest.approx(
        1.0 - 0.01 * 20
    )  # all of a share of 1/n


def test_the_heavier_the_tail_the_larger_the_weight_but_not_without_end() -> None:
    """Quantiles of Pareto laws of index 6, 2 and 1/2: their mean log excess is the reciprocal of the index."""
    chance = np.arange(1.0, 101.0) / 101.0
    light, heavy, heaviest = ((1.0 - chance) ** (-1.0 / index) for index in (6.0, 2.0, 0.5))
    assert mean_log_excess(light, 0.1) == pytest.approx(1.0 / 6.0, rel=0.1)
    assert mean_log_excess(heavy, 0.1) == pytest.approx(0.5, rel=0.15)
    assert mean_log_excess(np.array([1e9]), 0.1) == 0.1
    samples = (np.ones(20), light[::5], heavy[::5], heaviest[::5])
    equal, *others = (0.02 / (1.0 - weight_of_request(values, 0.001)) for values in samples)
    assert equal < 0.2 * others[0] and others[0] < 0.7 * others[1] and others[1] < others[2] < 1.5


def test_one_run_that_needs_little_changes_next_to_nothing() -> None:
    """An early exit, an empty shard: with few runs the smallest peak would otherwise be what the others exceed."""
    alike = np.full(6, 4.0 * GIB)
    with_small = np.append(alike[:-1], 0.05 * GIB)
    assert mean_log_excess(with_small, 0.1) == mean_log_excess(alike, 0.1) == pytest.approx(0.1 / 6.0)


def test_a_request_far_above_all_peaks_says_little_about_the_step() -> None:
    """The same ten runs in a class of tools that gets 16, 64 or 1,024 GiB."""
    found = [
        memory_request(4.0 * GIB * NOISE, np.full(10, 1800.0), current_request=given * GIB).request
        for given in (16, 64, 1024)
    ]
    close, far, farther = (size for size in found if size is not None)
    assert close < far < farther < 1.5 * close


@given(
    st.lists(st.floats(1e6, 1e12), min_size=3, max_size=40),
    st.floats(1e3, 1e30),
    st.sampled_from([0.0, 0.001, 0.01, 0.2]),
)
@settings(max_examples=200, deadline=None)
def test_a_request_that_no_run_exceeded_is_not_raised(peaks: list[float], current: float, bound: float) -> None:
    size = memory_request(peaks, np.linspace(60.0, 600.0, len(peaks)), current_request=current, bound=bound)
    assert size is not None and math.isfinite(size.request)
    if current >= max(peaks):
        assert size.request <= current * (1.0 + 1e-9)


def test_long_runs_by_input_keep_no_more_of_the_request() -> None:
    """The weight follows the plain bound, as for one request."""
    inputs = np.linspace(1.0, 20.0, 24)
    used = (1.0 + 0.5 * inputs) * np.exp(0.05 * np.random.default_rng(11).normal(size=24)) * GIB
    pulls = []
    for seconds in (600.0, 36_000.0):
        model = memory_request(used, np.full(24, seconds), inputs=inputs * GIB, current_request=64 * GIB).model
        assert model is not None
        pulls.append(model.pull)
    assert pulls[0] == pulls[1] < 0.3
