"""Invariants of sizing, regression and scale-out, over data of any kind."""

from __future__ import annotations

import math
import warnings
from unittest import mock

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from concertmaster.core.sizing import cpu_request, levels, memory, memory_request, round_cpu, round_memory, trend, waste
from concertmaster.core.sizing.waste import fit_losses
from concertmaster.core.stats.regression import fit_memory, fit_runtime
from concertmaster.core.stats.scaleout import fit_scaleout, recommend_workers
from tests.support.core.margins import cost

ANY = st.floats(allow_nan=True, allow_infinity=True)
SIZE = st.floats(1e6, 1e12)
SECONDS = st.floats(0.01, 1e6)
# Runs for which the line and the median miss by the same: which of them predicts must not be a matter of rounding.
TWO_AS_GOOD = [
    (1.0, 0.25), (1e12, 28534.0), (285340368849.0, 753747.0), (285339368848.0, 782060.0), (535501364515.0, 1.0),
    (536637679304.0, 753739.0), (642670684425.0, 421862.0),
]  # fmt: skip
SAMPLES = st.lists(st.tuples(SIZE, SECONDS, st.floats(0, 1e12)), min_size=3, max_size=60)


@pytest.fixture(autouse=True)
def _warnings_are_errors():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@given(st.lists(st.tuples(ANY, ANY, ANY, ANY), max_size=40), ANY)
@example([(1.1125369292536007e-308, 0.0, 0.0, 0.0)] * 3, 0.0)  # the next smaller numbers lose digits
@example([(2e-309, 1.0, 0.0, k * 1e6) for k in range(12)], 0.0)  # half of the least of them is none
@example([(1.0, 0.0, 0.0, 0.0)] * 7 + [(1.0, 0.0, 1e22, 0.0)], 0.0)  # the last weeks hold a single run
@settings(max_examples=200, deadline=None)
def test_no_data_make_memory_sizing_raise(rows: list[tuple[float, float, float, float]], size_ahead: float) -> None:
    columns = [list(c) for c in zip(*rows, strict=True)] or [[], [], [], []]
    size = memory_request(columns[0], columns[1], times=columns[2], inputs=columns[3])
    if size is not None:
        assert math.isfinite(size.request) and size.request > 0.0
        assert 0.0 <= size.coverage_confidence <= 1.0
    if size is not None and size.model is not None:
        assert all(math.isfinite(size.model.request(x)) for x in (*columns[3], size_ahead))


@given(st.lists(st.tuples(ANY, ANY), max_size=40), ANY, ANY)
@settings(max_examples=200, deadline=None)
def test_no_data_make_cpu_sizing_raise(rows: list[tuple[float, float]], path: float, limit: float) -> None:
    size = cpu_request([cores for cores, _ in rows], [seconds for _, seconds in rows], path, limit)
    if size is not None:
        assert math.isfinite(size.request) and size.request > 0.0
        assert size.expected_slowdown_share >= 0.0


@given(st.lists(st.tuples(ANY, ANY), max_size=40), st.lists(ANY, max_size=5))
@settings(max_examples=200, deadline=None)
def test_no_data_make_the_models_raise(rows: list[tuple[float, float]], queries: list[float]) -> None:
    x, y = [a for a, _ in rows], [b for _, b in rows]
    for fit in (fit_runtime, fit_memory):
        model = fit(x, y)
        predicted = model.predict(queries)
        assert predicted.shape == (len(queries),)
        if model.values:
            assert np.isfinite(predicted).all()
    scale = fit_scaleout(x, y)
    scale.seconds(queries)
    if scale.enough:
        assert np.isfinite(scale.seconds([1, 2, 1000])).all()
    recommend_workers(scale, range(1, 9))


@given(SAMPLES, st.floats(0.01, 100.0))
@settings(max_examples=100, deadline=None)
def test_memory_scales_when_its_cost_stays_the_same(rows: list[tuple[float, float, float]], factor: float) -> None:
    """Twice the memory for half the time costs the same byte-seconds, so the request doubles."""
    u, t, _ = (np.array(c) for c in zip(*rows, strict=True))
    with mock.patch.object(memory, "FLOOR", 0.0), mock.patch.object(waste, "STRICT_FROM", math.inf):
        one, other = memory_request(u, t).request, memory_request(u * factor, t / factor).request
    # Ties between two levels may be broken either way by rounding.
    assert other == pytest.approx(one * factor, rel=0.02)


@given(SAMPLES, st.randoms())
@settings(max_examples=100, deadline=None)
def test_the_order_of_runs_matters_only_through_growth(rows: list[tuple[float, float, float]], random) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)
    with mock.patch.object(trend, "GROWTH_Z", math.inf):
        sizes = [memory_request([r[0] for r in x], [r[1] for r in x]).request for x in (rows, shuffled)]
    assert sizes[0] == pytest.approx(sizes[1], rel=1e-6)


@given(SAMPLES)
@settings(max_examples=200, deadline=None)
def test_a_request_covers_every_recent_peak(rows: list[tuple[float, float, float]]) -> None:
    size = memory_request([r[0] for r in rows], [r[1] for r in rows])
    assert size is not None and size.request >= size.largest_recent_peak == max(r[0] for r in rows)


@given(st.integers(0, 2**32 - 1), st.floats(1.05, 1000.0), st.floats(0.0, 0.5), st.booleans())
@settings(max_examples=100, deadline=None)
def test_requests_by_input_cover_the_peaks_at_their_inputs(seed: int, span: float, noise: float, whole: bool) -> None:
    """Also where a level ends between inputs that hardly differ, or at one that many runs share."""
    rng = np.random.default_rng(seed)
    inputs = 1e7 * span ** rng.random(60)
    inputs = np.round(inputs, -6) if whole else inputs
    peaks = 2.0**30 * (inputs / 1e7) ** (3.0 / np.log2(span)) * np.exp(noise * rng.standard_normal(60))
    size = memory_request(peaks, np.full(60, 60.0), inputs=inputs)
    assert size is not None
    rows = levels(size.model, inputs, peaks, 0.1) if size.model is not None else ()
    assert [row for row in rows if row[0] < inputs.min()] == []
    for (below, _), (largest, request) in zip([(0.0, 0.0), *rows], rows, strict=False):
        within = (inputs > below) & (inputs <= largest)
        assert within.any()
        assert (peaks[within] * 1.1 <= request * (1.0 + 1e-9)).all()


@given(SAMPLES)
@settings(max_examples=100, deadline=None)
def test_the_proposal_costs_no_more_than_any_other(rows: list[tuple[float, float, float]]) -> None:
    """Where a failure costs no more than what it wastes, no level from the largest peak on is expected to cost less."""
    u, t = [r[0] for r in rows], [r[1] for r in rows]
    with (
        mock.patch.object(memory, "FLOOR", 0.0),
        mock.patch.object(trend, "GROWTH_Z", math.inf),
        mock.patch.object(waste, "FAILURE_PRICE", 0.0),
    ):
        size = memory_request(u, t, bound=2.0)
    assert size is not None
    (loss,) = fit_losses(np.array([u]), np.array([t]), 2.0)
    then, *now = (cost(loss, level, 0.0) for level in (size.request, max(u), 1.5 * max(u)))
    # The grid of levels beyond the largest peak is coarse for very wide tails.
    assert all(then <= other * 1.05 + 1.0 for other in now)


@given(st.lists(st.tuples(st.floats(0.01, 64.0), SECONDS), min_size=3, max_size=60), st.floats(0.001, 1000.0))
@settings(max_examples=100, deadline=None)
def test_cpu_does_not_depend_on_the_unit_of_time(rows: list[tuple[float, float]], factor: float) -> None:
    used, time = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
    one, other = (cpu_request(used, t) for t in (time, time * factor))
    assert one is not None and other is not None
    assert other.request == pytest.approx(one.request, rel=0.05)


@given(st.floats(1.0, 1e15), st.floats(1.0, 1e15))
def test_memory_rounding_is_monotone_idempotent_and_upward(a: float, b: float) -> None:
    low, high = sorted((a, b))
    one, other = round_memory(low, at_least=None), round_memory(high, at_least=None)
    assert one is not None and other is not None
    assert low * (1 - 1e-8) <= one <= other
    assert round_memory(one, at_least=None) == one
    assert one % 2**20 == 0
    assert one <= max(low * (1 + 1 / 64) + 1, low + 2**20)


@given(st.floats(0.001, 1000.0), st.floats(0.001, 1000.0))
def test_cpu_rounding_is_monotone_idempotent_and_upward(a: float, b: float) -> None:
    low, high = sorted((a, b))
    one, other = round_cpu(low), round_cpu(high)
    assert one is not None and other is not None
    assert low * (1 - 1e-8) <= one <= other
    assert round_cpu(one) == one


@given(
    st.lists(st.tuples(st.floats(1.0, 1e12), st.floats(0.1, 1e6)), min_size=3, max_size=40),
    st.floats(1e-3, 1e3),
    st.floats(1e-3, 1e3),
)
@example(TWO_AS_GOOD, 1.0, 22.0)
@settings(max_examples=100, deadline=None)
def test_models_follow_the_units(rows: list[tuple[float, float]], of_input: float, of_value: float) -> None:
    x, y = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
    assume(np.unique(x).size == x.size and np.diff(np.sort(x)).min() > 1e-6 * x.max())
    query = float(x.max()) * 1.5
    for fit in (fit_runtime, fit_memory):
        one = fit(x, y).predict([query])[0]
        other = fit(x * of_input, y * of_value).predict([query * of_input])[0]
        assert other == pytest.approx(one * of_value, rel=1e-3)


@given(st.lists(st.tuples(st.floats(1.0, 1e12), st.floats(0.1, 1e6)), min_size=3, max_size=40))
@settings(max_examples=100, deadline=None)
def test_beyond_the_largest_input_predictions_never_fall(rows: list[tuple[float, float]]) -> None:
    x, y = [r[0] for r in rows], [r[1] for r in rows]
    queries = max(x) * np.array([1.0, 1.1, 2.0, 5.0, 100.0])
    for fit in (fit_runtime, fit_memory):
        predicted = fit(x, y).predict(queries)
        assert (np.diff(predicted) >= -1e-6 * np.abs(predicted[:-1])).all()
        assert (predicted >= min(y) * (1 - 1e-9)).all()


@given(st.lists(st.tuples(st.integers(1, 64), st.floats(1.0, 1e5)), min_size=2, max_size=20), st.floats(0.01, 100.0))
@settings(max_examples=100, deadline=None)
def test_scale_out_follows_the_unit_of_time(rows: list[tuple[int, float]], factor: float) -> None:
    n, t = [r[0] for r in rows], np.array([r[1] for r in rows])
    one, other = fit_scaleout(n, t), fit_scaleout(n, t * factor)
    assert one.enough == other.enough
    if one.enough:
        np.testing.assert_allclose(other.seconds([1, 3, 70]), factor * one.seconds([1, 3, 70]), rtol=1e-3)


@given(st.lists(st.tuples(st.integers(1, 64), st.floats(1.0, 1e5)), min_size=2, max_size=3))
@settings(max_examples=100, deadline=None)
def test_with_few_points_more_workers_are_never_slower(rows: list[tuple[int, float]]) -> None:
    n = sorted(r[0] for r in rows)
    model = fit_scaleout(n, sorted((r[1] for r in rows), reverse=True))  # else it was measured to be slower
    assume(model.enough)
    curve = model.curve(np.arange(1, 100))
    assert (np.diff(curve) <= 1e-9 * curve[:-1]).all()
    for workers, seconds in model.measured:
        assert model.seconds(workers) == seconds
        assert (model.seconds(np.arange(1, workers)) >= seconds).all()
        assert (model.seconds(np.arange(workers, 100)) <= seconds).all()
