"""Requests of many steps worked out at once are those of each step alone, to the last bit."""

from __future__ import annotations

import math
import random
from unittest import mock

import numpy as np
import pytest

from concertmaster.core.sizing import (
    CpuUse,
    MemoryUse,
    cpu_request,
    cpu_requests,
    memory,
    memory_request,
    memory_requests,
    waste,
)
from concertmaster.core.sizing.waste import FAILURE_BOUND, bests, fit_losses, fit_models
from tests.support.core.margins import cost, failing

LENGTHS = (2, 3, 5, 7, 7, 7, 12, 30, 33, 40, 99, 120)


def memory_uses(seed: int) -> list[MemoryUse]:
    chance = random.Random(seed)
    uses = []
    for count in LENGTHS * 3:
        growth, spread = chance.choice((0.0, 0.05)), chance.choice((0.0, 0.1, 0.6))
        peaks = [3e8 * chance.lognormvariate(0, spread) * math.exp(growth * i) for i in range(count)]
        seconds = [chance.choice((10.0, 5000.0)) * chance.lognormvariate(0, 0.4) for _ in range(count)]
        inputs = [2.0 * p for p in peaks] if chance.random() < 0.2 else None
        if inputs is not None and chance.random() < 0.5:
            inputs[-1] = math.nan
        if chance.random() < 0.2:
            peaks[0] = math.nan
        times = None if chance.random() < 0.5 else [float(t) for t in chance.sample(range(1000), count)]
        uses.append(MemoryUse(peaks, seconds, times, inputs, chance.choice((None, 3e8, 5e9))))
    return uses


def cpu_uses(seed: int) -> list[CpuUse]:
    chance = random.Random(seed)
    uses = []
    for count in LENGTHS * 3:
        growth = chance.choice((0.0, 0.05))
        used = [0.3 * chance.lognormvariate(0, 0.4) * math.exp(growth * i) for i in range(count)]
        if chance.random() < 0.3:
            used = [round(cores, 1) for cores in used]
        seconds = [60.0 * chance.lognormvariate(0, 0.4) for _ in range(count)]
        uses.append(CpuUse(used, seconds, chance.choice((None, 0.3)), chance.choice((None, 0.2))))
    return uses


@pytest.mark.parametrize("seed", range(5))
def test_memory_requests_of_many_steps_are_those_of_each(seed: int) -> None:
    uses = memory_uses(seed)
    alone = [memory_request(u.peaks, u.durations, u.times, u.inputs, u.current_request) for u in uses]
    assert memory_requests(uses) == alone
    assert any(size is not None and size.drifting for size in alone)
    assert any(size is not None and size.model is not None for size in alone)


@pytest.mark.parametrize("seed", range(5))
def test_cpu_requests_of_many_steps_are_those_of_each(seed: int) -> None:
    uses = cpu_uses(seed)
    alone = [cpu_request(u.mean_cores, u.durations, u.on_critical_path_share, u.current_limit) for u in uses]
    assert cpu_requests(uses) == alone


@pytest.mark.parametrize("count", [7, 40, 120])
def test_the_best_margin_is_that_of_one_sample(count: int) -> None:
    """Samples with bounds of their own and of other sizes beside each other, and each alone."""
    chance = np.random.default_rng(count)
    peaks, seconds = 3e8 * chance.lognormal(0, 0.2, (6, count)), 9000.0 * chance.lognormal(0, 0.4, (6, count))
    losses = fit_losses(peaks, seconds, FAILURE_BOUND)
    assert len({loss.bound for loss in losses}) == 6
    alone = [fit_losses(peaks[row : row + 1], seconds[row : row + 1], FAILURE_BOUND) for row in range(6)]
    assert bests(losses) == [bests(one)[0] for one in alone]
    fewer = fit_losses(peaks[:1, 1:], seconds[:1, 1:], FAILURE_BOUND)
    both = [losses[0], *fewer]
    assert bests(both) == [bests([one])[0] for one in both]


@pytest.mark.parametrize(("count", "factor"), [(7, False), (7, True), (120, False), (250, False), (250, True)])
def test_the_best_margin_costs_least_of_all_within_the_bound(
    count: int, factor: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is worked out for all candidates at once, against the loss of one margin after the other."""
    chance = np.random.default_rng(count)
    peaks, seconds = 3e9 * chance.lognormal(0, 0.2, count), 900.0 * chance.lognormal(0, 0.4, count)
    price = 1e11
    monkeypatch.setattr(waste, "FAILURE_PRICE", price)
    predicted = peaks[None, :] * chance.lognormal(0, 0.1, (1, count))
    added, multiplied = (predicted[:0], predicted) if factor else (predicted, predicted[:0])
    (row,) = fit_models(added[:, None], multiplied[:, None], peaks[None], seconds[None], FAILURE_BOUND, share=1.0)
    (loss,) = row
    (best,) = bests([loss])
    assert best.loss == pytest.approx(cost(loss, best.margin, price))
    tail = loss.tail
    levels = np.concatenate([tail.ordered[-3:], tail.largest + tail.excess * np.linspace(0.0, 5.0, 200)])
    reach = (np.exp(levels) if factor else levels).tolist()
    within = [margin for margin in reach if failing(loss, margin) <= loss.bound]
    assert 0 < len(within) < len(reach)
    assert best.loss <= min(cost(loss, m, price) for m in within) * 1.01


@pytest.mark.parametrize(("count", "by_input"), [(7, False), (30, True)])
def test_steps_of_equally_many_runs_are_worked_out_at_once(count: int, by_input: bool) -> None:
    """Those by input with all their models, also where some inputs are unknown."""
    every = [use for seed in range(20) for use in memory_uses(seed) if (use.inputs is not None) == by_input]
    uses = [u for u in every if len(u.peaks) == count and not math.isnan(u.peaks[0])]
    with mock.patch.object(memory, "bests", side_effect=memory.bests) as found:
        memory_requests(uses)
    assert len(uses) > 3
    assert found.call_count == 1
